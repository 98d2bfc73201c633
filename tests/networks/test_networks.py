"""Do the new encoders and part networks compute what their papers say, and only from the set of points?"""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pointmcd.networks.encoders import ENCODERS, Encoder, PoolsEarly, Summarizes, create_encoder
from pointmcd.networks.encoders.curvenet import CurveNet, _choose, _keeps_on
from pointmcd.networks.encoders.foldingnet import FoldingDecoder, FoldingEncoder, FoldingNet, chamfer_distance
from pointmcd.networks.encoders.pointnet2 import PointNet2
from pointmcd.networks.groups import ContextDense, GroupLayers, interpolate
from pointmcd.networks.parts import PART_NETWORKS, PartStudent
from pointmcd.networks.pooling import describe, summary_dim
from pointmcd.networks.teachers.attention_vgg import AttentionVGG
from pointmcd.projection import project
from tests.networks.test_students import cloud, seen, with_lived_in_norms

NEW = pytest.mark.parametrize("name", ["pointnet2", "curvenet", "foldingnet"])
EVERY = pytest.mark.parametrize("name", list(ENCODERS))
PART_NAMES = pytest.mark.parametrize("name", list(PART_NETWORKS))


def lived_in(name: str) -> nn.Module:
    torch.manual_seed(0)
    encoder = create_encoder(name)
    assert isinstance(encoder, nn.Module)
    return with_lived_in_norms(encoder).eval()


def by_input_point(encoder: nn.Module, points: Tensor) -> Tensor:
    """Features as a cloud's own points have them; zeros where a point is no anchor."""
    features = encoder(points)
    if features.index is None:
        return features.values
    spread = torch.zeros(*points.shape[:2], features.values.shape[2])
    return spread.scatter(1, features.index[..., None].expand_as(features.values), features.values)


def weights(module: nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


# --- sizes


def test_pointnet2_has_the_weights_of_its_paper() -> None:
    first = 3 * 64 + 64 * 64 + 64 * 128 + 2 * (64 + 64 + 128)
    second = 131 * 128 + 128 * 128 + 128 * 256 + 2 * (128 + 128 + 256)
    last = 259 * 256 + 256 * 512 + 512 * 1024 + 2 * (256 + 512 + 1024)
    assert weights(PointNet2()) == first + second + last == 805_184
    head = 1024 * 512 + 512 * 256 + 256 * 40
    assert first + second + last + head == pytest.approx(1.48e6, rel=0.01)  # PointNet++, supplementary material


def test_curvenet_has_the_weights_of_its_paper() -> None:
    expected = 9 * 32 + 2 * 32 + 512 * 1024 + 2 * 1024
    sizes = [(32, 64), (64, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 512), (512, 512)]
    for i, (inputs, outputs) in enumerate(sizes):
        middle = inputs // (4 if i % 2 else 2)
        expected += inputs * middle + 2 * middle  # reduce
        expected += 9 * middle + 2 * middle + middle * middle + 2 * middle  # local aggregation
        expected += middle * outputs + 2 * outputs  # expand
        if inputs != outputs:
            expected += inputs * outputs + 2 * outputs  # shortcut
        if i < 4:
            expected += middle + (2 * middle + 2) + (4 * middle + 4)  # walk: salience, agent, momentum
            expected += middle + 3 * middle * middle + 2 * middle  # aggregation: halves of queries, keys, values
    assert weights(CurveNet()) == expected
    head = 2048 * 512 + 2 * 512 + 512 * 40 + 40
    assert expected + head == pytest.approx(2.14e6, rel=0.01)  # published code


def test_foldingnet_has_the_weights_of_its_paper() -> None:
    perceptron = 12 * 64 + 64 + 2 * (64 * 64 + 64)
    graph = 64 * 128 + 128 + 128 * 1024 + 1024
    codeword = 1024 * 512 + 512 + 512 * 512 + 512
    assert weights(FoldingEncoder()) == perceptron + graph + codeword
    folds = sum((512 + inputs) * 512 + 512 + 512 * 512 + 512 + 512 * 3 + 3 for inputs in (2, 3))
    assert weights(FoldingDecoder()) == folds
    assert folds == pytest.approx(1.05e6, rel=0.01)  # FoldingNet, Sec. 1: 7 % of a fully connected decoder's


def test_the_attention_backbone_is_vgg11_and_four_attentions() -> None:
    vgg11_bn_features = 9_225_984
    assert weights(AttentionVGG()) == vgg11_bn_features + 2 * 49 + 2 * 25 + 2 * (2 * 512 * 64)


@EVERY
def test_an_encoder_says_what_it_gives(name: str) -> None:
    encoder = lived_in(name)
    assert isinstance(encoder, Encoder)
    features = encoder(cloud())
    assert features.values.shape[2] == encoder.feature_dim == 1024
    assert describe(encoder, cloud()).summary.shape == (2, summary_dim(encoder))


def test_abilities_are_where_they_belong() -> None:
    able = {name: (isinstance(e := create_encoder(name), PoolsEarly), isinstance(e, Summarizes)) for name in ENCODERS}
    assert able == {
        "pointnet": (True, False),
        "pointnet2": (True, False),
        "dgcnn": (True, False),
        "curvenet": (False, True),
        "foldingnet": (False, True),
    }


def test_an_unknown_encoder_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="no encoder 'pointnext'; there are: pointnet, pointnet2, dgcnn, curvenet"):
        create_encoder("pointnext")


