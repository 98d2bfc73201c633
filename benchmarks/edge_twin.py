"""What does the released formula of DGCNN with view pooling cost? A slow, obvious twin of its student.

Whole distance matrices; edge features concatenated before the convolution; features repeated for each view and
multiplied by the mask. Written for this project; used by tests and benchmarks only.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.twins import repeated_view_pool
from pointmcd.networks.encoders.dgcnn import SLOPE, EdgeConv
from pointmcd.networks.student import Student

Graph = Callable[[Tensor, int], Tensor]


def full_matrix_neighbours(points: Tensor, k: int) -> Tensor:
    """Find the k nearest of (B, N, C) points from one B x N x N matrix of |a|^2 - 2ab + |b|^2."""
    square = points.square().sum(-1)
    distance = square[:, :, None] - 2 * points @ points.transpose(1, 2) + square[:, None, :]
    return distance.topk(k, largest=False).indices


def full_matrix_ball(points: Tensor, centers: Tensor, *, radius: float, k: int) -> Tensor:
    """Sort the indices of all points in the ball, as PointNet++ implementations do; nearest where there are none."""
    distance = (centers[:, :, None] - points[:, None]).square().sum(-1)
    index = torch.arange(points.shape[1], device=points.device).expand_as(distance).clone()
    index[distance > radius**2] = points.shape[1]
    found = index.sort(dim=-1).values[..., :k]
    first = torch.where(found[..., :1] == points.shape[1], distance.argmin(-1, keepdim=True), found[..., :1])
    return torch.where(found == points.shape[1], first, found)


def farthest_by_matrix(points: Tensor, count: int) -> Tensor:
    """Choose farthest points, one shape after another, from a whole distance matrix."""
    chosen = []
    for shape in points:
        distance = (shape[:, None] - shape[None]).square().sum(-1)
        order, nearest = [0], distance[0]
        while len(order) < count:
            order.append(int(nearest.argmax()))
            nearest = torch.minimum(nearest, distance[order[-1]])
        chosen.append(order)
    return torch.tensor(chosen)


class NaiveEdgeConv(nn.Module):
    """Build every edge [x_i ; x_j - x_i], convolve, normalise, activate, then take the maximum."""

    def __init__(self, ours: EdgeConv, graph: Graph = full_matrix_neighbours) -> None:
        super().__init__()
        outputs, inputs = ours.linear.weight.shape
        self.convolution = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.convolution.weight.data = ours.linear.weight.detach().clone()[..., None, None]
        self.norm = nn.BatchNorm2d(outputs)
        self.norm.load_state_dict(ours.norm.state_dict())
        self.neighbours = ours.neighbours
        self.graph = graph

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, N) -> (B, D, N)."""
        rows = x.transpose(1, 2)
        batch, count, channels = rows.shape
        nearest = self.graph(rows.detach(), min(self.neighbours, count))
        flat = (nearest + torch.arange(batch, device=x.device)[:, None, None] * count).flatten()
        around = rows.reshape(-1, channels)[flat].view(batch, count, -1, channels)
        center = rows[:, :, None].expand_as(around)
        edges = torch.cat([center, around - center], dim=-1).permute(0, 3, 1, 2).contiguous()  # (B, 2C, N, k)
        return F.leaky_relu(self.norm(self.convolution(edges)), SLOPE).amax(dim=3)


class NaiveStudent(nn.Module):
    """A DGCNN student with the same weights, by the released formula; forward gives (logits, view features)."""

    def __init__(self, ours: Student, graph: Graph = full_matrix_neighbours) -> None:
        super().__init__()
        encoder = ours.encoder
        self.edges = nn.ModuleList(NaiveEdgeConv(edge, graph) for edge in encoder.edges)
        linear = encoder.output_layer.linear
        self.fusion = nn.Conv1d(linear.in_features, linear.out_features, 1, bias=False)
        self.fusion.weight.data = linear.weight.detach().clone()[..., None]
        self.norm = nn.BatchNorm1d(linear.out_features)
        self.norm.load_state_dict(encoder.output_layer.norm.state_dict())
        self.head = type(ours.head)(linear.out_features, classes=ours.head.classifier.out_features)
        self.head.load_state_dict(ours.head.state_dict())
        self.alignment = type(ours.alignment)(linear.out_features, ours.alignment.linear.out_features, isolated=False)
        self.alignment.load_state_dict(ours.alignment.state_dict())
        self.to(linear.weight.device)

    def forward(self, points: Tensor, visibility: Tensor) -> tuple[Tensor, Tensor]:
        levels, x = [], points.transpose(1, 2)
        for edge in self.edges:
            x = edge(x)
            levels.append(x)
        features = F.relu(self.norm(self.fusion(torch.cat(levels, dim=1)))).transpose(1, 2)  # (B, N, D)
        _, logits = self.head.classify(features.amax(dim=1))
        return logits, self.alignment(repeated_view_pool(features, visibility))
