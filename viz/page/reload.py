"""What does the page open with: the file that this browser had before a reload, an example, or the first one?"""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass, replace

from viz.page.examples import FIRST_EXAMPLE, examples
from viz.page.sources import Source, example_source, own_name_of
from viz.page.visit import Visit

TOKENS_KEPT = 1000  # each is a path and a name


class Tokens:
    """Find a visitor's file again after a reload, which is a new visit, by a token that only that browser holds.

    Only the file's place is kept; the file is deleted at its own time.
    """

    def __init__(self, most: int = TOKENS_KEPT) -> None:
        self.most = most
        self.sources: dict[str, Source] = {}
        self.lock = threading.Lock()

    def keep(self, source: Source) -> Source:
        """Give the file a token that nobody can guess, and forget the oldest of too many files."""
        token = secrets.token_urlsafe(32)
        kept = replace(source, token=token)
        with self.lock:
            self.sources[token] = kept
            while len(self.sources) > self.most:
                del self.sources[next(iter(self.sources))]
        return kept

    def find(self, token: str) -> Source | None:
        with self.lock:
            return self.sources.get(token)


TOKENS = Tokens()


@dataclass(frozen=True)
class Arrival:
    """What a visitor's browser asks for when it opens the page.

    Attributes:
        example: The key of an example that the address bar names.
        up: The axis that the address bar names.
        token: Stands for the visitor's own file that this browser tab showed last; empty where it showed none.
        name: That file's name.
    """

    example: str | None
    up: str
    token: str = ""
    name: str = ""

    @property
    def upload(self) -> Source | None:
        """Find the visitor's own file to show again; None where there was none or it is gone."""
        source = None if self.example else TOKENS.find(self.token)
        return replace(source, up=self.up) if source and source.path.exists() else None

    @property
    def lost(self) -> str | None:
        """Say that the visitor's own file is gone; None where there was none or it is still there."""
        if self.example or not self.token or self.upload:
            return None
        return f"Your file {own_name_of(self.name)} is no longer here; drop it again."


def first_source(arrival: Arrival) -> Source:
    """Choose what the page opens with; the axis of a file that is gone does not turn the example shown instead."""
    up = "auto" if arrival.lost else arrival.up
    return arrival.upload or example_source(arrival.example or FIRST_EXAMPLE, up)


def open_first(visit: Visit, arrival: Arrival) -> None:
    """Open what the page opens with, and say where that is not the file that the visitor had."""
    visit.choose(first_source(arrival))
    visit.refused = visit.refused or arrival.lost


def gallery_index(source: Source) -> int | None:
    """Find the example that the gallery marks: none for a visitor's own file."""
    return list(examples()).index(source.example) if source.example else None
