"""How does a GPU pool features by view? Triton kernels for CUDA that read every feature once for up to 32 views.

Four launches do one step. `_pack` turns the masks into words, one bit per view. `_pool` goes once through the points of
one shape, a block of channels per program, and keeps the maximum of every view in registers; of the winners it keeps
only in which run of `RUN` points they are: a feature costs each of 12 views 2.6 instructions (sm_90, counted). `_find`
then looks the winner up in its run. `_spread` writes every element of the gradient once: a point gets the sum of what
the views send that it won, in their order. There are no atomics: two runs give the same bits.

By arithmetic, not by measurement: at B=64 N=1024 D=1024 V=12 in float32 a step must move 268 MB of features in, 268 MB
of gradient out, and 6 MB of view features and winners each way. `_find` reads features again, `RUN` sectors of 32 bytes
for each of B V D maxima, 101 MB at most. The released formula copies the features 12 times over, 3.2 GB for each copy.
"""

from __future__ import annotations

from typing import Any, NamedTuple, no_type_check

import torch
import triton
import triton.language as tl
from jaxtyping import Bool, Float, Int
from torch import Tensor

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
WORD = 32  # views that a program holds in registers at most, and bits in a word
RUN = 4  # points among which the winner is found again
PACKED_POINTS = 256  # a program of `_pack`
FOUND_MAXIMA = 512  # a program of `_find`
SPREAD_POINTS, SPREAD_CHANNELS = 32, 128  # a program of `_spread`

# Constants of the kernels: order-preserving integers stand for features while maxima are taken.
_NOTHING = tl.constexpr(-(2**31))  # below every feature
_MINUS_INFINITY = tl.constexpr(-0x7F800000)
_NOT_A_NUMBER = tl.constexpr(2**31 - 1)  # above every feature


class Tile(NamedTuple):
    """What a program of `_pool` holds: `rows` points at a time, one per warp, of `channels` channels.

    Without a cap on its registers, the compiler takes a few more than let three programs share a multiprocessor.
    """

    rows: int
    channels: int
    registers: int | None = None


def tile(views: int) -> Tile:
    """Choose a tile whose maxima of so many views fit the registers: at most 16 bytes a thread are spilled (sm_90)."""
    if views <= 4:
        return Tile(rows=16, channels=128)  # few registers a thread: many threads hide the latency instead
    if views <= 12:
        return Tile(rows=4, channels=128, registers=168)
    return Tile(rows=4, channels=64)


def view_groups(views: int) -> tuple[int, int]:
    """Deal views out to programs as evenly as possible: the number of groups, and of views in each but the last."""
    groups = triton.cdiv(views, WORD)
    return groups, triton.cdiv(views, groups)


class KernelPool(torch.autograd.Function):
    """CUDA back end of the projection, differentiable once; `torch.compile` traces through its two operators."""

    @staticmethod
    def forward(
        ctx: Any, features: Float[Tensor, "B M D"], visibility: Bool[Tensor, "B V M"]
    ) -> tuple[Float[Tensor, "B V D"], Int[Tensor, "B V D"]]:
        pooled, winners = torch.ops.pointmcd.pool_by_view(features, visibility)
        ctx.save_for_backward(winners)
        ctx.points = features.shape[1]
        ctx.mark_non_differentiable(winners)
        ctx.set_materialize_grads(False)  # else torch would fill a gradient of the winners with zeros
        return pooled, winners

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Float[Tensor, "B M D"] | None, None]:
        (winners,) = ctx.saved_tensors
        if gradients[0] is None:
            return None, None
        gradient: Tensor = torch.ops.pointmcd.spread_to_winners(gradients[0], winners, ctx.points)
        return gradient, None


def _pool_outputs(features: Tensor, visibility: Tensor) -> tuple[Tensor, Tensor]:
    batch, views, _ = visibility.shape
    pooled = features.new_empty(batch, views, features.shape[2])
    return pooled, torch.empty_like(pooled, dtype=torch.int32)


def _spread_output(gradient: Tensor, winners: Tensor, points: int) -> Tensor:
    return gradient.new_empty(gradient.shape[0], points, gradient.shape[2])


