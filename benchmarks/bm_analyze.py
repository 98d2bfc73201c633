"""How long does an analysis take: stage by stage, of large files, after another one, and as its sizes grow?

Twelve views at 224 px, PointNet, the shipped weights; run on an idle machine: `python -m benchmarks.bm_analyze`.
"""

from __future__ import annotations

import math
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from benchmarks import rows
from benchmarks.rows import Row
from pointmcd import analyze, load_models, load_shape
from pointmcd.data.synthetic import make_shape
from pointmcd.records import Analysis, Shape
from pointmcd.scene.cameras import ring
from pointmcd.scene.render import render_points
from pointmcd.scene.visibility import visible_points
from pointmcd.shapes.sample import sample_points
from pointmcd.weights.models import Models

ABOUT = "One analysis: its stages, large files, what a repetition costs, and how cost grows with the sizes."
WARM_RUNS = 15
GROWTH_RUNS = 3
# The bounds, on two idle cores.
FORWARDS_ALLOWED, MS_BESIDES, MS_ALLOWED = 2.5, 60.0, 350.0
LARGE_FILE_S, LARGE_FILE_MB = 3.0, 1000.0

POINTS_ANALYSED = (1_000, 3_000, 10_000, 50_000)
POINTS_IN_FILE = (1_000, 10_000, 100_000, 1_000_000)
VIEWS = (4, 16, 64)
PIXELS = (112**2, 224**2, 448**2, 896**2)
# An exponent: twice the size takes at most a ninth more than twice the time.
NEARLY_LINEAR = 1.15


def measure() -> list[Row]:
    """Measure everything; about a minute on two idle cores."""
    models = load_models(device="cpu")
    # A point set, so that the points, not the mesh, decide visibility: the slower path.
    points = Shape("chair", sample_points(make_shape("chair").shape, count=1024, seed=0).points.astype(np.float64))
    for shape in (points, make_shape("chair").shape):  # imports, caches and kernels
        analyze(shape, models)
    with TemporaryDirectory(prefix="bm-analyze-") as name:
        return [
            *_stages(points, models),
            *_after_another(points, models),
            *_large_files(Path(name), models),
            *_growth(Path(name), points, models),
        ]


def _stages(shape: Shape, models: Models) -> list[Row]:
    what = "warm analysis of 1,024 points, 12 views"
    totals, stages = _timed_analyses(WARM_RUNS, lambda: analyze(shape, models))
    whole = statistics.median(totals)
    teacher_ms, student_ms = _forwards(analyze(shape, models), models)
    allowed = FORWARDS_ALLOWED * (teacher_ms + student_ms) + MS_BESIDES
    listed = ", ".join(f"{stage} {ms:.1f}" for stage, ms in stages.items())
    over = f"2.5 x (teacher {teacher_ms:.1f} + student {student_ms:.1f}) + {MS_BESIDES:g}"
    return [
        Row(what, "median time", whole, "ms", MS_ALLOWED, at_least=False, detail=f"median ms of each stage: {listed}"),
        Row(what, "median time against the two forwards", whole, "ms", round(allowed), at_least=False, detail=over),
    ]


@torch.inference_mode()
def _forwards(analysis: Analysis, models: Models) -> tuple[float, float]:
    """Time the two networks alone on what an analysis gave them; ms."""
    images = torch.from_numpy(analysis.renders.images).permute(0, 3, 1, 2).float()[None] / 255
    points = torch.from_numpy(analysis.cloud.points)[None]
    mask = torch.from_numpy(analysis.visibility.mask)[None]
    student = models.students[analysis.student_name]
    seconds = rows.alternating(lambda: models.teacher(images), lambda: student(points, mask), repeats=WARM_RUNS)
    return 1000 * seconds[0], 1000 * seconds[1]


def _timed_analyses(runs: int, call: Callable[[], Analysis]) -> tuple[list[float], dict[str, float]]:
    """Run some analyses; return the time of each in ms, and the median of each stage."""
    totals, stages = [], []
    for _ in range(runs):
        started = time.perf_counter()
        stages.append(call().timings_ms)
        totals.append(1000 * (time.perf_counter() - started))
    return totals, {stage: statistics.median(each[stage] for each in stages) for stage in stages[0]}


def _after_another(shape: Shape, models: Models) -> list[Row]:
    """Time a change of the options when the previous analysis is known."""
    before = analyze(shape, models)
    # As after another student's analysis: all is there but the answers of this one.
    scene_and_teacher = ("cameras", "cloud", "renders", "visibility", "teacher")
    of_another = replace(before, kept={stage: before.kept[stage] for stage in scene_and_teacher})
    changes: dict[str, Callable[[], Analysis]] = {
        "nothing": lambda: analyze(shape, models, previous=before),
        "the student": lambda: analyze(shape, models, previous=of_another),
        "the visibility": lambda: analyze(shape, models, visibility="zbuffer", previous=before),
        "the elevation": lambda: analyze(shape, models, elevation_deg=10.0, previous=before),
    }
    fresh, _ = _timed_analyses(WARM_RUNS, lambda: analyze(shape, models))
    found = []
    for change, call in changes.items():
        totals, stages = _timed_analyses(WARM_RUNS, call)
        detail = f"fresh: {statistics.median(fresh):.1f} ms; computed: {', '.join(stages) or 'nothing'}"
        found.append(Row("1,024 points again", f"changing {change}", statistics.median(totals), "ms", detail=detail))
    return found


