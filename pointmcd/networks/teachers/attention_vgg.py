"""What does the image backbone of segmentation and autoencoder see? VGG11 with batch norm and residual attention.

The last pool is left out, so a 224-pixel image ends at 14 x 14. After the first two stages attention is spatial (Woo et
al., ECCV 2018), after the last two over channels; each multiplies x by 1 + its weight (released code's sizes).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

STAGE_DIMS = (128, 256, 512, 512)
VIEW_DIM = STAGE_DIMS[-1]


class SpatialAttention(nn.Module):
    """Weigh each place by its mean and maximum over channels."""

    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, kernel, padding=kernel // 2, bias=False)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        both = torch.cat([x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)], dim=1)
        return x + x * torch.sigmoid(self.conv(both))


class ChannelAttention(nn.Module):
    """Weigh each channel by its mean and maximum over the image, through one small perceptron."""

    def __init__(self, channels: int, *, ratio: int = 8) -> None:
        super().__init__()
        self.squeeze = nn.Linear(channels, channels // ratio, bias=False)
        self.excite = nn.Linear(channels // ratio, channels, bias=False)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        weight = self._score(x.mean(dim=(2, 3))) + self._score(x.amax(dim=(2, 3)))
        return x + x * torch.sigmoid(weight)[..., None, None]

    def _score(self, pooled: Float[Tensor, "B C"]) -> Float[Tensor, "B C"]:
        score: Tensor = self.excite(torch.relu(self.squeeze(pooled)))
        return score


class Stages(NamedTuple):
    """Maps after each stage, at a half, a quarter, an eighth and a sixteenth of the resolution, and their summary.

    Attributes:
        view_features: Average of the last stage: `v_k`.
    """

    maps: tuple[Tensor, Tensor, Tensor, Tensor]
    view_features: Float[Tensor, "B T"]


class AttentionVGG(nn.Module):
    """Four stages of two convolutions each, with attention after each."""

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            [
                nn.Sequential(*_convolution(3, 64), nn.MaxPool2d(2), *_convolution(64, 128)),
                nn.Sequential(nn.MaxPool2d(2), *_convolution(128, 256), *_convolution(256, 256)),
                nn.Sequential(nn.MaxPool2d(2), *_convolution(256, 512), *_convolution(512, 512)),
                nn.Sequential(nn.MaxPool2d(2), *_convolution(512, 512), *_convolution(512, 512)),
            ]
        )
        self.attention = nn.ModuleList(
            [SpatialAttention(7), SpatialAttention(5), ChannelAttention(512), ChannelAttention(512)]
        )

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Stages:
        maps, x = [], images
        for stage, attention in zip(self.stages, self.attention, strict=True):
            x = attention(stage(x))
            maps.append(x)
        first, second, third, last = maps
        return Stages((first, second, third, last), last.mean(dim=(2, 3)))


def _convolution(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    """VGG's 3 x 3 convolution with bias, batch norm and ReLU."""
    return nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)


class ConvNorm(nn.Module):
    """Convolution without bias, batch norm, ReLU: what both decoders are made of."""

    def __init__(self, inputs: int, outputs: int, *, kernel: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H W"]:
        return torch.relu(self.norm(self.conv(x)))


def double(x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C h w"]:
    """Double the resolution bilinearly, corners on corners, as the released networks do."""
    return nn.functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
