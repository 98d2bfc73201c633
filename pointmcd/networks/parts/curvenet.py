"""How does CurveNet name parts? Features flow back through attention gates and blocks (Xiang et al., ICCV 2021)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from pointmcd.networks.dense import DenseNorm
from pointmcd.networks.encoders.curvenet import SLOPE, CurveBlock, LinearNorm
from pointmcd.networks.encoders.curvenet_parts import (
    COUNTS,
    LEVEL_NEIGHBOURS,
    NEIGHBOURS,
    RADII,
    WIDTHS,
    CurveNetPartEncoder,
)
from pointmcd.networks.groups import Level, interpolate, pick
from pointmcd.networks.parts.network import DROPOUT, Encoded
from pointmcd.projection import Projection


class GatedPropagation(nn.Module):
    """Feature propagation whose skip connection passes an attention gate, then two dense layers."""

    def __init__(self, coarse: int, fine: int) -> None:
        super().__init__()
        middle = fine // 2
        self.coarse, self.fine = LinearNorm(coarse, middle), LinearNorm(fine, middle)
        self.gate = LinearNorm(middle, 1)
        self.layers = nn.Sequential(DenseNorm(coarse + fine, fine, slope=SLOPE), DenseNorm(fine, fine, slope=SLOPE))

    def forward(self, fine: Level, coarse: Level) -> Float[Tensor, "B M C"]:
        carried = interpolate(fine.points, coarse.points, coarse.values)
        gate = torch.sigmoid(self.gate(F.leaky_relu(self.coarse(carried) + self.fine(fine.values), SLOPE)))
        x: Tensor = self.layers(torch.cat([fine.values * gate, carried], dim=-1))
        return x


class CurveNetParts(nn.Module):
    """Four gated propagations with a block after each, two of them at full resolution; the category enters there."""

    feature_dim = CurveNetPartEncoder.feature_dim

    def __init__(self, *, parts: int, categories: int) -> None:
        super().__init__()
        self.encoder = CurveNetPartEncoder()
        self.propagations = nn.ModuleList(GatedPropagation(WIDTHS[i + 1], WIDTHS[i]) for i in (3, 2, 1, 0))
        self.blocks = nn.ModuleList(_upward_block(WIDTHS[i], WIDTHS[i], level=i) for i in (3, 2, 1))
        self.shape4 = DenseNorm(WIDTHS[3], 64, slope=SLOPE)
        self.shape5 = DenseNorm(WIDTHS[4], 128, slope=SLOPE)
        self.full1 = _upward_block(3 + WIDTHS[0] + 64 + 128 + categories, 256, level=0)
        self.full2 = _upward_block(256, 256, level=0)
        self.layer = DenseNorm(256, 256, slope=SLOPE)
        self.squeeze = DenseNorm(256, 32, slope=SLOPE)
        self.excite = nn.Linear(32, 256, bias=False)
        self.dropout = nn.Dropout(DROPOUT)
        self.output = nn.Linear(256, parts)

    def encode(self, points: Float[Tensor, "B N 3"]) -> Encoded:
        order, levels = self.encoder.levels(points)
        ordered = pick(points, order)
        return Encoded(self.encoder.anchors(order, levels), (Level(ordered, ordered), *levels), order)

    def pool(self, encoded: Encoded, masks: Bool[Tensor, "B W N"]) -> Projection:
        return self.encoder.output_layer.pooled(encoded.features, masks)

    def decode(
        self, encoded: Encoded, maximum: Float[Tensor, "B D"], category: Float[Tensor, "B G"]
    ) -> Float[Tensor, "B N P"]:
        cloud, *levels = encoded.levels
        # As published, the shape's own features are taken at the two coarsest resolutions, not from VAFP's pool.
        shape = torch.cat([self.shape4(levels[3].values).amax(1), self.shape5(levels[4].values).amax(1), category], 1)
        coarse = levels[4]
        for step, fine in enumerate(reversed(levels[:4])):
            coarse = Level(fine.points, self.propagations[step](fine, coarse))
            if step < len(self.blocks):
                coarse = Level(*self.blocks[step](*coarse))
        context = shape[:, None].expand(-1, coarse.points.shape[1], -1)
        x = torch.cat([coarse.points, coarse.values, context], dim=-1)
        _, x = self.full1(coarse.points, x)
        _, x = self.full2(coarse.points, x)
        x = self.layer(x)
        x = x * torch.sigmoid(self.excite(self.squeeze(x.mean(dim=1))))[:, None]
        logits: Tensor = self.output(self.dropout(x))
        # Clouds of more points than the finest resolution read their neighbours' answers.
        return (
            logits
            if len(cloud.points[0]) == len(coarse.points[0])
            else interpolate(cloud.points, coarse.points, logits)
        )


def _upward_block(inputs: int, outputs: int, *, level: int) -> CurveBlock:
    return CurveBlock(
        inputs, outputs, ratio=4, count=COUNTS[level], radius=RADII[level],
        neighbours=LEVEL_NEIGHBOURS[level] if level else NEIGHBOURS, curves=False,
    )  # fmt: skip
