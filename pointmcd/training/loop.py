"""How is a network trained? One loop for every network: seeded, resumable, logged."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import pickle
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor, nn
from tqdm import tqdm

from pointmcd.files import written_whole
from pointmcd.kernels.device import wait_for
from pointmcd.records import CheckpointError, ShapeError
from pointmcd.training.recipes import SGD_MOMENTUM, Recipe

# A checkpoint is this, the SHA-256 of the rest, a line feed, and the rest: what torch.save wrote.
CHECKPOINT_HEAD = b"pointmcd checkpoint 3 "
EARLIER_HEADS = (b"PK", b"pointmcd checkpoint 2 ")  # torch's own format first

Loss = Callable[[Tensor, torch.Generator], tuple[Tensor, dict[str, Tensor]]]


@dataclass(frozen=True)
class Run:
    """Where and how one training runs.

    Attributes:
        folder: Holds `checkpoint.pt` (resumable state) and `log.csv`.
        seed: Of weights, order and augmentation.
        device: "cpu" or "cuda".
        identity: What else decides the weights: the network's settings, its teacher and its data.
    """

    folder: Path
    seed: int
    device: torch.device
    identity: dict[str, Any] = field(default_factory=dict)


def fit(
    model: nn.Module, recipe: Recipe, run: Run, *, shapes: int, loss: Loss, validate: Callable[[], dict[str, float]]
) -> None:
    """Train `model` in place; an interrupted run goes on from its last whole epoch.

    Args:
        model: On the run's device.
        recipe: Schedule and optimiser.
        run: Seed and folder.
        shapes: Number of training shapes.
        loss: Rows of a batch and the batch's generator -> loss and the figures to log.
        validate: Figures of the validation split, after each epoch.

    Raises:
        ShapeError: There are fewer shapes than one batch.
        CheckpointError: The folder holds another run, or its checkpoint is damaged.
    """
    if shapes < recipe.batch_size:
        raise ShapeError(f"Training needs at least one batch of {recipe.batch_size} shapes, and there are {shapes}.")
    run.folder.mkdir(parents=True, exist_ok=True)
    with own_generators(run):
        _fit(model, recipe, run, shapes=shapes, loss=loss, validate=validate)


def _fit(
    model: nn.Module, recipe: Recipe, run: Run, *, shapes: int, loss: Loss, validate: Callable[[], dict[str, float]]
) -> None:
    steps = shapes // recipe.batch_size
    optimizer = make_optimizer(model, recipe)
    state_file, log_file = run.folder / "checkpoint.pt", run.folder / "log.csv"
    rows = _resume(state_file, model, optimizer, recipe, run)
    _log(log_file, rows)  # a run killed between the two files logged an epoch that it trains again
    for epoch in range(len(rows), recipe.epochs):
        started = time.perf_counter()
        model.train()
        generator = torch.Generator().manual_seed(run.seed * 100_003 + epoch)
        totals: dict[str, Tensor] = {}
        batches = _batches(shapes, recipe.batch_size, generator)
        for step, batch in enumerate(
            tqdm(batches, total=steps, desc=f"epoch {epoch + 1}/{recipe.epochs}", leave=False, disable=None)
        ):
            rate = learning_rate(recipe, (epoch * steps + step) / (recipe.epochs * steps))
            for group in optimizer.param_groups:
                group["lr"] = rate
            with torch.autocast(run.device.type, dtype=torch.bfloat16, enabled=has_fast_bf16(run.device)):
                value, figures = loss(batch, generator)
            optimizer.zero_grad(set_to_none=True)
            value.backward()
            optimizer.step()
            for name, figure in figures.items():
                totals[name] = totals.get(name, 0) + figure.detach()
        wait_for(run.device)
        row = {"epoch": float(epoch + 1), "learning_rate": rate, "seconds": time.perf_counter() - started}
        row |= {name: float(total) / steps for name, total in totals.items()} | validate()
        rows.append(row)
        _log(log_file, rows)
        state = {
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "generators": _generator_states(run.device),
            "log": rows,
            "run": _run_key(recipe, run),
        }
        _write_state(state_file, state)  # whole: a kill before it loses one epoch, never the run
        print("  ".join(f"{name} {figure:.4g}" for name, figure in row.items()), flush=True)


def learning_rate(recipe: Recipe, progress: float) -> float:
    """Linear warm-up, then a cosine to the final rate; `progress` runs from 0 to 1."""
    if progress < recipe.warmup:
        return recipe.learning_rate * (0.04 + 0.96 * progress / recipe.warmup)
    cosine = 0.5 * (1 + math.cos(math.pi * (progress - recipe.warmup) / (1 - recipe.warmup)))
    return recipe.final_learning_rate + (recipe.learning_rate - recipe.final_learning_rate) * cosine


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Build a recipe's optimiser; all of torch's step in one kernel."""
    rate, decay = recipe.learning_rate, recipe.weight_decay
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(model.parameters(), lr=rate, momentum=SGD_MOMENTUM, weight_decay=decay, fused=True)
    kinds: dict[str, type[torch.optim.Adam] | type[torch.optim.AdamW]] = {
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
    }
    return kinds[recipe.optimizer](model.parameters(), lr=rate, weight_decay=decay, fused=True)


