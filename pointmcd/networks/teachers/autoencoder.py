"""What does a teacher without labels see? The attention backbone, trained to redraw its image from 512 numbers."""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor, nn

from pointmcd.networks.dense import DenseNorm
from pointmcd.networks.teachers.attention_vgg import VIEW_DIM, AttentionVGG, ConvNorm, double

SEED_DIM, SEED_SIDE = 256, 7  # what the 512 numbers are lifted to; five doublings make 224 pixels of 7


class AutoencoderOutput(NamedTuple):
    """What the autoencoder makes of B images.

    Attributes:
        view_features: `v_k`, non-negative.
        images: The reconstruction, unbounded.
    """

    view_features: Float[Tensor, "B T"]
    images: Float[Tensor, "B 3 224 224"]


class ImageAutoencoder(nn.Module):
    """Backbone, a dense layer to 7 x 7 x 256, five doublings with convolutions to 256, 128, 64, 32 between them."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = AttentionVGG()
        self.seed = DenseNorm(VIEW_DIM, SEED_DIM * SEED_SIDE**2)
        self.decoder = nn.ModuleList([ConvNorm(256, 256), ConvNorm(256, 128), ConvNorm(128, 64), ConvNorm(64, 32)])
        self.output = nn.Conv2d(32, 3, 3, padding=1, bias=False)

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> AutoencoderOutput:
        """Describe images, and redraw them at 224 pixels."""
        view_features = self.backbone(images).view_features
        x = double(self.seed(view_features).view(-1, SEED_DIM, SEED_SIDE, SEED_SIDE))
        for layer in self.decoder:
            x = double(layer(x))
        return AutoencoderOutput(view_features, self.output(x))
