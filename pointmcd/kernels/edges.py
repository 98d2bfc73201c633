"""How are edges reduced on a GPU? Triton kernels of DGCNN's edge convolution: maximum, statistics and their gradients.

An edge's value is own_i + around_j (see dgcnn.py). One kernel reads each neighbour once, for the maximum,
its place and the batch statistics together; another goes through each point's reversed edges, so that every gradient is
written by one program, in one order: two runs give the same bits. No edge feature is stored: only the place of each
maximum, one byte, and the number of each edge in the reversed lists.
"""

from __future__ import annotations

from typing import Any, no_type_check

import torch
import triton
import triton.language as tl
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

ROWS = 16  # points a program of the forward kernel: 70 registers a thread, none spilled (sm_90)
CHANNELS = 64  # at most, a program


class EdgeReduction(torch.autograd.Function):
    """Maximum over each point's edges, and mean and biased variance over all edges."""

    @staticmethod
    def forward(
        ctx: Any, own: Float[Tensor, "R D"], around: Float[Tensor, "R D"], near: Int[Tensor, "R k"]
    ) -> tuple[Float[Tensor, "R D"], Float[Tensor, " D"], Float[Tensor, " D"]]:
        """Reduce float32 features; `near` names rows, at most 256 for each."""
        own, around, near = own.contiguous(), around.contiguous(), near.int().contiguous()
        rows, channels = own.shape
        neighbours = near.shape[1]
        # Sums of squares are taken about a value near the mean: far from zero they would cancel.
        pivot = own.mean(dim=0) + around.mean(dim=0)
        grid, width = _forward_grid(rows, channels)
        out, added = torch.empty_like(own), torch.empty_like(own)
        winners = torch.empty_like(own, dtype=torch.uint8)
        sums, squares = (own.new_empty(grid[0], channels) for _ in range(2))
        with torch.cuda.device_of(own):
            _reduce_edges[grid](
                own, around, near, pivot, out, added, winners, sums, squares, rows, channels,
                NEIGHBOURS=neighbours, ROWS=ROWS, CHANNELS=width,
            )  # fmt: skip
        edges = near.numel()
        offset = sums.sum(dim=0, dtype=torch.float64) / edges
        variance = (squares.sum(dim=0, dtype=torch.float64) / edges - offset.square()).clamp(min=0).to(own.dtype)
        mean = pivot + offset.to(own.dtype)
        ctx.save_for_backward(own, around, near, added, winners, mean)
        return out, mean, variance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Float[Tensor, ...]) -> tuple[Tensor, Tensor, None]:
        own, around, near, added, winners, mean = ctx.saved_tensors
        by_out, by_mean, by_variance = gradients
        rows, channels = own.shape
        neighbours, edges = near.shape[1], near.numel()
        # An edge's gradient from the statistics is slope (own_i + around_j) + offset.
        slope = by_variance * (2 / edges)
        offset = by_mean / edges - slope * mean
        by_own = torch.addcmul(by_out + offset * neighbours, torch.add(added, own, alpha=neighbours), slope)
        target, order = near.flatten().sort(stable=True)
        starts = torch.searchsorted(
            target, torch.arange(rows + 1, device=near.device, dtype=near.dtype), out_int32=True
        )
        by_around = torch.empty_like(around)
        grid, width = _backward_grid(rows, channels)
        with torch.cuda.device_of(own):
            _reduce_reversed_edges[grid](
                own, around, by_out.contiguous(), winners, order.int(), starts, slope, offset, by_around, channels,
                NEIGHBOURS=neighbours, CHANNELS=width, num_warps=REVERSED_WARPS,
            )  # fmt: skip
        return by_own, by_around, None


REVERSED_WARPS = 1  # a program holds few numbers per channel


def _forward_grid(rows: int, channels: int) -> tuple[tuple[int, int], int]:
    width = min(CHANNELS, triton.next_power_of_2(channels))
    return (triton.cdiv(rows, ROWS), triton.cdiv(channels, width)), width


