"""How fast is visibility-aware feature projection, and how much memory does it take, against the released formula?

Run on an idle machine: `python -m benchmarks.bm_vafp [--device cuda] [--record]`. Features are rectified noise; masks
are those of hidden point removal on synthetic shapes, about two fifths seen. Before a speed-up is printed, the fast
form's view features must equal the twin's exactly, and its gradient to 1e-5.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from benchmarks.rows import Row, alternating, peak_gpu_memory, peak_memory, run
from benchmarks.twins import repeated_view_pool
from pointmcd.data.synthetic import ANALYTIC, make_shape
from pointmcd.projection import masked_pool, view_pool
from pointmcd.records import Cameras
from pointmcd.scene.cameras import ring, two_rings
from pointmcd.scene.visibility import visible_points
from pointmcd.shapes.sample import sample_points

ABOUT = "Time the projection's forward and backward against its naive twin."
CHANNELS = 1024
SPEED_UP = 15.0  # issue 3, section 1, on a CPU
MEMORY_SHARE = 0.1
GPU_SPEED_UP, GPU_MEMORY_MB = 40.0, 400.0  # likewise, on an H200

Pool = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Case:
    """One size, ready to be pooled.

    Attributes:
        what: Its name and size.
        features: Non-negative, asking for gradients.
        visibility: Which points each view sees.
        pull: The gradient that comes back from the loss.
        twin_shapes: How many shapes the twin takes at once, as many as memory holds.
    """

    what: str
    features: Float[Tensor, "B N D"]
    visibility: Bool[Tensor, "B V N"]
    pull: Float[Tensor, "B V D"]
    twin_shapes: int

    def step(self, pool: Pool, *, first: int = 0, shapes: int | None = None) -> tuple[Tensor, Tensor]:
        """Pool some of the shapes forward and backward: view features and the gradient of the point features."""
        part = slice(first, None if shapes is None else first + shapes)
        features = self.features[part].detach().requires_grad_()
        pooled = pool(features, self.visibility[part])
        pooled.backward(self.pull[part])
        assert features.grad is not None
        return pooled.detach(), features.grad

    def on(self, device: str) -> Case:
        """Move it to a device."""
        features, visibility, pull = (x.to(device) for x in (self.features, self.visibility, self.pull))
        return replace(self, features=features, visibility=visibility, pull=pull)


def seen_points(shapes: int, points: int, cameras: Cameras) -> Bool[Tensor, "B V N"]:
    """Find what the cameras see of the analytic shapes, in turn, by hidden point removal."""
    masks = []
    for name in ANALYTIC[:shapes]:
        cloud = sample_points(make_shape(name).shape, count=points, seed=0)
        masks.append(torch.from_numpy(visible_points(cloud, cameras, method="hpr").mask))
    return torch.stack([masks[shape % len(masks)] for shape in range(shapes)])


def make_case(name: str, visibility: Bool[Tensor, "B V N"], *, twin_shapes: int) -> Case:
    """Draw features and a pull for these masks."""
    shapes, views, points = visibility.shape
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(shapes, points, CHANNELS, generator=generator).relu_()
    pull = torch.randn(shapes, views, CHANNELS, generator=generator)
    size = f"B={shapes} N={points} D={CHANNELS} V={views}"
    return Case(f"{name}, {size}", features, visibility, pull, twin_shapes)


def twin_steps(case: Case) -> None:
    """Take all shapes through the twin, as many at once as memory holds."""
    for first in range(0, len(case.features), case.twin_shapes):
        case.step(repeated_view_pool, first=first, shapes=case.twin_shapes)


def check(case: Case) -> None:
    """Raise unless the fast form gives the twin's numbers on as many shapes as the twin takes."""
    pooled, gradient = case.step(view_pool, shapes=case.twin_shapes)
    twin_pooled, twin_gradient = case.step(repeated_view_pool, shapes=case.twin_shapes)
    if not torch.equal(pooled, twin_pooled):
        raise AssertionError(f"{case.what}: the view features differ.")
    # Where all that a view sees is 0 in a channel, any point may win; the rectifier before it stops that gradient.
    lit = case.features[: case.twin_shapes] > 0
    torch.testing.assert_close(gradient * lit, twin_gradient * lit, rtol=0, atol=1e-5)


def speed_up(case: Case, times: float, *, target: float, detail: str) -> Row:
    """Say how many times as fast as the twin a step is."""
    return Row(case.what, "forward and backward, speed-up over the naive twin", times, "x", target, detail=detail)


def compare(case: Case, *, repeats: int) -> list[Row]:
    """Time one case and measure its memory."""
    check(case)
    twin, fast = alternating(lambda: twin_steps(case), lambda: case.step(view_pool), repeats=repeats)
    shapes, at_once = len(case.features), case.twin_shapes
    part = "" if at_once == shapes else f" (its time {at_once} shapes at a time, its memory scaled from {at_once})"
    twin_mb = peak_memory(lambda: case.step(repeated_view_pool, shapes=at_once)) * shapes / at_once
    fast_mb = peak_memory(lambda: case.step(view_pool))
    gradient_mb = case.features.numel() * 4 / 1e6
    share = float(case.visibility.float().mean())
    return [
        speed_up(
            case,
            twin / fast,
            target=SPEED_UP,
            detail=f"{1000 * fast:.1f} ms against {1000 * twin:.0f} ms{part}; {100 * share:.0f} % seen",
        ),
        Row(
            what=case.what,
            figure="extra memory, share of the naive twin's",
            value=fast_mb / twin_mb,
            unit="",
            target=MEMORY_SHARE,
            at_least=False,
            detail=f"{fast_mb:.0f} MB, {gradient_mb:.0f} of them the gradient itself, against {twin_mb:.0f} MB",
        ),
    ]


