"""What is a student? An encoder, the projection and a head."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from pointmcd.networks.dense import everything
from pointmcd.networks.heads import ClassificationHead
from pointmcd.networks.student_encoders import create_encoder
from pointmcd.projection import PointFeatures


class StudentOutput(NamedTuple):
    """What the student says of B shapes. Without visibility the view fields are None: inference needs no fake masks.

    Attributes:
        shape_feature: What the classifier reads.
        logits: Class scores.
        view_features: `g_k`, one descriptor per view (Eq. 5).
        view_logits: The classifier's scores of each view descriptor.
        view_pools: Max-pooled point features of each view, before the alignment head.
        winners: Input point that won each channel of each view; -1 where the view sees nothing.
        global_winners: Input point that won each channel of the pool over all points.
        trunk: Features before the encoder's output layer, and the encoder's penalty. The output layer's features of
            single points are never needed to answer: `encoder(points)` gives them to those who want to look.
    """

    shape_feature: Float[Tensor, "B T"]
    logits: Float[Tensor, "B K"]
    view_features: Float[Tensor, "B V T"] | None
    view_logits: Float[Tensor, "B V K"] | None
    view_pools: Float[Tensor, "B V D"] | None
    winners: Int[Tensor, "B V D"] | None
    global_winners: Int[Tensor, "B D"]
    trunk: PointFeatures


class Student(nn.Module):
    """A point encoder with VAFP and a classification head.

    Args:
        encoder: Name in `students.ENCODERS`.
        classes: Number of classes K.
        isolate_views: Stop the gradient of the view descriptors at the point features. The plain baseline trains its
            alignment head so: the teacher never reaches its encoder, yet its views can be compared with the teacher's.
    """

    def __init__(self, encoder: str, *, classes: int = 40, isolate_views: bool = False) -> None:
        super().__init__()
        self.encoder_name = encoder
        self.encoder = create_encoder(encoder)
        self.head = ClassificationHead(self.encoder.feature_dim, classes=classes)
        self.isolate_views = isolate_views

    def forward(self, points: Float[Tensor, "B N 3"], visibility: Bool[Tensor, "B V N"] | None = None) -> StudentOutput:
        """Score shapes; with visibility, also describe each view.

        Raises:
            ValueError: Visibility does not fit the points.
        """
        if visibility is not None and (visibility.ndim != 3 or visibility.shape[::2] != points.shape[:2]):
            raise ValueError(
                f"Visibility must be (B, V, N) = ({len(points)}, V, {points.shape[1]}), not {tuple(visibility.shape)}."
            )
        # The pool over all points is the view that sees everything: one pooling pass serves classifier and views.
        whole = everything(points)
        masks = whole if visibility is None else torch.cat([whole, visibility], dim=1)
        trunk = self.encoder.trunk(points)
        pooled = self.encoder.output_layer.pooled(trunk, masks)
        shape_feature, logits = self.head.classify(pooled.features[:, 0])
        view_pools = view_features = view_logits = winners = None
        if visibility is not None:
            view_pools, winners = pooled.features[:, 1:], pooled.winners[:, 1:]
            view_features = self.head.alignment(view_pools.detach() if self.isolate_views else view_pools)
            view_logits = self.head.classifier(view_features)
        return StudentOutput(
            shape_feature=shape_feature,
            logits=logits,
            view_features=view_features,
            view_logits=view_logits,
            view_pools=view_pools,
            winners=winners,
            global_winners=pooled.winners[:, 0],
            trunk=trunk,
        )
