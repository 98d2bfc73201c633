"""Which feature does each view get? Visibility-aware feature projection (VAFP; paper, Sec. III-B, Eq. 5).

For each view, the features of only the points that its camera sees are max-pooled, channel by channel. The released
code multiplies by a 0/1 mask first, which is right only for non-negative features; here the maximum is exact for signed
features too, and only a view that sees nothing gives 0.
"""

from __future__ import annotations

import functools
import warnings
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pointmcd.gpu import runs_kernels

# A private name: torch may drop this kernel of `torch.sparse.mm(..., "amax")` at any release.
_HAS_KERNEL = hasattr(torch.ops.aten, "_sparse_mm_reduce_impl")


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


def _pool(features: Tensor, visibility: Tensor) -> tuple[Tensor, Tensor]:
    """Choose the back end by device and mode; every one returns (pooled, winning row or -1)."""
    if visibility.ndim != 3 or (visibility.shape[0], visibility.shape[2]) != features.shape[:2]:
        raise ValueError(
            f"Visibility must be (B, V, M) = ({features.shape[0]}, V, {features.shape[1]}) for these features, "
            f"not {tuple(visibility.shape)}."
        )
    if features.device.type == "cpu" and _HAS_KERNEL and not torch.compiler.is_compiling():
        pooled, winners = _SparsePool.apply(features, visibility)  # type: ignore[no-untyped-call]  # torch leaves `apply` untyped
        return pooled, winners
    if runs_kernels(features):
        from pointmcd.projection_kernels import DTYPES, KernelPool

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


class _SparsePool(torch.autograd.Function):
    """CPU back end: one sparse product over all views of all shapes, in which "sum of products" is a maximum.

    Rows are views, columns are points, and the ones say which view sees which point. The kernel reads each seen feature
    once, in blocks that stay in the cache, on all cores, and copies none; gradients go to the winners alone.
    """

    @staticmethod
    def forward(ctx: Any, features: Tensor, visibility: Tensor) -> tuple[Tensor, Tensor]:
        batch, views, points = visibility.shape
        row, seen = visibility.reshape(batch * views, points).nonzero(as_tuple=True)
        pooled, entry = _sparse_maximum(
            row_ends=visibility.sum(dim=2).flatten().cumsum(0),
            columns=row.div(views, rounding_mode="floor").mul_(points).add_(seen),
            rows=features.flatten(0, 1),
        )
        winners = torch.cat([seen, seen.new_tensor([-1])])[entry].view(batch, views, features.shape[2])
        ctx.save_for_backward(winners)
        ctx.points = points
        ctx.mark_non_differentiable(winners)
        return pooled.view_as(winners), winners

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (winners,) = ctx.saved_tensors
        gradient = gradients[0].masked_fill(winners < 0, 0.0)
        batch, _, channels = gradient.shape
        # One flat list of points: scattering along the first dimension is the fast case.
        shape = torch.arange(batch)[:, None, None] * ctx.points
        target = (winners.clamp(min=0) + shape).flatten(0, 1)
        out = gradient.new_zeros(batch * ctx.points, channels)
        if len(out):
            out.scatter_add_(0, target, gradient.flatten(0, 1))
        return out.view(batch, ctx.points, channels), None


def _sparse_maximum(
    *, row_ends: Int[Tensor, " R"], columns: Int[Tensor, " E"], rows: Float[Tensor, "P D"]
) -> tuple[Float[Tensor, "R D"], Int[Tensor, "R D"]]:
    """Take, for each list of columns, the maximum over those rows, and which entry won: the first of equal ones.

    Args:
        row_ends: Where each list ends within `columns`.
        columns: Which rows each list holds.
        rows: Any floating type.

    Returns:
        Maxima, 0 for an empty list; and the winning entries, E where no entry is above minus infinity.
    """
    if not len(columns):  # the kernel then names no entries
        return rows.new_zeros(len(row_ends), rows.shape[1]), row_ends.new_zeros(len(row_ends), rows.shape[1])
    _silence_sparse_warning()
    # Indices as wide as a float32 let the kernel compare and select whole vectors: a third less time.
    index = torch.int32 if max(len(columns), len(rows)) < 2**31 else torch.int64
    lists = torch.sparse_csr_tensor(
        torch.nn.functional.pad(row_ends, (1, 0)).to(index),
        columns.to(index),
        rows.new_ones(len(columns)),
        size=(len(row_ends), len(rows)),
        check_invariants=False,
    )
    rows = rows.detach()
    if rows.is_inference() and not torch.is_inference_mode_enabled():
        rows = rows.clone()  # torch refuses to ask for gradients of such a tensor
    # `torch.sparse.mm(lists, rows, "amax")` calls this and drops the winners: they come only with gradients.
    with torch.enable_grad():
        best, entry = torch.ops.aten._sparse_mm_reduce_impl(lists, rows.requires_grad_(), "amax")
    return best.detach(), entry


@functools.cache
def _silence_sparse_warning() -> None:
    """Silence torch's one-time warning that its sparse tensors are in beta state."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.sparse_csr_tensor(torch.zeros(2, dtype=torch.int64), torch.zeros(0, dtype=torch.int64), [], size=(1, 1))
