"""How well, and how fast, do hidden point removal and the z-buffer find what ray casting finds?

Run `python -m benchmarks.bm_visibility`; tests/scene/test_visibility.py checks the agreement printed here.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

import numpy as np
import open3d
from jaxtyping import Bool

from benchmarks import rows
from benchmarks.rows import Row
from pointmcd.data.synthetic import ANALYTIC, make_shape
from pointmcd.scene.cameras import ring
from pointmcd.scene.render import raycast_scene, render_points
from pointmcd.scene.visibility import visible_points
from pointmcd.shapes.sample import sample_points

ABOUT = "Visibility: agreement of hidden point removal and the z-buffer with ray casting, and the time of each."
TITLES = {"raycast": "ray casting", "hpr": "hidden point removal", "zbuffer": "z-buffer"}
RAYS_A_VIEW = 224 * 224


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
    """Compute precision, recall and IoU, means over views; 1 where nothing is there and nothing is found."""
    both = (found & truth).sum(axis=1)
    precision, recall, iou = (
        float(np.where(total > 0, both / np.maximum(total, 1), 1.0).mean())
        for total in (found.sum(axis=1), truth.sum(axis=1), (found | truth).sum(axis=1))
    )
    return precision, recall, iou


def agreement(points: int, *, seed: int = 0, repeats: int = 1) -> list[Agreement]:
    """Compare each method with ray casting on the eight analytic shapes from the default ring."""
    cameras = ring()
    results = []
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
            results.append(Agreement(name, method, *compare(found.mask, truth), view_ms))
    return results


def mean_of(results: list[Agreement], method: str) -> Agreement:
    """Average a method's rows over the shapes."""
    own = [row for row in results if row.method == method]
    figures = np.mean([(row.precision, row.recall, row.iou, row.view_ms) for row in own], axis=0)
    return Agreement("mean", method, *(float(figure) for figure in figures))


def measure() -> list[Row]:
    """Measure agreement and time of each method at 1,024 and 2,048 points, then what threads gain for ray casting."""
    found = []
    for points in (1024, 2048):
        results = agreement(points, repeats=5)
        for method in ("raycast", "hpr", "zbuffer"):
            own, mean = [row for row in results if row.method == method], mean_of(results, method)
            what = f"{TITLES[method]}, {points:,} points, mean over eight shapes"
            if method != "raycast":
                shapes = ", ".join(f"{row.shape} {row.iou:.2f}" for row in own)
                detail = f"precision {mean.precision:.2f}, recall {mean.recall:.2f}; IoU of {shapes}"
                found.append(Row(what, "IoU with ray casting", mean.iou, "", detail=detail))
            found.append(Row(what, "time", mean.view_ms, "ms/view"))
    return [*found, _threads()]


def _threads() -> Row:
    """Cast the rays of a data set's images with one thread and with Open3D's own choice."""
    cloud = sample_points(make_shape("chair").shape, count=1024, seed=0)
    assert cloud.mesh_vertices is not None
    assert cloud.mesh_faces is not None
    scene = raycast_scene(cloud.mesh_vertices, cloud.mesh_faces)
    centers = np.repeat(ring().centers, RAYS_A_VIEW, axis=0)
    targets = np.random.default_rng(0).uniform(-0.6, 0.6, centers.shape)
    rays = open3d.core.Tensor.from_numpy(np.concatenate([centers, targets - centers], axis=1, dtype=np.float32))
    one, all_of_them = rows.alternating(lambda: scene.cast_rays(rays, nthreads=1), lambda: scene.cast_rays(rays))
    million = len(rays) / 1e6
    return Row(
        f"ray casting, {os.cpu_count()} threads (Open3D's own)", "speed", million / all_of_them, "Mrays/s",
        detail=f"{one / all_of_them:.2f} x its speed with one thread",
    )  # fmt: skip


if __name__ == "__main__":
    rows.run("bm_visibility", measure, ABOUT)
