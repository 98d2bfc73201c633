"""What do the networks train on? Point sets, their split and augmentation."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32, Int
from torch import Tensor

from pointmcd.gpu import upload
from pointmcd.types import ShapeError


@dataclass(frozen=True, eq=False)
class PointSet:
    """A labelled set of clouds in the layout of ModelNet40's .npz files.

    Attributes:
        points: Centred clouds, farthest point at distance 1, Z up.
        labels: Index into `class_names`.
        class_names: In the data set's official order.
    """

    points: Float32[np.ndarray, "S N 3"]
    labels: Int[np.ndarray, " S"]
    class_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.points)

    @property
    def sha256(self) -> str:
        """Names the content: clouds and labels."""
        return hashlib.sha256(self.points.tobytes() + self.labels.tobytes()).hexdigest()

    def subset(self, rows: Int[np.ndarray, " R"]) -> PointSet:
        return PointSet(self.points[rows], self.labels[rows], self.class_names)

    def labelled_by(self, class_names: tuple[str, ...]) -> PointSet:
        """Give the same shapes with labels that index another list of names, such as a network's.

        Raises:
            ShapeError: A class of these shapes is not in that list.
        """
        present = {self.class_names[label] for label in np.unique(self.labels)}
        unknown = sorted(present - set(class_names))
        if unknown:
            raise ShapeError(f"The weights know no class {unknown[0]!r}; they know: {', '.join(class_names)}.")
        order = np.array([class_names.index(name) if name in present else -1 for name in self.class_names])
        return PointSet(self.points, order[self.labels], class_names)


def load_point_set(path: str | Path) -> PointSet:
    """Read `points (S, N, 3)`, `labels (S,)` and `class_names` from an .npz file.

    Raises:
        ShapeError: The file is missing, is no .npz, lacks an array, or its arrays do not fit together.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            points, labels, names = (arrays[key] for key in ("points", "labels", "class_names"))
    except FileNotFoundError as error:
        raise ShapeError(f"{path}: there is no such file. Give an .npz with points, labels and class_names.") from error
    except (ValueError, KeyError, OSError, EOFError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise ShapeError(f"{path}: not a data set: an .npz with points, labels and class_names is needed.") from error
    if points.ndim != 3 or points.shape[2] != 3 or labels.shape != points.shape[:1]:
        raise ShapeError(
            f"{path}: points must be (S, N, 3) with one label each, not {points.shape} and {labels.shape}."
        )
    if not points.size:
        raise ShapeError(f"{path}: there are no points in it: its points are {points.shape}.")
    if not (np.issubdtype(points.dtype, np.number) and np.isfinite(points).all()):
        raise ShapeError(f"{path}: every coordinate must be a finite number.")
    if names.ndim != 1:
        raise ShapeError(f"{path}: class_names must be a list of names, not of shape {names.shape}.")
    if not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0 or labels.max() >= len(names):
        raise ShapeError(f"{path}: every label must be an index into its {len(names)} class_names.")
    alone = np.flatnonzero((points == points[:, :1]).all(axis=(1, 2)))
    if len(alone):
        raise ShapeError(f"{path}: all points of cloud {alone[0]} lie in one place.")
    return PointSet(points.astype(np.float32), labels.astype(np.int64), tuple(str(name) for name in names))


def split_validation(
    labels: Int[np.ndarray, " S"], *, share: float, seed: int
) -> tuple[Int[np.ndarray, " A"], Int[np.ndarray, " B"]]:
    """Split rows into train and validation: the same share of every class, and one at least where there are two.

    Raises:
        ValueError: No class has two shapes.
    """
    generator = np.random.default_rng(seed)
    held_out = [
        generator.permutation(rows)[: max(round(share * len(rows)), min(1, len(rows) - 1))]
        for rows in (np.flatnonzero(labels == label) for label in np.unique(labels))
    ]
    validation = np.sort(np.concatenate(held_out))
    if not len(validation):
        raise ValueError("No class has two shapes: there is none to hold out for validation.")
    return np.setdiff1d(np.arange(len(labels)), validation), validation


def scale_and_shift(
    points: Float[Tensor, "B N 3"], *, scale: tuple[float, float], shift: float, generator: torch.Generator
) -> Float[Tensor, "B N 3"]:
    """Stretch each axis and move each cloud at random; visibility stays the unaugmented cloud's (docs/method.md)."""
    shape = (len(points), 1, 3)
    low, high = scale
    factors = torch.rand(shape, generator=generator) * (high - low) + low
    moves = (torch.rand(shape, generator=generator) * 2 - 1) * shift
    factors, moves = (upload(values, points.device).to(points) for values in (factors, moves))
    return points * factors + moves


def augmented_copies(
    points: Float32[np.ndarray, "S N 3"], *, copies: int, scale: tuple[float, float], shift: float, seed: int
) -> Float32[np.ndarray, "R N 3"]:
    """Stretch each axis of every cloud, bring it back to the unit sphere as every reader does, and move it.

    Returns:
        R = copies * S clouds: all of the first copy, then all of the second, and so on.
    """
    generator = torch.Generator().manual_seed(seed)
    stretched = scale_and_shift(
        torch.from_numpy(points).repeat(copies, 1, 1), scale=scale, shift=0.0, generator=generator
    )
    stretched /= stretched.norm(dim=-1).amax(dim=1)[:, None, None]
    moved = scale_and_shift(stretched, scale=(1.0, 1.0), shift=shift, generator=generator)
    return np.asarray(moved.numpy(), dtype=np.float32)
