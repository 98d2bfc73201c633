"""What do the networks train on? Point sets, their split, augmentation, and the cache of renders and visibility."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import signal
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int, UInt8
from torch import Tensor
from tqdm import tqdm

from pointmcd.cameras import IMAGE_SIZE, ring
from pointmcd.gpu import upload
from pointmcd.render import draw_points
from pointmcd.teachers import to_input_size
from pointmcd.types import ShapeError
from pointmcd.visibility import hidden_point_removal

CHUNK = 32  # shapes a worker prepares at a time: also the grain of resuming
CHUNKS_PER_START = 8  # a further process imports torch in the time that it would take to prepare this many chunks
CACHE_VERSION = "1"  # part of every cache's key: raise it when renders or visibility change


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


@dataclass(frozen=True, eq=False)
class ViewCache:
    """Renders and visibility of a whole point set, memory-mapped.

    Attributes:
        images: Grey renders, downsampled from 224 x 224 to the teacher's input size.
        visibility: Hidden point removal's mask, 8 points a byte.
        folder: Where the arrays lie; teacher features are cached beside them.
        prepared: How many clouds were computed now; the others lay there.
    """

    images: UInt8[np.ndarray, "S V H W"]
    visibility: UInt8[np.ndarray, "S V bytes"]
    folder: Path
    prepared: int = 0

    def masks(self, rows: Int[np.ndarray, " B"], points: int) -> Bool[np.ndarray, "B V N"]:
        """Unpack the visibility of some shapes."""
        return np.unpackbits(self.visibility[rows], axis=-1, count=points).astype(bool)


def prepare_views(
    points: Float32[np.ndarray, "S N 3"], folder: str | Path, *, image_size: int, views: int = 12, workers: int = 0
) -> ViewCache:
    """Render every cloud and test its visibility once, over processes; an interrupted run goes on where it stopped.

    Args:
        points: Normalised clouds.
        folder: Caches live here, one sub-folder per content and setting.
        image_size: The teacher's input size in pixels.
        views: Cameras on the ring.
        workers: Processes; 0 takes one per core where there is enough to do.

    Raises:
        ValueError: A number of views that no ring has, or clouds of less than 3 points.
    """
    home, prepared = _prepare(points, Path(folder), image_size, views, workers, masks=True)
    return ViewCache(
        images=np.load(home / "images.npy", mmap_mode="r"),
        visibility=np.load(home / "visibility.npy", mmap_mode="r"),
        folder=home,
        prepared=prepared,
    )


def prepare_renders(
    points: Float32[np.ndarray, "S N 3"], folder: str | Path, *, image_size: int, views: int = 12, workers: int = 0
) -> UInt8[np.ndarray, "S V H W"]:
    """Do `prepare_views` without visibility: of augmented clouds only the teacher's images are wanted."""
    home, _ = _prepare(points, Path(folder), image_size, views, workers, masks=False)
    images: UInt8[np.ndarray, "S V H W"] = np.load(home / "images.npy", mmap_mode="r")
    return images


def _prepare(
    points: Float32[np.ndarray, "S N 3"], folder: Path, image_size: int, views: int, workers: int, *, masks: bool
) -> tuple[Path, int]:
    count, size = points.shape[:2]
    ring(views)  # refuses a number of views before anything is made
    if masks and size < 3:
        raise ValueError(f"Hidden point removal needs clouds of at least 3 points, not {size}.")
    setting = f"{CACHE_VERSION} {image_size} {views}" + ("" if masks else " renders alone")
    home = folder / hashlib.sha256(points.tobytes() + setting.encode()).hexdigest()[:16]
    home.mkdir(parents=True, exist_ok=True)
    shapes: dict[str, tuple[int, ...]] = {"images": (count, views, image_size, image_size)}
    if masks:
        shapes["visibility"] = (count, views, (size + 7) // 8)
    done_file = home / "done.json"
    made = [_make_array(home / f"{name}.npy", shape) for name, shape in shapes.items()]
    done = set() if any(made) else _read_done(done_file)
    missing = [start for start in range(0, count, CHUNK) if start not in done]
    jobs = [(points[start : start + CHUNK], start, str(home), image_size, views) for start in missing]
    left = sum(len(job[0]) for job in jobs)
    if jobs:
        processes = min(workers or min(os.cpu_count() or 1, 1 + len(jobs) // CHUNKS_PER_START), len(jobs))
        bar = tqdm(
            total=count, initial=count - left, unit="cloud", desc="renders" + ", visibility" * masks, disable=None
        )
        with bar, _workers(processes) as run:
            try:
                for finished in run(_prepare_chunk, jobs):
                    done.add(finished)
                    bar.update(min(CHUNK, count - finished))
                    if len(done) % 16 == 0:
                        _note_done(done_file, done)
            finally:
                _note_done(done_file, done)
    return home, left


def _make_array(path: Path, shape: tuple[int, ...]) -> bool:
    """Lay out an empty array where there is none; tell whether there was none."""
    if path.exists():
        return False
    with written_whole(path) as partial:
        np.lib.format.open_memmap(partial, mode="w+", dtype=np.uint8, shape=shape).flush()
    return True


def _read_done(path: Path) -> set[int]:
    """Read which chunks are done; a damaged list costs time, not data: all are made again."""
    try:
        return set(json.loads(path.read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return set()


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Offer a file that takes the place of `path` once it is complete: a kill or a second process cannot damage it."""
    partial = path.with_name(f"{os.getpid()}.partial_{path.name}")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _note_done(path: Path, done: set[int]) -> None:
    with written_whole(path) as partial:
        partial.write_text(json.dumps(sorted(done)))


@contextmanager
def _workers(count: int) -> Iterator[Callable[..., Iterable[int]]]:
    """Offer an unordered map over processes; one worker is this process, because starting another costs seconds."""
    if count == 1:
        yield map
        return
    context = multiprocessing.get_context("spawn")
    with context.Pool(count, initializer=_start_worker) as pool:
        yield pool.imap_unordered


def _start_worker() -> None:
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process; the first one ends the others


def _prepare_chunk(job: tuple[Float32[np.ndarray, "C N 3"], int, str, int, int]) -> int:
    points, start, home, image_size, views = job
    cameras = ring(views, image_size=IMAGE_SIZE)
    images = np.load(Path(home) / "images.npy", mmap_mode="r+")
    masks = Path(home) / "visibility.npy"
    visibility = np.load(masks, mmap_mode="r+") if masks.exists() else None
    for row, cloud in enumerate(points, start):
        rendered = torch.from_numpy(draw_points(cloud, cameras))[:, None]
        images[row] = to_input_size(rendered, image_size)[:, 0].numpy()
        if visibility is not None:
            mask = hidden_point_removal(cloud.astype(np.float64), cameras.centers)
            visibility[row] = np.packbits(mask, axis=-1)
    return start
