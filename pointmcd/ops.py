"""Which points are neighbours? All neighbour code of the networks."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.spatial import cKDTree
from torch import Tensor

from pointmcd.gpu import runs_kernels

# At most this many distances are held at once: 4 MB in float32, which stay in the cache.
BLOCK_ELEMENTS = 1 << 20
# Passes over distances go by blocks of so many, which stay in a core's own cache.
CACHED_ELEMENTS = 1 << 17
# From this many points on, a tree over 3-D coordinates is faster than all distances (benchmarks/bm_neighbours.py).
TREE_POINTS = 2048
# From this many points on, the index would leave a float32 key too few bits for the distance.
WIDE_KEY_POINTS = 8192


def knn(points: Float[Tensor, "B N C"], k: int) -> Int[Tensor, "B N k"]:
    """Find the k nearest points of each point, itself included, in Euclidean distance; nearest first.

    Of equally distant points among them the lower index comes first; which of those at the k-th distance are among
    them is not promised.

    Raises:
        ValueError: k is not between 1 and N.
    """
    members = neighbourhoods(points, k).sort(dim=-1).values
    rows = max(1, BLOCK_ELEMENTS // (k * points.shape[2]))
    with torch.no_grad():
        for shape, neighbours in zip(points, members, strict=True):
            for start in range(0, len(shape), rows):
                block = neighbours[start : start + rows]
                order, unsure = _order(shape, shape[start : start + rows], block)
                block.copy_(block.gather(1, order))
                if unsure.any():
                    again = block[unsure].sort(dim=-1).values
                    order, _ = _order(shape.double(), shape[start : start + rows][unsure].double(), again)
                    block[unsure] = again.gather(1, order)
    return members


def _order(
    points: Float[Tensor, "N C"], own: Float[Tensor, "R C"], members: Int[Tensor, "R k"]
) -> tuple[Int[Tensor, "R k"], Bool[Tensor, " R"]]:
    """Sort members by distance, and tell in which rows rounding may have swapped two."""
    around = torch.nn.functional.embedding(members, points)
    distance, order = around.sub_(own[:, None]).square_().sum(-1).sort(dim=-1, stable=True)
    kind, terms = torch.finfo(points.dtype), points.shape[1] + 3
    rounding = 2 * terms * (kind.eps * distance[:, 1:] + kind.tiny)
    return order, ~(distance.diff(dim=-1) > rounding).all(dim=-1)


@torch.no_grad()
def neighbourhoods(points: Float[Tensor, "B N C"], k: int) -> Int[Tensor, "B N k"]:
    """Find the set of the k nearest points of each point, itself included: `knn` in any order, in less time.

    The sets are those of float64 distances (on a GPU up to crowds of near ties: pointmcd.neighbour_kernels). In
    float32, |a|^2 - 2ab + |b|^2 cancels so much that near ties swap neighbours: DGCNN's outputs then differ by 2 %. No
    more than BLOCK_ELEMENTS distances are held at once.

    Raises:
        ValueError: k is not between 1 and N.
    """
    points = points.detach()
    count, channels = points.shape[1:]
    if not 1 <= k <= count:
        raise ValueError(f"Of {count} points there are no {k} nearest neighbours.")
    if k == count:
        return torch.arange(count, device=points.device).expand(len(points), count, -1).contiguous()
    if runs_kernels(points) and not torch.compiler.is_compiling():
        from pointmcd.neighbour_kernels import can_select, select_neighbours  # needs triton

        if can_select(points, k):
            return select_neighbours(points, k)
    if points.device.type != "cpu" or torch.compiler.is_compiling():
        return torch.stack([_rank(shape.double(), slice(None), k) for shape in points])
    if channels <= 3 and count >= TREE_POINTS:
        return torch.stack([_ask_tree(shape, k) for shape in points])
    nearest, unsure = _select(points, k)
    for b in unsure.any(dim=1).nonzero().flatten().tolist():
        rows = unsure[b].nonzero().flatten()
        nearest[b, rows] = _rank(points[b].double(), rows, k)
    return nearest


def _ask_tree(points: Tensor, k: int) -> Tensor:
    coordinates = points.double().numpy()
    _, nearest = cKDTree(coordinates).query(coordinates, k=k, workers=torch.get_num_threads())
    return torch.from_numpy(nearest.reshape(len(points), k)).long()


def _rank(x: Float[Tensor, "N C"], rows: Int[Tensor, " R"] | slice, k: int) -> Int[Tensor, "R k"]:
    """Select by float64 distances: slow and sure."""
    x = x - x.mean(dim=0)
    square = x.square().sum(-1)
    return torch.cat(
        [
            # |a - b|^2 without |a|^2, which is the same for all b.
            torch.addmm(square, block, x.T, alpha=-2).topk(k, largest=False, sorted=False).indices
            for block in x[rows].split(max(1, BLOCK_ELEMENTS // len(x)))
        ]
    )


def _select(points: Float[Tensor, "B N C"], k: int) -> tuple[Int[Tensor, "B N k"], Bool[Tensor, "B N"]]:
    """Select by float32 distances, and tell in which rows rounding may have swapped the last one kept for another.

    Each distance carries its column in its lowest bits, so a plain partition of the values selects the columns too:
    numpy's is vectorised, and several times as fast as torch's topk or an indirect partition. (It gains nothing from
    threads.)
    """
    batch, count, channels = points.shape
    wide = points.dtype == torch.float64 or count >= WIDE_KEY_POINTS
    real, integer, digits = (torch.float64, torch.int64, 52) if wide else (torch.float32, torch.int32, 23)
    index_bits = (count - 1).bit_length()
    column_mask = (1 << index_bits) - 1
    columns = torch.arange(count, dtype=integer)

    x = points.to(real)
    x = x - x.mean(dim=1, keepdim=True)
    x = x / x.abs().amax(dim=(1, 2), keepdim=True).clamp(min=torch.finfo(real).tiny)  # squares stay in range
    square = x.square().sum(-1, keepdim=True)
    one = torch.ones_like(square)
    left, right = torch.cat([-2 * x, square, one], dim=-1), torch.cat([x, one, square], dim=-1).transpose(1, 2)
    # Bound of rounding in a sum of C + 2 products whose magnitudes add up to at most 3 |a|^2 + 2 |a - b|^2.
    rounding = (channels + 8) * torch.finfo(real).eps
    cut = 2.0 ** (index_bits - digits)

    nearest = torch.empty(batch, count, k, dtype=torch.int64)
    unsure = torch.empty(batch, count, dtype=torch.bool)
    shapes = max(1, min(batch, BLOCK_ELEMENTS // count**2))
    rows = max(1, min(count, BLOCK_ELEMENTS // count))
    buffer = torch.empty(shapes * rows * count, dtype=real)
    with torch.autocast("cpu", enabled=False):
        for b in range(0, batch, shapes):
            for start in range(0, count, rows):
                some = left[b : b + shapes, start : start + rows]
                distance = buffer[: some.shape[0] * some.shape[1] * count].view(*some.shape[:2], count)
                torch.bmm(some, right[b : b + shapes], out=distance)
                distance.view(integer).bitwise_and_(~column_mask).bitwise_or_(columns)
                flat = distance.view(-1, count)
                flat.numpy().partition(k, axis=1)
                inside, outside = flat[:, :k].reshape(*some.shape[:2], k), flat[:, k].view(some.shape[:2])
                nearest[b : b + shapes, start : start + rows] = inside.view(integer) & column_mask
                own = square[b : b + shapes, start : start + rows, 0]
                doubt = rounding * (3 * own + 2 * outside) + 2 * cut * outside
                unsure[b : b + shapes, start : start + rows] = ~(outside - inside.amax(-1) > doubt)
    return nearest, unsure


def gather(values: Float[Tensor, "B N C"], index: Int[Tensor, "B M k"]) -> Float[Tensor, "B M k C"]:
    """Pick rows of each shape: `out[b, m, j] = values[b, index[b, m, j]]`."""
    batch, _, channels = values.shape
    flat = index.flatten(1)[..., None].expand(-1, -1, channels)
    return values.gather(1, flat).view(batch, *index.shape[1:], channels)


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
    # A repeated point stands beside its twin, which is as far from the chosen ones.
    listed = points.gather(1, rest[..., None].expand(-1, -1, 3))
    repeats = torch.zeros_like(rest)
    repeats[:, 1:] = (listed[:, 1:] == listed[:, :-1]).all(dim=-1)
    rest = rest.gather(1, repeats.argsort(dim=1, stable=True))
    return torch.cat([chosen, rest], dim=1)


@torch.no_grad()
def _choose_farthest(
    points: Float[Tensor, "B N 3"], count: int, first: Int[Tensor, " B"]
) -> tuple[Int[Tensor, "B count"], Float[Tensor, "B N"]]:
    """Choose farthest points, and tell every point's squared distance to the nearest chosen one."""
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


@torch.no_grad()
def nearest_centers(
    points: Float[Tensor, "B N 3"], centers: Float[Tensor, "B M 3"], k: int
) -> tuple[Float[Tensor, "B N k"], Int[Tensor, "B N k"]]:
    """Find the k centers nearest to each point, nearest first: distances and indices.

    Raises:
        ValueError: k is not between 1 and M.
    """
    if not 1 <= k <= centers.shape[1]:
        raise ValueError(f"Of {centers.shape[1]} centers there are no {k} nearest.")
    exact = torch.cdist(points, centers, compute_mode="donot_use_mm_for_euclid_dist")
    distance, index = exact.topk(k, dim=2, largest=False)
    return distance, index
