"""Does every file become the right shape or one clear sentence, and every shape the right points?"""

from __future__ import annotations

import io
import os
import pickle
import struct
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from pointmcd.records import Shape, ShapeError
from pointmcd.shapes.load import EXTENSIONS, MAX_FILE_BYTES, load_shape
from pointmcd.shapes.reading import READERS
from pointmcd.shapes.reading.cleaning import distinct_rows
from pointmcd.shapes.reading.polygons import polygons_from_lines
from pointmcd.shapes.reading.table import parse_rows
from pointmcd.shapes.sample import sample_points
from tests.shapes.reading.samples import (
    ASCII_STL,
    BINARY,
    CORNERS,
    FACES,
    MESHES,
    OBJ,
    OFF,
    POINT_SETS,
    ROWS,
    TRIANGLES,
    XYZ,
    glb,
    npy,
    npz,
    parse,
    pcd,
    ply_header,
    scene,
    stl,
)

EXAMPLES = Path(__file__).parents[2] / "examples" / "shapes"


@pytest.fixture
def load(tmp_path):
    """Write a file and load it."""

    def write_and_load(file_name: str, content: bytes | str, **options) -> Shape:
        file = tmp_path / file_name
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return load_shape(file, **options)

    return write_and_load


def test_every_known_ending_is_tried_below():
    tried = {Path(name).suffix for name in [*MESHES, *POINT_SETS]}
    assert tried == set(EXTENSIONS) == set(READERS)


@pytest.mark.parametrize("name", MESHES)
def test_every_dialect_of_mesh_is_the_same_tetrahedron(name):
    shape = parse(MESHES[name], Path(name).suffix)
    assert shape.is_mesh
    assert len(shape.vertices) == 4
    corners = shape.vertices[shape.faces]
    np.testing.assert_allclose(corners, CORNERS[TRIANGLES])


@pytest.mark.parametrize("name", POINT_SETS)
def test_every_dialect_of_point_set_is_the_same_four_points(name):
    shape = parse(POINT_SETS[name], Path(name).suffix)
    assert not shape.is_mesh
    np.testing.assert_allclose(shape.vertices, CORNERS)


@pytest.mark.parametrize("name", ["little.ply", "glued.off", "plain.obj", "binary.stl", "scene.glb", "mesh.npz"])
def test_the_child_process_gives_what_the_reader_gives(load, name):
    shape = load(name, MESHES[name], up="z")
    np.testing.assert_allclose(shape.vertices[shape.faces], CORNERS[TRIANGLES])
    assert shape.name == name


# What the columns mean


def unit_rows(count: int) -> np.ndarray:
    rows = np.random.default_rng(1).normal(size=(count, 3))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def text_of(*columns: np.ndarray, separator: str = " ") -> str:
    return "\n".join(separator.join(f"{value:.6g}" for value in row) for row in np.hstack(columns)) + "\n"


def some_points(count: int = 50, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 3)) * 5


BYTES = np.random.default_rng(2).integers(0, 256, size=(50, 3))


def test_unit_rows_are_normals():
    shape = parse(text_of(some_points(), unit_rows(50)), ".xyz")
    assert shape.colors is None
    assert "Columns 4 to 6 read as normals (not used)." in shape.notes


def test_a_few_zero_normals_do_not_make_them_colours():
    normals = unit_rows(50)
    normals[7] = 0
    assert "Columns 4 to 6 read as normals (not used)." in parse(text_of(some_points(), normals), ".txt").notes


def test_integers_up_to_255_are_colours():
    shape = parse(text_of(some_points(), BYTES), ".txt")
    np.testing.assert_array_equal(shape.colors, BYTES)
    assert "Columns 4 to 6 read as colours." in shape.notes


def test_numbers_up_to_1_are_colours():
    shape = parse(text_of(some_points(), BYTES / 255), ".txt")
    np.testing.assert_array_equal(shape.colors, BYTES)


def test_normals_and_colours_are_told_apart_in_either_order():
    for columns in ([unit_rows(50), BYTES], [BYTES, unit_rows(50)]):
        shape = parse(text_of(some_points(), *columns), ".csv")
        np.testing.assert_array_equal(shape.colors, BYTES)


def test_pts_holds_intensity_before_colours():
    intensity = np.arange(50)[:, None]
    for count_line in ("50\n", ""):
        shape = parse(count_line + text_of(some_points(), intensity, BYTES), ".pts")
        np.testing.assert_array_equal(shape.colors, BYTES)
        assert "Column 4 read as intensity or label (not used)." in shape.notes


def test_a_label_after_the_colours_is_not_used():
    shape = parse(text_of(some_points(), BYTES, np.full((50, 1), 7)), ".txt")
    np.testing.assert_array_equal(shape.colors, BYTES)
    assert "Column 7 read as intensity or label (not used)." in shape.notes


def test_a_header_decides_what_the_columns_are():
    shape = parse("x,y,z,label,r,g,b\n" + text_of(some_points(), BYTES[:, :1], BYTES, separator=","), ".csv")
    np.testing.assert_array_equal(shape.colors, BYTES)
    assert "Not used: label." in shape.notes


def test_an_empty_field_is_a_missing_number_and_shifts_nothing():
    shape = parse("x,y,z,i\n0,0,0,1\n1,0,0,\n0,,0,1\n0,2,0,2\n0,0,3,5\n", ".csv")
    np.testing.assert_allclose(shape.vertices, CORNERS)
    assert "Dropped 1 non-finite point." in shape.notes


def test_a_wrong_count_line_is_told():
    assert "The file says it has 9 points, it has 4." in parse(b"9\n" + ROWS, ".pts").notes


def test_ply_colours_are_kept():
    header = ply_header("ascii", "element vertex 4", *XYZ, *(f"property uchar {c}" for c in ("red", "green", "blue")))
    shape = parse(header + b"0 0 0 1 2 3\n1 0 0 4 5 6\n0 2 0 7 8 9\n0 0 3 10 11 12\n", ".ply")
    np.testing.assert_array_equal(shape.colors, np.arange(1, 13).reshape(4, 3))


def test_dark_byte_colours_of_a_text_ply_are_not_stretched():
    header = ply_header("ascii", "element vertex 4", *XYZ, *(f"property uchar {c}" for c in ("red", "green", "blue")))
    shape = parse(header + b"0 0 0 1 0 1\n1 0 0 1 1 1\n0 2 0 0 0 1\n0 0 3 1 0 0\n", ".ply")
    assert shape.colors.max() == 1


def test_ply_normals_and_splat_properties_are_named_as_not_used():
    header = ply_header("binary_little_endian", "element vertex 4", *XYZ, "property float nx", "property float opacity")
    body = np.hstack([CORNERS, np.ones((4, 2))]).astype("<f4").tobytes()
    assert "Not used: nx, opacity." in parse(header + body, ".ply").notes


def test_pcd_colours_packed_into_the_bits_of_a_float_are_unpacked():
    packed = np.array([0xFF0000, 0x00FF00, 0x0000FF, 0x102030], dtype="<u4").view("<f4")
    body = np.column_stack([CORNERS.astype("<f4"), packed]).astype("<f4").tobytes()
    shape = parse(pcd("binary", body, fields="x y z rgb"), ".pcd")
    np.testing.assert_array_equal(shape.colors, [[255, 0, 0], [0, 255, 0], [0, 0, 255], [16, 32, 48]])


def test_pcd_columns_of_several_values_and_padding_are_stepped_over():
    header = (
        b"VERSION .7\nFIELDS x y z _ fpfh\nSIZE 4 4 4 1 4\nTYPE F F F U F\nCOUNT 1 1 1 4 2\n"
        b"WIDTH 2\nHEIGHT 2\nDATA binary\n"
    )
    rows = np.zeros(4, dtype=[("xyz", "<f4", 3), ("pad", "u1", 4), ("fpfh", "<f4", 2)])
    rows["xyz"] = CORNERS
    np.testing.assert_allclose(parse(header + rows.tobytes(), ".pcd").vertices, CORNERS)


