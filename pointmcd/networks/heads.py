"""What reads the pooled features? The classifier, and the map from a view's point feature to the teacher's space."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from pointmcd.networks.dense import DenseNorm

TEACHER_DIM = 512  # paper, Sec. III-A


class ClassificationHead(nn.Module):
    """Embed the global feature and score it; map each view's feature by a layer of its own (h_align of Eq. 5)."""

    def __init__(self, feature_dim: int, *, classes: int = 40, teacher_dim: int = TEACHER_DIM) -> None:
        super().__init__()
        self.embedding = DenseNorm(feature_dim, teacher_dim)
        self.alignment = DenseNorm(feature_dim, teacher_dim)
        self.classifier = nn.Linear(teacher_dim, classes, bias=False)

    def classify(self, pooled: Float[Tensor, "*rows D"]) -> tuple[Float[Tensor, "*rows T"], Float[Tensor, "*rows K"]]:
        feature = self.embedding(pooled)
        return feature, self.classifier(feature)
