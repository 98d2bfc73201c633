"""How do checkpoints of the released code become our networks? Key by key."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pointmcd.data.labels import MODELNET40
from pointmcd.networks.official import RELEASED, Released, norm_pair, pointnet
from pointmcd.records import CheckpointError
from pointmcd.weights.manifest import Entry, build_network, fill_network, save_weights


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
    network = {**_CLASSIFICATION[source], "classes": len(MODELNET40)}
    training = {
        "command": f"python -m pointmcd import-official {Path(path).name}",
        "source": f"{source} of the released code",
        "class_names": list(MODELNET40),
    }
    name = "teacher" if network["kind"] == "teacher" else str(network["encoder"])
    return save_weights(
        module, folder, name=name, network=network, training=training, metrics={},
        data_licence="That of the released checkpoint.",
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


_HEAD = (
    *norm_pair("cdw_alignment", "head.embedding", product="linear"),
    *norm_pair("mv_cdw_alignment", "head.alignment", product="linear"),
    (r"classifier\.", "head.classifier."),
)

# Of the released classes for classification, what `build_network` makes of them.
_CLASSIFICATION: dict[str, dict[str, Any]] = {
    "PointNet_Cls_Distiller": {"kind": "student", "encoder": "pointnet"},
    "DGCNN_Cls_Distiller": {"kind": "student", "encoder": "dgcnn"},
    "Teacher_Cls": {"kind": "teacher", "backbone": "mobilenet_v2", "input_size": 224},
}

# Every released class: those that `build_network` knows, and those of `networks.official`.
OFFICIAL: dict[str, Released] = {
    "PointNet_Cls_Distiller": Released(
        lambda: build_network(_CLASSIFICATION["PointNet_Cls_Distiller"]),
        (*pointnet(r"encoder\.encoder", "encoder"), *_HEAD),
    ),
    "DGCNN_Cls_Distiller": Released(
        lambda: build_network(_CLASSIFICATION["DGCNN_Cls_Distiller"]),
        (
            *(pair for i in (1, 2, 3, 4) for pair in norm_pair(rf"edge_conv_{i}\.smlp", f"encoder.edges.{i - 1}")),
            *norm_pair("ms_fusion", "encoder.fusion"),
            *_HEAD,
        ),
    ),
    "Teacher_Cls": Released(
        lambda: build_network(_CLASSIFICATION["Teacher_Cls"]),
        (
            (r"cnn_backbone\.", "backbone."),
            *norm_pair("mv_cdw_embedding", "view_embedding"),
            *norm_pair("cdw_embedding", "shape_embedding", product="linear"),
            (r"classifier\.", "classifier."),
        ),
    ),
    **RELEASED,
}
