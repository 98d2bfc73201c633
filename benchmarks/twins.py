"""What is each fast form timed against? Naive twins of our own writing, after the published formulas and code."""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor


def repeated_view_pool(features: Float[Tensor, "B N D"], visibility: Bool[Tensor, "B V N"]) -> Float[Tensor, "B V D"]:
    """Pool by view as the released code does: a copy of all features per view, times the 0/1 mask, maximum over points.

    Right for non-negative features only. Autograd keeps B x V x N x D tensors for backward.
    """
    copies = features[:, None].repeat(1, visibility.shape[1], 1, 1)
    return (copies * visibility[..., None]).max(dim=2).values
