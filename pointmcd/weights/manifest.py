"""Which weights does a folder hold, and how do they become networks?"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as safetensors_of
from torch import Tensor, nn

from pointmcd.data.labels import MODELNET40
from pointmcd.files import locked, written_whole
from pointmcd.networks.student import Student
from pointmcd.networks.teachers.classification import ClassificationTeacher
from pointmcd.records import CheckpointError
from pointmcd.tasks.classification import classification_student

WEIGHTS = Path(__file__).parent

MANIFEST = "manifest.json"

LOCK = ".manifest.lock"

# A manifest that asks for more is damaged: building its network would take all memory.
LARGEST_SETTING = {"classes": 10_000, "teacher_dim": 16_384, "input_size": 4_096}


@dataclass(frozen=True)
class Entry:
    """What the manifest says of one weights file.

    Attributes:
        name: "teacher", "pointnet", "pointnet_plain", ...
        file: File name beside the manifest.
        sha256: Of that file.
        network: How to build the module: `kind` "teacher" or "student" and its settings.
        training: Command, recipe, data, seed, epochs, hardware.
        metrics: As measured with these very weights.
        data_licence: Of what the weights were trained on.
    """

    name: str
    file: str
    sha256: str
    network: dict[str, Any]
    training: dict[str, Any]
    metrics: dict[str, Any]
    data_licence: str

    @property
    def class_names(self) -> tuple[str, ...]:
        """Label of each logit: ModelNet40's where the manifest names none."""
        return tuple(self.training.get("class_names", MODELNET40))

    @property
    def role(self) -> str:
        """What the network is used as: "teacher", an encoder's name, or that with "_plain"."""
        if self.network.get("kind") == "teacher":
            return "teacher"
        return f"{self.network.get('encoder')}" + "_plain" * bool(self.network.get("isolate_views"))


def read_manifest(folder: str | Path = WEIGHTS) -> dict[str, Entry]:
    """List the weights in a folder, by name; empty where there is no manifest.

    Raises:
        CheckpointError: The manifest cannot be read.
    """
    path = Path(folder) / MANIFEST
    try:
        listing = json.loads(path.read_text(encoding="utf-8"))
        return {name: _entry(name, **fields) for name, fields in listing.items()}
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{path} is no manifest of weights; restore it or train again.") from error


def _entry(name: str, *, file: Any, sha256: Any, network: Any, training: Any, metrics: Any, data_licence: Any) -> Entry:
    """Check what a damaged or hostile manifest could get wrong."""
    if not all(isinstance(text, str) for text in (file, sha256, data_licence)):
        raise TypeError(name)
    if not all(isinstance(record, dict) for record in (network, training, metrics)):
        raise TypeError(name)
    if Path(file).name != file:
        raise ValueError(f"{file} lies outside of the manifest's folder")
    entry = Entry(name, file, sha256, network, training, metrics, data_licence)
    listed = training.get("class_names", [])
    if not isinstance(listed, list) or not all(isinstance(label, str) for label in listed):
        raise TypeError(name)
    for setting, largest in LARGEST_SETTING.items():
        value = network.get(setting, 1)
        if type(value) is not int or not 1 <= value <= largest:
            raise ValueError(f"{setting} is {value!r}")
    return entry


def entries_by_role(entries: dict[str, Entry], folder: str | Path) -> dict[str, Entry]:
    """Choose one entry for each role: that which is called like it, or the only one.

    Args:
        entries: As `read_manifest` gives them.
        folder: Where they lie, for the message.

    Raises:
        CheckpointError: Several entries could be meant.
    """
    chosen = {}
    for role in {entry.role: None for entry in entries.values()}:
        names = [name for name, entry in entries.items() if entry.role == role]
        if len(names) > 1 and role not in names:
            raise CheckpointError(
                f"{Path(folder) / MANIFEST} lists {len(names)} networks of the kind {role!r}: {', '.join(names)}; "
                f"call the one to use {role!r}."
            )
        chosen[role] = entries[role if role in names else names[0]]
    return chosen


