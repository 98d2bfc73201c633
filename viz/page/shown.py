"""What does the page show now, and how is it computed from what it showed before?"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from pointmcd.records import Analysis
from viz.page.loading import Models
from viz.page.options import Options
from viz.page.sources import Opened

_ANALYSING = threading.Lock()  # one analysis takes all cores: two at once would both take longer


@dataclass(frozen=True, eq=False)
class Shown:
    """A shape, analysed with some options."""

    opened: Opened
    options: Options
    analysis: Analysis


def analyse(opened: Opened, options: Options, models: Models, *, before: Shown | None = None) -> Shown:
    """Run the one direct pass, and reuse whatever it has in common with what was shown before.

    Raises:
        UserError: The shape cannot be analysed, or the student has no usable weights.
    """
    from pointmcd.analysis.analyze import analyze

    previous = before.analysis if before else None
    with _ANALYSING:
        return Shown(opened, options, analyze(opened.shape, models, **vars(options), previous=previous))
