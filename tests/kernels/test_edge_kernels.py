"""Do the GPU kernels of neighbours and edges give the plain forms' numbers? In Triton's interpreter without a GPU."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

import pointmcd.networks.encoders.dgcnn
import pointmcd.ops.neighbours
from pointmcd.networks.encoders.dgcnn import EdgeConv
from pointmcd.tasks.classification import classification_student

pytest.importorskip("triton", reason="the kernels need triton, which comes with torch for CUDA or requirements-dev.txt")

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def clouds(batch: int, count: int, channels: int, *, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(batch, count, channels, generator=generator) + 3).to(DEVICE)


@pytest.mark.parametrize(
    ("batch", "count", "channels", "k"),
    [(2, 70, 3, 5), (1, 66, 33, 20), (2, 21, 3, 20), (1, 30, 5, 29), (1, 9, 2, 1), (1, 5, 1, 2)],
)
def test_kernel_finds_the_sets_of_float64_distances(batch: int, count: int, channels: int, k: int) -> None:
    from pointmcd.kernels.neighbours import select_neighbours

    points = clouds(batch, count, channels)
    exact = torch.cdist(points.double(), points.double(), compute_mode="donot_use_mm_for_euclid_dist")
    expected = exact.topk(k, largest=False).indices
    assert torch.equal(select_neighbours(points, k).sort(dim=-1).values, expected.sort(dim=-1).values)


def test_kernel_tells_near_ties_that_float32_distances_cannot() -> None:
    """Of 30 points at distances 1 + j 3e-9, each a float32 1.0, the 5 nearest are those of the smallest j."""
    from pointmcd.kernels.neighbours import select_neighbours

    steps = torch.arange(30, dtype=torch.float64).flip(0)
    # On the second axis a float32 can be small: (1, y) lies sqrt(1 + y^2) from the origin, about 1 + y^2 / 2.
    ring = torch.stack([torch.ones(30, dtype=torch.float64), (steps * 6e-9).sqrt()], dim=1)
    points = torch.cat([torch.zeros(1, 2, dtype=torch.float64), ring]).float()[None].to(DEVICE)
    assert torch.linalg.vector_norm(points[0, 1:], dim=1).unique().numel() < 30
    nearest = select_neighbours(points, 6)[0, 0].tolist()
    assert nearest == [0, 30, 29, 28, 27, 26]


def test_kernel_takes_points_that_are_not_laid_out_in_rows() -> None:
    from pointmcd.kernels.neighbours import select_neighbours

    points = clouds(2, 30, 4)
    turned = points.transpose(1, 2).contiguous().transpose(1, 2)
    assert torch.equal(select_neighbours(turned, 4), select_neighbours(points, 4))


def test_features_that_are_no_numbers_name_no_point_beyond_the_cloud() -> None:
    from pointmcd.kernels.neighbours import select_neighbours

    points = clouds(1, 21, 3)
    points[0, 4:] = float("nan")
    nearest = select_neighbours(points, 6)
    assert nearest.min() >= 0
    assert nearest.max() < 21
    assert set(nearest[0, 0, :4].tolist()) == {0, 1, 2, 3}


def test_sizes_beyond_the_kernels_registers_are_refused() -> None:
    from pointmcd.kernels.neighbours import can_select

    assert can_select(torch.empty(1, 4096, 3), 20)
    assert not can_select(torch.empty(1, 4097, 3), 20)
    assert not can_select(torch.empty(1, 1024, 3), 57)
    assert not can_select(torch.empty(1, 1024, 3, dtype=torch.float64), 20)


def reduced(own: Tensor, around: Tensor, near: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Maximum, mean and biased variance by the definition: every edge is held."""
    edges = own[:, None] + around[near]
    return edges.amax(dim=1), edges.mean(dim=(0, 1)), edges.var(dim=(0, 1), unbiased=False)


@pytest.mark.parametrize(("rows", "channels", "k"), [(70, 37, 5), (16, 64, 20), (33, 1, 1), (40, 130, 3)])
def test_one_kernel_gives_maximum_mean_and_variance_of_all_edges(rows: int, channels: int, k: int) -> None:
    from pointmcd.kernels.edges import EdgeReduction

    generator = torch.Generator().manual_seed(1)
    own, around = clouds(1, rows, channels)[0], clouds(1, rows, channels, seed=2)[0] * 4 - 30
    near = torch.randint(rows, (rows, k), generator=generator).to(DEVICE)
    found = EdgeReduction.apply(own, around, near)
    for ours, exact in zip(found, reduced(own.double(), around.double(), near), strict=True):
        torch.testing.assert_close(ours.double(), exact, rtol=1e-5, atol=1e-5)