def build_network(network: dict[str, Any]) -> ClassificationTeacher | Student:
    """Build a module with fresh weights from a manifest's `network` settings.

    Raises:
        CheckpointError: The settings are not those of a network here.
    """
    settings = {key: value for key, value in network.items() if key != "kind"}
    try:
        if network.get("kind") == "teacher":
            return ClassificationTeacher(**settings)
        if network.get("kind") == "student":
            return classification_student(**settings)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"No network has the settings {network}: {error}") from error
    raise CheckpointError(f"A network is a 'teacher' or a 'student', not {network.get('kind')!r}.")


def load_weights(entry: Entry, folder: str | Path = WEIGHTS) -> ClassificationTeacher | Student:
    """Build the network of a manifest entry with its weights, in float32 and evaluation mode.

    Raises:
        CheckpointError: The file is missing, was changed, or does not fit the network.
    """
    path = Path(folder) / entry.file
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"The weights {path} cannot be read; restore the file or train them again.") from error
    if hashlib.sha256(content).hexdigest() != entry.sha256:
        raise CheckpointError(f"The weights {path} are not those of the manifest (SHA-256 differs); restore the file.")
    try:
        state = load_safetensors(content)
    except SafetensorError as error:
        raise CheckpointError(f"{path} is no safetensors file: {error}.") from error
    module = build_network(entry.network)
    fill_network(module, {_key_today(key): value for key, value in state.items()}, str(path))
    return module.eval()


def _key_today(key: str) -> str:
    """Name a tensor as it is called now: in the first files, `h_align` belonged to the head."""
    return key.removeprefix("head.") if key.startswith("head.alignment.") else key


def save_weights(module: nn.Module, folder: str | Path, *, name: str, network: dict[str, Any], training: dict[str, Any],
                 metrics: dict[str, Any], data_licence: str) -> Entry:  # fmt: skip
    """Write a module's weights as fp16 safetensors and enter them into the folder's manifest.

    Both files are on the disk before either takes its place, one process at a time: a full disk leaves the folder as
    it was, and of many that save at once every entry stays.

    Raises:
        CheckpointError: Half precision cannot hold the weights, or the manifest that is there cannot be read.
        OSError: The folder cannot be written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    file = f"{name}.safetensors"
    content = safetensors_of(to_half(module))
    entry = Entry(name, file, hashlib.sha256(content).hexdigest(), network, training, metrics, data_licence)
    with locked(folder / LOCK):
        entries = read_manifest(folder) | {name: entry}
        listing = {key: {k: v for k, v in vars(value).items() if k != "name"} for key, value in sorted(entries.items())}
        with written_whole(folder / MANIFEST) as manifest:
            manifest.write_text(json.dumps(listing, indent=2) + "\n", encoding="utf-8")
            with written_whole(folder / file) as weights:
                weights.write_bytes(content)
    return entry


def to_half(module: nn.Module) -> dict[str, Tensor]:
    """The tensors as they are shipped: floats rounded to float16, batch counters dropped.

    Raises:
        CheckpointError: A number is not finite, or too large for float16.
    """
    halves = {
        key: value.detach().cpu().to(torch.float16).contiguous()
        for key, value in module.state_dict().items()
        if not key.endswith("num_batches_tracked")
    }
    broken = [key for key, value in halves.items() if not value.isfinite().all()]
    if broken:
        raise CheckpointError(
            f"Half precision cannot hold {broken[0]}: it has numbers that are too large or not finite."
        )
    return halves


def fill_network(module: nn.Module, state: dict[str, Tensor], source: str) -> None:
    """Copy every tensor into the module, shapes asserted; a 1 x 1 convolution fits the linear layer it is."""
    wanted = module.state_dict()
    counters = {key for key in wanted if key.endswith("num_batches_tracked")}
    missing, unknown = wanted.keys() - state.keys() - counters, state.keys() - wanted.keys()
    if missing or unknown:
        raise CheckpointError(
            f"{source} does not fit: missing {sorted(missing)[:3] or 'none'}, unknown {sorted(unknown)[:3] or 'none'}."
        )
    fitted = {}
    for key, value in state.items():
        if value.shape != wanted[key].shape and tuple(d for d in value.shape if d != 1) != tuple(
            d for d in wanted[key].shape if d != 1
        ):
            raise CheckpointError(f"{source}: {key} is {tuple(value.shape)}, not {tuple(wanted[key].shape)}.")
        fitted[key] = value.reshape(wanted[key].shape).to(wanted[key].dtype)
    module.load_state_dict({**{key: wanted[key] for key in counters}, **fitted})
