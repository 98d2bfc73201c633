"""Which triangles does a .glb scene hold once every part stands at its place?"""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from pointmcd.records import Shape, ShapeError
from pointmcd.shapes.reading.columns import colors_from_values
from pointmcd.shapes.reading.wording import quoted

_COMPONENTS = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
# Required extensions that change neither positions nor indices, or only their number type.
_HARMLESS = ("KHR_materials_", "KHR_texture_", "KHR_mesh_quantization", "KHR_lights_", "EXT_texture_", "MSFT_texture_")
MAX_VERTICES = 15_000_000
_MOST_VALUES = 10 * MAX_VERTICES  # numbers read from all tables: three coordinates, three corners, four colour values
_MOST_PARTS = 100_000  # nodes of the scene, and primitives of its meshes: each costs some 30 µs
_POINTS, _TRIANGLES, _STRIP, _FAN = 0, 4, 5, 6


def read_glb(data: bytes) -> Shape:
    """Read every mesh of the default scene with its node transforms, as one shape.

    Raises:
        ShapeError: Not glTF 2 binary, references to other files, compressed geometry, damaged tables.
    """
    document, chunk = _read_chunks(data)
    listed = document.get("extensionsRequired", [])
    required = (
        [name for name in listed if not str(name).startswith(_HARMLESS)] if isinstance(listed, list) else [listed]
    )
    if required:
        raise ShapeError(f"the file needs {quoted(str(required[0]))}: export it again without compression.")
    try:
        with np.errstate(all="ignore"):  # what is not finite is dropped and counted later
            return _Scene(document, chunk).shape()
    except ShapeError:
        raise
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError, struct.error):
        raise ShapeError("the tables inside this .glb do not fit together: it is damaged, export it again.") from None


def _read_chunks(data: bytes) -> tuple[dict[str, Any], bytes]:
    if len(data) < 20 or data[:4] != b"glTF" or struct.unpack_from("<I", data, 4)[0] != 2:
        raise ShapeError("this is no binary glTF 2 file: export it again as .glb.")
    chunks: dict[bytes, bytes] = {}
    offset = 12
    while offset + 8 <= len(data):
        length, kind = struct.unpack_from("<I4s", data, offset)
        if length > len(data) - offset - 8:
            raise ShapeError("the file ends inside its data: it is cut off, export it again.")
        if kind in (b"JSON", b"BIN\0"):
            chunks.setdefault(kind, data[offset + 8 : offset + 8 + length])
        offset += 8 + length
    try:
        document = json.loads(chunks.get(b"JSON", b""))
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise ShapeError("the description inside this .glb cannot be read: export it again.")
    return document, chunks.get(b"BIN\0", b"")


