"""What does this machine reach? `python -m benchmarks [--device cuda] [--record] [NAME ...]` prints one table.

Each benchmark runs in its own process, so none pays for another's memory or profits from its warm caches.
"""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import rows
from benchmarks.rows import Row

HERE = Path(__file__).parent
NAMES = tuple(path.stem for path in sorted(HERE.glob("bm_*.py")))


def main() -> int:
    """Run the benchmarks; return 1 where one of them broke, whatever the figures are."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Run the benchmarks, print one table.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"default: all of {', '.join(NAMES)}")
    parser.add_argument("--record", action="store_true", help="append the rows to benchmarks/results/")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="what to measure on; default: cpu")
    options = parser.parse_args()
    if options.device == "cuda":
        rows.take_gpu(parser)
    unknown = set(options.names) - set(NAMES)
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    found: list[Row] = []
    broken = []
    for name in options.names or [name for name in NAMES if options.device == "cpu" or has_gpu_rows(name)]:
        started = time.perf_counter()
        measured = run_alone(name, device=options.device, record=options.record)
        print(f"{name}: {time.perf_counter() - started:.0f} s", flush=True)
        if measured is None:
            broken.append(name)
        else:
            found += measured
    print(f"\n{rows.machine()}\n{rows.table(found)}")
    judged = [row for row in found if row.target is not None]
    print(f"\n{sum(row.verdict == 'met' for row in judged)} of {len(judged)} targets met.")
    if broken:
        print(f"Broke, see above: {', '.join(broken)}.")
    return 1 if broken else 0


def has_gpu_rows(name: str) -> bool:
    """Tell whether a benchmark can be run on a GPU."""
    return hasattr(importlib.import_module(f"benchmarks.{name}"), "measure_gpu")


def run_alone(name: str, *, device: str, record: bool) -> list[Row] | None:
    """Run one benchmark in a fresh process; None where it broke (its error is printed)."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows.json"
        command = [sys.executable, "-m", f"benchmarks.{name}", "--json", str(file), *(["--record"] if record else [])]
        if device != "cpu":
            command += ["--device", device]
        done = subprocess.run(command, cwd=HERE.parent, stdout=subprocess.DEVNULL, check=False)
        if done.returncode:
            return None
        return [Row(**fields) for fields in json.loads(file.read_text(encoding="utf-8"))]


if __name__ == "__main__":
    sys.exit(main())
