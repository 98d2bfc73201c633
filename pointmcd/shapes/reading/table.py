"""Which points does a text of numbers hold?"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from pointmcd.records import Shape, ShapeError
from pointmcd.shapes.reading.columns import shape_from_named_columns, shape_from_unnamed_columns
from pointmcd.shapes.reading.wording import counted, quoted

_COMMENT = (b"#", b"//", b"%", b"!")
_MOST_HEADER_LINES = 12
MAX_ROWS = 6_000_000  # a little over the most points and triangles that are taken, so that those limits are said
_BLOCK_BYTES = 2**20  # parsed at once; in a block that cannot be parsed, the line that is wrong is looked for
_LONGEST_LINE = 2**16  # of numbers that are no polygon
_FILLED_LINE = re.compile(rb"[^\s][^\n]*+")
_NOTHING_TO_READ = re.compile(rb'(?:[ \t\f\v\r,;"]*+(?:(?:#|//|%|!)[^\n]*+)?+\n)*+')
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
    body = without_comments(body, *_COMMENT[1:])
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
    blocks: list[np.ndarray] = []
    found, line, start = 0, first_line, 0
    while start < len(text):
        end = text.find(b"\n", start + _BLOCK_BYTES) + 1 or len(text)
        block = text[start:end]
        packed = _without_blank_lines(block)
        if packed.strip():
            values = _parse_block(packed)
            if values is None or (columns is not None and values.shape[1] != columns):
                raise ShapeError(_first_bad_line(block, line, columns))
            columns = values.shape[1]
            found += len(values)
            if found > MAX_ROWS:
                raise ShapeError(
                    f"the file has more than {MAX_ROWS:,} lines of numbers: thin it out or simplify it first."
                )
            blocks.append(values)
        line, start = line + block.count(b"\n"), end
    if not blocks:
        raise ShapeError("the file holds no line of numbers: export the points again.")
    if rows is not None and found != rows:
        raise ShapeError(
            f"line {first_line}: {counted(found, 'row')} of numbers where {rows:,} were expected: "
            "the file is damaged, export it again."
        )
    return np.concatenate(blocks)


def _parse_block(block: bytes) -> np.ndarray | None:
    if len(block) > 2 * _BLOCK_BYTES:  # a line as long as a block holds a hundred thousand numbers
        return None
    try:
        return np.loadtxt(io.BytesIO(block), dtype=np.float64, comments=None, ndmin=2)
    except ValueError:
        return None


def _without_blank_lines(block: bytes) -> bytes:
    while b"\n\n" in block:
        block = block.replace(b"\n\n", b"\n")
    return block


def filled_lines(text: bytes, first_line: int = 1) -> Iterator[tuple[int, bytes]]:
    """Go through the lines that hold anything but blanks, each with its number."""
    counted_to = 0
    for match in _FILLED_LINE.finditer(text):
        first_line += text.count(b"\n", counted_to, match.start())
        counted_to = match.start()
        yield first_line, match[0]


def _first_bad_line(block: bytes, first_line: int, columns: int | None) -> str:
    for number, line in filled_lines(block, first_line):
        if len(line) > _LONGEST_LINE:
            return f"line {number}: a line of {len(line):,} characters: break it, one point or polygon per line."
        words = line.split()
        for word in words:
            if _DECIMAL_COMMA.fullmatch(word):
                return _decimal_comma(number, word)
            if not _is_number(word):
                return f"line {number}: {quoted(word)} is not a number: correct or remove that line."
        if columns is None:
            columns = len(words)
        elif len(words) != columns:
            return f"line {number}: {counted(len(words), 'column')}, expected {columns}: correct or remove that line."
    return f"line {first_line}: the numbers cannot be read: export the file again."


def _skip_preamble(text: bytes) -> tuple[int, int, bytes, int | None, list[int]]:
    """Find the first line of numbers.

    Returns:
        Its offset, its line number, the last header above it, the count line's count, the line numbers of all headers
        that are no comments.
    """
    start, number, names, promised = 0, 1, b"", None
    headers: list[int] = []
    while start < len(text):
        skipped = _NOTHING_TO_READ.match(text, start)
        if skipped and skipped[0]:
            last = skipped[0].rstrip().rpartition(b"\n")[2]
            names = last.lstrip(b" \t#/%!") if last.lstrip().startswith(_COMMENT) else names
            number += skipped[0].count(b"\n")
            start = skipped.end()
            continue
        end = text.find(b"\n", start) + 1 or len(text)
        line = text[start:end]
        if len(line) > _LONGEST_LINE:
            raise ShapeError(f"line {number}: a line of {len(line):,} characters: write one point per line, x y z.")
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
        start, number = end, number + 1
    raise ShapeError("there is no line of numbers: expected one point per line, x y z.")


def _refuse_decimal_commas(first: bytes, delimiter: bytes, line_number: int) -> None:
    words = [word.strip() for word in (first.split(b";") if delimiter == b";" else first.split())]
    wrong = next((word for word in words if _DECIMAL_COMMA.fullmatch(word)), None)
    if wrong is not None and len(words) > 1:
        raise ShapeError(_decimal_comma(line_number, wrong))


def _decimal_comma(line_number: int, word: bytes) -> str:
    return f"line {line_number}: decimal comma in {quoted(word)}: save with decimal points (1.5, not 1,5)."


def without_comments(text: bytes, *marks: bytes) -> bytes:
    """Blank out comments, keeping the lines so that line numbers stay right.

    Args:
        text: Its # opens a comment anywhere.
        marks: What else opens one, at the beginning of a line.
    """
    if not any(mark in text for mark in (b"#", *marks)):
        return text
    opening = b"|".join(re.escape(mark) for mark in (b"#", *marks))
    # A run of such lines is one match: twenty million matches would take half a minute.
    runs = re.compile(rb"^(?:[ \t]*+(?:(?:" + opening + rb")[^\n]*+)?+(?:\n|\Z))++", re.MULTILINE)
    text = runs.sub(lambda run: b"\n" * run[0].count(b"\n"), text)
    return re.sub(rb"#[^\n]*+", b"", text) if b"#" in text else text


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
