"""Which weights does a folder hold, and how do they become networks?"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
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


# What a network is there for. Of several runs of the same task, network and role, the first in the list is the default.
ROLES = ("teacher", "distilled", "plain", "control", "own")

VERSION = 1


@dataclass(frozen=True)
class Entry:
    """What the manifest says of one weights file; task, network, role and run together are its key.

    Attributes:
        task: "classification".
        network: The encoder, or the teacher's backbone.
        role: One of `ROLES`.
        run: Which of several trainings: "seed0".
        file: File name beside the manifest.
        sha256: Of that file.
        settings: How to build the module: `kind` "teacher" or "student" and its arguments.
        training: Command, recipe, data, seed, epochs, hardware.
        metrics: As measured with these very weights.
        licence: Of what the weights were trained on.
    """

    task: str
    network: str
    role: str
    run: str
    file: str
    sha256: str
    settings: dict[str, Any]
    training: dict[str, Any]
    metrics: dict[str, Any]
    licence: str

    @property
    def key(self) -> tuple[str, str, str, str]:
        """Tell it apart from every other entry."""
        return self.task, self.network, self.role, self.run

    @property
    def class_names(self) -> tuple[str, ...]:
        """Label of each logit: ModelNet40's where the manifest names none."""
        return tuple(self.training.get("class_names", MODELNET40))


def read_manifest(folder: str | Path = WEIGHTS) -> dict[str, Entry]:
    """List the weights in a folder in the manifest's order, by short names that are made of their keys.

    A default is called "teacher", "pointnet" (distilled) or "pointnet_plain"; a further run has its run behind that.
    The list is empty where there is no manifest.

    Raises:
        CheckpointError: The manifest cannot be read.
    """
    path = Path(folder) / MANIFEST
    try:
        listing = json.loads(path.read_text(encoding="utf-8"))
        version = listing.get("version", 0)
        if type(version) is int and version > VERSION:
            raise CheckpointError(f"{path} is of version {version}, and this program reads {VERSION}; update it.")
        networks = listing["networks"] if "version" in listing else of_version_0(listing, path)
        return named([_entry(**fields) for fields in networks])
    except FileNotFoundError:
        return {}
    except CheckpointError:
        raise
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        raise CheckpointError(f"{path} is no manifest of weights; restore it or train again.") from error


def named(entries: list[Entry]) -> dict[str, Entry]:
    """Give each entry its short name.

    Raises:
        ValueError: Two entries have the same key or file.
    """
    if len({entry.key for entry in entries}) < len(entries) or len({entry.file for entry in entries}) < len(entries):
        raise ValueError("an entry is listed twice")
    names: dict[str, Entry] = {}
    for entry in entries:
        name = short_name(entry)
        candidates = (name, f"{name}_{entry.run}", f"{name}_{entry.network}_{entry.run}")
        names[next(one for one in candidates if one not in names)] = entry
    return names


def short_name(entry: Entry) -> str:
    """Name a default by its role, or by its network and its role."""
    own = {"teacher": "teacher", "distilled": entry.network}.get(entry.role, f"{entry.network}_{entry.role}")
    return own if entry.task == "classification" else f"{entry.task}_{own}"


def of_version_0(listing: dict[str, Any], path: Path) -> list[dict[str, Any]]:
    """Read the first manifests: entries by name; one called like its network and role was the default.

    Raises:
        CheckpointError: Several entries of the same kind, and none has that name.
    """
    entries: list[tuple[str, dict[str, Any]]] = []
    for name, fields in listing.items():
        settings, training = fields["network"], fields["training"]
        if settings.get("kind") == "teacher":
            network, role = str(settings.get("backbone", "mobilenet_v2")), "teacher"
        else:
            network, role = str(settings.get("encoder")), "plain" if settings.get("isolate_views") else "distilled"
        usual = {"teacher": "teacher", "distilled": network}.get(role, f"{network}_plain")
        run = f"seed{training['seed']}" if name == usual and "seed" in training else name
        entry = {key: value for key, value in fields.items() if key not in ("network", "data_licence")}
        entry |= {"task": "classification", "network": network, "role": role, "run": run, "settings": settings}
        entries.append((usual, {**entry, "licence": fields["data_licence"]}))
    names = list(listing)
    for usual in {usual for usual, _ in entries} - listing.keys():
        meant = [name for name, (other, _) in zip(names, entries, strict=True) if other == usual]
        if len(meant) > 1:
            raise CheckpointError(
                f"{path} lists {len(meant)} networks of the kind {usual!r}: {', '.join(meant)}; call the one to use "
                f"{usual!r}."
            )
    # The default student was the last in the alphabet.
    backwards = sorted(zip(names, entries, strict=True), key=lambda item: item[0], reverse=True)
    return [fields for _, (_, fields) in sorted(backwards, key=lambda item: item[0] != item[1][0])]


