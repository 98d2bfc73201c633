"""Do the projection's GPU kernels give the reference's numbers? In Triton's interpreter without a GPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from benchmarks.twins import repeated_view_pool
from pointmcd import projection
from pointmcd.kernels import device as gpu
from pointmcd.projection import masked_pool

pytest.importorskip("triton", reason="the kernels need triton, which comes with torch for CUDA or requirements-dev.txt")

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def kernel_pool(features: Tensor, visibility: Tensor) -> tuple[Tensor, Tensor]:
    from pointmcd.kernels.projection import KernelPool

    pooled, winners = KernelPool.apply(features, visibility)
    return pooled, winners


def drawn(
    batch: int, views: int, points: int, channels: int, *, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor, Tensor]:
    """Small integers, so that most maxima are ties, some of them minus infinity; masks; and a gradient to send back."""
    generator = torch.Generator().manual_seed(views)
    features = torch.randint(-4, 4, (batch, points, channels), generator=generator).to(dtype)
    features[torch.rand(features.shape, generator=generator) < 0.2] = -torch.inf
    visibility = torch.rand(batch, views, points, generator=generator) < torch.rand(views, 1, generator=generator)
    visibility[0, views // 2] = False
    pull = torch.randint(-8, 9, (batch, views, channels), generator=generator).to(dtype)
    return features, visibility, pull


def assert_as_the_reference(features: Tensor, visibility: Tensor, pull: Tensor) -> None:
    expected, expected_winners = masked_pool(features, visibility)  # on a CPU, where the first of equal ones wins
    expected_gradient = torch.zeros(features.shape)
    batch, _, channels = pull.shape
    for b in range(batch):
        for d in range(channels):
            won = expected_winners[b, :, d]
            expected_gradient[b, :, d].index_add_(0, won[won >= 0], pull[b, won >= 0, d].float())
    ours = features.to(DEVICE).detach().requires_grad_()
    pooled, winners = kernel_pool(ours, visibility.to(DEVICE))
    pooled.backward(pull.to(DEVICE))
    assert pooled.dtype == features.dtype
    assert torch.equal(pooled.cpu(), expected)
    assert torch.equal(winners.cpu().long(), expected_winners)
    assert ours.grad is not None
    assert torch.equal(ours.grad.cpu().float(), expected_gradient)


@pytest.mark.parametrize(
    ("views", "dtype"),
    [
        (1, torch.float32), (3, torch.bfloat16), (4, torch.float16), (12, torch.float32), (13, torch.bfloat16),
        (16, torch.float16), (20, torch.float32), (33, torch.bfloat16), (64, torch.float32), (65, torch.float16),
    ],
)  # fmt: skip
def test_kernels_equal_the_reference_with_ties_empty_views_and_minus_infinity(views: int, dtype: torch.dtype) -> None:
    assert_as_the_reference(*drawn(2 if views < 20 else 1, views, 37, 19, dtype=dtype))


@pytest.mark.parametrize(("points", "channels"), [(1, 1), (64, 128), (131, 3), (70, 131)])
def test_any_number_of_points_and_channels_will_do(points: int, channels: int) -> None:
    assert_as_the_reference(*drawn(1, 5, points, channels))


@pytest.mark.parametrize("size", [(0, 3, 5, 2), (2, 0, 5, 2), (2, 3, 0, 2), (2, 3, 5, 0)])
def test_where_there_is_nothing_to_pool_the_answer_is_empty_or_zero(size: tuple[int, int, int, int]) -> None:
    batch, views, points, channels = size
    features = torch.ones(batch, points, channels, device=DEVICE, requires_grad=True)
    pooled, winners = kernel_pool(features, torch.ones(batch, views, points, dtype=torch.bool, device=DEVICE))
    pooled.sum().backward()
    assert torch.equal(pooled.cpu(), torch.zeros(batch, views, channels))
    assert (winners == -1).all()
    assert features.grad is not None
    assert features.grad.shape == features.shape


def test_the_layout_in_memory_changes_nothing() -> None:
    features, visibility, _ = drawn(2, 5, 21, 9)
    by_channel = features.transpose(1, 2).contiguous().transpose(1, 2)
    by_point = visibility.transpose(1, 2).contiguous().transpose(1, 2)
    every_other = torch.stack([features, -features], dim=2).flatten(1, 2)[:, ::2]
    one_for_all = torch.ones(1, 1, 1).expand(2, 5, 9)  # the gradient of a sum
    assert_as_the_reference(by_channel, by_point, one_for_all)
    assert_as_the_reference(every_other, visibility, one_for_all)


def test_a_feature_that_is_not_a_number_is_not_passed_over_and_both_zeros_are_one() -> None:
    for quiet in (torch.nan, -torch.nan):
        features = torch.tensor([[[5.0], [quiet], [torch.inf]]], device=DEVICE)
        pooled, winners = kernel_pool(features, torch.ones(1, 1, 3, dtype=torch.bool, device=DEVICE))
        assert pooled.isnan().all()
        assert winners.item() == 1
    zeros = torch.tensor([[[-0.0], [0.0], [-0.0]]], device=DEVICE)
    _, winners = kernel_pool(zeros, torch.ones(1, 1, 3, dtype=torch.bool, device=DEVICE))
    assert winners.item() == 0


def test_on_rectified_features_kernels_equal_the_twin_that_they_are_timed_against() -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(2, 50, 12, generator=generator)
    visibility = torch.rand(2, 6, 50, generator=generator) < 0.4
    pull = torch.randn(2, 6, 12, generator=generator)
    twin, ours = features.clone().requires_grad_(), features.to(DEVICE).requires_grad_()
    expected, (pooled, _) = repeated_view_pool(twin.relu(), visibility), kernel_pool(ours.relu(), visibility.to(DEVICE))
    expected.backward(pull)
    pooled.backward(pull.to(DEVICE))
    assert torch.equal(pooled.cpu(), expected)
    assert ours.grad is not None
    torch.testing.assert_close(ours.grad.cpu(), twin.grad, rtol=0, atol=1e-5)


def test_kernels_pool_what_autocast_made() -> None:
    features, visibility, _ = drawn(1, 3, 21, 9)
    layer = torch.nn.Linear(9, 11).to(DEVICE)
    with torch.autocast(DEVICE, dtype=torch.bfloat16):
        rows = layer(features.nan_to_num(neginf=-5.0).to(DEVICE))
        pooled, _ = kernel_pool(rows, visibility.to(DEVICE))
    assert pooled.dtype == torch.bfloat16
    pooled.float().sum().backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad.abs().sum() > 0


def test_a_gpu_gets_the_kernels_and_float64_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked with tensors that only say that they lie on a GPU."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    from pointmcd.kernels import projection as projection_kernels

    chosen = {}

    class Kernels:
        @staticmethod
        def apply(features: Tensor, visibility: Tensor) -> tuple[Tensor, Tensor]:
            chosen[features.dtype] = "kernels"
            return features, visibility

    def reference(features: Tensor, visibility: Tensor) -> tuple[Tensor, Tensor]:
        chosen[features.dtype] = "reference"
        return features, visibility

    monkeypatch.setattr(gpu, "_kernels_compile", lambda: True)
    monkeypatch.setattr(projection_kernels, "KernelPool", Kernels)
    monkeypatch.setattr(projection, "masked_pool", reference)
    with FakeTensorMode():
        visibility = torch.empty(2, 5, 7, dtype=torch.bool, device="cuda")
        for dtype in (torch.float32, torch.bfloat16, torch.float16, torch.float64):
            projection._pool(torch.empty(2, 7, 3, dtype=dtype, device="cuda"), visibility)
    kernels = dict.fromkeys((torch.float32, torch.bfloat16, torch.float16), "kernels")
    assert chosen == kernels | {torch.float64: "reference"}


def test_the_operators_say_truly_what_they_return() -> None:
    features, visibility, pull = (x.to(DEVICE) for x in drawn(2, 5, 21, 9))
    _, winners = kernel_pool(features, visibility)
    truths = ("test_schema", "test_faketensor")
    operators = torch.ops.pointmcd
    pooling = torch.library.opcheck(operators.pool_by_view.default, (features, visibility), test_utils=truths)
    spreading = torch.library.opcheck(operators.spread_to_winners.default, (pull, winners, 21), test_utils=truths)
    assert pooling == spreading == dict.fromkeys(truths, "SUCCESS")


TRACE = """
import sys
import torch
from pointmcd.kernels.projection import KernelPool
device = "cuda" if torch.cuda.is_available() else "cpu"
def around(features, visibility):
    return KernelPool.apply(2 * features, visibility)[0] + 1
