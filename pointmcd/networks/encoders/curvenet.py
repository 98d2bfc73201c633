"""How does CurveNet encode points? Xiang et al., ICCV 2021: walks through the cloud carry features to far points.

Widths, resolutions, curves and radii are those of the published classification network, and every step of walk,
grouping and aggregation follows the paper's Sec. 3. Two things differ. Clouds are put into farthest-first order, so
anchors do not depend on how a file orders its points (published: the file's first point starts). Crossover suppression
compares features neighbour by neighbour, as the paper's Eq. 6 says (the published code reshapes across curves).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from pointmcd.networks.dense import DenseNorm
from pointmcd.networks.groups import pick
from pointmcd.ops.neighbours import gather, knn
from pointmcd.ops.sampling import ball_query, farthest_first_order
from pointmcd.projection import PointFeatures

NEIGHBOURS = 20
CURVES = (100, 5)  # how many, and how many steps each
SLOPE = 0.2


class LinearNorm(DenseNorm):
    """A linear map and batch norm without activation."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, slope=1.0)

    def finish(self, x: Float[Tensor, "*rows D"]) -> Float[Tensor, "*rows D"]:
        normalised: Tensor = self.norm(x.flatten(0, -2))
        return normalised.view(x.shape)


class LocalAggregation(nn.Module):
    """LPFA: each point's neighbours, with relative positions and features, through one dense layer, then their mean."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.position = LinearNorm(9, channels)
        self.layer = DenseNorm(channels, channels, slope=SLOPE)

    def forward(
        self, x: Float[Tensor, "B N C"], points: Float[Tensor, "B N 3"], near: Int[Tensor, "B N k"]
    ) -> Float[Tensor, "B N C"]:
        difference = gather(x, near) - x[:, :, None]
        edges = F.leaky_relu(difference + self.position(edge_positions(points, near)), SLOPE)
        values: Tensor = self.layer(edges)
        return values.mean(dim=2)


def edge_positions(points: Float[Tensor, "B N 3"], near: Int[Tensor, "B N k"]) -> Float[Tensor, "B N k 9"]:
    """Describe each edge by its point, its neighbour and the difference."""
    around = gather(points, near)
    own = points[:, :, None].expand_as(around)
    return torch.cat([own, around, around - own], dim=-1)


class Walk(nn.Module):
    """Curve grouping: start at the most salient points and step to one neighbour at a time (Sec. 3.1 and 3.2)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.salience = nn.Linear(channels, 1, bias=False)
        self.agent = LinearNorm(2 * channels, 1)
        self.momentum = LinearNorm(2 * channels, 2)

    def forward(self, x: Float[Tensor, "B N C"], near: Int[Tensor, "B N k"]) -> Float[Tensor, "B L S C"]:
        """Walk L curves of S steps.

        Args:
            near: Each point's neighbours without itself, so that no curve stands still.
        """
        curves, steps = CURVES
        salience = torch.sigmoid(self.salience(x))
        x = x * salience
        place = salience[..., 0].topk(min(curves, x.shape[1]), dim=1).indices
        descriptor = pick(x, place)
        walked: list[Tensor] = []
        for _ in range(steps):
            suppression: Tensor | None = None
            candidates_index = near.gather(1, place[..., None].expand(-1, -1, near.shape[2]))
            candidates = gather(x, candidates_index)
            if walked:
                descriptor = self._follow(walked[-1], descriptor)
                suppression = _keeps_on(walked[-1] - descriptor, candidates - walked[-1][:, :, None])
            both = torch.cat([candidates, descriptor[:, :, None].expand_as(candidates)], dim=-1)
            score = self.agent(both)[..., 0]
            choice = _choose(score if suppression is None else score * suppression)
            walked.append((candidates * choice[..., None]).sum(dim=2))
            place = candidates_index.gather(2, choice.argmax(dim=2, keepdim=True))[..., 0]
        return torch.stack(walked, dim=2)

    def _follow(self, current: Float[Tensor, "B L C"], descriptor: Float[Tensor, "B L C"]) -> Float[Tensor, "B L C"]:
        """Move the curve's descriptor towards where it stands, by a momentum that is learnt (Eq. 4)."""
        scores: Tensor = self.momentum(torch.cat([current, descriptor], dim=-1))
        share = scores.softmax(dim=-1)
        return current * share[..., :1] + descriptor * share[..., 1:]


@torch.no_grad()
def _keeps_on(heading: Float[Tensor, "B L C"], step: Float[Tensor, "B L k C"]) -> Float[Tensor, "B L k"]:
    """Crossover suppression: 1 for a step ahead, towards 0 for one that turns back (Eq. 6)."""
    return (1 + F.cosine_similarity(heading[:, :, None], step, dim=-1)).clamp(0, 1)


def _choose(score: Float[Tensor, "B L k"]) -> Float[Tensor, "B L k"]:
    """Pick the best neighbour; the gradient is that of the softmax (Eq. 3)."""
    soft = score.softmax(dim=-1)
    hard = F.one_hot(soft.argmax(dim=-1), soft.shape[-1]).to(soft)
    return hard + soft - soft.detach()


