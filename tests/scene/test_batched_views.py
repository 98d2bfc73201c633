"""Do many clouds at once get the masks and the images that each gets alone?"""

from __future__ import annotations

import numpy as np
import pytest
import torch

import pointmcd.scene.batched_render
import pointmcd.scene.batched_visibility
from benchmarks import bm_prepare, rows
from benchmarks.bm_prepare import grid_masks, made_clouds, overlap
from pointmcd.records import Cameras
from pointmcd.scene.batched_render import batched_draw_points
from pointmcd.scene.batched_visibility import batched_hidden_point_removal
from pointmcd.scene.cameras import rig, ring, to_camera, to_pixels
from pointmcd.scene.discs import radius_for, shade
from pointmcd.scene.render import draw_points
from pointmcd.scene.visibility import HPR_RADIUS_FACTOR, flipped, hidden_point_removal

CLOUDS = 6
CAMERAS = ring(3)


@pytest.fixture(scope="module")
def clouds() -> np.ndarray:
    return made_clouds(CLOUDS)


def exact_masks(clouds: np.ndarray, centers: np.ndarray) -> np.ndarray:
    return np.stack([hidden_point_removal(cloud.astype(np.float64), centers) for cloud in clouds])


def batched_masks(clouds: np.ndarray, centers: np.ndarray) -> np.ndarray:
    return batched_hidden_point_removal(torch.from_numpy(clouds), torch.from_numpy(centers)).numpy()


def test_arg_max_finds_the_corners_of_the_exact_hulls(clouds: np.ndarray) -> None:
    exact, found = exact_masks(clouds, CAMERAS.centers), batched_masks(clouds, CAMERAS.centers)
    assert found.shape == (CLOUDS, 3, 1024)
    assert 0.2 < exact.mean() < 0.7
    assert np.array_equal(found, exact)