def lzf_literals(content: bytes) -> bytes:
    return b"".join(bytes([len(part) - 1]) + part for part in (content[i : i + 32] for i in range(0, len(content), 32)))


def test_compressed_pcd_stores_field_after_field():
    content = CORNERS.astype("<f4").T.tobytes()
    packed = lzf_literals(content)
    body = struct.pack("<II", len(packed), len(content)) + packed
    np.testing.assert_allclose(parse(pcd("binary_compressed", body), ".pcd").vertices, CORNERS)


def test_compressed_pcd_copies_may_overlap_what_they_write():
    content = CORNERS.astype("<f4").T.tobytes()
    # x is 0 1 0 0: four zero bytes as one literal and a copy of three; long copies carry an extra length byte.
    zeros = bytes([0, 0]) + bytes([1 << 5, 0])
    assert content[:4] == bytes(4)
    packed = zeros + lzf_literals(content[4:36]) + bytes([0, 0]) + bytes([7 << 5, 0, 0]) + lzf_literals(content[46:])
    assert content[36:46] == bytes(10)
    body = struct.pack("<II", len(packed), len(content)) + packed
    np.testing.assert_allclose(parse(pcd("binary_compressed", body), ".pcd").vertices, CORNERS)


def test_the_features_first_array_is_read_as_points_and_told():
    shape = parse(npy(np.hstack([some_points(), unit_rows(50)]).T.copy()), ".npy")
    assert len(shape.vertices) == 50
    assert "Read the 6 x 50 array as 50 points." in shape.notes


def test_the_array_called_points_is_chosen_and_told():
    shape = parse(npz(visibility=np.ones((12, 4), dtype=bool), points=CORNERS), ".npz")
    np.testing.assert_allclose(shape.vertices, CORNERS)
    assert "Read the array 'points' of 2 arrays." in shape.notes


def test_npz_colours_are_kept():
    shape = parse(npz(points=CORNERS, colors=np.full((4, 3), 9, dtype=np.uint8)), ".npz")
    assert (shape.colors == 9).all()


def test_obj_vertex_colours_are_kept():
    shape = parse("v 0 0 0 1 0 0\nv 1 0 0 0 1 0\nv 0 2 0 0 0 1\nv 0 0 3 1 1 1\nf 1 2 3\n", ".obj")
    np.testing.assert_array_equal(shape.colors, np.eye(3) * 255)


def test_saturated_colours_of_an_obj_are_colours():
    shape = parse("v 0 0 0 1 0 0\nv 1 0 0 0 1 0\nv 0 2 0 0 0 1\n", ".obj")
    np.testing.assert_array_equal(shape.colors, np.eye(3) * 255)
    assert "Columns 4 to 6 read as colours." in shape.notes


def test_normals_in_the_vertex_lines_of_an_obj_are_not_used():
    shape = parse("".join(f"v {row}\n" for row in text_of(some_points(), unit_rows(50)).splitlines()), ".obj")
    assert shape.colors is None
    assert "Columns 4, 5, 6 not used." in shape.notes


@pytest.mark.parametrize("alpha", ["", " 1"])
def test_saturated_colours_of_a_coff_are_colours(alpha):
    rows = f"0 0 0 1 0 0{alpha}\n1 0 0 0 1 0{alpha}\n0 2 0 0 0 1{alpha}\n"
    shape = parse(f"COFF\n3 1 0\n{rows}3 0 1 2\n", ".off")
    np.testing.assert_array_equal(shape.colors, np.eye(3) * 255)


def test_colours_of_a_cnoff_follow_its_normals():
    shape = parse("CNOFF\n3 1 0\n0 0 0 0 0 1 9 8 7\n1 0 0 0 0 1 6 5 4\n0 2 0 0 0 1 3 2 1\n3 0 1 2\n", ".off")
    np.testing.assert_array_equal(shape.colors, [[9, 8, 7], [6, 5, 4], [3, 2, 1]])


def test_an_opacity_of_255_says_that_dark_colours_are_dark():
    shape = parse("COFF\n3 1 0\n0 0 0 1 0 0 255\n1 0 0 0 1 0 255\n0 2 0 0 0 1 255\n3 0 1 2\n", ".off")
    np.testing.assert_array_equal(shape.colors, np.eye(3))


def test_text_columns_of_zeros_and_ones_are_saturated_colours_and_the_doubt_is_told():
    shape = parse("0 0 0 1 0 0\n1 0 0 0 1 0\n0 2 0 0 0 1\n0 0 3 1 0 0\n", ".xyz")
    np.testing.assert_array_equal(shape.colors, np.eye(3)[[0, 1, 2, 0]] * 255)
    assert "Columns 4 to 6 read as colours; being only 0 and 1, they could be normals." in shape.notes


def test_the_same_unit_row_at_every_point_is_the_normal_of_a_plane_and_the_doubt_is_told():
    shape = parse("0 0 7 0 0 1\n1 0 7 0 0 1\n0 2 7 0 0 1\n", ".xyz")
    assert shape.colors is None
    assert "Columns 4 to 6 read as normals (not used); being all the same, they could be one colour." in shape.notes


def test_signed_axis_aligned_rows_are_normals():
    normals = np.vstack([np.eye(3), -np.eye(3)])
    shape = parse(text_of(some_points(6), normals), ".xyz")
    assert "Columns 4 to 6 read as normals (not used)." in shape.notes


GREYISH = np.clip(BYTES[:, :1] + np.random.default_rng(4).integers(-20, 21, size=(50, 3)), 0, 255)
STRAY = np.random.default_rng(5).integers(0, 256, size=(50, 1))


@pytest.mark.parametrize("colors", [GREYISH, GREYISH / 255, np.full((50, 3), [200, 10, 10])])
@pytest.mark.parametrize("extension", [".txt", ".xyz", ".csv"])
def test_of_seven_columns_the_three_that_go_together_are_the_colours(colors, extension):
    stray = STRAY if colors.max() > 1 else STRAY / 255
    expected = np.round(colors if colors.max() > 1 else colors * 255)
    before = parse(text_of(some_points(), stray, colors), extension)
    np.testing.assert_array_equal(before.colors, expected)
    assert "Column 4 read as intensity or label (not used)." in before.notes
    after = parse(text_of(some_points(), colors, stray), extension)
    np.testing.assert_array_equal(after.colors, expected)
    assert "Column 7 read as intensity or label (not used)." in after.notes


def test_a_constant_column_before_the_colours_is_a_label():
    shape = parse(text_of(some_points(), np.full((50, 1), 7), BYTES), ".txt")
    np.testing.assert_array_equal(shape.colors, BYTES)


def test_four_columns_that_could_be_colours_in_two_ways_are_told_to_be():
    shape = parse(text_of(some_points(), BYTES, STRAY), ".txt")
    np.testing.assert_array_equal(shape.colors, BYTES)
    assert "Columns 4 to 6 read as colours; columns 5 to 7 could be them too." in shape.notes


@pytest.mark.parametrize("line", ["0x10 2 3", "1_0 2 3"])
def test_a_first_line_that_is_no_row_of_numbers_is_told(line):
    assert "Line 1 read as a header." in parse(f"{line}\n" + ROWS.decode(), ".xyz").notes
    assert "Line 2 read as a header." in parse(f"4\n{line}\n" + ROWS.decode(), ".xyz").notes


def test_a_header_that_names_the_columns_needs_no_note():
    assert parse(b"x,y,z\n" + ROWS.replace(b" ", b","), ".csv").notes == ()


