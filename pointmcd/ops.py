"""Which points are neighbours? All neighbour code of the networks."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

# At most this many distances are held at once: k-nearest neighbours never needs a whole N x N matrix per shape.
BLOCK_ELEMENTS = 1 << 24


def knn(points: Float[Tensor, "B N C"], k: int) -> Int[Tensor, "B N k"]:
    """Find the k nearest points of each point, itself included, in Euclidean distance; nearest first.

    Raises:
        ValueError: k is not between 1 and N.
    """
    batch, count, _ = points.shape
    if not 1 <= k <= count:
        raise ValueError(f"Of {count} points there are no {k} nearest neighbours.")
    # In float32 the expansion below cancels so much that near ties swap neighbours: DGCNN's outputs then differ by 2 %.
    x = points.double()
    square = x.square().sum(-1)
    rows = max(1, BLOCK_ELEMENTS // (batch * count))
    nearest = []
    for start in range(0, count, rows):
        block = x[:, start : start + rows]
        # |a - b|^2 without |a|^2, which is the same for all b.
        distance = torch.baddbmm(square[:, None, :], block, x.transpose(1, 2), alpha=-2)
        nearest.append(distance.topk(k, largest=False).indices)
    return torch.cat(nearest, dim=1)


def gather(values: Float[Tensor, "B N C"], index: Int[Tensor, "B M k"]) -> Float[Tensor, "B M k C"]:
    """Pick rows of each shape: `out[b, m, j] = values[b, index[b, m, j]]`."""
    batch, _, channels = values.shape
    flat = index.flatten(1)[..., None].expand(-1, -1, channels)
    return values.gather(1, flat).view(batch, *index.shape[1:], channels)
