"""Which points does each camera see, of many clouds at once on one device? Hidden point removal by arg-max.

A flipped point is a corner of the hull (docs/method.md, "Visibility") if it lies farthest out in some direction, so
corners are found by matrix products of directions and points, and the maximum of each row. Every winner is a corner;
what can go wrong is that a corner wins in none of the directions that are asked. A grid of 4,096 misses one corner in
seven (of 1,024 points), so each point chooses its own: it holds three corners whose cone contains it, asks in the
direction in which these three lie equally far out, and takes the winner in exchange for one of them, until nothing lies
outside their plane. (This is the dual simplex method, on all points at once.) Then either the point itself has won, or
it lies behind that plane: a face of the hull.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pointmcd.visibility import HPR_RADIUS_FACTOR

# Points that are worked on at a time (1,000 bytes each), and values of one matrix product (4 bytes each).
POINTS_AT_A_TIME = 1 << 21
PRODUCT_ELEMENTS = 1 << 27
# The first three corners of a point stand around its direction at this angle, and reach this far (the farthest flipped
# point reaches 1). They are no points of the cloud: most of them lie inside its hull and are soon exchanged. Around a
# point on the outline some do not: those are drawn in to the camera by SINK until they are under LOWEST, which leaves
# out only planes that pass the camera within a tenth of a degree. Of angles from 0.07 to 1 the one with the fewest
# products.
ANGLE = 0.1
REACH = 0.985
SINK = 0.1
LOWEST = 0.02
# A point that lies this little outside a plane lies in it: far above float64's rounding, far below float32's.
IN_PLANE = 1e-9
# The winners of the points' own directions stand for the whole cloud for this many rounds: planes come near their place
# at a fraction of the columns.
COARSE_ROUNDS = 8
# Rounds end when every point is decided: on ModelNet40 after 30 to 40, and by far the most points within 10.
MOST_ROUNDS = 100


@torch.no_grad()
def batched_hidden_point_removal(
    points: Float[Tensor, "B N 3"], centers: Float[Tensor, "V 3"]
) -> Bool[Tensor, "B V N"]:
    """Find the points seen from each centre: `pointmcd.visibility.hidden_point_removal` for many clouds.

    Products are taken in float32, so that a corner that stands out by less than rounding may be missed.

    Args:
        points: Finite points of each cloud; the centres lie outside their hull.
        centers: Camera positions.

    Raises:
        ValueError: Fewer than 3 points.
    """
    shapes, count, _ = points.shape
    if count < 3:
        raise ValueError(f"Hidden point removal needs at least 3 points, not {count}.")
    seen = torch.zeros(shapes * len(centers), count, dtype=torch.bool, device=points.device)
    pairs = torch.cartesian_prod(torch.arange(shapes), torch.arange(len(centers))).to(points.device)
    some = max(1, POINTS_AT_A_TIME // count)
    with _whole_float32(points.device):
        for pair, found in zip(pairs.split(some), seen.split(some), strict=True):
            _mark_corners(_flipped(points[pair[:, 0]], centers[pair[:, 1]]), found)
    return seen.view(shapes, len(centers), count)


@contextmanager
def _whole_float32(device: torch.device) -> Iterator[None]:
    """Keep matrix products from being rounded to fewer bits (TF32, autocast), in which corners would not win."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        torch.set_float32_matmul_precision(before)


def _flipped(points: Float[Tensor, "G N 3"], centers: Float[Tensor, "G 3"]) -> Float[Tensor, "G N 3"]:
    """Flip about the centres, in units of 2R, in which all points lie close under the unit sphere."""
    offsets = points.double() - centers.double()[:, None]
    distance: Tensor = torch.linalg.vector_norm(offsets, dim=-1, keepdim=True).clamp(min=1e-12)
    inset = distance / (2 * HPR_RADIUS_FACTOR * distance.amax(dim=1, keepdim=True))
    return offsets / distance * (1 - inset)


@dataclass(frozen=True, eq=False)
class _Search:
    """Where each point's search for its face of the hull stands.

    Attributes:
        corners: Three vectors whose cone contains the point, as rows.
        invented: Which of them are no points of the cloud.
        reach: How far out the invented ones stand.
    """

    corners: Float[Tensor, "G N 3 3"]
    invented: Bool[Tensor, "G N 3"]
    reach: Float[Tensor, "G N"]

    @classmethod
    def around(cls, points: Float[Tensor, "G N 3"]) -> _Search:
        ahead = points / points.norm(dim=-1, keepdim=True)
        across = torch.zeros_like(ahead).scatter_(2, ahead.abs().argmin(dim=-1, keepdim=True), 1.0)
        across = F.normalize(torch.linalg.cross(ahead, across), dim=-1)
        up = torch.linalg.cross(ahead, across)
        turns = [2 * math.pi * third / 3 for third in range(3)]
        around = torch.stack([math.cos(turn) * across + math.sin(turn) * up for turn in turns], dim=2)
        return cls(
            corners=REACH * (math.cos(ANGLE) * ahead[:, :, None] + math.sin(ANGLE) * around),
            invented=torch.ones(*points.shape, dtype=torch.bool, device=points.device),
            reach=torch.full_like(points[..., 0], REACH),
        )


