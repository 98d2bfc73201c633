"""What does the page's address say about the example and the options?"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pointmcd.choices import AUTO
from viz.page.examples import examples
from viz.page.options import ELEVATIONS_DEG, POINTS, SEEDS, UP_TITLES, VIEWS, VISIBILITY_TITLES, Options
from viz.page.sources import Source

_LIMITS = {"views": VIEWS, "points": POINTS, "seed": SEEDS, "elevation_deg": ELEVATIONS_DEG}


def options_from_query(query: Mapping[str, str], *, students: tuple[str, ...]) -> tuple[str | None, str, Options]:
    """Read example, up axis and options from the address; whatever is not valid there keeps its default.

    Args:
        query: The address's parameters.
        students: Names that may be chosen; the first one is the default.

    Returns:
        The example's key or None, the up axis, and the options.
    """
    chosen = Options(student=students[0] if students else Options.student)
    if query.get("student") in students:
        chosen = replace(chosen, student=query["student"])
    if query.get("visibility") in VISIBILITY_TITLES:
        chosen = replace(chosen, visibility=query["visibility"])

    for key, (low, high) in _LIMITS.items():
        text = query.get(key, "")
        if re.fullmatch(r"-?\d{1,10}", text) and low <= int(text) <= high:
            kind = type(getattr(chosen, key))
            number: dict[str, Any] = {key: kind(text)}
            chosen = replace(chosen, **number)

    example, up = query.get("example"), query.get("up", AUTO)
    return example if example in examples() else None, up if up in UP_TITLES else AUTO, chosen


def query_of(source: Source, options: Options) -> dict[str, str | None]:
    """Write what the address has to hold: a value for each choice that is not the default, else None."""
    query: dict[str, str | None] = {"example": source.example}
    query["up"] = None if source.up == AUTO else source.up
    for key, default in vars(Options()).items():
        value = getattr(options, key)
        text = f"{value:g}" if isinstance(value, float) else str(value)
        query[key] = None if value == default else text
    return query
