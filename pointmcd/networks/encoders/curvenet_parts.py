"""How does CurveNet encode points for part segmentation? Five resolutions, down to 8 points (Xiang et al., ICCV 2021).

Sizes are those of the published part-segmentation network. Eight anchors are too few to tell views apart, so VAFP reads
the 32 anchors of the fourth resolution, through a dense layer like the classification network's.
"""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor, nn

from pointmcd.networks.dense import DenseNorm
from pointmcd.networks.encoders.curvenet import SLOPE, CurveBlock, embed
from pointmcd.networks.groups import Level, pick
from pointmcd.ops.sampling import farthest_first_order
from pointmcd.projection import PointFeatures

NEIGHBOURS = 32
COUNTS = (2048, 512, 128, 32, 8)
RADII = (0.2, 0.4, 0.8, 1.2, 2.0)
WIDTHS = (64, 128, 256, 512, 1024)
LEVEL_NEIGHBOURS = (NEIGHBOURS, NEIGHBOURS, NEIGHBOURS, 31, 7)


class CurveNetPartEncoder(nn.Module):
    """Two blocks at each of four resolutions, three at the last; walks at the first."""

    feature_dim = 1024

    def __init__(self) -> None:
        super().__init__()
        self.stem = DenseNorm(9, 32, slope=SLOPE)
        self.resolutions = nn.ModuleList()
        inputs = 32
        for level, outputs in enumerate(WIDTHS):
            blocks = nn.ModuleList()
            for repeat in range(3 if level == len(WIDTHS) - 1 else 2):
                blocks.append(
                    CurveBlock(
                        inputs,
                        outputs,
                        ratio=4 if repeat else 2,
                        count=COUNTS[level],
                        radius=RADII[level],
                        neighbours=LEVEL_NEIGHBOURS[level],
                        curves=level == 0,
                    )
                )
                inputs = outputs
            self.resolutions.append(blocks)
        self.fusion = DenseNorm(WIDTHS[3], self.feature_dim)

    @property
    def output_layer(self) -> DenseNorm:
        """What turns the trunk's features into the anchors' features."""
        return self.fusion

    def levels(self, points: Float[Tensor, "B N 3"]) -> tuple[Int[Tensor, "B N"], list[Level]]:
        """Compute all resolutions, and the order that puts the cloud's points farthest first."""
        count = points.shape[1]
        order = farthest_first_order(points, min(COUNTS[0] if count > COUNTS[0] else COUNTS[1], count))
        points = pick(points, order)
        x = embed(self.stem, points, NEIGHBOURS)
        levels = []
        for blocks in self.resolutions:
            assert isinstance(blocks, nn.ModuleList)
            for block in blocks:
                points, x = block(points, x)
            levels.append(Level(points, x))
        return order, levels

    def anchors(self, order: Int[Tensor, "B N"], levels: list[Level]) -> PointFeatures:
        """Bring the fourth resolution to the output layer."""
        points, x = levels[3]
        return PointFeatures(x, order[:, : points.shape[1]])

    def trunk(self, points: Float[Tensor, "B N 3"]) -> PointFeatures:
        """Everything before the output layer."""
        return self.anchors(*self.levels(points))

    def forward(self, points: Float[Tensor, "B N 3"]) -> PointFeatures:
        trunk = self.trunk(points)
        return PointFeatures(self.fusion(trunk.values), trunk.index)
