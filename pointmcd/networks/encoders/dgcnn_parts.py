"""How does DGCNN encode points for part segmentation? Wang et al., TOG 2019: three edge convolutions."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from pointmcd.networks.dense import DenseNorm
from pointmcd.networks.encoders.dgcnn import SLOPE, EdgeConv
from pointmcd.networks.groups import GroupLayers
from pointmcd.ops.neighbours import neighbourhoods
from pointmcd.projection import PointFeatures

NEIGHBOURS = 40  # paper, part segmentation
LEVEL_DIM = 64


class DeepEdgeConv(nn.Module):
    """Max over neighbours j of two dense layers on [x_i ; x_j - x_i]."""

    def __init__(self, inputs: int, outputs: int, *, neighbours: int = NEIGHBOURS) -> None:
        super().__init__()
        self.layers = GroupLayers(2 * inputs, (outputs, outputs), slope=SLOPE)
        self.neighbours = neighbours

    def forward(self, x: Float[Tensor, "B N C"]) -> Float[Tensor, "B N D"]:
        near = neighbourhoods(x.detach(), min(self.neighbours, x.shape[1]))
        own, difference = self.layers.first_weight.chunk(2, dim=1)
        reduced: Tensor = self.layers(F.linear(x, own - difference), F.linear(x, difference), near)
        return reduced


class DGCNNPartEncoder(nn.Module):
    """Edge convolutions to 64, 64 and 64 channels, concatenated and embedded in 1024 with ReLU."""

    feature_dim = 1024

    def __init__(self) -> None:
        super().__init__()
        self.edges = nn.ModuleList(
            [
                DeepEdgeConv(3, LEVEL_DIM),
                DeepEdgeConv(LEVEL_DIM, LEVEL_DIM),
                EdgeConv(LEVEL_DIM, LEVEL_DIM, neighbours=NEIGHBOURS),
            ]
        )
        self.fusion = DenseNorm(len(self.edges) * LEVEL_DIM, self.feature_dim)

    @property
    def output_layer(self) -> DenseNorm:
        """What turns the trunk's features into the point features."""
        return self.fusion

    def trunk(self, points: Float[Tensor, "B N 3"]) -> PointFeatures:
        """All three levels' features, concatenated."""
        levels, x = [], points
        for edge in self.edges:
            x = edge(x)
            levels.append(x)
        return PointFeatures(torch.cat(levels, dim=-1))

    def forward(self, points: Float[Tensor, "B N 3"]) -> PointFeatures:
        return PointFeatures(self.fusion(self.trunk(points).values))
