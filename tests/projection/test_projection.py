"""Does each view get the maximum over exactly the points it sees, and do gradients go to the winners alone?"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from benchmarks.twins import repeated_view_pool
from pointmcd.data.synthetic import make_shape
from pointmcd.projection import PointFeatures, masked_pool, project, view_pool
from pointmcd.scene.cameras import ring
from pointmcd.scene.visibility import visible_points
from pointmcd.shapes.sample import sample_points

Pool = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def cpu_pool(features: Tensor, visibility: Tensor) -> tuple[Tensor, Tensor]:
    return project(PointFeatures(features), visibility)


BACK_ENDS = pytest.mark.parametrize("pool", [cpu_pool, masked_pool])
SIGNS = pytest.mark.parametrize("signed", [True, False])
DTYPES = pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])


def naive_pool(features: Tensor, visibility: Tensor) -> Tensor:
    """The obvious twin: every view gets a copy of all features, hidden points are minus infinity, then the maximum."""
    copies = features[:, None].repeat(1, visibility.shape[1], 1, 1)  # (B, V, M, D)
    best = torch.where(visibility[..., None], copies, float("-inf")).amax(dim=2)
    return torch.where(visibility.any(dim=2)[..., None], best, 0.0)


def drawn(*, signed: bool, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Features (2, 40, 7) without ties, and visibility (2, 5, 40) with one view that sees nothing and one all."""
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(2, 40, 7, generator=generator) - (2.0 if signed else 0.0)
    if not signed:
        features = features.abs()
    visibility = torch.rand(2, 5, 40, generator=generator) < 0.3
    visibility[0, 1] = False
    visibility[1, 3] = True
    return features, visibility


@BACK_ENDS
@SIGNS
def test_pooling_equals_its_naive_twin_exactly(pool: Pool, signed: bool) -> None:
    features, visibility = drawn(signed=signed)
    assert torch.equal(pool(features, visibility)[0], naive_pool(features, visibility))


@BACK_ENDS
@SIGNS
def test_the_gradient_equals_that_of_the_naive_twin(pool: Pool, signed: bool) -> None:
    features, visibility = drawn(signed=signed)
    weight = torch.randn(2, 5, 7, generator=torch.Generator().manual_seed(1))
    ours, naive = (features.clone().requires_grad_() for _ in range(2))
    (pool(ours, visibility)[0] * weight).sum().backward()
    (naive_pool(naive, visibility) * weight).sum().backward()
    torch.testing.assert_close(ours.grad, naive.grad, rtol=0, atol=1e-5)


def real_visibility(*, views: int) -> Tensor:
    """What a ring of cameras sees of a chair and a mug, 300 points each."""
    masks = []
    for name in ("chair", "mug"):
        cloud = sample_points(make_shape(name).shape, count=300, seed=0)
        masks.append(torch.from_numpy(visible_points(cloud, ring(views), method="hpr").mask))
    return torch.stack(masks)


@BACK_ENDS
@pytest.mark.parametrize("views", [1, 12, 64])
def test_rectified_features_give_what_the_released_formula_gives(pool: Pool, views: int) -> None:
    visibility = real_visibility(views=views)
    assert 0.2 < visibility.float().mean() < 0.7
    generator = torch.Generator().manual_seed(4)
    weight = torch.randn(2, views, 33, generator=generator)
    ours, released = (torch.randn(2, 300, 33, generator=generator.manual_seed(5)).requires_grad_() for _ in range(2))
    pooled, expected = pool(ours.relu(), visibility)[0], repeated_view_pool(released.relu(), visibility)
    assert torch.equal(pooled, expected)
    (pooled * weight).sum().backward()
    (expected * weight).sum().backward()
    torch.testing.assert_close(ours.grad, released.grad, rtol=0, atol=1e-5)


@BACK_ENDS
@DTYPES
@SIGNS
def test_the_maximum_is_exact_in_every_floating_type(pool: Pool, dtype: torch.dtype, signed: bool) -> None:
    features, visibility = drawn(signed=signed)
    features = features.to(dtype).requires_grad_()
    pooled, _ = pool(features, visibility)
    assert pooled.dtype == dtype
    assert torch.equal(pooled, naive_pool(features, visibility))
    pooled.sum().backward()
    assert features.grad is not None
    assert features.grad.dtype == dtype
    assert features.grad.sum() == visibility.any(dim=2).sum() * 7


@BACK_ENDS
def test_a_shape_of_one_point_gives_that_point_to_the_views_that_see_it(pool: Pool) -> None:
    pooled, winners = pool(torch.tensor([[[-2.0, 3.0]]]), torch.tensor([[[True], [False]]]))
    assert pooled.tolist() == [[[-2, 3], [0, 0]]]
    assert winners.tolist() == [[[0, 0], [-1, -1]]]


