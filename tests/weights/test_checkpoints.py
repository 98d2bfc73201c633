"""Do weights come back as they were saved, and are damaged ones refused with a sentence?"""

from __future__ import annotations

import hashlib
import json
import re
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from pointmcd.networks.student import Student
from pointmcd.networks.teachers.classification import ClassificationTeacher
from pointmcd.records import CheckpointError
from pointmcd.training.experiment import find_teacher
from pointmcd.weights.manifest import Entry, build_network, load_weights, read_manifest, save_weights
from pointmcd.weights.models import load_models
from pointmcd.weights.official import load_official

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
        module,
        tmp_path,
        network="mine",
        role="own",
        settings=NETWORK,
        training={"seed": 3},
        metrics={"x": 0.5},
        licence="CC0",
    )
    listed = read_manifest(tmp_path)["mine_own"]
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
        module,
        tmp_path,
        network="pointnet",
        role="distilled",
        settings=entry.settings,
        training={},
        metrics={},
        licence="none",
    )
    assert again.sha256 == entry.sha256


def test_the_manifest_keeps_what_it_had_when_a_network_is_added(copy: Path) -> None:
    before = read_manifest(copy)
    save_weights(
        build_network(NETWORK),
        copy,
        network="more",
        role="control",
        settings=NETWORK,
        training={},
        metrics={},
        licence="",
    )
    after = read_manifest(copy)
    assert list(after) == [*before, "more_control"]
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


@pytest.mark.parametrize("fields", [{"file": 5}, {"settings": []}, {"metrics": 3}, {"file": "../pointnet.safetensors"}])
def test_an_entry_that_cannot_be_trusted_is_refused(copy: Path, fields: dict[str, Any]) -> None:
    listing = json.loads((copy / "manifest.json").read_text())
    next(entry for entry in listing["networks"] if entry["role"] == "distilled").update(fields)
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
        load_weights(changed(entry, settings={"kind": "student", "encoder": "dgcnn"}), copy)


def test_weights_of_another_size_are_refused(copy: Path) -> None:
    entry, _ = entry_and_file(copy)
    network = {"kind": "student", "encoder": "pointnet", "classes": 7}
    with pytest.raises(CheckpointError, match=r"classifier\.weight is \(40, 512\), not \(7, 512\)"):
        load_weights(changed(entry, settings=network), copy)


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
        save_weights(module, tmp_path, network="big", role="own", settings=NETWORK, training={}, metrics={}, licence="")
    assert read_manifest(tmp_path) == {}


def test_the_manifest_is_plain_json_that_others_can_read(random_weights: Path) -> None:
    listing = json.loads((random_weights / "manifest.json").read_text())
    assert listing["version"] == 1
    keys = [(entry["task"], entry["network"], entry["role"], entry["run"]) for entry in listing["networks"]]
    assert keys == [
        ("classification", "slim_resnet18", "teacher", "seed0"),
        ("classification", "pointnet", "distilled", "seed0"),
        ("classification", "pointnet", "plain", "seed0"),
    ]
    for entry in listing["networks"]:
        assert (random_weights / entry["file"]).is_file()
        assert len(entry["sha256"]) == 64


def test_an_unknown_released_network_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="PointNet_Cls_Distiller, DGCNN_Cls_Distiller, Teacher_Cls"):
        load_official(tmp_path / "x.pth", network="Teacher_Det")


def test_a_released_checkpoint_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"x\.pth cannot be read: No such file or directory"):
        load_official(tmp_path / "x.pth", network="Teacher_Cls")


@pytest.mark.parametrize("content", [b"", b"no checkpoint"])
def test_a_released_checkpoint_that_cannot_be_read_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="no checkpoint that can be read safely"):
        load_official(path, network="Teacher_Cls")


def test_a_released_checkpoint_must_be_a_state_dict(tmp_path: Path) -> None:
    torch.save([torch.zeros(3)], tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match="names and tensors, nothing else"):
        load_official(tmp_path / "x.pth", network="Teacher_Cls")


def saver(folder: Path, who: str, count: int) -> subprocess.Popen[bytes]:
    """Start a process that saves `count` networks of its own, and one that both save, when the file "go" appears."""
    code = """
import sys, time
from pathlib import Path
import torch
from pointmcd.weights.manifest import save_weights
folder, who, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
(folder / f"ready_{who}").touch()
while not (folder / "go").exists():
    time.sleep(0.001)
for number in range(count):
    for name in (f"{who}{number}", "both"):
        save_weights(torch.nn.Linear(8, 8), folder / "weights", network=name, role="distilled", settings={},
                     training={}, metrics={}, licence="none")
"""
    return subprocess.Popen([sys.executable, "-c", code, str(folder), who, str(count)], cwd=Path(__file__).parents[2])


@pytest.mark.parametrize("count", [25, pytest.param(1000, marks=pytest.mark.slow)])
def test_processes_that_save_at_once_lose_no_entry_and_tear_no_file(count: int, tmp_path: Path) -> None:
    processes = [saver(tmp_path, who, count) for who in "ab"]
    while len(list(tmp_path.glob("ready_*"))) < 2:
        time.sleep(0.01)
    (tmp_path / "go").touch()
    assert [process.wait(timeout=500) for process in processes] == [0, 0]
    entries = read_manifest(tmp_path / "weights")
    assert set(entries) == {"both"} | {f"{who}{number}" for who in "ab" for number in range(count)}
    for entry in entries.values():
        assert hashlib.sha256((tmp_path / "weights" / entry.file).read_bytes()).hexdigest() == entry.sha256