# --- laws


@NEW
@pytest.mark.parametrize("size", [1.0, 0.2], ids=["sparse", "crowded"])
def test_permuting_points_permutes_features_and_keeps_the_summary(name: str, size: float) -> None:
    encoder = lived_in(name)
    points = cloud(points=600) * size
    order = torch.randperm(600, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        torch.testing.assert_close(
            by_input_point(encoder, points[:, order]), by_input_point(encoder, points)[:, order], rtol=1e-4, atol=1e-4
        )
        torch.testing.assert_close(
            describe(encoder, points[:, order]).summary, describe(encoder, points).summary, rtol=1e-4, atol=1e-4
        )


@pytest.mark.parametrize("size", [1.0, 0.2], ids=["sparse", "crowded"])
def test_repeated_points_change_nothing_in_pointnet2(size: float) -> None:
    encoder = lived_in("pointnet2")
    points = cloud(points=560) * size
    padded = torch.cat([points, points[:, :400]], dim=1)
    with torch.inference_mode():
        bare, full = encoder(points), encoder(padded)
    assert torch.equal(full.index, bare.index)
    torch.testing.assert_close(full.values, bare.values, rtol=1e-5, atol=1e-5)


@NEW
def test_in_evaluation_a_shape_does_not_depend_on_its_batch(name: str) -> None:
    encoder = lived_in(name)
    points = cloud(shapes=3, points=300)
    with torch.inference_mode():
        torch.testing.assert_close(encoder(points[1:2]).values, encoder(points).values[1:2], rtol=1e-4, atol=1e-4)


@EVERY
def test_a_view_that_sees_all_is_the_global_pool_and_one_that_sees_nothing_is_zero(name: str) -> None:
    encoder = lived_in(name)
    points = cloud(points=300)
    mask = torch.rand(2, 3, 300, generator=torch.Generator().manual_seed(2)) < 0.5
    mask[:, 0], mask[:, 1] = True, False
    with torch.inference_mode():
        pooled = describe(encoder, points, mask)
        features = encoder(points)
    assert pooled.view_pools is not None
    assert pooled.winners is not None
    torch.testing.assert_close(pooled.view_pools[:, 0], features.values.amax(1), rtol=1e-4, atol=1e-4)
    assert not pooled.view_pools[:, 1].any()
    assert (pooled.winners[:, 1] == -1).all()
    torch.testing.assert_close(pooled.view_pools, project(features, mask).features, rtol=1e-4, atol=1e-4)
    # Each winner is a point that its view sees.
    won = mask[:, 2].gather(1, pooled.winners[:, 2].clamp(min=0))
    assert won[pooled.winners[:, 2] >= 0].all()


def test_foldingnet_ends_signed_and_its_view_pools_may_be_negative() -> None:
    encoder = lived_in("foldingnet")
    pooled = describe(encoder, cloud(points=100), torch.rand(2, 4, 100) < 0.1)
    assert pooled.view_pools is not None
    assert (pooled.view_pools < 0).any()


@NEW
def test_every_weight_of_an_encoder_learns(name: str) -> None:
    torch.manual_seed(0)
    encoder = create_encoder(name)
    assert isinstance(encoder, nn.Module)
    pooled = describe(encoder, cloud(shapes=3, points=280), torch.rand(3, 2, 280) < 0.5)
    assert pooled.view_pools is not None
    (pooled.summary.square().sum() + pooled.view_pools.square().sum()).backward()
    assert [key for key, weight in encoder.named_parameters() if weight.grad is None or not weight.grad.any()] == []


@NEW
@pytest.mark.parametrize("points", [3, 17])
def test_a_tiny_cloud_is_encoded(name: str, points: int) -> None:
    assert torch.isfinite(lived_in(name)(cloud(points=points)).values).all()


# --- layers


def test_group_layers_equal_layers_on_every_edge() -> None:
    torch.manual_seed(0)
    layers = with_lived_in_norms(GroupLayers(7, (8, 9, 10), slope=0.2))
    assert isinstance(layers, GroupLayers)
    points, centers = torch.randn(2, 30, 4), torch.randn(2, 5, 3)
    near = torch.randint(30, (2, 5, 6))
    edges = torch.cat([centers[:, :, None].expand(-1, -1, 6, -1), points[torch.arange(2)[:, None, None], near]], -1)
    for training in (False, True):
        layers.train(training)
        x = edges
        for layer in layers.layers:
            x = layer(x)
        own, around = layers.first_weight.split([3, 4], dim=1)
        found = layers(F.linear(centers, own), F.linear(points, around), near)
        torch.testing.assert_close(found, x.amax(2), rtol=1e-4, atol=1e-5)
    with torch.inference_mode():
        layers.eval()
        blockwise = layers(F.linear(centers, own), F.linear(points, around), near)
    with torch.enable_grad():
        whole = layers(F.linear(centers, own), F.linear(points, around), near)
    torch.testing.assert_close(blockwise, whole)


@pytest.mark.parametrize("context_first", [False, True])
def test_a_context_layer_equals_a_layer_on_the_repeated_context(context_first: bool) -> None:
    torch.manual_seed(0)
    layer = ContextDense(5, 4, 6, context_first=context_first)
    x, context = torch.randn(2, 9, 5), torch.randn(2, 4)
    repeated = context[:, None].expand(-1, 9, -1)
    joined = torch.cat([repeated, x] if context_first else [x, repeated], dim=-1)
    torch.testing.assert_close(layer.with_context(x, context), layer(joined), rtol=1e-4, atol=1e-5)


def test_interpolation_keeps_centers_and_averages_between_them() -> None:
    centers = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [0, 100, 0]]])
    values = torch.tensor([[[2.0], [4.0], [1e3]]])
    points = torch.tensor([[[0.0, 0, 0], [0.5, 0, 0]]])
    carried = interpolate(points, centers, values)
    assert carried[0, 0, 0] == pytest.approx(2.0, abs=1e-4)
    assert carried[0, 1, 0] == pytest.approx(3.0, rel=0.02)


