"""What do classification's teacher and students learn in a step?"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor
from tqdm import tqdm

from pointmcd.data.augmentation import scale_and_shift
from pointmcd.data.point_set import PointSet
from pointmcd.evaluation.accuracy import BATCH, accuracy, predict
from pointmcd.kernels.device import upload
from pointmcd.networks.student import Student, StudentOutput
from pointmcd.networks.teachers.classification import ClassificationTeacher
from pointmcd.tasks.classification import classification_student
from pointmcd.tasks.losses import distillation_loss, smoothed_cross_entropy
from pointmcd.training.loop import Loss, Run, fit, own_generators
from pointmcd.training.recipes import Recipe


def train_teacher(
    labels: Int[np.ndarray, " S"], renders: UInt8[np.ndarray, "R V H W"],
    validation_labels: Int[np.ndarray, " T"], validation_renders: UInt8[np.ndarray, "T V H W"],
    recipe: Recipe, run: Run, *, classes: int,
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
        model = ClassificationTeacher(backbone=recipe.backbone, input_size=recipe.input_size, classes=classes)
    model.to(run.device)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # a keyword that torch's stubs leave out
    loss = teacher_loss(model, labels, renders, recipe)

    def validate() -> dict[str, float]:
        result = accuracy(teacher_predict(model, validation_renders), validation_labels)
        return {"validation_accuracy": result.overall, "validation_mean_class": result.mean_class}

    fit(model, recipe, run, shapes=len(labels), loss=loss, validate=validate)
    return model


def teacher_loss(
    model: ClassificationTeacher, labels: Int[np.ndarray, " S"], renders: UInt8[np.ndarray, "R V H W"], recipe: Recipe
) -> Loss:
    """Make the loss of one step: the shape's and each view's answer, both against the label (docs/method.md)."""
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
        target = answers[upload(batch, device)]
        whole = smoothed_cross_entropy(output.logits, target, smoothing=recipe.smoothing)
        each = smoothed_cross_entropy(
            output.view_logits.flatten(0, 1), target.repeat_interleave(views.shape[1]), smoothing=recipe.smoothing
        )
        right = (output.logits.argmax(1) == target).float().mean()
        return whole + each, {"shape_loss": whole, "view_loss": each, "train_accuracy": right}

    return loss


def train_student(
    train: PointSet, visibility: UInt8[np.ndarray, "S V bytes"], teacher_views: Float[np.ndarray, "S V T"],
    validation: PointSet, recipe: Recipe, run: Run, *, encoder: str, plain: bool,
) -> Student:  # fmt: skip
    """Train a student, distilled or plain, from cached visibility and teacher features.

    The plain baseline differs only in the distillation term: its alignment head learns from detached features, so that
    nothing of the teacher reaches the encoder.
    """
    with own_generators(run):
        model = classification_student(encoder, classes=len(train.class_names), isolate_views=plain)
    model.to(run.device)
    loss = student_loss(model, train, visibility, teacher_views, recipe)

    def validate() -> dict[str, float]:
        result = accuracy(predict(model, validation.points), validation.labels)
        return {"validation_accuracy": result.overall, "validation_mean_class": result.mean_class}

    fit(model, recipe, run, shapes=len(train), loss=loss, validate=validate)
    return model


def student_loss(
    model: Student, train: PointSet, visibility: UInt8[np.ndarray, "S V bytes"],
    teacher_views: Float[np.ndarray, "S V T"], recipe: Recipe,
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
        task = smoothed_cross_entropy(output.logits, labels[rows], smoothing=recipe.smoothing)
        assert output.view_features is not None
        distil = distillation_loss(output.view_features, targets[rows[:, None], views])
        total = recipe.task_weight * task + recipe.distil_weight * distil
        if output.encoded.penalty is not None:
            total = total + recipe.penalty_weight * output.encoded.penalty
        right = (output.logits.argmax(1) == labels[rows]).float().mean()
        return total, {"task_loss": task, "distil_loss": distil, "train_accuracy": right}

    return loss


def _random_views(shapes: int, views: int, count: int, generator: torch.Generator) -> Int[Tensor, "B v"]:
    if count >= views:
        return torch.arange(views).expand(shapes, -1)
    return torch.rand(shapes, views, generator=generator).topk(count, dim=1).indices


def _unpack(packed: UInt8[Tensor, "B v bytes"], points: int) -> Bool[Tensor, "B v N"]:
    """Undo numpy.packbits: the first point is the highest bit."""
    shifts = torch.arange(7, -1, -1, dtype=torch.uint8, device=packed.device)
    return ((packed[..., None] >> shifts) & 1).flatten(2)[..., :points].bool()


def move_images(
    images: Float[Tensor, "B v H W"], *, scale: tuple[float, float], shift: float, generator: torch.Generator
) -> Float[Tensor, "B v H W"]:
    """Stretch, mirror and move each image at random, as scaled and shifted clouds would look; black comes in."""
    if scale == (1.0, 1.0) and shift == 0:
        return images
    count = images.shape[0] * images.shape[1]
    theta = torch.zeros(count, 2, 3)
    low, high = scale
    stretch = torch.exp(torch.rand(count, 2, generator=generator) * math.log(high / low) + math.log(low))
    mirror = (torch.rand(count, generator=generator) < 0.5).float() * 2 - 1
    theta[:, 0, 0], theta[:, 1, 1] = mirror / stretch[:, 0], 1 / stretch[:, 1]
    theta[:, :, 2] = (torch.rand(count, 2, generator=generator) * 2 - 1) * shift
    flat = images.flatten(0, 1)[:, None]
    grid = F.affine_grid(upload(theta, images.device).to(images), list(flat.shape), align_corners=False)
    return F.grid_sample(flat, grid, align_corners=False).view_as(images)


@torch.inference_mode()
def teacher_features(
    teacher: ClassificationTeacher, images: UInt8[np.ndarray, "S V H W"]
) -> Float[np.ndarray, "S V T"]:
    """Compute every view descriptor `v_k` once, as float16, with a progress bar."""
    return _read_all(teacher, images, lambda output: output.view_features.half())


def teacher_predict(teacher: ClassificationTeacher, images: UInt8[np.ndarray, "S V H W"]) -> Int[np.ndarray, " S"]:
    """Name every shape from all its views."""
    return _read_all(teacher, images, lambda output: output.logits.argmax(dim=1))


@torch.inference_mode()
def _read_all(
    teacher: ClassificationTeacher, images: UInt8[np.ndarray, "S V H W"], pick: Callable[..., Tensor]
) -> np.ndarray:
    device = next(teacher.parameters()).device
    teacher.eval()
    parts = []
    for start in tqdm(range(0, len(images), BATCH), desc="teacher", leave=False, disable=None):
        batch = torch.from_numpy(np.array(images[start : start + BATCH])).to(device).float() / 255
        parts.append(pick(teacher(batch[:, :, None].expand(-1, -1, 3, -1, -1))).cpu().numpy())
    return np.concatenate(parts)
