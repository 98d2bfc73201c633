"""Which points does each camera see? Ray casting, hidden point removal and a z-buffer behind one function."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64, Int
from scipy.spatial import ConvexHull, QhullError
from torch import Tensor

from pointmcd.records import Cameras, PointCloud, Renders, SettingError, Visibility
from pointmcd.scene.cameras import to_camera, to_pixels
from pointmcd.scene.discs import NEAR
from pointmcd.scene.render import disc_radius, first_hits, raycast_scene, render_points

Seen: TypeAlias = Bool[np.ndarray, "V N"]
Behind: TypeAlias = Float32[np.ndarray, "V N"]

# A point this close to the plane of the first face on its ray lies on it. Measured across the plane and not along the
# ray, because where a ray grazes a face, rounding of single-precision coordinates (6e-8) shifts the hit far along it.
ON_FACE = 1e-5
# A point this many disc radii behind the disc on its pixel is hidden: discs face the camera, so on a slanted
# surface neighbours hide each other. Best mean IoU against ray casting on the table of
# benchmarks/bm_visibility.py, among 1.75 to 3.
ZBUFFER_TOLERANCE = 2.75
# R = largest distance to the camera x 10^1.5: best IoU against ray casting at 1,024 points (docs/method.md).
HPR_RADIUS_FACTOR = 10**1.5


def visible_points(
    cloud: PointCloud, cameras: Cameras, *, method: str = "auto", renders: Renders | None = None
) -> Visibility:
    """Find which points each camera sees, where they fall in its image, and how deep they are hidden.

    Args:
        cloud: Points, and the mesh they were sampled from if there is one.
        cameras: Any rig.
        method: "raycast" (exact, needs the mesh), "hpr" (hidden point removal), "zbuffer", or "auto": ray casting with
            a mesh, hidden point removal without.
        renders: Point renders of this cloud by these cameras, if they are already made: "hpr" needs them for its
            margins and "zbuffer" for its mask, and without them renders anew.

    Returns:
        The mask (a point outside the image is not seen), the pixels of all points, seen or not, and the margins along
        the camera's axis: behind the first face on the point's ray for "raycast", else behind the disc that is drawn on
        the point's pixel; 0 outside the image.

    Raises:
        ValueError: An unknown method, ray casting without a mesh, or renders of something else.
    """
    method = resolve_method(method, cloud)
    in_camera = to_camera(cloud.points, cameras)
    pixels = to_pixels(in_camera, cameras)
    inside = _inside(in_camera, pixels, cameras.image_size)
    seen, behind = METHODS[method](cloud, cameras, renders)
    return Visibility(
        mask=seen & inside,
        pixels=pixels,
        margin=np.where(inside, behind, 0).astype(np.float32),
        method=method,
    )


def resolve_method(method: str, cloud: PointCloud) -> str:
    """Say which method "auto" stands for: ray casting with a mesh, hidden point removal without.

    Raises:
        SettingError: An unknown method.
    """
    if method == "auto":
        return "hpr" if cloud.mesh_faces is None else "raycast"
    if method not in METHODS:
        raise SettingError(f"A visibility method is one of auto, {', '.join(METHODS)}, not {method!r}.")
    return method


def _by_raycast(cloud: PointCloud, cameras: Cameras, renders: Renders | None) -> tuple[Seen, Behind]:
    if cloud.mesh_vertices is None or cloud.mesh_faces is None:
        raise SettingError(
            "Ray casting needs a mesh, and this shape has only points: choose hidden point removal (hpr) or zbuffer."
        )
    rays = cloud.points - cameras.centers[:, None, :]
    origins = np.repeat(cameras.centers, len(cloud.points), axis=0)
    hits = first_hits(raycast_scene(cloud.mesh_vertices, cloud.mesh_faces), origins, rays.reshape(-1, 3))
    # The rays end at the points, so of a ray that is stopped on its way the share 1 - reach is left.
    left = np.maximum(1 - hits.reach, 0).reshape(rays.shape[:2])
    seen = left * np.abs((rays * hits.normal.reshape(rays.shape)).sum(axis=-1)) <= ON_FACE
    return seen, np.where(seen, 0, left * to_camera(cloud.points, cameras)[..., 2])


def _by_hpr(cloud: PointCloud, cameras: Cameras, renders: Renders | None) -> tuple[Seen, Behind]:
    seen = hidden_point_removal(cloud.points, cameras.centers, threads=os.cpu_count() or 1)
    # Of points in one place the hull names only one.
    places, place = np.unique(cloud.points, axis=0, return_inverse=True)
    if len(places) < len(cloud.points):
        seen_places = np.zeros((len(seen), len(places)), dtype=bool)
        view, point = np.nonzero(seen)
        seen_places[view, place[point]] = True
        seen = seen_places[:, place]
    return seen, _behind_disc(cloud, cameras, renders)


def _by_zbuffer(cloud: PointCloud, cameras: Cameras, renders: Renders | None) -> tuple[Seen, Behind]:
    behind = _behind_disc(cloud, cameras, renders)
    return behind <= ZBUFFER_TOLERANCE * disc_radius(cloud.points), behind


METHODS = {"raycast": _by_raycast, "hpr": _by_hpr, "zbuffer": _by_zbuffer}


def _behind_disc(cloud: PointCloud, cameras: Cameras, renders: Renders | None) -> Behind:
    """Measure how far each point lies behind what the point render shows on its pixel."""
    if renders is None or renders.source != "points":
        renders = render_points(cloud.points, cameras)
    size, views = cameras.image_size, len(cameras.world_to_camera)
    if renders.depth.shape != (views, size, size):
        raise ValueError(f"The renders are not of these cameras: {renders.depth.shape}, not {(views, size, size)}.")
    in_camera = to_camera(cloud.points, cameras)
    pixels = to_pixels(in_camera, cameras)
    column, row = np.clip(pixels, 0, size - 1).astype(np.intp).transpose(2, 0, 1)
    behind = in_camera[..., 2] - renders.depth[np.arange(views)[:, None], row, column]
    # A point's own disc covers its pixel, so that nothing deeper can be shown there.
    if behind[_inside(in_camera, pixels, size)].min(initial=0) < -1e-3:
        raise ValueError("The renders are not of these points: a pixel shows something deeper than the point on it.")
    return np.asarray(np.maximum(behind, 0), dtype=np.float32)


def _inside(
    in_camera: Float[np.ndarray, "V N 3"], pixels: Float[np.ndarray, "V N 2"], image_size: int
) -> Bool[np.ndarray, "V N"]:
    return (in_camera[..., 2] > NEAR) & ((pixels >= 0) & (pixels < image_size)).all(axis=-1)


def hidden_point_removal(
    points: Float[np.ndarray, "N 3"],
    centers: Float[np.ndarray, "V 3"],
    *,
    radius_factor: float = HPR_RADIUS_FACTOR,
    threads: int = 1,
) -> Bool[np.ndarray, "V N"]:
    """Find the points seen from each centre by spherical flipping and a convex hull (Katz, Tal, Basri 2007).

    Args:
        points: Finite points; the centres lie outside their hull.
        centers: Camera positions.
        radius_factor: R as a multiple of the largest distance from the camera to a point; at least 1.
        threads: Views that are worked on at a time; the hulls are found outside the interpreter's lock.

    Raises:
        ValueError: Fewer than 3 points, a point or centre that is not finite, or an R that is too small.
    """
    require_volume(len(points))
    if not (np.isfinite(points).all() and np.isfinite(centers).all()):
        raise ValueError("Hidden point removal needs finite points and cameras.")
    if not radius_factor >= 1:
        raise ValueError(f"The flipping radius must reach every point: a factor of at least 1, not {radius_factor:g}.")

    def seen_from(center: Float[np.ndarray, " 3"]) -> Bool[np.ndarray, " N"]:
        around = flipped(torch.from_numpy(points - center), radius_factor).numpy()
        seen = np.zeros(len(points) + 1, dtype=bool)
        seen[_corners(np.concatenate([around, np.zeros((1, 3))]))] = True
        return seen[:-1]

    views = centers.astype(np.float64)
    if threads == 1:
        return np.stack([seen_from(center) for center in views])
    with ThreadPoolExecutor(threads) as pool:
        return np.stack(list(pool.map(seen_from, views)))


def require_volume(points: int) -> None:
    """Refuse clouds that are too small for a hull.

    Raises:
        ValueError: Fewer than 3 points.
    """
    if points < 3:
        raise ValueError(f"Hidden point removal needs at least 3 points, not {points}.")


def flipped(offsets: Float64[Tensor, "*S N 3"], radius_factor: float) -> Float64[Tensor, "*S N 3"]:
    """Flip points about each camera at a sphere around it: what is seen comes to lie on the hull.

    Args:
        offsets: From the camera to each point.
        radius_factor: R as a multiple of the largest distance.
    """
    distance = (offsets * offsets).sum(dim=-1, keepdim=True).sqrt().clamp(min=1e-12)
    largest = distance.amax(dim=-2, keepdim=True)
    return offsets + 2 * (radius_factor * largest - distance) * offsets / distance


def _corners(points: Float[np.ndarray, "N 3"]) -> Int[np.ndarray, "F 3"]:
    """Triangulate the convex hull of points; its corners are those that a triangle names."""
    try:
        # Q5 leaves out a second pass that only measures how thick the merged facets are.
        hull = ConvexHull(points, qhull_options="Q5")
    except QhullError:
        # Fewer than three directions span no volume: joggling lets every direction be a corner.
        hull = ConvexHull(points, qhull_options="QJ")
    return np.asarray(hull.simplices)
