"""How does DGCNN name parts? The shape's feature beside each point's three levels (Wang et al., TOG 2019)."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from pointmcd.networks.dense import DenseNorm
from pointmcd.networks.encoders.dgcnn import SLOPE
from pointmcd.networks.encoders.dgcnn_parts import DGCNNPartEncoder
from pointmcd.networks.groups import ContextDense, Level
from pointmcd.networks.parts.network import DROPOUT, Encoded
from pointmcd.projection import Projection

CATEGORY_DIM = 64


class DGCNNParts(nn.Module):
    """[global 1024 | category 64 | levels 192] -> 256 -> 256 -> 128 -> parts."""

    feature_dim = DGCNNPartEncoder.feature_dim

    def __init__(self, *, parts: int, categories: int) -> None:
        super().__init__()
        self.encoder = DGCNNPartEncoder()
        self.category = DenseNorm(categories, CATEGORY_DIM, slope=SLOPE)
        levels = self.encoder.fusion.linear.in_features
        self.layer1 = ContextDense(levels, self.feature_dim + CATEGORY_DIM, 256, context_first=True, slope=SLOPE)
        self.layer2 = DenseNorm(256, 256, slope=SLOPE)
        self.layer3 = DenseNorm(256, 128, slope=SLOPE)
        self.output = nn.Linear(128, parts, bias=False)
        self.dropout = nn.Dropout(DROPOUT)

    def encode(self, points: Float[Tensor, "B N 3"]) -> Encoded:
        trunk = self.encoder.trunk(points)
        return Encoded(trunk, (Level(points, trunk.values),))

    def pool(self, encoded: Encoded, masks: Bool[Tensor, "B W N"]) -> Projection:
        return self.encoder.output_layer.pooled(encoded.features, masks)

    def decode(
        self, encoded: Encoded, maximum: Float[Tensor, "B D"], category: Float[Tensor, "B G"]
    ) -> Float[Tensor, "B N P"]:
        context = torch.cat([maximum, self.category(category)], dim=1)
        x = self.dropout(self.layer1.with_context(encoded.levels[0].values, context))
        x = self.dropout(self.layer2(x))
        logits: Tensor = self.output(self.layer3(x))
        return logits