generator = torch.Generator().manual_seed(0)
features = torch.randn(2, 21, 9, generator=generator).to(device)
visibility = (torch.rand(2, 5, 21, generator=generator) < 0.3).to(device)
pull = torch.randn(2, 5, 9, generator=generator).to(device)
plain, traced = features.clone().requires_grad_(), features.clone().requires_grad_()
expected = around(plain, visibility)
pooled = torch.compile(around, backend=sys.argv[1], fullgraph=True)(traced, visibility)
expected.backward(pull)
pooled.backward(pull)
print(torch.equal(pooled, expected), torch.equal(traced.grad, plain.grad))
"""


def run_alone(script: str, *arguments: str, **environment: str) -> str:
    """Run a script in a process of its own, where no types are checked, and return what it prints."""
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2],
        env=dict(os.environ) | environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow  # loading the compiler takes longer than all other tests here
@pytest.mark.parametrize("back_end", ["aot_eager", "inductor"])
def test_torch_compile_traces_through_as_one_graph_with_the_same_numbers(back_end: str) -> None:
    assert run_alone(TRACE, back_end).split() == ["True", "True"]


COMPILE = """
import json, pathlib, subprocess, sys, tempfile, triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from pointmcd.kernels import projection as kernels

folder = pathlib.Path(triton.__file__).parent / "backends/nvidia/bin"
used = {}
for views in json.loads(sys.argv[1]):
    together, size = kernels.view_groups(views)[1], kernels.tile(kernels.view_groups(views)[1])
    shared = dict(channel_stride=1, VIEWS=together, RUN=kernels.RUN)
    for kernel, constants, warps, cap in (
        (kernels._pack, dict(point_stride=1, VIEWS=together, POINTS=kernels.PACKED_POINTS), 4, None),
        (kernels._pool, shared | dict(ROWS=size.rows, CHANNELS=size.channels), size.rows, size.registers),
        (kernels._find, shared | dict(MAXIMA=kernels.FOUND_MAXIMA), 4, None),
        (kernels._spread, dict(channel_stride=1, POINTS=kernels.SPREAD_POINTS, CHANNELS=kernels.SPREAD_CHANNELS), 4,
         None),
    ):
        names = kernel.arg_names
        types = dict(visibility="*u8", words="*i32", winners="*i32") | dict.fromkeys(
            ("features", "pooled", "gradient", "out"), "*" + sys.argv[2])
        signature = {n: "constexpr" if n in constants else types.get(n, "i32") for n in names}
        round_numbers = [i for i, n in enumerate(names) if n not in constants and n != "views"]
        attributes = {(i,): [["tt.divisibility", 16]] for i in round_numbers}
        source = ASTSource(kernel, signature, {(names.index(n),): v for n, v in constants.items()}, attributes)
        for capability in (80, 90):
            made = triton.compile(source, target=GPUTarget("cuda", capability, 32),
                                  options=dict(num_warps=warps, maxnreg=cap))
            with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
                file.write(made.asm["cubin"])
                file.flush()
                told = subprocess.run([folder / "cuobjdump", "-res-usage", file.name], capture_output=True, text=True)
            words = dict(w.split(":") for w in told.stdout.splitlines()[-1].split() if w.count(":") == 1)
            used[f"{kernel.__name__} V={views} sm_{capability}"] = {n: int(words[n]) for n in ("REG", "STACK", "LOCAL")}