@pytest.mark.parametrize("limit", [100, 1500])
def test_a_full_disk_leaves_the_weights_and_their_manifest_as_they_were(limit: int, tmp_path: Path) -> None:
    def save(name: str, seed: int) -> None:
        module = torch.nn.Linear(8, 8)
        torch.nn.init.constant_(module.bias, seed)
        save_weights(
            module, tmp_path, network=name, role="own", settings={}, training={"x": "y" * 700}, metrics={}, licence=""
        )

    save("a", 1)
    save("b", 1)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limits[1]))  # behind so many bytes nothing can be written
    try:
        with pytest.raises(OSError, match=str(tmp_path)):
            save("a", 2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_of_several_runs_the_first_in_the_list_is_the_default_and_the_others_are_loaded_too(copy: Path) -> None:
    before = read_manifest(copy)
    for name in ("teacher", "pointnet"):
        entry = before[name]
        module = build_network(entry.settings)
        save_weights(
            module, copy, network=entry.network, role=entry.role, run="a_run", settings=entry.settings, training={},
            metrics={}, licence="",
        )  # fmt: skip
    entries = read_manifest(copy)
    assert list(entries) == [*before, "teacher_a_run", "pointnet_a_run"]
    models = load_models(folder=copy, device="cpu")
    assert {name: models.weights[name] for name in before} == {name: entry.sha256 for name, entry in before.items()}
    assert [(other.name, other.role, other.run) for other in models.others] == [("pointnet", "distilled", "a_run")]
    assert [network.run for network in models.point_networks("pointnet")] == ["", "", "a_run"]
    saved = load_file(copy / "teacher.safetensors")
    assert torch.equal(models.teacher.classifier.weight, saved["classifier.weight"].float())
    teacher, entry = find_teacher(copy, torch.device("cpu"))
    assert entry.sha256 == models.weights["teacher"]
    assert torch.equal(teacher.classifier.weight, models.teacher.classifier.weight)


def test_a_network_of_the_same_key_takes_the_place_of_the_earlier_one(copy: Path) -> None:
    before = read_manifest(copy)
    settings = before["pointnet"].settings
    save_weights(
        build_network(settings), copy, network="pointnet", role="distilled", settings=settings, training={}, metrics={},
        licence="new",
    )  # fmt: skip
    after = read_manifest(copy)
    assert list(after) == list(before)
    assert after["pointnet"].licence == "new"
    assert after["pointnet"].file == before["pointnet"].file


def as_version_0(folder: Path, *, names: dict[str, str] | None = None) -> dict[str, Any]:
    """Write a folder's manifest, and the keys of its tensors, as the first version did."""
    listing = {}
    for name, entry in read_manifest(folder).items():
        state = load_file(folder / entry.file)
        save_file(
            {re.sub("^alignment", "head.alignment", key): value for key, value in state.items()}, folder / entry.file
        )
        sha256 = hashlib.sha256((folder / entry.file).read_bytes()).hexdigest()
        fields = {"network": entry.settings, "training": {"seed": 5}, "metrics": {}, "data_licence": "none"}
        listing[(names or {}).get(name, name)] = {"file": entry.file, "sha256": sha256, **fields}
    (folder / "manifest.json").write_text(json.dumps(dict(sorted(listing.items()))))
    return listing


def test_a_folder_of_version_0_is_read_and_written_again_in_the_new_version(copy: Path) -> None:
    points = torch.rand(1, 32, 3)
    with torch.inference_mode():
        expected = load_models(folder=copy, device="cpu").students["pointnet"](points).logits
    listing = as_version_0(copy)
    models = load_models(folder=copy, device="cpu")
    with torch.inference_mode():
        assert torch.equal(models.students["pointnet"](points).logits, expected)
    assert models.weights == {name: entry["sha256"] for name, entry in listing.items()}
    assert {entry.run for entry in read_manifest(copy).values()} == {"seed5"}
    save_weights(
        build_network(NETWORK), copy, network="x", role="own", settings=NETWORK, training={}, metrics={}, licence=""
    )
    assert json.loads((copy / "manifest.json").read_text())["version"] == 1
    assert set(read_manifest(copy)) == {*listing, "x_own"}


def test_a_teacher_of_another_name_in_version_0_is_found_where_it_is_the_only_one(copy: Path) -> None:
    listing = as_version_0(copy, names={"teacher": "mentor"})
    assert load_models(folder=copy, device="cpu").weights["teacher"] == listing["mentor"]["sha256"]
    assert find_teacher(copy, torch.device("cpu"))[1].run == "mentor"


def test_two_teachers_of_version_0_of_which_none_is_called_teacher_are_refused(copy: Path) -> None:
    listing = as_version_0(copy)
    listing |= {"a": listing["teacher"], "b": listing.pop("teacher")}
    (copy / "manifest.json").write_text(json.dumps(listing))
    with pytest.raises(
        CheckpointError, match="lists 2 networks of the kind 'teacher': a, b; call the one to use 'teacher'"
    ):
        read_manifest(copy)


def test_a_manifest_of_a_later_version_says_so(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"version": 2, "networks": []}')
    with pytest.raises(CheckpointError, match="is of version 2, and this program reads 1; update it"):
        read_manifest(tmp_path)
