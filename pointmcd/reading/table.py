"""Which points does a text of numbers hold?"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from pointmcd.reading.columns import shape_from_named_columns, shape_from_unnamed_columns
from pointmcd.reading.wording import counted, quoted
from pointmcd.types import Shape, ShapeError

_COMMENT = (b"#", b"//", b"%", b"!")
_MOST_HEADER_LINES = 12
# What Windows prints for numbers that are none; its # opens no comment.
_NO_NUMBER = re.compile(
    rb"[-+]?(?:1\.#(?:QNAN|SNAN|IND|INF)\d*(?:e[-+]?\d+)?(?![a-z])|nan\([a-z0-9]*\))", re.IGNORECASE
)
# 0 for what numpy takes as space between numbers, 1 for every other byte.
_IS_FILLED = bytes(not chr(byte).isspace() for byte in range(256))
_DECIMAL_COMMA = re.compile(rb"[-+]?\d+,\d+([eE][-+]?\d+)?")


def read_text(data: bytes, *, intensity_first: bool = False) -> Shape:
    """Read .xyz, .txt, .csv and .asc: one point per line; separator, header and columns are found out.

    Args:
        data: The whole file.
        intensity_first: Of four extra columns, the first is intensity.

    Raises:
        ShapeError: Not text, decimal commas, a line that is no point.
    """
    text = plain_text(data)
    start, line_number, names, promised, headers = _skip_preamble(text)
    body = text[start:]
    first = body.split(b"\n", 1)[0]
    delimiter = next((mark for mark in (b";", b",") if mark in first), b"")
    _refuse_decimal_commas(first, delimiter, line_number)
    body = _without_comments(body)
    if delimiter:
        body = _with_spaces(body, delimiter)
    if b'"' in body:
        body = body.replace(b'"', b"")
    rows = parse_rows(body, first_line=line_number)
    empty = np.isnan(rows[:, 3:]).all(axis=0)
    if delimiter and empty.any():  # a comma closes every line
        rows = np.delete(rows, 3 + np.flatnonzero(empty), axis=1)
    if rows.shape[1] < 3:
        raise ShapeError(
            f"line {line_number}: {counted(rows.shape[1], 'column')}; a point needs at least 3 (x y z), "
            "separated by spaces, tabs, commas or semicolons."
        )
    fields = _fields(names, delimiter)
    if len(fields) == rows.shape[1] and {"x", "y", "z"} <= set(fields):
        shape = shape_from_named_columns({name or f"column {i + 1}": rows[:, i] for i, name in enumerate(fields)})
        headers = []
    else:
        shape = shape_from_unnamed_columns(rows, intensity_first=intensity_first)
    notes = [f"Line {number} read as a header." for number in headers]
    if promised is not None and promised != len(rows):
        notes.append(f"The file says it has {counted(promised, 'point')}, it has {len(rows):,}.")
    return Shape("", shape.vertices, colors=shape.colors, notes=(*notes, *shape.notes))


def read_pts(data: bytes) -> Shape:
    """Read .pts, a text whose convention is a count line, then x y z, intensity, r g b."""
    return read_text(data, intensity_first=True)


def plain_text(data: bytes) -> bytes:
    r"""Take off a byte-order mark, turn UTF-16 into UTF-8, every line end into \n and Windows' spellings of NaN to nan.

    Raises:
        ShapeError: The bytes are no text.
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            data = data.decode("utf-16").encode()
        except UnicodeDecodeError:
            raise ShapeError("this is neither text nor a known binary format: export it again.") from None
    data = data.removeprefix(b"\xef\xbb\xbf")
    if b"\0" in data:
        place = data[: data.index(b"\0")].count(b"\n") + 1
        raise ShapeError(f"line {place}: binary data where text was expected: check the file's ending.")
    if b"1.#" in data or b"nan(" in data.lower():
        data = _NO_NUMBER.sub(b"nan", data)
    return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in data else data


@dataclass(frozen=True, eq=False)
class Lines:
    """Where the lines of a text are, for formats whose header promises a number of them.

    Attributes:
        text: The whole text.
        starts: First byte of each line.
        ends: One past the last byte of each line.
        filled: Numbers, from 0, of the lines that hold anything but blanks.
    """

    text: bytes
    starts: Int[np.ndarray, " L"]
    ends: Int[np.ndarray, " L"]
    filled: Int[np.ndarray, " F"]

    @classmethod
    def of(cls, text: bytes) -> Lines:
        """Find the lines of a text whose line ends are plain."""
        closed = text + b"\n"
        ends = np.flatnonzero(np.frombuffer(closed, dtype=np.uint8) == ord("\n"))
        starts = np.concatenate([np.zeros(1, dtype=ends.dtype), ends[:-1] + 1])
        marks = np.frombuffer(
            closed.translate(_IS_FILLED), dtype=np.bool_
        )  # a table lookup without an array of indices
        filled = np.flatnonzero(np.logical_or.reduceat(marks, starts))
        return cls(text, starts, ends, filled)

    def block(self, first: int, count: int) -> bytes:
        """Cut out `count` filled lines from the filled line `first` on, with the blank lines among them."""
        if not count:
            return b""
        return self.text[self.starts[self.filled[first]] : self.ends[self.filled[first + count - 1]]]


