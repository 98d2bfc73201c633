"""What is a labelled set of clouds? Read from ModelNet40's .npz layout and checked."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int

from pointmcd.records import DataError

# A normalised cloud lies within these, in radii: ModelNet40's own stray by less than a thousandth.
FARTHEST_MEAN = 0.1

RADII = (0.9, 1.1)

BLOCK = 1024  # clouds that are looked at together


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

    def labelled_by(self, class_names: tuple[str, ...], *, source: str | Path | None = None) -> PointSet:
        """Give the same shapes with labels that index another list of names, such as a network's.

        Args:
            class_names: That list.
            source: The file that the shapes are of, for the message.

        Raises:
            DataError: A class of these shapes is not in that list.
        """
        present = {self.class_names[label] for label in np.unique(self.labels)}
        unknown = sorted(present - set(class_names))
        if unknown:
            where = "" if source is None else f"{source}: "
            raise DataError(f"{where}the networks know no class {unknown[0]!r}; they know: {', '.join(class_names)}.")
        order = np.array([class_names.index(name) if name in present else -1 for name in self.class_names])
        return PointSet(self.points, order[self.labels], class_names)


def load_point_set(path: str | Path, *, normalise: bool = False) -> PointSet:
    """Read `points (S, N, 3)`, `labels (S,)` and `class_names` from an .npz file.

    Args:
        path: The file.
        normalise: Whether each cloud's mean goes to the origin and its farthest point to distance 1; otherwise they
            must lie so already.

    Raises:
        DataError: The file is missing, is no .npz, lacks an array, its arrays do not fit together, or its clouds are
            not normalised.
    """
    try:
        with Path(path).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            points, labels, names = (arrays[key] for key in ("points", "labels", "class_names"))
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such file. Give an .npz with points, labels and class_names.") from error
    except (ValueError, KeyError, OSError, EOFError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path}: not a data set: an .npz with points, labels and class_names is needed.") from error
    if points.ndim != 3 or points.shape[2] != 3 or labels.shape != points.shape[:1]:
        raise DataError(f"{path}: points must be (S, N, 3) with one label each, not {points.shape} and {labels.shape}.")
    if not points.size:
        raise DataError(f"{path}: there are no points in it: its points are {points.shape}.")
    if not (np.issubdtype(points.dtype, np.number) and np.isfinite(points).all()):
        raise DataError(f"{path}: every coordinate must be a finite number.")
    if names.ndim != 1:
        raise DataError(f"{path}: class_names must be a list of names, not of shape {names.shape}.")
    if not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0 or labels.max() >= len(names):
        raise DataError(f"{path}: every label must be an index into its {len(names)} class_names.")
    alone = np.flatnonzero((points == points[:, :1]).all(axis=(1, 2)))
    if len(alone):
        raise DataError(f"{path}: all points of cloud {alone[0]} lie in one place.")
    class_names = tuple(str(name) for name in names)
    twice = next((name for place, name in enumerate(class_names) if name in class_names[:place]), None)
    if twice is not None:
        raise DataError(f"{path}: two classes are called {twice!r}; give each class a name of its own.")
    if normalise:
        points = np.concatenate([_normalised(block) for block in _blocks(points)])
    else:
        _check_normalised(points, path)
    return PointSet(points.astype(np.float32), labels.astype(np.int64), class_names)


def check_training_set(data: PointSet, path: str | Path, *, batch_size: int, share: float) -> None:
    """Refuse what cannot be trained on, before anything is computed.

    Args:
        data: As `load_point_set` gives it.
        path: Of its file, for the message.
        batch_size: Shapes a step.
        share: Of each class, held out for validation.

    Raises:
        DataError: Less than two classes have shapes, no class has two, or there is less than one batch.
    """
    present = len(np.unique(data.labels))
    if present < 2:
        raise DataError(f"{path}: training needs shapes of at least 2 classes, and there are {present}.")
    try:
        rows, _ = split_validation(data.labels, share=share, seed=0)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    if len(rows) < batch_size:
        raise DataError(
            f"{path}: training needs at least one batch of {batch_size} shapes, and there are {len(rows)} beside those "
            "held out for validation."
        )


def _blocks(points: np.ndarray) -> Iterator[np.ndarray]:
    return (points[start : start + BLOCK].astype(np.float64) for start in range(0, len(points), BLOCK))


def _normalised(points: np.ndarray) -> np.ndarray:
    """Centre clouds on their mean, farthest point at distance 1; scaled down first, so that nothing overflows."""
    scaled = points / np.abs(points).max(axis=(1, 2), keepdims=True)
    centred = scaled - scaled.mean(axis=1, keepdims=True)
    return np.asarray((centred / np.linalg.norm(centred, axis=2).max(axis=1)[:, None, None]).astype(np.float32))


def _check_normalised(points: np.ndarray, path: str | Path) -> None:
    first = 0
    for block in _blocks(points):
        with np.errstate(over="ignore"):
            mean = np.linalg.norm(block.mean(axis=1), axis=1)
            radius = np.linalg.norm(block, axis=2).max(axis=1)
        wrong = np.flatnonzero(~((mean <= FARTHEST_MEAN) & (radius >= RADII[0]) & (radius <= RADII[1])))
        if len(wrong):
            raise DataError(
                f"{path}: cloud {first + wrong[0]} is not normalised: its mean lies {mean[wrong[0]]:.3g} from the "
                f"origin and its farthest point {radius[wrong[0]]:.3g}, where 0 and 1 are needed; give --normalise."
            )
        first += len(block)


def split_validation(
    labels: Int[np.ndarray, " S"], *, share: float, seed: int
) -> tuple[Int[np.ndarray, " A"], Int[np.ndarray, " B"]]:
    """Split rows into train and validation: the same share of every class, and one at least where there are two.

    Raises:
        DataError: No class has two shapes.
    """
    generator = np.random.default_rng(seed)
    held_out = [
        generator.permutation(rows)[: max(round(share * len(rows)), min(1, len(rows) - 1))]
        for rows in (np.flatnonzero(labels == label) for label in np.unique(labels))
    ]
    validation = np.sort(np.concatenate(held_out))
    if not len(validation):
        raise DataError("No class has two shapes: there is none to hold out for validation.")
    return np.setdiff1d(np.arange(len(labels)), validation), validation