@pytest.mark.parametrize("word", ["1.#QNAN", "-1.#IND", "1.#INF00", "-1.#IND0000e+000", "-nan(ind)", "-1.#QNAN"])
@pytest.mark.parametrize("extension", [".xyz", ".obj", ".ply", ".pcd"])
def test_the_spellings_of_no_number_on_windows_are_understood(word, extension):
    rows = b"%b 0 0\n" % word.encode() + ROWS
    content = {
        ".xyz": rows,
        ".obj": b"".join(b"v " + row + b"\n" for row in rows.splitlines()),
        ".ply": ply_header("ascii", "element vertex 5", *XYZ) + rows,
        ".pcd": pcd("ascii", rows, points=5),
    }[extension]
    shape = parse(content, extension)
    np.testing.assert_allclose(shape.vertices, CORNERS)
    assert "Dropped 1 non-finite point." in shape.notes


def test_a_comment_right_behind_a_number_is_a_comment():
    np.testing.assert_allclose(parse(ROWS.replace(b"0 0 3", b"0 0 3.#quite high"), ".xyz").vertices, CORNERS)


def test_rows_beyond_those_promised_are_told():
    assert "Ignored 1 line after the last point." in parse(pcd("ascii", ROWS + b"9 9 9\n"), ".pcd").notes
    assert "Ignored 2 lines after the last face." in parse(OFF + "7 7 7\n\n8 8 8\n", ".off").notes
    assert "Ignored 1 line after the last point." in parse(b"OFF 4 0 0\n" + ROWS + b"9 9 9\n", ".off").notes
    assert "Ignored 1 line after the last face." in parse(MESHES["ascii.ply"] + b"9 9 9\n", ".ply").notes


def test_a_block_of_lines_that_gives_fewer_rows_than_lines_is_refused():
    with pytest.raises(ShapeError, match="3 rows of numbers where 4 were expected"):
        parse_rows(b"0 0 0\n1 0 0\n \n0 2 0\n", rows=4)
    with pytest.raises(ShapeError, match="3 polygons where 4 were expected"):
        polygons_from_lines(b"3 0 1 2\n \n3 0 1 3\n3 1 2 3\n", first_line=1, counted_lines=True, polygons=4)
    with pytest.raises(ShapeError, match="2 polygons where 3 were expected"):
        polygons_from_lines(b"3 0 1 2\n \n4 0 1 3 2\n", first_line=1, counted_lines=True, polygons=3)


# Meshes


def test_a_quad_becomes_two_triangles_and_a_pentagon_three():
    quad = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nv -1 0.5 0\n"
    np.testing.assert_array_equal(parse(quad + "f 1 2 3 4\n", ".obj").faces, [[0, 1, 2], [0, 2, 3]])
    mixed = parse(quad + "f 1 2 3 4 5\nf 1 3 2\n", ".obj")
    np.testing.assert_array_equal(mixed.faces, [[0, 1, 2], [0, 2, 3], [0, 3, 4], [0, 2, 1]])


def test_mixed_polygons_of_a_binary_ply_become_triangles():
    header = ply_header(
        "binary_little_endian", "element vertex 4", *XYZ, "element face 2", "property uchar flags", FACES,
        "property list uchar float texcoord",
    )  # fmt: skip
    quad = struct.pack("<BB4iB2f", 0, 4, 0, 1, 2, 3, 2, 0.5, 0.5)
    triangle = struct.pack("<BB3iB", 0, 3, 1, 2, 3, 0)
    shape = parse(header + CORNERS.astype("<f4").tobytes() + quad + triangle, ".ply")
    np.testing.assert_array_equal(shape.faces, [[0, 1, 2], [0, 2, 3], [1, 2, 3]])


def test_face_colours_of_an_off_file_are_stepped_over():
    shape = parse(OFF.replace("3 0 2 1\n", "3 0 2 1 255 0 0\n").replace("3 1 2 3\n", "3 1 2 3 0.5\n"), ".off")
    np.testing.assert_array_equal(shape.faces, TRIANGLES)


def test_ply_elements_before_the_points_are_stepped_over():
    header = ply_header("binary_little_endian", "element camera 1", "property double f", "element vertex 4", *XYZ)
    shape = parse(header + bytes(8) + CORNERS.astype("<f4").tobytes(), ".ply")
    np.testing.assert_allclose(shape.vertices, CORNERS)
    assert "Ignored: camera." in shape.notes


def test_corners_of_an_stl_at_one_place_are_one_vertex():
    shape = parse(MESHES["binary.stl"], ".stl")
    assert len(shape.vertices) == 4


@pytest.mark.parametrize("start", [b"BZh", b"\x89PNG", b"\x80\x02", b"PK\x03\x04", b"solid", b"%PDF"])
@pytest.mark.parametrize("end", [b"", b"\0\0", b"ab"])
def test_the_free_header_of_a_binary_stl_may_hold_anything(start, end):
    content = start + stl(CORNERS[TRIANGLES])[len(start) :] + end
    shape = parse(content, ".stl")
    np.testing.assert_allclose(shape.vertices[shape.faces], CORNERS[TRIANGLES])
    assert shape.notes == (("Ignored 2 bytes after the last triangle.",) if end else ())


def test_glb_parts_stand_where_their_nodes_put_them():
    half = np.sqrt(0.5)
    nodes = [
        {"children": [1, 2], "translation": [10, 0, 0]},
        {"mesh": 0, "rotation": [0, 0, half, half], "scale": [2, 2, 2]},  # a quarter turn about z
        {"mesh": 0, "matrix": [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 5, 1]},
    ]
    shape = parse(glb(scene(nodes=nodes), BINARY), ".glb")
    quarter_turn = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]])
    np.testing.assert_allclose(shape.vertices[:4], 2 * CORNERS @ quarter_turn.T + [10, 0, 0], atol=1e-6)
    np.testing.assert_allclose(shape.vertices[4:], CORNERS + np.array([10, 0, 5]), atol=1e-6)
    assert "Joined 2 parts." in shape.notes


