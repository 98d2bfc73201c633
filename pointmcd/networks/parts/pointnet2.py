"""How does PointNet++ name parts? Features flow back from level to level (Qi et al., NeurIPS 2017, Sec. 3.4)."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from pointmcd.networks.dense import DenseNorm
from pointmcd.networks.encoders.pointnet2 import PointNet2
from pointmcd.networks.groups import ContextDense, Level, interpolate, pick
from pointmcd.networks.parts.network import DROPOUT, Encoded
from pointmcd.projection import Projection


class PointNet2Parts(nn.Module):
    """FP(256, 256), FP(256, 128), FP(128, 128, 128), dense 128 with dropout, parts.

    The category's one-hot vector enters with the coordinates at full resolution.
    """

    feature_dim = PointNet2.feature_dim

    def __init__(self, *, parts: int, categories: int) -> None:
        super().__init__()
        self.encoder = PointNet2()
        self.up3 = ContextDense(256, self.feature_dim, 256)
        self.up3b = DenseNorm(256, 256)
        self.up2 = nn.Sequential(DenseNorm(128 + 256, 256), DenseNorm(256, 128))
        self.up1 = ContextDense(3 + 128, categories, 128)
        self.up1b = nn.Sequential(DenseNorm(128, 128), DenseNorm(128, 128))
        self.layer = DenseNorm(128, 128)
        self.dropout = nn.Dropout(DROPOUT)
        self.output = nn.Linear(128, parts)

    def encode(self, points: Float[Tensor, "B N 3"]) -> Encoded:
        order, first, second = self.encoder.levels(points)
        ordered = pick(points, order)
        levels = (Level(ordered, ordered), first, second)
        return Encoded(self.encoder.anchors(order, second), levels, order)

    def pool(self, encoded: Encoded, masks: Bool[Tensor, "B W N"]) -> Projection:
        return self.encoder.output_layer.pooled(encoded.features, masks)

    def decode(
        self, encoded: Encoded, maximum: Float[Tensor, "B D"], category: Float[Tensor, "B G"]
    ) -> Float[Tensor, "B N P"]:
        points, first, second = encoded.levels
        # The last level has a single feature, the pool over all anchors: each anchor reads it as it is.
        x = self.up3b(self.up3.with_context(second.values, maximum))
        x = self.up2(torch.cat([first.values, interpolate(first.points, second.points, x)], dim=-1))
        x = torch.cat([points.values, interpolate(points.points, first.points, x)], dim=-1)
        x = self.up1b(self.up1.with_context(x, category))
        logits: Tensor = self.output(self.dropout(self.layer(x)))
        return logits