def test_a_step_of_a_walk_is_one_neighbour_with_the_gradient_of_a_softmax() -> None:
    score = torch.tensor([[[0.0, 2.0, 1.0]]], requires_grad=True)
    choice = _choose(score)
    assert torch.allclose(choice, torch.tensor([[[0.0, 1.0, 0.0]]]))
    (gradient,) = torch.autograd.grad(choice[0, 0, 0], score)
    soft = score.softmax(-1)[0, 0]
    torch.testing.assert_close(gradient[0, 0], soft[0] * (torch.eye(3)[0] - soft))


def test_crossover_suppression_lets_steps_ahead_pass_and_stops_those_back() -> None:
    heading = torch.tensor([[[1.0, 0.0]]])
    steps = torch.tensor([[[[2.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [-1.0, 1.0]]]])
    torch.testing.assert_close(_keeps_on(heading, steps)[0, 0], torch.tensor([1.0, 1.0, 0.0, 1 - 0.5**0.5]))


# --- folding


def test_chamfer_distance_is_the_larger_mean_distance_to_the_nearest() -> None:
    ours = torch.tensor([[[0.0, 0, 0], [1, 0, 0]]])
    theirs = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [1, 3, 0]]])
    assert chamfer_distance(ours, theirs).item() == pytest.approx(1.0, abs=1e-5)  # (0 + 0 + 3) / 3 beats 0
    assert chamfer_distance(theirs, ours).item() == pytest.approx(1.0, abs=1e-5)
    assert chamfer_distance(ours, ours).item() < 1e-5


