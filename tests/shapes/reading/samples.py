"""What does a tetrahedron look like in every format and dialect?"""

from __future__ import annotations

import base64
import io
import json
import struct

import numpy as np

from pointmcd.records import Shape
from pointmcd.shapes.reading import read_bytes
from pointmcd.shapes.reading.cleaning import clean

CORNERS = np.array([[0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 3]], dtype=np.float64)
TRIANGLES = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
ROWS = b"0 0 0\n1 0 0\n0 2 0\n0 0 3\n"


def parse(content: bytes | str, extension: str) -> Shape:
    """Read and clean in this process: fast, and with every annotation checked."""
    return clean(read_bytes(content.encode() if isinstance(content, str) else content, extension))


def npy(array: np.ndarray, **options) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


def npz(**arrays: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def ply_header(form: str, *lines: str) -> bytes:
    return "\n".join(["ply", f"format {form} 1.0", *lines, "end_header", ""]).encode()


XYZ = ("property float x", "property float y", "property float z")
DOUBLES = tuple(line.replace("float", "double") for line in XYZ)
FACES = "property list uchar int vertex_indices"


def pcd(
    storage: str, body: bytes, *, points: int = 4, fields: str = "x y z", kind: str = "F", size: str = "4"
) -> bytes:
    many = len(fields.split())
    lines = [
        "# .PCD v0.7 - Point Cloud Data file format", "VERSION 0.7", f"FIELDS {fields}", "SIZE" + f" {size}" * many,
        "TYPE" + f" {kind}" * many, "COUNT" + " 1" * many, f"WIDTH {points}", "HEIGHT 1", "VIEWPOINT 0 0 0 1 0 0 0",
        f"POINTS {points}", f"DATA {storage}", "",
    ]  # fmt: skip
    return "\n".join(lines).encode() + body


def glb(document: dict, binary: bytes = b"") -> bytes:
    text = json.dumps({"asset": {"version": "2.0"}, **document}).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text
    if binary:
        binary += b"\0" * (-len(binary) % 4)
        chunks += struct.pack("<I4s", len(binary), b"BIN\0") + binary
    return b"glTF" + struct.pack("<II", 2, 12 + len(chunks)) + chunks


def scene(**changes) -> dict:
    """One tetrahedron: 48 bytes of positions, then 12 two-byte indices."""
    return {
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1}]}],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": 4, "type": "VEC3"},
            {"bufferView": 1, "componentType": 5123, "count": 12, "type": "SCALAR"},
        ],
        "bufferViews": [
            {"buffer": 0, "byteOffset": 0, "byteLength": 48},
            {"buffer": 0, "byteOffset": 48, "byteLength": 24},
        ],
        "buffers": [{"byteLength": 72}],
        **changes,
    }


BINARY = CORNERS.astype("<f4").tobytes() + TRIANGLES.astype("<u2").tobytes()


