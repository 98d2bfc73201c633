"""How well do student views find their teacher views?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32
from torch import Tensor

from pointmcd.evaluation.accuracy import BATCH
from pointmcd.networks.student import Student


@dataclass(frozen=True)
class Alignment:
    """How student views lie to teacher views, means over shapes.

    Attributes:
        mean_cosine: Of each student view with its own teacher view.
        diagonal_dominance: Mean cosine with the own view minus mean with the other views of the same shape; 0 for a
            single view.
        retrieval_at_1: Share of student views whose most similar teacher view of the shape is their own.
    """

    mean_cosine: float
    diagonal_dominance: float
    retrieval_at_1: float


def cosine_matrix(
    student_views: Float[Tensor, "*B V T"], teacher_views: Float[Tensor, "*B V T"]
) -> Float[Tensor, "*B V V"]:
    """Cosine of student view i (row) and teacher view j (column); 0 where a descriptor is 0."""
    a = torch.nn.functional.normalize(student_views.float(), dim=-1)
    b = torch.nn.functional.normalize(teacher_views.float(), dim=-1)
    return a @ b.transpose(-1, -2)


@torch.inference_mode()
def view_alignment(
    student: Student,
    points: Float32[np.ndarray, "S N 3"],
    visibility: Bool[np.ndarray, "S V N"],
    teacher_views: Float[np.ndarray, "S V T"],
) -> Alignment:
    """Compare a student's view descriptors with the teacher's over a whole set."""
    device = next(student.parameters()).device
    student.eval()
    own, dominance, retrieved = [], [], []
    for start in range(0, len(points), BATCH):
        rows = slice(start, start + BATCH)
        output = student(torch.from_numpy(points[rows]).to(device), torch.from_numpy(visibility[rows]).to(device))
        similarity = cosine_matrix(output.view_features, torch.from_numpy(teacher_views[rows]).to(device))
        views = similarity.shape[-1]
        diagonal = similarity.diagonal(dim1=1, dim2=2).mean(dim=1)
        # A single view has no others to dominate.
        others = (similarity.sum(dim=(1, 2)) / views - diagonal) / (views - 1) if views > 1 else diagonal
        best = similarity.argmax(dim=2) == torch.arange(views, device=device)
        own.append(diagonal)
        dominance.append(diagonal - others)
        retrieved.append(best.float().mean(dim=1))
    return Alignment(
        mean_cosine=float(torch.cat(own).mean()),
        diagonal_dominance=float(torch.cat(dominance).mean()),
        retrieval_at_1=float(torch.cat(retrieved).mean()),
    )
