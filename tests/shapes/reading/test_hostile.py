"""What does a file cost that was made to cost as much as it can, and is the right line named?"""

# ruff: noqa: E501  one file per line is easier to compare

from __future__ import annotations

import struct
import time
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from pointmcd.records import ShapeError
from pointmcd.shapes.reading import READERS
from tests.shapes.reading.samples import (
    BINARY,
    CORNERS,
    FACES,
    OBJ,
    ROWS,
    XYZ,
    glb,
    npy,
    npz,
    parse,
    pcd,
    ply_header,
    scene,
)

SIZE = 2**19
# On a busy machine; what grows with the square of the size takes a minute, and the numbers of rows, lists, polygons,
# pieces and parts are bounded for larger files.
MOST_SECONDS = 5


def filled(unit: bytes, head: bytes = b"", tail: bytes = b"") -> bytes:
    return head + unit * (SIZE // len(unit)) + tail


def ply(points: int, faces: int, form: str = "ascii", face: str = FACES) -> bytes:
    return ply_header(form, f"element vertex {points}", *XYZ, f"element face {faces}", face)


def json_glb(**changes: object) -> bytes:
    return glb(scene(**changes), BINARY)


def zipped(files: int, packing: int = zipfile.ZIP_DEFLATED, content: bytes = b"") -> bytes:
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w", packing) as archive:
        for i in range(files):
            archive.writestr("points.npy" if files == 1 else f"{i}.npy", content)
    return stream.getvalue()


def nodes(count: int, **first: object) -> list[dict[str, object]]:
    return [first, *({} for _ in range(count - 1))]


LAST_ROW = SIZE // 6 + 1  # the line after a million bytes of "1 2 3"
TABLE: dict[str, tuple[Callable[[], bytes], str]] = {
    "version": (lambda: b"VERSION .7" + b"\n" * SIZE, "no line of numbers"),
    "comments above": (lambda: filled(b"#\n", tail=ROWS), ""),
    "comments of two strokes": (lambda: filled(b"//\n", ROWS, b"1 two 3\n"), f"line {SIZE // 3 + 5}: 'two'"),
    "comments below": (lambda: filled(b"#\n", ROWS, b"1 two 3\n"), f"line {SIZE // 2 + 5}: 'two'"),
    "blank lines": (lambda: filled(b"\n", ROWS, b"1 two 3\n"), f"line {SIZE + 5}: 'two'"),
    "short rows": (lambda: filled(b"1 2 3\n", tail=b"1 two 3\n"), f"line {LAST_ROW}: 'two'"),
    "mixed separators": (lambda: filled(b"1,2,3\n", tail=b"1;2,3\n"), f"line {LAST_ROW}: "),
    "empty fields": (lambda: filled(b",,\n", b"1,2,3\n", b"1,two,3\n"), f"line {SIZE // 3 + 2}: 'two'"),
    "separators": (lambda: filled(b",;\n", tail=b"1 2 3\n"), "distinct points"),
    "a long line": (lambda: filled(b"1 "), "line 1: a line of"),
    "a long word": (lambda: b"1 2 3\n1 2 " + b"x" * SIZE + b"\n", "line 2: "),
    "a long number": (lambda: b"1 2 3\n1 2 " + b"3" * SIZE + b"\n", "distinct points"),
    "many columns": (lambda: filled(b"1 " * 5000 + b"\n", tail=b"1 2\n"), "2 columns, expected 5000"),
}
SAME_READER = [".pts", ".txt", ".csv", ".asc"]  # as .xyz has
FILES: dict[str, tuple[Callable[[], bytes], str]] = {
    **{f"{name}.xyz": case for name, case in TABLE.items()},
    **{f"{name}{ending}": TABLE[name] for ending in SAME_READER for name in ("version", "comments below", "blank lines")},
    "version.ply": (lambda: b"VERSION .7" + b"\n" * SIZE, "no PLY"),
    "comments.ply": (lambda: filled(b"comment\n", b"ply\nformat ascii 1.0\n", b"end_header\n"), "no end"),
    "last row.ply": (
        lambda: ply_header("ascii", f"element vertex {LAST_ROW}", *XYZ) + filled(b"1 2 3\n", tail=b"1 two 3\n"),
        f"line {LAST_ROW + 7}: 'two'",
    ),
    "blank lines.ply": (lambda: filled(b"\n", ply_header("ascii", "element vertex 4", *XYZ), ROWS), ""),
    "small faces.ply": (
        lambda: ply(4, SIZE // 2 + 1) + ROWS + filled(b"0\n", tail=b"x\n"), f"line {SIZE // 2 + 14}: 'x' is no polygon"
    ),
    "deep polygon.ply": (lambda: ply(4, 2) + ROWS + b"3 0 1 2\n%d " % (SIZE // 2) + filled(b"0 ", tail=b"\n"), ""),
    "lists.ply": (lambda: ply(4, SIZE, "binary_little_endian") + bytes(48 + SIZE), "distinct points"),
    "elements of lists.ply": (
        lambda: ply_header("binary_little_endian", *["element a 9999\nproperty list uchar int v"] * 1400,
                           "element vertex 4", *XYZ) + bytes(SIZE),
        "13,998,600 lists, the limit is",
    ),
    "properties.ply": (
        lambda: ply_header("binary_little_endian", f"element vertex {SIZE // 3012}", *XYZ,
                           *(f"property char a{i}" for i in range(3000))) + b"\1" * SIZE,
        "distinct points",
    ),
    "version.pcd": (lambda: b"VERSION .7" + b"\n" * SIZE, "header is incomplete"),
    "last row.pcd": (
        lambda: pcd("ascii", filled(b"1 2 3\n", tail=b"1 two 3\n"), points=LAST_ROW), f"line {LAST_ROW + 11}: 'two'"
    ),
    "blank lines.pcd": (lambda: pcd("ascii", filled(b"\n", tail=ROWS)), ""),
    "fields.pcd": (lambda: pcd("binary", b"\1" * SIZE, points=SIZE // 12012, fields="x y z" + " a" * 3000), "distinct points"),
    "single bytes.pcd": (
        lambda: pcd("binary_compressed", struct.pack("<II", SIZE, SIZE // 2) + bytes(SIZE), points=SIZE // 24), "damaged"
    ),
    "short copies.pcd": (
        lambda: pcd("binary_compressed", struct.pack("<II", SIZE, 3 * SIZE // 2 - 2) + b"\0\0" + b"\x20\0" * (SIZE // 2 - 1),
                    points=SIZE // 8 - 1),
        "distinct points",
    ),
    "header.npy": (lambda: b"\x93NUMPY\2\0" + struct.pack("<I", SIZE) + b"(" * SIZE, "header cannot be read"),
    "zeros.npy": (lambda: npy(np.zeros((SIZE // 3, 3), np.uint8)), "distinct points"),
    "bytes.npy": (lambda: npy(np.random.default_rng(0).integers(0, 9, (SIZE // 3, 3)).astype(np.uint8)), ""),
    "wide.npy": (lambda: npy(np.ones((SIZE // 16, 16), np.uint8)), "distinct points"),
    "members.npz": (lambda: zipped(SIZE // 100), "more than 1,000 files"),
    "bomb.npz": (lambda: npz(points=np.zeros((20_000_000, 3), np.uint8)), "20,000,000 points, the limit is"),
    "bzip2.npz": (lambda: zipped(1, zipfile.ZIP_BZIP2, bytes(10_000)), "packed as numpy never does"),
    "marks.npz": (lambda: filled(b"PK\5\6"), "no .npz archive"),
    "faces.npz": (lambda: npz(points=CORNERS, faces=np.zeros((SIZE // 24, 3), np.int64)), "area"),
    "blanks.off": (lambda: b"OFF" + b" " * SIZE + b"x", "no text OFF"),
    "digits.off": (lambda: b"OFF " + b"1" * SIZE, "no text OFF"),
    "comments.off": (
        lambda: b"OFF\n4 1 0\n" + ROWS + filled(b"#\n", tail=b"3 x y z\n"), f"line {SIZE // 2 + 7}: '3 x y z'"
    ),
    "last row.off": (
        lambda: b"OFF\n%d 0 0\n" % LAST_ROW + filled(b"1 2 3\n", tail=b"1 two 3\n"), f"line {LAST_ROW + 2}: 'two'"
    ),
    "small faces.off": (
        lambda: b"OFF\n4 %d 0\n" % (SIZE // 2 + 1) + ROWS + filled(b"0\n", tail=b"1 x\n"), f"line {SIZE // 2 + 7}: '1 x'"
    ),
    "deep polygon.off": (lambda: b"OFF\n4 2 0\n" + ROWS + b"3 0 1 2\n%d " % (SIZE // 2) + filled(b"0 "), ""),
    "last vertex.obj": (lambda: filled(b"v 1 2 3\n", tail=b"v 1 two 3\n"), f"line {SIZE // 8 + 1}: 'two'"),
    "short vertex.obj": (lambda: filled(b"v 1 2 3\n", tail=b"v 1 2\n"), f"line {SIZE // 8 + 1}: 2 columns, expected 3"),
    "comments.obj": (lambda: filled(b"#\n", tail=OBJ.encode() + b"f 1 x\n"), f"line {SIZE // 2 + 9}: '1 x'"),
    "groups.obj": (lambda: filled(b"g a\no a\n", OBJ.encode(), b"f 1 x\n"), f"line {SIZE // 4 + 9}: '1 x'"),
    "backward.obj": (lambda: filled(b"f -1 -2 -3\n", OBJ.encode(), b"f -1 x\n"), f"line {SIZE // 11 + 9}: "),
    "deep polygon.obj": (lambda: filled(b"1 ", OBJ.encode() + b"f "), ""),
    "slashes.obj": (lambda: filled(b"/", OBJ.encode() + b"f 1"), ""),
    "blanks.obj": (lambda: filled(b" " * 1000 + b"x\n", OBJ.encode()), ""),
    "blank lines.stl": (lambda: b"solid" + b"\n" * SIZE, "no triangles"),
    "last corner.stl": (lambda: filled(b"vertex 1 2 3\n", b"solid\n", b"vertex 1 x 3\n"), f"line {SIZE // 13 + 2}: 'x'"),
    "solids.stl": (lambda: filled(b"solid a\nendsolid a\n", tail=b"vertex 0 0 x\n"), f"line {SIZE // 19 * 2 + 1}: 'x'"),
    "wide tree.glb": (lambda: json_glb(nodes=nodes(2**17, children=list(range(1, 2**17)))), "parts"),
    "cycle.glb": (
        lambda: json_glb(nodes=[{"children": [(i + 1) % 9999]} for i in range(9999)]), "contain one another"
    ),
    "primitives.glb": (
        lambda: json_glb(meshes=[{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1}] * (SIZE // 50)}]), ""
    ),
    "long tables.glb": (
        lambda: json_glb(
            meshes=[{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1}] * 1000}],
            accessors=[{"componentType": 5126, "count": 3, "type": "VEC3"},
                       {"componentType": 5125, "count": 9_000_000, "type": "SCALAR"}],
        ),
        "more than 150,000,000 numbers",
    ),
    "nested.glb": (lambda: b"glTF" + struct.pack("<III4s", 2, 20 + SIZE, SIZE, b"JSON") + b"[" * SIZE, "cannot be read"),
    "chunks.glb": (lambda: filled(struct.pack("<I4s", 0, b"XXXX"), b"glTF" + struct.pack("<II", 2, 12)), "cannot be read"),
}  # fmt: skip


def test_every_ending_has_files_made_to_be_slow():
    assert {Path(name).suffix for name in FILES} == set(READERS)


@pytest.mark.parametrize("name", FILES)
def test_a_file_made_to_be_slow_costs_little_and_names_the_line(name):
    make, words = FILES[name]
    content = make()
    said = ""
    started = time.process_time()
    try:
        parse(content, Path(name).suffix)
    except ShapeError as error:
        said = str(error)
    spent = time.process_time() - started
    assert words in said
    assert bool(words) == bool(said), said
    assert spent <= MOST_SECONDS
