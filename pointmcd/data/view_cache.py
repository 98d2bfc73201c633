"""Where do the renders and the visibility of a whole point set lie, and how are they made once?"""

from __future__ import annotations

import hashlib
import json
import math
import multiprocessing
import os
import signal
import tokenize
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int, UInt8
from tqdm import tqdm

from pointmcd.choices import VIEWS
from pointmcd.files import errors_that_name, written_whole
from pointmcd.networks.teachers.classification import to_input_size
from pointmcd.records import DataError
from pointmcd.scene.batched_render import batched_draw_points
from pointmcd.scene.batched_visibility import batched_hidden_point_removal
from pointmcd.scene.cameras import IMAGE_SIZE, Rig
from pointmcd.scene.render import draw_points
from pointmcd.scene.visibility import hidden_point_removal

CHUNK = 32  # shapes a worker prepares at a time: also the grain of resuming
CHUNKS_PER_START = 8  # a further process imports torch in the time that it would take to prepare this many chunks
# What a GPU prepares at a time, at most, but for a single chunk: 128 clouds of 1,024 points from 12 views, some 2 GB.
POINTS_PER_BATCH = 1 << 17
IMAGES_PER_BATCH = 1536
CACHE_VERSION = "1"  # part of every cache's key: raise it when renders or visibility change
# What numpy raises at a damaged .npy file.
UNREADABLE = (ValueError, EOFError, SyntaxError, TypeError, KeyError, MemoryError, OverflowError, RecursionError,
              tokenize.TokenError)  # fmt: skip
Job = tuple[np.ndarray, int, str, int, Rig]  # clouds of a chunk, number of the first, folder, pixels, cameras


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
    points: Float32[np.ndarray, "S N 3"],
    folder: str | Path,
    *,
    image_size: int,
    views: int = VIEWS,
    rig: Rig | None = None,
    workers: int = 0,
    device: torch.device | None = None,
    batched: bool | None = None,
) -> ViewCache:
    """Render every cloud and test its visibility once; an interrupted run goes on where it stopped.

    Args:
        points: Normalised clouds.
        folder: Caches live here, one sub-folder per content and setting.
        image_size: The teacher's input size in pixels.
        views: Cameras on the ring.
        rig: Other cameras than that ring.
        workers: Processes on a CPU; 0 takes one per core where there is enough to do.
        device: Where to compute; None is the CPU.
        batched: Whether many clouds are computed at once in this process; None does so on any device but a CPU, where
            it is slower. What is computed so has a cache of its own, as rounding may hide a point from it.

    Raises:
        SettingError: A number of views that no ring has.
        DataError: Clouds of less than 3 points, an array that is damaged, or a worker that was killed: what was
            finished by then is kept.
        OSError: An array cannot be written; the error names it, and what was finished by then is kept.
    """
    setting = _Setting(image_size, rig or Rig.ring(views), masks=True, device=_batch_device(device, batched))
    home, prepared = _prepare(points, Path(folder), setting, workers)
    return ViewCache(
        images=read_array(home / "images.npy", mapped=True),
        visibility=read_array(home / "visibility.npy", mapped=True),
        folder=home,
        prepared=prepared,
    )


def prepare_renders(
    points: Float32[np.ndarray, "S N 3"],
    folder: str | Path,
    *,
    image_size: int,
    views: int = VIEWS,
    rig: Rig | None = None,
    workers: int = 0,
    device: torch.device | None = None,
    batched: bool | None = None,
) -> UInt8[np.ndarray, "S V H W"]:
    """Do `prepare_views` without visibility: of augmented clouds only the teacher's images are wanted."""
    setting = _Setting(image_size, rig or Rig.ring(views), masks=False, device=_batch_device(device, batched))
    home, _ = _prepare(points, Path(folder), setting, workers)
    return read_array(home / "images.npy", mapped=True)


