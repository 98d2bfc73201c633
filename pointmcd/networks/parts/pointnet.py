"""How does PointNet name parts? Each point's feature beside the shape's and its category (released code's widths)."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from pointmcd.networks.dense import DenseNorm
from pointmcd.networks.encoders.pointnet import PointNet
from pointmcd.networks.groups import ContextDense
from pointmcd.networks.parts.network import Encoded
from pointmcd.projection import Projection, project


class PointNetParts(nn.Module):
    """[1024 | global 1024 | category] -> 512 -> 256 -> 128 -> parts."""

    feature_dim = PointNet.feature_dim

    def __init__(self, *, parts: int, categories: int) -> None:
        super().__init__()
        self.encoder = PointNet()
        self.layer1 = ContextDense(self.feature_dim, self.feature_dim + categories, 512)
        self.layer2 = DenseNorm(512, 256)
        self.layer3 = DenseNorm(256, 128)
        self.output = nn.Linear(128, parts, bias=False)

    def encode(self, points: Float[Tensor, "B N 3"]) -> Encoded:
        return Encoded(self.encoder(points))

    def pool(self, encoded: Encoded, masks: Bool[Tensor, "B W N"]) -> Projection:
        return project(encoded.features, masks)

    def decode(
        self, encoded: Encoded, maximum: Float[Tensor, "B D"], category: Float[Tensor, "B G"]
    ) -> Float[Tensor, "B N P"]:
        x = self.layer1.with_context(encoded.features.values, torch.cat([maximum, category], dim=1))
        logits: Tensor = self.output(self.layer3(self.layer2(x)))
        return logits