class _Scene:
    """One pass over the scene's nodes, collecting parts."""

    def __init__(self, document: dict[str, Any], chunk: bytes) -> None:
        self.document = document
        self.chunk = chunk
        self.buffers: dict[int, bytes] = {}
        self.parts: list[tuple[Float[np.ndarray, "S 3"], Int[np.ndarray, "F 3"] | None, Any]] = []
        self.total = 0
        self.values = 0
        self.lines = 0

    def shape(self) -> Shape:
        primitives = 0
        for mesh, transform in self._placed_meshes():
            for primitive in self.document["meshes"][mesh]["primitives"]:
                primitives += 1
                _check_parts(primitives)
                self._add(primitive, transform)
        meshes = [part for part in self.parts if part[1] is not None]
        parts = meshes or self.parts
        if not parts:
            raise ShapeError("the scene holds no triangles and no points: export the shape itself.")
        notes = []
        if len(parts) > 1:
            notes.append(f"Joined {len(parts):,} parts.")
        if meshes and len(meshes) < len(self.parts):
            notes.append("Loose points beside the triangles are not used.")
        if self.lines:
            notes.append("Lines are not used.")
        vertices = np.concatenate([part[0] for part in parts])
        starts = np.cumsum([0, *(len(part[0]) for part in parts[:-1])])
        faces = None
        if meshes:
            faces = np.concatenate([part[1] + start for part, start in zip(parts, starts, strict=True)])
        colors = None
        if any(part[2] is not None for part in parts):
            grey = np.uint8(200)  # parts without a colour among coloured ones
            colors = np.concatenate(
                [part[2] if part[2] is not None else np.full((len(part[0]), 3), grey) for part in parts]
            )
        return Shape("", vertices, faces, colors, tuple(notes))

    def _placed_meshes(self) -> list[tuple[int, Float[np.ndarray, "4 4"]]]:
        nodes = self.document.get("nodes", [])
        scenes = self.document.get("scenes", [])
        if scenes:
            roots = scenes[self.document.get("scene", 0)].get("nodes", [])
        else:
            children = {child for node in nodes for child in node.get("children", [])}
            roots = [index for index in range(len(nodes)) if index not in children]
        placed = []
        waiting = [(index, np.eye(4)) for index in reversed(roots)]
        seen: set[int] = set()
        while waiting:
            index, parent = waiting.pop()
            if index in seen or index < 0:  # by specification a node has one parent; a loop would never end
                raise ShapeError("the scene's parts contain one another: the file is damaged, export it again.")
            seen.add(index)
            _check_parts(len(seen))
            node = nodes[index]
            transform = parent @ _local_transform(node)
            if "mesh" in node:
                placed.append((node["mesh"], transform))
            children = node.get("children", [])
            _check_parts(len(waiting) + len(children))
            waiting += [(child, transform) for child in reversed(children)]
        if not nodes:
            placed = [(index, np.eye(4)) for index in range(len(self.document.get("meshes", [])))]
        return placed

    def _add(self, primitive: dict[str, Any], transform: Float[np.ndarray, "4 4"]) -> None:
        mode = primitive.get("mode", _TRIANGLES)
        if mode not in (_POINTS, _TRIANGLES, _STRIP, _FAN):
            self.lines += 1
            return
        attributes = primitive["attributes"]
        positions = self._accessor(attributes["POSITION"]).astype(np.float64)
        if positions.shape[1:] != (3,):
            raise KeyError("POSITION")
        points = positions @ transform[:3, :3].T + transform[:3, 3]
        self.total += len(points)
        if self.total > MAX_VERTICES:
            raise ShapeError(f"the scene has more than {MAX_VERTICES:,} vertices: simplify it before the export.")
        faces = None
        if mode != _POINTS:
            corners = (
                self._accessor(primitive["indices"]).reshape(-1).astype(np.int64)
                if "indices" in primitive
                else np.arange(len(points))
            )
            faces = _triangles(corners, mode)
            if len(faces) and (faces.min() < 0 or faces.max() >= len(points)):
                raise IndexError
            if np.linalg.det(transform[:3, :3]) < 0:  # a mirrored part would show its inside
                faces = faces[:, ::-1]
        self.parts.append((points, faces, self._colors(primitive, len(points))))

    def _colors(self, primitive: dict[str, Any], count: int) -> Any:
        if "COLOR_0" in primitive["attributes"]:
            values = self._accessor(primitive["attributes"]["COLOR_0"])
            return colors_from_values(values[:, :3]) if values.shape[0] == count and values.shape[1] >= 3 else None
        if "material" in primitive:
            material = self.document["materials"][primitive["material"]]
            factor = material.get("pbrMetallicRoughness", {}).get("baseColorFactor")
            if factor is not None:
                rgb = np.clip(np.asarray(factor[:3], dtype=np.float64), 0, 1)
                return np.tile(np.round(rgb * 255).astype(np.uint8), (count, 1))
        return None

    def _accessor(self, index: int) -> np.ndarray:
        """Read a table of numbers as (count, width)."""
        accessor = self.document["accessors"][index]
        kind, width, count = _COMPONENTS[accessor["componentType"]], _WIDTHS[accessor["type"]], accessor["count"]
        if not isinstance(count, int) or not 0 < count <= 3 * MAX_VERTICES:
            raise KeyError("count")
        self.values += count * width
        if self.values > _MOST_VALUES:
            raise ShapeError(
                f"the scene's tables hold more than {_MOST_VALUES:,} numbers: simplify it before the export."
            )
        if "bufferView" in accessor:
            values = self._view(accessor["bufferView"], accessor.get("byteOffset", 0), kind, width, count)
        else:
            values = np.zeros((count, width), dtype=kind)
        if "sparse" in accessor:
            sparse = accessor["sparse"]
            where, what = sparse["indices"], sparse["values"]
            places = self._view(
                where["bufferView"], where.get("byteOffset", 0), _COMPONENTS[where["componentType"]], 1, sparse["count"]
            )
            values = values.copy()
            values[places[:, 0]] = self._view(
                what["bufferView"], what.get("byteOffset", 0), kind, width, sparse["count"]
            )
        if accessor.get("normalized") and kind != "<f4":
            return np.maximum(values.astype(np.float64) / np.iinfo(kind).max, -1.0)
        return values

    def _view(self, index: int, offset: int, kind: str, width: int, count: int) -> np.ndarray:
        view = self.document["bufferViews"][index]
        content = self._buffer(view["buffer"])
        begin, length = view.get("byteOffset", 0), view["byteLength"]
        row = np.dtype(kind).itemsize * width
        stride = view.get("byteStride", row)
        if not all(isinstance(value, int) and value >= 0 for value in (begin, length, offset, stride, count)):
            raise KeyError("bufferView")
        end = offset + stride * max(count - 1, 0) + row
        if begin + length > len(content) or end > length:
            raise ShapeError("a table inside this .glb is longer than its data: the file is cut off, export it again.")
        return np.ndarray((count, width), kind, content, begin + offset, (stride, np.dtype(kind).itemsize))

    def _buffer(self, index: int) -> bytes:
        if index not in self.buffers:
            uri = self.document["buffers"][index].get("uri")
            if uri is None:
                self.buffers[index] = self.chunk
            elif uri.startswith("data:") and ";base64," in uri[:256]:
                try:
                    self.buffers[index] = base64.b64decode(uri.split(";base64,", 1)[1])
                except ValueError:
                    raise ShapeError("the data inside this .glb cannot be decoded: export it again.") from None
            else:
                raise ShapeError(
                    f"the file refers to another file, {quoted(uri)}, which is never opened: "
                    "export the shape as one self-contained .glb."
                )
        return self.buffers[index]


