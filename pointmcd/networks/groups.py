"""What are hierarchical networks built of? Dense layers on groups of points, on shared context, and between levels."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from pointmcd.networks.dense import DenseNorm, cached_blocks
from pointmcd.ops.neighbours import gather, nearest_centers


class Level(NamedTuple):
    """Points of one resolution with their features."""

    points: Float[Tensor, "B M 3"]
    values: Float[Tensor, "B M C"]


class GroupLayers(nn.Module):
    """Dense layers on every edge of a group, then the maximum over the group.

    The first layer is linear in the edge's two ends before its batch norm, so it costs two products on points instead
    of one on edges. The last layer's batch norm and activation follow the maximum.

    Args:
        widths: Of at least two layers.
        slope: Of the leaky ReLU; 0 is ReLU.
    """

    def __init__(self, inputs: int, widths: tuple[int, ...], *, slope: float = 0.0) -> None:
        super().__init__()
        self.layers = nn.ModuleList(DenseNorm(a, b, slope=slope) for a, b in pairwise((inputs, *widths)))

    @property
    def first_weight(self) -> Float[Tensor, "H C"]:
        return self._dense_layers()[0].linear.weight

    def forward(
        self, own: Float[Tensor, "B M H"], around: Float[Tensor, "B N H"], near: Int[Tensor, "B M k"]
    ) -> Float[Tensor, "B M D"]:
        """Reduce the groups.

        Args:
            own: The first layer's share of each group's centre.
            around: Its share of each point.
            near: The points in each group.
        """
        batch, count, _ = own.shape
        rows = torch.arange(batch, device=near.device)[:, None, None] * around.shape[1]
        near, own, around = (near + rows).flatten(0, 1), own.flatten(0, 1), around.flatten(0, 1)
        if self.training or torch.is_grad_enabled():
            reduced = self._reduce(own, around, near)
        else:
            reduced = self._reduce_folded(own, around, near)
        return reduced.view(batch, count, -1)

    def _reduce(
        self, own: Float[Tensor, "R H"], around: Float[Tensor, "P H"], near: Int[Tensor, "R k"]
    ) -> Float[Tensor, "R D"]:
        first, *middle, last = self._dense_layers()
        edges = first.finish(F.embedding(near, around).add_(own[:, None]))
        for layer in middle:
            edges = layer(edges)
        return last.group_maximum(edges)

    def _reduce_folded(
        self, own: Float[Tensor, "R H"], around: Float[Tensor, "P H"], near: Int[Tensor, "R k"]
    ) -> Float[Tensor, "R D"]:
        """Do the same in evaluation, block by block in the cache, with each norm folded into its product."""
        first, *middle, last = self._dense_layers()
        scale, shift = first.evaluation_scale()
        own, around = torch.addcmul(shift, own, scale), around * scale
        folded = [layer.folded() for layer in middle]
        last_weight, last_bias = last.folded()
        maxima = own.new_empty(len(own), len(last_bias))
        for block in cached_blocks(own, near.shape[1] * len(last_bias)):
            index = near[block]
            edges = around.index_select(0, index.flatten())
            edges.view(*index.shape, -1).add_(own[block, None])
            F.leaky_relu_(edges, first.slope)
            for layer, (weight, bias) in zip(middle, folded, strict=True):
                edges = F.leaky_relu_(torch.addmm(bias, edges, weight.T), layer.slope)
            products = (edges @ last_weight.T).view(*index.shape, -1)
            torch.amax(products, dim=1, out=maxima[block])
        return F.leaky_relu_(maxima.add_(last_bias), last.slope)

    def _dense_layers(self) -> list[DenseNorm]:
        return [layer for layer in self.layers if isinstance(layer, DenseNorm)]


class ContextDense(DenseNorm):
    """A dense layer on each point's features with its shape's context beside them.

    The context is the same for all points of a shape, so its share of the product is computed once a shape.

    Args:
        context: Size of the context, whose columns come first or last in the weight.
    """

    def __init__(
        self, inputs: int, context: int, outputs: int, *, context_first: bool = False, slope: float = 0.0
    ) -> None:
        super().__init__(inputs + context, outputs, slope=slope)
        self.sizes = (context, inputs) if context_first else (inputs, context)
        self.context_first = context_first

    def with_context(self, x: Float[Tensor, "B N C"], context: Float[Tensor, "B E"]) -> Float[Tensor, "B N D"]:
        """Compute `self(cat([x, context repeated for each point]))`, in the weight's order."""
        left, right = self.linear.weight.split(self.sizes, dim=1)
        own, shared = (right, left) if self.context_first else (left, right)
        return self.finish(F.linear(x, own) + F.linear(context, shared)[:, None])


def interpolate(
    points: Float[Tensor, "B N 3"], centers: Float[Tensor, "B M 3"], values: Float[Tensor, "B M C"]
) -> Float[Tensor, "B N C"]:
    """Carry features from centers to points: the three nearest, by inverse squared distance (PointNet++, Eq. 2).

    A point that is a center keeps its center's features.
    """
    distance, index = nearest_centers(points, centers, min(3, centers.shape[1]))
    weight = 1 / (distance.square() + 1e-8)
    weight = weight / weight.sum(dim=-1, keepdim=True)
    return (gather(values, index) * weight[..., None]).sum(dim=2)


def pick(values: Float[Tensor, "B N C"], index: Int[Tensor, "B M"]) -> Float[Tensor, "B M C"]:
    """Pick rows of each shape: `out[b, m] = values[b, index[b, m]]`."""
    return values.gather(1, index[..., None].expand(-1, -1, values.shape[2]))
