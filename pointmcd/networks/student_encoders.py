"""Which point encoders are there? A table; each has its own file and reads like its paper."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from pointmcd.networks.encoders.dgcnn import DGCNN
from pointmcd.networks.encoders.pointnet import PointNet

Encoder: TypeAlias = PointNet | DGCNN

ENCODERS: dict[str, Callable[[], Encoder]] = {"pointnet": PointNet, "dgcnn": DGCNN}


def create_encoder(name: str) -> Encoder:
    """Build an encoder with fresh weights: `module(points (B, N, 3)) -> PointFeatures`.

    Raises:
        ValueError: There is no such encoder.
    """
    if name not in ENCODERS:
        raise ValueError(f"There is no encoder {name!r}; there are: {', '.join(ENCODERS)}.")
    return ENCODERS[name]()
