"""When are the networks loaded? Once, on first use, while the page is already there."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pointmcd.records import UserError
from viz.page.options import Options

if TYPE_CHECKING:
    from pointmcd.weights.models import Models as Models
else:
    Models = Any  # importing it imports torch, and the first paint would wait


def once(models: Models | Callable[[], Models]) -> Callable[[], Models]:
    """Turn models or their loader into a function that loads them on its first call, from any thread.

    A loader that fails is called again the next time.
    """
    if not callable(models):
        return lambda: models
    lock = threading.Lock()
    loaded: list[Models] = []

    def get() -> Models:
        with lock:
            if not loaded:
                loaded.append(models())
        return loaded[0]

    return get


def students_with_weights(get_models: Callable[[], Models]) -> tuple[str, ...]:
    """Name the students to offer. Where the networks cannot be loaded, the first analysis says why."""
    try:
        return tuple(get_models().student_names)
    except UserError:
        return (Options.student,)
