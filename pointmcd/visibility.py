"""Which points does each camera see? Ray casting, hidden point removal and a z-buffer behind one function."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float, Float32
from scipy.spatial import ConvexHull, QhullError

from pointmcd.cameras import to_camera, to_pixels
from pointmcd.render import first_hits, render_points
from pointmcd.types import Cameras, PointCloud, Renders, Visibility

# A point this close behind a face, along the ray, lies on it: a tenth of a pixel's width at 224 px and two radii.
ON_FACE_ALONG_RAY = 1e-3
# So does a point this close to the plane of the face that was hit: where a ray grazes, rounding of single-precision
# coordinates (6e-8) shifts the hit far along the ray, but never off the plane.
ON_FACE_ACROSS = 1e-5
# Z-buffer: a point this far behind the disc on its pixel is hidden.
ZBUFFER_TOLERANCE = 0.05
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
        renders: Point renders of this cloud by these cameras, if they are already made; else those that are needed
            are rendered here.

    Returns:
        The mask; a point outside an image is not seen. Pixels even of hidden points. Margins along the camera's axis:
        to the first face on the point's ray for "raycast", else to the disc drawn on the point's pixel.

    Raises:
        ValueError: An unknown method, ray casting without a mesh, or renders of something else.
    """
    if method == "auto":
        method = "hpr" if cloud.mesh_faces is None else "raycast"
    if method not in METHODS:
        raise ValueError(f"A visibility method is one of auto, {', '.join(METHODS)}, not {method!r}.")
    in_camera = to_camera(cloud.points, cameras)
    pixels = to_pixels(in_camera, cameras)
    inside = (in_camera[..., 2] > 0) & ((pixels >= 0) & (pixels < cameras.image_size)).all(axis=-1)
    seen, gap = METHODS[method](cloud, cameras, renders)
    return Visibility(
        mask=seen & inside,
        pixels=pixels,
        margin=np.where(inside, np.maximum(gap, 0), 0).astype(np.float32),
        method=method,
    )


def _by_raycast(
    cloud: PointCloud, cameras: Cameras, renders: Renders | None
) -> tuple[Bool[np.ndarray, "V N"], Float32[np.ndarray, "V N"]]:
    if cloud.mesh_vertices is None or cloud.mesh_faces is None:
        raise ValueError("Ray casting needs a mesh, and this shape has only points: choose hpr or zbuffer.")
    centers = cameras.centers
    rays = cloud.points - centers[:, None, :]
    hits = first_hits(
        cloud.mesh_vertices, cloud.mesh_faces, np.repeat(centers, len(cloud.points), axis=0), rays.reshape(-1, 3)
    )
    # The rays end at the points, so what is left of one beyond its hit is the share 1 - reach; negative: free sight.
    beyond = np.maximum(1 - hits.reach, 0).reshape(rays.shape[:2])
    along = beyond * np.linalg.norm(rays, axis=-1)
    across = beyond * np.abs((rays * hits.normal.reshape(rays.shape)).sum(axis=-1))
    seen = (along <= ON_FACE_ALONG_RAY) | (across <= ON_FACE_ACROSS)
    return seen, np.where(seen, 0, beyond * to_camera(cloud.points, cameras)[..., 2])


def _by_hpr(
    cloud: PointCloud, cameras: Cameras, renders: Renders | None
) -> tuple[Bool[np.ndarray, "V N"], Float32[np.ndarray, "V N"]]:
    return hidden_point_removal(cloud.points, cameras.centers), _behind_disc(cloud, cameras, renders)


def _by_zbuffer(
    cloud: PointCloud, cameras: Cameras, renders: Renders | None
) -> tuple[Bool[np.ndarray, "V N"], Float32[np.ndarray, "V N"]]:
    behind = _behind_disc(cloud, cameras, renders)
    return behind <= ZBUFFER_TOLERANCE, behind


METHODS: dict[
    str,
    Callable[[PointCloud, Cameras, Renders | None], tuple[Bool[np.ndarray, "V N"], Float32[np.ndarray, "V N"]]],
] = {"raycast": _by_raycast, "hpr": _by_hpr, "zbuffer": _by_zbuffer}


def _behind_disc(cloud: PointCloud, cameras: Cameras, renders: Renders | None) -> Float32[np.ndarray, "V N"]:
    """Measure how far each point lies behind what the point render shows on its pixel."""
    if renders is None or renders.source != "points":
        renders = render_points(cloud.points, cameras)
    if renders.index.shape[0] != len(cameras.world_to_camera) or renders.index.shape[1] != cameras.image_size:
        raise ValueError("The renders are not of these cameras: their number of views or pixels differs.")
    in_camera = to_camera(cloud.points, cameras)
    column, row = np.clip(to_pixels(in_camera, cameras), 0, cameras.image_size - 1).astype(np.intp).transpose(2, 0, 1)
    shown = renders.depth[np.arange(len(in_camera))[:, None], row, column]
    return np.maximum(in_camera[..., 2] - shown, 0)


def hidden_point_removal(
    points: Float[np.ndarray, "N 3"],
    centers: Float[np.ndarray, "V 3"],
    *,
    radius_factor: float = HPR_RADIUS_FACTOR,
) -> Bool[np.ndarray, "V N"]:
    """Find the points seen from each centre by spherical flipping and a convex hull (Katz, Tal, Basri 2007).

    Args:
        points: Finite points; the centres lie outside their hull.
        centers: Camera positions.
        radius_factor: R as a multiple of the largest distance from the camera to a point; at least 1.

    Raises:
        ValueError: A point or centre is not finite, or R would be too small.
    """
    if not (np.isfinite(points).all() and np.isfinite(centers).all()):
        raise ValueError("Hidden point removal needs finite points and cameras.")
    if not radius_factor >= 1:
        raise ValueError(f"The flipping radius must reach every point: a factor of at least 1, not {radius_factor:g}.")
    return np.stack([_seen_from(points - center, radius_factor) for center in centers.astype(np.float64)])


def _seen_from(offsets: Float[np.ndarray, "N 3"], radius_factor: float) -> Bool[np.ndarray, " N"]:
    distance = np.maximum(np.linalg.norm(offsets, axis=1, keepdims=True), 1e-12)
    flipped = offsets + 2 * (radius_factor * distance.max() - distance) * offsets / distance
    hull_input = np.concatenate([flipped, np.zeros((1, 3))])
    try:
        corners = ConvexHull(hull_input).vertices
    except QhullError:
        # Fewer than three directions span no volume: joggling lets every direction be a corner.
        corners = ConvexHull(hull_input, qhull_options="QJ").vertices
    seen = np.zeros(len(offsets) + 1, dtype=bool)
    seen[corners] = True
    return seen[:-1]
