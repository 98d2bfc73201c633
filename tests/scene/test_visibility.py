"""Does each visibility test say "seen" exactly where something can be seen?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.bm_prepare import made_clouds, plain_masks
from benchmarks.bm_visibility import Agreement, agreement, compare, mean_of
from pointmcd.data.synthetic import make_shape
from pointmcd.records import Cameras, PointCloud, Shape
from pointmcd.scene.cameras import rig, ring, to_camera, to_pixels
from pointmcd.scene.render import render_mesh, render_points
from pointmcd.scene.visibility import METHODS, hidden_point_removal, visible_points
from pointmcd.shapes.sample import sample_points

FRONT = rig(np.array([0.0]), np.array([0.0]))  # At (2, 0, 0): columns grow with y, rows with -z.
EVERY_METHOD = pytest.mark.parametrize("method", list(METHODS))
FROM_POINTS = pytest.mark.parametrize("method", ["hpr", "zbuffer"])


def cloud_of(name: str, *, count: int = 1024, seed: int = 0) -> PointCloud:
    return sample_points(make_shape(name).shape, count=count, seed=seed)


def bare(points: np.ndarray) -> PointCloud:
    return PointCloud(points=points.astype(np.float32), to_world=np.eye(4))


def square(x: float, half: float) -> tuple[np.ndarray, np.ndarray]:
    """Two triangles across the front camera's axis."""
    corners = [[x, -half, -half], [x, half, -half], [x, half, half], [x, -half, half]]
    return np.array(corners, dtype=np.float32), np.array([[0, 1, 2], [0, 2, 3]])


def two_squares(*, gap: float = 0.8) -> PointCloud:
    """A small square at x = gap / 2 in front of a large one at -gap / 2; the points lie on both."""
    (near, faces), (far, _) = square(gap / 2, 0.2), square(-gap / 2, 0.6)
    steps = np.linspace(-1, 1, 21)
    y, z = (part.ravel() for part in np.meshgrid(steps, steps))
    points = [np.stack([np.full(441, x), half * y, half * z], axis=1) for x, half in ((gap / 2, 0.2), (-gap / 2, 0.6))]
    return replace(
        bare(np.concatenate(points)),
        mesh_vertices=np.concatenate([near, far]),
        mesh_faces=np.concatenate([faces, faces + 4]),
    )


TURN = np.linalg.qr(np.random.default_rng(5).normal(size=(3, 3)))[0]
TURN = (TURN * np.sign(np.linalg.det(TURN))).astype(np.float32)


def turned(cloud: PointCloud, cameras: Cameras) -> tuple[PointCloud, Cameras]:
    """Turn a shape and the whole rig about the origin."""
    matrix = cameras.world_to_camera.copy()
    matrix[:, :, :3] = matrix[:, :, :3] @ TURN.T
    vertices = None if cloud.mesh_vertices is None else cloud.mesh_vertices @ TURN.T
    return replace(cloud, points=cloud.points @ TURN.T, mesh_vertices=vertices), replace(
        cameras, world_to_camera=matrix
    )


# --- What a method must say


@EVERY_METHOD
def test_the_record_has_one_row_per_view_and_names_its_method(method: str) -> None:
    cloud, cameras = cloud_of("chair", count=300), ring(5)
    result = visible_points(cloud, cameras, method=method)
    assert result.method == method
    assert result.mask.shape == result.margin.shape == (5, 300)
    np.testing.assert_array_equal(result.pixels, to_pixels(to_camera(cloud.points, cameras), cameras))
    assert (result.margin >= 0).all()
    assert np.isfinite(result.margin).all()


@pytest.mark.parametrize(("method", "most_wrong"), [("raycast", 0.0), ("hpr", 0.03), ("zbuffer", 0.05)])
def test_a_ball_shows_the_cap_that_the_formula_says(method: str, most_wrong: float) -> None:
    ball = make_shape("sphere").shape
    assert ball.faces is not None
    vertices = ball.vertices - (ball.vertices.max(axis=0) + ball.vertices.min(axis=0)) / 2
    vertices *= 0.7 / np.linalg.norm(vertices, axis=1, keepdims=True)
    cloud = replace(
        bare(vertices[ball.faces].mean(axis=1)), mesh_vertices=vertices.astype(np.float32), mesh_faces=ball.faces
    )
    cameras = ring()
    # A point p of a ball of radius r is seen from c where p . c > r^2: here, where cos(p, c) > 0.7 / 2.
    directions = cloud.points / np.linalg.norm(cloud.points, axis=1, keepdims=True)
    cosine = cameras.centers / 2 @ directions.T
    clear = np.abs(cosine - 0.35) > 0.05  # The facets' horizon is off the ball's by less.
    wrong = visible_points(cloud, cameras, method=method).mask != (cosine > 0.35)
    assert (wrong & clear).sum() <= most_wrong * clear.sum()


