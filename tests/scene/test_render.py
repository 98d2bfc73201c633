"""Do images, depth and index of a render tell the same story, and the right one?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import pointmcd.scene.render
from benchmarks.bm_prepare import made_clouds, plain_images, plain_normals
from pointmcd.records import Cameras, PointCloud, Renders
from pointmcd.scene.cameras import rig, ring, to_camera, to_pixels
from pointmcd.scene.discs import NEAR
from pointmcd.scene.render import (
    disc_radius,
    draw_points,
    estimate_normals,
    first_hits,
    raycast_scene,
    render,
    render_mesh,
    render_points,
)

FRONT = rig(np.array([0.0]), np.array([0.0]))  # At (2, 0, 0): columns grow with y, rows with -z.
CUBE_CORNERS = 0.5 * np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=np.float32)
# Two triangles a side: -x, +x, -y, +y, -z, +z.
CUBE_FACES = np.array(
    [
        [0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1],
        [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3],
    ]
)  # fmt: skip


def ball(points: int = 400, *, seed: int = 0) -> np.ndarray:
    drawn = np.random.default_rng(seed).normal(size=(points, 3))
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)


def even_ball(points: int) -> np.ndarray:
    """The unit sphere sampled along a Fibonacci spiral: no gap and no clump."""
    step = np.arange(points) + 0.5
    height, angle = 1 - 2 * step / points, step * np.pi * (1 + np.sqrt(5))
    ring_radius = np.sqrt(1 - height**2)
    return np.stack([ring_radius * np.cos(angle), ring_radius * np.sin(angle), height], axis=1).astype(np.float32)


def globe(radius: float, *, rings: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """A sphere as a grid of latitude and longitude, triangles twice as many as rings squared."""
    latitude, longitude = np.meshgrid(
        np.linspace(0, np.pi, rings + 1), np.linspace(0, 2 * np.pi, 2 * rings, endpoint=False), indexing="ij"
    )
    vertices = radius * np.stack(
        [np.sin(latitude) * np.cos(longitude), np.sin(latitude) * np.sin(longitude), np.cos(latitude)], axis=-1
    )
    grid = np.arange(latitude.size).reshape(latitude.shape)
    a, b, c, d = grid[:-1], grid[1:], np.roll(grid, -1, axis=1)[:-1], np.roll(grid, -1, axis=1)[1:]
    faces = np.concatenate([np.stack([a, b, d], -1).reshape(-1, 3), np.stack([a, d, c], -1).reshape(-1, 3)])
    return vertices.reshape(-1, 3).astype(np.float32), faces


def turned(cameras: Cameras, rotation: np.ndarray) -> Cameras:
    """Turn the whole rig about the origin."""
    matrix = cameras.world_to_camera.copy()
    matrix[:, :, :3] = matrix[:, :, :3] @ rotation.T
    return replace(cameras, world_to_camera=matrix)


TURN = np.linalg.qr(np.random.default_rng(5).normal(size=(3, 3)))[0]
TURN = (TURN * np.sign(np.linalg.det(TURN))).astype(np.float32)


@pytest.fixture(params=["points", "mesh"])
def renders(request: pytest.FixtureRequest) -> Renders:
    cameras = ring(4, image_size=96)
    if request.param == "points":
        return render_points(0.7 * ball(), cameras)
    return render_mesh(*globe(0.7, rings=20), cameras)


def test_index_depth_and_image_agree_on_what_is_background(renders: Renders) -> None:
    empty = renders.index == -1
    assert empty.any()
    assert not empty.all()
    np.testing.assert_array_equal(empty, np.isinf(renders.depth))
    np.testing.assert_array_equal(empty, (renders.images == 0).all(axis=-1))
    assert renders.index.min() == -1


def test_the_image_is_grey(renders: Renders) -> None:
    assert renders.images.shape == (4, 96, 96, 3)
    np.testing.assert_array_equal(renders.images[..., 0], renders.images[..., 1])
    np.testing.assert_array_equal(renders.images[..., 0], renders.images[..., 2])


def test_depth_lies_within_the_shape(renders: Renders) -> None:
    hit = renders.depth[np.isfinite(renders.depth)]
    assert hit.min() >= 1.3 - 1e-5
    assert hit.max() <= 2.7 + 1e-5


def test_the_middle_of_a_ball_is_brighter_than_its_edge(renders: Renders) -> None:
    middle = renders.images[:, 44:52, 44:52, 0].astype(float).mean()
    away = np.hypot(*(np.mgrid[:96, :96] - 47.5))
    # The ball reaches 31 pixels from the middle; the discs of its points a little further.
    edge = renders.images[:, (away > 28) & (away < 31), 0]
    assert middle > 1.5 * edge[edge > 0].mean()


def test_depth_of_a_pixel_is_the_depth_of_the_point_it_shows() -> None:
    cameras, points = ring(3, image_size=96), 0.7 * ball()
    result = render_points(points, cameras)
    view, row, column = np.nonzero(result.index >= 0)
    expected = to_camera(points, cameras)[view, result.index[view, row, column], 2]
    np.testing.assert_array_equal(result.depth[view, row, column], expected)


def test_a_points_own_pixel_shows_nothing_deeper_than_the_point() -> None:
    points = np.random.default_rng(1).uniform(-0.57, 0.57, (700, 3)).astype(np.float32)
    for cameras in (ring(), ring(3, image_size=32)):
        in_camera = to_camera(points, cameras)
        column, row = np.floor(to_pixels(in_camera, cameras)).astype(int).transpose(2, 0, 1)
        result = render_points(points, cameras)
        shown = result.depth[np.arange(len(in_camera))[:, None], row, column]
        assert (shown <= in_camera[..., 2]).all()


def test_the_nearest_disc_wins_whatever_the_order() -> None:
    for order in ([0, 1, 2], [2, 1, 0], [1, 2, 0]):
        points = np.array([[0.6, 0, 0], [0.1, 0, 0], [-0.6, 0, 0]], dtype=np.float32)[order]
        result = render_points(points, FRONT)
        assert order[result.index[0, 112, 112]] == 0
        assert result.depth[0, 112, 112] == pytest.approx(1.4)


def test_permuting_points_permutes_the_index_and_nothing_else() -> None:
    cameras, points = ring(4, image_size=96), 0.7 * ball()
    shuffle = np.random.default_rng(2).permutation(len(points))
    before, after = render_points(points, cameras), render_points(points[shuffle], cameras)
    np.testing.assert_array_equal(before.depth, after.depth)
    np.testing.assert_array_equal(before.index, np.where(after.index >= 0, shuffle[after.index], -1))
    assert np.abs(before.images.astype(int) - after.images).max() <= 1


def test_turning_points_and_rig_together_changes_next_to_no_pixel() -> None:
    cameras, points = ring(4, image_size=96), 0.7 * ball()
    still = render_points(points, cameras)
    moved = render_points(points @ TURN.T, turned(cameras, TURN))
    # A disc's centre falls on whole pixels, so that rounding may shift a disc by one.
    assert (still.index == moved.index).mean() > 0.99


def test_turning_mesh_and_rig_together_changes_next_to_no_pixel() -> None:
    vertices, faces = globe(0.7, rings=12)
    cameras = ring(4, image_size=96)
    still = render_mesh(vertices, faces, cameras)
    moved = render_mesh(vertices @ TURN.T, faces, turned(cameras, TURN))
    assert (still.index == moved.index).mean() > 0.99


def test_rendering_twice_gives_the_same_pixels() -> None:
    first, second = (render_points(0.7 * ball(), ring(3, image_size=64)) for _ in range(2))
    np.testing.assert_array_equal(first.images, second.images)


DEGENERATE = pytest.mark.parametrize(
    "points",
    [
        np.array([[0.2, 0.1, 0.0]]),
        np.array([[0.2, 0.1, 0.0], [0.0, 0.0, 0.3], [-0.5, 0.2, 0.1]]),
        np.zeros((5, 3)),
        np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 0.5], [0.0, 0.0, 1.0], [0.0, 0.0, -1.0]]),
        np.concatenate([np.random.default_rng(0).uniform(-0.7, 0.7, (50, 2)), np.zeros((50, 1))], axis=1),
    ],
    ids=["one point", "three points", "all in one place", "a line", "a plane"],
)


@DEGENERATE
def test_a_degenerate_cloud_is_drawn(points: np.ndarray) -> None:
    result = render_points(points.astype(np.float32), ring(3, image_size=64))
    assert (result.index >= 0).any(axis=(1, 2)).all()


@DEGENERATE
def test_the_image_alone_of_a_degenerate_cloud_is_that_of_its_render(points: np.ndarray) -> None:
    cloud, cameras = points.astype(np.float32), ring(3, image_size=64)
    np.testing.assert_array_equal(draw_points(cloud, cameras), render_points(cloud, cameras).images[..., 0])


def test_the_images_are_those_of_the_plain_form() -> None:
    cameras = ring(4)
    for cloud in made_clouds(24):
        plain = plain_images(cloud, cameras)
        np.testing.assert_array_equal(draw_points(cloud, cameras), plain)
        np.testing.assert_array_equal(render_points(cloud, cameras).images[..., 2], plain)


def test_writing_a_few_pixels_at_a_time_draws_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    cameras, points = ring(2, image_size=64), 0.7 * ball()
    at_once = render_points(points, cameras)
    monkeypatch.setattr(pointmcd.scene.render, "WRITES_AT_A_TIME", 100)
    np.testing.assert_array_equal(at_once.index, render_points(points, cameras).index)


def test_a_point_beside_the_image_is_not_drawn() -> None:
    narrow = rig(np.array([0.0]), np.array([0.0]), fov_deg=20.0)
    result = render_points(np.array([[0, 0, 0], [0, 0.9, 0], [0, -0.9, 0]], dtype=np.float32), narrow)
    assert set(np.unique(result.index)) == {-1, 0}


@pytest.mark.parametrize("points", [512, 1024, 2048])
def test_no_hole_shows_through_an_evenly_sampled_ball(points: int) -> None:
    result = render_points(0.7 * even_ball(points), ring())
    inside = np.hypot(*(np.mgrid[:224, :224] - 111.5)) < 55  # The ball spans 72 pixels around the middle.
    assert (result.depth[:, inside] < 2.0).all()


def test_disc_radius_grows_with_the_distance_between_points() -> None:
    assert disc_radius(0.7 * ball(200)) > 1.5 * disc_radius(0.7 * ball(2000))


def test_estimated_normals_of_a_ball_point_along_its_radii() -> None:
    points = ball(1000)
    assert np.abs((estimate_normals(points) * points).sum(axis=1)).min() > 0.9


def test_normals_are_the_axes_of_least_spread() -> None:
    for cloud in made_clouds(24):
        plain, _ = plain_normals(cloud)
        found = estimate_normals(cloud)
        np.testing.assert_allclose(np.abs((plain * found).sum(axis=1)), 1, atol=1e-6)
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("size", [1e-3, 1.0, 50.0])
def test_normals_of_a_flat_patch_are_exact_at_any_size(size: float) -> None:
    flat = np.random.default_rng(0).uniform(-size, size, (300, 3)) * [1, 1, 0] @ TURN.T.astype(np.float64)
    np.testing.assert_allclose(np.abs(estimate_normals(flat) @ TURN[:, 2]), 1, atol=1e-6)


def test_where_no_axis_has_least_spread_a_normal_is_still_a_unit_vector() -> None:
    line = np.linspace(-1, 1, 40)[:, None] * np.array([0.6, 0.0, 0.8])
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=np.float64)
    for points in (line, corners, np.zeros((20, 3))):
        np.testing.assert_allclose(np.linalg.norm(estimate_normals(points), axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(estimate_normals(line) @ [0.6, 0.0, 0.8], 0, atol=1e-6)


def test_a_cube_face_is_seen_by_the_camera_in_front_of_it() -> None:
    sides = rig(np.array([180.0, 0.0, 270.0, 90.0, 0.0, 0.0]), np.array([0.0, 0.0, 0.0, 0.0, -90.0, 90.0]))
    result = render_mesh(CUBE_CORNERS, CUBE_FACES, sides)
    for side in range(6):
        assert set(np.unique(result.index[side])) == {-1, 2 * side, 2 * side + 1}
        np.testing.assert_allclose(result.depth[side][np.isfinite(result.depth[side])], 1.5, rtol=1e-6)


def test_a_mesh_ball_has_the_depth_of_the_formula() -> None:
    radius = 0.8
    result = render_mesh(*globe(radius, rings=120), FRONT)
    focal = FRONT.intrinsics[0, 0]
    across, down = np.meshgrid(*[(np.arange(224) + 0.5 - 112) / focal] * 2)
    length = across**2 + down**2 + 1  # Of the ray with depth 1, squared.
    inside = 4 - length * (4 - radius**2)  # |s * ray - center|^2 = radius^2, solved for s.
    clear = inside > 0.05
    expected = (2 - np.sqrt(inside[clear])) / length[clear]
    np.testing.assert_allclose(result.depth[0][clear], expected, atol=2e-3)
    assert np.isinf(result.depth[0][inside < -0.05]).all()


def test_both_sides_of_a_face_are_drawn_alike() -> None:
    triangle = np.array([[0, -0.5, -0.5], [0, 0.5, -0.5], [0, 0.0, 0.5]], dtype=np.float32)
    one, other = (render_mesh(triangle, np.array([order]), FRONT) for order in ([0, 1, 2], [0, 2, 1]))
    assert (one.index == 0).any()
    np.testing.assert_array_equal(one.images, other.images)


def test_a_mesh_and_its_points_look_alike() -> None:
    points = 0.7 * ball(4000)
    cameras = ring(3)
    smooth = render_mesh(*globe(0.7), cameras).images[..., 0].astype(float)
    dotted = render_points(points, cameras).images[..., 0].astype(float)
    both = (smooth > 0) & (dotted > 0)
    assert both.sum() > 0.9 * (smooth > 0).sum()
    assert np.abs(smooth - dotted)[both].mean() < 12


def test_the_far_side_is_darker_than_the_near_side() -> None:
    square = np.array([[0, -0.2, -0.2], [0, 0.2, -0.2], [0, 0.2, 0.2], [0, -0.2, 0.2]], dtype=np.float32)
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    near, far = (render_mesh(square + np.float32([x, 0, 0]), faces, FRONT).images.max() for x in (0.9, -0.9))
    assert near > 1.5 * far


def test_a_ray_that_misses_says_so() -> None:
    scene = raycast_scene(CUBE_CORNERS, CUBE_FACES)
    origins = np.array([[2, 0.1, 0.2], [2, 0, 0]], dtype=np.float32)
    hits = first_hits(scene, origins, np.array([[-3, 0, 0], [1, 0, 0]], dtype=np.float32))
    assert hits.reach.tolist() == [0.5, np.inf]
    assert hits.face[0] in (2, 3)
    assert hits.face[1] == -1
    np.testing.assert_allclose(np.abs(hits.normal), [[1, 0, 0], [0, 0, 0]], atol=1e-6)


def test_a_mesh_without_faces_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one face"):
        render_mesh(CUBE_CORNERS, np.zeros((0, 3), dtype=np.int64), FRONT)


@pytest.mark.parametrize("corner", [-1, 8])
def test_a_face_of_a_missing_vertex_is_refused(corner: int) -> None:
    with pytest.raises(ValueError, match="the mesh has 8"):
        render_mesh(CUBE_CORNERS, np.array([[0, 1, corner]]), FRONT)


def test_render_takes_the_mesh_where_there_is_one_and_the_points_else() -> None:
    meshed = PointCloud(points=0.5 * ball(), to_world=np.eye(4), mesh_vertices=CUBE_CORNERS, mesh_faces=CUBE_FACES)
    bare = PointCloud(points=0.5 * ball(), to_world=np.eye(4))
    assert render(meshed, FRONT).source == "mesh"
    assert render(meshed, FRONT, source="points").source == "points"
    assert render(bare, FRONT).source == "points"
    with pytest.raises(ValueError, match="no mesh to draw"):
        render(bare, FRONT, source="mesh")
    with pytest.raises(ValueError, match="auto, mesh, points"):
        render(bare, FRONT, source="photo")


def test_points_at_the_cameras_plane_are_not_drawn() -> None:
    points = np.array([[2.0 - 0.5 * NEAR, 0.0, 0.0], [2.5, 0.0, 0.0], [0.0, 0.0, 0.0]], dtype=np.float32)
    assert set(np.unique(render_points(points, FRONT).index)) == {-1, 2}
