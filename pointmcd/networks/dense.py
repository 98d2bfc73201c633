"""What is every point network built of? One dense layer with batch norm, on rows of any leading shape."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from pointmcd.projection import PointFeatures, Projection, project

# Values that are used at once are computed by blocks of so many, which stay in a core's cache.
CACHED_ELEMENTS = 1 << 17
GPU_ELEMENTS = 1 << 26


class DenseNorm(nn.Module):
    """Linear, batch norm over all rows, leaky ReLU (slope 0 is ReLU).

    Works on (..., C): rows stay contiguous, so that VAFP can read them.
    """

    def __init__(self, inputs: int, outputs: int, *, bias: bool = False, slope: float = 0.0) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs, bias=bias)
        self.norm = nn.BatchNorm1d(outputs)
        self.slope = slope

    def forward(self, x: Float[Tensor, "*rows C"]) -> Float[Tensor, "*rows D"]:
        return self.finish(self.linear(x))

    def finish(self, x: Float[Tensor, "*rows D"]) -> Float[Tensor, "*rows D"]:
        """Normalise and activate what the linear map gave."""
        rows = self.norm(x.flatten(0, -2))
        # A batch norm's gradient does not need its output.
        activated = F.leaky_relu_(rows, self.slope) if self.slope else F.relu_(rows)
        return activated.view(x.shape)

    def pooled(self, x: PointFeatures, visibility: Bool[Tensor, "B V N"]) -> Projection:
        """Compute `project(self(x), visibility)` without ever normalising a point's feature.

        Batch norm and activation are monotone in each channel, so they may follow the maximum: only the pooled values
        pass through them (a channel of negative scale is pooled by its minimum). The batch statistics of a linear map
        follow from its input's mean and covariance. This halves a training step.
        """
        norm, sign = self.norm, self._sign()
        extreme = project(PointFeatures(F.linear(x.values, self.linear.weight * sign[:, None]), x.index), visibility)
        mean, variance = self._statistics(x.values) if self.training else (norm.running_mean, norm.running_var)
        assert mean is not None
        assert variance is not None
        own = 0.0 if self.linear.bias is None else self.linear.bias
        centred = extreme.features.to(norm.weight.dtype) * sign + own - mean
        normalised = centred * (norm.weight * torch.rsqrt(variance + norm.eps)) + norm.bias
        activated = F.leaky_relu(normalised, self.slope)
        return Projection(activated.masked_fill(extreme.winners < 0, 0.0), extreme.winners)

    def group_maximum(self, x: Float[Tensor, "*groups k C"]) -> Float[Tensor, "*groups D"]:
        """Compute `self(x).amax(dim=-2)` in the same way."""
        norm, sign = self.norm, self._sign()
        weight = self.linear.weight * sign[:, None]
        groups = x.flatten(0, -3).to(weight.dtype)
        with torch.autocast(x.device.type, enabled=False):  # variances want full precision
            extreme, mean, variance = _GroupMaximum.apply(groups, weight)  # type: ignore[no-untyped-call]  # torch leaves `apply` untyped
        own = 0.0 if self.linear.bias is None else self.linear.bias
        if self.training:
            rows = groups.shape[0] * groups.shape[1]
            update_running_statistics(norm, (mean * sign + own).detach(), variance.detach(), rows=rows)
        else:
            assert norm.running_mean is not None
            assert norm.running_var is not None
            mean, variance = (norm.running_mean - own) * sign, norm.running_var
        scale = norm.weight * sign * torch.rsqrt(variance + norm.eps)
        activated = F.leaky_relu((extreme.to(scale.dtype) - mean) * scale + norm.bias, self.slope)
        return activated.view(*x.shape[:-2], -1)

    def evaluation_scale(self) -> tuple[Float[Tensor, " D"], Float[Tensor, " D"]]:
        """Tell the scale and shift by which the batch norm maps the product in evaluation."""
        norm = self.norm
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        own = 0.0 if self.linear.bias is None else self.linear.bias
        return scale, norm.bias + (own - norm.running_mean) * scale

    def folded(self) -> tuple[Float[Tensor, "D C"], Float[Tensor, " D"]]:
        """Fold the batch norm into the product: weight and bias in evaluation."""
        scale, shift = self.evaluation_scale()
        return self.linear.weight * scale[:, None], shift

    def _sign(self) -> Float[Tensor, " D"]:
        weight = self.norm.weight.detach()
        return torch.where(weight < 0, -1.0, 1.0).to(weight.dtype)

    def _statistics(self, x: Float[Tensor, "B N C"]) -> tuple[Float[Tensor, " D"], Float[Tensor, " D"]]:
        """Mean and variance of the linear map's output over all rows; running statistics follow, as in BatchNorm1d."""
        weight = self.linear.weight
        with torch.autocast(x.device.type, enabled=False):  # variances need full precision
            rows = x.flatten(0, -2).to(weight.dtype)
            mean_input, covariance = _Moments.apply(rows)  # type: ignore[no-untyped-call]  # torch leaves `apply` untyped
            mean = F.linear(mean_input, weight, self.linear.bias)
            variance = ((weight @ covariance) * weight).sum(dim=1)
        update_running_statistics(self.norm, mean.detach(), variance.detach(), rows=len(rows))
        return mean, variance