@EVERY_METHOD
def test_what_stands_behind_is_hidden_and_what_stands_beside_is_seen(method: str) -> None:
    cloud = two_squares()
    result = visible_points(cloud, FRONT, method=method)
    assert result.mask[0, :441].all()
    # From x = 2, the small square of half 0.2 at 0.4 throws a shadow of half 0.3 on the plane at -0.4.
    reach = np.abs(cloud.points[441:, 1:]).max(axis=1)
    assert not result.mask[0, 441:][reach < 0.2].any()
    assert result.mask[0, 441:][reach > 0.5].all()


@EVERY_METHOD
def test_the_margin_of_a_hidden_point_is_its_distance_behind_what_hides_it(method: str) -> None:
    cloud = two_squares(gap=0.8)
    result = visible_points(cloud, FRONT, method=method)
    reach = np.abs(cloud.points[441:, 1:]).max(axis=1)
    np.testing.assert_allclose(result.margin[0, 441:][reach < 0.25], 0.8, atol=1e-5)
    np.testing.assert_allclose(result.margin[0, :441], 0, atol=1e-5)
    np.testing.assert_allclose(result.margin[0, 441:][reach > 0.45], 0, atol=1e-5)


@EVERY_METHOD
def test_a_plane_is_seen_from_both_sides(method: str) -> None:
    cloud = cloud_of("plane")
    for elevation in (90.0, 30.0, -30.0, -90.0):
        seen = visible_points(cloud, ring(4, elevation_deg=elevation), method=method).mask
        assert seen.mean() > 0.95
        if method != "zbuffer":
            assert seen.all()


def test_a_plane_seen_exactly_from_its_edge_hides_nothing_from_ray_casting() -> None:
    vertices, faces = square(0.0, 0.7)
    points = np.zeros((200, 3))
    points[:, 1:] = np.random.default_rng(0).uniform(-0.7, 0.7, (200, 2))
    cloud = replace(bare(points), mesh_vertices=vertices, mesh_faces=faces)
    assert visible_points(cloud, rig(np.array([90.0, 90.0]), np.array([0.0, 45.0])), method="raycast").mask.all()


@pytest.mark.parametrize("above", [0.1, 1e-2, 1e-3])
def test_ray_casting_sees_all_of_a_box_side_however_flat_it_looks_at_it(above: float) -> None:
    cloud = cloud_of("box")
    height = float(cloud.points[:, 2].max())
    top = cloud.points[:, 2] > height - 1e-6
    assert top.sum() > 100
    cameras = ring(12, elevation_deg=float(np.degrees(np.arcsin((height + above) / 2))))
    assert visible_points(cloud, cameras, method="raycast").mask[:, top].all()


@pytest.mark.parametrize("above", [1e-4, 1e-5, 0.0])
def test_rounding_hides_no_point_of_a_tilted_plane_seen_from_nearly_its_edge(above: float) -> None:
    vertices, faces = square(0.0, 0.7)
    points = np.zeros((500, 3))
    points[:, 1:] = np.random.default_rng(0).uniform(-0.7, 0.7, (500, 2))
    cloud = replace(bare(points), mesh_vertices=vertices, mesh_faces=faces)
    low = rig(np.full(5, 90.0) - np.degrees(above), np.array([-60.0, -20.0, 0.0, 10.0, 50.0]))
    assert visible_points(*turned(cloud, low), method="raycast").mask.all()


def test_ray_casting_hides_what_is_a_thin_wall_behind() -> None:
    cloud = two_squares(gap=5e-4)
    reach = np.abs(cloud.points[441:, 1:]).max(axis=1)
    assert not visible_points(cloud, FRONT, method="raycast").mask[0, 441:][reach < 0.19].any()


def test_the_winding_of_faces_does_not_matter() -> None:
    cloud, cameras = cloud_of("chair"), ring()
    assert cloud.mesh_faces is not None
    inside_out = replace(cloud, mesh_faces=cloud.mesh_faces[:, ::-1].copy())
    one, other = (visible_points(c, cameras, method="raycast").mask for c in (cloud, inside_out))
    np.testing.assert_array_equal(one, other)


def test_a_view_can_see_nothing() -> None:
    away = FRONT.world_to_camera.copy()
    away[:, 0], away[:, 2] = -away[:, 0], -away[:, 2]  # The same camera, turned its back to the shape.
    for method in METHODS:
        result = visible_points(cloud_of("box", count=100), replace(FRONT, world_to_camera=away), method=method)
        assert not result.mask.any()
        assert not result.margin.any()


