"""What happens in the child process that reads one file? Limits first, then the reader, then plain arrays.

Started by `load_shape` as `python -m pointmcd.shapes.reading FILE SECONDS BYTES PARENT`. It prints one line of JSON,
with `error` or with `notes` and the names of the `arrays` that follow in numpy's format.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path

import numpy as np

from pointmcd.records import Shape, ShapeError
from pointmcd.shapes.reading import read_bytes
from pointmcd.shapes.reading.cleaning import clean


def main() -> None:
    """Read the file named on the command line and report."""
    file, megabytes = Path(sys.argv[1]), int(sys.argv[3]) // 2**20
    _end_with(parent=int(sys.argv[4]))
    if sys.platform != "win32":
        os.nice(5)  # visitors who already see a picture go first
    _limit(seconds=int(sys.argv[2]), memory=int(sys.argv[3]))
    try:
        shape = clean(read_bytes(file.read_bytes(), file.suffix.lower()))
    except ShapeError as error:
        _report(error=str(error))
    except MemoryError:
        _report(error=f"reading it needs more than {megabytes:,} MB of memory: save a smaller version.")
    except OSError as error:
        _report(error=f"it cannot be opened ({error.strerror}).")
    except Exception:  # noqa: BLE001  whatever a hostile file makes a reader trip over is one sentence, and a log entry
        traceback.print_exc()
        _report(error=f"it is damaged, or not really a {file.suffix.lower()} file: export it again.")
    else:
        _write(shape)


def _write(shape: Shape) -> None:
    arrays = {"vertices": shape.vertices, "faces": shape.faces, "colors": shape.colors}
    known = {name: array for name, array in arrays.items() if array is not None}
    _report(notes=shape.notes, arrays=tuple(known))
    for array in known.values():
        np.save(sys.stdout.buffer, array, allow_pickle=False)


def _report(*, error: str = "", notes: tuple[str, ...] = (), arrays: tuple[str, ...] = ()) -> None:
    sys.stdout.buffer.write(json.dumps({"error": error, "notes": notes, "arrays": arrays}).encode() + b"\n")
    sys.stdout.buffer.flush()


def _end_with(*, parent: int) -> None:
    """End when the program that asked for the file ends, however it ends."""
    if sys.platform == "linux":
        import ctypes

        end_signal = 1  # PR_SET_PDEATHSIG: the kernel sends it, also while one long call holds Python's lock
        ctypes.CDLL(None).prctl(end_signal, signal.SIGKILL)
    elif sys.platform != "win32":
        threading.Thread(target=_watch, args=[parent], daemon=True).start()
    if sys.platform != "win32" and os.getppid() != parent:  # it ended before it could be watched
        os._exit(1)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
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