def parse_rows(
    text: bytes, *, first_line: int = 1, columns: int | None = None, rows: int | None = None
) -> Float[np.ndarray, "R C"]:
    """Parse lines of numbers separated by spaces, every line as long as the first.

    Args:
        text: Lines without comments; blank lines are skipped.
        first_line: Where the text begins in the user's file, for messages.
        columns: Numbers per line, if known.
        rows: Rows that there must be, if known.

    Raises:
        ShapeError: A word that is no number, a line of another length; the message names the line. Or other than the
            expected number of rows.
    """
    if not text.strip():
        raise ShapeError("the file holds no line of numbers: export the points again.")
    try:
        values = np.loadtxt(io.BytesIO(text), dtype=np.float64, comments=None, ndmin=2)
    except ValueError:
        values = np.empty((0, 0))
    if not len(values) or (columns is not None and values.shape[1] != columns):
        raise ShapeError(_first_bad_line(text, first_line, columns))
    if rows is not None and len(values) != rows:
        raise ShapeError(
            f"line {first_line}: {counted(len(values), 'row')} of numbers where {rows:,} were expected: "
            "the file is damaged, export it again."
        )
    return values


def _first_bad_line(text: bytes, first_line: int, columns: int | None) -> str:
    for number, line in enumerate(text.split(b"\n"), start=first_line):
        words = line.split()
        if not words:
            continue
        for word in words:
            if _DECIMAL_COMMA.fullmatch(word):
                return _decimal_comma(number, word)
            if not _is_number(word):
                return f"line {number}: {quoted(word)} is not a number: correct or remove that line."
        if columns is None:
            columns = len(words)
        elif len(words) != columns:
            return f"line {number}: {counted(len(words), 'column')}, expected {columns}: correct or remove that line."
    return "the numbers cannot be read: export the file again."


def _skip_preamble(text: bytes) -> tuple[int, int, bytes, int | None, list[int]]:
    """Find the first line of numbers.

    Returns:
        Its offset, its line number, the last header above it, the count line's count, the line numbers of all headers
        that are no comments.
    """
    start, names, promised = 0, b"", None
    headers: list[int] = []
    for number, line in enumerate(io.BytesIO(text), start=1):
        words = [word for word in re.split(rb'[\s,;"]+', line.split(b"#")[0]) if word]
        if line.lstrip().startswith(_COMMENT):
            names = line.lstrip(b" \t#/%!") or names
        elif words:
            numeric = [_is_number(word) for word in words]
            if len(words) == 1 and words[0].isdigit() and promised is None:
                promised = int(words[0]) if len(words[0]) < 18 else None
            elif all(numeric):
                return start, number, names, promised, headers
            elif any(numeric) and (len(words) >= 3 or not headers) and numeric[0] | (sum(numeric) >= 3):
                wrong = words[numeric.index(False)]
                raise ShapeError(f"line {number}: {quoted(wrong)} is not a number: correct or remove that line.")
            else:
                names = line
                headers.append(number)
                if len(headers) > _MOST_HEADER_LINES:
                    break
        start += len(line)
    raise ShapeError("there is no line of numbers: expected one point per line, x y z.")


def _refuse_decimal_commas(first: bytes, delimiter: bytes, line_number: int) -> None:
    words = [word.strip() for word in (first.split(b";") if delimiter == b";" else first.split())]
    wrong = next((word for word in words if _DECIMAL_COMMA.fullmatch(word)), None)
    if wrong is not None and len(words) > 1:
        raise ShapeError(_decimal_comma(line_number, wrong))


def _decimal_comma(line_number: int, word: bytes) -> str:
    return f"line {line_number}: decimal comma in {quoted(word)}: save with decimal points (1.5, not 1,5)."


def _without_comments(body: bytes) -> bytes:
    """Blank out comments, keeping the lines so that line numbers stay right."""
    if b"#" in body:
        body = re.sub(rb"#[^\n]*", b"", body)
    if b"//" in body or b"%" in body or b"!" in body:
        body = re.sub(rb"^[ \t]*(//|%|!)[^\n]*", b"", body, flags=re.MULTILINE)
    return body


def _with_spaces(body: bytes, delimiter: bytes) -> bytes:
    """Turn the separator into spaces; an empty field becomes nan, so that columns stay where they are."""
    if _has_empty_field(body, delimiter):
        mark, blank = re.escape(delimiter), rb"[ \t]*"
        body = re.sub(rb"(?<=" + mark + rb")" + blank + rb"(?=" + mark + rb"|$)", b"nan", body, flags=re.MULTILINE)
        body = re.sub(rb"^" + blank + rb"(?=" + mark + rb")", b"nan", body, flags=re.MULTILINE)
    return body.replace(delimiter, b" ")


def _has_empty_field(body: bytes, delimiter: bytes) -> bool:
    """Look with plain searches: a pattern takes longer than all the rest of reading a large file."""
    packed = body.translate(None, b" \t")
    around = (delimiter + delimiter, delimiter + b"\n", b"\n" + delimiter)
    return packed.startswith(delimiter) or packed.endswith(delimiter) or any(pair in packed for pair in around)


def _fields(names: bytes, delimiter: bytes) -> list[str]:
    text = names.decode("utf-8", "replace").strip("\n")
    if delimiter and delimiter.decode() in text:
        words = text.split(delimiter.decode())
    else:
        words = text.replace(",", " ").replace(";", " ").split()
    return [word.strip(" \t\"'[]()").lower() for word in words]


def _is_number(word: bytes) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return b"_" not in word
