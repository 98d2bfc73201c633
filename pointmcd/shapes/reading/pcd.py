"""Which points does a .pcd file hold?"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from pointmcd.records import Shape, ShapeError
from pointmcd.shapes.reading.columns import shape_from_named_columns
from pointmcd.shapes.reading.table import parse_rows, plain_text
from pointmcd.shapes.reading.wording import beyond, check_promise, quoted

_MOST_HEADER_LINES = 40
_MAX_UNPACKED_BYTES = 512 * 2**20
_MOST_PIECES = 20_000_000  # of compressed bytes; each takes some 0.3 µs


def read_pcd(data: bytes) -> Shape:
    """Read a point set stored as ascii, binary or binary_compressed.

    Raises:
        ShapeError: A damaged header or body, promises the file cannot hold.
    """
    header, body, first_line = _read_header(data)
    names = [name.lower() for name in header["FIELDS"]]
    sizes = _integers(header, "SIZE")
    counts = _integers(header, "COUNT") if "COUNT" in header else [1] * len(names)
    kinds = header.get("TYPE", [])
    if not len(names) == len(sizes) == len(counts) == len(kinds) or min(counts) < 0:
        raise ShapeError("FIELDS, SIZE, TYPE and COUNT of the PCD header differ in length: export the file again.")
    if "POINTS" in header:
        points = _integers(header, "POINTS")[0]
    else:
        points = _integers(header, "WIDTH")[0] * _integers(header, "HEIGHT")[0]
    try:
        dtype = np.dtype(
            [(f"{i}", {"F": "<f", "I": "<i", "U": "<u"}[kind] + str(size), (count,))
             for i, (kind, size, count) in enumerate(zip(kinds, sizes, counts, strict=True))]
        )  # fmt: skip
    except (KeyError, TypeError, ValueError):
        raise ShapeError("the PCD header has an unknown TYPE or SIZE: export the file again.") from None
    storage = header["DATA"][0].lower()
    notes: tuple[str, ...] = ()
    if storage == "ascii":
        columns, lines = _read_ascii(data[body:], names, counts, kinds, points, first_line)
        notes = beyond(lines - points, "point")
    elif storage == "binary":
        check_promise(points, (len(data) - body) // max(dtype.itemsize, 1), "point")
        rows = np.frombuffer(data, dtype=dtype, count=points, offset=body)
        columns = {name: rows[f"{i}"][:, 0] for i, name in enumerate(names) if counts[i] == 1}
    elif storage == "binary_compressed":
        columns = _read_compressed(data[body:], names, counts, dtype, points)
    else:
        raise ShapeError(f"DATA {quoted(storage)} is unknown: save as ascii, binary or binary_compressed.")
    shape = shape_from_named_columns(_unpack_colors({k: v for k, v in columns.items() if k not in ("_", "padding")}))
    return Shape("", shape.vertices, colors=shape.colors, notes=shape.notes + notes)


def _read_header(data: bytes) -> tuple[dict[str, list[str]], int, int]:
    """Parse the header: its fields, the body's offset and the body's first line number."""
    header: dict[str, list[str]] = {}
    offset = 0
    for number in range(1, _MOST_HEADER_LINES + 1):
        end = data.find(b"\n", offset, offset + 65536)
        if end < 0:
            break
        words = data[offset:end].decode("latin-1").split()
        offset = end + 1
        if words and not words[0].startswith("#"):
            header[words[0].upper()] = words[1:]
            if words[0].upper() == "DATA":
                missing = [key for key in ("FIELDS", "SIZE", "TYPE", "DATA") if not header.get(key)]
                if not missing and (header.get("POINTS") or (header.get("WIDTH") and header.get("HEIGHT"))):
                    return header, offset, number + 1
                break
    raise ShapeError("the PCD header is incomplete (FIELDS, SIZE, TYPE, POINTS, DATA): export the file again.")


def _integers(header: dict[str, list[str]], key: str) -> list[int]:
    try:
        numbers = [int(word) for word in header[key]]
    except (KeyError, ValueError):
        numbers = []
    if not numbers:
        raise ShapeError(f"the PCD header has no usable {key}: export the file again.")
    return numbers


def _read_ascii(
    body: bytes, names: list[str], counts: list[int], kinds: list[str], points: int, first_line: int
) -> tuple[dict[str, np.ndarray], int]:
    """Read the first `points` rows by column, and count all rows."""
    check_promise(points, (len(body) + 1) // 2, "point")
    rows = parse_rows(plain_text(body), first_line=first_line, columns=sum(counts))
    check_promise(points, len(rows), "point")
    starts = np.cumsum(counts) - counts
    columns: dict[str, np.ndarray] = {}
    for i, name in enumerate(names):
        if counts[i] == 1:
            values = rows[:points, starts[i]]
            if name in ("rgb", "rgba"):  # packed in an integer, or in the bits of a float
                values = values.astype("<f4") if kinds[i] == "F" else values.astype("<i8").astype("<u4")
            columns[name] = values
    return columns, len(rows)


def _read_compressed(
    body: bytes, names: list[str], counts: list[int], dtype: np.dtype[Any], points: int
) -> dict[str, np.ndarray]:
    if len(body) < 8:
        raise ShapeError("the file ends before its points: it is cut off, export it again.")
    packed, unpacked = struct.unpack_from("<II", body)
    check_promise(packed, len(body) - 8, "compressed byte")
    if unpacked > _MAX_UNPACKED_BYTES or unpacked > packed * 264:  # 3 bytes of LZF unpack to 264 at most
        raise ShapeError("the compressed points would unpack to more than the limit: save the file as DATA binary.")
    if packed > unpacked + unpacked // 16 + 64:  # LZF never grows by more than a byte in 32
        raise ShapeError("the compressed points are damaged: save the file as DATA binary.")
    check_promise(points, unpacked // max(dtype.itemsize, 1), "point")
    content = _unpack_lzf(body[8 : 8 + packed], unpacked)
    columns = {}
    offset = 0
    for i, name in enumerate(names):  # field after field, not point after point
        kind = dtype[f"{i}"].base
        if counts[i] == 1:
            columns[name] = np.frombuffer(content, dtype=kind, count=points, offset=offset)
        offset += kind.itemsize * counts[i] * points
    return columns


def _unpack_lzf(packed: bytes, size: int) -> bytes:
    """Undo LZF compression: literal runs of up to 32 bytes, and copies of up to 264 earlier bytes."""
    out = bytearray()
    at, end = 0, len(packed)
    pieces = 0
    try:
        while at < end and len(out) <= size and pieces < _MOST_PIECES:
            pieces += 1
            control = packed[at]
            at += 1
            if control < 32:
                out += packed[at : at + control + 1]
                at += control + 1
                continue
            length = control >> 5
            if length == 7:
                length += packed[at]
                at += 1
            start = len(out) - ((control & 31) << 8) - packed[at] - 1
            at += 1
            length += 2
            if start < 0:
                raise IndexError
            distance = len(out) - start
            if distance >= length:
                out += out[start : start + length]
            else:  # the copy reads what it writes
                out += (out[start:] * (length // distance + 1))[:length]
    except IndexError:
        out.clear()
    if len(out) != size:
        raise ShapeError("the compressed points are damaged: save the file as DATA binary.")
    return bytes(out)


def _unpack_colors(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    for name in ("rgb", "rgba"):
        if name in columns and columns[name].dtype.itemsize == 4:
            bits = np.ascontiguousarray(columns.pop(name)).view("<u4")
            columns |= {
                "red": (bits >> 16 & 255).astype(np.uint8),
                "green": (bits >> 8 & 255).astype(np.uint8),
                "blue": (bits & 255).astype(np.uint8),
            }
            break
    return columns
