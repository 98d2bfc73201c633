"""Which feature does each view get? Visibility-aware feature projection (VAFP; paper, Sec. III-B, Eq. 5).

For each view, the features of only the points that its camera sees are max-pooled, channel by channel. The released
code multiplies by a 0/1 mask first, which is right only for non-negative features; here the maximum is exact for signed
features too, and only a view that sees nothing gives 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pointmcd.kernels.device import runs_kernels
from pointmcd.projection.cpu import HAS_KERNEL, SparsePool


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
    """View features and the points that won them; for NaN features the winner is unspecified.

    Attributes:
        features: (B, V, D).
        winners: The input point that won each channel of each view, (B, V, D); -1 where the view sees nothing (or
            nothing above minus infinity). Of equal ones the first wins, except where a GPU uses the reference.
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
    winners = winners.long()  # kernels count in 32 bits
    if index is not None:
        named = index.gather(1, winners.clamp(min=0).flatten(1)).view_as(winners)
        winners = torch.where(winners >= 0, named, winners)
    return Projection(pooled, winners)


class ShapeAndViews(NamedTuple):
    """Pooled features of whole shapes and of their views.

    Attributes:
        maximum: Over all points.
        global_winners: Input point that won each channel of that maximum.
        view_pools: Maximum over the points that each view sees; None without visibility.
        winners: Input point that won each channel of each view; -1 where the view sees nothing.
    """

    maximum: Float[Tensor, "B D"]
    global_winners: Int[Tensor, "B D"]
    view_pools: Float[Tensor, "B V D"] | None
    winners: Int[Tensor, "B V D"] | None


def project_shape_and_views(
    pool: Callable[[Bool[Tensor, "B W N"]], Projection],
    points: Float[Tensor, "B N 3"],
    visibility: Bool[Tensor, "B V N"] | None = None,
) -> ShapeAndViews:
    """Pool whole shapes and their views in one pass: the whole shape is the view that sees everything.

    Args:
        pool: Pools an encoder's features by masks over all N points, as `project` does.
        points: The input points.
        visibility: Without it, only the whole shapes are pooled.

    Raises:
        ValueError: Visibility does not fit the points.
    """
    whole = everything(points)
    if visibility is None:
        maximum, winners = pool(whole)
        return ShapeAndViews(maximum[:, 0], winners[:, 0], None, None)
    if visibility.ndim != 3 or visibility.shape[::2] != points.shape[:2]:
        raise ValueError(
            f"Visibility must be (B, V, N) = ({len(points)}, V, {points.shape[1]}), not {tuple(visibility.shape)}."
        )
    features, winners = pool(torch.cat([whole, visibility], dim=1))
    return ShapeAndViews(features[:, 0], winners[:, 0], features[:, 1:], winners[:, 1:])


def everything(points: Float[Tensor, "B N C"]) -> Bool[Tensor, "B 1 N"]:
    """Make the mask of a view that sees every point: pooling by it is pooling over the whole shape."""
    return torch.ones(len(points), 1, points.shape[1], dtype=torch.bool, device=points.device)


def _pool(features: Tensor, visibility: Tensor) -> tuple[Tensor, Tensor]:
    """Choose the back end by device and mode; every one returns (pooled, winning row or -1)."""
    if visibility.ndim != 3 or (visibility.shape[0], visibility.shape[2]) != features.shape[:2]:
        raise ValueError(
            f"Visibility must be (B, V, M) = ({features.shape[0]}, V, {features.shape[1]}) for these features, "
            f"not {tuple(visibility.shape)}."
        )
    if features.device.type == "cpu" and HAS_KERNEL and not torch.compiler.is_compiling():
        pooled, winners = SparsePool.apply(features, visibility)  # type: ignore[no-untyped-call]  # torch leaves `apply` untyped
        return pooled, winners
    if runs_kernels(features):
        from pointmcd.kernels.projection import DTYPES, KernelPool

        if features.dtype in DTYPES:
            pooled, winners = KernelPool.apply(features, visibility)  # type: ignore[no-untyped-call]  # torch leaves `apply` untyped
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
        winners.append(row.masked_fill(best == float("-inf"), -1))
    return torch.stack(pooled, dim=1), torch.stack(winners, dim=1)