def stl(corners: np.ndarray) -> bytes:
    rows = np.zeros(len(corners), dtype=[("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
    rows["corners"] = corners
    return b"made by hand".ljust(80, b"\0") + struct.pack("<I", len(corners)) + rows.tobytes()


OBJ = "v 0 0 0\nv 1 0 0\nv 0 2 0\nv 0 0 3\nf 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n"
OFF = "OFF\n4 4 6\n" + ROWS.decode() + "3 0 2 1\n3 0 1 3\n3 0 3 2\n3 1 2 3\n"
ASCII_STL = "solid s\n" + "".join(
    "facet normal 0 0 0\nouter loop\n"
    + "".join(f"vertex {x} {y} {z}\n" for x, y, z in CORNERS[triangle])
    + "endloop\nendfacet\n"
    for triangle in TRIANGLES
)
BINARY_FACES = b"".join(b"\x03" + triangle.astype("<i4").tobytes() for triangle in TRIANGLES)

# The same tetrahedron (or its four corners) in every format and dialect.
MESHES = {
    "ascii.ply": ply_header("ascii", "element vertex 4", *XYZ, "element face 4", FACES)
    + ROWS
    + b"3 0 2 1\n3 0 1 3\n3 0 3 2\n3 1 2 3\n",
    "little.ply": ply_header("binary_little_endian", "element vertex 4", *XYZ, "element face 4", FACES)
    + CORNERS.astype("<f4").tobytes()
    + BINARY_FACES,
    "big.ply": ply_header("binary_big_endian", "element vertex 4", *XYZ, "element face 4", FACES)
    + CORNERS.astype(">f4").tobytes()
    + b"".join(b"\x03" + triangle.astype(">i4").tobytes() for triangle in TRIANGLES),
    "windows.ply": ply_header("ascii", "element vertex 4", *XYZ, "element face 4", FACES).replace(b"\n", b"\r\n")
    + (ROWS + b"3 0 2 1\n3 0 1 3\n3 0 3 2\n3 1 2 3\n").replace(b"\n", b"\r\n"),
    "plain.off": OFF.encode(),
    "glued.off": OFF.replace("OFF\n4", "OFF4").encode(),
    "spaced.off": OFF.replace("OFF\n4 4 6", "# by hand\nOFF\n\n# counts\n4 4").encode(),
    "coloured.off": b"COFF\n4 4 0\n"
    + b"\n".join(line + b" 255 0 0 255" for line in ROWS.splitlines())
    + OFF.split("0 0 3\n")[1].encode().join([b"\n", b""]),
    "indented_comments.off": OFF.replace("OFF\n4 4 6\n", "OFF\n4 4 6\n  # corners\n")
    .replace("3 0 2 1", "\t# triangles\n3 0 2 1")
    .encode(),
    "blanks.off": OFF.replace("\n", "\n \n\t\n").encode(),
    "blanks.ply": ply_header("ascii", "element vertex 4", *XYZ, "element face 4", FACES)
    + b" \n"
    + ROWS.replace(b"\n", b"\n\t \n")
    + b"3 0 2 1\n   \n3 0 1 3\n3 0 3 2\n \x0b\x0c\n3 1 2 3\n",
    "plain.obj": OBJ.encode(),
    "slashes.obj": OBJ.replace("f 1 3 2", "vt 0 0\nvn 0 0 1\nf 1/1/1 3//1 2/1").encode(),
    "relative.obj": OBJ.replace("f 1 3 2", "f -4 -2 -3").encode(),
    "continued.obj": OBJ.replace("f 1 3 2", "f 1 \\\n3 2").replace("\n", "\r\n").replace("\\\r\n", "\\\n").encode(),
    "materials.obj": ("mtllib ../../secret.mtl\no part\ng group\nusemtl red\ns off\n" + OBJ).encode(),
    "ascii.stl": ASCII_STL.encode(),
    "binary.stl": stl(CORNERS[TRIANGLES]),
    "solid.stl": b"solid" + stl(CORNERS[TRIANGLES])[5:],
    "scene.glb": glb(scene(), BINARY),
    "datauri.glb": glb(
        scene(
            buffers=[
                {
                    "byteLength": 72,
                    "uri": "data:application/octet-stream;base64," + base64.b64encode(BINARY).decode(),
                }
            ]
        )
    ),
    "mesh.npz": npz(vertices=CORNERS, faces=TRIANGLES),
}
POINT_SETS = {
    "spaces.xyz": ROWS,
    "windows.xyz": ROWS.replace(b"\n", b"\r\n"),
    "old_mac.xyz": ROWS.replace(b"\n", b"\r"),
    "no_last_newline.xyz": ROWS[:-1],
    "blank_lines.xyz": ROWS.replace(b"\n", b"\n\n"),
    "byte_order_mark.xyz": b"\xef\xbb\xbf" + ROWS,
    "utf16.txt": ROWS.decode().encode("utf-16"),
    "tabs.asc": ROWS.replace(b" ", b"\t"),
    "commas.xyz": ROWS.replace(b" ", b","),
    "commas.csv": ROWS.replace(b" ", b", "),
    "closing_commas.csv": ROWS.replace(b" ", b",").replace(b"\n", b",\n"),
    "semicolons.csv": ROWS.replace(b" ", b";"),
    "quotes.csv": b'"x","y","z"\n"0","0","0"\n"1","0","0"\n"0","2","0"\n"0","0","3"\n',
    "header.csv": b"x,y,z\n" + ROWS.replace(b" ", b","),
    "header_of_spaces.txt": b"X Y Z\n" + ROWS,
    "other_order.csv": b"z,x,y\n0,0,0\n0,1,0\n0,0,2\n3,0,0\n",
    "index.csv": b",x,y,z\n0,0,0,0\n1,1,0,0\n2,0,2,0\n3,0,0,3\n",
    "cloudcompare.asc": b"//X Y Z\n" + ROWS,
    "comments.txt": b"# a scan\n# of 4 points\n" + ROWS.replace(b"\n1", b"\n# half way\n1") + b"// end\n",
    "inline_comments.txt": ROWS.replace(b"\n", b" # point\n"),
    "count.pts": b"4\n" + ROWS,
    "count_and_title.xyz": b"4\na title\n" + ROWS,
    "exponents.xyz": b"0 0 0\n1e0 0 0\n0 +2.0E+00 0\n0 0 .3e1\n",
    "rows.npy": npy(CORNERS),
    "half.npy": npy(CORNERS.astype(np.float16)),
    "integers.npy": npy(CORNERS.astype(np.int32)),
    "fortran.npy": npy(np.asfortranarray(CORNERS)),
    "big_endian.npy": npy(CORNERS.astype(">f8")),
    "columns.npy": npy(CORNERS.T.copy()),
    "batch_of_one.npy": npy(CORNERS[None]),
    "structured.npy": npy(
        np.array([tuple(row) for row in CORNERS], dtype=[("x", "f4"), ("y", "f4"), ("z", "f4")]),
    ),
    "points.npz": npz(points=CORNERS, label=np.array(3)),
    "any_name.npz": npz(something=CORNERS),
    "ascii.ply": ply_header("ascii", "comment by hand", "element vertex 4", *XYZ) + ROWS,
    "blanks.ply": ply_header("ascii", "element vertex 4", *XYZ) + ROWS.replace(b"\n", b"\n  \n"),
    "no_faces.ply": ply_header("ascii", "element vertex 4", *XYZ, "element face 0", FACES) + ROWS,
    "double.ply": ply_header("binary_little_endian", "element vertex 4", *DOUBLES)
    + CORNERS.tobytes(),
    "vertices_only.obj": OBJ.split("f ")[0].encode(),
    "no_faces.off": b"OFF\n4 0 0\n" + ROWS,
    "ascii.pcd": pcd("ascii", ROWS),
    "binary.pcd": pcd("binary", CORNERS.astype("<f4").tobytes()),
    "points.glb": glb(scene(meshes=[{"primitives": [{"attributes": {"POSITION": 0}, "mode": 0}]}]), BINARY),
}  # fmt: skip