def read_array(
    path: Path,
    *,
    shape: tuple[int | None, ...] | None = None,
    dtype: type[np.generic] | None = None,
    mapped: bool = False,
) -> np.ndarray:
    """Read an array of a cache.

    Args:
        path: An .npy file.
        shape: What it must have; None stands for any length.
        dtype: What it must have.
        mapped: Whether it stays on the disk.

    Raises:
        DataError: It is damaged, or is another array.
    """
    try:
        with path.open("rb") as file:
            np.lib.format.read_magic(file)  # numpy would open an archive too
        array = np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
        fits = True
    except UNREADABLE:
        fits = False
    if fits and shape is not None:
        fits = len(array.shape) == len(shape) and all(
            wanted in (None, length) for wanted, length in zip(shape, array.shape, strict=True)
        )
    if fits and dtype is not None:
        fits = array.dtype == dtype
    if not fits:
        raise DataError(f"{path} is damaged; remove it, and the same command makes it again.")
    return np.asarray(array) if not mapped else array


def _batch_device(device: torch.device | None, batched: bool | None) -> torch.device | None:
    device = device or torch.device("cpu")
    return device if (device.type != "cpu" if batched is None else batched) else None


@dataclass(frozen=True)
class _Setting:
    """What decides a cache, but for the clouds.

    Attributes:
        image_size: In pixels, of what is kept.
        rig: The cameras.
        masks: Whether visibility is wanted too.
        device: Where clouds are computed in batches; None computes them one by one, over processes.
    """

    image_size: int
    rig: Rig
    masks: bool
    device: torch.device | None

    def __str__(self) -> str:
        kind = ("" if self.masks else " renders alone") + ("" if self.device is None else " batched")
        views = len(self.rig.azimuth_deg)
        cameras = str(views) if self.rig == Rig.ring(views) else self.rig.key  # a ring's caches are older than rigs
        return f"{CACHE_VERSION} {self.image_size} {cameras}{kind}"


