"""How does DGCNN encode points? Wang et al., TOG 2019: edge convolutions on a graph rebuilt for each layer."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from pointmcd.kernels.device import runs_kernels
from pointmcd.networks.dense import DenseNorm, update_running_statistics
from pointmcd.ops.neighbours import neighbourhoods
from pointmcd.projection import PointFeatures

NEIGHBOURS = 20  # paper, classification
SLOPE = 0.2
# Elements of neighbours' features gathered at a time: 4 MB in float32, which stay in the cache.
GATHER_ELEMENTS = 1 << 20
# Elements summed over points at a time: they stay in a core's own cache.
CACHED_ELEMENTS = 1 << 18


class EdgeConv(nn.Module):
    """Max over neighbours j of LeakyReLU(BN(W [x_i ; x_j - x_i])).

    The layer is linear before its batch norm, so W [x_i ; x_j - x_i] = (W1 - W2) x_i + W2 x_j: two N-sized products
    instead of one on N x k edges. Batch norm and activation are monotone per channel, so only the largest neighbour
    value passes through them; a channel of negative scale is negated in the weights first. Statistics are those over
    all edges, from sums over points. No tensor of the size of the edges is ever allocated.
    """

    def __init__(self, inputs: int, outputs: int, *, neighbours: int = NEIGHBOURS) -> None:
        super().__init__()
        self.linear = nn.Linear(2 * inputs, outputs, bias=False)
        self.norm = nn.BatchNorm1d(outputs)
        self.neighbours = neighbours

    def forward(self, x: Float[Tensor, "B N C"]) -> Float[Tensor, "B N D"]:
        batch, count, _ = x.shape
        norm = self.norm
        near = neighbourhoods(x.detach(), min(self.neighbours, count))
        # Points are rows of all shapes together, so that a neighbour is named by one number.
        near = (near + torch.arange(batch, device=x.device)[:, None, None] * count).flatten(0, 1)
        sign = torch.where(norm.weight.detach() < 0, -1.0, 1.0).to(norm.weight.dtype)
        own_weight, difference_weight = (self.linear.weight * sign[:, None]).chunk(2, dim=1)
        rows = x.flatten(0, 1)
        # Autocast may multiply in bfloat16; gathering gains nothing from it, and sums need full precision.
        own = F.linear(rows, own_weight - difference_weight).to(norm.weight.dtype)
        around = F.linear(rows, difference_weight).to(norm.weight.dtype)
        extreme, mean, variance = _reduce(own, around, near, statistics=self.training)
        if mean is not None and variance is not None:
            update_running_statistics(norm, mean.detach() * sign, variance.detach(), rows=near.numel())
        else:
            assert norm.running_mean is not None
            assert norm.running_var is not None
            mean, variance = norm.running_mean * sign, norm.running_var
        scale = norm.weight * sign * torch.rsqrt(variance + norm.eps)
        activated = F.leaky_relu(torch.addcmul(norm.bias - mean * scale, extreme, scale), SLOPE)
        return activated.view(batch, count, -1)


def _reduce(
    own: Float[Tensor, "R D"], around: Float[Tensor, "R D"], near: Int[Tensor, "R k"], *, statistics: bool
) -> tuple[Float[Tensor, "R D"], Float[Tensor, " D"] | None, Float[Tensor, " D"] | None]:
    """Take the maximum of each point's edges and, where asked to, mean and variance over all edges."""
    fits = own.dtype == torch.float32 and near.shape[1] <= 256  # a winner's place is one byte
    if fits and runs_kernels(own) and not torch.compiler.is_compiling():
        from pointmcd.kernels.edges import EdgeReduction  # needs triton, which a CPU's torch comes without

        extreme, mean, variance = EdgeReduction.apply(own, around, near)  # type: ignore[no-untyped-call]  # torch leaves `apply` untyped
        return (extreme, mean, variance) if statistics else (extreme, None, None)
    extreme = _NeighbourMax.apply(own, around, near)  # type: ignore[no-untyped-call]  # torch leaves `apply` untyped
    if not statistics:
        return extreme, None, None
    mean, variance = _EdgeMoments.apply(own, around, near)  # type: ignore[no-untyped-call]  # torch leaves `apply` untyped
    return extreme, mean, variance


