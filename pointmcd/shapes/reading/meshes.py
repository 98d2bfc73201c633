"""Which triangles does an .off, .obj or .stl file hold?"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
from jaxtyping import Int

from pointmcd.records import Shape, ShapeError
from pointmcd.shapes.reading.columns import shape_from_unnamed_columns, shape_with_colors
from pointmcd.shapes.reading.polygons import check_polygons, polygons_from_lines
from pointmcd.shapes.reading.table import Lines, parse_rows, plain_text, without_comments
from pointmcd.shapes.reading.wording import beyond, check_promise, counted

_OBJ_POINT = re.compile(rb"^[ \t]*v[ \t]+([^\n]*)$", re.MULTILINE)
_OBJ_FACE = re.compile(rb"^[ \t]*f[ \t]+([^\n]*)$", re.MULTILINE)
_BACKWARD = re.compile(rb"-\d{1,18}")
_STL_CORNER = re.compile(rb"^[ \t]*vertex[ \t]+([^\n]*)$", re.MULTILINE | re.IGNORECASE)
_STL_TRIANGLE = np.dtype([("normal", "<f4", (3,)), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])


def read_off(data: bytes) -> Shape:
    """Read an OFF mesh, also with ModelNet's header glued to the counts (`OFF4 2 0`) and with colours (COFF).

    Raises:
        ShapeError: No OFF header, fewer lines than promised, lines that are no points or polygons.
    """
    text = without_comments(plain_text(data))
    head = re.match(
        rb"\s*+(ST)?(C?)(N?)OFF(?P<binary>[ \t]+BINARY)?\s*+(\d{1,18})\s++(\d{1,18})(?:[ \t]++\d++)?[ \t]*(?:\n|$)",
        text,
    )
    if head is None or head["binary"]:
        raise ShapeError("this is no text OFF file (first line OFF, then the counts): export it again.")
    points, polygons = int(head[5]), int(head[6])
    body = text[head.end() :]
    first_line = text[: head.end()].count(b"\n") + 1
    lines = Lines.of(body)
    check_promise(points, len(lines.filled), "point")
    check_promise(polygons, len(lines.filled) - points, "face")
    if not points:
        raise ShapeError("the file holds no points: export it again.")
    line = first_line + int(lines.filled[0])
    rows = parse_rows(lines.block(0, points), first_line=line, rows=points)
    if rows.shape[1] < 3:
        raise ShapeError(f"line {line}: {rows.shape[1]} columns; a point needs 3 (x y z).")
    if head[3]:  # NOFF: normals after the coordinates
        rows = np.delete(rows, slice(3, 6), axis=1)
    if head[2]:  # COFF: colours after them
        shape = shape_with_colors(rows[:, : rows.shape[1] - 2] if head[1] else rows)  # STOFF: two texture coordinates
    else:
        shape = shape_from_unnamed_columns(rows)
    notes = shape.notes + beyond(len(lines.filled) - points - polygons, "face" if polygons else "point")
    faces = None
    if polygons:
        faces = polygons_from_lines(
            lines.block(points, polygons),
            first_line=first_line + int(lines.filled[points]),
            counted_lines=True,
            polygons=polygons,
        )
    return Shape("", shape.vertices, faces, shape.colors, notes)


def read_obj(data: bytes) -> Shape:
    """Read an OBJ mesh, or a point set if it has vertices only; materials and other files are never opened.

    Raises:
        ShapeError: No vertices, or lines that are no points or polygons.
    """
    text = without_comments(plain_text(data).replace(b"\\\n", b" "))
    points = _OBJ_POINT.findall(text)
    if not points:
        raise ShapeError("the file holds no vertices (lines that begin with v): export it again.")
    rows = _in_file(text, _OBJ_POINT, lambda: parse_rows(b"\n".join(points), rows=len(points)))
    if rows.shape[1] < 3:
        raise ShapeError(f"line {_line_of(text, _OBJ_POINT, 0)}: {rows.shape[1]} columns; a vertex needs 3 (x y z).")
    rows = np.delete(rows, 3, axis=1) if rows.shape[1] in (4, 7) else rows  # w, the homogeneous coordinate
    shape = shape_with_colors(rows)
    polygons = b"\n".join(_OBJ_FACE.findall(text))
    if not polygons:
        return shape
    check_polygons(polygons.count(b"\n") + 1)
    if b"/" in polygons:
        polygons = re.sub(rb"/[^\s]*", b"", polygons)
    if b"-" in polygons:
        polygons = _absolute(text, polygons)
    corners = _in_file(text, _OBJ_FACE, lambda: polygons_from_lines(polygons, first_line=1, counted_lines=False))
    faces = corners - 1
    return Shape("", shape.vertices, faces, shape.colors, shape.notes)


def read_stl(data: bytes) -> Shape:
    """Read an ASCII or binary STL mesh; corners at the same place become one vertex.

    Raises:
        ShapeError: No triangles, fewer than promised, or numbers that cannot be read.
    """
    notes: tuple[str, ...] = ()
    if not re.match(rb"\s*solid", data[:80]) or b"\0" in data:  # the free header of a binary STL may say solid too
        if len(data) < 84:
            raise ShapeError("this is no STL file: it is shorter than an STL header, export it again.")
        promised = int.from_bytes(data[80:84], "little")
        check_promise(promised, (len(data) - 84) // 50, "triangle")
        if trailing := len(data) - 84 - 50 * promised:
            notes = (f"Ignored {counted(trailing, 'byte')} after the last triangle.",)
        triangles = np.frombuffer(data, dtype=_STL_TRIANGLE, count=promised, offset=84)
        corners = triangles["corners"].astype(np.float64).reshape(-1, 3)
    else:
        text = plain_text(data)
        lines = _STL_CORNER.findall(text)
        if not lines:
            raise ShapeError("the file holds no triangles (lines 'vertex x y z'): export it again.")
        corners = _in_file(text, _STL_CORNER, lambda: parse_rows(b"\n".join(lines), columns=3, rows=len(lines)))
        if len(corners) % 3:
            raise ShapeError(
                f"{len(corners):,} corners do not make whole triangles: the file is cut off, export it again."
            )
    if not len(corners):
        raise ShapeError("the file holds no triangles: export it again.")
    return Shape("", corners, np.arange(len(corners)).reshape(-1, 3), notes=notes)


def is_binary_stl(data: bytes) -> bool:
    """Tell a binary STL by its length: 80 free bytes, a count, 50 bytes per triangle, and few bytes after them."""
    triangles = int.from_bytes(data[80:84], "little")
    return triangles > 0 and 0 <= len(data) - 84 - 50 * triangles < 50


def _in_file(text: bytes, pattern: re.Pattern[bytes], parse: Callable[[], np.ndarray]) -> np.ndarray:
    """Parse what the pattern found; where the message names the n-th of the lines found, name the file's line."""
    try:
        return parse()
    except ShapeError as error:
        place = re.match(r"line (\d+):", str(error))
        if place is None:
            raise
        line = _line_of(text, pattern, int(place[1]) - 1)
        raise ShapeError(f"line {line}{str(error)[place.end() - 1 :]}") from None


def _line_of(text: bytes, pattern: re.Pattern[bytes], number: int) -> int:
    """Line of the file where the pattern matches for the n-th time."""
    for i, match in enumerate(pattern.finditer(text)):
        if i == number:
            return text.count(b"\n", 0, match.start(1)) + 1
    return 1


def _absolute(text: bytes, polygons: bytes) -> bytes:
    """Replace indices that count back from the vertices read so far (-1 is the last one)."""
    point_starts = np.asarray([match.start() for match in _OBJ_POINT.finditer(text)])
    face_starts = np.asarray([match.start() for match in _OBJ_FACE.finditer(text)])
    known: Int[np.ndarray, " F"] = np.searchsorted(point_starts, face_starts)
    lines = []
    for line, before in zip(polygons.split(b"\n"), known.tolist(), strict=True):
        words = [b"%d" % (int(word) + before + 1) if _BACKWARD.fullmatch(word) else word for word in line.split()]
        lines.append(b" ".join(words))
    return b"\n".join(lines)
