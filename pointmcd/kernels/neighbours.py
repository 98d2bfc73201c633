"""How are nearest neighbours found on a GPU? Triton kernels that hold no N x N matrix in memory.

The first kernel keeps a few rows of distances in registers and picks more candidates than asked for; the second ranks
those by distances in float64. Coordinates are subtracted before they are squared, so that nothing cancels and a float32
distance is wrong by some 1e-7 of itself. The sets are therefore those of float64 distances, unless more than `SPARE`
points beyond the k-th are as far as it to seven digits: of such a crowd (points on a sphere, asked for by its centre)
any may be chosen.
"""

from __future__ import annotations

from typing import no_type_check

import torch
import triton
import triton.language as tl
from jaxtyping import Float, Int
from torch import Tensor

LARGEST_CLOUD = 4096  # a program's row of distances lies in registers
LARGEST_LIST = 64  # candidates
SPARE = 8  # candidates beyond k, at least
# Distances a program holds, and its warps: at 1,024 points 59 registers a thread, none spilled (sm_90).
TILE, TILE_WARPS = 8192, 8
RANKED_ROWS = 16
FARTHEST = tl.constexpr(3.0e38)  # NaN distances get this key: nearer than padding columns


def can_select(points: Float[Tensor, "B N C"], k: int) -> bool:
    """Tell whether the kernels take this size; float32 only: nothing here converts other types."""
    return points.dtype == torch.float32 and points.shape[1] <= LARGEST_CLOUD and k + SPARE <= LARGEST_LIST


def select_neighbours(points: Float[Tensor, "B N C"], k: int) -> Int[Tensor, "B N k"]:
    """Find k nearest points of each point, itself included, nearest first.

    Args:
        points: As `can_select` allows.
        k: From 1 to N.
    """
    batch, count, channels = points.shape
    points = points.contiguous()
    listed = min(triton.next_power_of_2(k + SPARE), triton.next_power_of_2(count))
    found = min(listed, count)
    candidates = torch.empty(batch, count, listed, dtype=torch.int32, device=points.device)
    width, rows = _tile(count)
    nearest = torch.empty(batch, count, k, dtype=torch.int64, device=points.device)
    with torch.cuda.device_of(points):
        _select_candidates[(triton.cdiv(count, rows), batch)](
            points.transpose(1, 2).contiguous(), candidates, count, channels,
            FOUND=found, LISTED=listed, ROWS=rows, COLUMNS=width, num_warps=TILE_WARPS,
        )  # fmt: skip
        _rank_candidates[(triton.cdiv(count, RANKED_ROWS), batch)](
            points, candidates, nearest, count, channels, FOUND=found, LISTED=listed, KEPT=k, ROWS=RANKED_ROWS
        )
    return nearest


def _tile(count: int) -> tuple[int, int]:
    """Columns (all points) and rows of a program's distances."""
    width = max(16, triton.next_power_of_2(count))
    return width, max(1, min(16, TILE // width))


@triton.jit
@no_type_check
def _select_candidates(
    axes_pointer, candidate_pointer, count, channels,
    FOUND: tl.constexpr, LISTED: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    shape = tl.program_id(1).to(tl.int64)
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, COLUMNS)
    has_row, has_column = row < count, column < count
    distance = tl.zeros([ROWS, COLUMNS], tl.float32)
    axis = axes_pointer + shape * channels * count
    for _ in range(channels):
        own = tl.load(axis + row, mask=has_row, other=0.0)
        other = tl.load(axis + column, mask=has_column, other=0.0)
        offset = own[:, None] - other[None, :]
        distance += offset * offset
        axis += count
    distance = tl.where(distance < FARTHEST, distance, FARTHEST)
    distance = tl.where(has_column[None, :], distance, float("inf"))
    out = candidate_pointer + (shape * count + row) * LISTED
    for place in range(FOUND):
        nearest = tl.argmin(distance, axis=1)
        tl.store(out + place, nearest, mask=has_row)
        distance = tl.where(column[None, :] == nearest[:, None], float("inf"), distance)


@triton.jit
@no_type_check
def _rank_candidates(
    point_pointer, candidate_pointer, nearest_pointer, count, channels,
    FOUND: tl.constexpr, LISTED: tl.constexpr, KEPT: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    shape = tl.program_id(1).to(tl.int64)
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    place = tl.arange(0, LISTED)
    has_row = row < count
    listed = has_row[:, None] & (place < FOUND)[None, :]
    candidate = tl.load(
        candidate_pointer + (shape * count + row)[:, None] * LISTED + place[None, :], mask=listed, other=0
    )
    own_pointer = point_pointer + (shape * count + row) * channels
    other_pointer = point_pointer + (shape * count + candidate) * channels
    distance = tl.zeros([ROWS, LISTED], tl.float64)
    for channel in range(channels):
        own = tl.load(own_pointer + channel, mask=has_row, other=0.0).to(tl.float64)
        other = tl.load(other_pointer + channel, mask=listed, other=0.0).to(tl.float64)
        offset = own[:, None] - other
        distance += offset * offset
    distance = tl.where(distance < FARTHEST, distance, FARTHEST)
    distance = tl.where(listed, distance, float("inf"))
    out = nearest_pointer + (shape * count + row) * KEPT
    for kept in range(KEPT):
        best = tl.argmin(distance, axis=1)
        chosen = place[None, :] == best[:, None]
        tl.store(out + kept, tl.sum(tl.where(chosen, candidate, 0), axis=1).to(tl.int64), mask=has_row)
        distance = tl.where(chosen, float("inf"), distance)
