"""What is every point network built of? One dense layer with batch norm, on rows of any leading shape."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from pointmcd.projection import PointFeatures, Projection, project


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
        activated = F.leaky_relu(rows, self.slope) if self.slope else F.relu(rows)
        return activated.view(x.shape)

    def pooled(self, x: PointFeatures, visibility: Bool[Tensor, "B V N"]) -> Projection:
        """Compute `project(self(x), visibility)` without ever normalising a point's feature.

        Batch norm and activation are monotone in each channel, so they may follow the maximum: only the pooled values
        pass through them (a channel of negative scale is pooled by its minimum). The batch statistics of a linear map
        follow from its input's mean and covariance. This halves a training step.
        """
        sign = self._sign()
        extreme = project(PointFeatures(F.linear(x.values, self.linear.weight * sign[:, None]), x.index), visibility)
        activated = self._finish_extreme(extreme.features, sign, x.values)
        return Projection(activated.masked_fill(extreme.winners < 0, 0.0), extreme.winners)

    def group_maximum(self, x: Float[Tensor, "*groups k C"]) -> Float[Tensor, "*groups D"]:
        """Compute `self(x).amax(dim=-2)` in the same way."""
        sign = self._sign()
        extreme = F.linear(x, self.linear.weight * sign[:, None]).amax(dim=-2)
        return self._finish_extreme(extreme, sign, x)

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

    def _finish_extreme(
        self, extreme: Float[Tensor, "*rows D"], sign: Float[Tensor, " D"], x: Float[Tensor, "..."]
    ) -> Float[Tensor, "*rows D"]:
        """Normalise and activate the maxima of a map whose channels of negative scale were negated."""
        norm = self.norm
        mean, variance = self._statistics(x) if self.training else (norm.running_mean, norm.running_var)
        assert mean is not None
        assert variance is not None
        own = 0.0 if self.linear.bias is None else self.linear.bias
        centred = extreme.to(norm.weight.dtype) * sign + own - mean
        normalised = centred * (norm.weight * torch.rsqrt(variance + norm.eps)) + norm.bias
        return F.leaky_relu(normalised, self.slope)

    def _statistics(self, x: Float[Tensor, "... C"]) -> tuple[Float[Tensor, " D"], Float[Tensor, " D"]]:
        """Mean and variance of the linear map's output over all rows; running statistics follow, as in BatchNorm1d."""
        weight = self.linear.weight
        with torch.autocast(x.device.type, enabled=False):  # variances want full precision
            rows = x.flatten(0, -2).to(weight.dtype)
            mean_input, covariance = _Moments.apply(rows)  # type: ignore[no-untyped-call]  # torch leaves `apply` untyped
            mean = F.linear(mean_input, weight, self.linear.bias)
            variance = ((weight @ covariance) * weight).sum(dim=1)
        update_running_statistics(self.norm, mean.detach(), variance.detach(), rows=len(rows))
        return mean, variance


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
        # Deviations add up to nothing, so the covariance does not hear of the mean.
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


def everything(points: Float[Tensor, "B N C"]) -> Bool[Tensor, "B 1 N"]:
    """Make the mask of a view that sees every point: pooling by it is pooling over the whole shape."""
    return torch.ones(len(points), 1, points.shape[1], dtype=torch.bool, device=points.device)
