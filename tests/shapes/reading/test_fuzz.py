"""Does a damaged file give a shape or one sentence, whatever the damage? `python -m tests.fuzz_readers` tries more."""

from __future__ import annotations

import numpy as np
import pytest

from pointmcd.records import ShapeError
from pointmcd.shapes.load import load_shape
from pointmcd.shapes.reading import READERS
from tests.fuzz_readers import fault, faults, mutants, samples
from tests.shapes.reading.samples import BINARY, CORNERS, OBJ, OFF, glb, npy, parse, ply_header, scene


@pytest.mark.parametrize("extension", READERS)
def test_hundreds_of_mutants_of_every_ending_give_a_shape_or_one_sentence(extension):
    assert faults({extension: samples()[extension]}, 300, seed=1) == {}


def test_the_sentence_on_a_mutant_opens_with_the_name_of_the_file(tmp_path):
    files = samples()
    for extension in (".ply", ".glb", ".npz"):
        refused = next(m for m in mutants(files[extension], 100, seed=2) if is_refused(m, extension))
        file = tmp_path / f"mutant{extension}"
        file.write_bytes(refused)
        with pytest.raises(ShapeError, match=rf"^mutant\{extension}: "):
            load_shape(file)


def is_refused(content: bytes, extension: str) -> bool:
    assert fault(content, extension) is None
    try:
        parse(content, extension)
    except ShapeError:
        return True
    return False


NODES: dict[str, dict[str, object]] = {
    "matrix of fifteen": {"matrix": [1] * 15},
    "matrix of words": {"matrix": ["a"] * 16},
    "rotation of three": {"rotation": [0, 0, 0]},
    "rotation of words": {"rotation": ["a", "b", "c", "d"]},
    "scale of words": {"scale": ["a", "b", "c"]},
    "scale of two": {"scale": [1, 1]},
    "ragged scale": {"scale": [[1], [1, 2], 3]},
    "translation of two": {"translation": [1, 2]},
    "translation of words": {"translation": "far"},
}


@pytest.mark.parametrize("name", NODES)
def test_a_node_whose_place_is_no_place_is_told(name):
    with pytest.raises(ShapeError, match="do not fit together"):
        parse(glb(scene(nodes=[{"mesh": 0, **NODES[name]}]), BINARY), ".glb")


@pytest.mark.parametrize(
    "shape", ["(0, 9223372036854775808)", "(1,)*99", "(-1, 3)", "(%s, 3)" % ("9" * 400), "(True, 3)"]
)
def test_an_array_of_an_impossible_shape_is_told(shape):
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (-(len(header) + 13) % 64) + b"\n"
    start = b"\x93NUMPY\2\0" + len(header).to_bytes(4, "little")
    with pytest.raises(ShapeError, match=r"numpy header .*: save the array again"):
        parse(start + header + CORNERS.tobytes(), ".npy")


def test_an_empty_array_is_told():
    with pytest.raises(ShapeError, match="is empty"):
        parse(npy(np.empty((0, 3))), ".npy")


@pytest.mark.parametrize("index", ["9" * 19, "-" + "9" * 30, "9" * 400, "9" * 5000])
def test_an_index_that_no_number_type_holds_is_told_with_its_line(index):
    with pytest.raises(ShapeError, match=r"^line 10: .* is no polygon"):
        parse(OFF.replace("3 1 2 3", f"3 1 2 {index}").replace("3 0 3 2", "3 0 3 2 9"), ".off")
    with pytest.raises(ShapeError, match=r"^line 9: .* is no polygon"):
        parse(OBJ + f"f 1 2 3 {index}\n", ".obj")


@pytest.mark.parametrize("count", ["9" * 19, "9" * 400, "9" * 5000])
def test_a_count_that_no_file_can_hold_is_told_in_one_short_sentence(count):
    with pytest.raises(ShapeError) as caught:
        parse(OFF.replace("4 4 6", f"{count} 4 6"), ".off")
    assert len(str(caught.value)) < 300
    with pytest.raises(ShapeError) as caught:
        parse(ply_header("ascii", f"element vertex {count}", "property float x") + b"1\n", ".ply")
    assert len(str(caught.value)) < 300