def _check_parts(count: int) -> None:
    if count > _MOST_PARTS:
        raise ShapeError(f"the scene has more than {_MOST_PARTS:,} parts: join them before the export.")


def _local_transform(node: dict[str, Any]) -> Float[np.ndarray, "4 4"]:
    if "matrix" in node:
        return np.asarray(node["matrix"], dtype=np.float64).reshape(4, 4).T  # stored column after column
    x, y, z, w = np.asarray(node.get("rotation", (0, 0, 0, 1)), dtype=np.float64)
    rotation = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    transform = np.eye(4)
    transform[:3, :3] = rotation * np.asarray(node.get("scale", (1, 1, 1)), dtype=np.float64)
    transform[:3, 3] = np.asarray(node.get("translation", (0, 0, 0)), dtype=np.float64)
    return transform


def _triangles(corners: Int[np.ndarray, " C"], mode: int) -> Int[np.ndarray, "F 3"]:
    if mode == _TRIANGLES:
        return corners[: len(corners) // 3 * 3].reshape(-1, 3)
    if mode == _FAN:
        return np.stack([np.full(max(len(corners) - 2, 0), corners[0]), corners[1:-1], corners[2:]], axis=1)
    strip = np.stack([corners[:-2], corners[1:-1], corners[2:]], axis=1)
    strip[1::2] = strip[1::2, [1, 0, 2]]  # every second triangle of a strip turns the other way
    return strip
