"""Does a dense layer compute the same pooled, before and after its batch norm?"""

from __future__ import annotations

import copy

import pytest
import torch

from pointmcd.networks import dense as layers
from pointmcd.networks.dense import DenseNorm, _Moments
from pointmcd.projection import PointFeatures, everything, project


def layer_with_mixed_scales(*, bias: bool, slope: float) -> DenseNorm:
    """A layer some of whose channels have a negative batch-norm scale: their maximum comes from the smallest value."""
    torch.manual_seed(0)
    layer = DenseNorm(6, 10, bias=bias, slope=slope)
    with torch.no_grad():
        layer.norm.weight.copy_(torch.linspace(-1.5, 1.5, 10))
        layer.norm.bias.normal_()
        layer.norm.running_mean.normal_()
        layer.norm.running_var.uniform_(0.5, 1.5)
    return layer


def inputs() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    visibility = torch.rand(3, 4, 20, generator=generator) < 0.4
    visibility[1, 2] = False  # a view that sees nothing
    return torch.randn(3, 20, 6, generator=generator), visibility


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("slope", [0.0, 0.2])
@pytest.mark.parametrize("training", [True, False])
def test_pooling_before_the_norm_equals_pooling_after_it(bias: bool, slope: float, training: bool) -> None:
    fast = layer_with_mixed_scales(bias=bias, slope=slope).train(training)
    slow = copy.deepcopy(fast)
    x, visibility = inputs()
    x_fast, x_slow = x.clone().requires_grad_(), x.clone().requires_grad_()
    direct = project(PointFeatures(slow(x_slow)), visibility)
    early = fast.pooled(PointFeatures(x_fast), visibility)
    torch.testing.assert_close(early.features, direct.features, rtol=1e-5, atol=1e-5)
    weights = torch.randn(early.features.shape, generator=torch.Generator().manual_seed(2))
    (direct.features * weights).sum().backward()
    (early.features * weights).sum().backward()
    torch.testing.assert_close(x_fast.grad, x_slow.grad, rtol=1e-4, atol=1e-5)
    for (name, a), b in zip(fast.named_parameters(), slow.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-4, msg=f"gradient of {name}")
    for (name, a), b in zip(fast.named_buffers(), slow.buffers(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5, msg=name)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("slope", [0.0, 0.2])
@pytest.mark.parametrize("training", [True, False])
def test_the_maximum_over_groups_equals_normalising_first(
    bias: bool, slope: float, training: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layers, "CACHED_ELEMENTS", 7 * 10 * 2)  # two groups a block, the last block shorter
    fast = layer_with_mixed_scales(bias=bias, slope=slope).train(training)
    slow = copy.deepcopy(fast)
    x = torch.randn(5, 7, 6, generator=torch.Generator().manual_seed(1)) + 3
    x_fast, x_slow = x.clone().requires_grad_(), x.clone().requires_grad_()
    early, late = fast.group_maximum(x_fast), slow(x_slow).amax(dim=1)
    torch.testing.assert_close(early, late, rtol=1e-4, atol=1e-5)
    weights = torch.randn(early.shape, generator=torch.Generator().manual_seed(2))
    (early * weights).sum().backward()
    (late * weights).sum().backward()
    torch.testing.assert_close(x_fast.grad, x_slow.grad, rtol=1e-3, atol=1e-5)
    for (name, a), b in zip(fast.named_parameters(), slow.parameters(), strict=True):
        gradient = torch.zeros_like(a) if a.grad is None else a.grad  # a bias before a norm is taken out again
        torch.testing.assert_close(gradient, b.grad, rtol=1e-3, atol=1e-4, msg=f"gradient of {name}")
    for (name, a), b in zip(fast.named_buffers(), slow.buffers(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5, msg=name)


def test_the_mask_of_everything_pools_over_the_whole_shape() -> None:
    x, _ = inputs()
    pooled = project(PointFeatures(x), everything(x))
    assert torch.equal(pooled.features[:, 0], x.amax(dim=1))


def test_mean_and_covariance_have_their_gradients() -> None:
    rows = torch.randn(7, 4, dtype=torch.float64, requires_grad=True)
    mean, covariance = _Moments.apply(rows)
    assert torch.allclose(mean, rows.mean(dim=0))
    assert torch.allclose(covariance, torch.cov(rows.T, correction=0))
    assert torch.autograd.gradcheck(_Moments.apply, (rows,))
