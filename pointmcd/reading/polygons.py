"""Which triangles make up a file's polygons?"""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

from pointmcd.reading.table import parse_rows
from pointmcd.reading.wording import counted, quoted
from pointmcd.types import ShapeError


def fan(counts: Int[np.ndarray, " P"], corners: Int[np.ndarray, " C"]) -> Int[np.ndarray, "F 3"]:
    """Cut polygons into triangles that share the polygon's first corner; fewer than three corners give none.

    Args:
        counts: Corners of each polygon; they sum to C.
        corners: Vertex index of each corner, polygon after polygon.
    """
    triangles = np.maximum(counts - 2, 0)
    starts = np.cumsum(counts) - counts
    first = np.repeat(starts, triangles)
    step = np.arange(triangles.sum()) - np.repeat(np.cumsum(triangles) - triangles, triangles)
    return np.stack([corners[first], corners[first + step + 1], corners[first + step + 2]], axis=1).astype(np.int64)


def polygons_from_lines(text: bytes, *, first_line: int, counted_lines: bool) -> Int[np.ndarray, "F 3"]:
    """Read one polygon per line and cut it into triangles.

    Args:
        text: Lines of whole numbers.
        first_line: Where the text begins in the user's file, for messages.
        counted_lines: Each line opens with its number of corners and may end with other numbers (.off, .ply);
            otherwise the whole line is corners (.obj).

    Raises:
        ShapeError: A line is no polygon; the message names it.
    """
    if not text.strip():
        return np.empty((0, 3), np.int64)
    try:
        rows = parse_rows(text, first_line=first_line)
    except ShapeError:  # lines of different lengths, which is fine for polygons
        return _ragged(text, first_line=first_line, counted_lines=counted_lines)
    if not counted_lines:
        return fan(np.full(len(rows), rows.shape[1]), _whole(rows).reshape(-1))
    sizes = _whole(rows[:, 0])
    if (sizes != sizes[0]).any() or not 0 <= sizes[0] < rows.shape[1]:
        return _ragged(text, first_line=first_line, counted_lines=counted_lines)
    return fan(sizes, _whole(rows[:, 1 : 1 + sizes[0]]).reshape(-1))


def _ragged(text: bytes, *, first_line: int, counted_lines: bool) -> Int[np.ndarray, "F 3"]:
    counts: list[int] = []
    corners: list[int] = []
    for number, line in enumerate(text.split(b"\n"), start=first_line):
        words = line.split()
        if not words:
            continue
        try:
            size = int(words.pop(0)) if counted_lines else len(words)
            if not 0 <= size <= len(words):
                raise ShapeError(
                    f"line {number}: a polygon of {counted(size, 'corner')} with {len(words):,} numbers after its count: "
                    "the file is damaged, export it again."
                )
            corners.extend(map(int, words[:size]))
        except ValueError:
            raise ShapeError(f"line {number}: {quoted(line)} is no polygon: export the file again.") from None
        counts.append(size)
    return fan(np.asarray(counts, dtype=np.int64), np.asarray(corners, dtype=np.int64))


def _whole(values: np.ndarray) -> np.ndarray:
    whole = np.asarray(np.clip(np.nan_to_num(values, nan=-1.0), -(2**53), 2**53), dtype=np.int64)
    if not np.array_equal(whole, values):
        raise ShapeError("a vertex index is not a whole number: the file is damaged, export it again.")
    return whole