def test_gradients_of_all_three_are_those_of_autograd_in_float64() -> None:
    from pointmcd.kernels.edges import EdgeReduction

    rows, channels, k = 50, 21, 6
    generator = torch.Generator().manual_seed(3)
    near = torch.randint(rows // 2, (rows, k), generator=generator).to(DEVICE)  # half of the points nobody names
    values = [clouds(1, rows, channels, seed=seed)[0] for seed in (4, 5)]
    ours = [value.clone().requires_grad_() for value in values]
    exact = [value.double().requires_grad_() for value in values]
    pulls = [clouds(1, *shape, seed=6)[0] for shape in ((rows, channels), (1, channels), (1, channels))]
    for inputs, outputs in ((ours, EdgeReduction.apply(*ours, near)), (exact, reduced(*exact, near))):
        total = sum((output * pull.to(output)).sum() for output, pull in zip(outputs, pulls, strict=True))
        torch.autograd.backward(total, inputs=inputs)
    for mine, truth in zip(ours, exact, strict=True):
        torch.testing.assert_close(mine.grad.double(), truth.grad, rtol=1e-5, atol=1e-5)


def test_of_equal_neighbours_the_last_gets_the_gradient_as_on_a_cpu() -> None:
    from pointmcd.kernels.edges import EdgeReduction

    own = torch.zeros(3, 1, device=DEVICE)
    around = torch.ones(3, 1, device=DEVICE, requires_grad=True)
    out, _, _ = EdgeReduction.apply(own, around, torch.tensor([[0, 1], [0, 1], [2, 0]], device=DEVICE))
    out.sum().backward()
    assert around.grad is not None
    assert around.grad.flatten().tolist() == [1, 2, 0]


def test_a_feature_that_is_not_a_number_is_not_hidden() -> None:
    from pointmcd.kernels.edges import EdgeReduction

    around = torch.tensor([[1.0], [float("nan")], [2.0]], device=DEVICE)
    out, mean, _ = EdgeReduction.apply(
        torch.zeros(3, 1, device=DEVICE), around, torch.tensor([[0, 2], [1, 2], [2, 1]], device=DEVICE)
    )
    assert out.isnan().flatten().tolist() == [False, True, True]
    assert bool(mean.isnan().all())


def switch(monkeypatch: pytest.MonkeyPatch, *, kernels: bool) -> None:
    for module in (pointmcd.ops.neighbours, pointmcd.networks.encoders.dgcnn):
        monkeypatch.setattr(module, "runs_kernels", lambda tensor: kernels)


def test_an_edge_convolution_learns_by_the_kernels_as_without_them(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    layer = EdgeConv(3, 10, neighbours=6).to(DEVICE).train()
    with torch.no_grad():
        layer.norm.weight[::2] *= -1  # channels whose smallest edge wins
    points, pull = clouds(2, 20, 3), clouds(2, 20, 10, seed=1)
    found = []
    for kernels in (False, True):
        switch(monkeypatch, kernels=kernels)
        own, rows = copy.deepcopy(layer), points.clone().requires_grad_()
        out = own(rows)
        out.backward(pull)
        found.append([out, rows.grad, own.norm.running_mean, own.norm.running_var, *(p.grad for p in own.parameters())])
    for plain, fast in zip(*found, strict=True):
        torch.testing.assert_close(fast, plain, rtol=1e-4, atol=1e-4)


def test_a_student_answers_by_the_kernels_as_without_them(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    student = classification_student("dgcnn").to(DEVICE).eval()
    points = clouds(1, 24, 3) / 5
    answers = []
    for kernels in (False, True):
        switch(monkeypatch, kernels=kernels)
        with torch.inference_mode():
            answers.append(student(points).logits)
    torch.testing.assert_close(*answers, rtol=1e-4, atol=1e-4)


COMPILE = """
import json, triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from pointmcd.kernels import neighbours
from pointmcd.kernels import edges

F, I = "*fp32", "*i32"
width, rows = neighbours._tile(1024)
kernels = [
    (neighbours._select_candidates, [F, I, "i32", "i32"],
     dict(FOUND=32, LISTED=32, ROWS=rows, COLUMNS=width), neighbours.TILE_WARPS),
    (neighbours._rank_candidates, [F, I, "*i64", "i32", "i32"],
     dict(FOUND=32, LISTED=32, KEPT=20, ROWS=neighbours.RANKED_ROWS), 4),
    (edges._reduce_edges, [F, F, I, F, F, F, "*u8", F, F, "i32", "i32"],
     dict(NEIGHBOURS=20, ROWS=edges.ROWS, CHANNELS=edges.CHANNELS), 4),
    (edges._reduce_reversed_edges, [F, F, F, "*u8", I, I, F, F, F, "i32"],
     dict(NEIGHBOURS=20, CHANNELS=edges.CHANNELS), edges.REVERSED_WARPS),
]
sizes = {}
for kernel, types, constants, warps in kernels:
    signature = dict.fromkeys(kernel.arg_names, "constexpr") | dict(zip(kernel.arg_names, types))
    for capability in (80, 90):
        source = ASTSource(kernel, signature, {(kernel.arg_names.index(n),): v for n, v in constants.items()})
        made = triton.compile(source, target=GPUTarget("cuda", capability, 32), options={"num_warps": warps})
        sizes[f"{kernel.__name__} sm_{capability}"] = len(made.asm["cubin"])
print(json.dumps(sizes))
"""


def test_the_kernels_compile_to_machine_code_of_two_generations_of_gpus(tmp_path: Path) -> None:
    """What an interpreter cannot tell: that types, layouts and block sizes are ones the compiler takes."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run(
        [sys.executable, "-c", COMPILE], capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2],
        env=environment | {"TRITON_CACHE_DIR": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    sizes = json.loads(done.stdout)
    assert len(sizes) == 8
    assert all(size > 1000 for size in sizes.values())
