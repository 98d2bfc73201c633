"""How do clouds and images vary in training? Stretched and moved at random."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32
from torch import Tensor

from pointmcd.kernels.device import upload


def scale_and_shift(
    points: Float[Tensor, "B N 3"], *, scale: tuple[float, float], shift: float, generator: torch.Generator
) -> Float[Tensor, "B N 3"]:
    """Stretch each axis and move each cloud at random; visibility stays the unaugmented cloud's (docs/method.md)."""
    shape = (len(points), 1, 3)
    low, high = scale
    factors = torch.rand(shape, generator=generator) * (high - low) + low
    moves = (torch.rand(shape, generator=generator) * 2 - 1) * shift
    factors, moves = (upload(values, points.device).to(points) for values in (factors, moves))
    return points * factors + moves


def augmented_copies(
    points: Float32[np.ndarray, "S N 3"], *, copies: int, scale: tuple[float, float], shift: float, seed: int
) -> Float32[np.ndarray, "R N 3"]:
    """Stretch each axis of every cloud, bring it back to the unit sphere as every reader does, and move it.

    Returns:
        R = copies * S clouds: all of the first copy, then all of the second, and so on.
    """
    generator = torch.Generator().manual_seed(seed)
    stretched = scale_and_shift(
        torch.from_numpy(points).repeat(copies, 1, 1), scale=scale, shift=0.0, generator=generator
    )
    stretched /= stretched.norm(dim=-1).amax(dim=1)[:, None, None]
    moved = scale_and_shift(stretched, scale=(1.0, 1.0), shift=shift, generator=generator)
    return np.asarray(moved.numpy(), dtype=np.float32)


def move_images(
    images: Float[Tensor, "B v H W"], *, scale: tuple[float, float], shift: float, generator: torch.Generator
) -> Float[Tensor, "B v H W"]:
    """Stretch, mirror and move each image at random, as scaled and shifted clouds would look; black comes in."""
    if scale == (1.0, 1.0) and shift == 0:
        return images
    count = images.shape[0] * images.shape[1]
    theta = torch.zeros(count, 2, 3)
    low, high = scale
    stretch = torch.exp(torch.rand(count, 2, generator=generator) * math.log(high / low) + math.log(low))
    mirror = (torch.rand(count, generator=generator) < 0.5).float() * 2 - 1
    theta[:, 0, 0], theta[:, 1, 1] = mirror / stretch[:, 0], 1 / stretch[:, 1]
    theta[:, :, 2] = (torch.rand(count, 2, generator=generator) * 2 - 1) * shift
    flat = images.flatten(0, 1)[:, None]
    grid = F.affine_grid(upload(theta, images.device).to(images), list(flat.shape), align_corners=False)
    return F.grid_sample(flat, grid, align_corners=False).view_as(images)
