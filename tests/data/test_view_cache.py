"""Does the cache hold what was asked of it, whoever made it, in whatever order and however often interrupted?"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import resource
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

import pointmcd.data.view_cache
from pointmcd.__main__ import main
from pointmcd.data.view_cache import ViewCache, prepare_renders, prepare_views
from pointmcd.files import written_whole
from pointmcd.networks.teachers.classification import to_input_size
from pointmcd.scene.cameras import Rig, ring
from pointmcd.scene.render import render_points
from pointmcd.scene.visibility import hidden_point_removal
from tests.conftest import write_point_set

CLOUDS = 35  # two chunks, the second one short
VIEWS = 2


@pytest.fixture(scope="module")
def clouds() -> np.ndarray:
    points = np.random.default_rng(0).normal(size=(CLOUDS, 37, 3))
    points /= np.linalg.norm(points, axis=2, keepdims=True)
    return (points * [1, 0.7, 0.5]).astype(np.float32)


@pytest.fixture(scope="module")
def cache(clouds: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> ViewCache:
    return prepare_views(clouds, tmp_path_factory.mktemp("cache"), image_size=48, views=VIEWS, workers=1)


@pytest.mark.parametrize("row", [0, 31, 32, 34])
def test_the_cache_holds_each_clouds_renders_and_visibility(cache: ViewCache, clouds: np.ndarray, row: int) -> None:
    cameras = ring(VIEWS)
    whole = torch.from_numpy(render_points(clouds[row], cameras).images[..., 0])[:, None]
    assert np.array_equal(cache.images[row], to_input_size(whole, 48)[:, 0].numpy())
    seen = hidden_point_removal(clouds[row].astype(np.float64), cameras.centers)
    assert np.array_equal(cache.masks(np.array([row]), 37)[0], seen)
    assert 0 < seen.mean() < 1


def test_renders_alone_are_those_of_the_whole_cache_without_visibility(
    cache: ViewCache, clouds: np.ndarray, tmp_path: Path
) -> None:
    images = prepare_renders(clouds, tmp_path, image_size=48, views=VIEWS, workers=1)
    assert np.array_equal(images, cache.images)
    assert not list(tmp_path.glob("*/visibility.npy"))


def test_a_full_cache_is_used_as_it_is(cache: ViewCache, clouds: np.ndarray) -> None:
    before = (cache.folder / "images.npy").stat().st_mtime_ns
    again = prepare_views(clouds, cache.folder.parent, image_size=48, views=VIEWS)
    assert again.folder == cache.folder
    assert (cache.folder / "images.npy").stat().st_mtime_ns == before


def test_a_cache_says_how_many_clouds_it_had_to_prepare(cache: ViewCache, clouds: np.ndarray) -> None:
    assert cache.prepared == CLOUDS
    assert prepare_views(clouds, cache.folder.parent, image_size=48, views=VIEWS).prepared == 0


def test_what_was_done_before_a_failure_is_not_done_again(
    cache: ViewCache, clouds: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare_chunk = pointmcd.data.view_cache._prepare_chunk

    def failing(job: tuple[np.ndarray, int, str, int, Rig]) -> int:
        if job[1]:
            raise OSError("no space left")
        return prepare_chunk(job)

    monkeypatch.setattr(pointmcd.data.view_cache, "_prepare_chunk", failing)
    with pytest.raises(OSError, match="no space left"):
        prepare_views(clouds, tmp_path, image_size=48, views=VIEWS, workers=1)
    monkeypatch.setattr(pointmcd.data.view_cache, "_prepare_chunk", prepare_chunk)
    resumed = prepare_views(clouds, tmp_path, image_size=48, views=VIEWS, workers=1)
    assert resumed.prepared == CLOUDS - 32
    assert np.array_equal(resumed.images, cache.images)
    assert np.array_equal(resumed.visibility, cache.visibility)


def test_two_processes_prepare_what_one_does(cache: ViewCache, clouds: np.ndarray, tmp_path: Path) -> None:
    both = prepare_views(clouds, tmp_path, image_size=48, views=VIEWS, workers=2)
    assert np.array_equal(both.images, cache.images)
    assert np.array_equal(both.visibility, cache.visibility)


@pytest.mark.parametrize(
    ("points", "views", "message"), [(2, VIEWS, "at least 3 points, not 2"), (9, 0, "not 0"), (9, 65, "not 65")]
)
def test_what_cannot_be_prepared_is_refused_before_anything_is_written(
    points: int, views: int, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        prepare_views(np.zeros((4, points, 3), dtype=np.float32), tmp_path, image_size=48, views=views)
    assert not list(tmp_path.iterdir())


def test_an_interrupted_cache_goes_on_with_the_missing_chunks(
    cache: ViewCache, clouds: np.ndarray, tmp_path: Path
) -> None:
    home = tmp_path / cache.folder.name
    home.mkdir()
    images, visibility = np.array(cache.images), np.array(cache.visibility)
    images[32:], visibility[32:] = 0, 0  # the second chunk was never written
    images[0] = 77  # a mark on the first, which must not be made again
    np.save(home / "images.npy", images)
    np.save(home / "visibility.npy", visibility)
    (home / "done.json").write_text(json.dumps([0]))
    resumed = prepare_views(clouds, tmp_path, image_size=48, views=VIEWS, workers=1)
    assert (resumed.images[0] == 77).all()
    assert np.array_equal(resumed.images[1:], cache.images[1:])
    assert np.array_equal(resumed.visibility[32:], cache.visibility[32:])


def test_a_file_that_is_not_written_to_its_end_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "kept.json"
    path.write_text("[0]")

    def killed_while_writing() -> None:
        with written_whole(path) as partial:
            partial.write_text("[0, 3")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        killed_while_writing()
    assert path.read_text() == "[0]"
    assert list(tmp_path.iterdir()) == [path]


def test_a_finished_cache_leaves_no_partial_files(cache: ViewCache) -> None:
    assert {path.name for path in cache.folder.iterdir()} == {"images.npy", "visibility.npy", "done.json"}


def test_other_points_or_settings_have_a_cache_of_their_own(clouds: np.ndarray, tmp_path: Path) -> None:
    few = clouds[:1]
    folders = {
        prepare_views(points, tmp_path, image_size=size, views=VIEWS, workers=1).folder
        for points, size in ((few, 16), (few, 24), (few[:, ::-1].copy(), 16))
    }
    assert len(folders) == 3


def test_a_rings_cache_is_found_where_it_lay_before_there_were_rigs(cache: ViewCache, clouds: np.ndarray) -> None:
    before = hashlib.sha256(clouds.tobytes() + f"1 48 {VIEWS}".encode()).hexdigest()[:16]
    assert cache.folder.name == before
    again = prepare_views(clouds, cache.folder.parent, image_size=48, rig=Rig.ring(VIEWS))
    assert (again.prepared, again.folder) == (0, cache.folder)


def test_another_rig_has_a_cache_of_its_own_with_its_own_cameras(clouds: np.ndarray, tmp_path: Path) -> None:
    rigs = [Rig.ring(2), Rig.ring(2, elevation_deg=10.0), Rig.ring(2, distance=3.0), Rig((0.0, 90.0), (0.0, -30.0))]
    caches = [prepare_views(clouds[:1], tmp_path, image_size=16, rig=rig, workers=1) for rig in rigs]
    assert len({cache.folder for cache in caches}) == len(rigs)
    for rig, cache in zip(rigs, caches, strict=True):
        seen = hidden_point_removal(clouds[0].astype(np.float64), rig.cameras().centers)
        assert np.array_equal(cache.masks(np.array([0]), 37)[0], seen)


def test_a_lost_array_is_made_again_although_every_chunk_was_done(
    cache: ViewCache, clouds: np.ndarray, tmp_path: Path
) -> None:
    home = tmp_path / cache.folder.name
    home.mkdir()
    np.save(home / "images.npy", np.array(cache.images))  # visibility.npy is gone
    (home / "done.json").write_text(json.dumps([0, 32]))
    again = prepare_views(clouds, tmp_path, image_size=48, views=VIEWS, workers=1)
    assert np.array_equal(again.visibility, cache.visibility)


def test_a_damaged_list_of_what_is_done_costs_no_data(cache: ViewCache, clouds: np.ndarray, tmp_path: Path) -> None:
    home = tmp_path / cache.folder.name
    home.mkdir()
    np.save(home / "images.npy", np.zeros_like(cache.images))
    np.save(home / "visibility.npy", np.zeros_like(cache.visibility))
    (home / "done.json").write_text("[0, 3")
    again = prepare_views(clouds, tmp_path, image_size=48, views=VIEWS, workers=1)
    assert np.array_equal(again.images, cache.images)


def kill_at_the_first_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(job: object) -> int:
        raise MemoryError("killed")

    monkeypatch.setattr(pointmcd.data.view_cache, "_prepare_chunk", killed)
    monkeypatch.setattr(
        pointmcd.data.view_cache, "_note_done", lambda path, done: None
    )  # a killed process writes nothing more


def test_a_process_that_starts_late_does_not_empty_what_another_has_prepared(
    cache: ViewCache, clouds: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out = np.lib.format.open_memmap

    def overtaken(*arguments: object, **options: object) -> np.ndarray:
        monkeypatch.setattr(np.lib.format, "open_memmap", lay_out)
        prepare_views(clouds, tmp_path, image_size=48, views=VIEWS, workers=1)  # another process, from start to end
        kill_at_the_first_chunk(monkeypatch)
        return lay_out(*arguments, **options)

    monkeypatch.setattr(np.lib.format, "open_memmap", overtaken)  # called after looking whether the arrays are there
    with pytest.raises(MemoryError, match="killed"):
        prepare_views(clouds, tmp_path, image_size=48, views=VIEWS, workers=1)
    monkeypatch.undo()
    after = prepare_views(clouds, tmp_path, image_size=48, views=VIEWS, workers=1)
    assert np.array_equal(after.images, cache.images)
    assert np.array_equal(after.visibility, cache.visibility)


def test_a_list_of_what_was_done_does_not_outlive_its_arrays(
    cache: ViewCache, clouds: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / cache.folder.name
    home.mkdir()
    (home / "done.json").write_text(json.dumps([0, 32]))  # both arrays are gone
    with monkeypatch.context() as killing:
        kill_at_the_first_chunk(killing)
        with pytest.raises(MemoryError, match="killed"):
            prepare_views(clouds, tmp_path, image_size=48, views=VIEWS, workers=1)
    after = prepare_views(clouds, tmp_path, image_size=48, views=VIEWS, workers=1)
    assert np.array_equal(after.images, cache.images)
    assert np.array_equal(after.visibility, cache.visibility)


@pytest.fixture
def without_links(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(file: Path, path: Path) -> None:
        raise PermissionError("no links here")

    monkeypatch.setattr("os.link", refused)


def test_a_folder_that_takes_no_links_holds_a_cache_too(
    cache: ViewCache, clouds: np.ndarray, tmp_path: Path, without_links: None
) -> None:
    made = prepare_views(clouds, tmp_path, image_size=48, views=VIEWS, workers=1)
    assert np.array_equal(made.images, cache.images)
    assert {path.name for path in made.folder.iterdir()} == {"images.npy", "visibility.npy", "done.json"}


def test_batches_fill_a_cache_of_their_own_with_the_same_bytes(
    cache: ViewCache, clouds: np.ndarray, tmp_path: Path
) -> None:
    batched = prepare_views(clouds, tmp_path, image_size=48, views=VIEWS, batched=True)
    assert batched.prepared == CLOUDS
    assert batched.folder.name != cache.folder.name
    assert np.array_equal(batched.images, cache.images)
    assert np.array_equal(batched.visibility, cache.visibility)
    assert {path.name for path in batched.folder.iterdir()} == {"images.npy", "visibility.npy", "done.json"}
    again = prepare_views(clouds, tmp_path, image_size=48, views=VIEWS, batched=True)
    assert (again.prepared, again.folder) == (0, batched.folder)


def test_batched_renders_alone_are_the_same_bytes(cache: ViewCache, clouds: np.ndarray, tmp_path: Path) -> None:
    assert np.array_equal(prepare_renders(clouds, tmp_path, image_size=48, views=VIEWS, batched=True), cache.images)
    assert not list(tmp_path.glob("*/visibility.npy"))


def test_on_a_cpu_clouds_are_not_batched_unless_asked(cache: ViewCache, clouds: np.ndarray) -> None:
    on_cpu = prepare_views(clouds, cache.folder.parent, image_size=48, views=VIEWS, device=torch.device("cpu"))
    assert (on_cpu.prepared, on_cpu.folder) == (0, cache.folder)


def test_interrupted_batches_go_on_with_the_missing_chunks(
    cache: ViewCache, clouds: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pointmcd.data.view_cache, "POINTS_PER_BATCH", 1)  # a batch is one chunk
    removal = pointmcd.data.view_cache.batched_hidden_point_removal
    asked = []

    def failing(points: torch.Tensor, centers: torch.Tensor) -> torch.Tensor:
        asked.append(len(points))
        if len(asked) == 2:
            raise OSError("no space left")
        return removal(points, centers)

    monkeypatch.setattr(pointmcd.data.view_cache, "batched_hidden_point_removal", failing)
    with pytest.raises(OSError, match="no space left"):
        prepare_views(clouds, tmp_path, image_size=48, views=VIEWS, batched=True)
    resumed = prepare_views(clouds, tmp_path, image_size=48, views=VIEWS, batched=True)
    assert asked == [32, 3, 3]
    assert resumed.prepared == 3
    assert np.array_equal(resumed.images, cache.images)
    assert np.array_equal(resumed.visibility, cache.visibility)


@contextmanager
def no_file_longer_than(count: int) -> Iterator[None]:
    """A disk that is full: the system refuses to write behind so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (count, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_cache_that_finds_no_room_names_its_file(clouds: np.ndarray, tmp_path: Path) -> None:
    with no_file_longer_than(20_000), pytest.raises(OSError, match=r"images\.npy"):
        prepare_views(clouds, tmp_path, image_size=48, views=VIEWS, workers=1)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("batched", [False, True])
def test_a_disk_that_fills_up_meanwhile_names_the_file_and_loses_no_finished_chunk(
    cache: ViewCache, clouds: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batched: bool
) -> None:
    monkeypatch.setattr(pointmcd.data.view_cache, "POINTS_PER_BATCH", 1)
    with monkeypatch.context() as killing:
        kill_at_the_first_chunk(killing)
        killing.setattr(pointmcd.data.view_cache, "batched_draw_points", pointmcd.data.view_cache._prepare_chunk)
        with pytest.raises((MemoryError, TypeError)):
            prepare_views(clouds, tmp_path, image_size=48, views=VIEWS, workers=1, batched=batched)
    row = VIEWS * 48 * 48
    with no_file_longer_than(128 + 33 * row), pytest.raises(OSError, match=r"images\.npy"):
        prepare_views(clouds, tmp_path, image_size=48, views=VIEWS, workers=1, batched=batched)
    resumed = prepare_views(clouds, tmp_path, image_size=48, views=VIEWS, workers=1, batched=batched)
    assert resumed.prepared == CLOUDS - 32
    assert np.array_equal(resumed.images, cache.images)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(place)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip("only root may mount a small disk")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_is_an_error_and_kills_nothing(clouds: np.ndarray, small_disk: Path) -> None:
    with pytest.raises(OSError, match=r"No space left on device: '.*images\.npy'"):
        prepare_views(clouds, small_disk, image_size=48, views=VIEWS, workers=1)


def test_a_killed_worker_ends_prepare_with_a_sentence_and_loses_no_finished_chunk(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_point_set(tmp_path / "data.npz", per_class=320, points=24)
    killed: list[float] = []

    def kill_one() -> None:
        deadline = time.monotonic() + 300
        while not list(tmp_path.glob("cache/*/done.json")) and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(multiprocessing.active_children()[0].pid or 0, signal.SIGKILL)
        killed.append(time.monotonic())

    killer = threading.Thread(target=kill_one)
    killer.start()
    code = main(["prepare", "--data", str(data), "--cache", str(tmp_path / "cache"), "--workers", "2",
                 "--views", "1", "--image-size", "8"])  # fmt: skip
    took = time.monotonic() - killed[0]
    killer.join()
    (home,) = (tmp_path / "cache").iterdir()
    assert code == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(f"pointmcd: {home / 'images.npy'}: a process that was writing it was killed")
    assert took < 10
    done = json.loads((home / "done.json").read_text())
    images = np.load(home / "images.npy", mmap_mode="r")
    assert done
    assert all(images[start].any() for start in done)
    written = {start for start in range(0, 640, 32) if images[start + 31].any()}
    assert len(written - set(done)) <= 1  # what the killed one had written but not told
