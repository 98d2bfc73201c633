"""What does any encoder say of a shape and of each view? One pooling for all of them, by VAFP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, TypeGuard

from jaxtyping import Bool, Float, Int
from torch import Tensor

from pointmcd.networks.encoders import Encoder, PoolsEarly, Summarizes
from pointmcd.projection import PointFeatures, Projection, project, project_shape_and_views


class PooledShape(NamedTuple):
    """Features of B shapes and of their views.

    Attributes:
        summary: What a head reads of the whole shape: the maximum over all points, or the encoder's own summary of it.
        global_winners: Input point that won each channel of the maximum over all points.
        view_pools: Maximum over the points that each view sees; None without visibility.
        winners: Input point that won each channel of each view; -1 where the view sees nothing.
        encoded: What the encoder computed; `point_features` turns it into the features of points.
    """

    summary: Float[Tensor, "B S"]
    global_winners: Int[Tensor, "B D"]
    view_pools: Float[Tensor, "B V D"] | None
    winners: Int[Tensor, "B V D"] | None
    encoded: PointFeatures


def summary_dim(encoder: Encoder) -> int:
    """Tell the size of what a head reads of the whole shape."""
    return encoder.summary_dim if isinstance(encoder, Summarizes) else encoder.feature_dim


def describe(
    encoder: Encoder, points: Float[Tensor, "B N 3"], visibility: Bool[Tensor, "B V N"] | None = None
) -> PooledShape:
    """Encode shapes and pool their features over all points and over each view."""
    encoded = encoder.trunk(points) if _pools_early(encoder) else encoder(points)

    def pool(masks: Bool[Tensor, "B W N"]) -> Projection:
        return encoder.output_layer.pooled(encoded, masks) if _pools_early(encoder) else project(encoded, masks)

    maximum, global_winners, view_pools, winners = project_shape_and_views(pool, points, visibility)
    summary = encoder.summarize(encoded.values, maximum) if isinstance(encoder, Summarizes) else maximum
    return PooledShape(summary, global_winners, view_pools, winners, encoded)


def point_features(encoder: Encoder, encoded: PointFeatures, *, block: int) -> Iterator[Float[Tensor, "M D"]]:
    """Finish the point features of the first shape that `describe` encoded, `block` points at a time.

    An encoder that pools early never needs them to answer, and all at once they take memory.
    """
    for values in encoded.values[0].split(block):
        yield encoder.output_layer(values) if _pools_early(encoder) else values


def _pools_early(encoder: Encoder) -> TypeGuard[PoolsEarly]:
    """Tell whether the pools are made of the trunk; a summary of its own may read every point's feature."""
    return isinstance(encoder, PoolsEarly) and not isinstance(encoder, Summarizes)
