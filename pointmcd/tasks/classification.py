"""What is the task of naming a shape? Labelled clouds, a head that scores classes, cross entropy and accuracy."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from pointmcd.data.point_set import PointSet, load_point_set
from pointmcd.evaluation.accuracy import Accuracy, accuracy, predict
from pointmcd.evaluation.teacher import teacher_predict
from pointmcd.networks.encoders import create_encoder
from pointmcd.networks.heads import TEACHER_DIM, ClassificationHead
from pointmcd.networks.pooling import summary_dim
from pointmcd.networks.student import Student, StudentOutput
from pointmcd.networks.teachers.classification import ClassificationTeacher, TeacherOutput
from pointmcd.tasks.losses import smoothed_cross_entropy
from pointmcd.tasks.record import Figures, Task


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


def teacher_loss(
    output: TeacherOutput, labels: Int[Tensor, " B"], *, smoothing: float
) -> tuple[Float[Tensor, ""], Figures]:
    """Hold the shape's and each view's answer against the label (docs/method.md)."""
    whole = smoothed_cross_entropy(output.logits, labels, smoothing=smoothing)
    of_views = labels.repeat_interleave(output.view_logits.shape[1])
    each = smoothed_cross_entropy(output.view_logits.flatten(0, 1), of_views, smoothing=smoothing)
    return whole + each, {"shape_loss": whole, "view_loss": each, "train_accuracy": _share_right(output.logits, labels)}


def student_loss(
    output: StudentOutput, labels: Int[Tensor, " B"], *, smoothing: float
) -> tuple[Float[Tensor, ""], Figures]:
    """Hold the shape's answer against the label."""
    loss = smoothed_cross_entropy(output.logits, labels, smoothing=smoothing)
    return loss, {"train_accuracy": _share_right(output.logits, labels)}


def _share_right(logits: Float[Tensor, "B K"], labels: Int[Tensor, " B"]) -> Float[Tensor, ""]:
    return (logits.argmax(dim=1) == labels).float().mean()


def judge_teacher(
    teacher: ClassificationTeacher, renders: UInt8[np.ndarray, "S V H W"], labels: Int[np.ndarray, " S"]
) -> dict[str, float]:
    """Measure the accuracy of the image network on renders."""
    return _figures(accuracy(teacher_predict(teacher, renders), labels))


def judge_student(student: Student, shapes: PointSet) -> dict[str, float]:
    """Measure the accuracy of a student: points in, no images and no masks."""
    return _figures(accuracy(predict(student, shapes.points), shapes.labels))


def _figures(result: Accuracy) -> dict[str, float]:
    return {"accuracy": result.overall, "mean_class": result.mean_class}


CLASSIFICATION = Task(
    name="classification",
    load=load_point_set,
    teacher=ClassificationTeacher,
    student=classification_student,
    teacher_loss=teacher_loss,
    student_loss=student_loss,
    judge_teacher=judge_teacher,
    judge_student=judge_student,
)
