"""How do checkpoints of the released code become our networks? Key by key, by one table of its classes."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pointmcd.data.labels import MODELNET40
from pointmcd.networks.parts import PartStudent
from pointmcd.networks.teachers.autoencoder import ImageAutoencoder
from pointmcd.networks.teachers.segmentation import SegmentationTeacher
from pointmcd.records import CheckpointError
from pointmcd.weights.manifest import Entry, build_network, fill_network, save_weights

# Rows are tried in order: a pattern at the key's start, and what stands for it here.
Renames = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Released:
    """A released network that has its place here.

    Attributes:
        build: Makes our network with fresh weights.
        renames: From its keys to ours.
    """

    build: Callable[[], nn.Module]
    renames: Renames


def load_official(path: str | Path, network: str | None = None) -> nn.Module:
    """Load a checkpoint of the released code into our module, key by key.

    Args:
        path: A `state_dict` written by torch.save (read with weights_only=True).
        network: The released class's name, one of `OFFICIAL`; None takes the one that the keys are of.

    Returns:
        The network in evaluation mode. Students are called as `module(points (B, N, 3), visibility (B, V, N))`, those
        of part segmentation also with `category=(B,)`; the classification teacher as `module(images (B, V, 3, H, W))`,
        the segmentation teacher as `module(images (B, 3, H, W), category=(B,))`, the autoencoder as `module(images)`.

    Raises:
        CheckpointError: Unknown network, unreadable file, or keys and shapes that are not that network's.
    """
    if network is not None and network not in OFFICIAL:
        raise CheckpointError(f"There is no released network {network!r}; there are: {', '.join(OFFICIAL)}.")
    state = _read_official(Path(path))
    released = OFFICIAL[network or _official_network(state, path)]
    module = released.build()
    renamed: dict[str, Tensor] = {}
    for key, value in state.items():
        ours = _rename(key, released.renames)
        if ours in renamed:
            raise CheckpointError(f"{path}: two keys stand for {ours}.")
        renamed[ours] = value
    fill_network(module, renamed, str(path))
    return module.eval()


def import_official(path: str | Path, folder: str | Path) -> Entry:
    """Enter a checkpoint of the released code into a weights folder, as the network that its keys are of.

    Raises:
        CheckpointError: As `load_official` and `save_weights` do.
    """
    source = _official_network(_read_official(Path(path)), path)
    if source not in _CLASSIFICATION:
        raise CheckpointError(
            f"{path} is a {source}, which no command here uses yet; `load_official` loads it. The command imports: "
            f"{', '.join(_CLASSIFICATION)}."
        )
    module = load_official(path, source)
    settings = {**_CLASSIFICATION[source], "classes": len(MODELNET40)}
    is_teacher = settings["kind"] == "teacher"
    training = {
        "command": f"python -m pointmcd import-official {Path(path).name}",
        "source": f"{source} of the released code",
        "class_names": list(MODELNET40),
    }
    return save_weights(
        module, folder, network=settings["backbone" if is_teacher else "encoder"],
        role="teacher" if is_teacher else "distilled", run="released", settings=settings, training=training,
        metrics={}, licence="That of the released checkpoint.",
    )  # fmt: skip


def _read_official(path: Path) -> dict[str, Tensor]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}; check the path.") from error
    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises what it likes at a file that it did not write
        raise CheckpointError(
            f"{path} is no checkpoint that can be read safely: it must be a plain state_dict."
        ) from error
    names_and_tensors = isinstance(state, dict) and all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in state.items()
    )
    if not names_and_tensors or not state:
        raise CheckpointError(f"{path} must hold a state_dict: names and tensors, nothing else.")
    return dict(state)


def _official_network(state: dict[str, Tensor], path: str | Path) -> str:
    """Find the released class that has a name for each key; of several, the one with most of its names in use."""
    used = {network: {_pattern_of(key, released.renames) for key in state} for network, released in OFFICIAL.items()}
    fitting = [network for network, patterns in used.items() if None not in patterns]
    if not fitting:
        raise CheckpointError(f"{path} is of none of the released networks {', '.join(OFFICIAL)}.")
    return max(fitting, key=lambda network: len(used[network]) / len(OFFICIAL[network].renames))


def _pattern_of(key: str, renames: tuple[tuple[str, str], ...]) -> str | None:
    return next((pattern for pattern, _ in renames if re.match(pattern, key)), None)


def _rename(key: str, renames: tuple[tuple[str, str], ...]) -> str:
    for pattern, ours in renames:
        renamed, hits = re.subn(f"^{pattern}", ours, key)
        if hits:
            return renamed
    raise CheckpointError(f"The checkpoint's key {key!r} is not one of this network's.")


def _norm_pair(official: str, ours: str, *, product: str = "conv") -> Renames:
    """Rename one dense layer's product and batch norm."""
    return (rf"{official}\.{product}\.", f"{ours}.linear."), (rf"{official}\.bn\.", f"{ours}.norm.")


