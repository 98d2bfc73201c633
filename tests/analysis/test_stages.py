"""Is a result kept exactly where the same inputs decided it?"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from pointmcd.analysis.stages import Stages

CPU = torch.device("cpu")


@dataclass(frozen=True, eq=False)
class Record:
    """Is compared by identity, as the project's records are."""

    value: int


RECORD = Record(1)


@pytest.mark.parametrize(
    ("before", "now", "is_kept"),
    [
        ((RECORD, "hpr", 1.5), (RECORD, "hpr", 1.5), True),
        ((RECORD,), (Record(1),), False),
        ((RECORD, "hpr"), (RECORD, "zbuffer"), False),
        ((RECORD, ("a", "b")), (RECORD, ("a", "b")), True),
        ((RECORD, ("a", "b")), (RECORD, ("a",)), False),
        ((RECORD,), (RECORD, "hpr"), False),
    ],
)
def test_a_result_is_kept_if_the_same_records_and_equal_values_decide_it(
    before: tuple[object, ...], now: tuple[object, ...], is_kept: bool
) -> None:
    first = Stages({}, CPU)
    made = first.keep("stage", before, lambda: [1])
    assert (Stages(first.kept, CPU).keep("stage", now, lambda: [1]) is made) == is_kept


def test_another_stage_keeps_nothing_though_the_same_decided_it() -> None:
    first = Stages({}, CPU)
    made = first.keep("one", (1,), lambda: [1])
    assert Stages(first.kept, CPU).keep("other", (1,), lambda: [1]) is not made


def test_what_was_kept_is_kept_for_the_next_one_too() -> None:
    stages = Stages({}, CPU)
    made = stages.keep("stage", (1,), lambda: [1])
    for _ in range(3):
        stages = Stages(stages.kept, CPU)
        assert stages.keep("stage", (1,), lambda: [1]) is made


def test_nothing_is_kept_of_a_stage_that_the_last_analysis_did_without() -> None:
    first = Stages({}, CPU)
    first.keep("stage", (1,), lambda: [1])
    assert Stages(first.kept, CPU).kept == {}


def test_only_a_stage_that_is_computed_is_timed() -> None:
    first = Stages({}, CPU)
    first.keep("sum", (1, 2), lambda: first.timed("add", sum, (1, 2)))
    second = Stages(first.kept, CPU)
    assert second.keep("sum", (1, 2), lambda: second.timed("add", sum, (1, 2))) == 3
    assert (list(first.timings_ms), list(second.timings_ms)) == (["add"], [])
