"""Is every damaged file of a cache, a run or a weights folder refused with one sentence that names it?"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pointmcd.data.point_set import load_point_set
from pointmcd.data.view_cache import ViewCache, prepare_views
from pointmcd.networks.teachers.classification import ClassificationTeacher
from pointmcd.records import UserError
from pointmcd.training import loop as train
from pointmcd.training.experiment import cached_features
from pointmcd.training.loop import Run, fit
from pointmcd.training.recipes import RECIPES
from pointmcd.weights.models import load_models
from tests.conftest import write_point_set

Damage = Callable[[Path], object]


def cut(path: Path, share: float = 0.5) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])


def flip(path: Path, share: float) -> None:
    content = bytearray(path.read_bytes())
    content[int(share * (len(content) - 1))] ^= 1
    path.write_bytes(content)


def replaced(path: Path, array: np.ndarray) -> None:
    np.save(path.with_suffix(".new"), array)
    path.with_suffix(".new.npy").rename(path)


OF_ARRAYS: dict[str, Damage] = {
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("these are no numbers"),
    "header cut": lambda path: path.write_bytes(path.read_bytes()[:40]),
    "data cut": cut,
    "another shape": lambda path: replaced(path, np.zeros((1, 2, 3), dtype=np.load(path).dtype)),
    "another type": lambda path: replaced(path, np.load(path).astype(np.float64)),
    "pickled": lambda path: replaced(path, np.array([{}, None], dtype=object)),
    "an archive": lambda path: path.write_bytes(b"PK\x03\x04" + bytes(60)),
}


@pytest.fixture(scope="module")
def clouds() -> np.ndarray:
    points = np.random.default_rng(0).normal(size=(2, 12, 3))
    return (points / np.linalg.norm(points, axis=2, keepdims=True)).astype(np.float32)


def prepared(clouds: np.ndarray, folder: Path) -> ViewCache:
    return prepare_views(clouds, folder, image_size=8, views=1, workers=1)


def refused(name: Path, action: Callable[[], object]) -> None:
    with pytest.raises(UserError) as caught:
        action()
    message = str(caught.value)
    assert str(name) in message
    assert "\n" not in message
    assert "allow_pickle" not in message


@pytest.mark.parametrize("array", ["images", "visibility"])
@pytest.mark.parametrize("damage", list(OF_ARRAYS))
def test_a_damaged_array_of_a_cache_is_refused(damage: str, array: str, clouds: np.ndarray, tmp_path: Path) -> None:
    path = prepared(clouds, tmp_path).folder / f"{array}.npy"
    OF_ARRAYS[damage](path)
    refused(path, lambda: prepared(clouds, tmp_path))


@pytest.mark.parametrize("damage", [*OF_ARRAYS, "not finite"])
def test_damaged_features_of_the_teacher_are_refused(damage: str, clouds: np.ndarray, tmp_path: Path) -> None:
    views = prepared(clouds, tmp_path)
    path = views.folder / f"features_{'a' * 16}.npy"
    np.save(path, np.zeros((2, 1, 512), dtype=np.float16))
    teacher = ClassificationTeacher(backbone="slim_resnet18", input_size=8, classes=2)
    assert cached_features(teacher, "a" * 64, views).shape == (2, 1, 512)
    if damage == "not finite":
        replaced(path, np.full((2, 1, 512), np.nan, dtype=np.float16))
    else:
        OF_ARRAYS[damage](path)
    refused(path, lambda: cached_features(teacher, "a" * 64, views))


def lists(change: Callable[[dict[str, Any]], object]) -> Damage:
    def damage(path: Path) -> None:
        entries = {Path(entry["file"]).stem: entry for entry in json.loads(path.read_text())["networks"]}
        change(entries)
        path.write_text(json.dumps({"version": 1, "networks": list(entries.values())}))

    return damage


OF_MANIFESTS: dict[str, Damage] = {
    "empty": lambda path: path.write_bytes(b""),
    "cut": cut,
    "a list": lambda path: path.write_text("[1]"),
    "no text": lambda path: path.write_bytes(b"\xff\xfe\x00"),
    "too deep": lambda path: path.write_text("[" * 100_000),
    "a billion classes": lists(lambda listing: listing["pointnet"]["settings"].update(classes=10**9)),
    "no classes": lists(lambda listing: listing["pointnet"]["settings"].update(classes=0)),
    "classes in words": lists(lambda listing: listing["pointnet"]["settings"].update(classes="40")),
    "a huge embedding": lists(lambda listing: listing["teacher"]["settings"].update(teacher_dim=10**9)),
    "a string for names": lists(lambda listing: listing["pointnet"]["training"].update(class_names="chair")),
    "numbers for names": lists(lambda listing: listing["pointnet"]["training"].update(class_names=[1, 2])),
    "a string for a network": lists(lambda listing: listing["pointnet"].update(settings="pointnet")),
    "a number for a hash": lists(lambda listing: listing["pointnet"].update(sha256=3)),
    "no hash": lists(lambda listing: listing["pointnet"].pop("sha256")),
    "a list for a licence": lists(lambda listing: listing["pointnet"].update(licence=[])),
    "a file elsewhere": lists(lambda listing: listing["pointnet"].update(file="../x.safetensors")),
    "an unknown role": lists(lambda listing: listing["pointnet"].update(role="critic")),
    "a later version": lambda path: path.write_text('{"version": 2, "networks": []}'),
    "a version in words": lambda path: path.write_text('{"version": "1"}'),
    "the same twice": lists(lambda listing: listing.update(a=listing["teacher"], b=listing.pop("teacher"))),
}


@pytest.mark.parametrize("damage", list(OF_MANIFESTS))
def test_a_damaged_manifest_is_refused(damage: str, random_weights: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(random_weights, tmp_path / "weights"))
    OF_MANIFESTS[damage](folder / "manifest.json")
    refused(folder / "manifest.json", lambda: load_models(folder=folder, device="cpu"))


def small_run(folder: Path) -> dict[str, Tensor]:
    model = torch.nn.Linear(2, 2)

    def loss(rows: Tensor, _: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        value = model(torch.ones(len(rows), 2)).sum()
        return value, {"loss": value}

    recipe = RECIPES["pointnet", "cpu"]
    changed = type(recipe)(**(vars(recipe) | {"epochs": 2, "batch_size": 2}))
    fit(model, changed, Run(folder, 0, torch.device("cpu")), shapes=4, loss=loss, validate=dict)
    return model.state_dict()


def written_again(**change: object) -> Damage:
    def damage(path: Path) -> None:
        train._write_state(path, train._read_state(path) | change)

    return damage


OF_CHECKPOINTS: dict[str, Damage] = {
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("this is no checkpoint"),
    "cut": cut,
    "of an earlier version": lambda path: torch.save({"model": {}, "epoch": 1, "run": ""}, path),
    "no log": written_again(log=None),
    "a log of words": written_again(log=[{"epoch": "one"}]),
    "too many epochs": written_again(log=[{"epoch": 1.0}] * 3),
    "no network": written_again(model="linear"),
    "no optimiser": written_again(optimizer=3),
    "no generators": written_again(generators=[]),
    "generators in words": written_again(generators="seed"),
    **{f"byte flipped at {share}": lambda path, share=share: flip(path, share) for share in (0, 0.1, 0.5, 0.9, 1)},
}


@pytest.mark.parametrize("damage", list(OF_CHECKPOINTS))
def test_a_damaged_checkpoint_is_refused(damage: str, tmp_path: Path) -> None:
    small_run(tmp_path)
    path = tmp_path / "checkpoint.pt"
    OF_CHECKPOINTS[damage](path)
    refused(path, lambda: small_run(tmp_path))


@pytest.mark.parametrize("damage", ["empty", "cut", "text", "gone"])
def test_a_damaged_log_is_written_again_from_the_checkpoint(damage: str, tmp_path: Path) -> None:
    small_run(tmp_path)
    log = tmp_path / "log.csv"
    whole = log.read_bytes()
    {"empty": lambda: log.write_bytes(b""), "cut": lambda: cut(log), "text": lambda: log.write_text("x"),
     "gone": log.unlink}[damage]()  # fmt: skip
    small_run(tmp_path)
    assert log.read_bytes() == whole


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.98])
def test_a_cut_data_set_is_refused(share: float, tmp_path: Path) -> None:
    path = write_point_set(tmp_path / "set.npz", per_class=2)
    cut(path, share)
    refused(path, lambda: load_point_set(path))
