"""How is a point drawn: how large its disc is, how bright, and on which pixels? For many clouds at once, on any device.

`render` finds neighbours and writes pixels on a CPU, `batched_render` on a GPU; this module decides what both draw.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, pairwise

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64, Int, Shaped, UInt8
from torch import Tensor

from pointmcd.records import Cameras
from pointmcd.scene.cameras import to_pixels

NORMAL_NEIGHBOURS = 16
# Discs reach this many times the median distance to the 5th neighbour: the smallest that leaves no holes in an evenly
# sampled surface (a hole shows what is behind; a larger disc only thickens the outline). Where points are drawn
# independently, 1 to 5 % of the pixels inside the outline show what is behind.
DISC_SCALE = 0.8
DISC_NEIGHBOUR = 5
# Points nearer to the camera's plane than this are not drawn.
NEAR = 1e-3
# A headlight: what faces the camera is brightest. The ambient share keeps grazing surfaces apart from the background.
AMBIENT = 0.25
# Brightness falls to this share at the far side of the unit sphere, so that one image also tells depth.
FAR_BRIGHTNESS = 0.45
# The closed form of a normal is used where the two smallest eigenvalues lie this far apart, as a share of the whole
# range: its error, some 1e-15 over the gap's square, then stays under the rounding to single precision.
SURE_GAP = 1e-3


@dataclass(frozen=True, eq=False)
class Discs:
    """Points as each camera sees them.

    Attributes:
        in_camera: The points in the cameras' frames.
        brightness: Their grey.
        radius: How far each cloud's discs reach, in normalised units.
    """

    in_camera: Float[Tensor, "B V N 3"]
    brightness: UInt8[Tensor, "B V N"]
    radius: Float[Tensor, " B"]

    @classmethod
    def of(
        cls,
        points: Float[Tensor, "B N 3"],
        in_camera: Float[Tensor, "B V N 3"],
        nearest: Int[Tensor, "B N k"],
        reach: Float[Tensor, "B N"],
        cameras: Cameras,
    ) -> Discs:
        """Shade every point by its estimated normal.

        Args:
            points: The points of each cloud.
            in_camera: The same in the cameras' frames.
            nearest: `NORMAL_NEIGHBOURS` of each point, itself included.
            reach: Its distance to neighbour `DISC_NEIGHBOUR`.
            cameras: The rig.
        """
        x, y, z = normals(points, nearest)[:, None].unbind(-1)
        # Written out: a matrix product over rows of three takes longer and rounds unpredictably.
        turn = points.new_tensor(cameras.world_to_camera, dtype=torch.float32)[..., :3, None]
        turned = [turn[:, axis, 0] * x + turn[:, axis, 1] * y + turn[:, axis, 2] * z for axis in range(3)]
        to_center = points.new_tensor(distance_to_center(cameras), dtype=torch.float32)
        brightness = shade(in_camera, torch.stack(turned, dim=-1), to_center[:, None])
        return cls(in_camera, brightness, radius_for(reach))

    def place(self, cameras: Cameras) -> Placed:
        """Find where the visible discs fall in the images.

        A disc's radius in pixels grows as its depth shrinks: in each image, discs in the order of their radii, and
        those of one radius from far to near, all come from far to near.
        """
        _, views, count, _ = self.in_camera.shape
        size, depth = cameras.image_size, self.in_camera[..., 2]
        column, row = to_pixels(self.in_camera, cameras).unbind(-1)
        focal = float(cameras.intrinsics[0, 0])
        radii = (self.radius.float()[:, None, None] * focal / depth.clamp(min=1e-6)).round().clamp(1, size // 4)
        low, high = -radii, size + radii
        inside = (depth > NEAR) & (column > low) & (column < high) & (row > low) & (row < high)
        dot = _far_to_near(depth.flatten(), inside.flatten().nonzero().squeeze(1))
        if len(depth) > 1:  # far to near, one cloud's discs already come in the order of their radii
            dot = dot[radii.flatten()[dot].argsort(stable=True)]
        held = torch.bincount(radii.flatten()[dot].long(), minlength=1).tolist()
        # A margin as wide as the widest disc makes every write fall inside the canvas.
        margin = 2 * (len(held) - 1) + 1
        width = size + 2 * margin
        across, down = (pixels.flatten()[dot].floor().long() + margin for pixels in (column, row))
        start = (torch.div(dot, count, rounding_mode="floor") * width + down) * width + across
        return Placed(dot, start, held, (len(depth), views, width), margin)


@dataclass(frozen=True, eq=False)
class Placed:
    """Discs on a canvas that is wider than the images by a margin on each side.

    Attributes:
        dot: Number of each disc, through all clouds, views and points; a nearer one comes after a farther one.
        start: Where its centre lies on the flat canvas.
        held: How many discs have each radius, from 0 on.
        canvas: Clouds, views, and the width of the square canvas of each.
        margin: Between canvas and image, in pixels.
    """

    dot: Int[Tensor, " C"]
    start: Int[Tensor, " C"]
    held: list[int]
    canvas: tuple[int, int, int]
    margin: int

    def writes(self, at_a_time: int) -> Iterator[tuple[slice, Int[Tensor, "D P"]]]:
        """Offer discs, some at a time and in order, with the pixels that each covers.

        Args:
            at_a_time: About how many pixels to offer at once: a bound on memory.
        """
        for radius, (first, last) in enumerate(pairwise(accumulate(self.held, initial=0))):
            offsets = _disc_offsets(radius, self.canvas[2]).to(self.start.device)
            step = 1 + at_a_time // len(offsets)
            for block in range(first, last, step):
                some = slice(block, min(block + step, last))
                yield some, self.start[some, None] + offsets

    def crop(self, flat: Shaped[Tensor, " F"]) -> Shaped[Tensor, "B V H W"]:
        """Cut the images out of the flat canvas."""
        clouds, views, width = self.canvas
        inside = slice(self.margin, width - self.margin)
        return flat.view(clouds, views, width, width)[:, :, inside, inside].contiguous()


def _far_to_near(depth: Float[Tensor, " D"], chosen: Int[Tensor, " C"]) -> Int[Tensor, " C"]:
    """Sort by depth, the deepest first, equals as they come; depths are positive.

    Positive floats sort like their bits, so that depth and place make one whole number: those sort faster than depths
    with their places.
    """
    bits = 0x7FFFFFFF - depth[chosen].float().view(torch.int32).long()
    return (bits << 32 | chosen).sort().values & 0xFFFFFFFF


@lru_cache(maxsize=512)
def _disc_offsets(radius: int, width: int) -> Int[Tensor, " P"]:
    steps = torch.arange(-radius, radius + 1)
    inside = steps[:, None] ** 2 + steps**2 <= (radius + 0.3) ** 2
    return (steps[:, None] * width + steps)[inside]


def radius_for(reach: Float[Tensor, "B N"]) -> Float[Tensor, " B"]:
    """Choose how far each cloud's discs reach from its points' distances to neighbour `DISC_NEIGHBOUR`."""
    ordered, count = reach.sort(dim=1).values, reach.shape[1]
    median = (ordered[:, (count - 1) // 2] + ordered[:, count // 2]) / 2
    return (DISC_SCALE * median).clamp(0.01, 0.25)


def distance_to_center(cameras: Cameras) -> Float32[np.ndarray, " V"]:
    """Measure the cameras' distance from the origin."""
    return np.asarray(np.linalg.norm(cameras.world_to_camera[:, :, 3], axis=-1))