class _NeighbourMax(torch.autograd.Function):
    """own_i + max over neighbours j of around_j; the gradient flows to the winning neighbours only."""

    @staticmethod
    def forward(
        ctx: Any, own: Float[Tensor, "R D"], around: Float[Tensor, "R D"], near: Int[Tensor, "R k"]
    ) -> Float[Tensor, "R D"]:
        count, channels = own.shape
        neighbours = near.shape[1]
        out = torch.empty_like(own)
        # A winner is kept as its place among the neighbours: one byte instead of eight, where that suffices.
        place = torch.uint8 if neighbours <= 256 else torch.int32
        winners = own.new_empty(own.shape if any(ctx.needs_input_grad) else 0, dtype=place)
        places = torch.arange(neighbours, dtype=around.dtype, device=own.device)[:, None]
        step = max(1, GATHER_ELEMENTS // (neighbours * channels))
        buffer = around.new_empty(step * neighbours, channels)
        for start in range(0, count, step):
            block = slice(start, min(start + step, count))
            index = near[block].flatten()
            gathered = torch.index_select(around, 0, index, out=buffer[: len(index)]).unflatten(0, (-1, neighbours))
            largest = gathered.amax(dim=1)
            torch.add(own[block], largest, out=out[block])
            if len(winners):
                # Three plain passes through the cache are five times as fast as max(dim=1) with its indices.
                torch.eq(gathered, largest[:, None], out=gathered)
                winners[block] = gathered.mul_(places).amax(dim=1)
        ctx.save_for_backward(near, winners)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Float[Tensor, "R D"]) -> tuple[Tensor, Tensor, None]:
        near, winners = ctx.saved_tensors
        channels = gradient.shape[1]
        around = gradient.new_zeros(gradient.numel())
        channel = torch.arange(channels, device=gradient.device)
        step = max(1, CACHED_ELEMENTS // channels)
        for start in range(0, len(gradient), step):
            block = slice(start, start + step)
            rows = near[block].gather(1, winners[block].long())
            around.index_add_(0, rows.mul_(channels).add_(channel).flatten(), gradient[block].flatten())
        return gradient, around.view_as(gradient), None


class _EdgeMoments(torch.autograd.Function):
    """Mean and variance of own_i + around_j over all edges (i, j).

    The sum over edges of (own_i + around_j)^2 is k own_i^2 + 2 own_i S_i, summed over points i, and m_j around_j^2,
    summed over j: S_i adds up the neighbours of i, and m_j counts the points that have j for a neighbour.
    """

    @staticmethod
    def forward(
        ctx: Any, own: Float[Tensor, "R D"], around: Float[Tensor, "R D"], near: Int[Tensor, "R k"]
    ) -> tuple[Float[Tensor, " D"], Float[Tensor, " D"]]:
        count, neighbours = near.shape
        edges = near.numel()
        counts = torch.bincount(near.flatten(), minlength=count)
        # Of values far from zero the sums of squares would cancel, so points are centred first.
        own_center, around_center = own.mean(dim=0), around.mean(dim=0)
        total, square = torch.zeros_like(own_center), torch.zeros_like(own_center)
        step = max(1, CACHED_ELEMENTS // own.shape[1])
        for start in range(0, count, step):
            block = slice(start, start + step)
            times = counts[block, None].to(own.dtype)
            a, y = own[block] - own_center, around[block] - around_center
            added = F.embedding_bag(near[block], around, mode="sum").sub_(around_center * neighbours)
            square += added.mul_(2).add_(a, alpha=neighbours).mul_(a).sum(dim=0)
            weighted = y * times
            total += weighted.sum(dim=0)
            square += weighted.mul_(y).sum(dim=0)
        mean = total.div_(edges)
        variance = square.div_(edges).sub_(mean.square()).clamp_(min=0)
        mean = mean + own_center + around_center
        ctx.save_for_backward(own, around, near, mean, counts)
        return mean, variance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Float[Tensor, " D"]) -> tuple[Tensor, Tensor, None]:
        own, around, near, mean, counts = ctx.saved_tensors
        by_mean, by_variance = gradients
        neighbours, times = near.shape[1], counts.to(own.dtype)[:, None]
        # An edge's gradient is by_mean / E + 2 by_variance (own_i + around_j - mean) / E.
        slope = by_variance * (2 / near.numel())
        offset = by_mean / near.numel() - slope * mean
        by_own = F.embedding_bag(near, around, mode="sum").add_(own, alpha=neighbours)
        by_own.mul_(slope).add_(offset * neighbours)
        reverse = near.flatten().int().argsort(stable=True).div_(neighbours, rounding_mode="floor")
        by_around = F.embedding_bag(reverse, own, counts.cumsum(0) - counts, mode="sum").addcmul_(around, times)
        by_around.mul_(slope).addcmul_(times, offset)
        return by_own, by_around, None


class DGCNN(nn.Module):
    """Four edge convolutions (64, 64, 128, 256), concatenated and fused to 1024 with ReLU."""

    feature_dim = 1024

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 64, 64, 128, 256)
        self.edges = nn.ModuleList(EdgeConv(a, b) for a, b in pairwise(widths))
        self.fusion = DenseNorm(sum(widths[1:]), self.feature_dim)

    @property
    def output_layer(self) -> DenseNorm:
        """What turns the trunk's features into the point features."""
        return self.fusion

    def trunk(self, points: Float[Tensor, "B N 3"]) -> PointFeatures:
        """Everything before the output layer."""
        levels, x = [], points
        for edge in self.edges:
            x = edge(x)
            levels.append(x)
        return PointFeatures(torch.cat(levels, dim=-1))

    def forward(self, points: Float[Tensor, "B N 3"]) -> PointFeatures:
        return PointFeatures(self.fusion(self.trunk(points).values))