def _launch_pool(features: Tensor, visibility: Tensor) -> tuple[Tensor, Tensor]:
    pooled, winners = _pool_outputs(features, visibility)
    if not pooled.numel():
        return pooled, winners
    batch, views, points = visibility.shape
    channels = features.shape[2]
    groups, together = view_groups(views)
    size = tile(together)
    words = torch.empty(batch, groups, points, dtype=torch.int32, device=features.device)
    with torch.cuda.device_of(features):
        _pack[(batch * groups, triton.cdiv(points, PACKED_POINTS))](
            visibility.view(torch.uint8), words, views, points, *visibility.stride(),
            VIEWS=together, POINTS=PACKED_POINTS,
        )  # fmt: skip
        _pool[(triton.cdiv(channels, size.channels) * groups * batch,)](
            features, words, pooled, winners, points, channels, views, *features.stride(),
            VIEWS=together, ROWS=size.rows, CHANNELS=size.channels, RUN=RUN,
            num_warps=size.rows, maxnreg=size.registers,
        )  # fmt: skip
        _find[(batch, triton.cdiv(views * channels, FOUND_MAXIMA))](
            features, words, pooled, winners, points, channels, views, *features.stride(),
            VIEWS=together, MAXIMA=FOUND_MAXIMA, RUN=RUN,
        )  # fmt: skip
    return pooled, winners


def _launch_spread(gradient: Tensor, winners: Tensor, points: int) -> Tensor:
    out = _spread_output(gradient, winners, points)
    if not winners.numel():
        return out.zero_()
    batch, views, channels = winners.shape
    programs = triton.cdiv(points, SPREAD_POINTS) * triton.cdiv(channels, SPREAD_CHANNELS) * batch
    with torch.cuda.device_of(gradient):
        _spread[(programs,)](
            gradient, winners, out, points, channels, views, *gradient.stride(),
            POINTS=SPREAD_POINTS, CHANNELS=SPREAD_CHANNELS,
        )  # fmt: skip
    return out


# "default": whatever the device, so that Triton's interpreter can run the kernels on a CPU.
torch.library.define("pointmcd::pool_by_view", "(Tensor features, Tensor visibility) -> (Tensor, Tensor)")
torch.library.impl("pointmcd::pool_by_view", "default", _launch_pool)
torch.library.register_fake("pointmcd::pool_by_view", _pool_outputs)
torch.library.define("pointmcd::spread_to_winners", "(Tensor gradient, Tensor winners, SymInt points) -> Tensor")
torch.library.impl("pointmcd::spread_to_winners", "default", _launch_spread)
torch.library.register_fake("pointmcd::spread_to_winners", _spread_output)


