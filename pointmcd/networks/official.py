"""What are the released networks called here? For each class its network and a table from its keys to ours.

A table's rows are tried in order: a pattern at the key's start, and what stands for it here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from pointmcd.networks.parts import PartStudent
from pointmcd.networks.teachers.autoencoder import ImageAutoencoder
from pointmcd.networks.teachers.segmentation import SegmentationTeacher

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


def norm_pair(official: str, ours: str, *, product: str = "conv") -> Renames:
    """Rename one dense layer's product and batch norm."""
    return (rf"{official}\.{product}\.", f"{ours}.linear."), (rf"{official}\.bn\.", f"{ours}.norm.")


def t_net(official: str, ours: str) -> Renames:
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


def pointnet(official: str, ours: str) -> Renames:
    """Rename PointNet's encoder."""
    layers: list[tuple[str, str]] = []
    for i in (1, 2, 3):
        layers += [
            (rf"{official}\.conv{i}\.", f"{ours}.layer{i}.linear."),
            (rf"{official}\.bn{i}\.", f"{ours}.layer{i}.norm."),
        ]
    return (
        *t_net(rf"{official}\.stn", f"{ours}.input_transform"),
        *t_net(rf"{official}\.fstn", f"{ours}.feature_transform"),
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


_ALIGNMENT = norm_pair("mv_cdw_alignment", "alignment", product="linear")
_DEEP_EDGES = tuple(
    pair
    for edge in (1, 2)
    for layer in (0, 1)
    for pair in norm_pair(
        rf"encoder\.econv_{edge}\.smlp\.{layer}", f"network.encoder.edges.{edge - 1}.layers.layers.{layer}"
    )
)

RELEASED: dict[str, Released] = {
    "PointNet_Seg_Distiller": Released(
        lambda: PartStudent("pointnet"),
        (
            *pointnet(r"encoder\.encoder", "network.encoder"),
            *norm_pair("dec_mlp_1", "network.layer1"),
            *norm_pair("dec_mlp_2", "network.layer2"),
            *norm_pair("dec_mlp_3", "network.layer3"),
            (r"dec_mlp_4\.conv\.", "network.output."),
            *_ALIGNMENT,
        ),
    ),
    "DGCNN_Seg_Distiller": Released(
        lambda: PartStudent("dgcnn"),
        (
            *_DEEP_EDGES,
            *norm_pair(r"encoder\.econv_3\.smlp", "network.encoder.edges.2"),
            *norm_pair(r"encoder\.pw_embedding", "network.encoder.fusion"),
            *norm_pair(r"encoder\.class_lifting", "network.category", product="linear"),
            *norm_pair(r"encoder\.seg_conv_1", "network.layer1"),
            *norm_pair(r"encoder\.seg_conv_2", "network.layer2"),
            *norm_pair(r"encoder\.seg_conv_3", "network.layer3"),
            (r"encoder\.seg_conv_4\.conv\.", "network.output."),
            *_ALIGNMENT,
        ),
    ),
    "Teacher_Seg": Released(
        SegmentationTeacher,
        (
            *_attention_vgg("", "backbone"),
            *norm_pair("lift", "category", product="linear"),
            *norm_pair("fuse", "context", product="linear"),
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
            *norm_pair("lifting", "seed", product="linear"),
            *(pair for k in (1, 2, 3, 4) for pair in _image_layer(f"deconv_{k}", f"decoder.{k - 1}")),
            (r"output\.conv\.", "output."),
        ),
    ),
}
