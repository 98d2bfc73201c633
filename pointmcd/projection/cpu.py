"""How is VAFP's maximum fast on a CPU? As one sparse product over all views of all shapes."""

from __future__ import annotations

import functools
import warnings
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

# A private name: torch may drop this kernel of `torch.sparse.mm(..., "amax")` at any release.
HAS_KERNEL = hasattr(torch.ops.aten, "_sparse_mm_reduce_impl")


class SparsePool(torch.autograd.Function):
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