@triton.jit
@no_type_check
def _pack(
    visibility, words, views, points, shape_stride, view_stride, point_stride,
    VIEWS: tl.constexpr, POINTS: tl.constexpr,
):  # fmt: skip
    """Write one group of views of one shape: bit v of a point's word says whether the group's view v sees it."""
    groups = tl.cdiv(views, VIEWS)
    shape = (tl.program_id(0) // groups).to(tl.int64)
    group = tl.program_id(0) % groups
    point = tl.program_id(1) * POINTS + tl.arange(0, POINTS)
    word = tl.zeros([POINTS], tl.int32)
    for v in tl.static_range(VIEWS):
        view = group * VIEWS + v
        at = visibility + shape * shape_stride + view.to(tl.int64) * view_stride + point.to(tl.int64) * point_stride
        word |= tl.load(at, mask=(point < points) & (view < views), other=0).to(tl.int32) << v
    tl.store(words + tl.program_id(0).to(tl.int64) * points + point, word, mask=point < points)


@triton.jit
@no_type_check
def _pool(
    features, words, pooled, winners, points, channels, views, shape_stride, point_stride, channel_stride,
    VIEWS: tl.constexpr, ROWS: tl.constexpr, CHANNELS: tl.constexpr, RUN: tl.constexpr,
):  # fmt: skip
    """Pool one shape, one block of channels and one group of views. Row r of the tile takes every ROWS-th run."""
    groups = tl.cdiv(views, VIEWS)
    blocks = tl.cdiv(channels, CHANNELS)
    group = tl.program_id(0) % groups
    block = tl.program_id(0) // groups % blocks
    shape = (tl.program_id(0) // groups // blocks).to(tl.int64)
    channel = block * CHANNELS + tl.arange(0, CHANNELS)
    inside = channel < channels
    feature_at = features + shape * shape_stride + channel.to(tl.int64) * channel_stride
    word_at = words + (shape * groups + group) * points
    run = tl.arange(0, ROWS) * RUN

    best = ()
    begin = ()  # where the run begins in which the best was found
    for _ in tl.static_range(VIEWS):
        best += (tl.full([ROWS, CHANNELS], _NOTHING, tl.int32),)
        begin += (tl.zeros([ROWS, CHANNELS], tl.int32),)
    for start in range(0, points, ROWS * RUN):
        ranks = ()
        seen = ()
        for step in tl.static_range(RUN):
            point = start + run + step
            at = feature_at[None, :] + point.to(tl.int64)[:, None] * point_stride
            ranks += (_rank(tl.load(at, mask=(point < points)[:, None] & inside[None, :], other=0.0)),)
            seen += (tl.load(word_at + point, mask=point < points, other=0),)
        better = ()
        better_begin = ()
        for v in tl.static_range(VIEWS):
            top = tl.full([ROWS, CHANNELS], _NOTHING, tl.int32)
            for step in tl.static_range(RUN):
                top = tl.maximum(top, tl.where(((seen[step] >> v) & 1 != 0)[:, None], ranks[step], _NOTHING))
            better_begin += (tl.where(top > best[v], (start + run)[:, None], begin[v]),)
            better += (tl.maximum(top, best[v]),)
        best = better
        begin = better_begin

    for v in tl.static_range(VIEWS):
        rank = tl.max(best[v], axis=0)
        first = tl.min(tl.where(best[v] == rank[None, :], begin[v], points), axis=0)
        view = group * VIEWS + v
        out = (shape * views + view) * channels + channel
        value = tl.where(rank == _NOTHING, 0.0, _value(rank)).to(pooled.dtype.element_ty)
        tl.store(pooled + out, value, mask=inside & (view < views))
        tl.store(winners + out, tl.where(rank <= _MINUS_INFINITY, -1, first), mask=inside & (view < views))


@triton.jit
@no_type_check
def _find(
    features, words, pooled, winners, points, channels, views, shape_stride, point_stride, channel_stride,
    VIEWS: tl.constexpr, MAXIMA: tl.constexpr, RUN: tl.constexpr,
):  # fmt: skip
    """Replace a run's first point with the point that won, for some maxima of one shape."""
    shape = tl.program_id(0).to(tl.int64)
    maximum = tl.program_id(1) * MAXIMA + tl.arange(0, MAXIMA)
    inside = maximum < views * channels
    view, channel = maximum // channels, maximum % channels
    at = shape * views * channels + maximum
    rank = _rank(tl.load(pooled + at, mask=inside, other=0.0))
    first = tl.load(winners + at, mask=inside, other=-1)
    feature_at = features + shape * shape_stride + channel.to(tl.int64) * channel_stride
    word_at = words + (shape * tl.cdiv(views, VIEWS) + view // VIEWS) * points
    winner = first
    for step in tl.static_range(RUN):
        point = first + (RUN - 1 - step)  # backwards: the first of equal ones wins
        there = (first >= 0) & (point < points)
        value = tl.load(feature_at + point.to(tl.int64) * point_stride, mask=there, other=0.0)
        seen = (tl.load(word_at + point, mask=there, other=0) >> (view % VIEWS)) & 1 != 0
        winner = tl.where((_rank(value) == rank) & seen, point, winner)
    tl.store(winners + at, winner, mask=inside)


@triton.jit
@no_type_check
def _spread(
    gradient, winners, out, points, channels, views, shape_stride, view_stride, channel_stride,
    POINTS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Write the gradient of some points of one shape in one block of channels: the sum over the views they won."""
    parts = tl.cdiv(points, POINTS)
    blocks = tl.cdiv(channels, CHANNELS)
    point = tl.program_id(0) % parts * POINTS + tl.arange(0, POINTS)
    channel = tl.program_id(0) // parts % blocks * CHANNELS + tl.arange(0, CHANNELS)
    shape = (tl.program_id(0) // parts // blocks).to(tl.int64)
    inside = channel < channels
    winner_at = winners + shape * views * channels + channel
    gradient_at = gradient + shape * shape_stride + channel.to(tl.int64) * channel_stride
    total = tl.zeros([POINTS, CHANNELS], tl.float32)
    for _ in range(views):
        winner = tl.load(winner_at, mask=inside, other=-1)
        sent = tl.load(gradient_at, mask=inside, other=0.0).to(tl.float32)
        total = tl.where(winner[None, :] == point[:, None], total + sent[None, :], total)
        winner_at += channels
        gradient_at += view_stride
    at = (shape * points + point.to(tl.int64)[:, None]) * channels + channel[None, :]
    tl.store(out + at, total, mask=(point < points)[:, None] & inside[None, :])


@triton.jit
@no_type_check
def _rank(value):
    """Give an integer that orders as features do: both zeros are one, and NaN is above all."""
    value = value.to(tl.float32)
    bits = value.to(tl.int32, bitcast=True)
    return tl.where(value != value, _NOT_A_NUMBER, tl.where(bits < 0, _NOTHING - bits, bits))


@triton.jit
@no_type_check
def _value(rank):
    """Undo `_rank`."""
    return tl.where(rank < 0, _NOTHING - rank, rank).to(tl.float32, bitcast=True)