def parts(case: Case) -> list[Row]:
    """Tell where the fast form's time goes, next to the unavoidable cost of filling the gradient with zeros."""
    features = case.features.detach()
    tracked = features.clone().requires_grad_()
    pooled = view_pool(tracked, case.visibility)

    def backward() -> None:
        tracked.grad = None
        pooled.backward(case.pull, retain_graph=True)

    calls: dict[str, Callable[[], object]] = {
        "forward with winners": lambda: view_pool(features, case.visibility),
        "backward": backward,
        "zeros of the gradient's size, a part of backward": lambda: torch.zeros_like(features),
    }
    times = alternating(*calls.values(), repeats=9)
    return [Row(case.what, figure, 1000 * time, "ms") for figure, time in zip(calls, times, strict=True)]


def others(visibility: Bool[Tensor, "B V N"]) -> list[Row]:
    """Time other masks and types at training size, forward and backward."""
    generator = torch.Generator().manual_seed(1)
    shapes, views, points = visibility.shape
    scattered = torch.rand(shapes, views, points, generator=generator) < visibility.float().mean()
    many = visibility.repeat(1, -(-64 // views), 1)[:, :64]
    masks: Sequence[tuple[str, Tensor, torch.dtype]] = [
        ("random masks", scattered, torch.float32),
        ("64 views", many, torch.float32),
        ("bfloat16", visibility, torch.bfloat16),
        ("float16", visibility, torch.float16),
    ]
    rows = []
    for name, mask, dtype in masks:
        case = make_case(name, mask, twin_shapes=shapes)
        case = replace(case, features=case.features.to(dtype), pull=case.pull.to(dtype))
        (time,) = alternating(partial(case.step, view_pool), repeats=5)
        rows.append(Row(case.what, "forward and backward", 1000 * time, "ms"))
    return rows


def measure() -> list[Row]:
    """Measure training size, segmentation size, and what else the projection meets."""
    training = make_case("Training", seen_points(8, 1024, ring()), twin_shapes=8)
    segmentation = make_case("Segmentation", seen_points(32, 2048, two_rings()), twin_shapes=2)
    return [
        *compare(training, repeats=5),
        *compare(segmentation, repeats=2),
        *parts(training),
        *others(training.visibility),
    ]


def reference_pool(features: Float[Tensor, "B N D"], visibility: Bool[Tensor, "B V N"]) -> Float[Tensor, "B V D"]:
    """Pool as a GPU does without triton."""
    return masked_pool(features, visibility)[0]


def compare_on_gpu(case: Case) -> list[Row]:
    """Time one case on the GPU against twin and reference, and measure its memory."""
    check(case)
    twin, reference, fast = alternating(
        lambda: twin_steps(case), lambda: case.step(reference_pool), lambda: case.step(view_pool), repeats=20
    )
    at_once = case.twin_shapes
    part = "" if at_once == len(case.features) else f", {at_once} shapes at a time"
    moved = 2 * case.features.numel() * case.features.element_size()
    return [
        speed_up(
            case,
            twin / fast,
            target=GPU_SPEED_UP,
            detail=f"{1000 * fast:.3f} ms against {1000 * twin:.2f} ms{part}; the reference {1000 * reference:.2f} ms",
        ),
        Row(
            what=case.what,
            figure="features read and gradient written in that time",
            value=moved / fast / 1e12,
            unit="TB/s",
            detail=f"{moved / 1e6:.0f} MB, the least that a step can move",
        ),
        Row(
            what=case.what,
            figure="extra memory",
            value=peak_gpu_memory(lambda: case.step(view_pool)),
            unit="MB",
            target=GPU_MEMORY_MB,
            at_least=False,
            detail=f"{moved / 2e6:.0f} MB of it the gradient itself",
        ),
    ]


def measure_gpu(
    *, training: tuple[int, int] = (64, 1024), segmentation: tuple[int, int] = (32, 2048), device: str = "cuda"
) -> list[Row]:
    """Measure training size and segmentation size, each in shapes and points, and training in two bytes a feature."""
    sizes = [("Training", training, ring()), ("Segmentation", segmentation, two_rings())]
    rows = []
    for name, (shapes, points), cameras in sizes:
        case = make_case(name, seen_points(shapes, points, cameras), twin_shapes=shapes).on(device)
        rows += compare_on_gpu(case)
        half = replace(case, what=f"{case.what} bfloat16", features=case.features.bfloat16(), pull=case.pull.bfloat16())
        (time,) = alternating(partial(half.step, view_pool), repeats=20)
        rows.append(Row(half.what, "forward and backward", 1000 * time, "ms"))
    return rows


if __name__ == "__main__":
    run("bm_vafp", measure, ABOUT, on_gpu=measure_gpu)
