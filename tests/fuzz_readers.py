"""Does any damage to a file make a reader do other than give a shape or say one sentence?

`python -m tests.fuzz_readers` tries 25,000 mutants of each of the thirteen endings; a number as its argument tries so
many, and a second one is the seed. It prints what failed and ends with 1 if anything did.
"""

from __future__ import annotations

import random
import re
import sys
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from pointmcd.records import ShapeError
from pointmcd.shapes.reading import READERS, read_bytes
from pointmcd.shapes.reading.cleaning import clean

MUTANTS = 25_000
_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?")
_TRICKS = (
    b"-1", b"0", b"1e999", b"nan", b"2147483648", b"9223372036854775808", b"9" * 400, b"9" * 5000, b"1_0", b"0x1F", b"",
    b"null", b"[]", b"{}", b'"a"', b"true", b"1.5", b"1,5", b"inf", b"-9223372036854775809", b"00", b"\xff", b"1e18",
)  # fmt: skip


def samples() -> dict[str, list[bytes]]:
    """Collect valid files of every ending."""
    from tests.shapes.reading.samples import MESHES, POINT_SETS

    files: dict[str, list[bytes]] = {extension: [] for extension in READERS}
    for name, content in [*MESHES.items(), *POINT_SETS.items()]:
        files[Path(name).suffix].append(content)
    return files


def mutants(files: list[bytes], count: int, seed: int) -> Iterator[bytes]:
    """Damage the files in ever new ways, the same ones for the same seed."""
    chance = random.Random(seed)
    for _ in range(count):
        content = chance.choice(files)
        for _ in range(chance.choice((1, 1, 1, 2, 3))):
            content = chance.choice(_DAMAGES)(content, files, chance)
        yield content


def fault(content: bytes, extension: str) -> str | None:
    """Read a mutant; tell what went wrong other than with one sentence, and in which line of code."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            shape = clean(read_bytes(content, extension))
    except ShapeError as error:
        message = str(error)
        is_sentence = message.endswith(".") and ":" in message and "\n" not in message and len(message) < 300
        return None if is_sentence else f"no sentence: {message[:200]!r}"
    except Exception as error:  # noqa: BLE001  that there is none is what is tested
        place = traceback.extract_tb(error.__traceback__)[-1]
        ours = [frame for frame in traceback.extract_tb(error.__traceback__) if "reading" in frame.filename]
        place = ours[-1] if ours else place
        return f"{type(error).__name__} in {Path(place.filename).name} {place.lineno}: {str(error)[:100]}"
    return None if np.isfinite(shape.vertices).all() else "coordinates that are not finite"


def _flip(content: bytes, files: list[bytes], chance: random.Random) -> bytes:
    damaged = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        if damaged:
            damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
    return bytes(damaged)


def _cut(content: bytes, files: list[bytes], chance: random.Random) -> bytes:
    return content[: chance.randint(0, len(content))]


def _repeat(content: bytes, files: list[bytes], chance: random.Random) -> bytes:
    start = chance.randint(0, len(content))
    end = min(len(content), start + chance.randint(0, 200))
    return content[:end] + content[start:end] * chance.randint(1, 4) + content[end:]


def _drop(content: bytes, files: list[bytes], chance: random.Random) -> bytes:
    start = chance.randint(0, len(content))
    return content[:start] + content[start + chance.randint(1, 40) :]


def _splice(content: bytes, files: list[bytes], chance: random.Random) -> bytes:
    other = chance.choice(files)
    return content[: chance.randint(0, len(content))] + other[chance.randint(0, len(other)) :]


def _write_number(content: bytes, files: list[bytes], chance: random.Random) -> bytes:
    numbers = list(_NUMBER.finditer(content))
    if not numbers:
        return _flip(content, files, chance)
    place = chance.choice(numbers)
    return content[: place.start()] + chance.choice(_TRICKS) + content[place.end() :]


def _change_header(content: bytes, files: list[bytes], chance: random.Random) -> bytes:
    head, rest = content[:300], content[300:]
    return _write_number(head, files, chance) + rest if chance.random() < 0.5 else _flip(head, files, chance) + rest


def _swap_lines(content: bytes, files: list[bytes], chance: random.Random) -> bytes:
    lines = content.split(b"\n")
    lines.insert(chance.randrange(len(lines) + 1), chance.choice(lines))
    return b"\n".join(lines)


def _swap_words(content: bytes, files: list[bytes], chance: random.Random) -> bytes:
    """Exchange two pieces between quotes, as the keys and values of a description are."""
    words = re.split(rb'([\s",:\[\]{}()]+)', content)
    i, j = (2 * chance.randrange((len(words) + 1) // 2) for _ in range(2))
    words[i], words[j] = words[j], words[i]
    return b"".join(words)


_DAMAGES: tuple[Callable[[bytes, list[bytes], random.Random], bytes], ...] = (
    _flip, _cut, _repeat, _drop, _splice, _write_number, _write_number, _change_header, _swap_lines, _swap_words,
)  # fmt: skip


def faults(files: Mapping[str, list[bytes]], count: int, seed: int) -> Counter[str]:
    """Try so many mutants of each ending, and count the different faults."""
    found: Counter[str] = Counter()
    for number, (extension, contents) in enumerate(files.items()):
        for content in mutants(contents, count, seed * len(files) + number):
            if said := fault(content, extension):
                found[f"{extension}: {said}"] += 1
    return found


def main() -> int:
    """Try the mutants that the command line asks for."""
    count, seed = [*map(int, sys.argv[1:3]), *(MUTANTS, 0)[len(sys.argv) - 1 :]]
    found = faults(samples(), count, seed)
    for said, times in found.most_common():
        print(f"{times:,} x {said}")
    print(f"{len(READERS)} x {count:,} mutants: {sum(found.values()):,} faults.")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
