"""What need not be computed again? A stage whose inputs are those of the analysis before keeps its result."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar, cast

import torch

from pointmcd.kernels.device import wait_for

P = ParamSpec("P")
R = TypeVar("R")


class Stages:
    """Runs the stages of one analysis, keeps their times in milliseconds, and remembers their results.

    Attributes:
        timings_ms: Of each stage that was timed, so not of one whose result was kept.
        kept: Of each stage what decided its result, and the result: `before` of the next analysis.
    """

    def __init__(self, before: Mapping[str, Any], device: torch.device) -> None:
        self.timings_ms: dict[str, float] = {}
        self.kept: dict[str, tuple[tuple[object, ...], Any]] = {}
        self._before = before
        self._device = device

    def keep(self, stage: str, decided_by: tuple[object, ...], compute: Callable[[], R]) -> R:
        """Take the result from the analysis before if the same decided it, else compute it.

        Args:
            stage: Its name; each is called at most once.
            decided_by: Everything that the result depends on. Records count as the same by identity (so a record that
                was kept decides as before), all else by equality.
            compute: Makes the result.
        """
        found = self._before.get(stage)
        result = cast(R, found[1]) if found and found[0] == decided_by else compute()
        self.kept[stage] = decided_by, result
        return result

    def timed(self, stage: str, compute: Callable[P, R], *arguments: P.args, **options: P.kwargs) -> R:
        started = time.perf_counter()
        result = compute(*arguments, **options)
        wait_for(self._device)
        self.timings_ms[stage] = round(1000 * (time.perf_counter() - started), 2)
        return result
