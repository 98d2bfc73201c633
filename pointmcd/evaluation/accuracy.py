"""How many shapes does a network name rightly?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Int

from pointmcd.networks.student import Student

BATCH = 32


@dataclass(frozen=True)
class Accuracy:
    """Shares of shapes named rightly, 0 to 1.

    Attributes:
        overall: Over all shapes.
        mean_class: Mean over the classes present of the share within each.
        shapes: How many shapes were judged.
    """

    overall: float
    mean_class: float
    shapes: int


def accuracy(predicted: Int[np.ndarray, " S"], labels: Int[np.ndarray, " S"]) -> Accuracy:
    """Compare predicted with true classes."""
    right = predicted == labels
    per_class = [right[labels == label].mean() for label in np.unique(labels)]
    return Accuracy(overall=float(right.mean()), mean_class=float(np.mean(per_class)), shapes=len(labels))


@torch.inference_mode()
def predict(student: Student, points: Float32[np.ndarray, "S N 3"]) -> Int[np.ndarray, " S"]:
    """Name every cloud with the student alone: no images, no masks."""
    device = next(student.parameters()).device
    student.eval()
    chunks = torch.from_numpy(points).split(BATCH)
    return np.concatenate([student(chunk.to(device)).logits.argmax(dim=1).cpu().numpy() for chunk in chunks])
