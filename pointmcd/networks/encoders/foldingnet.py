"""How does FoldingNet learn shapes without labels? Yang et al., CVPR 2018: encode, then fold a square."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from pointmcd.ops.neighbours import gather, knn
from pointmcd.projection import PointFeatures

NEIGHBOURS = 16
CODEWORD_DIM = 512
GRID_SIDE = 45  # 2,025 points; the paper's square


class FoldingEncoder(nn.Module):
    """Positions and local covariances through three dense layers, then two graph layers (Sec. 2.1).

    There is no batch norm, and the last layer ends signed: features may have any sign.
    """

    feature_dim = 1024
    summary_dim = CODEWORD_DIM

    def __init__(self) -> None:
        super().__init__()
        self.points = _perceptron(12, 64, 64, 64)
        self.graph1 = nn.Linear(64, 128)
        self.graph2 = nn.Linear(128, self.feature_dim)
        self.codeword = nn.Sequential(
            nn.Linear(self.feature_dim, CODEWORD_DIM), nn.ReLU(), nn.Linear(CODEWORD_DIM, CODEWORD_DIM)
        )

    def forward(self, points: Float[Tensor, "B N 3"]) -> PointFeatures:
        near = knn(points, min(NEIGHBOURS, points.shape[1]))
        x = F.relu(self.points(torch.cat([points, _covariances(points, near)], dim=-1)))
        x = F.relu(self.graph1(gather(x, near).amax(dim=2)))
        return PointFeatures(self.graph2(gather(x, near).amax(dim=2)))

    def summarize(self, values: Float[Tensor, "B M D"], maximum: Float[Tensor, "B D"]) -> Float[Tensor, "B S"]:
        """Turn the pooled features into the codeword."""
        codeword: Tensor = self.codeword(maximum)
        return codeword


def _covariances(points: Float[Tensor, "B N 3"], near: Int[Tensor, "B N k"]) -> Float[Tensor, "B N 9"]:
    around = gather(points, near)
    deviation = around - around.mean(dim=2, keepdim=True)
    return (deviation.transpose(2, 3) @ deviation / near.shape[2]).flatten(2)


def _perceptron(*widths: int) -> nn.Sequential:
    """Linear layers with ReLU between them."""
    layers: list[nn.Module] = []
    for a, b in pairwise(widths):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class FoldingDecoder(nn.Module):
    """Fold a square twice, each time by a perceptron that reads the codeword beside each point (Sec. 2.2)."""

    grid: Tensor

    def __init__(self, codeword_dim: int = CODEWORD_DIM) -> None:
        super().__init__()
        self.fold1 = _perceptron(codeword_dim + 2, 512, 512, 3)
        self.fold2 = _perceptron(codeword_dim + 3, 512, 512, 3)
        side = torch.linspace(-1, 1, GRID_SIDE)
        self.register_buffer("grid", torch.cartesian_prod(side, side), persistent=False)

    def forward(self, codeword: Float[Tensor, "B C"]) -> Float[Tensor, "B G 3"]:
        beside = codeword[:, None].expand(-1, len(self.grid), -1)
        square = self.grid.to(codeword).expand(len(codeword), -1, -1)
        folded = self.fold1(torch.cat([beside, square], dim=-1))
        twice: Tensor = self.fold2(torch.cat([beside, folded], dim=-1))
        return twice


def chamfer_distance(ours: Float[Tensor, "B N 3"], theirs: Float[Tensor, "B M 3"]) -> Float[Tensor, ""]:
    """Mean distance to the nearest point of the other cloud, in the direction where it is larger (Eq. 1)."""
    to_theirs, to_ours = _nearest(ours, theirs), _nearest(theirs, ours)
    return torch.maximum(
        _distance(ours, theirs, to_theirs).mean(dim=1), _distance(theirs, ours, to_ours).mean(dim=1)
    ).mean()


@torch.no_grad()
def _nearest(points: Float[Tensor, "B N 3"], others: Float[Tensor, "B M 3"]) -> Int[Tensor, "B N 1"]:
    """Find the nearest other point of each point, one shape after another, so that memory stays that of one matrix."""
    shapes = zip(points, others, strict=True)
    return torch.stack([torch.cdist(a, b).argmin(dim=1, keepdim=True) for a, b in shapes])


def _distance(
    points: Float[Tensor, "B N 3"], others: Float[Tensor, "B M 3"], index: Int[Tensor, "B N 1"]
) -> Float[Tensor, "B N"]:
    offset = points - gather(others, index)[:, :, 0]
    return (offset.square().sum(-1) + 1e-12).sqrt()  # the root has no slope at zero


class FoldingNet(nn.Module):
    """Reconstruct each shape from its codeword."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = FoldingEncoder()
        self.decoder = FoldingDecoder()

    def forward(self, points: Float[Tensor, "B N 3"]) -> tuple[Float[Tensor, "B C"], Float[Tensor, "B G 3"]]:
        """Give codewords and reconstructions."""
        values = self.encoder(points).values
        codeword = self.encoder.summarize(values, values.amax(dim=1))
        return codeword, self.decoder(codeword)
