"""Do the point encoders compute what their papers say, and only from the set of points?"""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pointmcd.ops import gather, knn
from pointmcd.projection import PointFeatures, project
from pointmcd.students import ENCODERS, create_encoder
from pointmcd.students.dgcnn import NEIGHBOURS, SLOPE, EdgeConv
from pointmcd.students.heads import TEACHER_DIM, ClassificationHead
from pointmcd.students.layers import DenseNorm
from pointmcd.students.pointnet import TransformNet

ENCODER_NAMES = pytest.mark.parametrize("name", list(ENCODERS))


def cloud(*, shapes: int = 2, points: int = 48, seed: int = 0) -> Tensor:
    return torch.rand(shapes, points, 3, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def with_lived_in_norms(module: nn.Module) -> nn.Module:
    """Give batch norms the statistics and scales of a trained network: some scales are negative."""
    generator = torch.Generator().manual_seed(7)
    for norm in (m for m in module.modules() if isinstance(m, nn.BatchNorm1d)):
        assert norm.running_mean is not None
        assert norm.running_var is not None
        size = norm.num_features
        norm.weight.data = torch.randn(size, generator=generator)
        norm.bias.data = torch.randn(size, generator=generator) * 0.1
        norm.running_mean.copy_(torch.randn(size, generator=generator) * 0.1)
        norm.running_var.copy_(torch.rand(size, generator=generator) + 0.5)
    return module


@ENCODER_NAMES
def test_an_encoder_gives_1024_non_negative_channels_for_every_point(name: str) -> None:
    encoder = create_encoder(name).eval()
    features = encoder(cloud())
    assert features.values.shape == (2, 48, encoder.feature_dim) == (2, 48, 1024)
    assert features.index is None
    assert (features.values >= 0).all()


@ENCODER_NAMES
def test_permuting_points_permutes_features(name: str) -> None:
    torch.manual_seed(0)
    encoder = with_lived_in_norms(create_encoder(name)).eval()
    points = cloud()
    order = torch.randperm(48, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        torch.testing.assert_close(encoder(points[:, order]).values, encoder(points).values[:, order])


@ENCODER_NAMES
def test_in_evaluation_a_shape_does_not_depend_on_its_batch(name: str) -> None:
    torch.manual_seed(0)
    encoder = with_lived_in_norms(create_encoder(name)).eval()
    points = cloud(shapes=3)
    with torch.inference_mode():
        torch.testing.assert_close(encoder(points[1:2]).values, encoder(points).values[1:2])


@ENCODER_NAMES
def test_every_weight_of_an_encoder_learns(name: str) -> None:
    torch.manual_seed(0)
    encoder = create_encoder(name)
    features = encoder(cloud(shapes=4))
    loss = (features.values.amax(dim=1) * torch.randn(4, 1024)).sum()
    if features.penalty is not None:
        loss = loss + features.penalty
    loss.backward()
    silent = [key for key, weight in encoder.named_parameters() if weight.grad is None or not weight.grad.any()]
    # A bias in front of a batch norm is taken out again with the mean.
    assert [key for key in silent if not key.endswith("linear.bias")] == []


def test_an_unknown_encoder_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"no encoder 'curvenet'; there are: pointnet, dgcnn\."):
        create_encoder("curvenet")


def test_dgcnn_takes_a_cloud_smaller_than_its_neighbourhood() -> None:
    encoder = create_encoder("dgcnn").eval()
    assert encoder(cloud(points=5)).values.shape == (2, 5, 1024)


class NaiveEdgeConv(nn.Module):
    """The released code's way: build every edge [x_i ; x_j - x_i], convolve, normalise, activate, then the maximum."""

    def __init__(self, ours: EdgeConv) -> None:
        super().__init__()
        outputs, inputs = ours.linear.weight.shape
        self.convolution = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.convolution.weight.data = ours.linear.weight.detach().clone()[..., None, None]
        self.norm = nn.BatchNorm2d(outputs)
        self.norm.load_state_dict(ours.norm.state_dict())
        self.neighbours = ours.neighbours

    def forward(self, x: Tensor) -> Tensor:
        around = gather(x, knn(x.detach(), self.neighbours))
        center = x[:, :, None].expand_as(around)
        edges = torch.cat([center, around - center], dim=-1).permute(0, 3, 1, 2)  # (B, 2C, N, k)
        activated = F.leaky_relu(self.norm(self.convolution(edges)), SLOPE)
        return activated.amax(dim=3).transpose(1, 2)


def edge_convolutions() -> tuple[EdgeConv, NaiveEdgeConv]:
    torch.manual_seed(0)
    ours = with_lived_in_norms(EdgeConv(6, 12, neighbours=9))
    assert isinstance(ours, EdgeConv)
    assert (ours.norm.weight < 0).any()
    assert (ours.norm.weight > 0).any()
    return ours, NaiveEdgeConv(ours)


@pytest.mark.parametrize("training", [False, True])
def test_edge_convolution_equals_its_naive_twin(training: bool) -> None:
    ours, naive = edge_convolutions()
    x = torch.randn(3, 40, 6, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(ours.train(training)(x), naive.train(training)(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("training", [False, True])
def test_the_gradients_of_edge_convolution_equal_those_of_its_naive_twin(training: bool) -> None:
    ours, naive = edge_convolutions()
    x = torch.randn(3, 40, 6, generator=torch.Generator().manual_seed(1))
    weight = torch.randn(3, 40, 12, generator=torch.Generator().manual_seed(2))
    inputs = [x.clone().requires_grad_() for _ in range(2)]
    for module, value in zip((ours, naive), inputs, strict=True):
        (module.train(training)(value) * weight).sum().backward()
    torch.testing.assert_close(inputs[0].grad, inputs[1].grad, rtol=1e-3, atol=1e-4)
    pairs = (
        (ours.linear.weight, naive.convolution.weight.flatten(1), naive.convolution.weight.grad),
        (ours.norm.weight, naive.norm.weight, naive.norm.weight.grad),
        (ours.norm.bias, naive.norm.bias, naive.norm.bias.grad),
    )
    for parameter, _, gradient in pairs:
        assert gradient is not None
        torch.testing.assert_close(parameter.grad, gradient.view_as(parameter), rtol=1e-3, atol=1e-3)


def test_the_running_statistics_of_edge_convolution_equal_those_of_its_naive_twin() -> None:
    ours, naive = edge_convolutions()
    for seed in range(3):
        x = torch.randn(3, 40, 6, generator=torch.Generator().manual_seed(seed)) + seed
        ours.train()(x), naive.train()(x)
    torch.testing.assert_close(ours.norm.running_mean, naive.norm.running_mean, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ours.norm.running_var, naive.norm.running_var, rtol=1e-4, atol=1e-5)
    assert ours.norm.num_batches_tracked == naive.norm.num_batches_tracked == 3


def test_dgcnn_has_the_four_edge_convolutions_of_its_paper() -> None:
    encoder = ENCODERS["dgcnn"]()
    widths = [(edge.linear.in_features, edge.linear.out_features, edge.neighbours) for edge in encoder.edges]
    assert widths == [(6, 64, 20), (128, 64, 20), (128, 128, 20), (256, 256, 20)]
    assert encoder.fusion.linear.weight.shape == (1024, 512)
    assert NEIGHBOURS == 20
    assert SLOPE == 0.2


@pytest.mark.parametrize("channels", [3, 64])
def test_a_t_net_without_a_last_layer_is_the_identity(channels: int) -> None:
    net = TransformNet(channels).eval()
    nn.init.zeros_(net.transform.weight)
    nn.init.zeros_(net.transform.bias)
    x = torch.randn(2, 16, channels)
    assert torch.equal(net(x), torch.eye(channels).expand(2, -1, -1))


def test_a_fresh_t_net_starts_near_the_identity() -> None:
    torch.manual_seed(0)
    transform = TransformNet(3).eval()(cloud())
    assert (transform - torch.eye(3)).abs().max() < 0.5


def test_t_nets_have_the_slim_widths_of_the_released_code() -> None:
    net = TransformNet(3)
    assert [layer.linear.out_features for layer in (*net.points, *net.shape)] == [64, 64, 256, 64, 64]
    assert net.transform.weight.shape == (9, 64)


def test_the_t_net_penalty_is_zero_for_a_rotation_and_the_frobenius_norm_else() -> None:
    torch.manual_seed(0)
    encoder = ENCODERS["pointnet"]().eval()
    nn.init.zeros_(encoder.feature_transform.transform.weight)
    nn.init.zeros_(encoder.feature_transform.transform.bias)
    assert encoder(cloud()).penalty.item() < 1e-5
    encoder.feature_transform.transform.bias.data = torch.eye(64).flatten()  # 2 I: A A^T - I = 3 I
    assert encoder(cloud()).penalty.item() == pytest.approx(3 * 64**0.5, rel=1e-5)


def test_pointnet_sees_one_point_only_through_its_t_nets() -> None:
    torch.manual_seed(0)
    encoder = ENCODERS["pointnet"]().eval()
    for net in (encoder.input_transform, encoder.feature_transform):
        nn.init.zeros_(net.transform.weight)
        nn.init.zeros_(net.transform.bias)
    points = cloud()
    torch.testing.assert_close(encoder(points[:, :7]).values, encoder(points).values[:, :7])


def test_a_dense_layer_normalises_over_all_rows() -> None:
    torch.manual_seed(0)
    layer = DenseNorm(5, 4, slope=0.2)
    x = torch.randn(3, 11, 5)
    expected = F.leaky_relu(F.batch_norm(x.view(33, 5) @ layer.linear.weight.T, None, None, training=True), 0.2)
    torch.testing.assert_close(layer(x), expected.view(3, 11, 4))


def test_the_head_scores_and_embeds_any_leading_shape() -> None:
    head = ClassificationHead(1024, classes=7).eval()
    feature, logits = head.classify(torch.rand(2, 3, 1024))
    assert feature.shape == (2, 3, TEACHER_DIM)
    assert logits.shape == (2, 3, 7)
    assert head.classifier.bias is None
    assert head.embedding.linear.weight is not head.alignment.linear.weight


def dense_layers(slope: float, *, bias: bool) -> tuple[DenseNorm, DenseNorm]:
    layers = []
    for _ in range(2):
        torch.manual_seed(0)
        layer = with_lived_in_norms(DenseNorm(6, 12, bias=bias, slope=slope))
        assert isinstance(layer, DenseNorm)
        assert (layer.norm.weight < 0).any()
        layers.append(layer)
    return layers[0], layers[1]


def seen(*, shapes: int = 3, views: int = 4, points: int = 40) -> Tensor:
    mask = torch.rand(shapes, views, points, generator=torch.Generator().manual_seed(3)) < 0.3
    mask[0, 1] = False
    return mask


@pytest.mark.parametrize("training", [False, True])
def test_pooling_before_the_norm_finds_the_same_winners(training: bool) -> None:
    early, late = dense_layers(0.0, bias=True)
    x = torch.randn(3, 40, 6, generator=torch.Generator().manual_seed(1))
    ours = early.train(training).pooled(PointFeatures(x), seen())
    naive = project(PointFeatures(late.train(training)(x)), seen())
    live = naive.features > 0  # where the ReLU leaves nothing, many points tie at zero
    assert live.any()
    assert torch.equal(ours.winners[live], naive.winners[live])
    assert torch.equal(ours.winners < 0, naive.winners < 0)


def test_pooling_before_the_norm_names_the_anchors_points() -> None:
    layer, _ = dense_layers(0.0, bias=True)
    x, index = torch.randn(2, 5, 6), torch.tensor([[9, 3, 0, 7, 5], [1, 2, 8, 6, 4]])
    mask = seen(shapes=2, points=10)
    ours = layer.eval().pooled(PointFeatures(x, index), mask)
    naive = project(PointFeatures(layer(x), index), mask)
    torch.testing.assert_close(ours.features, naive.features, rtol=1e-4, atol=1e-5)
    live = naive.features > 0
    assert torch.equal(ours.winners[live], naive.winners[live])


def test_pooling_before_the_norm_works_under_bfloat16_autocast() -> None:
    early, late = dense_layers(0.0, bias=True)
    x = torch.randn(3, 40, 6, generator=torch.Generator().manual_seed(1))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours = early.train().pooled(PointFeatures(x), seen()).features
        naive = project(PointFeatures(late.train()(x)), seen()).features
    torch.testing.assert_close(ours.float(), naive.float(), rtol=0.03, atol=0.05)
    ours.sum().backward()
    assert early.linear.weight.grad is not None
    assert torch.isfinite(early.linear.weight.grad).all()


@ENCODER_NAMES
def test_trunk_and_output_layer_make_the_encoder(name: str) -> None:
    torch.manual_seed(0)
    encoder = with_lived_in_norms(create_encoder(name)).eval()
    with torch.inference_mode():
        trunk = encoder.trunk(cloud())
        assert torch.equal(encoder.output_layer(trunk.values), encoder(cloud()).values)
