"""Which questions wait for which others?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from anyio import CapacityLimiter, to_thread

LONGEST = 128  # questions in the queue, of all visitors together
READERS = 2

# The networks take one visitor at a time (see `shown.analyse`); reading a file does not need them, so two may read
# meanwhile. Shipped examples are read at once: they wait for nobody's file.
MODEL: dict[str, Any] = {"concurrency_limit": 1, "concurrency_id": "model"}
READER: dict[str, Any] = {"concurrency_limit": READERS, "concurrency_id": "reader"}
EXAMPLE: dict[str, Any] = {"concurrency_limit": 2, "concurrency_id": "example"}


def lane(name: str) -> dict[str, Any]:
    """Make a queue without a limit of its own, for questions that `Lanes` holds back."""
    return {"concurrency_limit": None, "concurrency_id": name}


class Lanes:
    """Let examples overtake visitors' own files, which may take long to read."""

    def __init__(self) -> None:
        self._own, self._examples = CapacityLimiter(READERS), CapacityLimiter(4)

    async def run(self, do: Callable[..., Any], *arguments: Any, own_file: bool) -> Any:
        """Call a function in a thread of its lane."""
        return await to_thread.run_sync(do, *arguments, limiter=self._own if own_file else self._examples)
