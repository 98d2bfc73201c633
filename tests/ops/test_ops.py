"""Are the neighbours that the networks use the nearest ones?"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from benchmarks.edge_twin import farthest_by_matrix, full_matrix_ball
from pointmcd.ops import neighbours as ops
from pointmcd.ops.neighbours import gather, knn, neighbourhoods
from pointmcd.ops.sampling import ball_query, farthest_first_order, farthest_point_sampling


def brute_force(points: Tensor, k: int) -> Tensor:
    """Nearest first, from explicit differences in float64."""
    x = points.double()
    return (x[:, :, None] - x[:, None]).norm(dim=-1).argsort(dim=-1, stable=True)[..., :k]


def random_points(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("channels", [1, 3, 64])
def test_nearest_neighbours_equal_brute_force(channels: int, dtype: torch.dtype) -> None:
    points = torch.randn(3, 90, channels, generator=torch.Generator().manual_seed(channels)).to(dtype)
    assert torch.equal(knn(points, 20), brute_force(points, 20))


def test_nearest_neighbours_equal_brute_force_where_a_tree_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ops, "TREE_POINTS", 50)
    points = random_points(2, 60, 3).double().requires_grad_()
    assert torch.equal(knn(points, 1), brute_force(points, 1))
    assert torch.equal(knn(points, 20), brute_force(points, 20))


def test_nearest_neighbours_equal_brute_force_where_numpy_cannot_help(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)  # as on other devices
    points = random_points(2, 60, 6)
    assert torch.equal(knn(points, 20), brute_force(points, 20))


def test_nearest_neighbours_equal_brute_force_where_indices_are_long(monkeypatch: pytest.MonkeyPatch) -> None:
    points = random_points(2, 300, 5)
    monkeypatch.setattr(ops, "WIDE_KEY_POINTS", 100)
    assert torch.equal(knn(points, 20), brute_force(points, 20))


def test_nearest_neighbours_equal_brute_force_where_distances_hardly_differ() -> None:
    # A ring seen from its center: distances differ in their last bits only.
    angle = torch.arange(100, dtype=torch.float64) * 0.37
    radius = 1 + torch.randperm(100, generator=torch.Generator().manual_seed(0)).double() * 2.0**-22
    ring = torch.stack([angle.cos() * radius, angle.sin() * radius], dim=-1).float()
    points = torch.cat([torch.zeros(1, 2), ring])[None]
    assert torch.equal(knn(points, 30)[:, 0], brute_force(points, 30)[:, 0])


def test_float32_features_get_the_neighbours_of_float64_distances() -> None:
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(4, 400, 32, generator=generator) * 0.01 + torch.randn(32, generator=generator) * 10
    assert torch.equal(neighbourhoods(points, 20).sort(-1).values, brute_force(points, 20).sort(-1).values)


def test_a_neighbourhood_has_the_nearest_points_in_any_order() -> None:
    points = random_points(3, 90, 6)
    assert torch.equal(neighbourhoods(points, 7).sort(-1).values, knn(points, 7).sort(-1).values)


def test_autocast_does_not_coarsen_distances() -> None:
    points = random_points(2, 90, 64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = neighbourhoods(points, 9)
    assert torch.equal(found.sort(-1).values, brute_force(points, 9).sort(-1).values)


def test_points_that_coincide_are_neighbours_without_repeats() -> None:
    points = torch.zeros(1, 30, 3)
    points[0, 20:] = 1
    found = neighbourhoods(points, 10)[0]
    assert (found[20:].sort(-1).values == torch.arange(20, 30)).all()
    assert (found[:20] < 20).all()
    assert all(len(set(row)) == 10 for row in found.tolist())


def test_of_equally_near_points_the_first_comes_first() -> None:
    square = torch.tensor([[[0.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]])
    assert knn(square, 5)[0, 0].tolist() == [0, 1, 2, 3, 4]


def test_nearest_neighbours_equal_brute_force_far_from_the_origin() -> None:
    # |a|^2 - 2ab + |b|^2 in float32 has no correct digit left here.
    points = torch.rand(1, 60, 3, generator=torch.Generator().manual_seed(0)) + 1000
    assert torch.equal(knn(points, 5), brute_force(points, 5))


@pytest.mark.parametrize("scale", [1e-22, 1e19, 1e25])
def test_nearest_neighbours_equal_brute_force_at_any_scale(scale: float) -> None:
    points = torch.randn(2, 100, 3, generator=torch.Generator().manual_seed(0)) * scale
    assert torch.equal(knn(points, 5), brute_force(points, 5))


def test_the_first_neighbour_is_the_point_itself() -> None:
    points = torch.randn(2, 50, 3, generator=torch.Generator().manual_seed(1))
    assert torch.equal(knn(points, 3)[..., 0], torch.arange(50).expand(2, -1))


def test_working_in_blocks_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    points = torch.randn(3, 37, 3, generator=torch.Generator().manual_seed(2))
    whole = knn(points, 8)
    for elements in (37 * 5, 2 * 37 * 37):  # five rows, or two shapes at a time: the last block is short
        monkeypatch.setattr(ops, "BLOCK_ELEMENTS", elements)
        assert torch.equal(knn(points, 8), whole)


def test_neighbours_on_a_line_by_hand() -> None:
    line = torch.tensor([[[0.0], [1.0], [3.0], [7.0]]])
    assert knn(line, 2).tolist() == [[[0, 1], [1, 0], [2, 1], [3, 2]]]


def test_all_points_can_be_neighbours() -> None:
    points = torch.randn(1, 4, 3, generator=torch.Generator().manual_seed(3))
    assert torch.equal(knn(points, 4).sort(dim=-1).values, torch.arange(4).expand(1, 4, 4))


@pytest.mark.parametrize("k", [0, -1, 5])
def test_more_neighbours_than_points_are_refused(k: int) -> None:
    with pytest.raises(ValueError, match=rf"Of 4 points there are no {k} nearest neighbours\."):
        knn(torch.zeros(1, 4, 3), k)


def test_gather_picks_rows_by_hand() -> None:
    values = torch.tensor([[[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]], [[4.0, 40.0], [5.0, 50.0], [6.0, 60.0]]])
    index = torch.tensor([[[2, 0]], [[1, 1]]])
    assert gather(values, index).tolist() == [[[[3, 30], [1, 10]]], [[[5, 50], [5, 50]]]]


def test_the_gradient_of_gather_adds_up_where_a_row_is_picked_twice() -> None:
    values = torch.zeros(1, 3, 2, requires_grad=True)
    gather(values, torch.tensor([[[0, 2], [2, 2]]])).sum().backward()
    assert values.grad is not None
    assert values.grad.tolist() == [[[1, 1], [0, 0], [3, 3]]]


def test_farthest_points_equal_those_of_a_distance_matrix() -> None:
    points = random_points(3, 80, 3)
    assert torch.equal(farthest_point_sampling(points, 25), farthest_by_matrix(points, 25))


def test_farthest_points_on_a_line_by_hand() -> None:
    line = torch.tensor([[0.0, 0, 0], [1, 0, 0], [4, 0, 0], [10, 0, 0], [6, 0, 0]])[None]
    assert farthest_point_sampling(line, 5).tolist() == [[0, 3, 2, 4, 1]]
    assert farthest_point_sampling(line, 3, start=2).tolist() == [[2, 3, 0]]


def test_every_point_is_chosen_once_when_all_are() -> None:
    chosen = farthest_point_sampling(random_points(2, 30, 3), 30)
    assert torch.equal(chosen.sort(-1).values, torch.arange(30).expand(2, 30))


@pytest.mark.parametrize("count", [0, 5])
def test_more_farthest_points_than_points_are_refused(count: int) -> None:
    with pytest.raises(ValueError, match=rf"Of 4 points {count} cannot be chosen\."):
        farthest_point_sampling(torch.zeros(1, 4, 3), count)


def test_a_start_that_is_no_point_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no point 4 among 4\."):
        farthest_point_sampling(torch.zeros(1, 4, 3), 2, start=4)


@pytest.mark.parametrize("radius", [0.05, 0.3, 5.0])
def test_balls_equal_those_of_a_sorted_matrix(radius: float) -> None:
    points, centers = random_points(3, 80, 3), random_points(3, 20, 3, seed=1)
    expected = full_matrix_ball(points, centers, radius=radius, k=8)
    assert torch.equal(ball_query(points, centers, radius=radius, k=8), expected)


def test_balls_in_blocks_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    points, centers = random_points(2, 80, 3), random_points(2, 20, 3, seed=1)
    whole = ball_query(points, centers, radius=0.4, k=6)
    monkeypatch.setattr(ops, "BLOCK_ELEMENTS", 80 * 7)
    assert torch.equal(ball_query(points, centers, radius=0.4, k=6), whole)


def test_balls_on_a_line_by_hand() -> None:
    line = torch.tensor([[0.0, 0, 0], [1, 0, 0], [2, 0, 0], [9, 0, 0]])[None]
    centers = torch.tensor([[1.5, 0, 0], [9, 0, 0], [6, 0, 0]])[None]
    # Two inside; one, repeated; none, so the nearest.
    assert ball_query(line, centers, radius=1.0, k=3).tolist() == [[[1, 2, 1], [3, 3, 3], [3, 3, 3]]]
    assert ball_query(line, centers, radius=2.0, k=2).tolist() == [[[0, 1], [3, 3], [3, 3]]]


@pytest.mark.parametrize(("radius", "k"), [(0.0, 1), (float("nan"), 1), (1.0, 0)])
def test_an_empty_ball_query_is_refused(radius: float, k: int) -> None:
    with pytest.raises(ValueError, match="A ball query needs"):
        ball_query(torch.zeros(1, 4, 3), torch.zeros(1, 1, 3), radius=radius, k=k)


def test_the_farthest_first_order_begins_with_farthest_points_and_ends_with_repeats() -> None:
    points = torch.rand(2, 40, 3, generator=torch.Generator().manual_seed(3))
    repeated = torch.cat([points, points[:, 5:15]], dim=1)
    order = farthest_first_order(repeated, 20)
    assert torch.equal(order.sort(dim=1).values, torch.arange(50).expand(2, -1))
    assert torch.equal(order[:, :40], farthest_first_order(points, 20))
    assert torch.equal(order[:, :7], farthest_first_order(repeated, 7)[:, :7])
    for shape, chosen in zip(repeated, order, strict=True):
        expected = farthest_point_sampling(shape[None], 20, start=int(chosen[0]))
        assert torch.equal(chosen[:20], expected[0])


def test_the_farthest_first_order_does_not_depend_on_how_points_are_listed() -> None:
    points = torch.rand(1, 60, 3, generator=torch.Generator().manual_seed(4))
    turned = torch.randperm(60, generator=torch.Generator().manual_seed(5))
    order, again = farthest_first_order(points, 25)[0], farthest_first_order(points[:, turned], 25)[0]
    assert torch.equal(points[0, order], points[0, turned][again])


def test_the_nearest_centers_come_nearest_first() -> None:
    centers = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [5, 0, 0]]])
    distance, index = ops.nearest_centers(torch.tensor([[[0.9, 0, 0]]]), centers, 2)
    assert index.tolist() == [[[1, 0]]]
    torch.testing.assert_close(distance, torch.tensor([[[0.1, 0.9]]]))
    with pytest.raises(ValueError, match="no 4 nearest"):
        ops.nearest_centers(centers, centers, 4)
