"""What does each camera's image of the points look like, of many clouds at once on a GPU?

Never timed on a GPU. On a CPU `scene.render.draw_points` draws the same images faster, and up to rounding the same
bytes where no two points tie as a point's last neighbour (on a lattice many do, and normals then differ).
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from pointmcd.ops.neighbours import neighbourhoods
from pointmcd.records import Cameras
from pointmcd.scene.cameras import to_camera
from pointmcd.scene.discs import DISC_NEIGHBOUR, NORMAL_NEIGHBOURS, Discs

# Pixel writes held at a time: some 400 MB.
WRITES_AT_A_TIME = 1 << 24


@torch.no_grad()
def batched_draw_points(points: Float[Tensor, "B N 3"], cameras: Cameras) -> UInt8[Tensor, "B V H W"]:
    """Draw each point of each cloud as `pointmcd.scene.render.draw_points` does, on the device where the clouds lie."""
    nearest = neighbourhoods(points, min(NORMAL_NEIGHBOURS, points.shape[1]))
    discs = Discs.of(points, to_camera(points, cameras), nearest, _reach(points, nearest), cameras)
    placed = discs.place(cameras)
    clouds, views, width = placed.canvas
    # Each pixel keeps the nearest disc that is written to it, by its rank from far to near; 0 is the background.
    nearest_disc = points.new_zeros(clouds * views * width * width, dtype=torch.int32)
    rank = torch.arange(1, len(placed.dot) + 1, dtype=torch.int32, device=points.device)
    for some, pixels in placed.writes(WRITES_AT_A_TIME):
        ranks = rank[some, None].expand_as(pixels)
        nearest_disc.scatter_reduce_(0, pixels.flatten(), ranks.flatten(), reduce="amax")
    greys = torch.cat([rank.new_zeros(1, dtype=torch.uint8), discs.brightness.flatten()[placed.dot]])
    return greys[placed.crop(nearest_disc).long()]


def _reach(points: Float[Tensor, "B N 3"], nearest: Int[Tensor, "B N k"]) -> Float[Tensor, "B N"]:
    """Measure each point's distance to the neighbour that its disc reaches for."""
    around = nearest.flatten(1)[..., None].expand(-1, -1, 3)
    others = points.double().gather(1, around).unflatten(1, nearest.shape[1:])
    distances: Tensor = torch.linalg.vector_norm(others - points.double()[:, :, None], dim=-1)
    return distances.sort(dim=-1).values[..., min(DISC_NEIGHBOUR, distances.shape[-1] - 1)]