@BACK_ENDS
def test_the_layout_in_memory_changes_nothing(pool: Pool) -> None:
    features, visibility = drawn(signed=True)
    expected, expected_winners = pool(features, visibility)
    channels_first = features.transpose(1, 2).contiguous().transpose(1, 2).requires_grad_()
    points_first = visibility.transpose(1, 2).contiguous().transpose(1, 2)
    assert not channels_first.is_contiguous()
    assert not points_first.is_contiguous()
    pooled, winners = pool(channels_first, points_first)
    assert torch.equal(pooled, expected)
    assert torch.equal(winners, expected_winners)
    # The gradient of a sum is one number seen everywhere through strides of 0.
    pooled.sum().backward()
    assert channels_first.grad is not None
    assert channels_first.grad.sum() == visibility.any(dim=2).sum() * 7


def test_of_equal_features_the_first_seen_point_wins() -> None:
    visibility = torch.tensor([[[True, True, True], [False, True, True], [False, False, True]]])
    assert project(PointFeatures(torch.zeros(1, 3, 1)), visibility).winners.flatten().tolist() == [0, 1, 2]


@BACK_ENDS
def test_where_all_that_is_seen_is_minus_infinity_no_hidden_point_wins(pool: Pool) -> None:
    features = torch.tensor([[[5.0], [-torch.inf], [-torch.inf]]], requires_grad=True)
    pooled, winners = pool(features, torch.tensor([[[False, True, True]]]))
    assert pooled.item() == -torch.inf
    assert winners.item() == -1


@BACK_ENDS
def test_a_feature_that_is_not_a_number_is_not_passed_over(pool: Pool) -> None:
    pooled, winners = pool(torch.tensor([[[5.0], [torch.nan], [6.0]]]), torch.tensor([[[True, True, True]]]))
    assert pooled.isnan().all()
    assert winners.item() == 1


def test_features_made_in_inference_mode_are_pooled_inside_it_and_after_it() -> None:
    features, visibility = drawn(signed=True)
    expected = naive_pool(features, visibility)
    with torch.inference_mode():
        made_inside = features * 1.0
        assert torch.equal(view_pool(features, visibility), expected)
        assert torch.equal(view_pool(made_inside, visibility), expected)
    assert torch.equal(view_pool(made_inside, visibility), expected)


def test_the_features_themselves_are_not_marked_for_gradients() -> None:
    features, visibility = drawn(signed=True)
    assert not view_pool(features, visibility).requires_grad
    assert not features.requires_grad