def _t_net(official: str, ours: str) -> Renames:
    """Rename a T-Net."""
    renames: list[tuple[str, str]] = []
    for i in (1, 2, 3):
        renames += [
            (rf"{official}\.conv{i}\.", rf"{ours}.points.{i - 1}.linear."),
            (rf"{official}\.bn{i}\.", rf"{ours}.points.{i - 1}.norm."),
        ]
    for i in (1, 2):
        renames += [
            (rf"{official}\.fc{i}\.", rf"{ours}.shape.{i - 1}.linear."),
            (rf"{official}\.bn{i + 3}\.", rf"{ours}.shape.{i - 1}.norm."),
        ]
    return (*renames, (rf"{official}\.fc3\.", f"{ours}.transform."))


def _pointnet(official: str, ours: str) -> Renames:
    """Rename PointNet's encoder."""
    layers: list[tuple[str, str]] = []
    for i in (1, 2, 3):
        layers += [
            (rf"{official}\.conv{i}\.", f"{ours}.layer{i}.linear."),
            (rf"{official}\.bn{i}\.", f"{ours}.layer{i}.norm."),
        ]
    return (
        *_t_net(rf"{official}\.stn", f"{ours}.input_transform"),
        *_t_net(rf"{official}\.fstn", f"{ours}.feature_transform"),
        *layers,
    )


def _attention_vgg(official: str, ours: str) -> Renames:
    """Rename the backbone: stage k is `conv_k.0` and its attention `conv_k.1`."""
    spatial = [(rf"{official}conv_{k}\.1\.conv\.conv\.", f"{ours}.attention.{k - 1}.conv.") for k in (1, 2)]
    channel: list[tuple[str, str]] = []
    for k in (3, 4):
        channel += [
            (rf"{official}conv_{k}\.1\.fc\.0\.linear\.", f"{ours}.attention.{k - 1}.squeeze."),
            (rf"{official}conv_{k}\.1\.fc\.1\.linear\.", f"{ours}.attention.{k - 1}.excite."),
        ]
    stages = [(rf"{official}conv_{k}\.0\.", f"{ours}.stages.{k - 1}.") for k in (1, 2, 3, 4)]
    return (*spatial, *channel, *stages)


def _image_layer(official: str, ours: str) -> Renames:
    return (rf"{official}\.conv\.", f"{ours}.conv."), (rf"{official}\.bn\.", f"{ours}.norm.")


_ALIGNMENT = _norm_pair("mv_cdw_alignment", "alignment", product="linear")
_DEEP_EDGES = tuple(
    pair
    for edge in (1, 2)
    for layer in (0, 1)
    for pair in _norm_pair(
        rf"encoder\.econv_{edge}\.smlp\.{layer}", f"network.encoder.edges.{edge - 1}.layers.layers.{layer}"
    )
)
_HEAD = (
    *_norm_pair("cdw_alignment", "head.embedding", product="linear"),
    *_ALIGNMENT,
    (r"classifier\.", "head.classifier."),
)

