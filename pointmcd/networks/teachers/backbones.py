"""Which backbones does the classification teacher have? Plain torch, with torchvision's key names where it has them."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class _ConvNorm(nn.Sequential):
    """Convolution, batch norm, ReLU6: torchvision's layout, so that its published keys fit."""

    def __init__(self, inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1, groups: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU6(inplace=True),
        )


class _InvertedResidual(nn.Module):
    """MobileNetV2's block: expand, filter each channel, project (Sandler et al., CVPR 2018)."""

    def __init__(self, inputs: int, outputs: int, *, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        expand = [] if expansion == 1 else [_ConvNorm(inputs, hidden, kernel=1)]
        self.conv = nn.Sequential(
            *expand,
            _ConvNorm(hidden, hidden, stride=stride, groups=hidden),
            nn.Conv2d(hidden, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D h w"]:
        out: Tensor = self.conv(x)
        return x + out if self.residual else out


def _mobilenet_v2() -> tuple[nn.Module, int]:
    """MobileNetV2's features with torchvision's key names; 1,280 channels at a 32nd of the resolution."""
    settings = (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    )
    layers: list[nn.Module] = [_ConvNorm(3, 32, stride=2)]
    channels = 32
    for expansion, outputs, repeats, stride in settings:
        for repeat in range(repeats):
            layers.append(
                _InvertedResidual(channels, outputs, stride=stride if repeat == 0 else 1, expansion=expansion)
            )
            channels = outputs
    layers.append(_ConvNorm(channels, 1280, kernel=1))
    return nn.Sequential(*layers), 1280


class _ResidualBlock(nn.Module):
    """ResNet-18's basic block (He et al., CVPR 2016)."""

    def __init__(self, inputs: int, outputs: int, *, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = (
            nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
            if stride != 1 or inputs != outputs
            else nn.Identity()
        )

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D h w"]:
        out = F.relu(self.bn1(self.conv1(x)), inplace=True)
        return F.relu(self.bn2(self.conv2(out)) + self.downsample(x), inplace=True)


class _FirstChannel(nn.Module):
    """Renders are grey: three equal channels carry what one does."""

    def forward(self, x: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 1 H W"]:
        return x[:, :1]


def _slim_resnet18() -> tuple[nn.Module, int]:
    """ResNet-18 with a quarter of the channels, a 3 x 3 stem of stride 2 and no max pool.

    128 channels at a 16th of the resolution: SimpleView's kind of net (Goyal et al., ICML 2021).
    """
    layers: list[nn.Module] = [
        _FirstChannel(),
        nn.Conv2d(1, 16, 3, 2, 1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(inplace=True),
    ]
    channels = 16
    for outputs, stride in ((16, 1), (32, 2), (64, 2), (128, 2)):
        layers += [_ResidualBlock(channels, outputs, stride=stride), _ResidualBlock(outputs, outputs, stride=1)]
        channels = outputs
    return nn.Sequential(*layers), channels


BACKBONES: dict[str, Callable[[], tuple[nn.Module, int]]] = {
    "mobilenet_v2": _mobilenet_v2,
    "slim_resnet18": _slim_resnet18,
}
