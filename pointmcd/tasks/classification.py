"""What is the task of naming a shape? Its networks and its losses."""

from __future__ import annotations

from pointmcd.networks.encoders import create_encoder
from pointmcd.networks.heads import TEACHER_DIM, ClassificationHead
from pointmcd.networks.pooling import summary_dim
from pointmcd.networks.student import Student


def classification_student(
    encoder: str, *, classes: int = 40, teacher_dim: int = TEACHER_DIM, isolate_views: bool = False
) -> Student:
    """Compose a student that names shapes, with fresh weights.

    Args:
        encoder: Name in `networks.encoders.ENCODERS`.
        classes: Number of classes K.
        teacher_dim: Of the teacher's view descriptors.
        isolate_views: As in `Student`; the plain baseline is such a one.

    Raises:
        ValueError: There is no such encoder.
    """
    points = create_encoder(encoder)
    head = ClassificationHead(summary_dim(points), classes=classes, teacher_dim=teacher_dim)
    return Student(points, head, teacher_dim=teacher_dim, isolate_views=isolate_views)
