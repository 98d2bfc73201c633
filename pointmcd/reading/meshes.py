"""Which triangles does an .off, .obj or .stl file hold?"""

from __future__ import annotations

import re

import numpy as np
from jaxtyping import Int

from pointmcd.reading.columns import shape_from_unnamed_columns
from pointmcd.reading.polygons import polygons_from_lines
from pointmcd.reading.table import parse_rows, plain_text
from pointmcd.reading.wording import check_promise, quoted
from pointmcd.types import Shape, ShapeError

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
    text = plain_text(data)
    if b"#" in text:
        text = re.sub(rb"#[^\n]*", b"", text)
    head = re.match(rb"\s*(ST)?(C?)(N?)OFF(?P<binary>[ \t]+BINARY)?\s*(\d+)\s+(\d+)(?:[ \t]+\d+)?[ \t]*(?:\n|$)", text)
    if head is None or head["binary"]:
        raise ShapeError("this is no text OFF file (first line OFF, then the counts): export it again.")
    points, polygons = int(head[5]), int(head[6])
    body = text[head.end() :]
    first_line = text[: head.end()].count(b"\n") + 1
    ends = np.flatnonzero(np.frombuffer(body + b"\n", dtype=np.uint8) == ord("\n"))
    starts = np.concatenate([[0], ends[:-1] + 1])
    filled = np.flatnonzero(ends > starts)
    check_promise(points, len(filled), "point")
    check_promise(polygons, len(filled) - points, "face")
    if not points:
        raise ShapeError("the file holds no points: export it again.")
    block = body[: ends[filled[points - 1]]]
    rows = parse_rows(block, first_line=first_line)
    if rows.shape[1] < 3:
        raise ShapeError(f"line {first_line + int(filled[0])}: {rows.shape[1]} columns; a point needs 3 (x y z).")
    if head[3]:  # NOFF: normals after the coordinates
        rows = np.delete(rows, slice(3, 6), axis=1)
    shape = shape_from_unnamed_columns(rows)
    if not polygons:
        return shape
    first, last = filled[points], filled[points + polygons - 1]
    faces = polygons_from_lines(
        body[starts[first] : ends[last]], first_line=first_line + int(first), counted_lines=True
    )
    return Shape("", shape.vertices, faces, shape.colors, shape.notes)


def read_obj(data: bytes) -> Shape:
    """Read an OBJ mesh, or a point set if it has vertices only; materials and other files are never opened.

    Raises:
        ShapeError: No vertices, or lines that are no points or polygons.
    """
    text = plain_text(data).replace(b"\\\n", b" ")
    if b"#" in text:
        text = re.sub(rb"#[^\n]*", b"", text)
    points = _OBJ_POINT.findall(text)
    if not points:
        raise ShapeError("the file holds no vertices (lines that begin with v): export it again.")
    try:
        rows = parse_rows(b"\n".join(points))
    except ShapeError:
        raise ShapeError(_first_bad_vertex(text)) from None
    if rows.shape[1] < 3:
        raise ShapeError(f"line {_line_of(text, _OBJ_POINT, 0)}: {rows.shape[1]} columns; a vertex needs 3 (x y z).")
    rows = np.delete(rows, 3, axis=1) if rows.shape[1] in (4, 7) else rows  # w, the homogeneous coordinate
    shape = shape_from_unnamed_columns(rows)
    polygons = b"\n".join(_OBJ_FACE.findall(text))
    if not polygons:
        return shape
    if b"/" in polygons:
        polygons = re.sub(rb"/[^\s]*", b"", polygons)
    if b"-" in polygons:
        polygons = _absolute(text, polygons)
    try:
        faces = polygons_from_lines(polygons, first_line=1, counted_lines=False) - 1
    except ShapeError as error:
        place = re.match(r"line (\d+):", str(error))
        if place is None:
            raise
        line = _line_of(text, _OBJ_FACE, int(place[1]) - 1)
        raise ShapeError(f"line {line}{str(error)[place.end() - 1 :]}") from None
    return Shape("", shape.vertices, faces, shape.colors, shape.notes)


def read_stl(data: bytes) -> Shape:
    """Read an ASCII or binary STL mesh; corners at the same place become one vertex.

    Raises:
        ShapeError: No triangles, fewer than promised, or numbers that cannot be read.
    """
    promised = int.from_bytes(data[80:84], "little") if len(data) >= 84 else -1
    if len(data) == 84 + 50 * promised or not re.match(rb"\s*solid", data[:80]):
        if len(data) < 84:
            raise ShapeError("this is no STL file: it is shorter than an STL header, export it again.")
        check_promise(promised, (len(data) - 84) // 50, "triangle")
        triangles = np.frombuffer(data, dtype=_STL_TRIANGLE, count=promised, offset=84)
        corners = triangles["corners"].astype(np.float64).reshape(-1, 3)
    else:
        text = plain_text(data)
        lines = _STL_CORNER.findall(text)
        if not lines:
            raise ShapeError("the file holds no triangles (lines 'vertex x y z'): export it again.")
        try:
            corners = parse_rows(b"\n".join(lines), columns=3)
        except ShapeError as error:
            place = re.match(r"line (\d+):", str(error))
            line = _line_of(text, _STL_CORNER, int(place[1]) - 1) if place else 1
            raise ShapeError(f"line {line}{str(error)[place.end() - 1 if place else 0 :]}") from None
        if len(corners) % 3:
            raise ShapeError(
                f"{len(corners):,} corners do not make whole triangles: the file is cut off, export it again."
            )
    if not len(corners):
        raise ShapeError("the file holds no triangles: export it again.")
    return Shape("", corners, np.arange(len(corners)).reshape(-1, 3), notes=())


def _first_bad_vertex(text: bytes) -> str:
    columns = None
    for match in _OBJ_POINT.finditer(text):
        words = match[1].split()
        line = text.count(b"\n", 0, match.start()) + 1
        for word in words:
            try:
                float(word)
            except ValueError:
                return f"line {line}: {quoted(word)} is not a number: correct or remove that line."
        columns = columns or len(words)
        if len(words) != columns:
            return f"line {line}: {len(words)} columns, expected {columns}: correct or remove that line."
    return "the vertices cannot be read: export the file again."


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
