"""Can this file be used? Read in a guarded child process, cleaned and turned upright."""

from __future__ import annotations

import json
import logging
import math
import os
import signal
import subprocess
import sys
import tempfile
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from pointmcd.records import Shape, ShapeError
from pointmcd.shapes.reading import READERS
from pointmcd.shapes.reading.wording import counted

EXTENSIONS = tuple(READERS)

MAX_FILE_BYTES = 100 * 2**20

TIME_LIMIT_S = 60.0

# Waiting is free, so a busy machine gets time; a reader that hangs without computing is stopped anyway.
_WALL_PER_CPU_SECOND = 10

MEMORY_LIMIT_BYTES = 2 * 2**30

# Of 400 ModelNet40 test clouds, PointNet names 89 % by 1,024 points each, 83 % by 128, 62 % by 64 and 4 % by 4.
FEWEST_POINTS = 128

FAR_OUT = 3.0  # times the radius that holds 95 % of the points; see `doubts_about`

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

_registering = threading.Lock()

_running: dict[subprocess.Popen[bytes], bool] = {}  # the readers, and whether `stop_readers` ended them


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


def stop_readers() -> int:
    """End every reader that runs now, so that a program can end at once; who waits for one gets a `ShapeError`.

    Returns:
        How many were ended.
    """
    with _registering:
        running = [child for child in _running if child.poll() is None]
        for child in running:
            _running[child] = True
            _kill(child)
    return len(running)


def doubts_about(points: Float[np.ndarray, "N 3"]) -> list[str]:
    """Say why the networks may not recognise these points: too few, or some so far out that the rest shrinks.

    By the rule for points far out, 5 of the 12,063 ModelNet40 clouds at hand are doubted (0.04 %: radios with long
    aerials and the like), 1 of them when cut to 100 points, and no shipped example.

    Args:
        points: Normalised: the farthest at distance 1.
    """
    doubts = []
    if len(points) < FEWEST_POINTS:
        doubts.append(f"{len(points)} points are few to know a shape by: send {FEWEST_POINTS} or more.")
    radii = np.linalg.norm(points, axis=1)
    usual = float(np.percentile(radii, 95))
    far = int((radii > FAR_OUT * usual).sum())
    if far:
        verb, them = ("lies", "it") if far == 1 else ("lie", "them")
        doubts.append(
            f"{counted(far, 'point')} {verb} far from the rest, up to {1 / usual:.0f} times as far out as 95 % of the "
            f"points, so that the rest is drawn small: remove {them} and send the file again."
        )
    return doubts


def check_shape(shape: Shape) -> None:
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
    """Run `pointmcd.shapes.reading` on the file in a process of its own, and collect its results."""
    home = str(Path(__file__).resolve().parents[2])  # found from a clone, installed, and from any folder
    environment = {key: os.environ[key] for key in ("PATH", "HOME", "LANG", "TMPDIR") if key in os.environ}
    environment |= {
        "PYTHONPATH": os.pathsep.join(filter(None, [home, os.environ.get("PYTHONPATH")])),
        "OMP_NUM_THREADS": "1",  # each thread of a linear-algebra library reserves address space
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
    }
    # Unnamed files leave nothing on disk, however this process ends.
    with tempfile.TemporaryFile() as answer, tempfile.TemporaryFile() as stderr:
        child = _start(
            [sys.executable, "-P", "-m", "pointmcd.shapes.reading", str(file.resolve()), str(math.ceil(time_limit_s)),
             str(memory_limit), str(os.getpid())],
            stdin=subprocess.DEVNULL, stdout=answer, stderr=stderr, cwd=os.sep, env=environment,
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
            was_stopped = _end(child)
        if was_stopped:
            raise ShapeError("reading was stopped before its end: choose the file again.")
        stderr.seek(0)
        trace = stderr.read().decode("utf-8", "replace")[-4000:].strip()
        if trace:
            _log.warning("reader of a %s file: %s", file.suffix, trace)
        answer.seek(0)
        if code:
            _log.warning("reader of a %s file ended with code %d", file.suffix, code)
            if sys.platform != "win32" and code == -signal.SIGXCPU:
                raise ShapeError(
                    f"reading it took more than {math.ceil(time_limit_s)} s of computing and was stopped: "
                    "save fewer points, or save it in a binary format."
                )
            raise ShapeError("the reader crashed on it: the file is probably damaged, export it again.")
        report = json.loads(answer.readline())
        if report["error"]:
            raise ShapeError(report["error"])
        arrays = {name: np.load(answer, allow_pickle=False) for name in report["arrays"]}
        return Shape("", arrays["vertices"], arrays.get("faces"), arrays.get("colors"), tuple(report["notes"]))


def _start(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
    """Start a reader that `stop_readers` can stop."""
    with _registering:
        child = subprocess.Popen(command, **options)
        _running[child] = False
    return child


def _end(child: subprocess.Popen[bytes]) -> bool:
    """Forget a reader, end it if it still runs, and say whether `stop_readers` had ended it."""
    with _registering:
        if child.poll() is None:
            _kill(child)
        return _running.pop(child)


def _kill(child: subprocess.Popen[bytes]) -> None:
    if sys.platform == "win32":
        child.kill()
    else:
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _turned_upright(shape: Shape, up: str, extension: str) -> Shape:
    axis = up if up != "auto" else "y" if extension in _Y_UP else "z"
    rule = _Y_UP.get(extension, f"{extension} files do not say which axis is up")
    reason = rule if up == "auto" else "as asked"
    if axis == "z":
        return replace(shape, notes=(*shape.notes, f"Kept Z as the up axis ({reason})."))
    turned = shape.vertices @ _UPRIGHT[axis].T.astype(np.float64)
    return replace(
        shape, vertices=turned, up=axis, notes=(*shape.notes, f"Turned {axis.upper()}-up to Z-up ({reason}).")
    )


def _printable(name: str, *, longest: int = 120) -> str:
    shown = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in name)
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"