def _entry(*, task: Any, network: Any, role: Any, run: Any, file: Any, sha256: Any, settings: Any, training: Any,
           metrics: Any, licence: Any) -> Entry:  # fmt: skip
    """Check what a damaged or hostile manifest could get wrong."""
    if not all(isinstance(text, str) for text in (task, network, role, run, file, sha256, licence)):
        raise TypeError(file)
    if not all(isinstance(record, dict) for record in (settings, training, metrics)):
        raise TypeError(file)
    if Path(file).name != file:
        raise ValueError(f"{file} lies outside of the manifest's folder")
    if role not in ROLES:
        raise ValueError(f"the role is {role!r}")
    listed = training.get("class_names", [])
    if not isinstance(listed, list) or not all(isinstance(label, str) for label in listed):
        raise TypeError(file)
    for setting, largest in LARGEST_SETTING.items():
        value = settings.get(setting, 1)
        if type(value) is not int or not 1 <= value <= largest:
            raise ValueError(f"{setting} is {value!r}")
    return Entry(task, network, role, run, file, sha256, settings, training, metrics, licence)


def find_default(entries: dict[str, Entry], *, role: str, task: str = "classification") -> Entry | None:
    """Find the default of a role: the first in the list."""
    return next((entry for entry in entries.values() if (entry.task, entry.role) == (task, role)), None)


def build_network(settings: dict[str, Any]) -> ClassificationTeacher | Student:
    """Build a module with fresh weights from a manifest's settings.

    Raises:
        CheckpointError: The settings are not those of a network here.
    """
    arguments = {key: value for key, value in settings.items() if key != "kind"}
    try:
        if settings.get("kind") == "teacher":
            return ClassificationTeacher(**arguments)
        if settings.get("kind") == "student":
            return classification_student(**arguments)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"No network has the settings {settings}: {error}") from error
    raise CheckpointError(f"A network is a 'teacher' or a 'student', not {settings.get('kind')!r}.")


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
    module = build_network(entry.settings)
    fill_network(module, {_key_today(key): value for key, value in state.items()}, str(path))
    return module.eval()


def _key_today(key: str) -> str:
    """Name a tensor as it is called now: in the first files, `h_align` belonged to the head."""
    return key.removeprefix("head.") if key.startswith("head.alignment.") else key


def save_weights(module: nn.Module, folder: str | Path, *, network: str, role: str, settings: dict[str, Any],
                 training: dict[str, Any], metrics: dict[str, Any], licence: str, run: str = "seed0",
                 task: str = "classification") -> Entry:  # fmt: skip
    """Write a module's weights as fp16 safetensors and enter them into the folder's manifest.

    An entry of the same key gives way; else the new one is put last, behind the default. Both files are on the disk
    before either takes its place, one process at a time: a full disk leaves the folder as it was, and of many that save
    at once every entry stays.

    Raises:
        CheckpointError: Half precision cannot hold the weights, or the manifest that is there cannot be read.
        OSError: The folder cannot be written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    content = safetensors_of(to_half(module))
    digest = hashlib.sha256(content).hexdigest()
    with locked(folder / LOCK):
        entries = {entry.key: entry for entry in read_manifest(folder).values()}
        entry = Entry(task, network, role, run, "", digest, settings, training, metrics, licence)
        earlier = entries.get(entry.key)
        file = earlier.file if earlier else _free_file(entry, {other.file for other in entries.values()})
        entry = entries[entry.key] = replace(entry, file=file)
        listing = {"version": VERSION, "networks": [vars(other) for other in entries.values()]}
        with written_whole(folder / MANIFEST) as manifest:
            manifest.write_text(json.dumps(listing, indent=2) + "\n", encoding="utf-8")
            with written_whole(folder / file) as weights:
                weights.write_bytes(content)
    return entry


def _free_file(entry: Entry, taken: set[str]) -> str:
    """Name a file like its entry; the run tells it from the default, and the teacher's network it from another's."""
    name = short_name(entry)
    names = (name, f"{name}_{entry.run}", f"{name}_{entry.network}_{entry.run}")
    return next(file for file in (f"{name}.safetensors" for name in names) if file not in taken)


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
