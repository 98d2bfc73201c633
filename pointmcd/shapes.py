"""How does a file become the points that the networks read?"""

from __future__ import annotations

import json
import logging
import math
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, UInt8

from pointmcd.reading import READERS
from pointmcd.reading.wording import counted
from pointmcd.types import PointCloud, Shape, ShapeError

EXTENSIONS = tuple(READERS)
MAX_FILE_BYTES = 100 * 2**20
TIME_LIMIT_S = 60.0
# Waiting costs nobody anything, so a busy machine gets time; what hangs without computing is stopped all the same.
_WALL_PER_CPU_SECOND = 10
MEMORY_LIMIT_BYTES = 2 * 2**30

# The rule for "auto": these formats are Y-up, every other is taken as Z-up, as ModelNet40's files are.
_Y_UP = {
    ".glb": ".glb files are Y-up by specification",
    ".obj": ".obj files are Y-up by habit",
}
# Rotations that bring the named axis up: new = matrix @ old.
_UPRIGHT = {
    "x": np.array([[0, 0, -1], [0, 1, 0], [1, 0, 0]]),
    "y": np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]]),
    "z": np.eye(3, dtype=np.int64),
}

_log = logging.getLogger(__name__)


def load_shape(
    path: str | os.PathLike[str],
    *,
    up: str = "auto",
    name: str | None = None,
    time_limit_s: float = TIME_LIMIT_S,
    memory_limit: int = MEMORY_LIMIT_BYTES,
) -> Shape:
    """Read a file, clean what it holds and turn it Z up.

    The file is parsed in a child process, so that a damaged or hostile file costs one error message.

    Args:
        path: A file whose ending is in `EXTENSIONS` and that has at most `MAX_FILE_BYTES`.
        up: The file's axis that points up, in either case: "x", "y", "z", or "auto": Y for .glb and .obj, Z for all
            others.
        name: What to call the shape; the file's name by default.
        time_limit_s: Seconds of computing (whole ones) after which the child process is stopped; by the clock it has
            ten times as long, so that a busy machine refuses no good file.
        memory_limit: Bytes of address space that the child process may use.

    Returns:
        A mesh or a point set, with notes on what was done.

    Raises:
        ShapeError: The file cannot be read or holds no shape; one sentence that opens with the name.
    """
    if not os.fspath(path):
        raise ShapeError("the path is empty: name one file.")
    file = Path(path)
    name = _printable(name or file.name or str(file))
    up, asked = up.lower(), up
    if up not in ("auto", *_UPRIGHT):
        raise ShapeError(f"{name}: the up axis {asked!r} is unknown: choose auto, x, y or z.")
    try:
        _check_file(file)
        shape = _read_in_child(file, time_limit_s=time_limit_s, memory_limit=memory_limit)
    except ShapeError as error:
        raise ShapeError(f"{name}: {error}") from None
    return _turned_upright(replace(shape, name=name), up, file.suffix.lower())