@EVERY_METHOD
def test_a_point_outside_the_image_is_not_seen(method: str) -> None:
    narrow = rig(np.array([0.0]), np.array([0.0]), fov_deg=20.0)
    result = visible_points(cloud_of("plane"), narrow, method=method)
    outside = ((result.pixels < 0) | (result.pixels >= narrow.image_size)).any(axis=-1)
    assert outside.any()
    assert not outside.all()
    assert not result.mask[outside].any()
    assert not result.margin[outside].any()


@pytest.mark.parametrize(("method", "most_changed"), [("raycast", 0.002), ("hpr", 0.002), ("zbuffer", 0.03)])
def test_turning_shape_and_rig_together_changes_next_to_nothing(method: str, most_changed: float) -> None:
    cloud, cameras = cloud_of("chair"), ring()
    still = visible_points(cloud, cameras, method=method)
    moved = visible_points(*turned(cloud, cameras), method=method)
    assert (still.mask != moved.mask).mean() <= most_changed
    np.testing.assert_allclose(still.pixels, moved.pixels, atol=1e-3)


@EVERY_METHOD
def test_permuting_points_permutes_what_is_seen(method: str) -> None:
    cloud, cameras = cloud_of("mug", count=500), ring(4)
    shuffle = np.random.default_rng(1).permutation(500)
    before = visible_points(cloud, cameras, method=method)
    after = visible_points(replace(cloud, points=cloud.points[shuffle]), cameras, method=method)
    np.testing.assert_array_equal(before.mask[:, shuffle], after.mask)
    np.testing.assert_array_equal(before.margin[:, shuffle], after.margin)


@EVERY_METHOD
def test_two_points_in_one_place_are_seen_alike(method: str) -> None:
    cloud = cloud_of("chair", count=400)
    doubled = replace(cloud, points=np.concatenate([cloud.points, cloud.points]))
    mask = visible_points(doubled, ring(), method=method).mask
    np.testing.assert_array_equal(mask[:, :400], mask[:, 400:])
    assert mask.any()


@FROM_POINTS
@pytest.mark.parametrize(
    "points",
    [
        np.array([[0.2, 0.1, 0.0], [0.0, 0.0, 0.3], [-0.5, 0.2, 0.1]]),
        np.linspace(-1, 1, 7)[:, None] * np.array([[0.0, 0.0, 1.0]]),
        np.full((4, 3), 0.1),
    ],
    ids=["three points", "a line", "all in one place"],
)
def test_the_smallest_shapes_are_seen_whole(points: np.ndarray, method: str) -> None:
    result = visible_points(bare(points), ring(6), method=method)
    inside = ((result.pixels >= 0) & (result.pixels < 224)).all(axis=-1)
    np.testing.assert_array_equal(result.mask, inside)


# --- Which method, and from which renders


def test_auto_casts_rays_with_a_mesh_and_removes_hidden_points_without() -> None:
    cloud = cloud_of("box", count=100)
    assert visible_points(cloud, FRONT).method == "raycast"
    assert visible_points(replace(cloud, mesh_vertices=None, mesh_faces=None), FRONT).method == "hpr"


def test_ray_casting_without_a_mesh_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a mesh, and this shape has only points: choose hidden point removal"):
        visible_points(bare(np.zeros((3, 3))), FRONT, method="raycast")


def test_an_unknown_method_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="one of auto, raycast, hpr, zbuffer, not 'xray'"):
        visible_points(bare(np.zeros((3, 3))), FRONT, method="xray")


@FROM_POINTS
def test_given_renders_change_no_number(method: str) -> None:
    cloud, cameras = cloud_of("table"), ring(3)
    alone = visible_points(cloud, cameras, method=method)
    assert cloud.mesh_vertices is not None
    assert cloud.mesh_faces is not None
    mesh_renders = render_mesh(cloud.mesh_vertices, cloud.mesh_faces, cameras)
    for renders in (render_points(cloud.points, cameras), mesh_renders):
        given = visible_points(cloud, cameras, method=method, renders=renders)
        np.testing.assert_array_equal(alone.mask, given.mask)
        np.testing.assert_array_equal(alone.margin, given.margin)


@FROM_POINTS
def test_renders_by_other_cameras_are_refused(method: str) -> None:
    cloud = cloud_of("box", count=100)
    for other in (ring(4), ring(3, image_size=64)):
        with pytest.raises(ValueError, match="not of these cameras"):
            visible_points(cloud, ring(3), method=method, renders=render_points(cloud.points, other))


@FROM_POINTS
def test_renders_of_other_points_are_refused(method: str) -> None:
    cloud, cameras = cloud_of("box", count=100), ring(3)
    with pytest.raises(ValueError, match="not of these points"):
        visible_points(cloud, cameras, method=method, renders=render_points(0.5 * cloud.points, cameras))


