"""How does PointNet encode points? Qi et al., CVPR 2017, with the paper's slim T-Nets."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pointmcd.networks.dense import DenseNorm
from pointmcd.projection import PointFeatures, everything


class TransformNet(nn.Module):
    """T-Net: a small PointNet that predicts a k x k transform of its input, near the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.points = nn.Sequential(
            DenseNorm(channels, 64, bias=True), DenseNorm(64, 64, bias=True), DenseNorm(64, 256, bias=True)
        )
        self.shape = nn.Sequential(DenseNorm(256, 64, bias=True), DenseNorm(64, 64, bias=True))
        self.transform = nn.Linear(64, channels * channels)

    def forward(self, x: Float[Tensor, "B N C"]) -> Float[Tensor, "B C C"]:
        first, second, last = self.points
        assert isinstance(last, DenseNorm)
        pooled = last.pooled(PointFeatures(second(first(x))), everything(x)).features[:, 0]
        offset: Tensor = self.transform(self.shape(pooled))
        identity = torch.eye(self.channels, dtype=offset.dtype, device=offset.device)
        return offset.view(-1, self.channels, self.channels) + identity


class PointNet(nn.Module):
    """Shared MLP 64 -> 128 -> 1024 on points turned by two T-Nets; ReLU at the end, so features are non-negative."""

    feature_dim = 1024

    def __init__(self) -> None:
        super().__init__()
        self.input_transform = TransformNet(3)
        self.layer1 = DenseNorm(3, 64, bias=True)
        self.feature_transform = TransformNet(64)
        self.layer2 = DenseNorm(64, 128, bias=True)
        self.layer3 = DenseNorm(128, 1024, bias=True)

    @property
    def output_layer(self) -> DenseNorm:
        """What turns the trunk's features into the point features."""
        return self.layer3

    def trunk(self, points: Float[Tensor, "B N 3"]) -> PointFeatures:
        """Everything before the output layer, and the T-Net regulariser."""
        x = self.layer1(torch.bmm(points, self.input_transform(points).to(points)))
        transform = self.feature_transform(x)
        x = torch.bmm(x, transform.to(x))
        return PointFeatures(self.layer2(x), penalty=_distance_from_rotation(transform))

    def forward(self, points: Float[Tensor, "B N 3"]) -> PointFeatures:
        trunk = self.trunk(points)
        return PointFeatures(self.layer3(trunk.values), penalty=trunk.penalty)


def _distance_from_rotation(transform: Float[Tensor, "B C C"]) -> Float[Tensor, ""]:
    """Mean Frobenius norm of `A A^T - I`: the T-Net regulariser of PointNet, in float32."""
    square = transform.float()
    identity = torch.eye(square.shape[1], device=square.device)
    distance: Tensor = torch.linalg.matrix_norm(square @ square.transpose(1, 2) - identity)
    return distance.mean()
