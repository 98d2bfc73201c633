"""How does DGCNN encode points? Wang et al., TOG 2019: edge convolutions on a graph rebuilt for each layer."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from pointmcd.ops import gather, knn
from pointmcd.projection import PointFeatures
from pointmcd.students.layers import DenseNorm, update_running_statistics

NEIGHBOURS = 20  # paper, classification
SLOPE = 0.2


class EdgeConv(nn.Module):
    """Max over neighbours j of LeakyReLU(BN(W [x_i ; x_j - x_i])).

    The layer is linear before its batch norm, so W [x_i ; x_j - x_i] = (W1 - W2) x_i + W2 x_j: two N-sized products
    instead of one on N x k edges. Batch norm and activation are monotone per channel, so only the largest (or, for a
    negative scale, the smallest) neighbour value passes through them. Statistics are those over all edges.
    """

    def __init__(self, inputs: int, outputs: int, *, neighbours: int = NEIGHBOURS) -> None:
        super().__init__()
        self.linear = nn.Linear(2 * inputs, outputs, bias=False)
        self.norm = nn.BatchNorm1d(outputs)
        self.neighbours = neighbours

    def forward(self, x: Float[Tensor, "B N C"]) -> Float[Tensor, "B N D"]:
        nearest = knn(x.detach(), min(self.neighbours, x.shape[1]))
        own_weight, difference_weight = self.linear.weight.chunk(2, dim=1)
        own = F.linear(x, own_weight - difference_weight)
        around = gather(F.linear(x, difference_weight), nearest)  # (B, N, k, D)
        largest, smallest = around.amax(dim=2), around.amin(dim=2)
        extreme = own + torch.where(self.norm.weight >= 0, largest, smallest)
        return F.leaky_relu(self._normalise(extreme, own, around), SLOPE)

    def _normalise(self, extreme: Tensor, own: Tensor, around: Tensor) -> Tensor:
        norm = self.norm
        if self.training:
            edges = around.float() + own.float()[:, :, None, :]
            variance, mean = torch.var_mean(edges, dim=(0, 1, 2), correction=0)
            update_running_statistics(norm, mean.detach(), variance.detach(), rows=edges.numel() // edges.shape[-1])
        else:
            assert norm.running_mean is not None
            assert norm.running_var is not None
            mean, variance = norm.running_mean, norm.running_var
        scale = norm.weight * torch.rsqrt(variance + norm.eps)
        return extreme * scale + (norm.bias - mean * scale)


class DGCNN(nn.Module):
    """Four edge convolutions (64, 64, 128, 256), concatenated and fused to 1024 with ReLU."""

    feature_dim = 1024

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 64, 64, 128, 256)
        self.edges = nn.ModuleList(EdgeConv(a, b) for a, b in pairwise(widths))
        self.fusion = DenseNorm(sum(widths[1:]), self.feature_dim)

    @property
    def output_layer(self) -> DenseNorm:
        """What turns the trunk's features into the point features."""
        return self.fusion

    def trunk(self, points: Float[Tensor, "B N 3"]) -> PointFeatures:
        """Everything before the output layer."""
        levels, x = [], points
        for edge in self.edges:
            x = edge(x)
            levels.append(x)
        return PointFeatures(torch.cat(levels, dim=-1))

    def forward(self, points: Float[Tensor, "B N 3"]) -> PointFeatures:
        return PointFeatures(self.fusion(self.trunk(points).values))
