"""Where do weights come from? The shipped ones with their manifest, new ones, and the released code's checkpoints."""

from __future__ import annotations

import hashlib
import json
import pickle
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from safetensors.torch import save_file
from torch import Tensor, nn

from pointmcd.distill import Student
from pointmcd.networks.official import RELEASED, Released, norm_pair, pointnet
from pointmcd.teachers import ClassificationTeacher
from pointmcd.types import CheckpointError

WEIGHTS = Path(__file__).parent / "weights"
MANIFEST = "manifest.json"


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


def read_manifest(folder: str | Path = WEIGHTS) -> dict[str, Entry]:
    """List the weights in a folder, by name; empty where there is no manifest.

    Raises:
        CheckpointError: The manifest cannot be read.
    """
    path = Path(folder) / MANIFEST
    if not path.exists():
        return {}
    try:
        listing = json.loads(path.read_text())
        return {name: _entry(name, **fields) for name, fields in listing.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path} is no manifest of weights; restore it or train again.") from error


def _entry(name: str, *, file: Any, network: Any, training: Any, metrics: Any, **texts: str) -> Entry:
    """Check what a damaged or hostile manifest could get wrong."""
    if not (isinstance(file, str) and all(isinstance(record, dict) for record in (network, training, metrics))):
        raise TypeError(name)
    if Path(file).name != file:
        raise ValueError(f"{file} lies outside of the manifest's folder")
    return Entry(name=name, file=file, network=network, training=training, metrics=metrics, **texts)


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
            return Student(**settings)
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
    _fill(module, state, str(path))
    return module.eval()


def save_weights(module: nn.Module, folder: str | Path, *, name: str, network: dict[str, Any], training: dict[str, Any],
                 metrics: dict[str, Any], data_licence: str) -> Entry:  # fmt: skip
    """Write a module's weights as fp16 safetensors and enter them into the folder's manifest."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    file = f"{name}.safetensors"
    save_file(to_half(module), folder / file)
    sha256 = hashlib.sha256((folder / file).read_bytes()).hexdigest()
    entry = Entry(name, file, sha256, network, training, metrics, data_licence)
    entries = read_manifest(folder) | {name: entry}
    listing = {key: {k: v for k, v in vars(value).items() if k != "name"} for key, value in sorted(entries.items())}
    (folder / MANIFEST).write_text(json.dumps(listing, indent=2) + "\n")
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


def load_official(path: str | Path, network: str = "PointNet_Cls_Distiller") -> nn.Module:
    """Load a checkpoint of the released code into our module, key by key.

    Args:
        path: A `state_dict` written by torch.save (read with weights_only=True).
        network: The released class's name, one of `OFFICIAL`.

    Returns:
        The network in evaluation mode. Students are called as `module(points (B, N, 3), visibility (B, V, N))`, those
        of part segmentation also with `category=(B,)`; the classification teacher as `module(images (B, V, 3, H, W))`,
        the segmentation teacher as `module(images (B, 3, H, W), category=(B,))`, the autoencoder as `module(images)`.

    Raises:
        CheckpointError: Unknown network, unreadable file, or keys and shapes that are not that network's.
    """
    if network not in OFFICIAL:
        raise CheckpointError(f"There is no released network {network!r}; there are: {', '.join(OFFICIAL)}.")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, pickle.UnpicklingError, EOFError) as error:
        raise CheckpointError(
            f"{path} is no checkpoint that can be read safely: it must be a plain state_dict."
        ) from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise CheckpointError(f"{path} must hold a state_dict: names and tensors, nothing else.")
    module = OFFICIAL[network].build()
    renamed: dict[str, Tensor] = {}
    for key, value in state.items():
        ours = _rename(key, OFFICIAL[network].renames)
        if ours in renamed:
            raise CheckpointError(f"{path}: two keys stand for {ours}.")
        renamed[ours] = value
    _fill(module, renamed, str(path))
    return module.eval()


def _rename(key: str, renames: tuple[tuple[str, str], ...]) -> str:
    for pattern, ours in renames:
        renamed, hits = re.subn(f"^{pattern}", ours, key)
        if hits:
            return renamed
    raise CheckpointError(f"The checkpoint's key {key!r} is not one of this network's.")


def _fill(module: nn.Module, state: dict[str, Tensor], source: str) -> None:
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


_HEAD = (
    *norm_pair("cdw_alignment", "head.embedding", product="linear"),
    *norm_pair("mv_cdw_alignment", "head.alignment", product="linear"),
    (r"classifier\.", "head.classifier."),
)
# Every released class: those that `build_network` knows, and those of `networks.official`.
OFFICIAL: dict[str, Released] = {
    "PointNet_Cls_Distiller": Released(
        lambda: build_network({"kind": "student", "encoder": "pointnet"}),
        (*pointnet(r"encoder\.encoder", "encoder"), *_HEAD),
    ),
    "DGCNN_Cls_Distiller": Released(
        lambda: build_network({"kind": "student", "encoder": "dgcnn"}),
        (
            *(pair for i in (1, 2, 3, 4) for pair in norm_pair(rf"edge_conv_{i}\.smlp", f"encoder.edges.{i - 1}")),
            *norm_pair("ms_fusion", "encoder.fusion"),
            *_HEAD,
        ),
    ),
    "Teacher_Cls": Released(
        lambda: build_network({"kind": "teacher", "backbone": "mobilenet_v2", "input_size": 224}),
        (
            (r"cnn_backbone\.", "backbone."),
            *norm_pair("mv_cdw_embedding", "view_embedding"),
            *norm_pair("cdw_embedding", "shape_embedding", product="linear"),
            (r"classifier\.", "classifier."),
        ),
    ),
    **RELEASED,
}