# --- Hidden point removal alone


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_hidden_point_removal_refuses_what_is_not_finite(bad: float) -> None:
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (10, 3))
    points[3, 1] = bad
    with pytest.raises(ValueError, match="finite"):
        hidden_point_removal(points, FRONT.centers)


@pytest.mark.parametrize("factor", [0.9, 0.0, -1.0, float("nan")])
def test_hidden_point_removal_refuses_a_radius_that_reaches_not_every_point(factor: float) -> None:
    with pytest.raises(ValueError, match="at least 1, not"):
        hidden_point_removal(np.eye(3), FRONT.centers, radius_factor=factor)


def test_hidden_point_removal_sees_what_its_plain_form_sees() -> None:
    centers = ring(4).centers
    for cloud in made_clouds(24).astype(np.float64):
        np.testing.assert_array_equal(hidden_point_removal(cloud, centers), plain_masks(cloud, centers))


def test_several_threads_see_what_one_sees() -> None:
    centers, points = ring(5).centers, cloud_of("torus").points
    np.testing.assert_array_equal(
        hidden_point_removal(points, centers, threads=3), hidden_point_removal(points, centers, threads=1)
    )


def test_hidden_point_removal_refuses_two_points() -> None:
    with pytest.raises(ValueError, match="at least 3 points, not 2"):
        hidden_point_removal(np.eye(3)[:2], FRONT.centers)


def test_a_larger_flipping_radius_sees_more() -> None:
    points, centers = cloud_of("mug").points, ring().centers
    seen = [hidden_point_removal(points, centers, radius_factor=10.0**power).mean() for power in (1.0, 1.5, 2.0, 3.0)]
    assert seen == sorted(seen)
    assert seen[-1] > 1.5 * seen[0]


# --- How well the point methods agree with ray casting (docs/method.md)


@pytest.fixture(scope="module", params=[1024, 2048])
def rows(request: pytest.FixtureRequest) -> tuple[int, list[Agreement]]:
    return request.param, agreement(request.param)


# Mean over the eight shapes and 12 views: precision, recall, IoU. Over six sampling seeds they vary by at most 0.01.
MEASURED = {
    ("hpr", 1024): (0.88, 0.96, 0.85),
    ("hpr", 2048): (0.93, 0.95, 0.89),
    ("zbuffer", 1024): (0.78, 0.89, 0.70),
    ("zbuffer", 2048): (0.83, 0.86, 0.73),
}


@FROM_POINTS
def test_agreement_with_ray_casting_is_as_documented(rows: tuple[int, list[Agreement]], method: str) -> None:
    points, table = rows
    mean = mean_of(table, method)
    np.testing.assert_allclose((mean.precision, mean.recall, mean.iou), MEASURED[method, points], atol=0.02)


def test_hidden_point_removal_holds_the_figures_of_the_method(rows: tuple[int, list[Agreement]]) -> None:
    # Those were taken on six shapes; of our eight, box and plane are the easy ones.
    points, table = rows
    mean = mean_of([row for row in table if row.shape not in ("box", "plane")], "hpr")
    expected = {1024: (0.85, 0.94, 0.81), 2048: (0.90, 0.93, 0.84)}[points]
    np.testing.assert_allclose((mean.precision, mean.recall, mean.iou), expected, atol=0.03)


def test_hidden_point_removal_beats_the_z_buffer_on_nearly_every_shape(rows: tuple[int, list[Agreement]]) -> None:
    _, table = rows
    iou = {(row.shape, row.method): row.iou for row in table}
    shapes = {row.shape for row in table}
    assert sum(iou[shape, "hpr"] > iou[shape, "zbuffer"] for shape in shapes) >= len(shapes) - 1


def test_ray_casting_agrees_with_itself(rows: tuple[int, list[Agreement]]) -> None:
    assert all(row.iou == 1 for row in rows[1] if row.method == "raycast")


def test_precision_recall_and_iou_by_hand() -> None:
    found = np.array([[True, True, False, False], [False, False, False, False]])
    truth = np.array([[True, False, True, True], [False, False, False, False]])
    # First view: 1 of 2 found is right, 1 of 3 is found, 1 of 4 in common. Second: nothing to find, nothing found.
    assert compare(found, truth) == pytest.approx(((1 / 2 + 1) / 2, (1 / 3 + 1) / 2, (1 / 4 + 1) / 2))


def test_a_doubled_face_hides_nothing() -> None:
    vertices, faces = square(0.3, 0.5)
    shape = Shape(name="twice", vertices=np.concatenate([vertices, vertices]), faces=np.concatenate([faces, faces + 4]))
    cloud = sample_points(shape, count=200)
    assert visible_points(cloud, ring(4), method="raycast").mask.all()
