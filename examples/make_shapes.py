"""How are the shapes in examples/shapes/ made? Regenerates every file, byte for byte: `python examples/make_shapes.py`.

One small writer per format, so that the folder shows each kind of file that the page reads.
"""

from __future__ import annotations

import io
import json
import struct
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from pointmcd.data.synthetic import SyntheticShape, make_shape

POINTS = 4096
# Okabe and Ito's colours, which colour-blind readers can tell apart; one per part.
PART_COLORS = np.array(
    [
        (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178),
        (213, 94, 0), (204, 121, 167), (153, 153, 153), (120, 94, 240), (100, 60, 20),
    ],
    dtype=np.uint8,
)  # fmt: skip


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "shapes"
    for path in write_gallery(folder):
        print(f"{path.stat().st_size:8,d} bytes  {path.name}")


def write_gallery(folder: Path) -> list[Path]:
    """Write every file of `GALLERY` and return the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, (kind, variant) in GALLERY.items():
        path = folder / name
        path.write_bytes(WRITERS[path.suffix](make_shape(kind, variant=variant)))
        paths.append(path)
    return paths


def surface_points(made: SyntheticShape, count: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw points evenly from the surface.

    Returns:
        Points `(count, 3)` in metres, outward unit normals `(count, 3)` and the part of each point `(count,)`.
    """
    corners = made.shape.vertices[made.shape.faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    areas = np.linalg.norm(normals, axis=1)
    rng = np.random.default_rng(seed)
    chosen = np.searchsorted(np.cumsum(areas) / areas.sum(), rng.random(count))
    first, second = np.sqrt(rng.random(count)), rng.random(count)
    weights = np.stack([1 - first, first * (1 - second), first * second], axis=1)
    points = np.einsum("nk,nki->ni", weights, corners[chosen])
    return points, normals[chosen] / areas[chosen, None], made.part_of_face[chosen]


def _rows(values: np.ndarray, *, separator: str = " ") -> str:
    """One line per row: numbers of a float array to 0.01 mm, those of an integer array as they are."""
    pattern = "{:d}" if values.dtype.kind in "iu" else "{:.5f}"
    # Adding zero turns -0.00000 into 0.00000.
    rounded = values if values.dtype.kind in "iu" else np.round(values, 5) + 0.0
    return "".join(separator.join(pattern.format(value) for value in row) + "\n" for row in rounded.tolist())


def off(made: SyntheticShape) -> bytes:
    vertices, faces = made.shape.vertices, made.shape.faces
    threes = np.column_stack([np.full(len(faces), 3), faces])
    return f"OFF\n{len(vertices)} {len(faces)} 0\n{_rows(vertices)}{_rows(threes)}".encode()


def obj(made: SyntheticShape) -> bytes:
    """A Wavefront file with one group per part, Y up as most programs write it."""
    turned = made.shape.vertices[:, [0, 2, 1]] * (1, 1, -1)
    lines = ["# made by examples/make_shapes.py", *("v " + row for row in _rows(turned).splitlines())]
    for part, name in enumerate(made.part_names):
        lines.append(f"g {name.replace(' ', '_')}")
        lines += ["f " + row for row in _rows(made.shape.faces[made.part_of_face == part] + 1).splitlines()]
    return ("\n".join(lines) + "\n").encode()


def ply(made: SyntheticShape) -> bytes:
    """A binary PLY mesh, its vertices coloured by part."""
    vertices, faces = made.shape.vertices, made.shape.faces
    part_of_vertex = np.empty(len(vertices), dtype=int)
    part_of_vertex[faces] = made.part_of_face[:, None]
    rows = np.empty(len(vertices), dtype=[("xyz", "<f4", 3), ("rgb", "u1", 3)])
    rows["xyz"], rows["rgb"] = vertices, PART_COLORS[part_of_vertex % len(PART_COLORS)]
    triangles = np.empty(len(faces), dtype=[("count", "u1"), ("corners", "<i4", 3)])
    triangles["count"], triangles["corners"] = 3, faces
    header = (
        f"ply\nformat binary_little_endian 1.0\nelement vertex {len(vertices)}\n"
        "property float x\nproperty float y\nproperty float z\n"
        "property uchar red\nproperty uchar green\nproperty uchar blue\n"
        f"element face {len(faces)}\nproperty list uchar int vertex_indices\nend_header\n"
    )
    return header.encode() + rows.tobytes() + triangles.tobytes()


def stl(made: SyntheticShape) -> bytes:
    corners = made.shape.vertices[made.shape.faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    rows = np.zeros(len(corners), dtype=[("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("unused", "<u2")])
    rows["normal"] = np.round(normals / np.linalg.norm(normals, axis=1, keepdims=True), 6)
    rows["corners"] = corners
    return b"made by examples/make_shapes.py".ljust(80) + struct.pack("<I", len(corners)) + rows.tobytes()


def glb(made: SyntheticShape) -> bytes:
    """A binary glTF with one coloured node per part; the root turns our Z up into glTF's Y up."""
    blobs: list[bytes] = []
    views: list[dict[str, int]] = []
    accessors: list[dict[str, object]] = []

    def store(values: np.ndarray, component: int, kind: str, **limits: list[float]) -> int:
        blob = values.tobytes()
        views.append({"buffer": 0, "byteOffset": sum(map(len, blobs)), "byteLength": len(blob)})
        accessors.append(
            {"bufferView": len(views) - 1, "componentType": component, "count": len(values), "type": kind, **limits}
        )
        blobs.append(blob)
        return len(accessors) - 1

    meshes, materials = [], []
    nodes: list[dict[str, object]] = [{"name": "shape", "rotation": [-(0.5**0.5), 0, 0, 0.5**0.5]}]
    nodes[0]["children"] = list(range(1, len(made.part_names) + 1))
    for part, name in enumerate(made.part_names):
        faces = made.shape.faces[made.part_of_face == part]
        used, corners = np.unique(faces, return_inverse=True)
        positions = made.shape.vertices[used].astype("<f4")
        # Each node is moved to the middle of its part, as modelling programs write it.
        middle = np.round((positions.min(axis=0) + positions.max(axis=0)) / 2, 4).astype("<f4")
        local = positions - middle
        limits = {"min": local.min(axis=0).tolist(), "max": local.max(axis=0).tolist()}
        position = store(local, 5126, "VEC3", **limits)
        index = store(corners.reshape(-1).astype("<u4"), 5125, "SCALAR")
        color = [round(float(value) / 255, 4) for value in PART_COLORS[part % len(PART_COLORS)]] + [1.0]
        materials.append({"name": name, "pbrMetallicRoughness": {"baseColorFactor": color, "metallicFactor": 0.0}})
        meshes.append({"primitives": [{"attributes": {"POSITION": position}, "indices": index, "material": part}]})
        nodes.append({"name": name, "mesh": part, "translation": middle.astype(float).tolist()})
    binary = b"".join(blobs)
    scene = {
        "asset": {"version": "2.0", "generator": "examples/make_shapes.py"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": nodes,
        "meshes": meshes,
        "materials": materials,
        "buffers": [{"byteLength": len(binary)}],
        "bufferViews": views,
        "accessors": accessors,
    }
    text = json.dumps(scene, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    total = 12 + 8 + len(text) + 8 + len(binary)
    return (
        struct.pack("<4sII", b"glTF", 2, total)
        + struct.pack("<I4s", len(text), b"JSON")
        + text
        + struct.pack("<I4s", len(binary), b"BIN\0")
        + binary
    )


def xyz(made: SyntheticShape) -> bytes:
    """Points and normals in six columns without a header."""
    points, normals, _ = surface_points(made, POINTS // 2)
    return _rows(np.concatenate([points, normals], axis=1)).encode()


def pts(made: SyntheticShape) -> bytes:
    """A line with the count, then points."""
    return f"{POINTS}\n{_rows(surface_points(made, POINTS)[0])}".encode()


def csv(made: SyntheticShape) -> bytes:
    """Points and colours with a header line."""
    points, _, parts = surface_points(made, POINTS)
    colors = _rows(PART_COLORS[parts % len(PART_COLORS)].astype(int), separator=",").splitlines()
    rows = zip(_rows(points, separator=",").splitlines(), colors, strict=True)
    return ("x,y,z,red,green,blue\n" + "".join(f"{point},{color}\n" for point, color in rows)).encode()


def pcd(made: SyntheticShape) -> bytes:
    """A binary point-cloud-library file."""
    header = (
        "# .PCD v0.7 - Point Cloud Data file format\nVERSION 0.7\nFIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nCOUNT 1 1 1\n"
        f"WIDTH {POINTS}\nHEIGHT 1\nVIEWPOINT 0 0 0 1 0 0 0\nPOINTS {POINTS}\nDATA binary\n"
    )
    return header.encode() + surface_points(made, POINTS)[0].round(5).astype("<f4").tobytes()


def npy(made: SyntheticShape) -> bytes:
    stream = io.BytesIO()
    np.save(stream, surface_points(made, POINTS)[0].round(5).astype("<f4"), allow_pickle=False)
    return stream.getvalue()


def npz(made: SyntheticShape) -> bytes:
    """An archive with `points`, stored with a fixed date: `numpy.savez` writes today's."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo("points.npy", (2020, 1, 1, 0, 0, 0)), npy(made))
    return stream.getvalue()


WRITERS: dict[str, Callable[[SyntheticShape], bytes]] = {
    f".{writer.__name__}": writer for writer in (off, obj, ply, stl, glb, xyz, pts, csv, pcd, npy, npz)
}
# File -> shape and variant. The kinds of file are mixed on purpose.
GALLERY: dict[str, tuple[str, int]] = {
    "airplane.glb": ("airplane", 0),
    "bathtub.stl": ("bathtub", 0),
    "bookshelf.off": ("bookshelf", 0),
    "bottle.npy": ("bottle", 0),
    "car.ply": ("car", 0),
    "chair.off": ("chair", 0),
    "guitar.obj": ("guitar", 0),
    "lamp.csv": ("table_lamp", 0),
    "laptop.obj": ("laptop", 0),
    "mug.ply": ("mug", 0),
    "person.pcd": ("person", 0),
    "piano.glb": ("piano", 0),
    "plant.xyz": ("plant", 0),
    "sofa.stl": ("sofa", 0),
    "table.npz": ("table", 0),
    "toilet.pts": ("toilet", 0),
}

if __name__ == "__main__":
    main()