def _mark_corners(points: Float[Tensor, "G N 3"], seen: Bool[Tensor, "G N"]) -> None:
    """Mark the corners of the hulls of the points and the origin; `seen` is empty at the start."""
    search = _Search.around(points)
    # About their middle, float32 tells the points apart more finely: a common shift changes no winner.
    columns = (points - points.mean(dim=1, keepdim=True)).float().transpose(1, 2)
    undecided = torch.ones_like(seen)
    _ask(points, columns, None, search, undecided, seen)
    undecided &= ~seen

    # As many of each cloud as win on average; a list that is too short is filled up with its first.
    winners = seen.to(torch.uint8).argsort(dim=1, descending=True, stable=True)[:, : int(seen.sum()) // len(seen)]
    winners = torch.where(seen.gather(1, winners), winners, winners[:, :1])
    few = columns.gather(2, winners[:, None].expand(-1, 3, -1))
    far = undecided.clone()
    for _ in range(COARSE_ROUNDS):
        if not _ask(points, few, winners, search, far, None):
            break
    for _ in range(MOST_ROUNDS):
        if not _ask(points, columns, None, search, undecided, seen):
            break
        undecided &= ~seen


def _ask(
    points: Float[Tensor, "G N 3"],
    columns: Float[Tensor, "G 3 M"],
    named: Int[Tensor, "G M"] | None,
    search: _Search,
    undecided: Bool[Tensor, "G N"],
    seen: Bool[Tensor, "G N"] | None,
) -> bool:
    """Do one round: ask in the direction of each undecided point's plane, and exchange a corner for the winner.

    Args:
        points: The flipped points.
        columns: Those that can win, about their middle.
        named: Which points the columns are; None where they are all points in order.
        search: Is brought up to date.
        undecided: Loses the points that lie under a face of the hull of the columns.
        seen: Gains the winners; None where not all points could win, and invented corners stay as they are.

    Returns:
        Whether a point was undecided.
    """
    asking = undecided.nonzero(as_tuple=True)
    cloud = asking[0]
    if not len(cloud):
        return False
    corners, invented, reach = search.corners[asking], search.invented[asking], search.reach[asking]

    # Row k of the dual is 1 on corner k and 0 on the two others: it measures parts. The rows' sum is 1 on all three.
    dual = torch.stack([torch.linalg.cross(corners[:, k - 2], corners[:, k - 1]) for k in range(3)], dim=1)
    dual /= (dual[:, 0] * corners[:, 0]).sum(dim=-1)[:, None, None]
    plane = dual.sum(dim=1)
    winner = _farthest(F.normalize(plane, dim=-1).to(columns), undecided.sum(dim=1), columns)
    if named is not None:
        winner = named[cloud, winner]
    if seen is not None:
        seen[cloud, winner] = True

    newcomer = points[cloud, winner]
    own_parts, parts = ((dual * rows[:, None]).sum(dim=-1) for rows in (points[asking], newcomer))
    # The newcomer takes the place of the corner without which the cone still contains the point.
    leaving = torch.where(parts > 1e-12, own_parts / parts, math.inf).argmin(dim=-1)
    under = (plane * newcomer).sum(dim=-1) <= 1 + IN_PLANE
    sinking = under & invented.any(dim=-1) & (reach > LOWEST) & (seen is not None)
    exchanged = F.one_hot(leaving, 3).bool() & ~under[:, None]
    lowered = invented & sinking[:, None]
    corners = torch.where(exchanged[..., None], newcomer[:, None], corners)
    search.corners[asking] = torch.where(lowered[..., None], SINK * corners, corners)
    search.invented[asking] = invented & ~exchanged
    search.reach[asking] = torch.where(sinking, SINK * reach, reach)
    undecided[asking] = sinking | ~under
    return True


def _farthest(
    directions: Float[Tensor, "P 3"], held: Int[Tensor, " G"], columns: Float[Tensor, "G 3 M"]
) -> Int[Tensor, " P"]:
    """Find the column that lies farthest out in each direction, in products of bounded size.

    Args:
        directions: Of the first cloud, then of the second, and so on.
        held: How many each cloud has.
        columns: Of each cloud.
    """
    first = held.cumsum(0) - held
    longest, order = held.sort(descending=True)  # clouds with lists of like length make one product with little filling
    lengths = longest.tolist()
    winner = torch.empty(len(directions), dtype=torch.int64, device=directions.device)
    start = 0
    while start < len(lengths) and lengths[start]:
        length = lengths[start]
        some = order[start : start + max(1, PRODUCT_ELEMENTS // (length * columns.shape[2]))]
        steps = torch.arange(length, device=held.device)
        rows, inside = first[some, None] + steps, steps < held[some, None]
        asked, answering = directions[rows.clamp(max=len(directions) - 1)], columns[some]
        at_a_time = max(1, PRODUCT_ELEMENTS // answering[:, 0].numel())
        best = [torch.bmm(block, answering).argmax(dim=-1) for block in asked.split(at_a_time, dim=1)]
        winner[rows[inside]] = torch.cat(best, dim=1)[inside]
        start += len(some)
    return winner
