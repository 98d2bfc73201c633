"""Do the numbered examples run as they stand, each quickly and within a page?"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pointmcd.weights.manifest import read_manifest

EXAMPLES = Path(__file__).parents[1] / "examples"
SCRIPTS = sorted(EXAMPLES.glob("[0-9][0-9]_*.py"))
needs_weights = pytest.mark.skipif(not read_manifest(), reason="no shipped weights")


def run(name: str, *arguments: object, folder: Path) -> str:
    """Run an example in another folder and return what it prints."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, EXAMPLES / name, *map(str, arguments)],
        cwd=folder, capture_output=True, text=True, timeout=60, env=environment,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_the_examples_are_numbered_and_short() -> None:
    assert [script.name[:2] for script in SCRIPTS] == [f"{number:02}" for number in range(1, len(SCRIPTS) + 1)]
    for script in SCRIPTS:
        assert len(script.read_text(encoding="utf-8").splitlines()) < 80, script.name


@needs_weights
def test_the_analysis_names_a_shape_and_compares_every_view(tmp_path: Path) -> None:
    printed = run("01_analyze.py", folder=tmp_path)
    assert printed.startswith("chair.off\n")
    assert re.search(r"teacher \(images\) +\w+ \d+%, ", printed)
    assert len(re.findall(r"^ +\d+° +-?\d\.\d{3} +-?\d\.\d{3}$", printed, re.MULTILINE)) == 12


def test_every_camera_is_listed_and_ray_casting_is_the_truth_for_a_mesh(tmp_path: Path) -> None:
    printed = run("02_what_each_camera_sees.py", folder=tmp_path)
    assert len(re.findall(r"^ +\d+° +\d+% +\d+% +\d+%$", printed, re.MULTILINE)) == 12
    assert "Against raycast:" in printed


@needs_weights
def test_vafp_by_hand_is_what_the_library_computes(tmp_path: Path) -> None:
    printed = run("03_vafp_by_hand.py", EXAMPLES / "shapes/mug.ply", folder=tmp_path)
    assert "By hand and by the library: largest difference 0.0e+00." in printed
    difference = re.search(r"largest difference to the analysis ([\d.e+-]+)\.", printed)
    assert difference
    assert float(difference[1]) < 1e-5
    right, wrong = (float(share) for share in re.findall(r"([\d.]+)% of the pooled values are wrong", printed))
    assert right == 0
    assert wrong > 0


@needs_weights
def test_an_export_can_be_read_by_others(tmp_path: Path) -> None:
    printed = run("04_export.py", EXAMPLES / "shapes/lamp.csv", tmp_path / "out", folder=tmp_path)
    assert "Read back from the PLY: 1,024 points" in printed
    assert json.loads((tmp_path / "out/analysis.json").read_text())["name"] == "lamp.csv"
    with np.load(tmp_path / "out/analysis.npz", allow_pickle=False) as arrays:
        assert arrays["points"].shape == (1024, 3)
    head, _, body = (tmp_path / "out/analysis.ply").read_bytes().partition(b"end_header\n")
    assert re.findall(rb"property float (\w+)", head)[3:] == [b"seen_by", b"wins", b"wins_global", b"alignment"]
    table = np.frombuffer(body, dtype="<f4").reshape(1024, 7)
    assert table[:, 3].max() <= 12
    assert table[:, 5].sum() == 1024  # every channel of the global pool has one winner


@needs_weights
def test_the_figure_is_a_picture(tmp_path: Path) -> None:
    run("05_figure.py", EXAMPLES / "shapes/chair.off", tmp_path / "overview.png", folder=tmp_path)
    with Image.open(tmp_path / "overview.png") as picture:
        assert picture.width == 1650


@needs_weights
def test_the_method_is_drawn_with_the_shapes_own_numbers(tmp_path: Path) -> None:
    run("06_method.py", EXAMPLES / "shapes/chair.off", tmp_path / "method.png", folder=tmp_path)
    with Image.open(tmp_path / "method.png") as picture:
        assert picture.width == 1650
        colors = {color for _, color in picture.convert("RGB").getcolors(maxcolors=2**20) or []}
    assert {(0, 158, 115), (184, 110, 0), (0, 114, 178)} <= colors  # seen, teacher, distilled
