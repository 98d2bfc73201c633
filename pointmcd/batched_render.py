"""What does each camera's image of the points look like, of many clouds at once on one device?

The images are those of `pointmcd.render.draw_points`, byte for byte, where no two points tie as a point's last
neighbour (on a lattice many do, and normals then differ): every value is rounded where that rounds it. On a CPU that is
the faster one.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import accumulate, pairwise

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Float32, Float64, Int, UInt8
from torch import Tensor

from pointmcd.render import (
    AMBIENT,
    DISC_NEIGHBOUR,
    DISC_SCALE,
    FAR_BRIGHTNESS,
    NEAR,
    NORMAL_NEIGHBOURS,
    SURE_GAP,
)
from pointmcd.types import Cameras

# Distances and pixel writes that are held at a time: some 400 MB each.
DISTANCES_AT_A_TIME = 1 << 24
WRITES_AT_A_TIME = 1 << 24
GREYS = 256
# Weights of a downsampled pixel are whole numbers of at most 15 bits, as in Pillow.
WEIGHT_BITS = 15
MOST_DIGITS = 22


@torch.no_grad()
def batched_draw_points(points: Float[Tensor, "B N 3"], cameras: Cameras) -> UInt8[Tensor, "B V H W"]:
    """Draw each point of each cloud as a z-buffered disc facing the camera, shaded by its estimated normal."""
    points = points.float()
    distances, nearest = _nearest(points, min(NORMAL_NEIGHBOURS, points.shape[1]))
    in_camera = _to_camera(points, cameras)
    brightness = _shade(in_camera, _normals(points, nearest), cameras)
    return _splat(in_camera, brightness, _disc_radius(distances), cameras)


def _nearest(points: Float[Tensor, "B N 3"], k: int) -> tuple[Float64[Tensor, "B N k"], Int[Tensor, "B N k"]]:
    """Find the k nearest points of each point, itself first, and their distances, in float64 as a tree does."""
    shapes, count, _ = points.shape
    coordinates = points.double()
    distances = torch.empty(shapes, count, k, dtype=torch.float64, device=points.device)
    nearest = torch.empty(shapes, count, k, dtype=torch.int64, device=points.device)
    rows = min(count, max(1, DISTANCES_AT_A_TIME // count))
    clouds = max(1, DISTANCES_AT_A_TIME // (rows * count))
    for shape in range(0, shapes, clouds):
        others = coordinates[shape : shape + clouds]
        for start in range(0, count, rows):
            own = others[:, start : start + rows]
            square = (own[:, :, None, 0] - others[:, None, :, 0]).square_()
            for axis in (1, 2):
                square += (own[:, :, None, axis] - others[:, None, :, axis]).square_()
            found = square.topk(k, largest=False)
            distances[shape : shape + clouds, start : start + rows] = found.values.sqrt_()
            nearest[shape : shape + clouds, start : start + rows] = found.indices
    return distances, nearest


def _disc_radius(distances: Float64[Tensor, "B N k"]) -> Float64[Tensor, " B"]:
    reach = distances[:, :, min(DISC_NEIGHBOUR, distances.shape[2] - 1)].sort(dim=1).values
    count = reach.shape[1]
    median = (reach[:, (count - 1) // 2] + reach[:, count // 2]) / 2
    return (DISC_SCALE * median).clamp(0.01, 0.25)


def _normals(points: Float[Tensor, "B N 3"], nearest: Int[Tensor, "B N k"]) -> Float32[Tensor, "B N 3"]:
    """Fit a plane to each neighbourhood, in the closed form of `pointmcd.render` and by eigenvectors where it fails."""
    shapes, count, k = nearest.shape
    patches = points.double().gather(1, nearest.flatten(1)[..., None].expand(-1, -1, 3)).view(shapes, count, k, 3)
    patches -= patches.mean(dim=2, keepdim=True)
    x, y, z = patches.unbind(-1)
    products = [(first * second).sum(dim=-1) for first, second in ((x, x), (x, y), (x, z), (y, y), (y, z), (z, z))]
    axis, sure = _axis_of_least_spread(products)
    normals = axis.float()
    unsure = ~sure
    if unsure.any():
        matrices = torch.stack(products, dim=-1)[unsure][:, [0, 1, 2, 1, 3, 4, 2, 4, 5]].view(-1, 3, 3)
        normals[unsure] = torch.linalg.eigh(matrices).eigenvectors[:, :, 0].float()
    return normals


def _axis_of_least_spread(
    products: list[Float64[Tensor, "B N"]],
) -> tuple[Float64[Tensor, "B N 3"], Bool[Tensor, "B N"]]:
    """Find the eigenvector of the smallest eigenvalue of symmetric 3 x 3 matrices, and where it can be trusted."""
    xx, xy, xz, yy, yz, zz = products
    mean = (xx + yy + zz) / 3
    a, b, c = xx - mean, yy - mean, zz - mean
    spread = ((a * a + b * b + c * c + 2 * (xy * xy + xz * xz + yz * yz)) / 6).sqrt()
    determinant = a * (b * c - yz * yz) - xy * (xy * c - yz * xz) + xz * (xy * yz - b * xz)
    angle = (determinant / (2 * spread**3)).clamp(-1, 1).arccos() / 3
    largest, least = 2 * spread * angle.cos(), 2 * spread * (angle + 2 * math.pi / 3).cos()
    a, b, c = a - least, b - least, c - least
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
    sure = (-largest - 2 * least > SURE_GAP * (largest - least)) & axis.isfinite().all(dim=-1)
    return axis, sure


def _to_camera(points: Float[Tensor, "B N 3"], cameras: Cameras) -> Float32[Tensor, "B V N 3"]:
    """Express points in every camera's frame, with the rounding of the CPU's matrix product.

    That adds each product to the sum before it rounds. Products of float32 are exact in float64.
    """
    rotation = torch.from_numpy(cameras.world_to_camera[:, :, :3]).to(points.device)
    translation = torch.from_numpy(cameras.world_to_camera[:, :, 3]).to(points.device)
    total = torch.zeros((), dtype=torch.float32, device=points.device)
    for axis in range(3):
        term = points[:, None, :, None, axis].double() * rotation[None, :, None, :, axis].double()
        total = (total.double() + term).float()
    return total + translation[None, :, None]


def _shade(
    in_camera: Float32[Tensor, "B V N 3"], normals: Float32[Tensor, "B N 3"], cameras: Cameras
) -> UInt8[Tensor, "B V N"]:
    """Headlight times depth cue, 1 to 255 (0 is the background's)."""
    turn = torch.from_numpy(cameras.world_to_camera[:, :, :3]).to(normals.device)[None, :, :, :, None]
    to_center = torch.from_numpy(np.linalg.norm(cameras.world_to_camera[:, :, 3], axis=-1)).to(normals.device)
    x, y, z = (normals[:, None, :, axis] for axis in range(3))
    turned = [turn[:, :, axis, 0] * x + turn[:, :, axis, 1] * y + turn[:, :, axis, 2] * z for axis in range(3)]
    ahead = in_camera.unbind(-1)
    # By float64: torch's own float32 root is one unit of the last place off at times.
    distance = (ahead[0] * ahead[0] + ahead[1] * ahead[1] + ahead[2] * ahead[2]).double().sqrt().float()
    facing = (turned[0] * ahead[0] + turned[1] * ahead[1] + turned[2] * ahead[2]).abs() / distance.clamp(min=1e-6)
    behind = ((ahead[2] - to_center[None, :, None] + 1) / 2).clamp(0, 1)
    brightness = (AMBIENT + (1 - AMBIENT) * facing) * (1 - (1 - FAR_BRIGHTNESS) * behind)
    return (1 + 254 * brightness.clamp(0, 1)).to(torch.uint8)


def _splat(
    in_camera: Float32[Tensor, "B V N 3"],
    brightness: UInt8[Tensor, "B V N"],
    radius: Float64[Tensor, " B"],
    cameras: Cameras,
) -> UInt8[Tensor, "B V H W"]:
    """Z-buffer: each pixel keeps the largest of its discs' keys, which rise from far to near and end on the grey."""
    shapes, views, count, _ = in_camera.shape
    size, depth = cameras.image_size, in_camera[..., 2]
    focal, half = cameras.intrinsics[0, 0].item(), cameras.intrinsics[0, 2].item()
    column, row = (in_camera[..., axis] / depth.clamp(min=1e-6) * focal + half for axis in range(2))
    radii = (radius.float()[:, None, None] * focal / depth.clamp(min=1e-6)).round().clamp(1, size // 4)
    low, high = -radii, size + radii
    inside = (depth > NEAR) & (column > low) & (column < high) & (row > low) & (row < high)

    far_to_near = depth.argsort(dim=-1, descending=True, stable=True)
    rank = torch.empty_like(far_to_near, dtype=torch.int32)
    rank.scatter_(-1, far_to_near, torch.arange(count, dtype=torch.int32, device=rank.device).expand_as(rank))
    key = (rank * GREYS + brightness).flatten()

    chosen = inside.flatten().nonzero().squeeze(1)
    whole, order = radii.flatten()[chosen].long().sort()
    chosen = chosen[order]
    held = torch.bincount(whole, minlength=1).tolist()
    # A margin as wide as the widest disc makes every write fall inside the canvas.
    margin = 2 * (len(held) - 1) + 1
    width = size + 2 * margin
    across, down = (pixels.flatten()[chosen].floor().long() + margin for pixels in (column, row))
    start = (torch.div(chosen, count, rounding_mode="floor") * width + down) * width + across
    canvas = torch.zeros(shapes * views * width * width, dtype=torch.int32, device=key.device)
    for disc, (first, last) in enumerate(pairwise(accumulate(held, initial=0))):
        if first == last:
            continue
        offsets = _disc_offsets(disc, width).to(start.device)
        step = 1 + WRITES_AT_A_TIME // len(offsets)
        for block in range(first, last, step):
            some = slice(block, min(block + step, last))
            target = start[some, None] + offsets
            canvas.scatter_reduce_(
                0, target.flatten(), key[chosen[some], None].expand_as(target).flatten(), reduce="amax"
            )
    greys = canvas.view(shapes, views, width, width)[:, :, margin : margin + size, margin : margin + size] % GREYS
    return greys.to(torch.uint8)


def _disc_offsets(radius: int, width: int) -> Int[Tensor, " P"]:
    steps = torch.arange(-radius, radius + 1)
    inside = steps[:, None] ** 2 + steps**2 <= (radius + 0.3) ** 2
    return (steps[:, None] * width + steps)[inside]


def batched_downsample(images: UInt8[Tensor, "*S H W"], size: int) -> UInt8[Tensor, "*S h w"]:
    """Bring images to another size with antialiasing, to the bytes that `to_input_size` gives on a CPU.

    On a GPU torch does so for floats alone. For bytes it takes weights that are whole numbers, rows first, and rounds
    to bytes after them and after the columns; here this is two matrix products, whose sums float64 holds exactly.
    """
    if images.shape[-1] == size:
        return images
    weights, unit = _whole_weights(images.shape[-1], size)
    weights = weights.to(images.device)

    def rounded(sums: Tensor) -> Tensor:
        return ((sums + unit / 2) / unit).floor_().clamp_(0, 255)

    return rounded(weights @ rounded(images.double() @ weights.T)).to(torch.uint8)


@lru_cache(maxsize=8)
def _whole_weights(before: int, after: int) -> tuple[Float64[Tensor, "a b"], int]:
    """Tell how much each pixel after takes of each before, in whole numbers, and how many make one."""
    impulses = torch.eye(before, dtype=torch.float64)[None, None]
    shares = F.interpolate(impulses, size=(after, before), mode="bilinear", antialias=True)[0, 0]
    largest = float(shares.max())
    fitting = (digits for digits in range(MOST_DIGITS) if int(0.5 + largest * (2 << digits)) >= 1 << WEIGHT_BITS)
    digits = next(fitting, MOST_DIGITS)
    unit = 1 << digits
    return (shares * unit + 0.5).floor(), unit
