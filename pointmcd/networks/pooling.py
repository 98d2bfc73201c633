"""What does any encoder say of a shape and of each view? One pooling for all of them, by VAFP."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pointmcd.networks.dense import everything
from pointmcd.networks.encoders import Encoder, PoolsEarly, Summarizes
from pointmcd.projection import PointFeatures, project


@dataclass(frozen=True, eq=False)
class PooledShape:
    """Features of B shapes and of their views.

    Attributes:
        summary: What a head reads of the whole shape: the maximum over all points, or the encoder's own summary of it.
        global_winners: Input point that won each channel of the maximum over all points.
        view_pools: Maximum over the points that each view sees; None without visibility.
        winners: Input point that won each channel of each view; -1 where the view sees nothing.
        penalty: What the encoder adds to the loss.
    """

    summary: Float[Tensor, "B S"]
    global_winners: Int[Tensor, "B D"]
    view_pools: Float[Tensor, "B V D"] | None
    winners: Int[Tensor, "B V D"] | None
    penalty: Float[Tensor, ""] | None


def summary_dim(encoder: Encoder) -> int:
    """Tell the size of what a head reads of the whole shape."""
    return encoder.summary_dim if isinstance(encoder, Summarizes) else encoder.feature_dim


def describe(
    encoder: Encoder, points: Float[Tensor, "B N 3"], visibility: Bool[Tensor, "B V N"] | None = None
) -> PooledShape:
    """Encode shapes and pool their features over all points and over each view."""
    if isinstance(encoder, PoolsEarly) and not isinstance(encoder, Summarizes):
        trunk = encoder.trunk(points)
        pooled = encoder.output_layer.pooled(trunk, masks(points, visibility))
        summary, penalty = pooled.features[:, 0], trunk.penalty
    else:
        features = encoder(points)
        pooled = project(features, masks(points, visibility))
        summary, penalty = summarize(encoder, features, pooled.features[:, 0]), features.penalty
    return PooledShape(
        summary=summary,
        global_winners=pooled.winners[:, 0],
        view_pools=None if visibility is None else pooled.features[:, 1:],
        winners=None if visibility is None else pooled.winners[:, 1:],
        penalty=penalty,
    )


def summarize(encoder: object, features: PointFeatures, maximum: Float[Tensor, "B D"]) -> Float[Tensor, "B S"]:
    """Describe whole shapes as the encoder does."""
    return encoder.summarize(features.values, maximum) if isinstance(encoder, Summarizes) else maximum


def masks(points: Float[Tensor, "B N 3"], visibility: Bool[Tensor, "B V N"] | None) -> Bool[Tensor, "B W N"]:
    """Put the view that sees everything first: its pool is the whole shape's."""
    if visibility is None:
        return everything(points)
    if visibility.ndim != 3 or visibility.shape[::2] != points.shape[:2]:
        raise ValueError(
            f"Visibility must be (B, V, N) = ({len(points)}, V, {points.shape[1]}), not {tuple(visibility.shape)}."
        )
    return torch.cat([everything(points), visibility], dim=1)
