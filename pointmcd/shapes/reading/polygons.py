"""Which triangles make up a file's polygons?"""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

from pointmcd.records import ShapeError
from pointmcd.shapes.reading.cleaning import MAX_FACES
from pointmcd.shapes.reading.table import filled_lines, parse_rows
from pointmcd.shapes.reading.wording import counted, quoted

_MOST_CORNERS = 5 * MAX_FACES  # more make more triangles than are taken, or belong to too many polygons
_LARGEST_INDEX = 2**53


def check_polygons(polygons: int) -> None:
    """Refuse more polygons than the most triangles that are taken, before they are read one by one."""
    if polygons > MAX_FACES:
        raise ShapeError(f"the mesh has {polygons:,} polygons, the limit is {MAX_FACES:,}: simplify it first.")


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


def polygons_from_lines(
    text: bytes, *, first_line: int, counted_lines: bool, polygons: int | None = None
) -> Int[np.ndarray, "F 3"]:
    """Read one polygon per line and cut it into triangles.

    Args:
        text: Lines of whole numbers.
        first_line: Where the text begins in the user's file, for messages.
        counted_lines: Each line opens with its number of corners and may end with other numbers (.off, .ply);
            otherwise the whole line is corners (.obj).
        polygons: How many there must be, if known.

    Raises:
        ShapeError: A line is no polygon; the message names it. Or other than the expected number of polygons.
    """
    if polygons is not None:
        check_polygons(polygons)
    if not text.strip():
        return np.empty((0, 3), np.int64)
    try:
        rows = parse_rows(text, first_line=first_line)
    except ShapeError:  # lines of different lengths, which is fine for polygons
        rows = np.empty((0, 0))
    whole = np.asarray(np.clip(np.nan_to_num(rows, nan=0.5), -_LARGEST_INDEX, _LARGEST_INDEX), dtype=np.int64)
    if not counted_lines and rows.size and np.array_equal(whole, rows):
        _check_count(len(whole), polygons, first_line)
        return fan(np.full(len(whole), whole.shape[1]), whole.reshape(-1))
    if counted_lines and rows.size and (size := whole[0, 0]) < whole.shape[1] and size >= 0:
        corners = whole[:, : 1 + size]
        if np.array_equal(corners, rows[:, : 1 + size]) and (corners[:, 0] == size).all():
            _check_count(len(corners), polygons, first_line)
            return fan(corners[:, 0], corners[:, 1:].reshape(-1))
    counts, corner_list = _line_by_line(text, first_line=first_line, counted_lines=counted_lines)
    _check_count(len(counts), polygons, first_line)
    return fan(np.asarray(counts, dtype=np.int64), np.asarray(corner_list, dtype=np.int64))


def _check_count(found: int, expected: int | None, first_line: int) -> None:
    if expected is not None and found != expected:
        raise ShapeError(
            f"line {first_line}: {counted(found, 'polygon')} where {expected:,} were expected: "
            "the file is damaged, export it again."
        )


def _line_by_line(text: bytes, *, first_line: int, counted_lines: bool) -> tuple[list[int], list[int]]:
    counts: list[int] = []
    corners: list[int] = []
    for number, line in filled_lines(text, first_line):
        words = line.split()
        try:
            size = int(words.pop(0)) if counted_lines else len(words)
            numbers = [int(word) for word in words[:size]]
            if max(map(abs, numbers), default=abs(size)) > _LARGEST_INDEX or abs(size) > _LARGEST_INDEX:
                raise ValueError
        except ValueError:
            raise ShapeError(f"line {number}: {quoted(line)} is no polygon: export the file again.") from None
        if size < 0 or len(numbers) < size:
            raise ShapeError(
                f"line {number}: a polygon of {counted(size, 'corner')} that names {len(numbers):,}: "
                "the file is damaged, export it again."
            )
        corners.extend(numbers)
        counts.append(size)
        if len(corners) > _MOST_CORNERS:
            raise ShapeError(f"line {number}: more than {_MOST_CORNERS:,} corners up to here: simplify the mesh first.")
    return counts, corners
