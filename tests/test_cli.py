"""Does the command line answer in JSON, and say every error in one sentence with exit code 2?"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pointmcd import __main__ as cli
from pointmcd import __version__
from pointmcd.__main__ import main

ROOT = Path(cli.__file__).parents[1]
CUBE = """OFF
8 12 0
0 0 0
1 0 0
1 1 0
0 1 0
0 0 2
1 0 2
1 1 2
0 1 2
3 0 2 1
3 0 3 2
3 4 5 6
3 4 6 7
3 0 1 5
3 0 5 4
3 1 2 6
3 1 6 5
3 2 3 7
3 2 7 6
3 3 0 4
3 3 4 7
"""


@pytest.fixture
def cube(tmp_path: Path) -> Path:
    path = tmp_path / "cube.off"
    path.write_text(CUBE)
    return path


@pytest.fixture
def ball(tmp_path: Path) -> Path:
    points = np.random.default_rng(0).normal(size=(300, 3))
    path = tmp_path / "ball.xyz"
    np.savetxt(path, points / np.linalg.norm(points, axis=1, keepdims=True))
    return path


def normalised(points: np.ndarray) -> np.ndarray:
    centred = points - points.mean(axis=1, keepdims=True)
    return centred / np.linalg.norm(centred, axis=2).max(axis=1)[:, None, None]


def typed(*arguments: object, folder: Path) -> subprocess.CompletedProcess[str]:
    """Type `python -m pointmcd ...` in some folder."""
    return subprocess.run(
        [sys.executable, "-m", "pointmcd", *map(str, arguments)],
        cwd=folder, capture_output=True, text=True, timeout=120, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def answer(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    """Run a command in this process and read the one JSON object that it prints."""
    assert main([str(argument) for argument in arguments]) == 0
    result = json.loads(capsys.readouterr().out)
    assert isinstance(result, dict)
    return result


def complaint(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Run a command that must fail, and return its one line on stderr."""
    try:
        code = main([str(argument) for argument in arguments])
    except SystemExit as stop:
        code = int(stop.code or 0)
    out, error = capsys.readouterr()
    assert code == 2
    assert out == ""
    assert error.count("\n") == 1
    assert error.endswith("\n")
    assert "Traceback" not in error
    return error


