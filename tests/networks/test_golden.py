"""Do our networks compute what the released ones compute? Parity with stored outputs of the released code."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pointmcd.__main__ import main
from pointmcd.records import CheckpointError
from pointmcd.weights.models import load_models
from pointmcd.weights.official import load_official

GOLDEN = Path(__file__).parents[1] / "golden"
KEYS: dict[str, list[tuple[str, list[int]]]] = json.loads((GOLDEN / "official_keys.json").read_text())
SEEDS = {
    "PointNet_Cls_Distiller": 1,
    "DGCNN_Cls_Distiller": 2,
    "PointNet_Seg_Distiller": 3,
    "DGCNN_Seg_Distiller": 4,
    "Teacher_Cls": 5,
    "Teacher_Seg": 6,
    "CNN_Backbone_Pretrainer": 7,
}


def released_state(network: str) -> dict[str, torch.Tensor]:
    """Weights by the rule with which the stored outputs were made (tests/golden/README.md)."""
    rng = np.random.default_rng(SEEDS[network])
    state = {}
    for key, shape in KEYS[network]:
        if key.endswith("num_batches_tracked"):
            state[key] = torch.tensor(0)
            continue
        if key.endswith("running_var") or (len(shape) == 1 and key.endswith(".weight")):
            value = rng.uniform(0.5, 1.5, shape)
        elif len(shape) == 1:
            value = rng.uniform(-0.1, 0.1, shape)
        else:
            bound = np.sqrt(6 / np.prod(shape[1:]))
            value = rng.uniform(-bound, bound, shape)
        state[key] = torch.from_numpy(value.astype(np.float32))
    return state


def golden(name: str) -> np.ndarray:
    with np.load(GOLDEN / "official_outputs.npz", allow_pickle=False) as arrays:
        return arrays[name]


def assert_agrees(ours: torch.Tensor, name: str) -> None:
    stored = golden(name)
    assert tuple(ours.shape) == stored.shape
    error = np.abs(ours.numpy() - stored).max() / np.abs(stored).mean()
    assert error < 1e-4, f"{name}: off by {error:.1e} of the mean magnitude"


@pytest.mark.parametrize("network", ["PointNet_Cls_Distiller", "DGCNN_Cls_Distiller"])
def test_a_student_computes_what_the_released_one_does(network: str, tmp_path: Path) -> None:
    torch.save(released_state(network), tmp_path / "weights.pth")
    module = load_official(tmp_path / "weights.pth", network=network)
    seed = SEEDS[network]
    points = torch.from_numpy(np.random.default_rng(100 + seed).uniform(-1, 1, (2, 1024, 3)).astype(np.float32))
    seen = torch.from_numpy(np.random.default_rng(200 + seed).random((2, 1024, 12)) < 0.4).transpose(1, 2)
    with torch.inference_mode():
        output = module(points, seen)
    for name in ("shape_feature", "view_features", "logits", "view_logits"):
        assert_agrees(getattr(output, name), f"{network}/{name}")
    if network == "PointNet_Cls_Distiller":
        assert_agrees(output.encoded.penalty, f"{network}/penalty")


def test_the_teacher_computes_what_the_released_one_does(tmp_path: Path) -> None:
    torch.save(released_state("Teacher_Cls"), tmp_path / "weights.pth")
    module = load_official(tmp_path / "weights.pth", network="Teacher_Cls")
    images = torch.from_numpy(np.random.default_rng(105).random((1, 12, 3, 224, 224)).astype(np.float32))
    with torch.inference_mode():
        output = module(images)
    for name in ("view_features", "shape_feature", "view_logits", "logits"):
        assert_agrees(getattr(output, name), f"Teacher_Cls/{name}")


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    torch.save(released_state("DGCNN_Cls_Distiller"), tmp_path / "weights.pth")
    with pytest.raises(CheckpointError, match="not one of this network's"):
        load_official(tmp_path / "weights.pth", network="PointNet_Cls_Distiller")


def test_a_checkpoint_with_a_missing_key_is_refused(tmp_path: Path) -> None:
    state = released_state("DGCNN_Cls_Distiller")
    del state["classifier.weight"]
    torch.save(state, tmp_path / "weights.pth")
    with pytest.raises(CheckpointError, match="missing"):
        load_official(tmp_path / "weights.pth", network="DGCNN_Cls_Distiller")


def test_a_checkpoint_with_a_wrong_shape_is_refused(tmp_path: Path) -> None:
    state = released_state("DGCNN_Cls_Distiller")
    state["classifier.weight"] = torch.zeros(10, 512)
    torch.save(state, tmp_path / "weights.pth")
    with pytest.raises(CheckpointError, match=r"\(10, 512\), not \(40, 512\)"):
        load_official(tmp_path / "weights.pth", network="DGCNN_Cls_Distiller")


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path: Path) -> None:
    torch.save({"classifier.weight": Path("x")}, tmp_path / "weights.pth")
    with pytest.raises(CheckpointError, match="safely"):
        load_official(tmp_path / "weights.pth", network="DGCNN_Cls_Distiller")


def test_released_checkpoints_are_imported_by_one_command_each_and_can_be_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "weights"
    for network, name in (("PointNet_Cls_Distiller", "pointnet"), ("Teacher_Cls", "teacher")):
        torch.save(released_state(network), tmp_path / "x.pth")
        assert main(["import-official", str(tmp_path / "x.pth"), "--out", str(folder)]) == 0
        said = capsys.readouterr().out
        assert said.startswith(f"Wrote {name} to {folder / name}.safetensors: {network} of the released code, ")
    models = load_models(folder=folder, device="cpu")
    assert models.student_names == ("pointnet",)
    assert (models.teacher.backbone_name, models.teacher.input_size) == ("mobilenet_v2", 224)
    whole = load_official(tmp_path / "x.pth")
    assert torch.equal(models.teacher.classifier.weight, whole.classifier.weight.half().float())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "x.pth cannot be read: No such file or directory"),
        (b"these are no weights", "x.pth is no checkpoint that can be read safely"),
        ({}, "x.pth must hold a state_dict"),
        ({"stem.weight": torch.zeros(3)}, "x.pth is of none of the released networks PointNet_Cls_Distiller, "),
        ({"classifier.weight": torch.zeros(40, 512)}, "x.pth does not fit: missing"),
    ],
)
def test_what_is_no_released_checkpoint_is_one_sentence(
    content: object, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    assert main(["import-official", str(path), "--out", str(tmp_path / "weights")]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "weights").exists()
