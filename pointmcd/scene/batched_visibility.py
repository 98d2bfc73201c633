"""Which points does each camera see, of many clouds at once on a GPU? Hidden point removal by arg-max.

Never timed on a GPU. On a CPU `scene.visibility.hidden_point_removal` finds the same points faster, by convex hulls.

A flipped point is a corner of the hull (docs/method.md, "Visibility") if it lies farthest out in some direction, so
corners are found by matrix products of directions and points, and the maximum of each row. Every winner is a corner;
the risk is a corner that wins in none of the directions asked. A grid of 4,096 misses one corner in
seven (of 1,024 points), so each point chooses its own: it holds three corners whose cone contains it, asks in the
direction in which these three lie equally far out, and takes the winner in exchange for one of them, until nothing lies
outside their plane. (This is the dual simplex method, on all points at once.) Then either the point itself has won, or
it lies behind that plane: a face of the hull.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pointmcd.scene.visibility import HPR_RADIUS_FACTOR, flipped, require_volume

# Points that are worked on at a time (1,000 bytes each), and values of one matrix product (8 bytes each).
POINTS_AT_A_TIME = 1 << 21
PRODUCT_ELEMENTS = 1 << 27
# The first three corners of a point stand around its direction at this angle, and reach this far (the farthest flipped
# point reaches 1). They are not points of the cloud: most of them lie inside its hull and are soon exchanged. Around a
# point on the outline some do not: those are drawn in to the camera by SINK until they are under LOWEST, which leaves
# out only planes that pass the camera within a tenth of a degree. Of angles from 0.07 to 1 the one with the fewest
# products.
ANGLE = 0.1
REACH = 0.985
SINK = 0.1
LOWEST = 0.02
# A point that lies this little outside a plane lies in it: far above float64's rounding, far below float32's.
IN_PLANE = 1e-9
# Rounds end when every point is decided: on ModelNet40 after 30 to 40, and by far the most points within 10.
MOST_ROUNDS = 100


@torch.no_grad()
def batched_hidden_point_removal(
    points: Float[Tensor, "B N 3"], centers: Float[Tensor, "V 3"]
) -> Bool[Tensor, "B V N"]:
    """Find the points seen from each centre: `pointmcd.scene.visibility.hidden_point_removal` for many clouds.

    Args:
        points: Finite points of each cloud; the centres lie outside their hull.
        centers: Camera positions.

    Raises:
        ValueError: Fewer than 3 points.
    """
    clouds, count, _ = points.shape
    require_volume(count)
    offsets = (points.double()[:, None] - centers.double()[:, None]).flatten(0, 1)
    blocks = offsets.split(max(1, POINTS_AT_A_TIME // count))
    seen = torch.cat([_corners(flipped(block, HPR_RADIUS_FACTOR)) for block in blocks])
    return seen.view(clouds, len(centers), count)


@dataclass(frozen=True, eq=False)
class _Search:
    """How far each point's search for its face of the hull has come.

    Attributes:
        corners: Three vectors whose cone contains the point, as rows.
        invented: Which of them are not points of the cloud.
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


def _corners(points: Float[Tensor, "G N 3"]) -> Bool[Tensor, "G N"]:
    """Find the corners of the hulls of the points and the origin."""
    points = points / points.norm(dim=-1, keepdim=True).amax(dim=1, keepdim=True)
    search = _Search.around(points)
    seen = torch.zeros_like(points[..., 0], dtype=torch.bool)
    undecided = ~seen
    for _ in range(MOST_ROUNDS):
        if not undecided.any():
            break
        _ask(points, search, undecided, seen)
        undecided &= ~seen
    return seen


def _ask(
    points: Float[Tensor, "G N 3"], search: _Search, undecided: Bool[Tensor, "G N"], seen: Bool[Tensor, "G N"]
) -> None:
    """Do one round: ask in the direction of each undecided point's plane, and exchange a corner for the winner.

    Args:
        points: The flipped points.
        search: Updated in place.
        undecided: Loses the points that lie under a face of the hull.
        seen: Gains the winners.
    """
    asking = undecided.nonzero(as_tuple=True)
    cloud = asking[0]
    corners, invented, reach = search.corners[asking], search.invented[asking], search.reach[asking]

    # Row k of the dual is 1 on corner k and 0 on the two others: it measures parts. The rows' sum is 1 on all three.
    dual = torch.stack([torch.linalg.cross(corners[:, k - 2], corners[:, k - 1]) for k in range(3)], dim=1)
    dual /= (dual[:, 0] * corners[:, 0]).sum(dim=-1)[:, None, None]
    plane = dual.sum(dim=1)
    winner = _farthest(plane, cloud, points)
    seen[cloud, winner] = True

    newcomer = points[cloud, winner]
    own_parts, parts = ((dual * rows[:, None]).sum(dim=-1) for rows in (points[asking], newcomer))
    # The newcomer replaces the corner that the cone can lose and still contain the point.
    leaving = torch.where(parts > 1e-12, own_parts / parts, math.inf).argmin(dim=-1)
    under = (plane * newcomer).sum(dim=-1) <= 1 + IN_PLANE
    sinking = under & invented.any(dim=-1) & (reach > LOWEST)
    exchanged = F.one_hot(leaving, 3).bool() & ~under[:, None]
    lowered = invented & sinking[:, None]
    corners = torch.where(exchanged[..., None], newcomer[:, None], corners)
    search.corners[asking] = torch.where(lowered[..., None], SINK * corners, corners)
    search.invented[asking] = invented & ~exchanged
    search.reach[asking] = torch.where(sinking, SINK * reach, reach)
    undecided[asking] = sinking | ~under


def _farthest(
    directions: Float[Tensor, "P 3"], cloud: Int[Tensor, " P"], points: Float[Tensor, "G N 3"]
) -> Int[Tensor, " P"]:
    """Find the point of each direction's own cloud that lies farthest out in it; the clouds come in order."""
    held = torch.bincount(cloud, minlength=len(points))
    place = torch.arange(len(cloud), device=cloud.device) - (held.cumsum(0) - held)[cloud]
    asked = directions.new_zeros(len(points), int(held.max()), 3)  # the shorter lists are filled up
    asked[cloud, place] = directions
    at_a_time = max(1, PRODUCT_ELEMENTS // points[..., 0].numel())
    columns = points.transpose(1, 2)
    best = [torch.bmm(block, columns).argmax(dim=-1) for block in asked.split(at_a_time, dim=1)]
    return torch.cat(best, dim=1)[cloud, place]
