"""How are counts and sizes said to the user?"""

from __future__ import annotations

from pointmcd.records import ShapeError


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Say a number of things: "1 point", "38,210 points"."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def quoted(text: str | bytes, *, longest: int = 24) -> str:
    """Quote a piece of the user's file: printable characters only, shortened."""
    if isinstance(text, bytes):
        text = text[: 4 * longest].decode("utf-8", "replace")
    text = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
    return f"'{text[: longest - 1]}…'" if len(text) > longest else f"'{text}'"


def beyond(lines: int, last: str) -> tuple[str, ...]:
    """Say that lines follow the last thing that the header promised; nothing if there are none."""
    return (f"Ignored {counted(lines, 'line')} after the last {last}.",) if lines > 0 else ()


def check_promise(promised: int, possible: int, noun: str) -> None:
    """Refuse a header that promises more than the file has room for, before anything is allocated.

    Raises:
        ShapeError: More things promised than the remaining bytes can hold.
    """
    if not 0 <= promised < 10**15:  # a longer number would fill the page, and one of 5,000 digits cannot be printed
        shown = f"{promised:,}" if abs(promised) < 10**15 else "an impossible number of"
        raise ShapeError(f"the header promises {shown} {noun}s: the file is damaged, export it again.")
    if promised > possible:
        raise ShapeError(
            f"the header promises {counted(promised, noun)}, the file has room for {possible:,}: "
            "it is cut off or damaged, export it again."
        )
