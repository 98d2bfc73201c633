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
        diagonal_dominance: As the function of that name says.
        retrieval_at_1: As the function of that name says.
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


def diagonal_dominance(similarity: Float[Tensor, "*B V V"]) -> Float[Tensor, "*B"]:
    """Mean cosine with the own view minus mean cosine with the others; 0 for a single view."""
    views = similarity.shape[-1]
    own = similarity.diagonal(dim1=-2, dim2=-1).mean(dim=-1)
    others = (similarity.sum(dim=(-2, -1)) / views - own) / (views - 1) if views > 1 else own
    return own - others


def retrieval_at_1(similarity: Float[Tensor, "*B V V"]) -> Float[Tensor, "*B"]:
    """Share of student views whose most similar teacher view of the shape is their own."""
    own = torch.arange(similarity.shape[-1], device=similarity.device)
    return (similarity.argmax(dim=-1) == own).float().mean(dim=-1)


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
        own.append(similarity.diagonal(dim1=1, dim2=2).mean(dim=1))
        dominance.append(diagonal_dominance(similarity))
        retrieved.append(retrieval_at_1(similarity))
    return Alignment(
        mean_cosine=float(torch.cat(own).mean()),
        diagonal_dominance=float(torch.cat(dominance).mean()),
        retrieval_at_1=float(torch.cat(retrieved).mean()),
    )