def _prepare(points: Float32[np.ndarray, "S N 3"], folder: Path, setting: _Setting, workers: int) -> tuple[Path, int]:
    count, size = points.shape[:2]
    views = len(setting.rig.azimuth_deg)
    if setting.masks and size < 3:
        raise DataError(f"Hidden point removal needs clouds of at least 3 points, not {size}.")
    home = folder / hashlib.sha256(points.tobytes() + str(setting).encode()).hexdigest()[:16]
    home.mkdir(parents=True, exist_ok=True)
    shapes: dict[str, tuple[int, ...]] = {"images": (count, views, setting.image_size, setting.image_size)}
    if setting.masks:
        shapes["visibility"] = (count, views, (size + 7) // 8)
    done_file = home / "done.json"
    starts = range(0, count, CHUNK)
    done = _read_done(done_file).intersection(starts) if _lay_out(home, shapes) else set()
    missing = [start for start in starts if start not in done]
    left = sum(min(CHUNK, count - start) for start in missing)
    if missing:
        what = "renders" + ", visibility" * setting.masks
        bar = tqdm(total=count, initial=count - left, unit="cloud", desc=what, disable=None)
        with bar, _computed(points, missing, home, setting, workers) as chunks:
            for finished in chunks:
                done.add(finished)
                _note_done(done_file, done)
                bar.update(min(CHUNK, count - finished))
    return home, left


def _lay_out(home: Path, shapes: dict[str, tuple[int, ...]]) -> bool:
    """Lay out empty arrays where there are none, and tell whether all were there.

    Of several processes that do so at once, one does and all write into the same arrays. A list of what is done never
    stands beside an array that was made after it.

    Raises:
        DataError: An array that is there is damaged.
    """
    lost = [name for name in shapes if not (home / f"{name}.npy").exists()]
    if lost:
        (home / "done.json").unlink(missing_ok=True)
    for name in lost:
        with written_whole(home / f"{name}.npy", replace=False) as partial:
            np.lib.format.open_memmap(partial, mode="w+", dtype=np.uint8, shape=shapes[name]).flush()
    for name, shape in shapes.items():
        read_array(home / f"{name}.npy", shape=shape, dtype=np.uint8, mapped=True)
    return not lost


def _read_done(path: Path) -> set[int]:
    """Read which chunks are done; a damaged list costs time, not data: all are made again."""
    try:
        return set(json.loads(path.read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return set()


def _note_done(path: Path, done: set[int]) -> None:
    with written_whole(path) as partial:
        partial.write_text(json.dumps(sorted(done)))


@contextmanager
def _computed(
    points: Float32[np.ndarray, "S N 3"], starts: list[int], home: Path, setting: _Setting, workers: int
) -> Iterator[Iterable[int]]:
    """Offer the chunks that begin at `starts` one by one, in any order, as they are computed and written."""
    if setting.device is not None:
        yield _compute_batches(points, starts, home, setting, setting.device)
        return
    jobs = [(points[start : start + CHUNK], start, str(home), setting.image_size, setting.rig) for start in starts]
    count = min(workers or min(os.cpu_count() or 1, 1 + len(jobs) // CHUNKS_PER_START), len(jobs))
    if count == 1:  # this process, because starting another costs seconds
        yield map(_prepare_chunk, jobs)
        return
    yield _compute_in_workers(jobs, count, home)


def _compute_in_workers(jobs: list[Job], count: int, home: Path) -> Iterator[int]:
    """Share the chunks out; when one fails, those that were begun are still finished and told.

    Raises:
        DataError: A worker was killed.
    """
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("spawn"), initializer=_start_worker)
    failure: BaseException | None = None
    try:
        waiting = {pool.submit(_prepare_chunk, job) for job in jobs}
        for future in as_completed(waiting):
            if future.cancelled():
                continue
            error = future.exception()
            if error is None:
                yield future.result()
            elif failure is None:
                failure = error
                _cancel(waiting)
    finally:  # after Ctrl-C nobody waits for chunks that are under way: the same command makes them again
        pool.shutdown(wait=False, cancel_futures=True)
        for process in set(multiprocessing.active_children()) - others:
            process.terminate()
    if isinstance(failure, BrokenProcessPool):
        raise DataError(
            f"{home / 'images.npy'}: a process that was writing it was killed, perhaps for want of memory; the same "
            "command goes on where it stopped, and needs less memory with fewer --workers."
        ) from failure
    if failure is not None:
        raise failure


def _cancel(futures: Iterable[Future[int]]) -> None:
    for future in futures:
        future.cancel()


def _compute_batches(
    points: Float32[np.ndarray, "S N 3"], starts: list[int], home: Path, setting: _Setting, device: torch.device
) -> Iterator[int]:
    cameras = setting.rig.cameras(image_size=IMAGE_SIZE)
    clouds_per_batch = min(POINTS_PER_BATCH // points.shape[1], IMAGES_PER_BATCH // len(cameras.azimuth_deg))
    together = max(1, clouds_per_batch // CHUNK)
    for first in range(0, len(starts), together):
        batch = starts[first : first + together]
        rows = np.concatenate([np.arange(start, min(start + CHUNK, len(points))) for start in batch])
        clouds = torch.from_numpy(points[rows]).to(device)
        made = {"images": to_input_size(batched_draw_points(clouds, cameras), setting.image_size).cpu().numpy()}
        if setting.masks:
            masks = batched_hidden_point_removal(clouds, torch.from_numpy(cameras.centers).to(device))
            made["visibility"] = np.packbits(masks.cpu().numpy(), axis=-1)
        for place, start in enumerate(batch):
            of_chunk = slice(place * CHUNK, (place + 1) * CHUNK)
            for name, values in made.items():
                _write_rows(home / f"{name}.npy", start, values[of_chunk])
            yield start


def _start_worker() -> None:
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process; the first one ends the others


def _prepare_chunk(job: Job) -> int:
    points, start, home, image_size, rig = job
    cameras = rig.cameras(image_size=IMAGE_SIZE)
    with_masks = (Path(home) / "visibility.npy").exists()
    images, visibility = [], []
    for cloud in points:
        rendered = torch.from_numpy(draw_points(cloud, cameras))[:, None]
        images.append(to_input_size(rendered, image_size)[:, 0].numpy())
        if with_masks:
            mask = hidden_point_removal(cloud.astype(np.float64), cameras.centers)
            visibility.append(np.packbits(mask, axis=-1))
    _write_rows(Path(home) / "images.npy", start, np.stack(images))
    if with_masks:
        _write_rows(Path(home) / "visibility.npy", start, np.stack(visibility))
    return start


def _write_rows(path: Path, first: int, rows: UInt8[np.ndarray, "C ..."]) -> None:
    """Write rows of an array, down to the disk. Through a memory map a full disk would kill the process (SIGBUS)."""
    with errors_that_name(path), path.open("rb+") as file:
        version = np.lib.format.read_magic(file)
        read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        read_header[version](file)
        file.seek(first * math.prod(rows.shape[1:]), os.SEEK_CUR)
        file.write(np.ascontiguousarray(rows).data)
        file.flush()
        os.fsync(file.fileno())
