"""Which points stand for a cloud, and which lie around them? Farthest points and balls."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

# Distances in a block: a pass over it stays in a core's own cache.
CACHED_ELEMENTS = 1 << 17


def farthest_point_sampling(points: Float[Tensor, "B N 3"], count: int, *, start: int = 0) -> Int[Tensor, "B count"]:
    """Choose points one by one, each the farthest from all chosen before it; of equally far ones the first.

    Args:
        count: How many to choose.
        start: The point chosen first.

    Raises:
        ValueError: count is not between 1 and N, or start is no point.
    """
    batch, available, _ = points.shape
    if not 0 <= start < available:
        raise ValueError(f"There is no point {start} among {available}.")
    first = torch.full((batch,), start, device=points.device)
    return _choose_farthest(points, count, first)[0]


def farthest_first_order(points: Float[Tensor, "B N 3"], count: int) -> Int[Tensor, "B N"]:
    """Order points so that any first few of them cover the shape, however the file orders them.

    The point farthest from the middle of the bounding box comes first, then `count - 1` farthest points, then the rest,
    those farthest from the chosen ones first. Repeated points come last. Because each choice depends only on those
    before it, the first m <= count points are what farthest point sampling of m points chooses.

    Raises:
        ValueError: count is not between 1 and N.
    """
    middle = (points.amin(dim=1, keepdim=True) + points.amax(dim=1, keepdim=True)) / 2
    first = (points - middle).square().sum(-1).argmax(dim=1)
    chosen, distance = _choose_farthest(points, count, first)
    rest = distance.scatter(1, chosen, float("inf")).argsort(dim=1, descending=True, stable=True)[:, count:]
    # A repeated point sits on its twin, equally far from the chosen ones.
    listed = points.gather(1, rest[..., None].expand(-1, -1, 3))
    repeats = torch.zeros_like(rest)
    repeats[:, 1:] = (listed[:, 1:] == listed[:, :-1]).all(dim=-1)
    rest = rest.gather(1, repeats.argsort(dim=1, stable=True))
    return torch.cat([chosen, rest], dim=1)


@torch.no_grad()
def _choose_farthest(
    points: Float[Tensor, "B N 3"], count: int, first: Int[Tensor, " B"]
) -> tuple[Int[Tensor, "B count"], Float[Tensor, "B N"]]:
    """Choose farthest points, and return every point's squared distance to the nearest chosen one."""
    batch, available, _ = points.shape
    if not 1 <= count <= available:
        raise ValueError(f"Of {available} points {count} cannot be chosen.")
    chosen = torch.empty(batch, count, dtype=torch.int64, device=points.device)
    distance = points.new_full((batch, available), float("inf"))
    axes = points.detach().permute(2, 0, 1).contiguous()
    if points.device.type == "cpu" and not torch.compiler.is_compiling():
        for b in range(batch):
            _choose_farthest_of_one(axes[:, b].numpy(), int(first[b]), chosen[b].numpy(), distance[b].numpy())
        return chosen, distance
    newest = first[:, None]
    for step in range(count):
        chosen[:, step : step + 1] = newest
        offset = axes - axes.gather(2, newest.expand(3, -1, -1))
        torch.minimum(distance, offset.square_().sum(0), out=distance)
        newest = distance.argmax(dim=1, keepdim=True)
    return chosen, distance


def _choose_farthest_of_one(axes: np.ndarray, newest: int, chosen: np.ndarray, distance: np.ndarray) -> None:
    """Fill `chosen` and `distance`: numpy's calls on a thousand numbers cost a tenth of torch's."""
    offset = np.empty(axes.shape, dtype=axes.dtype)
    x, y, z = offset
    for step in range(len(chosen)):
        chosen[step] = newest
        np.subtract(axes, axes[:, newest : newest + 1], out=offset)
        np.multiply(offset, offset, out=offset)
        np.add(x, y, out=x)
        np.add(x, z, out=x)
        np.minimum(distance, x, out=distance)
        newest = int(distance.argmax())


@torch.no_grad()
def ball_query(
    points: Float[Tensor, "B N 3"], centers: Float[Tensor, "B M 3"], *, radius: float, k: int
) -> Int[Tensor, "B M k"]:
    """Find up to k points within a radius of each center, as PointNet++ groups them.

    Returns:
        The first k by index; a shorter list is filled up with its first, an empty one with the nearest point.

    Raises:
        ValueError: k is less than 1 or radius not positive.
    """
    if k < 1 or not radius > 0:
        raise ValueError(f"A ball query needs k >= 1 and a positive radius, not k = {k} and radius = {radius}.")
    batch, available, _ = points.shape
    found = torch.empty(*centers.shape[:2], k, dtype=torch.int64, device=points.device)
    rows = max(1, CACHED_ELEMENTS // available)
    for b in range(batch):
        axes = points[b].T.contiguous()
        for start in range(0, centers.shape[1], rows):
            found[b, start : start + rows] = _first_in_ball(axes, centers[b, start : start + rows], radius**2, k)
    return found


def _first_in_ball(
    axes: Float[Tensor, "3 N"], centers: Float[Tensor, "M 3"], square_radius: float, k: int
) -> Int[Tensor, "M k"]:
    distance = (centers[:, 0, None] - axes[0]).square_()
    for axis in (1, 2):
        offset = centers[:, axis, None] - axes[axis]
        distance.addcmul_(offset, offset)
    inside = distance <= square_radius
    held = inside.sum(dim=1)
    empty = held == 0
    if empty.any():
        rows = empty.nonzero()[:, 0]
        inside[rows, distance[rows].argmin(dim=1)] = True
        held[rows] = 1
    # Members of all balls in one list, ball after ball; numpy finds them in a quarter of torch's time.
    on_cpu = inside.device.type == "cpu" and not torch.compiler.is_compiling()
    flat = torch.from_numpy(np.flatnonzero(inside.numpy())) if on_cpu else inside.flatten().nonzero()[:, 0]
    slot = torch.arange(k, device=inside.device)
    place = (held.cumsum(0) - held)[:, None] + torch.where(slot < held[:, None], slot, 0)
    return flat[place] % inside.shape[1]
