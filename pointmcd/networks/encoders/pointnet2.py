"""How does PointNet++ encode points? Qi et al., NeurIPS 2017: PointNets on growing balls (single-scale grouping).

Clouds are put into farthest-first order, so centers and full balls do not depend on how a file orders its points. A
ball with fewer points than its limit repeats one, as published; repeats weigh in the batch statistics only.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from pointmcd.networks.dense import DenseNorm
from pointmcd.networks.groups import GroupLayers, Level, pick
from pointmcd.ops.sampling import ball_query, farthest_first_order
from pointmcd.projection import PointFeatures


class SetAbstraction(nn.Module):
    """Centers, the balls around them, and a small PointNet on each ball (Sec. 3.2).

    Args:
        inputs: Feature channels that arrive beside the coordinates.
        count: Number of centers; all points where there are fewer.
        neighbours: Limit of points in a ball.
    """

    def __init__(self, inputs: int, widths: tuple[int, ...], *, count: int, radius: float, neighbours: int) -> None:
        super().__init__()
        self.layers = GroupLayers(3 + inputs, widths)
        self.count = count
        self.radius = radius
        self.neighbours = neighbours

    def forward(self, points: Float[Tensor, "B N 3"], values: Float[Tensor, "B N C"] | None) -> Level:
        """Group points that arrive in farthest-first order: the first ones are the centers."""
        centers = points[:, : self.count]
        near = ball_query(points, centers, radius=self.radius, k=self.neighbours)
        # Each edge is [x_j - c_i ; f_j], and the first layer is linear in it.
        position, feature = self.layers.first_weight.split([3, self.layers.first_weight.shape[1] - 3], dim=1)
        around = F.linear(points, position)
        own = -around[:, : self.count]
        if values is not None:
            around = around + F.linear(values, feature)
        return Level(centers, self.layers(own, around, near))


class PointNet2(nn.Module):
    """Set abstractions to 512 and 128 anchors; each anchor's 256 features and position become 1024, with ReLU."""

    feature_dim = 1024

    def __init__(self) -> None:
        super().__init__()
        # Appendix B.1: SA(512, 0.2, [64, 64, 128]), SA(128, 0.4, [128, 128, 256]), SA([256, 512, 1024]).
        self.level1 = SetAbstraction(0, (64, 64, 128), count=512, radius=0.2, neighbours=32)
        self.level2 = SetAbstraction(128, (128, 128, 256), count=128, radius=0.4, neighbours=64)
        self.layer1 = DenseNorm(3 + 256, 256)
        self.layer2 = DenseNorm(256, 512)
        self.layer3 = DenseNorm(512, self.feature_dim)

    @property
    def output_layer(self) -> DenseNorm:
        """What turns the trunk's features into the anchors' features."""
        return self.layer3

    def levels(self, points: Float[Tensor, "B N 3"]) -> tuple[Int[Tensor, "B N"], Level, Level]:
        """Compute both levels, and the order that puts the cloud's points farthest first."""
        order = farthest_first_order(points, min(self.level1.count, points.shape[1]))
        ordered = pick(points, order)
        first = self.level1(ordered, None)
        return order, first, self.level2(*first)

    def anchors(self, order: Int[Tensor, "B N"], level: Level) -> PointFeatures:
        """Bring the last level to the output layer."""
        x = self.layer1(torch.cat([level.points, level.values], dim=-1))
        return PointFeatures(self.layer2(x), order[:, : level.points.shape[1]])

    def trunk(self, points: Float[Tensor, "B N 3"]) -> PointFeatures:
        """Everything before the output layer."""
        order, _, last = self.levels(points)
        return self.anchors(order, last)

    def forward(self, points: Float[Tensor, "B N 3"]) -> PointFeatures:
        trunk = self.trunk(points)
        return PointFeatures(self.layer3(trunk.values), trunk.index)
