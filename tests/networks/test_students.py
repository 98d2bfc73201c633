"""Do the point encoders compute what their papers say, and only from the set of points?"""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.edge_twin import NaiveEdgeConv, NaiveStudent
from pointmcd.networks.dense import DenseNorm
from pointmcd.networks.encoders import ENCODERS, create_encoder, dgcnn
from pointmcd.networks.encoders.dgcnn import NEIGHBOURS, SLOPE, EdgeConv
from pointmcd.networks.encoders.pointnet import TransformNet
from pointmcd.networks.heads import TEACHER_DIM, ClassificationHead
from pointmcd.projection import PointFeatures, project
from pointmcd.tasks.classification import classification_student

# Those that keep every point; test_networks.py has the laws of all encoders.
ENCODER_NAMES = pytest.mark.parametrize("name", ["pointnet", "dgcnn"])


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


def test_dgcnn_takes_a_cloud_smaller_than_its_neighbourhood() -> None:
    encoder = create_encoder("dgcnn").eval()
    assert encoder(cloud(points=5)).values.shape == (2, 5, 1024)


def edge_convolutions(dtype: torch.dtype = torch.float32) -> tuple[EdgeConv, NaiveEdgeConv]:
    torch.manual_seed(0)
    ours = with_lived_in_norms(EdgeConv(6, 12, neighbours=9)).to(dtype)
    assert isinstance(ours, EdgeConv)
    assert (ours.norm.weight < 0).any()
    assert (ours.norm.weight > 0).any()
    return ours, NaiveEdgeConv(ours).to(dtype)


def row_wise(naive: NaiveEdgeConv, x: Tensor) -> Tensor:
    return naive(x.transpose(1, 2)).transpose(1, 2)


PRECISIONS = pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)], ids=["float32", "float64"]
)
MODES = pytest.mark.parametrize("training", [False, True], ids=["evaluation", "training"])


@MODES
@PRECISIONS
def test_edge_convolution_equals_its_naive_twin(training: bool, dtype: torch.dtype, tolerance: float) -> None:
    ours, naive = edge_convolutions(dtype)
    x = torch.randn(3, 40, 6, dtype=dtype, generator=torch.Generator().manual_seed(1))
    expected = row_wise(naive.train(training), x)
    torch.testing.assert_close(ours.train(training)(x), expected, rtol=10 * tolerance, atol=tolerance)


@MODES
@PRECISIONS
def test_the_gradients_of_edge_convolution_equal_those_of_its_naive_twin(
    training: bool, dtype: torch.dtype, tolerance: float
) -> None:
    ours, naive = edge_convolutions(dtype)
    x = torch.randn(3, 40, 6, dtype=dtype, generator=torch.Generator().manual_seed(1))
    weight = torch.randn(3, 40, 12, dtype=dtype, generator=torch.Generator().manual_seed(2))
    inputs = [x.clone().requires_grad_() for _ in range(2)]
    (ours.train(training)(inputs[0]) * weight).sum().backward()
    (row_wise(naive.train(training), inputs[1]) * weight).sum().backward()
    pairs = (
        (inputs[0].grad, inputs[1].grad),
        (ours.linear.weight.grad, naive.convolution.weight.grad),
        (ours.norm.weight.grad, naive.norm.weight.grad),
        (ours.norm.bias.grad, naive.norm.bias.grad),
    )
    for gradient, expected in pairs:
        assert gradient is not None
        assert expected is not None
        torch.testing.assert_close(gradient, expected.view_as(gradient), rtol=100 * tolerance, atol=100 * tolerance)


