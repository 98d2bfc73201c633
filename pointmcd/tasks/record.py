"""What makes a task? Its data, its networks, its losses and its metrics: one record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

Figures = dict[str, Tensor]


@runtime_checkable
class TaskLoss(Protocol):
    """Compares a network's output with the targets of the same shapes: the loss, and figures for the log."""

    def __call__(self, output: Any, targets: Tensor, /, *, smoothing: float) -> tuple[Tensor, Figures]: ...


@dataclass(frozen=True)
class Task:
    """Everything in which one task differs from another; training's loop and steps are the same for all.

    Attributes:
        name: As the manifest has it.
        load: Reads a data set from a file.
        teacher: Builds the image network with fresh weights.
        student: Builds a point network with the task's head: `student(encoder, classes=..., isolate_views=...)`.
        teacher_loss: Of the image network's output.
        student_loss: Of the point network's output; distillation and penalty are added for every task alike.
        judge_teacher: Metrics of the image network on renders and their targets, by name.
        judge_student: Metrics of the point network on a data set, by name.
    """

    name: str
    load: Callable[..., Any]
    teacher: Callable[..., Any]
    student: Callable[..., Any]
    teacher_loss: TaskLoss
    student_loss: TaskLoss
    judge_teacher: Callable[..., dict[str, float]]
    judge_student: Callable[..., dict[str, float]]
