"""Which points and triangles does a .ply file hold?"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Int

from pointmcd.records import Shape, ShapeError
from pointmcd.shapes.reading.columns import shape_from_named_columns
from pointmcd.shapes.reading.polygons import fan, polygons_from_lines
from pointmcd.shapes.reading.table import Lines, parse_rows, plain_text
from pointmcd.shapes.reading.wording import beyond, check_promise, quoted

_MOST_HEADER_BYTES = 64 * 1024
_TYPES = {
    **{"char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4", "float": "f4"},
    **{"int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4", "float32": "f4"},
    **{"double": "f8", "float64": "f8"},
}
_MOST_LISTS = 12_000_000  # in a binary file, walked one by one: two for each of twice as many faces as may be drawn
_FACE_LISTS = ("vertex_indices", "vertex_index")


@dataclass
class _Property:
    name: str
    kind: str  # numpy type of a value
    count_kind: str = ""  # numpy type of the length, for a list


@dataclass
class _Element:
    name: str
    count: int
    properties: list[_Property]

    @property
    def is_flat(self) -> bool:
        return not any(item.count_kind for item in self.properties)

    def smallest(self, text: bool) -> int:
        """Bytes that one row takes at least."""
        if text:
            return 2 * len(self.properties)
        return sum(np.dtype(item.count_kind or item.kind).itemsize for item in self.properties)


def read_ply(data: bytes) -> Shape:
    """Read an ASCII or binary PLY: a mesh if it has faces, else a point set.

    Raises:
        ShapeError: A damaged header, promises the file cannot hold, lines that are no points.
    """
    form, elements, body = _read_header(data)
    room = len(data) - body + (not form)  # a text need not end its last line
    for element in elements:
        check_promise(
            element.count,
            room // max(element.smallest(text=not form), 1) if element.properties else 0,
            "point" if element.name == "vertex" else element.name,
        )
    if form:
        lists = 0
        for element in elements:
            lists += element.count * sum(bool(item.count_kind) for item in element.properties)
        if lists > _MOST_LISTS:
            raise ShapeError(f"the file has {lists:,} lists, the limit is {_MOST_LISTS:,}: simplify the mesh first.")
        return _read_binary(data, body, elements, form)
    return _read_ascii(data, body, elements)


def _read_header(data: bytes) -> tuple[str, list[_Element], int]:
    """Parse the header: byte order ("" for ASCII), elements, offset of the body."""
    end = re.search(rb"(?:^|[\r\n])end_header[ \t]*(\r\n|\n|\r)", data[:_MOST_HEADER_BYTES])
    if not data.startswith(b"ply") or end is None:
        raise ShapeError("this is no PLY file, or its header has no end (end_header): export it again.")
    form: str | None = None
    elements: list[_Element] = []
    for number, line in enumerate(re.split(rb"\r\n|\n|\r", data[: end.start()]), start=1):
        words = line.decode("latin-1").split()
        try:
            match words:
                case ["format", name, *_]:
                    form = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}[name]
                case ["element", name, count]:
                    elements.append(_Element(name, int(count), []))
                case ["property", "list", count_kind, kind, name]:
                    elements[-1].properties.append(_Property(name, _TYPES[kind], _TYPES[count_kind]))
                case ["property", kind, name]:
                    elements[-1].properties.append(_Property(name, _TYPES[kind]))
                case ["ply"] | ["comment", *_] | ["obj_info", *_] | []:
                    pass
                case _:
                    raise KeyError
        except (KeyError, ValueError, IndexError):
            raise ShapeError(f"line {number}: {quoted(line)} is no PLY header line: export the file again.") from None
    if form is None or not any(element.name == "vertex" for element in elements):
        raise ShapeError("the PLY header names no format or no vertex element: export the file again.")
    return form, elements, end.end()


def _read_binary(data: bytes, offset: int, elements: list[_Element], order: str) -> Shape:
    shape: Shape | None = None
    faces = None
    ignored = []
    for element in elements:
        if element.is_flat:
            dtype = np.dtype([(f"{i} {item.name}", order + item.kind) for i, item in enumerate(element.properties)])
            check_promise(element.count, (len(data) - offset) // max(dtype.itemsize, 1), _noun(element))
            rows = np.frombuffer(data, dtype=dtype, count=element.count, offset=offset) if dtype.itemsize else None
            offset += dtype.itemsize * element.count
            if element.name == "vertex" and rows is not None:
                shape = shape_from_named_columns({name.split(" ", 1)[1]: rows[name] for name in dtype.names or ()})
            elif element.count:
                ignored.append(element.name)
        else:
            offset, polygons = _walk_lists(data, offset, element, order)
            if element.name == "face":
                faces = polygons
            elif element.name == "vertex":
                raise ShapeError("the points have lists as properties: export the file again without them.")
            elif element.count:
                ignored.append(element.name)
    return _assembled(shape, faces, ignored)


def _walk_lists(data: bytes, offset: int, element: _Element, order: str) -> tuple[int, Int[np.ndarray, "F 3"] | None]:
    """Read an element with lists: where it ends, and its triangles if one list holds vertex indices."""
    wanted = next(
        (i for i, item in enumerate(element.properties) if item.name in _FACE_LISTS and item.count_kind), None
    )
    fields = []
    for i, item in enumerate(element.properties):
        if item.count_kind:
            fields += [(f"{i} count", order + item.count_kind), (f"{i}", order + item.kind, (3,))]
        else:
            fields += [(f"{i}", order + item.kind)]
    triangle = np.dtype(fields)
    lists = [i for i, item in enumerate(element.properties) if item.count_kind]
    if len(lists) == 1 and element.count * triangle.itemsize <= len(data) - offset:
        rows = np.frombuffer(data, dtype=triangle, count=element.count, offset=offset)
        if (rows[f"{lists[0]} count"] == 3).all():
            found = rows[f"{wanted}"].astype(np.int64) if wanted is not None else None
            return offset + triangle.itemsize * element.count, found
    return _walk_ragged_lists(data, offset, element, order, wanted)


def _walk_ragged_lists(
    data: bytes, offset: int, element: _Element, order: str, wanted: int | None
) -> tuple[int, Int[np.ndarray, "F 3"] | None]:
    """Step through rows of different lengths one by one."""
    endian: Literal["little", "big"] = "little" if order == "<" else "big"
    steps = [
        (i == wanted, np.dtype(item.kind).itemsize, np.dtype(item.count_kind).itemsize if item.count_kind else 0)
        for i, item in enumerate(element.properties)
    ]
    starts: list[int] = []
    counts: list[int] = []
    for row in range(element.count):
        for is_wanted, size, count_size in steps:
            length = 1
            if count_size:
                length = int.from_bytes(data[offset : offset + count_size], endian)
                offset += count_size
            if is_wanted:
                starts.append(offset)
                counts.append(length)
            offset += size * length
        if offset > len(data):
            raise ShapeError(
                f"the file ends inside {element.name} {row + 1:,} of {element.count:,}: it is cut off, export it again."
            )
    if wanted is None:
        return offset, None
    kind = np.dtype(order + element.properties[wanted].kind)
    sizes, begins = np.asarray(counts, dtype=np.int64), np.asarray(starts, dtype=np.int64)
    within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    places = np.repeat(begins, sizes) + within * kind.itemsize
    content = np.frombuffer(data, dtype=np.uint8)
    corners = content[places[:, None] + np.arange(kind.itemsize)].copy().view(kind).reshape(-1)
    return offset, fan(sizes, corners.astype(np.int64))


def _read_ascii(data: bytes, body: int, elements: list[_Element]) -> Shape:
    first_line = len(plain_text(data[:body]).split(b"\n"))
    text = plain_text(data[body:])
    lines = Lines.of(text)
    used, last = 0, ""
    shape: Shape | None = None
    faces = None
    ignored = []
    for element in elements:
        check_promise(element.count, len(lines.filled) - used, _noun(element))
        if not element.count:
            continue
        block = lines.block(used, element.count)
        line = first_line + int(lines.filled[used])
        used, last = used + element.count, _noun(element)
        if element.name == "vertex":
            if not element.is_flat:
                raise ShapeError("the points have lists as properties: export the file again without them.")
            rows = parse_rows(block, first_line=line, columns=len(element.properties), rows=element.count)
            shape = shape_from_named_columns(
                {
                    item.name: rows[:, i].astype(item.kind) if item.kind[0] == "u" else rows[:, i]
                    for i, item in enumerate(element.properties)
                }
            )
        elif element.name == "face" and element.properties and element.properties[0].name in _FACE_LISTS:
            faces = polygons_from_lines(block, first_line=line, counted_lines=True, polygons=element.count)
        else:
            ignored.append(element.name)
    return _assembled(shape, faces, ignored, beyond(len(lines.filled) - used, last))


def _assembled(
    shape: Shape | None, faces: Int[np.ndarray, "F 3"] | None, ignored: list[str], more: tuple[str, ...] = ()
) -> Shape:
    if shape is None:
        raise ShapeError("the file holds no points: export it again.")
    notes = shape.notes
    if ignored:
        notes += (f"Ignored: {', '.join(quoted(name)[1:-1] for name in ignored[:8])}.",)
    return Shape("", shape.vertices, faces if faces is not None and len(faces) else None, shape.colors, notes + more)


def _noun(element: _Element) -> str:
    return "point" if element.name == "vertex" else quoted(element.name)[1:-1]