def test_working_in_blocks_changes_no_edge_convolution(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.randn(3, 40, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    answers = []
    for elements in (1 << 20, 9 * 12 * 7):  # whole; seven points at a time, the last block short
        monkeypatch.setattr(dgcnn, "GATHER_ELEMENTS", elements)
        monkeypatch.setattr(dgcnn, "CACHED_ELEMENTS", elements // 9)
        ours, _ = edge_convolutions(torch.float64)
        value = x.clone().requires_grad_()
        answer = ours.train()(value)
        answer.square().sum().backward()
        answers += [(answer.detach(), value.grad)]
    torch.testing.assert_close(answers[0], answers[1], rtol=1e-12, atol=1e-12)


def graph() -> Tensor:
    """Eleven points of four neighbours; point 0 is everyone's neighbour and point 10 no one's, not even its own."""
    near = torch.randint(0, 10, (11, 4), generator=torch.Generator().manual_seed(5))
    near[:, 0] = 0
    return near


def test_the_maximum_over_neighbours_passes_gradcheck() -> None:
    own, around = torch.randn(2, 11, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(6)).unbind(0)
    inputs = (own.clone().requires_grad_(), around.clone().requires_grad_(), graph())
    assert torch.autograd.gradcheck(dgcnn._NeighbourMax.apply, inputs)


def test_the_moments_over_edges_pass_gradcheck() -> None:
    own, around = torch.randn(2, 11, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(6)).unbind(0)
    inputs = (own.clone().requires_grad_(), around.clone().requires_grad_(), graph())
    assert torch.autograd.gradcheck(dgcnn._EdgeMoments.apply, inputs)


@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_the_moments_over_edges_are_those_of_all_edges(offset: float) -> None:
    generator = torch.Generator().manual_seed(4)
    own, around = (torch.randn(3000, 5, generator=generator) + offset for _ in range(2))
    near = torch.randint(0, 3000, (3000, 20), generator=generator)
    mean, variance = dgcnn._EdgeMoments.apply(own, around, near)
    edges = (own[:, None].double() + around[near].double()).flatten(0, 1)
    torch.testing.assert_close(mean.double(), edges.mean(0), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(variance.double(), edges.var(0, correction=0), rtol=1e-5, atol=0)


def test_of_equal_neighbours_one_alone_gets_the_gradient() -> None:
    around = torch.tensor([[1.0], [1.0], [0.0]], requires_grad=True)
    dgcnn._NeighbourMax.apply(torch.zeros(3, 1), around, torch.tensor([[0, 1], [1, 2], [2, 2]])).sum().backward()
    assert around.grad is not None
    assert around.grad.sum() == 3
    assert around.grad[2] == 1


def test_the_running_statistics_of_edge_convolution_equal_those_of_its_naive_twin() -> None:
    ours, naive = edge_convolutions()
    for seed in range(3):
        x = torch.randn(3, 40, 6, generator=torch.Generator().manual_seed(seed)) + seed
        ours.train()(x), row_wise(naive.train(), x)
    torch.testing.assert_close(ours.norm.running_mean, naive.norm.running_mean, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ours.norm.running_var, naive.norm.running_var, rtol=1e-4, atol=1e-5)
    assert ours.norm.num_batches_tracked == naive.norm.num_batches_tracked == 3


def test_edge_convolution_learns_under_bfloat16_autocast() -> None:
    ours, exact = edge_convolutions()[0].train(), edge_convolutions()[0].train()
    x = torch.randn(3, 40, 6, generator=torch.Generator().manual_seed(1))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        answer = ours(x)
    answer.square().sum().backward()
    expected = exact(x)
    expected.square().sum().backward()
    assert (answer - expected).abs().mean() < 0.02 * expected.abs().mean()
    assert ours.linear.weight.grad is not None
    error = (ours.linear.weight.grad - exact.linear.weight.grad).norm() / exact.linear.weight.grad.norm()
    assert error < 0.05


def test_an_edge_convolution_of_one_point_is_finite() -> None:
    ours, _ = edge_convolutions()
    assert torch.isfinite(ours.eval()(torch.ones(2, 1, 6))).all()


@MODES
def test_distilling_dgcnn_computes_what_the_released_formula_does(training: bool) -> None:
    torch.manual_seed(0)
    student = with_lived_in_norms(classification_student("dgcnn", classes=5)).double().train(training)
    twin = NaiveStudent(student).double().train(training)
    points = cloud(shapes=3, points=64).double()
    output = student(points, seen(shapes=3, points=64))
    logits, views = twin(points, seen(shapes=3, points=64))
    torch.testing.assert_close(output.logits, logits, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(output.view_features, views, rtol=1e-8, atol=1e-8)
    (output.logits.square().sum() + output.view_features.square().sum()).backward()
    (logits.square().sum() + views.square().sum()).backward()
    for ours, naive in zip(student.encoder.edges, twin.edges, strict=True):
        expected = naive.convolution.weight.grad.view_as(ours.linear.weight)
        torch.testing.assert_close(
            ours.linear.weight.grad, expected, rtol=1e-6, atol=1e-6 * float(expected.abs().max())
        )


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


def test_an_edge_convolution_may_have_more_neighbours_than_a_byte_counts() -> None:
    torch.manual_seed(0)
    ours = EdgeConv(3, 4, neighbours=300).double()
    naive = NaiveEdgeConv(ours).double()
    x = torch.randn(1, 310, 3, dtype=torch.float64)
    inputs = x.clone().requires_grad_(), x.clone().requires_grad_()
    weight = torch.randn(1, 310, 4, dtype=torch.float64)
    (ours(inputs[0]) * weight).sum().backward()
    (row_wise(naive, inputs[1]) * weight).sum().backward()
    torch.testing.assert_close(inputs[0].grad, inputs[1].grad)