def shade(
    in_camera: Float[Tensor, "*S 3"], normals_in_camera: Float[Tensor, "*S 3"], to_center: Float[Tensor, ...]
) -> UInt8[Tensor, "*S"]:
    """Multiply headlight and depth cue, 1 to 255 (0 is the background)."""
    # In float64: torch's float32 root is sometimes off by one unit in the last place.
    distance = _dot(in_camera, in_camera).double().sqrt().to(in_camera)
    facing = _dot(normals_in_camera, in_camera).abs() / distance.clamp(min=1e-6)
    behind = ((in_camera[..., 2] - to_center + 1) / 2).clamp(0, 1)
    brightness = (AMBIENT + (1 - AMBIENT) * facing) * (1 - (1 - FAR_BRIGHTNESS) * behind)
    return (1 + 254 * brightness.clamp(0, 1)).to(torch.uint8)


def _dot(first: Float[Tensor, "*S 3"], second: Float[Tensor, "*S 3"]) -> Float[Tensor, "*S"]:
    """Sum over the last axis, written out: sums of rows of three are slow."""
    x, y, z = (first[..., axis] * second[..., axis] for axis in range(3))
    return x + y + z


def normals(points: Float[Tensor, "B N 3"], nearest: Int[Tensor, "B N k"]) -> Float32[Tensor, "B N 3"]:
    """Fit a plane to each neighbourhood; the sign of a normal is arbitrary."""
    around = nearest.flatten(1)[:, None].expand(-1, 3, -1)
    patches = points.double().transpose(1, 2).gather(2, around).unflatten(2, nearest.shape[1:])
    patches -= patches.mean(dim=-1, keepdim=True)
    x, y, z = patches.unbind(1)
    products = [(first * second).sum(dim=-1) for first, second in ((x, x), (x, y), (x, z), (y, y), (y, z), (z, z))]
    axis, sure = _axis_of_least_spread(*products)
    found = axis.float()
    unsure = ~sure
    if unsure.any():
        matrices = torch.stack(products, dim=-1)[unsure][:, [0, 1, 2, 1, 3, 4, 2, 4, 5]].view(-1, 3, 3)
        found[unsure] = torch.linalg.eigh(matrices).eigenvectors[:, :, 0].float()
    return found