# Of the released classes for classification, what `build_network` makes of them.
_CLASSIFICATION: dict[str, dict[str, Any]] = {
    "PointNet_Cls_Distiller": {"kind": "student", "encoder": "pointnet"},
    "DGCNN_Cls_Distiller": {"kind": "student", "encoder": "dgcnn"},
    "Teacher_Cls": {"kind": "teacher", "backbone": "mobilenet_v2", "input_size": 224},
}

OFFICIAL: dict[str, Released] = {
    "PointNet_Cls_Distiller": Released(
        lambda: build_network(_CLASSIFICATION["PointNet_Cls_Distiller"]),
        (*_pointnet(r"encoder\.encoder", "encoder"), *_HEAD),
    ),
    "DGCNN_Cls_Distiller": Released(
        lambda: build_network(_CLASSIFICATION["DGCNN_Cls_Distiller"]),
        (
            *(pair for i in (1, 2, 3, 4) for pair in _norm_pair(rf"edge_conv_{i}\.smlp", f"encoder.edges.{i - 1}")),
            *_norm_pair("ms_fusion", "encoder.fusion"),
            *_HEAD,
        ),
    ),
    "Teacher_Cls": Released(
        lambda: build_network(_CLASSIFICATION["Teacher_Cls"]),
        (
            (r"cnn_backbone\.", "backbone."),
            *_norm_pair("mv_cdw_embedding", "view_embedding"),
            *_norm_pair("cdw_embedding", "shape_embedding", product="linear"),
            (r"classifier\.", "classifier."),
        ),
    ),
    "PointNet_Seg_Distiller": Released(
        lambda: PartStudent("pointnet"),
        (
            *_pointnet(r"encoder\.encoder", "network.encoder"),
            *_norm_pair("dec_mlp_1", "network.layer1"),
            *_norm_pair("dec_mlp_2", "network.layer2"),
            *_norm_pair("dec_mlp_3", "network.layer3"),
            (r"dec_mlp_4\.conv\.", "network.output."),
            *_ALIGNMENT,
        ),
    ),
    "DGCNN_Seg_Distiller": Released(
        lambda: PartStudent("dgcnn"),
        (
            *_DEEP_EDGES,
            *_norm_pair(r"encoder\.econv_3\.smlp", "network.encoder.edges.2"),
            *_norm_pair(r"encoder\.pw_embedding", "network.encoder.fusion"),
            *_norm_pair(r"encoder\.class_lifting", "network.category", product="linear"),
            *_norm_pair(r"encoder\.seg_conv_1", "network.layer1"),
            *_norm_pair(r"encoder\.seg_conv_2", "network.layer2"),
            *_norm_pair(r"encoder\.seg_conv_3", "network.layer3"),
            (r"encoder\.seg_conv_4\.conv\.", "network.output."),
            *_ALIGNMENT,
        ),
    ),
    "Teacher_Seg": Released(
        SegmentationTeacher,
        (
            *_attention_vgg("", "backbone"),
            *_norm_pair("lift", "category", product="linear"),
            *_norm_pair("fuse", "context", product="linear"),
            *_image_layer("dec_1", "bottleneck"),
            *_image_layer("dec_2", "up.0"),
            *_image_layer("dec_3", "up.1"),
            *_image_layer("dec_4", "up.2"),
            *_image_layer("dec_5", "full"),
            (r"output\.conv\.", "output."),
        ),
    ),
    "CNN_Backbone_Pretrainer": Released(
        ImageAutoencoder,
        (
            *_attention_vgg(r"cnn_backbone\.", "backbone"),
            *_norm_pair("lifting", "seed", product="linear"),
            *(pair for k in (1, 2, 3, 4) for pair in _image_layer(f"deconv_{k}", f"decoder.{k - 1}")),
            (r"output\.conv\.", "output."),
        ),
    ),
}
