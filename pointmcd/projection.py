"""Which feature does each view get? Visibility-aware feature projection (VAFP; paper, Sec. III-B, Eq. 5).

For each view, the features of only the points that its camera sees are max-pooled, channel by channel. The released
code multiplies by a 0/1 mask first, which is right only for non-negative features; here the maximum is exact for signed
features too, and only a view that sees nothing gives 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True, eq=False)
class PointFeatures:
    """What an encoder keeps: M of the N input points, with features.

    Attributes:
        values: Features, (B, M, D).
        index: Which input point each one is, (B, M); None when the encoder keeps every point in order. Hierarchical
            encoders end on anchors, and visibility is gathered by this index, so one projection serves all.
        penalty: What the encoder adds to the loss (PointNet's T-Net regulariser).
    """

    values: Float[Tensor, "B M D"]
    index: Int[Tensor, "B M"] | None = None
    penalty: Float[Tensor, ""] | None = None


class Projection(NamedTuple):
    """View features and the points that made them.

    Attributes:
        features: (B, V, D).
        winners: The input point that won each channel of each view, (B, V, D); -1 where the view sees nothing.
    """

    features: Float[Tensor, "B V D"]
    winners: Int[Tensor, "B V D"]


def view_pool(features: Float[Tensor, "B M D"], visibility: Bool[Tensor, "B V M"]) -> Float[Tensor, "B V D"]:
    """Max-pool, for each view, the features of the points it sees (Eq. 5, before the alignment head).

    Args:
        features: Point features of any sign.
        visibility: True where view v sees point m.

    Returns:
        One feature per view; zeros for a view that sees nothing. The gradient flows to the winning points only.
    """
    return _pool(features, visibility)[0]


def project(features: PointFeatures, visibility: Bool[Tensor, "B V N"]) -> Projection:
    """Pool an encoder's features by view, telling which input point won each channel.

    Args:
        features: Of all points, or of anchors with their index.
        visibility: Over all N input points.
    """
    index = features.index
    if index is not None:
        visibility = visibility.gather(2, index[:, None, :].expand(-1, visibility.shape[1], -1))
    pooled, winners = _pool(features.values, visibility)
    if index is not None:
        named = index.gather(1, winners.clamp(min=0).flatten(1)).view_as(winners)
        winners = torch.where(winners >= 0, named, winners)
    return Projection(pooled, winners)


def _pool(features: Tensor, visibility: Tensor) -> tuple[Tensor, Tensor]:
    """Choose the back end by device and mode; every one returns (pooled, winning row or -1)."""
    if visibility.ndim != 3 or (visibility.shape[0], visibility.shape[2]) != features.shape[:2]:
        raise ValueError(
            f"Visibility must be (B, V, M) = ({features.shape[0]}, V, {features.shape[1]}) for these features, "
            f"not {tuple(visibility.shape)}."
        )
    if features.device.type == "cpu" and not torch.compiler.is_compiling():
        pooled, winners = _GatherPool.apply(features, visibility)  # type: ignore[no-untyped-call]
        return pooled, winners
    return masked_pool(features, visibility)


def masked_pool(
    features: Float[Tensor, "B M D"], visibility: Bool[Tensor, "B V M"]
) -> tuple[Float[Tensor, "B V D"], Int[Tensor, "B V D"]]:
    """Pool one view after another with a masked maximum: the reference, differentiable by autograd everywhere.

    Peak extra memory is one B x M x D tensor per view instead of V of them.
    """
    pooled, winners = [], []
    for view in visibility.unbind(1):
        hidden = ~view[..., None]
        best, row = features.masked_fill(hidden, float("-inf")).max(dim=1)
        empty = ~view.any(dim=1, keepdim=True)
        pooled.append(best.masked_fill(empty, 0.0))
        winners.append(row.masked_fill(empty, -1))
    return torch.stack(pooled, dim=1), torch.stack(winners, dim=1)


class _GatherPool(torch.autograd.Function):
    """CPU back end: read only the rows a view sees, and send gradients back through the winners alone."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, visibility: Tensor) -> tuple[Tensor, Tensor]:
        batch, views, _ = visibility.shape
        pooled = features.new_zeros(batch, views, features.shape[2])
        winners = torch.full_like(pooled, -1, dtype=torch.int64)
        for b in range(batch):
            rows_of_shape = features[b].detach()
            for v in range(views):
                seen = visibility[b, v].nonzero().squeeze(1)
                if len(seen):
                    # A view that sees all, such as the pool over the whole shape, needs no copy.
                    rows = rows_of_shape if len(seen) == len(rows_of_shape) else rows_of_shape.index_select(0, seen)
                    best, row = rows.max(dim=0)
                    pooled[b, v] = best
                    winners[b, v] = seen[row]
        ctx.save_for_backward(winners)
        ctx.points = features.shape[1]
        ctx.mark_non_differentiable(winners)
        return pooled, winners

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (winners,) = ctx.saved_tensors
        gradient = gradients[0].masked_fill(winners < 0, 0.0)
        batch, _, channels = gradient.shape
        # Flat, because index_add along one dimension is three times as fast here as scatter_add along the middle one.
        shape = torch.arange(batch)[:, None, None] * ctx.points
        flat = (winners.clamp(min=0) + shape) * channels + torch.arange(channels)
        out = gradient.new_zeros(batch * ctx.points * channels)
        return out.index_add_(0, flat.flatten(), gradient.flatten()).view(batch, ctx.points, channels), None