def test_a_mirrored_glb_part_keeps_its_outside_outside():
    shape = parse(glb(scene(nodes=[{"mesh": 0, "scale": [-1, 1, 1]}]), BINARY), ".glb")
    corners = shape.vertices[shape.faces]
    volume = np.einsum("fc,fc->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) / 6
    assert volume == pytest.approx(1.0)


def test_glb_meshes_outside_the_scene_are_left_out():
    shape = parse(glb(scene(nodes=[{"mesh": 0}, {"mesh": 0, "translation": [9, 9, 9]}]), BINARY), ".glb")
    assert len(shape.vertices) == 4


def test_glb_strips_and_fans_are_cut_with_one_orientation():
    grid = np.array([[0, 0, 0], [0, 1, 0], [1, 0, 0], [1, 1, 0]], dtype="<f4").tobytes()
    document = scene(meshes=[{"primitives": [{"attributes": {"POSITION": 0}, "mode": 5}]}])
    corners = (shape := parse(glb(document, grid + bytes(24)), ".glb")).vertices[shape.faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert len(normals) == 2
    assert (normals[:, 2] < 0).all()
    document = scene(meshes=[{"primitives": [{"attributes": {"POSITION": 0}, "mode": 6}]}])
    np.testing.assert_array_equal(parse(glb(document, BINARY), ".glb").faces, [[0, 1, 2], [0, 2, 3]])


def test_interleaved_and_quantised_glb_tables_are_read():
    positions = np.zeros(4, dtype=[("position", "<i2", 3), ("pad", "<i2"), ("color", "u1", 4)])
    positions["position"] = CORNERS / 3 * 32767
    positions["color"] = [200, 100, 50, 255]
    document = scene(
        extensionsRequired=["KHR_mesh_quantization"],
        nodes=[{"mesh": 0, "scale": [3, 3, 3]}],
        meshes=[{"primitives": [{"attributes": {"POSITION": 0, "COLOR_0": 2}, "indices": 1}]}],
        bufferViews=[
            {"buffer": 0, "byteLength": 48, "byteStride": 12},
            {"buffer": 0, "byteOffset": 48, "byteLength": 24},
        ],
        accessors=[
            {"bufferView": 0, "componentType": 5122, "normalized": True, "count": 4, "type": "VEC3"},
            {"bufferView": 1, "componentType": 5123, "count": 12, "type": "SCALAR"},
            {"bufferView": 0, "byteOffset": 8, "componentType": 5121, "normalized": True, "count": 4, "type": "VEC4"},
        ],
    )
    shape = parse(glb(document, positions.tobytes() + TRIANGLES.astype("<u2").tobytes()), ".glb")
    np.testing.assert_allclose(shape.vertices, CORNERS, atol=1e-4)
    np.testing.assert_array_equal(shape.colors, np.tile([200, 100, 50], (4, 1)))


def test_sparse_glb_tables_are_read():
    document = scene()
    document["accessors"][0] = {
        "componentType": 5126, "count": 4, "type": "VEC3",
        "sparse": {
            "count": 3,
            "indices": {"bufferView": 2, "componentType": 5121},
            "values": {"bufferView": 0, "byteOffset": 12},
        },
    }  # fmt: skip
    document["bufferViews"].append({"buffer": 0, "byteOffset": 72, "byteLength": 3})
    document["buffers"] = [{"byteLength": 75}]
    np.testing.assert_allclose(parse(glb(document, BINARY + bytes([1, 2, 3])), ".glb").vertices, CORNERS)


def test_each_glb_part_without_vertex_colours_takes_its_material_colour():
    document = scene(materials=[{"pbrMetallicRoughness": {"baseColorFactor": [1, 0.5, 0, 1]}}])
    document["meshes"][0]["primitives"][0]["material"] = 0
    np.testing.assert_array_equal(parse(glb(document, BINARY), ".glb").colors, np.tile([255, 128, 0], (4, 1)))


@pytest.mark.parametrize("extension", [".glb", ".obj", ".off", ".ply", ".stl"])
def test_files_written_by_trimesh_are_read_as_trimesh_reads_them(extension):
    trimesh = pytest.importorskip("trimesh")
    mesh = trimesh.creation.annulus(0.5, 1.0, 2.0, sections=12)
    if extension == ".glb":
        other = trimesh.creation.icosphere(subdivisions=1)
        turn = trimesh.transformations.rotation_matrix(0.7, [1, 2, 3], [0, 1, 0])
        placed = trimesh.Scene()
        placed.add_geometry(mesh, transform=turn)
        placed.add_geometry(other, transform=trimesh.transformations.translation_matrix([3, 2, 1]))
        content, mesh = placed.export(file_type="glb"), placed.to_geometry()
    else:
        content = mesh.export(file_type=extension[1:])
    shape = parse(content, extension)
    ours = trimesh.Trimesh(shape.vertices, shape.faces, process=False)
    assert len(ours.faces) == len(mesh.faces)
    assert ours.area == pytest.approx(mesh.area, rel=1e-5)
    assert ours.volume == pytest.approx(mesh.volume, rel=1e-5)
    np.testing.assert_allclose(ours.bounds, mesh.bounds, atol=1e-5)


# Cleaning


def test_points_that_are_not_finite_are_dropped_and_counted():
    shape = parse(b"nan 0 0\n0 0 0\n1 0 0\n0 inf 0\n0 2 0\n0 0 -inf\n0 0 3\n3.4e38 0 0\n", ".xyz")
    np.testing.assert_allclose(shape.vertices, CORNERS)
    assert "Dropped 4 non-finite points." in shape.notes


def test_duplicate_points_are_merged_in_file_order_with_the_first_colour():
    shape = parse(b"0 0 0 9 9 9\n1 0 0 8 8 8\n-0 0 0 7 7 7\n0 2 0 6 6 6\n0 0 3 5 5 5\n0 0 3 4 4 4\n", ".txt")
    np.testing.assert_allclose(shape.vertices, CORNERS)
    np.testing.assert_array_equal(shape.colors[:, 0], [9, 8, 6, 5])
    assert "Merged 2 duplicate points." in shape.notes


def test_distinct_rows_agree_with_numpy_on_many_repeated_points():
    points = np.random.default_rng(0).integers(-3, 4, size=(2000, 3)).astype(np.float64)
    first, which = distinct_rows(points)
    assert len(first) == len(np.unique(points, axis=0))
    np.testing.assert_array_equal(points[first][which], points)
    assert (np.diff(first) > 0).all()


def test_triangles_that_use_a_non_finite_vertex_are_dropped():
    shape = parse(OFF.replace("0 0 3\n", "0 0 nan\n"), ".off")
    np.testing.assert_array_equal(shape.faces, [[0, 2, 1]])
    assert "Dropped 1 non-finite vertex and 3 triangles that used them." in shape.notes


def test_triangles_without_area_and_vertices_without_triangles_are_removed():
    shape = parse(OBJ + "v 9 9 9\nf 1 1 2\n", ".obj")
    assert len(shape.faces) == 4
    assert len(shape.vertices) == 4
    assert "Dropped 1 triangle without area." in shape.notes


def test_a_flat_plane_is_a_shape():
    grid = np.stack(np.meshgrid(np.arange(4.0), np.arange(4.0), [7.0]), axis=-1).reshape(-1, 3)
    assert len(parse(text_of(grid), ".xyz").vertices) == 16


def test_coordinates_far_from_the_origin_keep_their_digits():
    offset = np.array([500_000.0, 4_500_000.0, 300.0])
    near, far = some_points(), some_points() + offset
    text = "\n".join(" ".join(f"{value:.6f}" for value in row) for row in far)
    cloud = sample_points(parse(text, ".xyz"))
    np.testing.assert_allclose(cloud.points, sample_points(Shape("", near)).points, atol=1e-5)


# Files that are refused, each with the words that must be in the sentence

SEVENTEEN = ROWS * 4 + b"5 5\n" + ROWS
PLY_BOMB = ply_header("binary_little_endian", "element vertex 2000000000", *XYZ) + bytes(24)
BAD_FILES = {
    "ragged.xyz": (SEVENTEEN, ["line 17", "2 columns", "expected 3"]),
    "ragged_with_header.csv": (b"x,y,z\n1,2,3\n4,5\n", ["line 3", "2 columns"]),
    "word.txt": (ROWS + b"1 two 3\n", ["line 5", "'two'", "not a number"]),
    "first_line.txt": (b"C 0.0 0.0 0.0\nC 1.0 0.0 0.0\n", ["line 1", "'C'"]),
    "two_columns.csv": (b"1,2\n3,4\n5,6\n", ["line 1", "2 columns", "at least 3"]),
    "decimal_comma.csv": (b"0,5;1,5;2,5\n1,5;2,5;3,5\n", ["line 1", "decimal comma", "'0,5'"]),
    "decimal_comma.txt": (b"x y z\n0,5 1,5 2,5\n", ["line 2", "decimal comma"]),
    "decimal_comma_later.txt": (b"0;1;2\n3;4;5\n1,5;2;3\n", ["line 3", "decimal comma"]),
    "words.txt": (b"once upon a time\nthere was a cloud\n", ["no line of numbers"]),
    "header_only.csv": (b"x,y,z\n", ["no line of numbers"]),
    "no_xyz.ply": (ply_header("ascii", "element vertex 1", "property int u") + b"1\n", ["no columns x, y", "'u'"]),
    "empty.ply": (b"", ["empty"]),
    "blank.xyz": (b" \n\n", ["empty"]),
    "binary.txt": (bytes(range(256)), ["binary data"]),
    "one_point.xyz": (b"1 2 3\n", ["at least 3 distinct points", "has 1"]),
    "two_points.xyz": (b"1 2 3\n4 5 6\n1 2 3\n", ["at least 3 distinct points", "has 2"]),
    "all_nan.xyz": (b"nan nan nan\n" * 9, ["at least 3 distinct points", "has 0"]),
    "line.xyz": (b"".join(b"%d %d 7\n" % (i, 2 * i) for i in range(50)), ["one line"]),
    "line.obj": (b"v 0 0 0\nv 1 1 1\nv 2 2 2\nf 1 2 3\n", ["no triangle", "area"]),
    "promises.ply": (PLY_BOMB, ["promises 2,000,000,000 points", "room for 2"]),
    "promises_text.ply": (PLY_BOMB.replace(b"binary_little_endian", b"ascii"), ["promises 2,000,000,000 points"]),
    "promises_faces.ply": (
        ply_header("binary_little_endian", "element vertex 4", *XYZ, "element face 999999999", FACES) + bytes(60),
        ["promises 999,999,999 faces"],
    ),
    "promises_list.ply": (
        ply_header("binary_little_endian", "element vertex 1", *XYZ, "element face 1", FACES.replace("uchar", "uint"))
        + bytes(12) + b"\xff\xff\xff\xff" + bytes(8),
        ["ends inside face 1"],
    ),
    "promises_nothing.ply": (ply_header("binary_little_endian", "element vertex 999999999"), ["promises"]),
    "negative.ply": (ply_header("ascii", "element vertex -4", *XYZ) + ROWS, ["promises -4"]),
    "no_end.ply": (b"ply\nformat ascii 1.0\nelement vertex 4\n" + ROWS, ["end_header"]),
    "odd_header.ply": (ply_header("ascii", "element vertex 4", "property quaternion x") + ROWS, ["line 4", "header"]),
    "short_line.ply": (ply_header("ascii", "element vertex 4", *XYZ) + ROWS.replace(b"0 2 0", b"0.00 2"), ["line 10"]),
    "short.ply": (ply_header("ascii", "element vertex 5", *XYZ) + ROWS, ["promises 5 points", "room for 4"]),
    "cut.ply": (MESHES["little.ply"][:-5], ["ends inside face 4 of 4"]),
    "bad_index.ply": (MESHES["ascii.ply"].replace(b"3 1 2 3\n", b"3 1 2 9\n"), ["triangle 4", "vertex 9", "has 4"]),
    "promises.off": (b"OFF\n2000000000 0 0\n" + ROWS, ["promises 2,000,000,000 points"]),
    "promises_faces.off": (OFF.replace("4 4 6", "4 400 6").encode(), ["promises 400 faces", "room for 4"]),
    "bad_index.off": (OFF.replace("3 1 2 3", "3 1 2 4").encode(), ["triangle 4", "vertex 4"]),
    "negative_index.off": (OFF.replace("3 1 2 3", "3 1 2 -1").encode(), ["vertex -1"]),
    "broken_face.off": (OFF.replace("3 1 2 3", "7 1 2").encode(), ["line 10", "7 corners"]),
    "fractions.off": (OFF.replace("3 1 2 3", "3 1 2 2.5").encode(), ["line 10", "2.5"]),
    "four_dimensions.off": (OFF.replace("OFF", "4OFF").encode(), ["no text OFF"]),
    "bad_index.obj": (OBJ.replace("f 2 3 4", "f 2 3 5").encode(), ["triangle 4", "vertex 4", "4 vertices"]),
    "zero_index.obj": (OBJ.replace("f 2 3 4", "f 2 3 0").encode(), ["triangle 4", "vertex -1"]),
    "word.obj": (OBJ.replace("v 0 2 0", "v 0 two 0").encode(), ["line 3", "'two'"]),
    "short.obj": (OBJ.replace("v 0 2 0", "v 0 2").encode(), ["line 3", "2 columns"]),
    "word_face.obj": (OBJ.replace("f 1 4 3", "f 1 four 3").encode(), ["line 7"]),
    "nothing.obj": (b"# nothing here\no part\n", ["no vertices"]),
    "promises.stl": (bytes(80) + struct.pack("<I", 2**31) + bytes(100), ["2,147,483,648 triangles", "room for 2"]),
    "short.stl": (b"abc", ["no STL"]),
    "no_triangles.stl": (b"solid nothing\nendsolid nothing\n", ["no triangles"]),
    "cut_binary.stl": (b"solid" + stl(CORNERS[TRIANGLES])[5:-3], ["promises 4 triangles", "room for 3"]),
    "image.stl": (b"\x89PNG\r\n\x1a\n" + bytes(400), ["PNG image"]),
    "archive.stl": (b"BZh9" + bytes(range(256)), ["archive (bzip2)"]),
    "cut.stl": (ASCII_STL[: ASCII_STL.rindex("vertex")].encode(), ["whole triangles"]),
    "promises.pcd": (pcd("binary", bytes(48), points=2_000_000_000), ["promises 2,000,000,000 points"]),
    "promises_text.pcd": (pcd("ascii", ROWS, points=9), ["promises 9 points", "room for"]),
    "promises_packed.pcd": (
        pcd("binary_compressed", struct.pack("<II", 12, 4_000_000_000) + bytes(12), points=300_000_000),
        ["more than the limit"],
    ),
    "damaged_packed.pcd": (
        pcd("binary_compressed", struct.pack("<II", 3, 48) + bytes([0xFF, 0xFF, 0xFF]), points=4),
        ["damaged"],
    ),
    "no_header.pcd": (ROWS, ["header is incomplete"]),
    "odd_type.pcd": (pcd("binary", bytes(48), kind="Q"), ["unknown TYPE"]),
    "odd_storage.pcd": (pcd("zipped", bytes(48)), ["'zipped'"]),
    "objects.npy": (npy(np.array([{"a": 1}, None, []], dtype=object), allow_pickle=True), ["Python objects"]),
    "pickle.npy": (pickle.dumps([1, 2, 3]), ["Python pickle"]),
    "promises.npy": (
        npy(CORNERS).replace(b"(4, 3), }         ", b"(4000000000, 3), }"),
        ["promises 4,000,000,000 x 3 numbers", "room for 12"],
    ),
    "strings.npy": (npy(np.array([["a", "b", "c"]] * 4)), ["not numbers"]),
    "complex.npy": (npy(np.ones((4, 3), dtype=complex)), ["complex128"]),
    "flat.npy": (npy(np.arange(12.0)), ["(N, 3)"]),
    "image.npy": (npy(np.ones((64, 48))), ["64 x 48", "(N, 3)"]),
    "many_shapes.npy": (npy(np.ones((7, 20, 3))), ["holds 7 shapes"]),
    "cut.npy": (npy(CORNERS)[:-8], ["room for 11"]),
    "no_points.npz": (npz(alpha=CORNERS, beta=CORNERS), ["'points'", "'alpha'"]),
    "objects.npz": (npz(points=np.array([None, {}], dtype=object)), ["Python objects"]),
    "float_faces.npz": (npz(vertices=CORNERS, faces=TRIANGLES.astype(float)), ["integers"]),
    "cut.npz": (npz(points=CORNERS)[:-30], ["cut off"]),
    "references.glb": (
        glb(scene(buffers=[{"byteLength": 72, "uri": "../../etc/passwd"}])),
        ["another file", "'../../etc/passwd'", "never opened"],
    ),
    "web.glb": (glb(scene(buffers=[{"byteLength": 72, "uri": "http://127.0.0.1/x"}])), ["another file"]),
    "draco.glb": (glb(scene(extensionsRequired=["KHR_draco_mesh_compression"]), BINARY), ["KHR_draco"]),
    "loop.glb": (glb(scene(nodes=[{"mesh": 0, "children": [0]}]), BINARY), ["contain one another"]),
    "long_table.glb": (
        glb(scene(accessors=[{"bufferView": 0, "componentType": 5126, "count": 5, "type": "VEC3"}] * 2), BINARY),
        ["longer than its data"],
    ),
    "zeros.glb": (
        glb(scene(accessors=[{"componentType": 5126, "count": 4_000_000_000, "type": "VEC3"}] * 2), BINARY),
        ["do not fit together"],
    ),
    "bad_index.glb": (glb(scene(), BINARY[:-2] + b"\xff\x00"), ["do not fit together"]),
    "no_scene.glb": (glb({}), ["no triangles and no points"]),
    "wrong_types.glb": (glb(scene(nodes=[7]), BINARY), ["do not fit together"]),
    "cut.glb": (glb(scene(), BINARY)[:-40], ["cut off"]),
    "version_1.glb": (b"glTF" + struct.pack("<II", 1, 20) + bytes(8), ["glTF 2"]),
    "deep.glb": (b"glTF" + struct.pack("<III4s", 2, 400020, 400000, b"JSON") + b"[" * 400000, ["cannot be read"]),
    "zip.ply": (b"PK\x03\x04" + bytes(60), ["archive (zip)", "unpack"]),
    "gzip.obj": (b"\x1f\x8b\x08" + bytes(60), ["archive (gzip)"]),
    "seven.xyz": (b"7z\xbc\xaf\x27\x1c" + bytes(60), ["archive (7z)"]),
    "tar.txt": (b"chair.ply".ljust(257, b"\0") + b"ustar" + bytes(250), ["archive (tar)"]),
    "image.ply": (b"\x89PNG\r\n\x1a\n" + bytes(40), ["PNG image"]),
    "misnamed.obj": (MESHES["ascii.ply"], ["content is a .ply file", "rename"]),
    "misnamed.xyz": (OFF.encode(), ["content is a .off file"]),
    "misnamed.ply": (npy(CORNERS), ["content is a .npy file"]),
    "misnamed.csv": (pcd("ascii", ROWS), ["content is a .pcd file"]),
    "misnamed.off": (MESHES["scene.glb"], ["content is a .glb file"]),
    "text.npy": (ROWS, ["numpy header"]),
    "text.glb": (ROWS, ["glTF 2"]),
    "text.off": (ROWS, ["no text OFF"]),
    "text.npz": (ROWS, ["no .npz archive"]),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_gives_one_sentence_that_says_what_where_and_what_to_do(name):
    content, words = BAD_FILES[name]
    with pytest.raises(ShapeError) as caught:
        parse(content, Path(name).suffix)
    message = str(caught.value)
    assert [word for word in words if word not in message] == [], message
    assert "\n" not in message
    assert len(message) < 300
    assert message.endswith(".")
    assert ":" in message  # what to do follows the colon


@pytest.mark.parametrize("name", ["ragged.xyz", "promises.ply", "references.glb", "objects.npy", "zip.ply"])
def test_a_bad_file_in_the_child_process_gives_the_same_sentence(load, name):
    content, words = BAD_FILES[name]
    with pytest.raises(ShapeError) as caught:
        load(name, content)
    assert str(caught.value).startswith(f"{name}: ")
    assert all(word in str(caught.value) for word in words)
    assert load("good.xyz", ROWS).vertices.shape == (4, 3)  # and the next good one works


def test_a_zip_bomb_is_refused_by_the_sizes_it_states():
    content = bytearray(npz(points=np.zeros((100_000, 3))))
    size = content.index(b"PK\x01\x02") + 24
    content[size : size + 4] = struct.pack("<I", 600 * 2**20)
    with pytest.raises(ShapeError, match="unpacks to 600 MB"):
        parse(bytes(content), ".npz")


def test_a_zip_that_lies_about_its_sizes_unpacks_no_further_than_it_says():
    content = bytearray(npz(points=np.zeros((100_000, 3))))
    for start in (content.index(b"PK\x01\x02") + 24,):
        content[start : start + 4] = struct.pack("<I", 500)
    with pytest.raises(ShapeError):
        parse(bytes(content), ".npz")


def test_a_zip_of_other_files_is_no_npz():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("../chair.ply", MESHES["ascii.ply"])
    with pytest.raises(ShapeError, match=r"archive \(zip\) of other files"):
        parse(stream.getvalue(), ".npz")


def test_random_damage_gives_a_shape_or_one_sentence():
    generator = np.random.default_rng(0)
    for name, content in {**MESHES, **POINT_SETS}.items():
        for _ in range(6):
            damaged = bytearray(content)
            for place in generator.integers(0, len(damaged), size=3):
                damaged[place] = generator.integers(0, 256)
            cut = bytes(damaged[: generator.integers(len(damaged) // 2, len(damaged) + 1)])
            try:
                shape = parse(cut, Path(name).suffix)
            except ShapeError:
                continue
            assert np.isfinite(shape.vertices).all(), name


# The border: files, processes, names


def test_a_missing_file_a_folder_and_an_unknown_ending_are_refused(tmp_path, load):
    with pytest.raises(ShapeError, match=r"^chair.ply: there is no such file"):
        load_shape(tmp_path / "chair.ply")
    (tmp_path / "folder.ply").mkdir()
    with pytest.raises(ShapeError, match="this is a folder"):
        load_shape(tmp_path / "folder.ply")
    with pytest.raises(ShapeError, match=r"the ending .docx is not known: use one of .*\.ply.*\.glb"):
        load("notes.docx", b"x")
    with pytest.raises(ShapeError, match="without an ending"):
        load("notes", b"x")
    with pytest.raises(ShapeError, match="no such file"):
        load_shape("a\0b.ply")
    with pytest.raises(ShapeError, match=r"^the path is empty: name one file"):
        load_shape("")
    with pytest.raises(ShapeError, match=r"^\.: this is a folder"):
        load_shape(".")


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.ply")
    with pytest.raises(ShapeError, match="no such file"):
        load_shape(tmp_path / "pipe.ply")


def test_the_ending_may_be_in_capitals(load):
    assert load("CHAIR.OFF", OFF).is_mesh


def test_a_file_over_the_limit_is_refused_without_reading_it(tmp_path):
    with (tmp_path / "large.ply").open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(ShapeError, match="the limit is 100 MB"):
        load_shape(tmp_path / "large.ply")


def test_a_name_is_only_ever_text(load):
    name = "${alert(1)}<script>.xyz"
    assert load(name, ROWS).name == name
    with pytest.raises(ShapeError, match=r"^\$\{alert\(1\)\}<script>\.xyz: line 17"):
        load(name, SEVENTEEN)
    assert load("-m\n.xyz", ROWS).name == "-m\N{REPLACEMENT CHARACTER}.xyz"
    assert load("upload.xyz", ROWS, name="chair").name == "chair"


@pytest.fixture
def replace_child(monkeypatch):
    """Put another command in the place of the reader's; `COMMAND` in it becomes the reader's own."""
    start = subprocess.Popen

    def replace(*command: str) -> None:
        def other(own, **options):
            return start([word for part in command for word in (own if part == "COMMAND" else [part])], **options)

        monkeypatch.setattr("pointmcd.shapes.load.subprocess.Popen", other)

    return replace


ENDLESS_READER = """
import sys
import pointmcd.shapes.reading.__main__ as reader
sys.argv = sys.argv[sys.argv.index("pointmcd.shapes.reading"):]
reader.read_bytes = lambda *arguments: list(filter(None, iter(int, 1)))
reader.main()
"""


def test_a_reader_that_computes_too_long_is_stopped(load, replace_child, monkeypatch):
    monkeypatch.setattr("pointmcd.shapes.load._WALL_PER_CPU_SECOND", 100)  # however busy the machine is
    replace_child(sys.executable, "-c", ENDLESS_READER, "COMMAND")
    with pytest.raises(ShapeError, match=r"^cloud.xyz: reading it took more than 1 s of computing and was stopped"):
        load("cloud.xyz", ROWS, time_limit_s=1.0)


def test_a_reader_that_waits_for_a_busy_machine_is_not_stopped(load, replace_child):
    replace_child("sh", "-c", 'sleep 2.2; exec "$@"', "sh", "COMMAND")
    assert len(load("cloud.xyz", ROWS, time_limit_s=2.0).vertices) == 4


def test_a_reader_that_hangs_is_stopped_with_its_group(load, replace_child):
    replace_child("sh", "-c", "sleep 60 & wait")
    started = time.perf_counter()
    with pytest.raises(ShapeError, match=r"^cloud.xyz: reading it did not end within 0.5 s and was stopped"):
        load("cloud.xyz", ROWS, time_limit_s=0.05)
    assert time.perf_counter() - started < 10


def test_a_reader_that_needs_too_much_memory_costs_one_sentence(tmp_path):
    np.save(tmp_path / "large.npy", np.zeros((3_000_000, 3), dtype=np.float32))
    with pytest.raises(ShapeError, match=r"memory|crashed"):
        load_shape(tmp_path / "large.npy", memory_limit=256 * 2**20)


def test_a_reader_that_is_killed_costs_one_sentence(load, replace_child):
    replace_child(sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    with pytest.raises(ShapeError, match=r"^cloud.xyz: the reader crashed"):
        load("cloud.xyz", ROWS)


def test_reading_works_from_any_folder_with_a_relative_path(tmp_path, monkeypatch):
    (tmp_path / "numpy.py").write_text("raise SystemExit('imported from the working folder')")
    (tmp_path / "cloud.xyz").write_bytes(ROWS)
    monkeypatch.chdir(tmp_path)
    assert load_shape("cloud.xyz").vertices.shape == (4, 3)


def test_the_child_process_imports_neither_torch_nor_trimesh_nor_gradio():
    code = (
        "import sys, pointmcd.shapes.reading; print(sorted({'torch', 'trimesh', 'gradio', 'scipy'} & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


# Which way is up


@pytest.mark.parametrize(
    ("name", "up", "expected", "note"),
    [
        ("mesh.off", "auto", [[0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 3]], "Kept Z as the up axis"),
        ("mesh.obj", "auto", [[0, 0, 0], [1, 0, 0], [0, 0, 2], [0, -3, 0]], "Turned Y-up to Z-up (.obj files are"),
        ("mesh.glb", "auto", [[0, 0, 0], [1, 0, 0], [0, 0, 2], [0, -3, 0]], "Turned Y-up to Z-up (.glb files are"),
        ("mesh.obj", "z", [[0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 3]], "Kept Z as the up axis (as asked)."),
        ("mesh.off", "y", [[0, 0, 0], [1, 0, 0], [0, 0, 2], [0, -3, 0]], "Turned Y-up to Z-up (as asked)."),
        ("mesh.off", "x", [[0, 0, 0], [0, 0, 1], [0, 2, 0], [-3, 0, 0]], "Turned X-up to Z-up (as asked)."),
        ("mesh.off", "Y", [[0, 0, 0], [1, 0, 0], [0, 0, 2], [0, -3, 0]], "Turned Y-up to Z-up (as asked)."),
        ("mesh.off", "Auto", [[0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 3]], "Kept Z as the up axis (.off files"),
    ],
)
def test_the_up_axis_follows_the_stated_rule(load, name, up, expected, note):
    content = {".off": OFF, ".obj": OBJ, ".glb": MESHES["scene.glb"]}[Path(name).suffix]
    shape = load(name, content, up=up)
    np.testing.assert_allclose(shape.vertices, expected, atol=1e-12)
    assert any(line.startswith(note) for line in shape.notes)


def test_an_unknown_up_axis_is_refused(load):
    with pytest.raises(ShapeError, match="choose auto, x, y or z"):
        load("cloud.xyz", ROWS, up="w")


# From a shape to points


def solid(count: int = 3000) -> Shape:
    return Shape(
        "cloud", some_points(count, seed=3), colors=np.arange(3 * count, dtype=np.int64).astype(np.uint8).reshape(-1, 3)
    )


TETRAHEDRON = Shape("tetrahedron", CORNERS, TRIANGLES.astype(np.int32))


@pytest.mark.parametrize("shape", [solid(), TETRAHEDRON], ids=["points", "mesh"])
def test_points_are_centred_with_the_farthest_at_distance_1(shape):
    points = sample_points(shape).points.astype(np.float64)
    assert points.shape == (1024, 3)
    np.testing.assert_allclose(points.mean(axis=0), 0, atol=1e-6)
    assert np.linalg.norm(points, axis=1).max() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("shape", [solid(), TETRAHEDRON], ids=["points", "mesh"])
def test_the_same_seed_draws_the_same_points_and_another_seed_others(shape):
    first = sample_points(shape, count=100, seed=4).points
    np.testing.assert_array_equal(first, sample_points(shape, count=100, seed=4).points)
    assert not np.array_equal(first, sample_points(shape, count=100, seed=5).points)


@pytest.mark.parametrize("shape", [solid(), TETRAHEDRON], ids=["points", "mesh"])
def test_moving_and_scaling_a_shape_changes_nothing(shape):
    moved = Shape(shape.name, shape.vertices * 1000 + [1e5, -2e5, 7e4], shape.faces, shape.colors)
    before, after = sample_points(shape, seed=1), sample_points(moved, seed=1)
    np.testing.assert_allclose(before.points, after.points, atol=1e-6)


def test_to_world_leads_back_to_the_points_of_the_file():
    shape = Shape("", some_points(200) + np.array([100, 200, 300]))
    cloud = sample_points(shape, count=200)
    back = cloud.points @ cloud.to_world[:3, :3].T + cloud.to_world[:3, 3]
    np.testing.assert_allclose(back, shape.vertices, atol=1e-4)


def test_the_mesh_is_carried_in_the_frame_of_the_points():
    cloud = sample_points(TETRAHEDRON)
    back = cloud.mesh_vertices @ cloud.to_world[:3, :3].T + cloud.to_world[:3, 3]
    np.testing.assert_allclose(back, CORNERS, atol=1e-5)
    np.testing.assert_array_equal(cloud.mesh_faces, TRIANGLES)


def test_sampled_points_lie_on_the_surface():
    cloud = sample_points(TETRAHEDRON, count=500)
    points = cloud.points @ cloud.to_world[:3, :3].T + cloud.to_world[:3, 3]
    to_slope = (1 - points @ [1, 1 / 2, 1 / 3]) / np.linalg.norm([1, 1 / 2, 1 / 3])
    distances = np.column_stack([points, to_slope])
    assert distances.min() > -1e-5
    assert np.abs(distances.min(axis=1)).max() < 1e-5


def test_a_triangle_gets_points_in_proportion_to_its_area():
    vertices = np.array([[0, 0, 0], [3, 0, 0], [0, 3, 0], [10, 0, 0], [11, 0, 0], [10, 1, 0]], dtype=np.float64)
    shape = Shape("", vertices, np.array([[0, 1, 2], [3, 4, 5]], dtype=np.int32))
    cloud = sample_points(shape, count=10_000)
    x = cloud.points[:, 0] * cloud.to_world[0, 0] + cloud.to_world[0, 3]
    assert (x > 5).mean() == pytest.approx(0.1, abs=0.01)


def test_points_fill_a_triangle_evenly():
    shape = Shape(
        "", np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], dtype=np.float64), np.array([[0, 1, 2]], dtype=np.int32)
    )
    cloud = sample_points(shape, count=20_000)
    points = cloud.points @ cloud.to_world[:3, :3].T + cloud.to_world[:3, 3]
    np.testing.assert_allclose(points.mean(axis=0), [1 / 3, 1 / 3, 0], atol=0.01)
    assert (points[:, 0] > 0.5).mean() == pytest.approx(0.25, abs=0.015)


def test_a_point_set_is_thinned_without_repeating_a_point_and_says_so():
    cloud = sample_points(solid(38_210), count=1024)
    assert len(np.unique(cloud.points, axis=0)) == 1024
    assert "Kept 1,024 of 38,210 points." in cloud.notes


def test_a_smaller_point_set_gives_all_it_has_and_says_so():
    cloud = sample_points(solid(800), count=1024)
    assert len(cloud.points) == 800
    assert "The file has 800 points, fewer than 1,024: all are used." in cloud.notes


@pytest.mark.parametrize(("count", "doubtful"), [(4, True), (127, True), (128, False)])
def test_a_point_set_too_small_to_know_a_shape_by_is_told(count, doubtful):
    notes = sample_points(solid(count)).notes
    assert any(f"{count} points are few to know a shape by" in note for note in notes) is doubtful


def test_one_point_far_from_the_rest_is_told():
    ball = solid(1000)
    far = np.vstack([ball.vertices, [[0, 0, 60 * np.abs(ball.vertices).max()]]])
    note = sample_points(Shape("ball", far)).notes[0]
    assert note.startswith("1 point lies far from the rest")
    assert note.endswith("remove it and send the file again.")
    assert not any("far from the rest" in note for note in sample_points(ball).notes)


def test_a_swarm_far_from_the_rest_is_counted():
    ball = solid(1000).vertices
    swarm = ball[:30] + np.array([0, 0, 60 * np.abs(ball).max()])
    assert sample_points(Shape("ball", np.vstack([ball[100:], swarm]))).notes[0].startswith("30 points lie far")


@pytest.mark.parametrize("path", sorted(EXAMPLES.iterdir()), ids=lambda path: path.stem)
def test_no_shipped_example_is_doubted(path):
    cloud = sample_points(parse(path.read_bytes(), path.suffix))
    assert not any("are few" in note or "far from" in note for note in cloud.notes)


def test_each_point_keeps_its_colour():
    shape = solid()
    cloud = sample_points(shape, count=50)
    back = cloud.points @ cloud.to_world[:3, :3].T + cloud.to_world[:3, 3]
    nearest = np.linalg.norm(shape.vertices[None] - back[:, None], axis=2).argmin(axis=1)
    np.testing.assert_array_equal(cloud.colors, shape.colors[nearest])


def test_surface_colours_mix_those_of_the_corners():
    colors = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], dtype=np.uint8)
    shape = Shape("", CORNERS[:3], np.array([[0, 1, 2]], dtype=np.int32), colors)
    cloud = sample_points(shape, count=100)
    assert np.abs(cloud.colors.astype(int).sum(axis=1) - 255).max() <= 2


def test_notes_of_the_file_come_before_those_of_the_sampling(load):
    shape = load("cloud.xyz", text_of(some_points(2000)).encode() + b"nan 0 0\n")
    assert sample_points(shape).notes == (
        "Dropped 1 non-finite point.",
        "Kept Z as the up axis (.xyz files do not say which axis is up).",
        "Kept 1,024 of 2,000 points.",
    )


def test_fewer_than_three_points_cannot_be_asked_for():
    with pytest.raises(ShapeError, match="2 points asked for"):
        sample_points(solid(), count=2)


def test_a_shape_without_extent_is_refused():
    with pytest.raises(ShapeError, match="no extent"):
        sample_points(Shape("", np.ones((5, 3))))


@pytest.mark.parametrize(
    ("faces", "words"),
    [
        (np.empty((0, 3), dtype=np.int32), "no triangles"),
        (np.array([[0, 1, 4]], dtype=np.int32), "triangle 1 uses vertex 4"),
        (np.array([[0, 1, 2], [0, -1, 2]], dtype=np.int32), "triangle 2 uses vertex -1"),
        (np.array([[0, 1, 1]], dtype=np.int32), "no extent"),
    ],
)
def test_a_mesh_made_by_hand_with_unusable_triangles_is_refused(faces, words):
    with pytest.raises(ShapeError, match=f"^mesh: .*{words}"):
        sample_points(Shape("mesh", CORNERS, faces))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("points", "words"),
    [
        (np.empty((0, 3)), "has no points"),
        (np.array([[0, 0, 0], [1, 0, 0], [0, np.nan, 0]]), "not finite"),
        (np.array([[0, 0, 0], [1, 0, 0], [0, np.inf, 0]]), "not finite"),
    ],
)
def test_a_shape_made_by_hand_without_usable_points_is_refused(points, words):
    with pytest.raises(ShapeError, match=f"^cloud: .*{words}"):
        sample_points(Shape("cloud", points))


# Size and speed


def test_a_million_points_are_read_in_seconds(tmp_path):
    points = np.random.default_rng(0).normal(size=(1_000_000, 3)).astype(np.float32)
    (tmp_path / "large.ply").write_bytes(
        ply_header("binary_little_endian", "element vertex 1000000", *XYZ) + points.tobytes()
    )
    started = time.perf_counter()
    shape = load_shape(tmp_path / "large.ply")
    assert time.perf_counter() - started < 30  # about 1 s on an idle core
    np.testing.assert_array_equal(shape.vertices, points)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["large.npy", "large.ply", "large.xyz", "large.pcd", "large.csv"])
def test_five_million_points_are_read_within_the_limits(tmp_path, name):
    points = np.random.default_rng(0).normal(size=(5_000_000, 3)).astype(np.float32)
    file = tmp_path / name
    if name == "large.npy":
        np.save(file, points)
    elif name == "large.ply":
        file.write_bytes(ply_header("binary_little_endian", "element vertex 5000000", *XYZ) + points.tobytes())
    elif name == "large.pcd":
        file.write_bytes(pcd("binary", points.tobytes(), points=5_000_000))
    else:
        points = np.round(points * 1000).astype(np.float32)
        np.savetxt(file, points, fmt="%d", delimiter="," if name == "large.csv" else " ")
    assert file.stat().st_size <= MAX_FILE_BYTES
    shape = load_shape(file)
    cloud = sample_points(shape)
    assert len(shape.vertices) == len(np.unique(points, axis=0))
    assert len(cloud.points) == 1024


@pytest.mark.slow
@pytest.mark.parametrize("extension", [".stl", ".obj", ".off", ".ply"])
def test_meshes_of_a_million_triangles_are_read_within_the_limits(tmp_path, extension):
    side = 708
    x, y = np.meshgrid(np.arange(side), np.arange(side))
    vertices = np.column_stack([x.ravel(), y.ravel(), np.sin(x / 9.0).ravel()])
    corner = (np.arange(side - 1)[:, None] * side + np.arange(side - 1)).ravel()
    faces = np.concatenate(
        [
            np.column_stack([corner, corner + 1, corner + side]),
            np.column_stack([corner + 1, corner + side + 1, corner + side]),
        ]
    )
    file = tmp_path / f"large{extension}"
    if extension == ".stl":
        file.write_bytes(stl(vertices[faces]))
    else:
        with file.open("wb") as out:
            mark = b"v " if extension == ".obj" else b""
            if extension == ".off":
                out.write(b"OFF\n%d %d 0\n" % (len(vertices), len(faces)))
            elif extension == ".ply":
                counts = (f"element vertex {len(vertices)}", *XYZ, f"element face {len(faces)}", FACES)
                out.write(ply_header("ascii", *counts))
            np.savetxt(out, vertices, fmt=mark.decode() + "%.3f %.3f %.3f")
            np.savetxt(out, faces + (extension == ".obj"), fmt=("f " if mark else "3 ") + "%d %d %d")
    assert file.stat().st_size <= MAX_FILE_BYTES
    shape = load_shape(file, up="z")
    assert len(shape.vertices) == side * side
    assert len(shape.faces) == len(faces)
