"""What does a student learn from? The losses of the paper."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor


def smoothed_cross_entropy(
    logits: Float[Tensor, "B K"], labels: Int[Tensor, " B"], *, smoothing: float
) -> Float[Tensor, ""]:
    """Cross entropy with `smoothing` spread over the other K - 1 classes, as the released code does.

    torch spreads it over all K, so its share is larger by K / (K - 1).
    """
    classes = logits.shape[-1]
    return F.cross_entropy(logits.float(), labels, label_smoothing=smoothing * classes / (classes - 1))


def distillation_loss(
    student_views: Float[Tensor, "B V T"], teacher_views: Float[Tensor, "B V T"]
) -> Float[Tensor, ""]:
    """Mean absolute difference of view descriptors (Eq. 6)."""
    return F.l1_loss(student_views.float(), teacher_views.float())
