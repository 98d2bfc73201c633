"""Do cameras stand, look and project as docs/conventions.md says? Stated as axioms."""

from __future__ import annotations

import numpy as np
import pytest

from pointmcd.records import Cameras
from pointmcd.scene.cameras import DISTANCE, RIGS, Rig, rig, rig_of_name, ring, to_camera, to_pixels, two_rings

CAMERAS = {
    "ring": ring(),
    "two rings": two_rings(),
    "from below": ring(5, elevation_deg=-50.0, distance=3.0, fov_deg=35.0, image_size=96),
    "free matrices": Rig.of_matrices(ring(3, elevation_deg=10.0, distance=3.0).world_to_camera).cameras(),
    "straight down": ring(4, elevation_deg=90.0),
}


@pytest.fixture(params=CAMERAS.values(), ids=CAMERAS.keys())
def cameras(request: pytest.FixtureRequest) -> Cameras:
    return request.param


def project(point: list[float], cameras: Cameras) -> np.ndarray:
    return to_pixels(to_camera(np.array([point], dtype=np.float32), cameras), cameras)[:, 0]


def test_rotations_are_orthonormal_and_right_handed(cameras: Cameras) -> None:
    rotation = cameras.world_to_camera[:, :, :3].astype(np.float64)
    np.testing.assert_allclose(
        rotation @ rotation.transpose(0, 2, 1), np.tile(np.eye(3), (len(rotation), 1, 1)), atol=1e-6
    )
    np.testing.assert_allclose(np.linalg.det(rotation), 1, atol=1e-6)


def test_the_origin_is_the_middle_of_every_image(cameras: Cameras) -> None:
    np.testing.assert_allclose(project([0, 0, 0], cameras), cameras.image_size / 2, atol=1e-3)


def test_every_point_of_an_optical_axis_is_the_middle_of_its_image(cameras: Cameras) -> None:
    for view, center in enumerate(cameras.centers):
        for share in (0.9, 0.5, -0.4):
            np.testing.assert_allclose(
                project((share * center).tolist(), cameras)[view], cameras.image_size / 2, atol=1e-3
            )


def test_a_camera_sits_at_the_origin_of_its_own_frame(cameras: Cameras) -> None:
    in_camera = to_camera(cameras.centers, cameras)
    np.testing.assert_allclose(np.diagonal(in_camera, axis1=0, axis2=1), 0, atol=1e-5)


def test_depth_is_the_distance_along_the_axis(cameras: Cameras) -> None:
    depth = to_camera(np.zeros((1, 3), dtype=np.float32), cameras)[:, 0, 2]
    np.testing.assert_allclose(depth, np.linalg.norm(cameras.centers, axis=1), rtol=1e-6)
    halfway = to_camera(cameras.centers / 2, cameras)[..., 2]
    np.testing.assert_allclose(np.diagonal(halfway), depth / 2, rtol=1e-5)


def test_centers_follow_azimuth_and_elevation() -> None:
    cameras = rig(np.array([0.0, 90.0, 0.0]), np.array([0.0, 0.0, 90.0]))
    expected = [[DISTANCE, 0, 0], [0, DISTANCE, 0], [0, 0, DISTANCE]]
    np.testing.assert_allclose(cameras.centers, expected, atol=1e-6)


def test_centers_come_back_from_the_matrices() -> None:
    azimuth, elevation = np.array([10.0, 200.0, -75.0]), np.array([-80.0, 5.0, 45.0])
    a, e = np.radians(azimuth), np.radians(elevation)
    expected = 2.5 * np.stack([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)], axis=1)
    np.testing.assert_allclose(rig(azimuth, elevation, distance=2.5).centers, expected, atol=1e-6)


def test_seen_from_plus_x_the_plus_y_side_is_right_and_the_plus_z_side_is_up() -> None:
    cameras = rig(np.array([0.0]), np.array([0.0]))
    column, row = project([0.0, 0.3, 0.0], cameras)[0]
    assert column > 112
    assert row == pytest.approx(112, abs=1e-3)
    column, row = project([0.0, 0.0, 0.3], cameras)[0]
    assert column == pytest.approx(112, abs=1e-3)
    assert row < 112


