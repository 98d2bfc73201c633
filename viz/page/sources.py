"""Where does a shape come from, and how is it read from there?"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pointmcd.records import Shape, ShapeError
from pointmcd.shapes.load import load_shape
from viz.page.examples import examples

LONGEST_NAME = 120
EXAMPLES_KEPT = 128  # each may be kept once for every axis up


@dataclass(frozen=True)
class Source:
    """Where a shape comes from.

    Attributes:
        path: The file on this machine.
        name: Its name as the visitor knows it: text, never to be put into HTML.
        up: "auto", "z", "y" or "x".
        example: The example's key in the address bar; None for the visitor's own file.
        token: Lets the visitor's browser find its own file again after a reload; None for an example.
    """

    path: Path
    name: str
    up: str = "auto"
    example: str | None = None
    token: str | None = None


@dataclass(frozen=True, eq=False)
class Opened:
    """A shape that was read, and from where."""

    source: Source
    shape: Shape


def example_source(key: str, up: str) -> Source:
    """Point to a shipped example.

    Raises:
        KeyError: There is no such example.
    """
    path = examples()[key]
    return Source(path, path.name, up, key)


def own_name_of(name: str) -> str:
    """Drop a file name's folders, and what is too long."""
    return Path(name).name[:LONGEST_NAME]


def open_source(source: Source) -> Opened:
    """Read a shape; shipped examples are kept in memory, a visitor's file never is.

    Raises:
        ShapeError: The file cannot be used.
    """
    if not source.path.exists():
        raise ShapeError(f"{source.name} is no longer on the server; please upload it again.")

    read = _read_example if source.example else _read
    return Opened(source, read(source.path, source.up, source.name))


def _read(path: Path, up: str, name: str) -> Shape:
    return load_shape(path, up=up, name=name)


@lru_cache(maxsize=EXAMPLES_KEPT)
def _read_example(path: Path, up: str, name: str) -> Shape:
    return load_shape(path, up=up, name=name)
