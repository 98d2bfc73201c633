"""What makes a part-segmentation network? It encodes, pools by VAFP, and decodes what its encoder saw on the way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from jaxtyping import Bool, Float, Int
from torch import Tensor

from pointmcd.networks.groups import Level
from pointmcd.projection import PointFeatures, Projection

DROPOUT = 0.5  # DGCNN, PointNet++ and CurveNet, before the last layer


@dataclass(frozen=True, eq=False)
class Encoded:
    """What an encoder computed of B shapes.

    Attributes:
        features: What VAFP pools, or what the network's output layer turns into that.
        levels: Finest first; empty where the decoder reads only the features.
        order: Which input point each point of the finest level is; None where they are in order.
    """

    features: PointFeatures
    levels: tuple[Level, ...] = ()
    order: Int[Tensor, "B N"] | None = None


class PartNetwork(Protocol):
    """An encoder with the decoder of its paper."""

    feature_dim: int

    def encode(self, points: Float[Tensor, "B N 3"]) -> Encoded: ...

    def pool(self, encoded: Encoded, masks: Bool[Tensor, "B W N"]) -> Projection:
        """Pool the point features by view."""

    def decode(
        self, encoded: Encoded, maximum: Float[Tensor, "B D"], category: Float[Tensor, "B G"]
    ) -> Float[Tensor, "B N P"]:
        """Score the parts of each point of the finest level.

        Args:
            maximum: The pool over all points.
            category: One-hot.
        """
