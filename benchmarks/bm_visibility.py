"""How well, and how fast, do hidden point removal and the z-buffer find what ray casting finds?

Run `python -m benchmarks.bm_visibility`; tests/test_visibility.py holds the agreement printed here.
"""

from __future__ import annotations

import platform
import subprocess
import time
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from pointmcd.cameras import ring
from pointmcd.render import render_points
from pointmcd.shapes import sample_points
from pointmcd.synthetic import ANALYTIC, make_shape
from pointmcd.visibility import visible_points


@dataclass(frozen=True)
class Agreement:
    """One row: how a method's masks compare with ray casting, mean over views; milliseconds are of one view."""

    shape: str
    method: str
    precision: float
    recall: float
    iou: float
    view_ms: float


def compare(found: Bool[np.ndarray, "V N"], truth: Bool[np.ndarray, "V N"]) -> tuple[float, float, float]:
    """Precision, recall and IoU, each the mean over views; 1 where there is nothing to find and nothing is found."""
    both = (found & truth).sum(axis=1)
    return tuple(
        float(np.where(total > 0, both / np.maximum(total, 1), 1.0).mean())
        for total in (found.sum(axis=1), truth.sum(axis=1), (found | truth).sum(axis=1))
    )


def agreement(points: int, *, seed: int = 0, repeats: int = 1) -> list[Agreement]:
    """Compare each method with ray casting on the eight analytic shapes from the default ring."""
    cameras = ring()
    rows = []
    for name in ANALYTIC:
        cloud = sample_points(make_shape(name).shape, count=points, seed=seed)
        renders = render_points(cloud.points, cameras)
        truth = visible_points(cloud, cameras, method="raycast").mask
        for method in ("raycast", "hpr", "zbuffer"):
            times = []
            for _ in range(repeats):
                start = time.perf_counter()
                found = visible_points(cloud, cameras, method=method, renders=renders)
                times.append(time.perf_counter() - start)
            view_ms = 1000 * min(times) / len(cameras.world_to_camera)
            rows.append(Agreement(name, method, *compare(found.mask, truth), view_ms))
    return rows


def mean_of(rows: list[Agreement], method: str) -> Agreement:
    """Average a method's rows over the shapes."""
    own = [row for row in rows if row.method == method]
    figures = np.mean([(row.precision, row.recall, row.iou, row.view_ms) for row in own], axis=0)
    return Agreement("mean", method, *(float(figure) for figure in figures))


def main() -> None:
    """Print the tables for 1,024 and 2,048 points."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    print(
        f"{time.strftime('%Y-%m-%d')}, {platform.machine()}, Python {platform.python_version()}, commit {commit.stdout}"
    )
    for points in (1024, 2048):
        rows = agreement(points, repeats=5)
        rows += [mean_of(rows, method) for method in ("raycast", "hpr", "zbuffer")]
        print(f"N={points}, V=12, renders given\n{'shape':9} {'method':8} precision recall   IoU  ms/view")
        for row in rows:
            figures = f"{row.precision:9.2f} {row.recall:6.2f} {row.iou:5.2f} {row.view_ms:8.2f}"
            print(f"{row.shape:9} {row.method:8} {figures}")


if __name__ == "__main__":
    main()
