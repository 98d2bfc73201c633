"""Are the neighbours that the networks use the nearest ones?"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pointmcd import ops
from pointmcd.ops import gather, knn


def brute_force(points: Tensor, k: int) -> Tensor:
    """Nearest first, from explicit differences in float64."""
    x = points.double()
    return (x[:, :, None] - x[:, None]).norm(dim=-1).argsort(dim=-1, stable=True)[..., :k]


@pytest.mark.parametrize("channels", [1, 3, 64])
def test_nearest_neighbours_equal_brute_force(channels: int) -> None:
    points = torch.randn(3, 90, channels, generator=torch.Generator().manual_seed(channels))
    assert torch.equal(knn(points, 20), brute_force(points, 20))


def test_nearest_neighbours_equal_brute_force_far_from_the_origin() -> None:
    # |a|^2 - 2ab + |b|^2 in float32 has no correct digit left here.
    points = torch.rand(1, 60, 3, generator=torch.Generator().manual_seed(0)) + 1000
    assert torch.equal(knn(points, 5), brute_force(points, 5))


def test_the_first_neighbour_is_the_point_itself() -> None:
    points = torch.randn(2, 50, 3, generator=torch.Generator().manual_seed(1))
    assert torch.equal(knn(points, 3)[..., 0], torch.arange(50).expand(2, -1))


def test_working_in_blocks_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    points = torch.randn(2, 37, 3, generator=torch.Generator().manual_seed(2))
    whole = knn(points, 8)
    monkeypatch.setattr(ops, "BLOCK_ELEMENTS", 2 * 37 * 5)  # five rows at a time: the last block is short
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
