"""What reads the pooled features? A task's head, and `h_align`, which maps each view into the teacher's space."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from pointmcd.networks.dense import DenseNorm

TEACHER_DIM = 512  # paper, Sec. III-A


class ViewAlignment(DenseNorm):
    """`h_align` of Eq. 5: linear, batch norm and ReLU from a view's pooled features to the teacher's space.

    Args:
        feature_dim: Of the pooled features.
        isolated: Stop the gradient here. The plain baseline trains so: the teacher never reaches its encoder, yet its
            views can be compared with the teacher's.
    """

    def __init__(self, feature_dim: int, teacher_dim: int, *, isolated: bool) -> None:
        super().__init__(feature_dim, teacher_dim)
        self.isolated = isolated

    def forward(self, view_pools: Float[Tensor, "*rows D"]) -> Float[Tensor, "*rows T"]:
        return super().forward(view_pools.detach() if self.isolated else view_pools)


class ClassificationHead(nn.Module):
    """Embed what is known of the whole shape in the teacher's space and score it there.

    Args:
        summary_dim: Of what the encoder says of a whole shape (`networks.pooling.summary_dim`).
    """

    def __init__(self, summary_dim: int, *, classes: int = 40, teacher_dim: int = TEACHER_DIM) -> None:
        super().__init__()
        self.embedding = DenseNorm(summary_dim, teacher_dim)
        self.classifier = nn.Linear(teacher_dim, classes, bias=False)

    def classify(self, summary: Float[Tensor, "*rows S"]) -> tuple[Float[Tensor, "*rows T"], Float[Tensor, "*rows K"]]:
        feature = self.embedding(summary)
        return feature, self.classifier(feature)
