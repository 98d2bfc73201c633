"""How fast are neighbours found without a matrix of all distances?

Run `python -m benchmarks.bm_neighbours`; tests/ops/test_ops.py checks that fast forms and twins agree.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks import rows
from benchmarks.edge_twin import farthest_by_matrix, full_matrix_ball, full_matrix_neighbours
from benchmarks.rows import Row, alternating, peak_memory
from pointmcd.ops.neighbours import knn, neighbourhoods
from pointmcd.ops.sampling import ball_query, farthest_point_sampling

ABOUT = "Neighbour searches against whole distance matrices on CPU: time and peak memory."
NEIGHBOURS = 20


def compare(what: str, fast: Callable[[], Tensor], twin: Callable[[], Tensor], *, repeats: int = 5) -> Row:
    """Time both in turn; the detail gives the peak memory of both."""
    fast_s, twin_s = alternating(fast, twin, repeats=repeats)
    memory = f"{peak_memory(fast):.0f} MB, twin {peak_memory(twin):.0f} MB"
    detail = f"{1000 * twin_s:.1f} ms -> {1000 * fast_s:.1f} ms; {memory}"
    return Row(what, "speed-up over whole distance matrices", twin_s / fast_s, "x", detail=detail)


def agreement(points: Tensor) -> Row:
    """Measure the share of neighbourhoods with exactly the members that float64 distances give."""
    ours = neighbourhoods(points, NEIGHBOURS).sort(-1).values
    sure, plain = (
        full_matrix_neighbours(points.to(dtype), NEIGHBOURS).sort(-1).values for dtype in (torch.float64, torch.float32)
    )
    share, twin = ((found == sure).all(-1).float().mean().item() for found in (ours, plain))
    what = f"neighbourhoods of {tuple(points.shape)} features"
    return Row(what, "share exactly as in float64", share, "", 1.0, detail=f"twin in float32: {twin:.6f}")


def measure() -> list[Row]:
    generator = torch.Generator().manual_seed(0)
    cloud = torch.rand(16, 1024, 3, generator=generator) * 2 - 1
    features = torch.randn(16, 1024, 64, generator=generator)
    large = torch.rand(1, 8192, 3, generator=generator) * 2 - 1
    centers = cloud[:, :512].contiguous()
    result = []
    for what, points in (("points B=16 N=1024", cloud), ("features B=16 N=1024 C=64", features),
                         ("points B=1 N=8192", large)):  # fmt: skip
        for name, search in (("neighbourhoods", neighbourhoods), ("knn, sorted", knn)):
            result.append(
                compare(
                    f"{name}, k={NEIGHBOURS}, {what}",
                    lambda search=search, points=points: search(points, NEIGHBOURS),
                    lambda points=points: full_matrix_neighbours(points, NEIGHBOURS),
                )
            )
    result += [
        agreement(features + 3),  # activations have a mean
        compare(
            "farthest point sampling, 512 of B=16 N=1024",
            lambda: farthest_point_sampling(cloud, 512),
            lambda: farthest_by_matrix(cloud, 512),
            repeats=2,
        ),
        compare(
            "ball query, 512 balls of 0.2, k=32, B=16 N=1024",
            lambda: ball_query(cloud, centers, radius=0.2, k=32),
            lambda: full_matrix_ball(cloud, centers, radius=0.2, k=32),
        ),
    ]
    return result


if __name__ == "__main__":
    rows.run("bm_neighbours", measure, ABOUT)
