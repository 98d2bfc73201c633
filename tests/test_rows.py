"""Do benchmark rows judge, measure and keep what they say?"""

from __future__ import annotations

import csv
import json
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks import rows
from benchmarks.rows import Row


@pytest.mark.parametrize(
    ("value", "target", "at_least", "verdict"),
    [
        (16, 15, True, "met"),
        (15, 15, True, "met"),
        (14, 15, True, "missed"),
        (14, 15, False, "met"),
        (9, None, True, ""),
    ],
)
def test_a_row_is_met_on_the_right_side_of_its_target(
    value: float, target: float | None, at_least: bool, verdict: str
) -> None:
    row = Row("pooling", "speed-up", value, "x", target=target, at_least=at_least)
    assert row.verdict == verdict
    assert verdict in rows.table([row])


def test_calls_are_timed_in_turn_and_the_first_round_does_not_count() -> None:
    order: list[str] = []

    def slow() -> None:
        order.append("slow")
        time.sleep(0.2 if len(order) <= 2 else 0.02)

    quick, slowed = rows.alternating(lambda: order.append("quick"), slow, repeats=2)
    assert order == ["quick", "slow"] * 3
    assert quick < 0.01
    assert 0.02 <= slowed < 0.1


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from Linux's /proc")
def test_peak_memory_is_what_a_call_held_at_most_although_it_gave_it_back() -> None:
    assert 195 < rows.peak_memory(lambda: np.ones(25_000_000).sum()) < 260


def test_rows_are_kept_with_date_commit_and_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "RESULTS", tmp_path / "results")
    for value in (1.0, 2.0):
        path = rows.record("bm_pool", [Row("pooling", "time", value, "ms", target=1.5, at_least=False)])
    with path.open(encoding="utf-8") as file:
        kept = list(csv.DictReader(file))
    assert [(row["value"], row["target"], row["verdict"]) for row in kept] == [
        ("1", "<= 1.5", "met"),
        ("2", "<= 1.5", "missed"),
    ]
    assert all(row["date"] == time.strftime("%Y-%m-%d") and row["commit"] and "torch" in row["machine"] for row in kept)


def test_without_git_the_measured_code_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "RESULTS", tmp_path / "results")
    monkeypatch.setenv("PATH", str(tmp_path))
    with rows.record("bm_pool", [Row("pooling", "time", 1.0, "ms")]).open(encoding="utf-8") as file:
        assert [row["commit"] for row in csv.DictReader(file)] == ["unknown"]


def test_one_table_holds_the_rows_of_every_benchmark_and_a_broken_one_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from benchmarks import __main__ as runner

    measured = {
        "bm_a": [Row("pooling", "speed-up", 20, "x", target=15)],
        "bm_b": None,
        "bm_c": [Row("page", "first load", 4, "s", target=3, at_least=False), Row("page", "bundle", 1, "KB")],
    }
    monkeypatch.setattr(runner, "NAMES", tuple(measured))
    monkeypatch.setattr(runner, "run_alone", lambda name, device, record: measured[name])
    monkeypatch.setattr(sys, "argv", ["benchmarks"])
    assert runner.main() == 1
    printed = capsys.readouterr().out
    assert "1 of 2 targets met." in printed
    assert "Broke, see above: bm_b." in printed
    assert all(word in printed for word in ("pooling: speed-up", "page: first load", "page: bundle"))


def test_a_benchmark_hands_its_rows_over_as_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = Row("pooling", "speed-up", 20.0, "x", target=15.0, detail="1 ms against 20 ms")
    monkeypatch.setattr(sys, "argv", ["bm_pool", "--json", str(tmp_path / "rows.json")])
    rows.run("bm_pool", lambda: [kept], "about")
    assert [Row(**fields) for fields in json.loads((tmp_path / "rows.json").read_text())] == [kept]
    assert "met" in capsys.readouterr().out


def test_gpu_rows_of_edge_convolutions_are_reckoned_as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same calls on the CPU, at a toy size: a GPU is seldom there, and a benchmark that breaks there is none."""
    from benchmarks import bm_edgeconv

    calls: list[object] = []
    monkeypatch.setattr(bm_edgeconv, "peak_gpu_memory", lambda call: float(calls.append(call()) or len(calls)))
    found = bm_edgeconv.measure_gpu(batch=2, count=32, views=2, device="cpu")
    assert [row.verdict for row in found] == [found[0].verdict, "", "met", "met"]
    assert found[2].value == 1
    assert found[0].target == 8


def test_a_gpu_that_is_not_there_is_named_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["bm_x", "--device", "cuda"])
    monkeypatch.setattr(rows.torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit):
        rows.run("bm_x", list, "x", on_gpu=list)
    assert "this torch sees no CUDA device" in capsys.readouterr().err


def test_on_a_gpu_the_runner_takes_the_benchmarks_that_have_rows_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks import __main__ as runner

    taken: list[tuple[str, str]] = []
    monkeypatch.setattr(sys, "argv", ["benchmarks", "--device", "cuda"])
    monkeypatch.setattr(rows, "take_gpu", lambda parser: None)
    monkeypatch.setattr(runner, "run_alone", lambda name, device, record: taken.append((name, device)) or [])
    assert runner.main() == 0
    assert taken == [(name, "cuda") for name in ("bm_edgeconv", "bm_prepare", "bm_training", "bm_vafp")]
