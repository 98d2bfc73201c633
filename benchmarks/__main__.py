"""What does this machine reach? `python -m benchmarks [--record] [NAME ...]` runs the benchmarks and prints one table.

Each one runs in a process of its own, so that none pays for the memory or the warm caches of another.
"""

from __future__ import annotations

import argparse
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
    """Run the benchmarks; 1 where one of them broke, whatever the figures are."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Run the benchmarks, print one table.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"default: all of {', '.join(NAMES)}")
    parser.add_argument("--record", action="store_true", help="append the rows to benchmarks/results/")
    options = parser.parse_args()
    unknown = set(options.names) - set(NAMES)
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    found: list[Row] = []
    broken = []
    for name in options.names or NAMES:
        started = time.perf_counter()
        measured = run_alone(name, record=options.record)
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


def run_alone(name: str, *, record: bool) -> list[Row] | None:
    """Run one benchmark in a fresh process; None where it broke (its error is printed)."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows.json"
        command = [sys.executable, "-m", f"benchmarks.{name}", "--json", str(file), *(["--record"] if record else [])]
        done = subprocess.run(command, cwd=HERE.parent, stdout=subprocess.DEVNULL, check=False)
        if done.returncode:
            return None
        return [Row(**fields) for fields in json.loads(file.read_text(encoding="utf-8"))]


if __name__ == "__main__":
    sys.exit(main())
