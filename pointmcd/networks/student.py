"""What is a student? An encoder, the projection and a head."""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from pointmcd.networks.encoders import Encoder
from pointmcd.networks.heads import TEACHER_DIM, ClassificationHead, ViewAlignment
from pointmcd.networks.pooling import describe
from pointmcd.projection import PointFeatures


class StudentOutput(NamedTuple):
    """What the student says of B shapes. Without visibility the view fields are None: inference needs no fake masks.

    Attributes:
        shape_feature: What the classifier reads.
        logits: Class scores.
        view_features: `g_k`, one descriptor per view (Eq. 5).
        view_logits: The classifier's scores of each view descriptor.
        view_pools: Max-pooled point features of each view, before `h_align`.
        winners: Input point that won each channel of each view; -1 where the view sees nothing.
        global_winners: Input point that won each channel of the pool over all points.
        encoded: What the encoder computed, with its penalty; `networks.pooling.point_features` makes of it the features
            of single points, which are not needed to answer.
    """

    shape_feature: Float[Tensor, "B T"]
    logits: Float[Tensor, "B K"]
    view_features: Float[Tensor, "B V T"] | None
    view_logits: Float[Tensor, "B V K"] | None
    view_pools: Float[Tensor, "B V D"] | None
    winners: Int[Tensor, "B V D"] | None
    global_winners: Int[Tensor, "B D"]
    encoded: PointFeatures


class Student(nn.Module):
    """A point encoder with VAFP and a classification head.

    Args:
        encoder: Any module that keeps the `Encoder` protocol.
        head: Reads the encoder's summary of a shape, and scores view descriptors too.
        teacher_dim: Of the teacher's view descriptors, and of what the head's classifier reads.
        isolate_views: Stop the gradient of the view descriptors at the point features, as the plain baseline does.
    """

    encoder: Encoder

    def __init__(
        self,
        encoder: Encoder,
        head: ClassificationHead,
        *,
        teacher_dim: int = TEACHER_DIM,
        isolate_views: bool = False,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head
        self.alignment = ViewAlignment(encoder.feature_dim, teacher_dim, isolated=isolate_views)

    @property
    def isolate_views(self) -> bool:
        """Whether the teacher never reaches the encoder."""
        return self.alignment.isolated

    def forward(self, points: Float[Tensor, "B N 3"], visibility: Bool[Tensor, "B V N"] | None = None) -> StudentOutput:
        """Score shapes; with visibility, also describe each view.

        Raises:
            ValueError: Visibility does not fit the points.
        """
        pooled = describe(self.encoder, points, visibility)
        shape_feature, logits = self.head.classify(pooled.summary)
        view_features = None if pooled.view_pools is None else self.alignment(pooled.view_pools)
        return StudentOutput(
            shape_feature=shape_feature,
            logits=logits,
            view_features=view_features,
            view_logits=None if view_features is None else self.head.classifier(view_features),
            view_pools=pooled.view_pools,
            winners=pooled.winners,
            global_winners=pooled.global_winners,
            encoded=pooled.encoded,
        )
