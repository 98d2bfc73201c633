"""How long does one warm analysis take, stage by stage? 1,024 points, 12 views at 224 px, PointNet, shipped weights.

Run on an idle machine: `python -m benchmarks.bm_analyze`. The last line is the whole over the two forwards that nothing
can avoid (teacher and student).
"""

from __future__ import annotations

import statistics
import time

import torch

from pointmcd import analyze, load_models
from pointmcd.shapes import sample_points
from pointmcd.synthetic import make_shape
from pointmcd.types import Shape

RUNS = 20
TARGET_MS = 350.0  # warm, on two idle cores


def main() -> None:
    """Print the median of each stage over 20 warm runs."""
    models = load_models()
    # A point set, so that the points, not the mesh, decide visibility: the slower path.
    cloud = sample_points(make_shape("chair").shape, count=1024, seed=0)
    shape = Shape(name="chair", vertices=cloud.points.astype("float64"))
    totals, stages = [], []
    for run in range(RUNS + 3):
        started = time.perf_counter()
        analysis = analyze(shape, models)
        if run >= 3:  # the first runs warm the caches
            totals.append(1000 * (time.perf_counter() - started))
            stages.append(analysis.timings_ms)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, device {models.device}")
    print(f"{'stage':12} {'median ms':>10}")
    medians = {name: statistics.median(stage[name] for stage in stages) for name in stages[0]}
    for name, value in medians.items():
        print(f"{name:12} {value:10.1f}")
    whole = statistics.median(totals)
    forwards = medians["teacher"] + medians["student"]
    met = "met" if whole <= TARGET_MS else "missed"
    print(f"{'whole':12} {whole:10.1f}   target {TARGET_MS:.0f}: {met}")
    print(f"whole / (teacher + student): {whole / forwards:.2f}")


if __name__ == "__main__":
    main()
