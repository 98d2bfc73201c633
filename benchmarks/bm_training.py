"""How fast does training go? Steps of the `cpu` recipes on random clouds, against a naive twin in the same run.

`python -m benchmarks.bm_training [--device cuda]`. The twin is the released step in our own words: every point's
feature normalised and activated, then repeated for each view and multiplied by the mask. Both begin with the same
weights, and their losses must agree. Only the sizes are ModelNet40's: the look of the
clouds does not change the time. An epoch's time is extrapolated from a few steps; the logs of the shipped weights'
training have whole epochs, validation included.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks import rows
from benchmarks.rows import Row
from benchmarks.twins import repeated_view_pool
from pointmcd.data.point_set import PointSet
from pointmcd.networks.student import Student, StudentOutput
from pointmcd.networks.teachers.classification import ClassificationTeacher
from pointmcd.projection import everything
from pointmcd.tasks.classification import classification_student
from pointmcd.training.loop import Loss, has_fast_bf16, make_optimizer
from pointmcd.training.recipes import Recipe, get_recipe
from pointmcd.training.steps import student_loss, teacher_loss

ABOUT = "Training steps of the cpu recipes, an epoch's time, and the released step as naive twin."
EPOCH = 9843  # training shapes of ModelNet40
SHAPES, POINTS, VIEWS, CLASSES = 128, 1024, 12, 40
STEPS = 3  # a timing


class NaiveStudent(Student):
    """The released form after the T-Nets: features of every point, repeated for each view, times the mask."""

    def forward(self, points: Tensor, visibility: Tensor | None = None) -> StudentOutput:
        assert visibility is not None
        encoded = self.encoder(points)
        views = repeated_view_pool(encoded.values, visibility)
        shape_feature, logits = self.head.classify(encoded.values.amax(dim=1))
        view_features = self.alignment(views)
        nothing = everything(points)
        return StudentOutput(
            shape_feature=shape_feature, logits=logits, view_features=view_features, encoded=encoded,
            view_logits=self.head.classifier(view_features), view_pools=views, winners=nothing, global_winners=nothing,
        )  # fmt: skip


def stepper(model: torch.nn.Module, recipe: Recipe, loss: Loss, *, bf16: bool) -> Callable[[], Tensor]:
    """Make one training step, as `pointmcd.training.loop.fit` takes it; it returns the loss."""
    optimizer = make_optimizer(model, recipe)
    generator = torch.Generator().manual_seed(0)
    device = next(model.parameters()).device
    model.train()

    def step() -> Tensor:
        batch = torch.randperm(SHAPES, generator=generator)[: recipe.batch_size]
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16):
            value, _ = loss(batch, generator)
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        optimizer.step()
        return value.detach()

    return step


def repeated(step: Callable[[], object], times: int = STEPS) -> Callable[[], None]:
    def call() -> None:
        for _ in range(times):
            step()

    return call


@dataclass(frozen=True, eq=False)
class Task:
    """Random clouds with random labels, masks and teacher features; a student's steps on them."""

    encoder: str
    recipe: Recipe
    device: torch.device
    data: PointSet
    packed: np.ndarray
    taught: np.ndarray

    def stepper(self, kind: type[Student], *, bf16: bool) -> tuple[Student, Callable[[], Tensor]]:
        """Build a student, always with the same weights, and its step."""
        torch.manual_seed(0)
        student = classification_student(self.encoder)
        model = kind(student.encoder, student.head).to(self.device)
        loss = student_loss(model, self.data, self.packed, self.taught, self.recipe)
        return model, stepper(model, self.recipe, loss, bf16=bf16)


def make_task(encoder: str, recipe: str = "cpu", device: str = "cpu") -> Task:
    rng = np.random.default_rng(0)
    clouds = rng.normal(size=(SHAPES, POINTS, 3)).astype(np.float32)
    clouds /= np.linalg.norm(clouds, axis=-1, keepdims=True)
    cameras = rng.normal(size=(VIEWS, 3))
    seen = np.einsum("snd,vd->svn", clouds, cameras / np.linalg.norm(cameras, axis=-1, keepdims=True)) > 0.2
    names = tuple(str(label) for label in range(CLASSES))
    return Task(
        encoder=encoder,
        recipe=get_recipe(encoder, recipe),
        device=torch.device(device),
        data=PointSet(clouds, rng.integers(0, CLASSES, SHAPES), names),
        packed=np.packbits(seen, axis=-1),
        taught=rng.random((SHAPES, VIEWS, 512)).astype(np.float16),
    )


