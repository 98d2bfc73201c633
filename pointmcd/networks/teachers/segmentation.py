"""What does the part-segmentation teacher see? A U-Net over the attention backbone that knows the object's category."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from pointmcd.networks.dense import DenseNorm
from pointmcd.networks.parts import CATEGORIES, PARTS, encode_category
from pointmcd.networks.teachers.attention_vgg import STAGE_DIMS, VIEW_DIM, AttentionVGG, ConvNorm, double

CATEGORY_DIM = 64
CONTEXT_DIM = 128


class SegmentationOutput(NamedTuple):
    """What the teacher says of B images.

    Attributes:
        view_features: `v_k`, non-negative; they do not depend on the category.
        pixel_logits: Scores of every part, and of the background as the last class.
    """

    view_features: Float[Tensor, "B T"]
    pixel_logits: Float[Tensor, "B Q H W"]


class SegmentationTeacher(nn.Module):
    """Backbone; category beside the image's summary, tiled onto the bottleneck; U-Net decoder (released sizes)."""

    def __init__(self, *, parts: int = PARTS, categories: int = CATEGORIES) -> None:
        super().__init__()
        first, second, third, last = STAGE_DIMS
        self.categories = categories
        self.backbone = AttentionVGG()
        self.category = DenseNorm(categories, CATEGORY_DIM)
        self.context = DenseNorm(VIEW_DIM + CATEGORY_DIM, CONTEXT_DIM)
        self.bottleneck = ConvNorm(last + CONTEXT_DIM, last, kernel=1)
        self.up = nn.ModuleList(
            [ConvNorm(third + last, third), ConvNorm(second + third, second), ConvNorm(first + second, first)]
        )
        self.full = ConvNorm(first, 64)
        self.output = nn.Conv2d(64, parts + 1, 3, padding=1, bias=False)

    def forward(self, images: Float[Tensor, "B 3 H W"], *, category: Int[Tensor, " B"]) -> SegmentationOutput:
        """Name the part that each pixel shows.

        Args:
            images: Grey in 0..1, three equal channels; height and width are multiples of 16.
            category: Which kind of object each image shows, from 0.

        Raises:
            ValueError: There is no such category.
        """
        maps, view_features = self.backbone(images)
        lifted = self.category(encode_category(category, self.categories).to(images))
        context = self.context(torch.cat([view_features, lifted], dim=1))
        tiled = context[..., None, None].expand(-1, -1, *maps[3].shape[2:])
        x = self.bottleneck(torch.cat([maps[3], tiled], dim=1))
        for layer, skip in zip(self.up, reversed(maps[:3]), strict=True):
            x = layer(torch.cat([skip, double(x)], dim=1))
        return SegmentationOutput(view_features, self.output(self.full(double(x))))