def test_foldingnet_learns_to_fold_its_square_into_a_shape() -> None:
    torch.manual_seed(0)
    net = FoldingNet()
    points = F.normalize(torch.randn(1, 64, 3), dim=-1)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    losses = []
    for _ in range(4):
        _, folded = net(points)
        loss = chamfer_distance(folded, points)
        optimizer.zero_grad()
        loss.backward()
        assert [key for key, weight in net.named_parameters() if not weight.grad.any()] == []
        optimizer.step()
        losses.append(loss.item())
    assert folded.shape == (1, 2025, 3)
    assert losses[-1] < losses[0]


# --- parts


def part_student(name: str) -> PartStudent:
    torch.manual_seed(0)
    student = with_lived_in_norms(PartStudent(name, parts=7, categories=3)).eval()
    assert isinstance(student, PartStudent)
    return student


@PART_NAMES
def test_permuting_points_permutes_their_parts(name: str) -> None:
    student = part_student(name)
    points, order = cloud(points=200), torch.randperm(200, generator=torch.Generator().manual_seed(1))
    mask, category = seen(shapes=2, points=200), torch.tensor([0, 2])
    with torch.inference_mode():
        plain = student(points, mask, category=category)
        permuted = student(points[:, order], mask[:, :, order], category=category)
    assert plain.part_logits.shape == (2, 200, 7)
    scale = float(plain.part_logits.abs().mean())
    torch.testing.assert_close(permuted.part_logits, plain.part_logits[:, order], rtol=1e-3, atol=1e-3 * scale)
    assert plain.view_features is not None
    assert plain.view_features.shape == (2, 4, 512)
    torch.testing.assert_close(permuted.view_features, plain.view_features, rtol=1e-3, atol=1e-3)
    assert plain.view_pools is not None
    assert not plain.view_pools[0, 1].any()  # a view that sees nothing


@PART_NAMES
def test_every_weight_of_a_part_network_learns(name: str) -> None:
    torch.manual_seed(0)
    student = PartStudent(name, parts=7, categories=3)
    output = student(cloud(shapes=3, points=160), seen(points=160), category=torch.tensor([0, 1, 2]))
    assert output.view_features is not None
    (output.part_logits.square().sum() + output.view_features.square().sum()).backward()
    silent = [key for key, weight in student.named_parameters() if weight.grad is None or not weight.grad.any()]
    # A bias in front of a batch norm is taken out again with the mean.
    assert [key for key in silent if not key.endswith("linear.bias")] == []


@PART_NAMES
def test_the_category_moves_the_parts_and_not_the_views(name: str) -> None:
    student, points, mask = part_student(name), cloud(points=64), seen(shapes=2, points=64)
    with torch.inference_mode():
        one, other = (student(points, mask, category=torch.tensor([c, c])) for c in (0, 1))
    assert not torch.allclose(one.part_logits, other.part_logits)
    assert torch.equal(one.view_features, other.view_features)


def test_a_category_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="Categories go from 0 to 2; these are \\[0, 3\\]"):
        part_student("pointnet")(cloud(), category=torch.tensor([0, 3]))


def test_the_plain_part_student_keeps_the_teacher_from_its_encoder() -> None:
    student = PartStudent("dgcnn", parts=7, categories=3, isolate_views=True)
    output = student(cloud(), seen(shapes=2, points=48), category=torch.tensor([0, 1]))
    assert output.view_features is not None
    output.view_features.sum().backward()
    assert all(weight.grad is None for weight in student.network.encoder.parameters())
    assert student.alignment.linear.weight.grad is not None
