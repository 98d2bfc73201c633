"""How is a file written so that a kill, a full disk or a second process never leaves half of it?"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4


@contextmanager
def written_whole(path: Path, *, replace: bool = True) -> Iterator[Path]:
    """Offer a file that becomes `path` once it is complete and on the disk.

    Args:
        path: What to write.
        replace: Whether it takes the place of what stands there by then, or leaves it.

    Raises:
        OSError: It cannot be written; the error names `path`, and what stood there is as it was.
    """
    partial = path.with_name(f"{uuid4().hex}.partial_{path.name}")
    try:
        with errors_that_name(path, partial):
            yield partial
            with partial.open("rb+") as file:
                os.fsync(file.fileno())
            if replace:
                partial.replace(path)
            else:
                with suppress(FileExistsError):
                    _link(partial, path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def errors_that_name(path: Path, partial: Path | None = None) -> Iterator[None]:
    """Name the file that a system error is about: "No space left on device" alone does not help.

    Args:
        path: The file to name where the error names none.
        partial: What is written in its place: an error that names this one names `path` too.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename not in (None, str(partial)):
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from error


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock that one process at a time can have; others wait. A process that dies gives it back.

    Args:
        path: An empty file that stays: were it removed, two processes could each lock one of the same name.
    """
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _link(file: Path, path: Path) -> None:
    """Give a file a second name, in one step.

    Raises:
        FileExistsError: The name is taken.
    """
    try:
        os.link(file, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without links: two steps, which two processes may do at the same moment
        if path.exists():
            raise FileExistsError(path) from None
        file.replace(path)