def sample_points(shape: Shape, *, count: int = 1024, seed: int = 0) -> PointCloud:
    """Draw the points that the networks read, and normalise them as ModelNet40's are.

    A mesh is sampled uniformly by area, a point set is thinned at random; then the mean of the points goes to the
    origin and the farthest point to distance 1.

    Args:
        shape: From `load_shape`, or made by hand: finite, at least two distinct points.
        count: Points to draw. A smaller point set gives all it has.
        seed: The same seed draws the same points.

    Returns:
        The cloud; `to_world` leads back to the frame of `shape.vertices`.

    Raises:
        ShapeError: Fewer than three points asked for, a shape without extent, or one that was made by hand and does
            not fit together.
    """
    if count < 3:
        raise ShapeError(f"{shape.name}: {counted(count, 'point')} asked for, a cloud needs at least 3.")
    _check_shape(shape)
    generator = np.random.default_rng(seed)
    middle = shape.vertices.mean(axis=0, dtype=np.float64)
    notes = list(shape.notes)
    # The middle is taken off first, so that large coordinates cost no digits.
    if shape.faces is not None:
        vertices = shape.vertices.astype(np.float64) - middle
        points, colors = _sample_surface(vertices, shape.faces, shape.colors, count, generator)
        notes.append(f"Sampled {counted(count, 'point')} on the surface of {counted(len(shape.faces), 'triangle')}.")
    else:
        total = len(shape.vertices)
        chosen = np.arange(total) if total <= count else generator.choice(total, count, replace=False)
        points = shape.vertices[chosen].astype(np.float64) - middle
        colors = None if shape.colors is None else shape.colors[chosen]
        if total > count:
            notes.append(f"Kept {count:,} of {total:,} points.")
        elif total < count:
            notes.append(f"The file has {counted(total, 'point')}, fewer than {count:,}: all are used.")
    center = points.mean(axis=0)
    points = points - center
    radius = math.sqrt(float(np.einsum("nc,nc->n", points, points).max()))
    if not radius > 0 or not math.isfinite(radius):
        raise ShapeError(f"{shape.name}: the points have no extent: a shape needs at least 3 distinct points.")
    to_world = np.diag([radius, radius, radius, 1.0])
    to_world[:3, 3] = middle + center
    return PointCloud(
        points=(points / radius).astype(np.float32),
        to_world=to_world,
        colors=colors,
        mesh_vertices=None if shape.faces is None else ((vertices - center) / radius).astype(np.float32),
        mesh_faces=shape.faces,
        notes=tuple(notes),
    )


def _check_shape(shape: Shape) -> None:
    """Refuse a shape made by hand that `load_shape` would not have made."""
    vertices, faces = shape.vertices, shape.faces
    if not len(vertices):
        raise ShapeError(f"{shape.name}: the shape has no points: it needs at least 3.")
    if not np.isfinite(vertices).all():
        raise ShapeError(f"{shape.name}: some coordinates are not finite: remove those points.")
    if faces is None:
        return
    if not len(faces):
        raise ShapeError(f"{shape.name}: the mesh has no triangles: give some, or faces=None for a point set.")
    outside = (faces < 0) | (faces >= len(vertices))
    if outside.any():
        row = int(outside.any(axis=1).argmax())
        raise ShapeError(
            f"{shape.name}: triangle {row + 1:,} uses vertex {int(faces[row][outside[row]][0]):,} (counted from 0), "
            f"the mesh has {counted(len(vertices), 'vertex', 'vertices')}: correct the index."
        )


def _check_file(file: Path) -> None:
    """Refuse what no reader needs to look at."""
    try:
        if file.is_dir():
            raise ShapeError("this is a folder: choose one file in it.")
        if not file.is_file():
            raise ShapeError("there is no such file: check the path.")
        size = file.stat().st_size
    except (OSError, ValueError) as error:
        if isinstance(error, ShapeError):
            raise
        raise ShapeError("the file cannot be opened: check the path and its permissions.") from None
    if file.suffix.lower() not in READERS:
        ending = f"the ending {_printable(file.suffix)}" if file.suffix else "a name without an ending"
        raise ShapeError(f"{ending} is not known: use one of {' '.join(EXTENSIONS)}.")
    if not size:
        raise ShapeError("the file is empty: export it again.")
    if size > MAX_FILE_BYTES:
        raise ShapeError(
            f"it has {size / 2**20:,.0f} MB, the limit is {MAX_FILE_BYTES / 2**20:,.0f} MB: save a smaller version."
        )