def _axis_of_least_spread(
    xx: Float64[Tensor, "B N"],
    xy: Float64[Tensor, "B N"],
    xz: Float64[Tensor, "B N"],
    yy: Float64[Tensor, "B N"],
    yz: Float64[Tensor, "B N"],
    zz: Float64[Tensor, "B N"],
) -> tuple[Float64[Tensor, "B N 3"], Bool[Tensor, "B N"]]:
    """Find the eigenvector of the smallest eigenvalue of symmetric 3 x 3 matrices in closed form.

    Returns:
        Unit vectors, and where they can be trusted to single precision: not where the two smallest eigenvalues are
        nearly one.
    """
    mean = (xx + yy + zz) / 3
    a, b, c = xx - mean, yy - mean, zz - mean
    spread = ((a * a + b * b + c * c + 2 * (xy * xy + xz * xz + yz * yz)) / 6).sqrt()
    determinant = a * (b * c - yz * yz) - xy * (xy * c - yz * xz) + xz * (xy * yz - b * xz)
    angle = (determinant / (2 * spread**3)).clamp(-1, 1).arccos() / 3
    largest, least = 2 * spread * angle.cos(), 2 * spread * (angle + 2 * math.pi / 3).cos()
    a, b, c = a - least, b - least, c - least
    # The remaining rows span the plane across the axis: the longest of their cross products is the best.
    crosses = torch.stack(
        [
            torch.stack([xy * yz - xz * b, xz * xy - a * yz, a * b - xy * xy], dim=-1),
            torch.stack([xy * c - xz * yz, xz * xz - a * c, a * yz - xy * xz], dim=-1),
            torch.stack([b * c - yz * yz, yz * xz - xy * c, xy * yz - b * xz], dim=-1),
        ],
        dim=2,
    )
    longest, best = (crosses * crosses).sum(dim=-1).max(dim=2)
    axis = crosses.gather(2, best[..., None, None].expand(-1, -1, 1, 3)).squeeze(2) / longest.sqrt()[..., None]
    gap = -largest - 2 * least  # The three eigenvalues about their mean add up to 0.
    return axis, (gap > SURE_GAP * (largest - least)) & axis.isfinite().all(dim=-1)
