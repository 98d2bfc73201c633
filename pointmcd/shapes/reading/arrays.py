"""Which points does a numpy file hold?"""

from __future__ import annotations

import io
import lzma
import math
import tokenize
import zipfile
import zlib

import numpy as np

from pointmcd.records import Shape, ShapeError
from pointmcd.shapes.reading.cleaning import MAX_POINTS
from pointmcd.shapes.reading.columns import colors_from_values, columns_of_array
from pointmcd.shapes.reading.wording import counted, quoted

MAX_UNPACKED_BYTES = 512 * 2**20  # 5 million points of float64 x 12 columns; a zip bomb states gigabytes
_MOST_MEMBERS = 1000  # arrays in an archive
_MOST_AXES = 8
_POINT_KEYS = (
    "points",
    "vertices",
    "xyz",
    "pos",
    "coords",
    "point_cloud",
    "pointcloud",
    "pc",
    "cloud",
    "data",
    "arr_0",
)
_FACE_KEYS = ("faces", "triangles", "face")
_COLOR_KEYS = ("colors", "colours", "rgb", "color", "vertex_colors")


def read_npy(data: bytes) -> Shape:
    """Read one array of shape (N, 3 or more) or (3 or more, N).

    Raises:
        ShapeError: Python objects inside, a header that promises too much, another shape.
    """
    return _points(_parse_npy(data))


def read_npz(data: bytes) -> Shape:
    """Read an archive of arrays: points, with faces and colours if they are there.

    Raises:
        ShapeError: Too large when unpacked, no array of points, or several that could be it.
    """
    if data.count(b"PK\1\2") > _MOST_MEMBERS:
        raise ShapeError(f"the archive holds more than {_MOST_MEMBERS:,} files: save the points of one shape alone.")
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, NotImplementedError, ValueError):
        raise ShapeError("this is no .npz archive, or it is cut off: save it again with numpy.savez.") from None
    members = {entry.filename.removesuffix(".npy"): entry for entry in archive.infolist()}
    total = sum(entry.file_size for entry in archive.infolist())
    if total > MAX_UNPACKED_BYTES:
        raise ShapeError(
            f"the archive unpacks to {total / 2**20:,.0f} MB, the limit is {MAX_UNPACKED_BYTES / 2**20:,.0f} MB: "
            "save the points of one shape alone."
        )
    if any(not entry.filename.endswith(".npy") for entry in archive.infolist()):
        raise ShapeError(
            "this is an archive (zip) of other files, not of arrays: unpack it and choose the shape inside."
        )

    def array(key: str) -> np.ndarray:
        if members[key].compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ShapeError(f"the array {quoted(key)} is packed as numpy never does: save it again with numpy.savez.")
        try:
            content = archive.read(members[key])
        except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, RuntimeError, OSError, EOFError, ValueError):
            raise ShapeError(f"the array {quoted(key)} cannot be unpacked: save it again with numpy.savez.") from None
        return _parse_npy(content)

    by_name = {key.lower(): key for key in members}
    key = next((by_name[name] for name in _POINT_KEYS if name in by_name), None)
    if key is None:
        if len(members) != 1:
            known = ", ".join(quoted(name) for name in list(members)[:8]) or "none"
            raise ShapeError(f"no array is called 'points' (found: {known}): name the points so.")
        key = next(iter(members))
    shape = _points(array(key))
    faces = next((by_name[name] for name in _FACE_KEYS if name in by_name), None)
    colors = next((by_name[name] for name in _COLOR_KEYS if name in by_name), None)
    notes = list(shape.notes)
    if len(members) > 1:
        notes.insert(0, f"Read the array {quoted(key)} of {counted(len(members), 'array')}.")
    triangles = _triangles(array(faces)) if faces is not None else None
    rgb = shape.colors
    if colors is not None:
        values = array(colors)
        if values.ndim == 2 and values.shape[0] == len(shape.vertices) and values.shape[1] in (3, 4):
            rgb = colors_from_values(values[:, :3])
    return Shape("", shape.vertices, faces=triangles, colors=rgb, notes=tuple(notes))


def _points(array: np.ndarray) -> Shape:
    rows = max(array.shape, default=0) if array.ndim == 2 else array.size if array.dtype.names else 0
    if rows > MAX_POINTS:  # before the numbers are copied
        raise ShapeError(f"the file has {rows:,} points, the limit is {MAX_POINTS:,}: thin it out first.")
    return columns_of_array(array)


def _triangles(array: np.ndarray) -> np.ndarray:
    if array.ndim != 2 or array.shape[1] != 3 or array.dtype.kind not in "iu":
        raise ShapeError("the array of faces must be (F, 3) integers: save triangles as vertex indices.")
    return array.astype(np.int64)


def _parse_npy(data: bytes) -> np.ndarray:
    """Read an array from bytes without ever unpickling, and without allocating more than the bytes hold."""
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read_header(stream)
    except (ValueError, SyntaxError, TypeError, KeyError, RecursionError, tokenize.TokenError):
        raise ShapeError("the numpy header cannot be read: save the array again with numpy.save.") from None
    if dtype.hasobject:
        raise ShapeError(
            "the array holds Python objects (a pickle), which may run code and are never opened: save it as float32."
        )
    if len(shape) > _MOST_AXES or any(isinstance(length, bool) or not 0 <= length < 2**62 for length in shape):
        raise ShapeError("the numpy header states no possible shape: save the array again with numpy.save.")
    count = math.prod(shape)
    room = len(data) - stream.tell()
    if not dtype.itemsize or count * dtype.itemsize > room:
        raise ShapeError(
            f"the header promises {' x '.join(f'{length:,}' for length in shape)} numbers, the file has room for "
            f"{room // max(dtype.itemsize, 1):,}: it is cut off or damaged, save it again."
        )
    if not count:
        raise ShapeError("the array is empty: save the points as (N, 3).")
    values = np.frombuffer(data, dtype=dtype, count=count, offset=stream.tell())
    return values.reshape(shape, order="F" if fortran else "C")