def test_up_in_the_world_is_up_in_every_image_that_does_not_look_along_it() -> None:
    for cameras in (ring(), two_rings(), ring(7, elevation_deg=-60.0)):
        above, below = project([0, 0, 0.2], cameras), project([0, 0, -0.2], cameras)
        assert (above[:, 1] < below[:, 1]).all()
        np.testing.assert_allclose(above[:, 0], cameras.image_size / 2, atol=1e-3)


def test_straight_down_the_far_side_of_the_azimuth_is_up() -> None:
    cameras = rig(np.array([0.0]), np.array([90.0]))
    column, row = project([-0.3, 0.0, 0.0], cameras)[0]
    assert column == pytest.approx(112, abs=1e-3)
    assert row < 112


def test_a_nearer_thing_looks_larger() -> None:
    cameras = rig(np.array([0.0]), np.array([0.0]))
    near, far = project([0.5, 0.2, 0.0], cameras)[0], project([-0.5, 0.2, 0.0], cameras)[0]
    assert near[0] > far[0] > 112


def test_the_unit_sphere_spans_the_image_exactly_at_the_default_distance_and_angle() -> None:
    cameras = rig(np.array([0.0]), np.array([0.0]))
    # The tangent from a camera at distance 2 touches the unit sphere at x = 1/2.
    np.testing.assert_allclose(project([0.5, np.sqrt(0.75), 0.0], cameras)[0], [224, 112], atol=1e-3)
    np.testing.assert_allclose(project([0.5, 0.0, np.sqrt(0.75)], cameras)[0], [112, 0], atol=1e-3)


def test_turning_the_shape_with_the_ring_changes_no_pixel() -> None:
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (20, 3)).astype(np.float32)
    turn = np.array(
        [[0, -1, 0], [1, 0, 0], [0, 0, 1]], dtype=np.float32
    )  # 90 degrees about Z: three steps of the ring.
    cameras = ring()
    still, turned = (to_pixels(to_camera(p, cameras), cameras) for p in (points, points @ turn.T))
    np.testing.assert_allclose(np.roll(still, 3, axis=0), turned, atol=1e-3)


def test_a_ring_is_even_and_starts_at_azimuth_zero() -> None:
    cameras = ring(12, elevation_deg=30.0)
    np.testing.assert_allclose(cameras.azimuth_deg, np.arange(12) * 30)
    np.testing.assert_allclose(cameras.elevation_deg, 30)
    np.testing.assert_allclose(np.linalg.norm(cameras.centers, axis=1), DISTANCE, rtol=1e-6)
    np.testing.assert_allclose(cameras.centers[:, 2], DISTANCE / 2, rtol=1e-6)


def test_two_rings_hold_sixteen_cameras_eight_above_and_eight_below() -> None:
    cameras = two_rings()
    assert len(cameras.centers) == 16
    assert (cameras.centers[:8, 2] > 0).all()
    assert (cameras.centers[8:, 2] < 0).all()
    np.testing.assert_allclose(cameras.azimuth_deg, np.tile(np.arange(8) * 45, 2))


