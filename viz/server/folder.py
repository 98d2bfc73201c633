"""Where does this process keep files that it must not leave behind?"""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import signal
import tempfile
import time
from functools import lru_cache
from pathlib import Path
from types import FrameType

_REMOVAL_S = 1.0  # a thread that is still writing may put a file into a folder that is being emptied


class OwnFolder:
    """A folder of this process alone, locked while it lives; folders of ended processes are swept.

    The lock ends with the process, however it ends, so no server deletes what another one is using.

    Args:
        above: Where the folders of all this user's servers lie; the system's temporary folder by default.

    Raises:
        OSError: That folder is somebody else's.
    """

    def __init__(self, above: Path | None = None) -> None:
        above = above or Path(tempfile.gettempdir()) / f"pointmcd-studio-{os.getuid()}"
        above.mkdir(mode=0o700, parents=True, exist_ok=True)
        if above.is_symlink() or above.stat().st_uid != os.getuid():
            raise OSError(f"{above} is somebody else's: set TMPDIR to a folder of your own.")
        with (above / "lock").open("w") as door:
            fcntl.flock(door, fcntl.LOCK_EX)  # so that no other server sweeps a half-made folder
            for folder in above.iterdir():
                if folder.is_dir() and not folder.is_symlink() and _is_left(folder):
                    shutil.rmtree(folder, ignore_errors=True)
            self.path = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=above)).resolve()
            self._lock = (self.path / "lock").open("w")
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        for name in ("uploads", "reading"):
            (self.path / name).mkdir()

    @property
    def uploads(self) -> Path:
        """Return the folder of what visitors send and download."""
        return self.path / "uploads"

    @property
    def reading(self) -> Path:
        """Return the folder of forms still arriving and files being read."""
        return self.path / "reading"

    def remove(self) -> None:
        """Delete the folder with everything in it."""
        until = time.monotonic() + _REMOVAL_S
        while self.path.exists() and time.monotonic() < until:
            shutil.rmtree(self.path, ignore_errors=True)
        self._lock.close()


def _is_left(folder: Path) -> bool:
    """Say whether the folder's process has ended."""
    try:
        with (folder / "lock").open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


@lru_cache(maxsize=1)
def own_folder() -> OwnFolder:
    """Make this process's folder on the first call; it goes when the process ends."""
    folder = OwnFolder()
    atexit.register(folder.remove)
    return folder


def leave_nothing_on_signals() -> None:
    """End the process at once on SIGTERM and SIGINT, and leave neither files nor readers behind.

    A reader ends by itself when the process that waits for it is gone. Nobody is waiting for what is being computed.
    """
    folder = own_folder()
    tempfile.tempdir = str(folder.reading)

    def end(_number: int, _frame: FrameType | None) -> None:
        folder.remove()
        os._exit(0)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
