"""What did one visitor choose, and what does that visitor see?"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from pointmcd.records import UserError
from viz.page.shown import Shown
from viz.page.sources import Opened, Source, open_source

_CHOOSING = threading.Lock()  # held for a moment, by all visits: Gradio copies a visit, and a lock cannot be copied


@dataclass(eq=False)
class Visit:
    """What one visitor chose and sees: kept on the server, seen by nobody else.

    The events of a visit overlap: an example may be picked while a large file is still being read. So choices are
    counted, and none replaces the shape of a later one.

    Attributes:
        choices: How many were made.
        standing: The choices that were not refused, by their count, from the opened one on.
        refused: Why the newest choice was refused; None where it was not, or where the visitor has moved on.
        opened: The shape of the newest choice that has been read.
        opened_by: Which choice that was, counted from 1.
        shown: What the page shows; soon `opened` with the chosen options.
    """

    choices: int = 0
    standing: dict[int, Source] = field(default_factory=dict)
    refused: str | None = None
    opened: Opened | None = None
    opened_by: int = 0
    shown: Shown | None = None

    @property
    def wanted(self) -> Source | None:
        """Name the newest choice that was not refused."""
        standing = self.standing  # replaced as a whole, never changed: it may be read at any moment
        return standing[max(standing)] if standing else None

    def choose(self, source: Source) -> str | None:
        """Read a shape and open it; return a sentence where it is refused. The opened one then stays."""
        with _CHOOSING:
            self.choices = number = self.choices + 1
            self.standing, self.refused = {**self.standing, number: source}, None

        try:
            opened = open_source(source)
        except UserError as error:
            with _CHOOSING:
                if self.wanted is source:
                    self.refused = str(error)
                self.standing = {count: other for count, other in self.standing.items() if count != number}
            return self.refused

        with _CHOOSING:
            if number > self.opened_by:
                self.opened, self.opened_by = opened, number
                self.standing = {count: later for count, later in self.standing.items() if count >= number}
        return None