class _GroupMaximum(torch.autograd.Function):
    """Maximum over each group of a linear map, and the map's mean and variance over all rows.

    The map's values are computed block by block in the cache and never held: of each maximum its place is kept.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Float[Tensor, "R k C"], weight: Float[Tensor, "D C"]
    ) -> tuple[Float[Tensor, "R D"], Float[Tensor, " D"], Float[Tensor, " D"]]:
        count, members, _ = x.shape
        extreme = x.new_empty(count, len(weight))
        winners = torch.empty(extreme.shape, dtype=torch.int64, device=x.device)
        total, square = x.new_zeros(len(weight)), x.new_zeros(len(weight))
        places = torch.arange(members, dtype=x.dtype, device=x.device)[:, None]
        pivot = x.mean(dim=(0, 1)) @ weight.T  # of values far from zero the sums of squares would cancel
        for block in cached_blocks(x, members * len(weight)):
            product = F.linear(x[block], weight)
            largest = product.amax(dim=1)
            extreme[block] = largest
            # Plain passes through the cache are five times as fast as max(dim=1) with its indices.
            winners[block] = (product == largest[:, None]).mul(places).amax(dim=1).long()
            product.sub_(pivot)
            total += product.sum(dim=(0, 1))
            square += product.square_().sum(dim=(0, 1))
        rows = count * members
        offset = total / rows
        mean = pivot + offset
        ctx.save_for_backward(x, weight, winners, mean)
        return extreme, mean, (square / rows - offset.square()).clamp(min=0)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        x, weight, winners, mean = ctx.saved_tensors
        by_extreme, by_mean, by_variance = gradients
        count, members, _ = x.shape
        # A value's gradient from the statistics is slope * value + offset.
        slope = by_variance * (2 / (count * members))
        offset = by_mean / (count * members) - slope * mean
        through = weight.T @ (weight * slope[:, None])
        constant = offset @ weight
        by_x, by_weight = torch.empty_like(x), torch.zeros_like(weight)
        moments, total = x.new_zeros(x.shape[2], x.shape[2]), x.new_zeros(x.shape[2])
        for block in cached_blocks(x, members * len(weight)):
            rows = x[block].flatten(0, 1)
            sparse = by_extreme.new_zeros(len(x[block]), members, len(weight))
            sparse.scatter_(1, winners[block, None], by_extreme[block, None])
            by_product = sparse.flatten(0, 1)
            torch.addmm(constant, rows, through, out=by_x[block].flatten(0, 1))
            by_x[block].flatten(0, 1).addmm_(by_product, weight)
            by_weight.addmm_(by_product.T, rows)
            moments.addmm_(rows.T, rows)
            total += rows.sum(dim=0)
        by_weight += (weight @ moments) * slope[:, None] + offset[:, None] * total
        return by_x, by_weight


def cached_blocks(rows: Tensor, elements: int) -> list[slice]:
    """Cut rows, each worth so many elements, into blocks that stay in a core's cache; on a GPU, in its memory."""
    step = max(1, (CACHED_ELEMENTS if rows.device.type == "cpu" else GPU_ELEMENTS) // elements)
    return [slice(start, min(start + step, len(rows))) for start in range(0, len(rows), step)]


class _Moments(torch.autograd.Function):
    """Mean and covariance of rows; of a symmetric matrix, the gradient takes one product where autograd takes two."""

    @staticmethod
    def forward(ctx: Any, rows: Float[Tensor, "R C"]) -> tuple[Float[Tensor, " C"], Float[Tensor, "C C"]]:
        mean = rows.mean(dim=0)
        deviation = rows - mean
        ctx.save_for_backward(deviation)
        return mean, deviation.T @ deviation / len(rows)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_mean: Float[Tensor, " C"], by_covariance: Float[Tensor, "C C"]) -> Float[Tensor, "R C"]:
        (deviation,) = ctx.saved_tensors
        # Deviations sum to zero, so the mean drops out of the covariance.
        count = len(deviation)
        return torch.addmm(by_mean / count, deviation, (by_covariance + by_covariance.T) / count)


@torch.no_grad()
def update_running_statistics(
    norm: nn.BatchNorm1d, mean: Float[Tensor, " D"], variance: Float[Tensor, " D"], *, rows: int
) -> None:
    """Move a batch norm's running statistics towards a batch's, as torch does: with the unbiased variance."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert norm.momentum is not None
    assert norm.num_batches_tracked is not None
    norm.running_mean.lerp_(mean.to(norm.running_mean), norm.momentum)
    norm.running_var.lerp_((variance * rows / max(rows - 1, 1)).to(norm.running_var), norm.momentum)
    norm.num_batches_tracked.add_(1)