def test_a_face_of_a_box_hides_the_one_behind_it() -> None:
    steps = np.linspace(-0.5, 0.5, 15)
    sides = np.stack(np.meshgrid([-0.5, 0.5], steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    cloud = sides.astype(np.float32)[None]
    camera = rig(np.zeros(1), np.zeros(1))
    seen = batched_masks(cloud, camera.centers)[0, 0]
    assert seen[sides[:, 0] > 0].all()
    behind = (sides[:, 0] < 0) & (np.abs(sides[:, 1:]).max(axis=1) < 0.2)
    assert not seen[behind].any()


@pytest.mark.parametrize("name", ["in front of", "inside"])
def test_a_cloud_wider_than_any_image_is_flipped_all_the_same(name: str) -> None:
    ball = np.random.default_rng(0).normal(size=(1, 400, 3))
    ball = (ball / np.linalg.norm(ball, axis=2, keepdims=True)).astype(np.float32)
    center = np.array([[1.05, 0, 0]] if name == "in front of" else [[0.1, 0.2, 0.0]], dtype=np.float32)
    assert np.array_equal(batched_masks(ball, center), exact_masks(ball, center))


def test_points_in_one_place_and_on_one_line_are_no_trouble() -> None:
    line = np.linspace(-1, 1, 9, dtype=np.float32)[:, None] * np.array([0, 0, 1], dtype=np.float32)
    twice = np.concatenate([line, line])[None]
    seen = batched_masks(twice, rig(np.zeros(1), np.zeros(1)).centers)[0, 0]
    assert (seen[:9] | seen[9:]).all()


def test_one_cloud_gets_the_same_mask_in_any_company(clouds: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    together = batched_masks(clouds, CAMERAS.centers)
    monkeypatch.setattr(pointmcd.scene.batched_visibility, "POINTS_AT_A_TIME", 1)
    monkeypatch.setattr(pointmcd.scene.batched_visibility, "PRODUCT_ELEMENTS", 100_000)
    assert np.array_equal(batched_masks(clouds[2:4], CAMERAS.centers), together[2:4])


def test_precision_that_the_caller_gave_away_changes_no_mask(clouds: np.ndarray) -> None:
    whole = batched_masks(clouds[:1], CAMERAS.centers)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert np.array_equal(batched_masks(clouds[:1], CAMERAS.centers), whole)
    finally:
        torch.set_float32_matmul_precision(before)


def test_two_points_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 3 points, not 2"):
        batched_masks(np.ones((1, 2, 3), dtype=np.float32), CAMERAS.centers)


def test_a_grid_of_directions_names_only_corners_and_misses_many(clouds: np.ndarray) -> None:
    exact = torch.from_numpy(exact_masks(clouds[:2], CAMERAS.centers))
    points = torch.from_numpy(clouds[:2]).double()
    coarse, fine = (grid_masks(points, CAMERAS, directions=count) for count in (256, 4096))
    assert not (fine & ~exact).any()
    assert overlap(coarse, exact) < overlap(fine, exact) < 0.97


def test_the_rows_of_a_gpu_are_measured_on_any_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "peak_gpu_memory", lambda call: 0.0)
    found = bm_prepare.measure_gpu(few=1, many=3, points=64, device="cpu")
    assert [row.unit for row in found] == ["s", "MB", *["clouds/s"] * 4, "of 1"]
    assert found[0].target == 20
    assert found[-1].value > 0.999


def drawn(clouds: np.ndarray, cameras: Cameras) -> np.ndarray:
    return batched_draw_points(torch.from_numpy(clouds), cameras).numpy()


def test_batched_images_are_those_of_each_cloud_alone(clouds: np.ndarray) -> None:
    alone = np.stack([draw_points(cloud, CAMERAS) for cloud in clouds])
    together = drawn(clouds, CAMERAS)
    assert together.dtype == np.uint8
    assert 0.1 < (alone > 0).mean() < 0.9
    # Byte for byte, but where two points are equally far from a third: then either is its 16th neighbour.
    assert (together != alone).mean() < 1e-5


@pytest.mark.parametrize("count", [1, 2, 5, 16, 17, 300])
def test_small_clouds_are_drawn_alike(count: int) -> None:
    clouds = np.random.default_rng(count).uniform(-0.5, 0.5, (3, count, 3)).astype(np.float32)
    alone = np.stack([draw_points(cloud, CAMERAS) for cloud in clouds])
    # The normal of 2 points or of points on a line may be any across it.
    assert ((drawn(clouds, CAMERAS) > 0) == (alone > 0)).all()
    if count > 3:
        assert np.array_equal(drawn(clouds, CAMERAS), alone)


def test_points_beside_and_behind_the_cameras_are_left_out_alike(clouds: np.ndarray) -> None:
    far = (clouds[:2] * 4).astype(np.float32)  # the cameras stand at 2
    narrow = ring(2, fov_deg=20.0, image_size=100)
    alone = np.stack([draw_points(cloud, narrow) for cloud in far])
    assert np.array_equal(drawn(far, narrow), alone)


def test_the_bound_on_memory_changes_no_image(clouds: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = drawn(clouds[:2], CAMERAS)
    monkeypatch.setattr(pointmcd.scene.batched_render, "WRITES_AT_A_TIME", 30_000)
    assert np.array_equal(drawn(clouds[:2], CAMERAS), whole)


def test_no_step_mixes_the_points_device_with_the_cpu() -> None:
    elsewhere = torch.device(
        "meta"
    )  # refuses to be mixed with the CPU as a GPU does; steps that read values stop there
    points, inside = torch.empty(2, 64, 3, device=elsewhere), torch.empty(2, 3, 64, 3, device=elsewhere)
    nearest = torch.empty(2, 64, 16, dtype=torch.int64, device=elsewhere)
    search = pointmcd.scene.batched_visibility._Search.around(flipped(points.double(), HPR_RADIUS_FACTOR))
    made = [
        radius_for(pointmcd.scene.batched_render._reach(points, nearest)),
        to_pixels(to_camera(points, CAMERAS), CAMERAS),
        shade(inside, inside, points.new_tensor(2.0)),
        search.corners,
        search.invented,
    ]
    assert {tensor.device for tensor in made} == {elsewhere}