def _read_in_child(file: Path, *, time_limit_s: float, memory_limit: int) -> Shape:
    """Run `pointmcd.reading` on the file in a process of its own, and collect what it leaves behind."""
    home = str(Path(__file__).resolve().parent.parent)  # found from a clone, installed, and from any folder
    environment = {key: os.environ[key] for key in ("PATH", "HOME", "LANG", "TMPDIR") if key in os.environ}
    environment |= {
        "PYTHONPATH": os.pathsep.join(filter(None, [home, os.environ.get("PYTHONPATH")])),
        "OMP_NUM_THREADS": "1",  # each thread of a linear-algebra library reserves address space
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
    }
    with tempfile.TemporaryDirectory(prefix="pointmcd-") as name:
        folder = Path(name)
        with (folder / "stderr.txt").open("wb") as stderr:
            child = subprocess.Popen(
                [sys.executable, "-P", "-m", "pointmcd.reading", str(file.resolve()), name,
                 str(math.ceil(time_limit_s)), str(memory_limit)],
                stdin=subprocess.PIPE,  # which closes when this process ends, however it ends: then the child goes too
                stdout=subprocess.DEVNULL, stderr=stderr, cwd=name, env=environment,
                start_new_session=True,
            )  # fmt: skip
            wall_limit_s = time_limit_s * _WALL_PER_CPU_SECOND
            try:
                code = child.wait(timeout=wall_limit_s)
            except subprocess.TimeoutExpired:
                raise ShapeError(
                    f"reading it did not end within {wall_limit_s:g} s and was stopped: try again when the machine "
                    "is less busy, or save fewer points."
                ) from None
            finally:
                if child.poll() is None:
                    os.killpg(child.pid, signal.SIGKILL)
                    child.wait()
                assert child.stdin is not None
                child.stdin.close()
        trace = (folder / "stderr.txt").read_text("utf-8", "replace")[-4000:].strip()
        if trace:
            _log.warning("reader of a %s file: %s", file.suffix, trace)
        if not (folder / "report.json").is_file():
            _log.warning("reader of a %s file ended with code %d", file.suffix, code)
            if sys.platform != "win32" and code == -signal.SIGXCPU:
                raise ShapeError(
                    f"reading it took more than {math.ceil(time_limit_s)} s of computing and was stopped: "
                    "save fewer points, or save it in a binary format."
                )
            raise ShapeError("the reader crashed on it: the file is probably damaged, export it again.")
        report = json.loads((folder / "report.json").read_text("utf-8"))
        if report["error"]:
            raise ShapeError(report["error"])

        def array(key: str) -> np.ndarray | None:
            saved = folder / f"{key}.npy"
            return np.load(saved, allow_pickle=False) if saved.is_file() else None

        vertices = array("vertices")
        assert vertices is not None
        return Shape("", vertices, array("faces"), array("colors"), tuple(report["notes"]))


def _turned_upright(shape: Shape, up: str, extension: str) -> Shape:
    axis = up if up != "auto" else "y" if extension in _Y_UP else "z"
    rule = _Y_UP.get(extension, f"{extension} files do not say which axis is up")
    reason = rule if up == "auto" else "as asked"
    if axis == "z":
        return replace(shape, notes=(*shape.notes, f"Kept Z as the up axis ({reason})."))
    turned = shape.vertices @ _UPRIGHT[axis].T.astype(np.float64)
    return replace(shape, vertices=turned, notes=(*shape.notes, f"Turned {axis.upper()}-up to Z-up ({reason})."))


def _sample_surface(
    vertices: Float[np.ndarray, "S 3"],
    faces: Int[np.ndarray, "F 3"],
    colors: UInt8[np.ndarray, "S 3"] | None,
    count: int,
    generator: np.random.Generator,
) -> tuple[Float[np.ndarray, "N 3"], UInt8[np.ndarray, "N 3"] | None]:
    """Draw points uniformly by area; colours are interpolated between the corners."""
    corners = vertices[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    areas = np.cumsum(np.sqrt(np.einsum("fc,fc->f", normals, normals)))
    if not areas[-1] > 0:
        return vertices[:1], None if colors is None else colors[:1]
    chosen = np.searchsorted(areas, generator.random(count) * areas[-1], side="right")
    root, share = np.sqrt(generator.random(count)), generator.random(count)
    weights = np.stack([1 - root, root * (1 - share), root * share], axis=1)  # uniform in the triangle
    points = np.einsum("nk,nkc->nc", weights, corners[chosen])
    if colors is None:
        return points, None
    mixed = np.einsum("nk,nkc->nc", weights, colors[faces[chosen]].astype(np.float64))
    return points, np.round(mixed).astype(np.uint8)


def _printable(name: str, *, longest: int = 120) -> str:
    shown = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in name)
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"
