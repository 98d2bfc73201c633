"""What does a multi-view image network see? The classification teacher: backbone, view descriptors, classifier."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, Num
from torch import Tensor, nn

from pointmcd.networks.dense import DenseNorm
from pointmcd.networks.heads import TEACHER_DIM
from pointmcd.networks.teachers.backbones import BACKBONES


class TeacherOutput(NamedTuple):
    """What the teacher says of B shapes.

    Attributes:
        view_features: `v_k`, one descriptor per view, non-negative.
        shape_feature: What the classifier reads for the whole shape.
        view_logits: The same classifier on each view alone.
        logits: Scores of the whole shape.
        maps: The backbone's last feature maps, for class-activation maps.
    """

    view_features: Float[Tensor, "B V T"]
    shape_feature: Float[Tensor, "B T"]
    view_logits: Float[Tensor, "B V K"]
    logits: Float[Tensor, "B K"]
    maps: Float[Tensor, "B V C h w"]


class ClassificationTeacher(nn.Module):
    """Backbone, global average pool, Linear + BN + ReLU per view (v_k), max over views, Linear + BN + ReLU, classifier.

    Paper Sec. III-A; the released code's sizes. Called with grey images in 0..1.
    """

    def __init__(
        self,
        *,
        backbone: str = "mobilenet_v2",
        input_size: int = 224,
        classes: int = 40,
        teacher_dim: int = TEACHER_DIM,
    ) -> None:
        super().__init__()
        if backbone not in BACKBONES:
            raise ValueError(f"There is no backbone {backbone!r}; there are: {', '.join(BACKBONES)}.")
        self.backbone_name = backbone
        self.input_size = input_size
        self.backbone, channels = BACKBONES[backbone]()
        self.view_embedding = DenseNorm(channels, teacher_dim)
        self.shape_embedding = DenseNorm(teacher_dim, teacher_dim)
        self.classifier = nn.Linear(teacher_dim, classes, bias=False)

    def forward(self, images: Float[Tensor, "B V 3 H W"]) -> TeacherOutput:
        """Read all views of each shape; images of another size are downsampled to `input_size` with antialiasing."""
        batch, views = images.shape[:2]
        flat = to_input_size(images.flatten(0, 1), self.input_size)
        maps = self.backbone(flat.contiguous(memory_format=torch.channels_last))
        view_features = self.view_embedding(maps.mean(dim=(2, 3))).unflatten(0, (batch, views))
        shape_feature = self.shape_embedding(view_features.amax(dim=1))
        return TeacherOutput(
            view_features=view_features,
            shape_feature=shape_feature,
            view_logits=self.classifier(view_features),
            logits=self.classifier(shape_feature),
            maps=maps.unflatten(0, (batch, views)),
        )

    def heat_maps(self, output: TeacherOutput, classes: Int[Tensor, " B"]) -> Float[Tensor, "B V h w"]:
        """Split each view's logit of one class over the cells of the last feature map (eval mode).

        The average pool, the linear map and the batch norm are linear, and the ReLU's gate is known, so the split is
        exact: the sum over a view's cells plus a bias common to the classes' gate is that view's logit.
        """
        weight, _ = self.view_embedding.folded()
        gate = (output.view_features > 0).to(weight) * self.classifier.weight[classes][:, None, :]
        cells = output.maps.shape[-1] * output.maps.shape[-2]
        return torch.einsum("bvt,tc,bvchw->bvhw", gate, weight, output.maps.float()) / cells


def to_input_size(images: Num[Tensor, "B C H W"], size: int) -> Num[Tensor, "B C h w"]:
    """Downsample renders to a teacher's input size with antialiasing: the same in training and in the app."""
    if images.shape[-1] == size:
        return images
    if images.is_cuda and images.dtype == torch.uint8:  # there torch downsamples floats alone; never run on a GPU
        return to_input_size(images.float(), size).round().to(torch.uint8)
    return F.interpolate(images, size=(size, size), mode="bilinear", antialias=True)