class CurveAggregation(nn.Module):
    """Let each point attend to the curves, and to the steps along them, and add what it finds (Sec. 3.3)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        middle = channels // 2
        self.weight = nn.Linear(channels, 1, bias=False)
        self.query = nn.Linear(channels, middle, bias=False)
        self.curve_key, self.step_key = (nn.Linear(channels, middle, bias=False) for _ in range(2))
        self.curve_value, self.step_value = (nn.Linear(middle, middle, bias=False) for _ in range(2))
        self.output = LinearNorm(2 * middle, channels)

    def forward(self, x: Float[Tensor, "B N C"], curves: Float[Tensor, "B L S C"]) -> Float[Tensor, "B N C"]:
        weight = self.weight(curves)
        between = self.curve_key((curves * weight.softmax(dim=2)).sum(dim=2))
        along = self.step_key((curves * weight.softmax(dim=1)).sum(dim=1))
        query = self.query(x)
        found = [
            (query @ keys.transpose(1, 2)).softmax(dim=-1) @ value(keys)
            for keys, value in ((between, self.curve_value), (along, self.step_value))
        ]
        return F.leaky_relu(x + self.output(torch.cat(found, dim=-1)), SLOPE)


class CurveBlock(nn.Module):
    """CIC: a residual bottleneck with curves (at high resolution) and local aggregation.

    Args:
        count: Points to keep, the first of the farthest-first order; features of each are the maximum over its ball.
        radius: Of that ball.
    """

    def __init__(
        self, inputs: int, outputs: int, *, ratio: int, count: int, radius: float, neighbours: int, curves: bool
    ) -> None:
        super().__init__()
        middle = inputs // ratio
        self.reduce = DenseNorm(inputs, middle, slope=SLOPE)
        self.walk = Walk(middle) if curves else None
        self.aggregation = CurveAggregation(middle) if curves else None
        self.local = LocalAggregation(middle)
        self.expand = LinearNorm(middle, outputs)
        self.shortcut = LinearNorm(inputs, outputs) if inputs != outputs else nn.Identity()
        self.count = count
        self.radius = radius
        self.neighbours = neighbours

    def forward(
        self, points: Float[Tensor, "B N 3"], x: Float[Tensor, "B N C"]
    ) -> tuple[Float[Tensor, "B M 3"], Float[Tensor, "B M D"]]:
        if points.shape[1] > self.count:
            centers = points[:, : self.count]
            near = ball_query(points, centers, radius=self.radius, k=self.neighbours)
            points, x = centers, gather(x, near).amax(dim=2)
        shortcut = self.shortcut(x)
        x = self.reduce(x)
        near = knn(points, min(self.neighbours + 1, points.shape[1]))
        if self.walk is not None and self.aggregation is not None and near.shape[2] > 1:
            x = self.aggregation(x, self.walk(x, near[:, :, 1:]))
        x = self.expand(self.local(x, points, near[:, :, : self.neighbours]))
        return points, F.leaky_relu(x + shortcut, SLOPE)


class CurveNet(nn.Module):
    """Eight blocks at 1024, 1024, 256 and 64 points, walks in the first four; 1024 features per anchor, with ReLU."""

    feature_dim = 1024
    summary_dim = 2048

    def __init__(self) -> None:
        super().__init__()
        self.stem = DenseNorm(9, 32, slope=SLOPE)
        sizes = (
            # inputs, outputs, ratio, points, radius, curves
            (32, 64, 2, 1024, 0.05, True),
            (64, 64, 4, 1024, 0.05, True),
            (64, 128, 2, 1024, 0.05, True),
            (128, 128, 4, 1024, 0.1, True),
            (128, 256, 2, 256, 0.1, False),
            (256, 256, 4, 256, 0.2, False),
            (256, 512, 2, 64, 0.2, False),
            (512, 512, 4, 64, 0.4, False),
        )
        self.blocks = nn.ModuleList(
            CurveBlock(a, b, ratio=ratio, count=count, radius=radius, neighbours=NEIGHBOURS, curves=curves)
            for a, b, ratio, count, radius, curves in sizes
        )
        self.fusion = DenseNorm(512, self.feature_dim)

    def forward(self, points: Float[Tensor, "B N 3"]) -> PointFeatures:
        # The first pooling keeps 1024 points, the second 256: the order must be right for as many.
        order = farthest_first_order(points, min(1024 if points.shape[1] > 1024 else 256, points.shape[1]))
        points = pick(points, order)
        x = embed(self.stem, points, NEIGHBOURS)
        for block in self.blocks:
            points, x = block(points, x)
        return PointFeatures(self.fusion(x), order[:, : points.shape[1]])

    def summarize(self, values: Float[Tensor, "B M D"], maximum: Float[Tensor, "B D"]) -> Float[Tensor, "B S"]:
        """Describe the whole shape by maximum and mean."""
        return torch.cat([maximum, values.mean(dim=1)], dim=-1)


def embed(stem: DenseNorm, points: Float[Tensor, "B N 3"], neighbours: int) -> Float[Tensor, "B N C"]:
    """Describe each point by the positions of its neighbours: one dense layer and a maximum."""
    near = knn(points, min(neighbours, points.shape[1]))
    return stem.group_maximum(edge_positions(points, near))
