"""What does every benchmark print? Rows with a target, measured the same way everywhere, kept with date and machine."""

from __future__ import annotations

import argparse
import csv
import ctypes
import gc
import json
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeAlias

import torch

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Row:
    """One measured figure.

    Attributes:
        what: The work and its size.
        figure: What was measured of it: "speed-up over the naive twin", "peak memory", "epoch" ...
        value: In `unit`.
        unit: "x", "s", "ms", "MB", "shapes/s" ...
        target: What it should reach; None where the row only informs.
        at_least: Whether larger is better.
        detail: The figures behind it, or why a target is missed.
    """

    what: str
    figure: str
    value: float
    unit: str
    target: float | None = None
    at_least: bool = True
    detail: str = ""

    @property
    def verdict(self) -> str:
        """Say met or missed; nothing where there is no target."""
        if self.target is None:
            return ""
        return "met" if (self.value >= self.target if self.at_least else self.value <= self.target) else "missed"


Measure: TypeAlias = Callable[[], Sequence[Row]]


def alternating(*calls: Callable[[], object], repeats: int = 5) -> list[float]:
    """Time calls in turn, so that a busy moment of the machine hits all of them; the shortest time of each, seconds.

    One untimed round warms caches and compiled kernels.
    """
    times = [float("inf")] * len(calls)
    for attempt in range(repeats + 1):
        for which, call in enumerate(calls):
            started = time.perf_counter()
            call()
            finish()
            if attempt:
                times[which] = min(times[which], time.perf_counter() - started)
    return times


def finish() -> None:
    """Wait for a GPU in use: its kernels run on after the call that ordered them."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


def peak_memory(call: Callable[[], object]) -> float:
    """Measure the most MB that a call adds to this process's resident memory (Linux)."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before_kb = _status("VmRSS")
    call()
    return (_status("VmHWM") - before_kb) * 1024 / 1e6


def peak_gpu_memory(call: Callable[[], object]) -> float:
    """Measure the most MB that a call adds to the memory its tensors hold on the GPU."""
    gc.collect()
    finish()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    call()
    finish()
    return (torch.cuda.max_memory_allocated() - before) / 1e6


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))


def machine() -> str:
    """Name what the rows were measured on; the GPU where one was used."""
    cpu = Path("/proc/cpuinfo")
    lines = cpu.read_text().splitlines() if cpu.exists() else []
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "CPU")
    hardware = f"{os.cpu_count()} cores of {model}"
    if torch.cuda.is_initialized():
        hardware = f"{torch.cuda.get_device_name()}, {hardware}"
    return f"{hardware}, torch {torch.__version__}, Python {platform.python_version()}"


def table(rows: Sequence[Row]) -> str:
    """Lay rows out for reading."""
    lines = [f"{'value':>10} {'':9} {'target':>10}  {'':6}  what"]
    for row in rows:
        target = "" if row.target is None else f"{'>=' if row.at_least else '<='} {row.target:g}"
        lines.append(f"{row.value:10.4g} {row.unit:9} {target:>10}  {row.verdict:6}  {row.what}: {row.figure}")
        if row.detail:
            lines.append(f"{'':40}  {row.detail}")
    return "\n".join(lines)


def record(name: str, rows: Sequence[Row]) -> Path:
    """Append rows to results/NAME.csv with date, commit and machine."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.csv"
    new = not path.exists()
    fixed = [time.strftime("%Y-%m-%d"), _commit(), machine()]
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        if new:
            writer.writerow(
                ["date", "commit", "machine", "what", "figure", "value", "unit", "target", "verdict", "detail"]
            )
        for row in rows:
            target = "" if row.target is None else f"{'>=' if row.at_least else '<='} {row.target:g}"
            writer.writerow(
                [*fixed, row.what, row.figure, f"{row.value:.4g}", row.unit, target, row.verdict, row.detail]
            )
    return path


def _commit() -> str:
    """Name the measured code; "-dirty" where it was changed since, "unknown" without git or a repository."""
    if shutil.which("git") is None:
        return "unknown"

    def ask(*question: str) -> str:
        answer = subprocess.run(["git", *question], cwd=RESULTS.parent, capture_output=True, text=True, check=False)
        return answer.stdout.strip()

    # Rows recorded by an earlier benchmark change no code.
    changed = ask("status", "--porcelain", "--untracked-files=no", "--", ":/", f":!{RESULTS.name}")
    return (ask("describe", "--always", "--exclude", "*") or "unknown") + ("-dirty" if changed else "")


def take_gpu(parser: argparse.ArgumentParser) -> None:
    """Begin to use the GPU, or end the command with a sentence where there is none."""
    if not torch.cuda.is_available():
        parser.error("this torch sees no CUDA device; leave --device out to measure on the CPU")
    torch.cuda.init()


def run(name: str, measure: Measure, about: str, *, on_gpu: Measure | None = None) -> None:
    """Run the command `python -m benchmarks.NAME [--record]`: measure, print, and keep the rows where asked to.

    Args:
        name: Of the module and of its file in results/.
        measure: The rows on a CPU.
        about: One sentence for --help.
        on_gpu: The rows on a GPU (`--device cuda`), where the benchmark has any.
    """
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=about)
    parser.add_argument("--record", action="store_true", help=f"append the rows to benchmarks/results/{name}.csv")
    parser.add_argument("--json", metavar="FILE", help="also write the rows there (`python -m benchmarks` reads them)")
    if on_gpu is not None:
        parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="what to measure on; default: cpu")
    options = parser.parse_args()
    chosen = measure
    if on_gpu is not None and options.device == "cuda":
        take_gpu(parser)
        chosen = on_gpu
    print(f"{machine()}, commit {_commit()}", flush=True)
    rows = chosen()
    if options.json:
        Path(options.json).write_text(json.dumps([asdict(row) for row in rows]), encoding="utf-8")
    print(table(rows))
    if options.record:
        print(f"Recorded in {record(name, rows).relative_to(RESULTS.parent.parent)}.")
