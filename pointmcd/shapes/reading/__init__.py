"""Which reader reads which file, and what is refused before any reader sees it?

Everything here parses what strangers made, so it runs in a child process (`__main__`), needs numpy only, opens no
second file, and checks every size that a header states against the size of the file before it allocates.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from pointmcd.records import Shape, ShapeError
from pointmcd.shapes.reading.arrays import read_npy, read_npz
from pointmcd.shapes.reading.glb import read_glb
from pointmcd.shapes.reading.meshes import is_binary_stl, read_obj, read_off, read_stl
from pointmcd.shapes.reading.pcd import read_pcd
from pointmcd.shapes.reading.ply import read_ply
from pointmcd.shapes.reading.table import read_pts, read_text

READERS: dict[str, Callable[[bytes], Shape]] = {
    ".ply": read_ply,
    ".pcd": read_pcd,
    ".xyz": read_text,
    ".pts": read_pts,
    ".txt": read_text,
    ".csv": read_text,
    ".asc": read_text,
    ".npy": read_npy,
    ".npz": read_npz,
    ".off": read_off,
    ".obj": read_obj,
    ".stl": read_stl,
    ".glb": read_glb,
}

# First bytes of what is never a shape.
_ARCHIVES = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\0": "xz",
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"Rar!": "rar",
    b"\x28\xb5\x2f\xfd": "zstd",
}
_STRANGERS = {
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"%PDF": "a PDF document",
    b"\x7fELF": "a program",
    b"\x89HDF": "an HDF5 file",
    b"LASF": "a LAS file",
}
_PICKLE = re.compile(rb"\x80[\x02-\x05]")
_TAR_MARK = (257, b"ustar")

# What the first bytes say a file is, for files whose name says something else. Each pattern sees so many bytes only.
_SIGNATURE_BYTES = 1024
_SIGNATURES: tuple[tuple[re.Pattern[bytes], str], ...] = (
    (re.compile(rb"PK(\x03\x04|\x05\x06)"), ".npz"),
    (re.compile(rb"\x93NUMPY"), ".npy"),
    (re.compile(rb"glTF"), ".glb"),
    (re.compile(rb"ply\s*[\r\n]"), ".ply"),
    (re.compile(rb"# ?\.PCD|VERSION \.7\s+FIELDS"), ".pcd"),
    (re.compile(rb"(ST)?C?N?OFF[\s\d]"), ".off"),
    (re.compile(rb"solid[^\n]*\n\s*facet"), ".stl"),
)


def read_bytes(data: bytes, extension: str) -> Shape:
    """Read a file's bytes as what its name says it is.

    Args:
        data: The whole file.
        extension: A key of `READERS`.

    Returns:
        The shape as the file gives it: not cleaned, not turned, without a name.

    Raises:
        ShapeError: The content is not what the name says, or is damaged.
    """
    if not data.strip():
        raise ShapeError("the file is empty: export it again.")
    if extension != ".stl" or not is_binary_stl(data):  # its first 80 bytes are free, and may look like anything
        _refuse_foreign_content(data, extension)
    return READERS[extension](data)


def _refuse_foreign_content(data: bytes, extension: str) -> None:
    archive = next((kind for start, kind in _ARCHIVES.items() if data.startswith(start)), None)
    if data.startswith(_TAR_MARK[1], _TAR_MARK[0]):
        archive = "tar"
    head = data[:_SIGNATURE_BYTES]
    for pattern, actual in _SIGNATURES:
        if actual == extension or not pattern.match(head):
            continue
        if actual == ".npz":
            archive = "zip"
        else:
            raise ShapeError(f"the name ends in {extension}, the content is a {actual} file: rename it to {actual}.")
    if archive:
        raise ShapeError(f"this is an archive ({archive}): unpack it and choose the shape inside.")
    stranger = next((what for start, what in _STRANGERS.items() if data.startswith(start)), None)
    if stranger:
        raise ShapeError(f"this is {stranger}: choose a file that holds points or a mesh.")
    if _PICKLE.match(data):
        raise ShapeError("this is a Python pickle, which may run code and is never opened: save with numpy.save.")