def _run_key(recipe: Recipe, run: Run) -> str:
    """Write down what decides a run's weights: only a run with the same key may go on from its checkpoint.

    Sorted JSON of what differs from the defaults, so that a new field with a default keeps the key.
    """
    return json.dumps({"recipe": recipe.settings, "seed": run.seed, **run.identity}, sort_keys=True)


@contextmanager
def own_generators(run: Run) -> Iterator[None]:
    """Draw fresh weights and dropout from the run's seed, and leave the caller's generators as they were."""
    on_gpu = run.device.type == "cuda"
    with torch.random.fork_rng([run.device] if on_gpu else []):
        torch.default_generator.manual_seed(run.seed)
        if on_gpu:
            with torch.cuda.device(run.device):
                torch.cuda.manual_seed(run.seed)
        yield


def _generator_states(device: torch.device) -> list[Tensor]:
    states = [torch.get_rng_state()]
    return states if device.type != "cuda" else [*states, torch.cuda.get_rng_state(device)]


def _resume(
    state_file: Path, model: nn.Module, optimizer: torch.optim.Optimizer, recipe: Recipe, run: Run
) -> list[dict[str, float]]:
    """Fill network, optimiser and generators from the checkpoint, if there is one, and give the log of its epochs."""
    if not state_file.exists():
        return []
    state = _read_state(state_file)
    damaged = CheckpointError(f"{state_file} is damaged; remove it to train from the start.")
    try:
        run_then, rows, generators = state["run"], state["log"], state["generators"]
        rows = [{str(name): float(figure) for name, figure in row.items()} for row in rows]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise damaged from error
    if run_then != _run_key(recipe, run):
        raise CheckpointError(
            f"{state_file} was trained with another recipe, seed, network or data; choose another --out or remove it."
        )
    if not 1 <= len(rows) <= recipe.epochs:
        raise damaged
    try:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
    except (RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{state_file} is of another network; choose another --out or remove it.") from error
    try:
        torch.set_rng_state(generators[0])
        if run.device.type == "cuda" and len(generators) > 1:  # a run may go on elsewhere than it began
            torch.cuda.set_rng_state(generators[1], run.device)
    except (RuntimeError, TypeError, LookupError) as error:
        raise damaged from error
    print(f"Going on from epoch {len(rows)} of {state_file}.", flush=True)
    return rows


def _write_state(path: Path, state: dict[str, Any]) -> None:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getvalue()
    with written_whole(path) as partial:
        partial.write_bytes(CHECKPOINT_HEAD + hashlib.sha256(content).hexdigest().encode() + b"\n" + content)


def _read_state(path: Path) -> dict[str, Any]:
    head, _, content = path.read_bytes().partition(b"\n")
    if head.startswith(EARLIER_HEADS):  # without generators, or with the optimiser's numbers in another order
        raise CheckpointError(
            f"{path} is of an earlier version, whose runs cannot go on; remove it to train from the start, or choose "
            "another --out."
        )
    try:
        if head != CHECKPOINT_HEAD + hashlib.sha256(content).hexdigest().encode():
            raise ValueError("digest")
        state = torch.load(io.BytesIO(content), weights_only=True, map_location="cpu")
        if not isinstance(state, dict):
            raise TypeError(type(state))
    except (RuntimeError, EOFError, KeyError, TypeError, ValueError, pickle.UnpicklingError) as error:
        raise CheckpointError(f"{path} is damaged; remove it to train from the start.") from error
    return state


def _batches(shapes: int, batch_size: int, generator: torch.Generator) -> Iterator[Int[Tensor, " B"]]:
    """Shuffled rows in whole batches: batch norm wants no batch of one."""
    order = torch.randperm(shapes, generator=generator)
    return iter(order[: shapes // batch_size * batch_size].split(batch_size))


def has_fast_bf16(device: torch.device) -> bool:
    """Tell whether bf16 autocast pays: where the processor has instructions for it."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    supported = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)  # torch for Apple silicon has no such op
    return supported is not None and bool(supported())


def _log(path: Path, rows: list[dict[str, float]]) -> None:
    """Write one row an epoch; without any there is no log."""
    if not rows:
        path.unlink(missing_ok=True)
        return
    with written_whole(path) as partial, partial.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows({name: f"{figure:.6g}" for name, figure in row.items()} for row in rows)
