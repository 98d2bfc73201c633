"""How fast does DGCNN learn with edge convolutions that hold no edges?

Run `python -m benchmarks.bm_edgeconv`; tests/test_students.py holds fast form and twin equal.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from benchmarks import rows
from benchmarks.edge_twin import NaiveStudent
from benchmarks.rows import Row, alternating, peak_memory
from pointmcd.distill import Student, distillation_loss, smoothed_cross_entropy
from pointmcd.recipes import SGD_MOMENTUM, get_recipe

ABOUT = "DGCNN distillation steps against the released formula on CPU: time, peak memory, equal outputs."
VIEWS = 4
TRAINING_SHAPES = 9843  # ModelNet40
Answer = Callable[[nn.Module, Tensor, Tensor], tuple[Tensor, Tensor]]


def fast(student: nn.Module, points: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
    output = student(points, seen)
    return output.logits, output.view_features


def naive(student: nn.Module, points: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
    logits, views = student(points, seen)
    return logits, views


def training_step(student: nn.Module, answer: Answer, *, batch: int, count: int, bf16: bool) -> Callable[[], None]:
    """Make a call that runs one whole step on random shapes: forward, loss, backward, SGD."""
    generator = torch.Generator().manual_seed(0)
    recipe = get_recipe("dgcnn", "cpu")
    points = torch.rand(batch, count, 3, generator=generator) * 2 - 1
    seen = torch.rand(batch, VIEWS, count, generator=generator) < 0.4
    labels = torch.randint(40, (batch,), generator=generator)
    targets = torch.rand(batch, VIEWS, 512, generator=generator)
    optimizer = torch.optim.SGD(student.parameters(), lr=1e-3, momentum=SGD_MOMENTUM, weight_decay=recipe.weight_decay)

    def step() -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            logits, views = answer(student, points, seen)
            task = smoothed_cross_entropy(logits, labels, smoothing=recipe.smoothing)
            loss = recipe.task_weight * task + recipe.distil_weight * distillation_loss(views, targets)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return step


def differences(batch: int, count: int) -> tuple[float, float]:
    """Tell how far fast and naive outputs in training lie from the twin's in float64, in shares of mean magnitude."""
    torch.manual_seed(0)
    student = Student("dgcnn").train()
    twin = NaiveStudent(student).train()
    exact = copy.deepcopy(twin).double()
    generator = torch.Generator().manual_seed(1)
    points = torch.rand(batch, count, 3, generator=generator) * 2 - 1
    seen = torch.rand(batch, VIEWS, count, generator=generator) < 0.4
    with torch.no_grad():
        truth = naive(exact, points.double(), seen)
        found = fast(student, points, seen), naive(twin, points, seen)
    ours, theirs = (
        max(float((value - true).abs().max() / true.abs().mean()) for value, true in zip(outputs, truth, strict=True))
        for outputs in found
    )
    return ours, theirs


def measure() -> list[Row]:
    torch.manual_seed(0)
    student = Student("dgcnn").train()
    twin = NaiveStudent(student).train()
    half = copy.deepcopy(student)
    what = f"DGCNN training step, B=16 N=1024 V={VIEWS}"
    slow = training_step(twin, naive, batch=16, count=1024, bf16=False)
    quick = training_step(student, fast, batch=16, count=1024, bf16=False)
    quick_half = training_step(half, fast, batch=16, count=1024, bf16=True)
    slow_s, quick_s, half_s = alternating(slow, quick, quick_half, repeats=2)
    ours, theirs = differences(8, 512)
    memory = {name: peak_memory(call) for name, call in (("fast", quick), ("bf16", quick_half), ("twin", slow))}
    result = [
        Row(what, "speed-up over the naive twin", slow_s / quick_s, "x", 4.0,
            detail=f"{1000 * slow_s:.0f} ms -> {1000 * quick_s:.0f} ms, {16 / quick_s:.1f} shapes/s"),
        Row(what, "speed-up in bfloat16 autocast over the twin in float32", slow_s / half_s, "x",
            detail=f"{1000 * half_s:.0f} ms, {16 / half_s:.1f} shapes/s"),
        Row(what, "peak memory", memory["fast"], "MB",
            detail=f"twin {memory['twin']:.0f} MB, bfloat16 {memory['bf16']:.0f} MB"),
        Row("DGCNN outputs in training, B=8 N=512", "largest difference from the twin in float64", ours,
            "of mean", 1e-4, at_least=False, detail=f"twin in float32: {theirs:.1e}"),
    ]  # fmt: skip
    recipe = get_recipe("dgcnn", "cpu")
    size, count = recipe.batch_size, recipe.points_per_step
    for name, bf16 in (("float32", False), ("bfloat16 autocast", True)):
        (seconds,) = alternating(training_step(half, fast, batch=size, count=count, bf16=bf16), repeats=4)
        epoch = TRAINING_SHAPES / size * seconds
        result.append(
            Row(f"DGCNN distillation steps of an epoch of {TRAINING_SHAPES} shapes, B={size} N={count}, {name}",
                "epoch", epoch, "s", 600, at_least=False, detail=f"{size / seconds:.1f} shapes/s, without data"),
        )  # fmt: skip
    return result


if __name__ == "__main__":
    rows.run("bm_edgeconv", measure, ABOUT)
