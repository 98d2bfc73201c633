"""Which points are nearest? Exact as float64 distances, at float32's speed."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from scipy.spatial import cKDTree
from torch import Tensor

from pointmcd.kernels.device import runs_kernels

# Distances held at once: 4 MB in float32, which fit the cache.
BLOCK_ELEMENTS = 1 << 20

# From this many points on, a tree over 3-D coordinates is faster than all distances (benchmarks/bm_neighbours.py).
TREE_POINTS = 2048

# From this many points on, the index would leave a float32 key too few bits for the distance.
WIDE_KEY_POINTS = 8192


def knn(points: Float[Tensor, "B N C"], k: int) -> Int[Tensor, "B N k"]:
    """Find the k nearest points of each point, itself included, in Euclidean distance; nearest first.

    Of equally distant points among them the lower index comes first; which points at the k-th distance are
    included is not specified.

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
    """Sort members by distance, and report in which rows rounding may have swapped two."""
    around = torch.nn.functional.embedding(members, points)
    distance, order = around.sub_(own[:, None]).square_().sum(-1).sort(dim=-1, stable=True)
    kind, terms = torch.finfo(points.dtype), points.shape[1] + 3
    rounding = 2 * terms * (kind.eps * distance[:, 1:] + kind.tiny)
    return order, ~(distance.diff(dim=-1) > rounding).all(dim=-1)


@torch.no_grad()
def neighbourhoods(points: Float[Tensor, "B N C"], k: int) -> Int[Tensor, "B N k"]:
    """Find the set of the k nearest points of each point, itself included: `knn` in any order, in less time.

    The sets are those of float64 distances (on a GPU up to crowds of near ties: pointmcd.kernels.neighbours). In
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
        from pointmcd.kernels.neighbours import can_select, select_neighbours  # needs triton

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
    """Select by float32 distances, and report in which rows rounding may have swapped the last one kept for another.

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
