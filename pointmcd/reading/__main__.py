"""What happens in the child process that reads one file? Limits first, then the reader, then plain arrays on disk.

Started by `pointmcd.shapes.load_shape` as `python -m pointmcd.reading FILE FOLDER SECONDS BYTES`. It leaves in FOLDER
`report.json` with either `error` or `notes`, and `vertices.npy`, `faces.npy`, `colors.npy`.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import traceback
from pathlib import Path

import numpy as np

from pointmcd.reading import read_bytes
from pointmcd.reading.cleaning import clean
from pointmcd.types import Shape, ShapeError


def main() -> None:
    """Read the file named on the command line and report."""
    file, folder = Path(sys.argv[1]), Path(sys.argv[2])
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if sys.platform != "win32":
        os.nice(5)  # whoever looks at a picture that is drawn already goes first
    _limit(seconds=int(sys.argv[3]), memory=int(sys.argv[4]))
    try:
        shape = clean(read_bytes(file.read_bytes(), file.suffix.lower()))
    except ShapeError as error:
        _report(folder, error=str(error))
    except MemoryError:
        megabytes = int(sys.argv[4]) // 2**20
        _report(folder, error=f"reading it needs more than {megabytes:,} MB of memory: save a smaller version.")
    except OSError as error:
        _report(folder, error=f"it cannot be opened ({error.strerror}).")
    except Exception:  # noqa: BLE001  whatever a hostile file makes a reader trip over is one sentence, and a log entry
        traceback.print_exc()
        _report(folder, error=f"it is damaged, or not really a {file.suffix.lower()} file: export it again.")
    else:
        _write(folder, shape)


def _write(folder: Path, shape: Shape) -> None:
    np.save(folder / "vertices.npy", shape.vertices, allow_pickle=False)
    if shape.faces is not None:
        np.save(folder / "faces.npy", shape.faces, allow_pickle=False)
    if shape.colors is not None:
        np.save(folder / "colors.npy", shape.colors, allow_pickle=False)
    _report(folder, notes=shape.notes)


def _report(folder: Path, *, error: str = "", notes: tuple[str, ...] = ()) -> None:
    (folder / "report.json").write_text(json.dumps({"error": error, "notes": notes}), encoding="utf-8")


def _end_with_parent() -> None:
    """End when the parent does: nobody would collect what is read."""
    os.read(sys.stdin.fileno(), 1)  # no buffer, whose lock would trouble a normal end
    os._exit(1)


def _limit(*, seconds: int, memory: int) -> None:
    if sys.platform == "win32":  # the parent still has its clock
        return
    import resource

    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))  # SIGXCPU first, which the parent can tell
    for kind, most in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_FSIZE, memory),
        (resource.RLIMIT_CORE, 0),
    ):
        with contextlib.suppress(ValueError, OSError):  # a system without that limit
            resource.setrlimit(kind, (most, most))


if __name__ == "__main__":
    main()