def test_a_file_is_analysed_into_json_and_arrays_and_nothing_else(
    cube: Path, random_weights: Path, tmp_path: Path
) -> None:
    done = typed(
        "analyze", "cube.off", "--weights", random_weights, "--views", 3, "--points", 100, "--json", "--out", "out.npz",
        "--device", "cpu", folder=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0
    assert re.fullmatch(r"Wrote out\.npz, \d\.\d MB\.\n", done.stderr)
    result = json.loads(done.stdout)
    assert (result["name"], result["points"], result["views"]) == ("cube.off", 100, 3)
    assert result["visibility"]["method"] == "raycast"
    assert len(result["visibility"]["seen_fraction"]) == len(result["alignment"]["cosine"]) == 3
    with np.load(tmp_path / "out.npz", allow_pickle=False) as arrays:
        assert arrays["visibility"].mean(axis=1).tolist() == pytest.approx(
            result["visibility"]["seen_fraction"], abs=1e-6
        )
        assert np.diagonal(arrays["similarity"]).tolist() == pytest.approx(result["alignment"]["cosine"], abs=1e-6)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cube.off", "out.npz"]


def test_a_missing_file_is_one_sentence_and_exit_code_2(random_weights: Path, tmp_path: Path) -> None:
    done = typed("analyze", "gone.off", "--weights", random_weights, "--json", folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "pointmcd: gone.off: there is no such file: check the path.\n"


def test_help_answers_without_loading_torch() -> None:
    code = (
        "import sys\nfrom pointmcd.__main__ import main\n"
        "try:\n    main(['--help'])\nfinally:\n    assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    for command in ("analyze", "train-teacher", "distill", "evaluate", "weights"):
        assert command in done.stdout


def test_without_json_the_answer_is_text_for_people(
    ball: Path, random_weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["analyze", str(ball), "--weights", str(random_weights), "--views", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "ball.xyz"
    assert any(line.startswith("300 points, 2 views (hpr): a view sees ") for line in lines)
    for title in ("Teacher: ", "Distilled student: ", "Plain student: ", "Alignment: mean cosine "):
        assert any(line.startswith(title) for line in lines)


def test_the_same_seed_prints_the_same_numbers(
    ball: Path, random_weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["analyze", ball, "--weights", random_weights, "--views", 2, "--points", 80, "--json", "--seed"]
    first, again, other = (answer(capsys, *given, seed) for seed in (3, 3, 4))
    for result in (first, again, other):
        del result["timings_ms"]
    assert first == again
    assert first != other


@pytest.mark.parametrize("method", ["raycast", "hpr", "zbuffer"])
def test_the_visibility_test_can_be_chosen(
    method: str, cube: Path, random_weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["analyze", cube, "--weights", random_weights, "--views", 2, "--points", 60, "--json"]
    assert answer(capsys, *given, "--visibility", method)["visibility"]["method"] == method


@pytest.mark.parametrize(
    "name", ["${alert(1)} <script>.xyz", "snowman ☃ 形状.xyz", "-dash.xyz", "a'b\"c.XYZ", "two.dots.xyz"]
)
def test_odd_file_names_are_just_names(
    name: str, ball: Path, random_weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = ball.rename(ball.with_name(name))
    result = answer(capsys, "analyze", "--weights", random_weights, "--views", 1, "--points", 50, "--json", path)
    assert result["name"] == name


def test_the_up_axis_can_be_chosen(cube: Path, random_weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # The cube is twice as high along Z; with X up, its long side lies flat.
    given = ["analyze", cube, "--weights", random_weights, "--views", 1, "--points", 400, "--json", "--out"]
    for up, axis in (("z", 2), ("x", 0), ("y", 1)):
        out = cube.parent / f"{up}.npz"
        answer(capsys, *given, out, "--up", up)
        with np.load(out) as arrays:
            assert (np.ptp(arrays["points"], axis=0).argmax() == 2) == (axis == 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--student", "dgcnn"], "There are no weights for 'dgcnn'; there are some for: pointnet."),
        (["--student", "gpt"], "There are no weights for 'gpt'; there are some for: pointnet."),
        (["--visibility", "raycast"], "Ray casting needs a mesh"),
        (["--views", "0"], "A rig has 1 to 64 views, not 0."),
        (["--views", "many"], "argument --views: invalid int value: 'many'"),
        (["--points", "1"], "a cloud needs at least 3."),
        (["--distance", "0.5"], "outside the shape, 1 to 100 radii away, not 0.5."),
        (["--seed", "-1"], "A seed is 0 or more, not -1."),
        (["--out", "no/such/folder/x.npz"], "its folder does not exist"),
        (["--out", "."], "is a folder"),
        (["--out", "no_such_folder/"], "no_such_folder/ is a folder; name a file for --out."),
        (["--out", ""], "is a folder"),
        (["--out", "/dev/null"], "/dev/null is no plain file"),
        (["--up", "w"], "invalid choice"),
        (["--device", "abacus"], "There is no device 'abacus'"),
        (["--weights", "nowhere"], "nowhere holds no teacher with a student"),
        (["--colour", "red"], "unrecognized arguments: --colour red"),
    ],
)
def test_an_option_that_cannot_be_used_is_one_line(
    options: list[str], message: str, ball: Path, random_weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["analyze", ball, "--weights", random_weights, "--json"]
    error = complaint(capsys, *given, *options)
    assert error.startswith("pointmcd")
    assert message in error


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.off", b""),
        ("words.xyz", b"these are no numbers\n"),
        ("cut.ply", b"ply\nformat binary_little_endian 1.0\nelement vertex 1000000\nproperty float x\nend_header\n"),
        ("short.npy", b"\x93NUMPY"),
        ("one point.xyz", b"1 2 3\n"),
        ("unknown.doc", b"1 2 3\n"),
    ],
)
def test_a_bad_file_is_one_sentence_that_opens_with_its_name(
    name: str, content: bytes, random_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_bytes(content)
    error = complaint(capsys, "analyze", tmp_path / name, "--weights", random_weights)
    assert error.startswith(f"pointmcd: {name}: ")


def test_damaged_weights_are_one_sentence(
    ball: Path, random_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "manifest.json").write_text((random_weights / "manifest.json").read_text())
    error = complaint(capsys, "analyze", ball, "--weights", tmp_path)
    assert error.endswith("cannot be read; restore the file or train them again.\n")


def test_a_result_that_cannot_be_written_is_one_sentence(
    ball: Path, random_weights: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    given = ["analyze", ball, "--weights", random_weights, "--views", 1, "--points", 50]
    assert complaint(capsys, *given, "--out", ball.with_name("x.npz")) == (
        f"pointmcd: {ball.with_name('x.npz')}: No space left on device.\n"
    )
    assert not ball.with_name("x.npz").exists()


def test_no_command_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert "COMMAND" in complaint(capsys)


def test_evaluate_prints_the_documented_keys(
    random_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / "odd name ☃.npz"
    np.savez(
        path, points=normalised(rng.uniform(-1, 1, (3, 40, 3))).astype(np.float16),
        labels=np.array([0, 1, 1], dtype=np.uint8), class_names=np.array(["chair", "lamp"]),
    )  # fmt: skip
    given = ["evaluate", "--data", path, "--weights", random_weights, "--cache", tmp_path / "cache", "--json"]
    plain = answer(capsys, *given, "--student", "pointnet", "--plain")
    assert set(plain) == {"overall_accuracy", "mean_class_accuracy", "shapes", "weights"}
    assert plain["shapes"] == 3
    assert not (tmp_path / "cache").exists()  # accuracy needs no renders
    aligned = answer(capsys, *given, "--alignment")
    assert set(aligned) == set(plain) | {"mean_cosine", "diagonal_dominance", "retrieval_at_1"}
    assert aligned["weights"] != plain["weights"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--data", "gone.npz"], "gone.npz: there is no such file."),
        (["--student", "teacher", "--plain"], "--plain and --alignment are for students"),
        (["--student", "dgcnn"], "There are no such weights for 'dgcnn'; there are: pointnet."),
    ],
)
def test_what_cannot_be_evaluated_is_one_line(
    options: list[str], message: str, random_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "data.npz"
    np.savez(
        path,
        points=normalised(np.random.default_rng(0).random((2, 5, 3))),
        labels=np.array([0, 0]),
        class_names=np.array(["chair"]),
    )
    assert message in complaint(capsys, "evaluate", "--data", path, "--weights", random_weights, *options)


def chairs(path: Path) -> Path:
    points = normalised(np.random.default_rng(0).uniform(-0.5, 0.5, (3, 40, 3)))
    np.savez(path, points=points, labels=np.array([0, 0, 0]), class_names=np.array(["chair"]))
    return path


def test_prepare_makes_the_cache_that_evaluation_finds(
    random_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, cache = chairs(tmp_path / "data.npz"), tmp_path / "cache"
    prepare = ["prepare", "--data", str(data), "--cache", str(cache)]
    assert main(prepare) == 0
    (home,) = cache.iterdir()
    said = capsys.readouterr().out
    assert re.match(r"Prepared 3 of 3 clouds in \d+\.\d s: ", said)
    assert said.endswith(f": renders at 96 px and visibility from 12 views, 0.3 MB in {home}.\n")
    assert main(prepare) == 0
    assert capsys.readouterr().out.startswith("Nothing left to do for 3 clouds in ")

    made = (home / "images.npy").stat().st_mtime_ns
    answer(capsys, "evaluate", "--data", data, "--weights", random_weights, "--cache", cache, "--alignment", "--json")
    assert [*cache.iterdir()] == [home]
    assert (home / "images.npy").stat().st_mtime_ns == made
    assert list(home.glob("features_*.npy"))


def test_what_prepare_makes_in_batches_evaluation_on_that_device_finds(
    random_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = []

    def as_on_a_gpu(device: object, batched: object) -> object:
        told.append((str(device), batched))
        return device

    monkeypatch.setattr("pointmcd.data.view_cache._batch_device", as_on_a_gpu)
    data, cache = chairs(tmp_path / "data.npz"), tmp_path / "cache"
    assert main(["prepare", "--data", str(data), "--cache", str(cache), "--device", "cpu"]) == 0
    (home,) = cache.iterdir()
    capsys.readouterr()
    options = ("--weights", random_weights, "--cache", cache, "--alignment", "--json", "--device", "cpu")
    answer(capsys, "evaluate", "--data", data, *options)
    assert [*cache.iterdir()] == [home]
    assert told == [("cpu", None)] * 2


def test_prepare_keeps_the_views_and_pixels_that_are_asked_for(tmp_path: Path) -> None:
    data = chairs(tmp_path / "data.npz")
    assert main(["prepare", "--data", str(data), "--cache", str(tmp_path), "--image-size", "32", "--views", "5"]) == 0
    (images,) = tmp_path.glob("*/images.npy")
    assert np.load(images).shape == (3, 5, 32, 32)


def test_a_stopped_prepare_says_how_to_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(job: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("pointmcd.data.view_cache._prepare_chunk", stopped)
    with pytest.raises(SystemExit, match="130"):
        main(["prepare", "--data", str(chairs(tmp_path / "data.npz")), "--cache", str(tmp_path / "cache")])
    assert capsys.readouterr().err == "pointmcd: stopped; the same command goes on where it stopped.\n"


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--image-size", 7, "kept at 8 to 224 a side, not at 7"),
        ("--image-size", 225, "kept at 8 to 224 a side, not at 225"),
        ("--views", 0, "1 to 64 views, not 0"),
        ("--workers", 0, "argument --workers: a number is needed of 1 or more, not 0;"),
        ("--workers", "two", "argument --workers: a whole number is needed, 1 or more, not 'two';"),
        ("--data", "gone.npz", "gone.npz: there is no such file"),
        ("--device", "tpu", "no device 'tpu'; choose auto, cpu or cuda"),
    ],
)
def test_what_cannot_be_prepared_is_one_line(
    option: str, value: object, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, cache = chairs(tmp_path / "data.npz"), tmp_path / "cache"
    assert message in complaint(capsys, "prepare", "--data", data, "--cache", cache, option, value)
    assert not cache.exists()


def test_weights_lists_every_network(random_weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "--weights", str(random_weights)]) == 0
    printed = capsys.readouterr().out
    for name in ("teacher", "pointnet", "pointnet_plain"):
        assert f"{name}: {name}.safetensors " in printed


def test_a_folder_without_weights_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "holds no weights: there is no manifest.json." in complaint(capsys, "weights", "--weights", tmp_path)


def test_a_written_file_is_confirmed_with_its_size(
    ball: Path, random_weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ball.with_name("x.npz")
    given = ["analyze", str(ball), "--weights", str(random_weights), "--views", "1", "--points", "50"]
    assert main([*given, "--out", str(out)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"Wrote {out}, {out.stat().st_size / 1e6:,.1f} MB."


def test_json_and_arrays_say_how_they_were_made(
    cube: Path, random_weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = cube.with_name("x.npz")
    result = answer(
        capsys, "analyze", cube, "--weights", random_weights, "--views", 2, "--points", 60, "--seed", 3, "--up", "y",
        "--elevation", 10, "--distance", 3, "--fov", 50, "--json", "--out", out,
    )  # fmt: skip
    assert result["version"] == __version__
    assert result["settings"] == {
        "student": "pointnet", "visibility": "auto", "visibility_used": "raycast", "rig": "ring2_e10_d3_f50",
        "views": 2, "points": 60, "seed": 3,
        "elevation_deg": 10.0, "distance": 3.0, "fov_deg": 50.0, "up": "y",
    }  # fmt: skip
    assert set(result["plain_alignment"]) == set(result["alignment"])
    assert result["plain_alignment"] != result["alignment"]
    with np.load(out, allow_pickle=False) as arrays:
        about = json.loads(str(arrays["about"]))
        assert np.diagonal(arrays["plain_similarity"]).tolist() == pytest.approx(
            result["plain_alignment"]["cosine"], abs=1e-6
        )
    assert about == {key: result[key] for key in ("name", "version", "settings", "weights")}


def test_a_mistake_of_the_programs_is_not_blamed_on_the_user(
    ball: Path, random_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mistaken(*_: object, **__: object) -> None:
        raise ValueError("operands could not be broadcast together")

    monkeypatch.setattr("pointmcd.analysis.analyze.analyze", mistaken)
    with pytest.raises(ValueError, match="broadcast"):
        main(["analyze", str(ball), "--weights", str(random_weights)])


@pytest.mark.parametrize("command", ["prepare", "evaluate", "distill", "train-teacher"])
def test_clouds_that_are_not_normalised_are_refused_by_every_command(
    command: str, random_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    far = tmp_path / "far.npz"
    points = np.random.default_rng(0).normal(size=(40, 40, 3)) * 300 + 498
    np.savez(far, points=points, labels=np.arange(40) % 2, class_names=np.array(["chair", "lamp"]))
    given: list[object] = [command, "--data", far, "--cache", tmp_path / "cache"]
    if command != "prepare":
        given += ["--weights", random_weights]
    if command in ("distill", "train-teacher"):
        given += ["--test", far, "--out", tmp_path / "run"]
    if command == "distill":
        given += ["--student", "pointnet"]
    error = complaint(capsys, *given)
    assert error.startswith(f"pointmcd: {far}: cloud 0 is not normalised: its mean lies ")
    assert error.endswith("give --normalise.\n")
    assert not (tmp_path / "cache").exists()
