"""How do clouds vary in training? Stretched and moved at random."""

from __future__ import annotations

import numpy as np
import torch
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