def epoch_rows(task: Task, *, target_s: float) -> list[Row]:
    """Time the step as `distill` takes it."""
    recipe, bf16 = task.recipe, has_fast_bf16(task.device)
    model, step = task.stepper(Student, bf16=bf16)
    memory = (rows.peak_gpu_memory if task.device.type == "cuda" else rows.peak_memory)(step)
    (seconds,) = (best / STEPS for best in rows.alternating(repeated(step), repeats=3))
    with networks_timed(model) as spent:
        rows.finish()
        started = time.perf_counter()
        repeated(step)()
        rows.finish()
        whole = time.perf_counter() - started
    what, per_second = size_of(task), recipe.batch_size / seconds
    precision = "bf16 autocast" if bf16 else "float32"
    detail = (
        f"{per_second:.0f} shapes/s, {1000 * seconds:.0f} ms a step, {precision}; reckoned from the best of 3 x 3 steps"
    )
    outside = 100 * (1 - spent["seconds"] / whole)
    return [
        Row(f"epoch of {EPOCH:,}: {what}", "time", EPOCH / per_second, "s", target_s, at_least=False, detail=detail),
        Row(f"training step: {what}", "time outside of the network's forward and backward pass", outside, "%"),
        Row(f"training step: {what}", "peak memory", memory, "MB", detail=precision),
    ]


def twin_rows(task: Task) -> list[Row]:
    """Compare the step with the released form of it: time, memory, and the losses of three steps, which must agree."""
    losses = []
    for kind in (Student, NaiveStudent):
        _, step = task.stepper(kind, bf16=False)
        losses.append([float(step()) for _ in range(3)])  # later steps show whether the gradients agree too
    difference = float(np.abs(np.subtract(*losses) / losses[0]).max())
    if difference > 1e-3:
        raise AssertionError(f"The twin's losses differ by {difference:.1e}: the two steps are not the same.")
    _, fast = task.stepper(Student, bf16=False)
    _, naive = task.stepper(NaiveStudent, bf16=False)
    fast_mb, naive_mb = (rows.peak_memory(step) for step in (fast, naive))
    fast_s, naive_s = rows.alternating(fast, naive, repeats=4)
    what = f"training step: {size_of(task)}"
    detail = f"{1000 * fast_s:.0f} ms against {1000 * naive_s:.0f} ms, both float32; losses agree to {difference:.0e}"
    return [
        Row(what, "speed-up over the released form", naive_s / fast_s, "x", detail=detail),
        Row(what, "peak memory in float32", fast_mb, "MB", detail=f"the released form: {naive_mb:.0f} MB"),
    ]


def size_of(task: Task) -> str:
    recipe = task.recipe
    size = f"{recipe.batch_size} shapes, {recipe.points_per_step} points, {recipe.views_per_step} views"
    return f"{task.encoder} distilled, {size}"


@contextmanager
def networks_timed(model: torch.nn.Module) -> Iterator[dict[str, float]]:
    """Add up the seconds of the model's forward passes and of all backward passes."""
    spent = {"seconds": 0.0}
    forward, backward = model.forward, Tensor.backward

    def timed(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*args: Any, **options: Any) -> Any:
            started = time.perf_counter()
            answer = call(*args, **options)
            rows.finish()
            spent["seconds"] += time.perf_counter() - started
            return answer

        return wrapper

    model.forward = timed(forward)
    Tensor.backward = timed(backward)
    try:
        yield spent
    finally:
        model.forward = forward
        Tensor.backward = backward


def teacher_rows() -> list[Row]:
    """Time the image teacher's step."""
    recipe = replace(get_recipe("teacher", "cpu"), rendered_copies=0)
    rng = np.random.default_rng(0)
    size = recipe.input_size
    renders = rng.integers(0, 256, (SHAPES, VIEWS, size, size), dtype=np.uint8)
    torch.manual_seed(0)
    model = ClassificationTeacher(backbone=recipe.backbone, input_size=size)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # a keyword that torch's stubs leave out
    loss = teacher_loss(model, rng.integers(0, CLASSES, SHAPES), renders, recipe)
    step = stepper(model, recipe, loss, bf16=has_fast_bf16(torch.device("cpu")))
    (seconds,) = rows.alternating(repeated(step), repeats=3)
    per_second = recipe.batch_size * STEPS / seconds
    what = f"epoch of {EPOCH:,}: teacher {recipe.backbone}, {size} px, {recipe.views_per_step} views a shape"
    detail = f"{per_second:.0f} shapes/s; reckoned from the best of 3 x 3 steps"
    return [Row(what, "time", EPOCH / per_second, "s", detail=detail)]


def measure() -> list[Row]:
    """Measure PointNet with its twin, DGCNN (whose twin is in bm_edgeconv), and the teacher."""
    pointnet = make_task("pointnet")
    return [
        *epoch_rows(pointnet, target_s=90),
        *twin_rows(pointnet),
        *epoch_rows(make_task("dgcnn"), target_s=600),
        *teacher_rows(),
    ]


def measure_gpu(device: str = "cuda") -> list[Row]:
    """Take the students' steps by the paper's recipes: all points, all views."""
    return [
        *epoch_rows(make_task("pointnet", "paper", device), target_s=1.2),
        *epoch_rows(make_task("dgcnn", "paper", device), target_s=6),
    ]


if __name__ == "__main__":
    rows.run("bm_training", measure, ABOUT, on_gpu=measure_gpu)