def _large_files(folder: Path, models: Models) -> list[Row]:
    cloud, mesh = _dented_sphere(1_000_000), _dented_mesh(100_000)
    np.save(folder / "cloud.npy", cloud.vertices.astype(np.float32))
    np.savetxt(folder / "cloud.csv", cloud.vertices, fmt="%.5f", delimiter=",")
    assert mesh.faces is not None
    with (folder / "mesh.obj").open("w") as file:
        np.savetxt(file, mesh.vertices, fmt="v %.6f %.6f %.6f")
        np.savetxt(file, mesh.faces + 1, fmt="f %d %d %d")
    found = []
    for name, what in (
        ("mesh.obj", f"a mesh of {len(mesh.faces):,} faces (.obj)"),
        ("cloud.npy", "a cloud of 1,000,000 points (.npy)"),
        ("cloud.csv", "a cloud of 1,000,000 points (.csv)"),
    ):
        path = folder / name

        def read_and_analyze(path: Path = path) -> Analysis:
            return analyze(load_shape(path), models)

        with _WatchedReaders() as readers:
            own = rows.peak_memory(read_and_analyze)
        totals, _ = _timed_analyses(3, read_and_analyze)
        seconds, peak = statistics.median(totals) / 1000, own + readers.peak_mb
        detail = f"at most: peaks of this process ({own:.0f} over idle) and of its reader ({readers.peak_mb:.0f}) added"
        found += [
            Row(what, "read and analysed", seconds, "s", LARGE_FILE_S, at_least=False),
            Row(what, "memory over idle", peak, "MB", LARGE_FILE_MB, at_least=False, detail=detail),
        ]
    return found


class _WatchedReaders:
    """The highest resident memory of any child process that reads a file while the context is open (Linux)."""

    EVERY_S = 0.004

    def __init__(self) -> None:
        self.peak_mb = 0.0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, args=[threading.get_native_id()], daemon=True)

    def __enter__(self) -> _WatchedReaders:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self, parent: int) -> None:
        children = Path(f"/proc/self/task/{parent}/children")
        while not self._done.wait(self.EVERY_S):
            for child in children.read_text().split():
                with suppress(OSError, StopIteration):  # it has ended
                    # Between fork and exec a child still has this process's memory.
                    if b"pointmcd.shapes.reading" not in Path(f"/proc/{child}/cmdline").read_bytes():
                        continue
                    lines = Path(f"/proc/{child}/status").read_text().splitlines()
                    peak_kb = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
                    self.peak_mb = max(self.peak_mb, peak_kb * 1024 / 1e6)


def _growth(folder: Path, shape: Shape, models: Models) -> list[Row]:
    """Time each size alone, and fit the exponent of its last step: 1 is linear."""
    cloud = _dented_sphere(1_000_000)
    sampled = sample_points(shape, count=1024)

    def file_of(points: int) -> Callable[[], object]:
        path = folder / f"{points}.npy"
        np.save(path, cloud.vertices[:points].astype(np.float32))
        return lambda: analyze(load_shape(path), models)

    def images_of(pixels: int) -> Callable[[], object]:
        cameras = ring(image_size=math.isqrt(pixels))
        return lambda: visible_points(
            sampled, cameras, method="zbuffer", renders=render_points(sampled.points, cameras)
        )

    axes: dict[str, tuple[Sequence[int], Callable[[int], Callable[[], object]]]] = {
        "points analysed": (POINTS_ANALYSED, lambda n: lambda: analyze(cloud, models, points=n)),
        "points in the file, 1,024 analysed": (POINTS_IN_FILE, file_of),
        "views of 1,024 points": (VIEWS, lambda v: lambda: analyze(shape, models, views=v)),
        "pixels an image, renders and z-buffer of 1,024 points": (PIXELS, images_of),
    }
    found = []
    for axis, (sizes, call_of) in axes.items():
        calls = [call_of(size) for size in sizes]
        seconds = rows.alternating(*calls, repeats=GROWTH_RUNS)
        found += [Row(f"{size:,} {axis}", "time", 1000 * s, "ms") for size, s in zip(sizes, seconds, strict=True)]
        step = math.log(seconds[-1] / seconds[-2]) / math.log(sizes[-1] / sizes[-2])
        figure = f"exponent of the time from {sizes[-2]:,} to {sizes[-1]:,}"
        found.append(Row(axis, figure, step, "", NEARLY_LINEAR, at_least=False))
    return found


def _dented_sphere(points: int) -> Shape:
    """Make a point set without a plane in it."""
    directions = np.random.default_rng(0).normal(size=(points, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return Shape("sphere", _dented(directions))


def _dented_mesh(faces: int) -> Shape:
    """Make a closed mesh of about so many faces, on rings about the vertical."""
    side = round(math.sqrt(faces / 2)) + 1
    around, along = np.meshgrid(np.linspace(0, 2 * np.pi, side, endpoint=False), np.linspace(0.01, np.pi - 0.01, side))
    directions = np.stack([np.sin(along) * np.cos(around), np.sin(along) * np.sin(around), np.cos(along)], axis=-1)
    row, column = (index.reshape(-1) for index in np.mgrid[: side - 1, :side])
    here, beside = row * side + column, row * side + (column + 1) % side
    corners = [[here, beside, here + side], [beside, beside + side, here + side]]
    triangles = np.concatenate([np.stack(three, axis=1) for three in corners])
    return Shape("sphere", _dented(directions.reshape(-1, 3)), triangles)


def _dented(directions: np.ndarray) -> np.ndarray:
    return directions * (1 + 0.2 * np.sin(5 * directions[:, :1]) * np.cos(4 * directions[:, 1:2]))


if __name__ == "__main__":
    rows.run("bm_analyze", measure, ABOUT)