def test_halving_the_image_halves_the_pixels() -> None:
    point = [0.1, 0.2, -0.3]
    np.testing.assert_allclose(project(point, ring(image_size=448)), 2 * project(point, ring()), rtol=1e-5)


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ({"views": 0}, "1 to 64 views, not 0"),
        ({"views": 65}, "1 to 64 views, not 65"),
        ({"elevation_deg": 91.0}, "between -90 and 90 degrees, not at 91"),
        ({"elevation_deg": float("nan")}, "between -90 and 90 degrees, not at nan"),
        ({"distance": 1.0}, "1 to 100 radii away, not 1"),
        ({"distance": float("nan")}, "1 to 100 radii away, not nan"),
        ({"distance": float("inf")}, "1 to 100 radii away, not inf"),
        ({"distance": 1e10}, r"1 to 100 radii away, not 1e\+10"),
        ({"fov_deg": 0.0}, "between 1 and 170 degrees, not at 0"),
        ({"fov_deg": 180.0}, "between 1 and 170 degrees, not at 180"),
        ({"image_size": 7}, "8 to 4,096 pixels a side, not 7"),
        ({"image_size": 5000}, "8 to 4,096 pixels a side, not 5000"),
    ],
)
def test_a_bad_setting_is_refused_with_a_sentence(setting: dict[str, float], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        ring(**setting)


def test_the_rigs_of_the_paper_stand_at_these_angles() -> None:
    ring12, two = RIGS["ring12"], RIGS["two-rings16"]
    assert ring12.azimuth_deg == (0, 30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 330)
    assert ring12.elevation_deg == (30,) * 12
    assert two.azimuth_deg == (0, 45, 90, 135, 180, 225, 270, 315) * 2
    assert two.elevation_deg == (30,) * 8 + (-30,) * 8


def test_a_rig_of_the_paper_is_found_by_its_name() -> None:
    assert rig_of_name("ring12") == Rig.ring(12)
    with pytest.raises(ValueError, match="one of ring12, two-rings16, not 'ring13'"):
        rig_of_name("ring13")


@pytest.mark.parametrize(
    ("placed", "key"),
    [
        (Rig.ring(), "ring12_e30"),
        (Rig.ring(6, elevation_deg=-12.5), "ring6_e-12.5"),
        (Rig.two_rings(), "two_rings16_e30"),
        (Rig.two_rings(distance=2.5, fov_deg=45.0), "two_rings16_e30_d2.5_f45"),
        (Rig(Rig.ring().azimuth_deg, Rig.ring().elevation_deg), "ring12_e30"),
    ],
)
def test_a_key_names_the_rig(placed: Rig, key: str) -> None:
    assert placed.key == key


def test_whatever_moves_a_camera_changes_the_key() -> None:
    matrices = ring(3).world_to_camera.astype(np.float64)
    moved = matrices.copy()
    moved[1, 2, 3] += 1e-6
    rigs = [
        Rig.ring(12), Rig.ring(11), Rig.ring(12, elevation_deg=30.0000001), Rig.ring(12, distance=2.0000001),
        Rig.ring(12, fov_deg=60.0000001), Rig.two_rings(), Rig.two_rings(distance=3.0), Rig.two_rings(fov_deg=50.0),
        Rig((0.0, 10.0), (5.0, 5.0)), Rig((0.0, 10.0), (5.0, 6.0)), Rig((0.0, 11.0), (5.0, 5.0)),
        Rig((10.0, 0.0), (5.0, 5.0)), Rig((0.0, 10.0), (5.0, 5.0), 3.0),
        Rig.of_matrices(matrices), Rig.of_matrices(moved), Rig.of_matrices(matrices, fov_deg=50.0),
    ]  # fmt: skip
    assert len({placed.key for placed in rigs}) == len(rigs)


def test_cameras_given_as_matrices_are_those_cameras() -> None:
    given = two_rings(distance=3.0)
    found = Rig.of_matrices(given.world_to_camera).cameras()
    np.testing.assert_array_equal(found.world_to_camera, given.world_to_camera)
    np.testing.assert_allclose(found.azimuth_deg % 360, given.azimuth_deg, atol=1e-4)
    np.testing.assert_allclose(found.elevation_deg, given.elevation_deg, atol=1e-4)


def test_matrices_that_are_no_cameras_are_refused() -> None:
    mirrored = ring(2).world_to_camera * np.array([[-1], [1], [1]], dtype=np.float32)
    for matrices in (mirrored, np.zeros((2, 3, 4)), np.full((1, 3, 4), np.nan)):
        with pytest.raises(ValueError, match="with a rotation R"):
            Rig.of_matrices(matrices)


def test_angles_that_do_not_fit_together_are_refused() -> None:
    with pytest.raises(ValueError, match="2 azimuths do not go with 1 elevations"):
        Rig((0.0, 1.0), (0.0,))
    with pytest.raises(ValueError, match="finite number of degrees"):
        Rig((float("nan"),), (0.0,))