print(json.dumps(used))
"""


def registers(views: list[int], dtype: str, folder: Path) -> dict[str, dict[str, int]]:
    """Compile the kernels as they are launched for so many views, and read what they use of a GPU."""
    told = run_alone(COMPILE, json.dumps(views), dtype, TRITON_INTERPRET="0", TRITON_CACHE_DIR=str(folder))
    found: dict[str, dict[str, int]] = json.loads(told)
    return found


def test_kernels_compile_for_two_generations_of_gpus_and_spill_no_register(tmp_path: Path) -> None:
    used = registers([12], "fp32", tmp_path)
    assert len(used) == 8
    assert all(of["STACK"] == of["LOCAL"] == 0 for of in used.values()), used
    assert used["_pool V=12 sm_90"]["REG"] <= 168  # three programs of 128 threads share the 65,536 of a multiprocessor


@pytest.mark.slow  # minutes of compiling
@pytest.mark.parametrize("dtype", ["fp32", "bf16", "fp16"])
def test_kernels_spill_next_to_nothing_whatever_the_views_and_the_type(dtype: str, tmp_path: Path) -> None:
    used = registers([1, 4, 5, 8, 12, 13, 16, 24, 32, 65], dtype, tmp_path)
    assert len(used) == 80
    assert all(of["STACK"] + of["LOCAL"] <= 16 for of in used.values()), used
