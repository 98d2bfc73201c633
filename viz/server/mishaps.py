"""How do errors reach the log without letting a stranger fill it?"""

from __future__ import annotations

import logging
import sys
import traceback

_log = logging.getLogger(__name__)
_told: set[tuple[str, str, int]] = set()


def tell(error: BaseException, of: str) -> None:
    """Log a mishap: in full the first time at its place in the code, in one line from then on."""
    frames = traceback.extract_tb(error.__traceback__)
    place = (type(error).__name__, frames[-1].filename, frames[-1].lineno or 0) if frames else ("", "", 0)
    first = place not in _told
    _told.add(place)
    message = " ".join(str(error).split())[:200]
    _log.warning("%s: %s: %s", of, type(error).__name__, message, exc_info=error if first else None)


class BriefTraceback:
    """Replaces the module `traceback` where another library prints errors that visitors cause."""

    @staticmethod
    def print_exc() -> None:
        error = sys.exception()
        if error is not None:
            tell(error, "an answer failed")
