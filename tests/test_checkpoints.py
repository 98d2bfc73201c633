"""Do weights come back as they were saved, and are damaged ones refused with a sentence?"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from pointmcd.checkpoints import Entry, build_network, load_official, load_weights, read_manifest, save_weights
from pointmcd.distill import Student
from pointmcd.teachers import ClassificationTeacher
from pointmcd.types import CheckpointError

NETWORK = {"kind": "student", "encoder": "pointnet", "classes": 3, "isolate_views": True}


@pytest.fixture
def copy(random_weights: Path, tmp_path: Path) -> Path:
    """The random weights, to be damaged."""
    return Path(shutil.copytree(random_weights, tmp_path / "weights"))


def test_weights_come_back_as_they_were_saved_but_for_half_precision(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = build_network(NETWORK)
    module(torch.rand(2, 16, 3))  # running statistics that are not the fresh ones
    entry = save_weights(
        module, tmp_path, name="mine", network=NETWORK, training={"seed": 3}, metrics={"x": 0.5}, data_licence="CC0"
    )
    listed = read_manifest(tmp_path)["mine"]
    assert vars(listed) == vars(entry)
    loaded = load_weights(listed, tmp_path)
    assert isinstance(loaded, Student)
    assert loaded.isolate_views
    assert not loaded.training
    for key, value in module.state_dict().items():
        if not key.endswith("num_batches_tracked"):
            assert torch.equal(loaded.state_dict()[key], value.half().float()), key


def test_saved_weights_are_halves_and_loaded_ones_singles(random_weights: Path) -> None:
    assert {value.dtype for value in load_file(random_weights / "pointnet.safetensors").values()} == {torch.float16}
    module = load_weights(read_manifest(random_weights)["pointnet"], random_weights)
    assert {value.dtype for value in module.parameters()} == {torch.float32}


def test_saving_and_loading_twice_changes_nothing_more(random_weights: Path, tmp_path: Path) -> None:
    entry = read_manifest(random_weights)["pointnet"]
    module = load_weights(entry, random_weights)
    again = save_weights(
        module, tmp_path, name="pointnet", network=entry.network, training={}, metrics={}, data_licence="none"
    )
    assert again.sha256 == entry.sha256


def test_the_manifest_keeps_what_it_had_when_a_network_is_added(copy: Path) -> None:
    before = read_manifest(copy)
    save_weights(build_network(NETWORK), copy, name="more", network=NETWORK, training={}, metrics={}, data_licence="")
    after = read_manifest(copy)
    assert list(after) == sorted(["more", *before])
    assert all(vars(after[name]) == vars(before[name]) for name in before)


def test_a_folder_without_a_manifest_holds_no_weights(tmp_path: Path) -> None:
    assert read_manifest(tmp_path) == {}


@pytest.mark.parametrize(
    "content", [b"{", b"[]", b"[1]", b"\xff\xfe\x00", b'{"teacher": 3}', b'{"teacher": {"file": "x"}}', b"null"]
)
def test_a_damaged_manifest_is_refused_with_a_sentence(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(CheckpointError, match="is no manifest of weights"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("fields", [{"file": 5}, {"network": []}, {"metrics": 3}, {"file": "../pointnet.safetensors"}])
def test_an_entry_that_cannot_be_trusted_is_refused(copy: Path, fields: dict[str, Any]) -> None:
    listing = json.loads((copy / "manifest.json").read_text())
    listing["pointnet"] |= fields
    (copy / "manifest.json").write_text(json.dumps(listing))
    with pytest.raises(CheckpointError, match="is no manifest of weights; restore it"):
        read_manifest(copy)


def changed(entry: Entry, **fields: Any) -> Entry:
    return Entry(**(vars(entry) | fields))


def entry_and_file(folder: Path) -> tuple[Entry, Path]:
    entry = read_manifest(folder)["pointnet"]
    return entry, folder / entry.file


def test_a_missing_file_is_refused_with_a_sentence(copy: Path) -> None:
    entry, file = entry_and_file(copy)
    file.unlink()
    with pytest.raises(CheckpointError, match=r"pointnet\.safetensors cannot be read; restore the file"):
        load_weights(entry, copy)


def test_one_changed_byte_is_noticed(copy: Path) -> None:
    entry, file = entry_and_file(copy)
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match="SHA-256 differs"):
        load_weights(entry, copy)


def with_true_hash(entry: Entry, file: Path) -> Entry:
    import hashlib

    return changed(entry, sha256=hashlib.sha256(file.read_bytes()).hexdigest())


@pytest.mark.parametrize(
    "damage", [lambda _: b"", lambda _: b"not tensors", lambda content: content[:-100]], ids=["empty", "text", "cut"]
)
def test_a_damaged_file_with_the_right_hash_is_refused(damage: Callable[[bytes], bytes], copy: Path) -> None:
    entry, file = entry_and_file(copy)
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(CheckpointError, match="is no safetensors file"):
        load_weights(with_true_hash(entry, file), copy)


def test_weights_of_another_network_are_refused(copy: Path) -> None:
    entry, _ = entry_and_file(copy)
    with pytest.raises(CheckpointError, match="does not fit: missing"):
        load_weights(changed(entry, network={"kind": "student", "encoder": "dgcnn"}), copy)


def test_weights_of_another_size_are_refused(copy: Path) -> None:
    entry, _ = entry_and_file(copy)
    network = {"kind": "student", "encoder": "pointnet", "classes": 7}
    with pytest.raises(CheckpointError, match=r"classifier\.weight is \(40, 512\), not \(7, 512\)"):
        load_weights(changed(entry, network=network), copy)


@pytest.mark.parametrize(
    "network",
    [{}, {"kind": "critic"}, {"kind": "student", "encoder": "gpt"}, {"kind": "student"}, {"kind": "teacher", "x": 1}],
)
def test_an_unknown_network_is_refused_with_a_sentence(network: dict[str, Any]) -> None:
    with pytest.raises(CheckpointError):
        build_network(network)


def test_a_teacher_is_built_with_the_settings_of_its_manifest(random_weights: Path) -> None:
    entry = read_manifest(random_weights)["teacher"]
    teacher = load_weights(entry, random_weights)
    assert isinstance(teacher, ClassificationTeacher)
    assert (teacher.backbone_name, teacher.input_size) == ("slim_resnet18", 96)


def test_a_network_that_half_precision_cannot_hold_is_not_saved(tmp_path: Path) -> None:
    module = build_network(NETWORK)
    assert isinstance(module, Student)
    assert module.head.embedding.norm.running_var is not None
    module.head.embedding.norm.running_var[0] = 1e6
    with pytest.raises(CheckpointError, match=r"head\.embedding\.norm\.running_var"):
        save_weights(module, tmp_path, name="big", network=NETWORK, training={}, metrics={}, data_licence="")
    assert read_manifest(tmp_path) == {}


def test_the_manifest_is_plain_json_that_others_can_read(random_weights: Path) -> None:
    listing = json.loads((random_weights / "manifest.json").read_text())
    assert list(listing) == ["pointnet", "pointnet_plain", "teacher"]
    for entry in listing.values():
        assert (random_weights / entry["file"]).is_file()
        assert len(entry["sha256"]) == 64


def test_an_unknown_released_network_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="PointNet_Cls_Distiller, DGCNN_Cls_Distiller, Teacher_Cls"):
        load_official(tmp_path / "x.pth", network="Teacher_Det")


@pytest.mark.parametrize("content", [b"", b"no checkpoint", None])
def test_a_released_checkpoint_that_cannot_be_read_is_refused(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match="no checkpoint that can be read safely"):
        load_official(path, network="Teacher_Cls")


def test_a_released_checkpoint_must_be_a_state_dict(tmp_path: Path) -> None:
    torch.save([torch.zeros(3)], tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match="names and tensors, nothing else"):
        load_official(tmp_path / "x.pth", network="Teacher_Cls")