def _backward_grid(rows: int, channels: int) -> tuple[tuple[int, int], int]:
    width = min(CHANNELS, triton.next_power_of_2(channels))
    return (rows, triton.cdiv(channels, width)), width


@triton.jit
@no_type_check
def _reduce_edges(
    own_pointer, around_pointer, near_pointer, pivot_pointer, out_pointer, added_pointer, winner_pointer,
    sum_pointer, square_pointer, rows, channels,
    NEIGHBOURS: tl.constexpr, ROWS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    has_row, has_channel = row < rows, channel < channels
    inside = has_row[:, None] & has_channel[None, :]
    place = row.to(tl.int64)[:, None] * channels + channel[None, :]
    own = tl.load(own_pointer + place, mask=inside, other=0.0)
    pivot = tl.load(pivot_pointer + channel, mask=has_channel, other=0.0)
    centred = own - pivot[None, :]
    best = tl.full([ROWS, CHANNELS], float("-inf"), tl.float32)
    winner = tl.zeros([ROWS, CHANNELS], tl.int32)
    added = tl.zeros([ROWS, CHANNELS], tl.float32)
    square = tl.zeros([ROWS, CHANNELS], tl.float32)
    for neighbour in range(NEIGHBOURS):
        other = tl.load(near_pointer + row * NEIGHBOURS + neighbour, mask=has_row, other=0).to(tl.int64)
        value = tl.load(around_pointer + other[:, None] * channels + channel[None, :], mask=inside, other=0.0)
        # The last of equal neighbours wins, as on a CPU; NaN wins and stays.
        better = (value >= best) | (value != value)
        best = tl.where(better, value, best)
        winner = tl.where(better, neighbour, winner)
        added += value
        deviation = value + centred
        square += deviation * deviation
    tl.store(out_pointer + place, own + best, mask=inside)
    tl.store(added_pointer + place, added, mask=inside)
    tl.store(winner_pointer + place, winner.to(tl.uint8), mask=inside)
    total = tl.sum(tl.where(inside, added + NEIGHBOURS * centred, 0.0), axis=0)
    partial = tl.program_id(0) * channels + channel
    tl.store(sum_pointer + partial, total, mask=has_channel)
    tl.store(square_pointer + partial, tl.sum(tl.where(inside, square, 0.0), axis=0), mask=has_channel)


@triton.jit
@no_type_check
def _reduce_reversed_edges(
    own_pointer, around_pointer, gradient_pointer, winner_pointer, order_pointer, start_pointer, slope_pointer,
    offset_pointer, out_pointer, channels, NEIGHBOURS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0)
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    has_channel = channel < channels
    start, end = tl.load(start_pointer + row), tl.load(start_pointer + row + 1)
    won = tl.zeros([CHANNELS], tl.float32)
    added = tl.zeros([CHANNELS], tl.float32)
    for entry in range(start, end):
        edge = tl.load(order_pointer + entry)
        place = (edge // NEIGHBOURS).to(tl.int64) * channels + channel
        winner = tl.load(winner_pointer + place, mask=has_channel, other=0)
        gradient = tl.load(gradient_pointer + place, mask=has_channel, other=0.0)
        won += tl.where(winner.to(tl.int32) == edge % NEIGHBOURS, gradient, 0.0)
        added += tl.load(own_pointer + place, mask=has_channel, other=0.0)
    place = row.to(tl.int64) * channels + channel
    slope = tl.load(slope_pointer + channel, mask=has_channel, other=0.0)
    offset = tl.load(offset_pointer + channel, mask=has_channel, other=0.0)
    around = tl.load(around_pointer + place, mask=has_channel, other=0.0)
    times = end - start
    tl.store(out_pointer + place, won + slope * (added + times * around) + times * offset, mask=has_channel)