def run_alone(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a process of its own, where nothing was pooled before and no types are checked."""
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def test_the_first_pooling_of_a_process_warns_of_nothing() -> None:
    done = run_alone("""
import torch
from pointmcd.projection import view_pool
assert view_pool(torch.ones(1, 3, 2), torch.ones(1, 1, 3, dtype=torch.bool)).sum() == 2
""")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow  # loading the compiler alone takes longer than all other tests here
@pytest.mark.parametrize("back_end", ["eager", "inductor"])
def test_pooling_compiles_as_one_graph_with_the_same_numbers(back_end: str) -> None:
    done = run_alone(
        """
import sys
import torch
from pointmcd.projection import view_pool
generator = torch.Generator().manual_seed(0)
plain, traced = (torch.randn(2, 40, 7, generator=generator.manual_seed(0)).requires_grad_() for _ in range(2))
visibility = torch.rand(2, 5, 40, generator=generator) < 0.3
visibility[0, 1] = False
weight = torch.randn(2, 5, 7, generator=generator)
expected = view_pool(plain, visibility)
pooled = torch.compile(view_pool, backend=sys.argv[1], fullgraph=True)(traced, visibility)
(expected * weight).sum().backward()
(pooled * weight).sum().backward()
assert torch.equal(pooled, expected)
torch.testing.assert_close(traced.grad, plain.grad, rtol=0, atol=1e-5)
""",
        back_end,
    )
    assert done.returncode == 0, done.stderr


def test_a_table_made_by_hand() -> None:
    features = torch.tensor([[[1.0, -5.0], [3.0, -2.0], [-4.0, -1.0]]])
    visibility = torch.tensor([[[True, False, True], [False, True, True], [False, False, False], [True, True, True]]])
    projection = project(PointFeatures(features), visibility)
    assert projection.features.tolist() == [[[1, -1], [3, -1], [0, 0], [3, -1]]]
    assert projection.winners.tolist() == [[[0, 2], [1, 2], [-1, -1], [1, 2]]]


@BACK_ENDS
def test_a_view_that_sees_nothing_gives_zero_and_no_gradient(pool: Pool) -> None:
    features = torch.full((1, 4, 3), -2.0, requires_grad=True)
    pooled, winners = pool(features, torch.zeros(1, 1, 4, dtype=torch.bool))
    pooled.sum().backward()
    assert (pooled == 0).all()
    assert (winners == -1).all()
    assert features.grad is not None
    assert (features.grad == 0).all()


@SIGNS
def test_a_view_that_sees_everything_equals_global_pooling(signed: bool) -> None:
    features, _ = drawn(signed=signed)
    everything = torch.ones(2, 1, 40, dtype=torch.bool)
    assert torch.equal(view_pool(features, everything)[:, 0], features.amax(dim=1))


def test_permuting_the_points_permutes_the_winners_and_changes_nothing_else() -> None:
    features, visibility = drawn(signed=True)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(2))
    before = project(PointFeatures(features), visibility)
    after = project(PointFeatures(features[:, order]), visibility[:, :, order])
    assert torch.equal(after.features, before.features)
    seen = after.winners >= 0
    assert torch.equal(order[after.winners[seen]], before.winners[seen])
    assert torch.equal(seen, before.winners >= 0)


@BACK_ENDS
def test_every_winner_is_seen_and_has_the_pooled_value(pool: Pool) -> None:
    features, visibility = drawn(signed=True)
    pooled, winners = pool(features, visibility)
    for b, v, d in torch.cartesian_prod(torch.arange(2), torch.arange(5), torch.arange(7)).tolist():
        winner = int(winners[b, v, d])
        if visibility[b, v].any():
            assert visibility[b, v, winner]
            assert features[b, winner, d] == pooled[b, v, d]
        else:
            assert winner == -1


def test_visibility_is_tested_on_the_anchors_of_a_hierarchical_encoder() -> None:
    # Points 4 and 1 of five are kept; each view sees one of them, and the third sees neither.
    features = PointFeatures(torch.tensor([[[7.0], [9.0]]]), index=torch.tensor([[4, 1]]))
    visibility = torch.tensor([[[True, False, True, True, True], [False, True] + [False] * 3, [True] + [False] * 4]])
    projection = project(features, visibility)
    assert projection.features.tolist() == [[[7], [9], [0]]]
    assert projection.winners.tolist() == [[[4], [1], [-1]]]


def test_an_index_that_keeps_every_point_in_order_changes_nothing() -> None:
    features, visibility = drawn(signed=True)
    plain = project(PointFeatures(features), visibility)
    indexed = project(PointFeatures(features, index=torch.arange(40).repeat(2, 1)), visibility)
    assert torch.equal(plain.features, indexed.features)
    assert torch.equal(plain.winners, indexed.winners)


@BACK_ENDS
def test_the_derivative_is_right_in_float64(pool: Pool) -> None:
    generator = torch.Generator().manual_seed(3)
    features = torch.randn(2, 6, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    visibility = torch.rand(2, 3, 6, generator=generator) < 0.5
    visibility[0, 0] = False
    assert torch.autograd.gradcheck(lambda x: pool(x, visibility)[0], features)


@BACK_ENDS
def test_equal_features_share_no_gradient_twice(pool: Pool) -> None:
    features = torch.ones(1, 5, 2, requires_grad=True)
    pool(features, torch.ones(1, 3, 5, dtype=torch.bool))[0].sum().backward()
    assert features.grad is not None
    assert features.grad.sum() == 3 * 2  # one winner per view and channel


@BACK_ENDS
def test_pooling_works_under_bfloat16_autocast(pool: Pool) -> None:
    features, visibility = drawn(signed=True)
    layer = torch.nn.Linear(7, 11)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rows = layer(features)
        pooled, _ = pool(rows, visibility)
    assert rows.dtype == torch.bfloat16
    assert torch.equal(pooled, naive_pool(rows, visibility))
    pooled.float().sum().backward()
    assert layer.weight.grad is not None
    assert torch.isfinite(layer.weight.grad).all()
    assert layer.weight.grad.abs().sum() > 0


def test_multiplying_by_the_mask_would_be_wrong_for_signed_features() -> None:
    # What the released code does: a hidden point then counts as 0 and wins over every negative feature.
    features, visibility = torch.tensor([[[-1.0], [-3.0]]]), torch.tensor([[[False, True]]])
    multiplied = (features[:, None] * visibility[..., None]).amax(dim=2)
    assert multiplied.item() == 0
    assert view_pool(features, visibility).item() == -3


@pytest.mark.parametrize("shape", [(1, 4, 3), (1, 5, 2), (1, 5, 9), (2, 5, 4), (5, 4)])
def test_a_mask_that_does_not_fit_the_points_is_refused_whatever_the_back_end(shape: tuple[int, ...]) -> None:
    features = torch.zeros(1, 7, 4)
    with pytest.raises(ValueError, match=r"must be \(B, V, M\) = \(1, V, 7\) for these features"):
        view_pool.__wrapped__(features, torch.ones(shape, dtype=torch.bool))


@pytest.mark.parametrize("size", [(0, 3, 5, 2), (2, 0, 5, 2), (2, 3, 0, 2)], ids=["no shapes", "no views", "no points"])
def test_where_there_is_nothing_to_pool_the_answer_is_empty_or_zero(size: tuple[int, int, int, int]) -> None:
    batch, views, points, channels = size
    features = torch.randn(batch, points, channels, requires_grad=True)
    pooled = view_pool(features, torch.ones(batch, views, points, dtype=torch.bool))
    assert torch.equal(pooled, torch.zeros(batch, views, channels))
    pooled.sum().backward()
    assert features.grad is not None
    assert features.grad.shape == features.shape
