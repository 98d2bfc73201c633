"""Which networks name the parts of a shape? A table; each reads like its paper."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from pointmcd.networks.heads import TEACHER_DIM, ViewAlignment
from pointmcd.networks.parts.curvenet import CurveNetParts
from pointmcd.networks.parts.dgcnn import DGCNNParts
from pointmcd.networks.parts.network import PartNetwork
from pointmcd.networks.parts.pointnet import PointNetParts
from pointmcd.networks.parts.pointnet2 import PointNet2Parts
from pointmcd.projection import project_shape_and_views

PARTS = 50  # ShapeNetPart
CATEGORIES = 16

PART_NETWORKS: dict[str, Callable[..., PartNetwork]] = {
    "pointnet": PointNetParts,
    "pointnet2": PointNet2Parts,
    "dgcnn": DGCNNParts,
    "curvenet": CurveNetParts,
}


class PartOutput(NamedTuple):
    """What a part network says of B shapes. Without visibility the view fields are None.

    Attributes:
        part_logits: Scores of every part for every input point.
        view_features: `g_k`, one descriptor per view (Eq. 5).
        view_pools: Max-pooled point features of each view, before the alignment layer.
        winners: Input point that won each channel of each view; -1 where the view sees nothing.
        global_winners: Input point that won each channel of the pool over all points.
        penalty: What the encoder adds to the loss.
    """

    part_logits: Float[Tensor, "B N P"]
    view_features: Float[Tensor, "B V T"] | None
    view_pools: Float[Tensor, "B V D"] | None
    winners: Int[Tensor, "B V D"] | None
    global_winners: Int[Tensor, "B D"]
    penalty: Float[Tensor, ""] | None


class PartStudent(nn.Module):
    """A part-segmentation network with VAFP.

    It is no `Student(encoder, head)`: its decoder reads the encoder's levels and the object's category, where a head
    reads one summary. Both share the projection and `h_align`.

    Args:
        encoder: Name in `PART_NETWORKS`.
        parts: Number of parts P, of all categories together.
        categories: Number of object categories G.
        isolate_views: Stop the gradient of the view descriptors at the point features, as the plain baseline does.
    """

    def __init__(
        self,
        encoder: str,
        *,
        parts: int = PARTS,
        categories: int = CATEGORIES,
        teacher_dim: int = TEACHER_DIM,
        isolate_views: bool = False,
    ) -> None:
        super().__init__()
        if encoder not in PART_NETWORKS:
            raise ValueError(f"No network names parts by {encoder!r}; there are: {', '.join(PART_NETWORKS)}.")
        self.encoder_name = encoder
        self.categories = categories
        self.network = PART_NETWORKS[encoder](parts=parts, categories=categories)
        self.alignment = ViewAlignment(self.network.feature_dim, teacher_dim, isolated=isolate_views)

    def forward(
        self,
        points: Float[Tensor, "B N 3"],
        visibility: Bool[Tensor, "B V N"] | None = None,
        *,
        category: Int[Tensor, " B"],
    ) -> PartOutput:
        """Score the parts of every point; with visibility, also describe each view.

        Args:
            category: Which kind of object each shape is, from 0.

        Raises:
            ValueError: Visibility does not fit the points, or there is no such category.
        """
        encoded = self.network.encode(points)
        pooled = project_shape_and_views(partial(self.network.pool, encoded), points, visibility)
        one_hot = encode_category(category, self.categories).to(points)
        logits = self.network.decode(encoded, pooled.maximum, one_hot)
        if encoded.order is not None:
            logits = torch.empty_like(logits).scatter(1, encoded.order[..., None].expand_as(logits), logits)
        return PartOutput(
            part_logits=logits,
            view_features=None if pooled.view_pools is None else self.alignment(pooled.view_pools),
            view_pools=pooled.view_pools,
            winners=pooled.winners,
            global_winners=pooled.global_winners,
            penalty=encoded.features.penalty,
        )


def encode_category(category: Int[Tensor, " B"], categories: int) -> Int[Tensor, "B G"]:
    """Make one-hot vectors.

    Raises:
        ValueError: There is no such category.
    """
    if len(category) and not 0 <= int(category.min()) <= int(category.max()) < categories:
        raise ValueError(f"Categories go from 0 to {categories - 1}; these are {category.tolist()[:8]}.")
    return F.one_hot(category.long(), categories)
