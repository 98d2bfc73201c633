"""What do a task's teacher and students learn in a step, and how are they trained by it?"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from pointmcd.data.augmentation import move_images, scale_and_shift
from pointmcd.data.point_set import PointSet
from pointmcd.kernels.device import upload
from pointmcd.networks.student import Student, StudentOutput
from pointmcd.networks.teachers.classification import ClassificationTeacher
from pointmcd.tasks.classification import CLASSIFICATION
from pointmcd.tasks.losses import distillation_loss
from pointmcd.tasks.record import Task
from pointmcd.training.loop import Loss, Run, fit, own_generators
from pointmcd.training.recipes import StudentRecipe, TeacherRecipe


def train_teacher(
    labels: Int[np.ndarray, " S"], renders: UInt8[np.ndarray, "R V H W"],
    validation_labels: Int[np.ndarray, " T"], validation_renders: UInt8[np.ndarray, "T V H W"],
    recipe: TeacherRecipe, run: Run, *, classes: int, task: Task = CLASSIFICATION,
) -> ClassificationTeacher:  # fmt: skip
    """Train the classification teacher on cached point renders.

    Args:
        labels: Of the S training shapes.
        renders: Of one or several copies of them, copy by copy (R is a multiple of S); may lie on disk.
        validation_labels: Of the held-out shapes.
        validation_renders: Theirs, not augmented.
        recipe: Schedule.
        run: Seed, folder, device.
        classes: Length of the network's answer.
    """
    with own_generators(run):
        model: ClassificationTeacher = task.teacher(
            backbone=recipe.backbone, input_size=recipe.input_size, classes=classes
        )
    model.to(run.device)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # a keyword that torch's stubs leave out
    loss = teacher_loss(model, labels, renders, recipe, task)

    def validate() -> dict[str, float]:
        return validation_figures(task.judge_teacher(model, validation_renders, validation_labels))

    fit(model, recipe, run, shapes=len(labels), loss=loss, validate=validate)
    return model


def teacher_loss(
    model: ClassificationTeacher, labels: Int[np.ndarray, " S"], renders: UInt8[np.ndarray, "R V H W"],
    recipe: TeacherRecipe, task: Task = CLASSIFICATION,
) -> Loss:  # fmt: skip
    """Make the loss of one step: random views of random copies, moved on the fly, against the label."""
    device = next(model.parameters()).device
    shapes, answers = len(labels), torch.from_numpy(labels).to(device)

    def loss(batch: Tensor, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        views = _random_views(len(batch), renders.shape[1], recipe.views_per_step, generator)
        copies = torch.randint(len(renders) // shapes, (len(batch), 1), generator=generator)
        rows = copies * shapes + batch[:, None]
        # All of them are gigabytes: a step reads the few that it needs, from the file.
        chosen = upload(torch.from_numpy(renders[rows.numpy(), views.numpy()]), device)
        grey = move_images(
            chosen.float() / 255, scale=recipe.image_scale, shift=recipe.image_shift, generator=generator
        )
        output = model(grey[:, :, None].expand(-1, -1, 3, -1, -1))
        return task.teacher_loss(output, answers[upload(batch, device)], smoothing=recipe.smoothing)

    return loss


def train_student(
    train: PointSet, visibility: UInt8[np.ndarray, "S V bytes"], teacher_views: Float[np.ndarray, "S V T"],
    validation: PointSet, recipe: StudentRecipe, run: Run, *, encoder: str, plain: bool,
    task: Task = CLASSIFICATION,
) -> Student:  # fmt: skip
    """Train a student, distilled or plain, from cached visibility and teacher features.

    The plain baseline differs only in the distillation term: its alignment head learns from detached features, so that
    nothing of the teacher reaches the encoder.
    """
    with own_generators(run):
        model: Student = task.student(encoder, classes=len(train.class_names), isolate_views=plain)
    model.to(run.device)
    loss = student_loss(model, train, visibility, teacher_views, recipe, task)

    def validate() -> dict[str, float]:
        return validation_figures(task.judge_student(model, validation))

    fit(model, recipe, run, shapes=len(train), loss=loss, validate=validate)
    return model


def student_loss(
    model: Student, train: PointSet, visibility: UInt8[np.ndarray, "S V bytes"],
    teacher_views: Float[np.ndarray, "S V T"], recipe: StudentRecipe, task: Task = CLASSIFICATION,
) -> Loss:  # fmt: skip
    """Make the loss of one step: task, distillation (Eq. 6) and regulariser, as the recipe weighs them.

    The data lie on the model's device as a whole: 0.3 GB for ModelNet40.
    """
    device = next(model.parameters()).device
    points, labels, packed, targets = (
        torch.from_numpy(array).to(device)
        for array in (train.points, train.labels, np.asarray(visibility), np.asarray(teacher_views))
    )

    def loss(batch: Tensor, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        rows = upload(batch, device)
        views = upload(_random_views(len(batch), packed.shape[1], recipe.views_per_step, generator), device)
        kept = upload(torch.randperm(points.shape[1], generator=generator)[: recipe.points_per_step], device)
        seen = _unpack(packed[rows[:, None], views], points.shape[1])[:, :, kept]
        cloud = scale_and_shift(points[rows][:, kept], scale=recipe.scale, shift=recipe.shift, generator=generator)
        output: StudentOutput = model(cloud, seen)
        task_loss, figures = task.student_loss(output, labels[rows], smoothing=recipe.smoothing)
        assert output.view_features is not None
        distil = distillation_loss(output.view_features, targets[rows[:, None], views])
        total = recipe.task_weight * task_loss + recipe.distil_weight * distil
        if output.encoded.penalty is not None:
            total = total + recipe.penalty_weight * output.encoded.penalty
        return total, {"task_loss": task_loss, "distil_loss": distil, **figures}

    return loss


def validation_figures(figures: dict[str, float]) -> dict[str, float]:
    """Name a task's figures as the log and the manifest do."""
    return {f"validation_{name}": figure for name, figure in figures.items()}


def _random_views(shapes: int, views: int, count: int, generator: torch.Generator) -> Int[Tensor, "B v"]:
    if count >= views:
        return torch.arange(views).expand(shapes, -1)
    return torch.rand(shapes, views, generator=generator).topk(count, dim=1).indices


def _unpack(packed: UInt8[Tensor, "B v bytes"], points: int) -> Bool[Tensor, "B v N"]:
    """Undo numpy.packbits: the first point is the highest bit."""
    shifts = torch.arange(7, -1, -1, dtype=torch.uint8, device=packed.device)
    return ((packed[..., None] >> shifts) & 1).flatten(2)[..., :points].bool()
