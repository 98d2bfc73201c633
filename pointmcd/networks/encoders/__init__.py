"""Which point encoders are there, and what makes one? A table and a Protocol; each encoder has its own file.

An encoder is any module with `feature_dim` that turns points into `PointFeatures`. It may also have one of two
abilities, which `networks.pooling` looks for: pooling before its last norm, and a summary other than the maximum.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from pointmcd.networks.dense import DenseNorm
from pointmcd.networks.encoders.curvenet import CurveNet
from pointmcd.networks.encoders.dgcnn import DGCNN
from pointmcd.networks.encoders.foldingnet import FoldingEncoder
from pointmcd.networks.encoders.pointnet import PointNet
from pointmcd.networks.encoders.pointnet2 import PointNet2
from pointmcd.projection import PointFeatures


@runtime_checkable
class Encoder(Protocol):
    """Turns points into features of points; `index` names the input points of a hierarchical encoder's anchors."""

    feature_dim: int

    def __call__(self, points: Float[Tensor, "B N 3"], /) -> PointFeatures: ...


@runtime_checkable
class PoolsEarly(Protocol):
    """The ability to be pooled before its last batch norm, which saves normalising every point's features."""

    @property
    def output_layer(self) -> DenseNorm: ...

    def trunk(self, points: Float[Tensor, "B N 3"], /) -> PointFeatures: ...


@runtime_checkable
class Summarizes(Protocol):
    """The ability to describe a whole shape by more than the maximum over its points."""

    summary_dim: int

    def summarize(self, values: Float[Tensor, "B M D"], maximum: Float[Tensor, "B D"], /) -> Float[Tensor, "B S"]: ...


ENCODERS: dict[str, Callable[[], Encoder]] = {
    "pointnet": PointNet,
    "pointnet2": PointNet2,
    "dgcnn": DGCNN,
    "curvenet": CurveNet,
    "foldingnet": FoldingEncoder,
}


def create_encoder(name: str) -> Encoder:
    """Build an encoder with fresh weights.

    Raises:
        ValueError: There is no such encoder.
    """
    if name not in ENCODERS:
        raise ValueError(f"There is no encoder {name!r}; there are: {', '.join(ENCODERS)}.")
    return ENCODERS[name]()
