"""What does each camera's image of the shape look like? Grey shading on black, with depth and index per pixel."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import Float, Float32, Int, UInt8
from scipy.spatial import cKDTree

from pointmcd.cameras import to_camera, to_pixels
from pointmcd.types import Cameras, Renders

NORMAL_NEIGHBOURS = 16
# Discs reach this many times the median distance to the 5th neighbour: the smallest that leaves no holes in a surface
# sampled at random (a hole shows what is behind; a larger disc only thickens the outline).
DISC_SCALE = 0.8
# A headlight: what faces the camera is brightest. The ambient share keeps grazing surfaces apart from the background.
AMBIENT = 0.25
# Brightness falls to this share at the far side of the unit sphere, so that one image also tells depth.
FAR_BRIGHTNESS = 0.45


def render_points(points: Float[np.ndarray, "N 3"], cameras: Cameras) -> Renders:
    """Draw each point as a z-buffered disc facing the camera, shaded by its estimated normal.

    Args:
        points: In the normalised frame.
        cameras: Any rig.

    Returns:
        Renders whose index is the point that each pixel shows.
    """
    neighbours = min(NORMAL_NEIGHBOURS, len(points))
    distances, nearest = cKDTree(points).query(points, k=neighbours)
    normals = _normals_of_neighbourhoods(points, nearest.reshape(len(points), -1))
    radius = _disc_radius(distances.reshape(len(points), -1))
    index = _splat(points, radius, cameras)
    in_camera = to_camera(points, cameras)
    brightness = _shade(in_camera, np.einsum("vij,nj->vni", cameras.world_to_camera[:, :, :3], normals), cameras)
    seen = index >= 0
    flat = np.where(seen, index, 0).reshape(len(index), -1)
    image = np.where(seen, np.take_along_axis(brightness, flat, axis=1).reshape(index.shape), 0)
    depth = np.where(seen, np.take_along_axis(in_camera[..., 2], flat, axis=1).reshape(index.shape), np.inf)
    return Renders(
        images=np.repeat(image[..., None].astype(np.uint8), 3, axis=-1),
        depth=depth.astype(np.float32),
        index=index,
        source="points",
    )


def estimate_normals(points: Float[np.ndarray, "N 3"]) -> Float32[np.ndarray, "N 3"]:
    """Fit a plane to each point's 16 nearest neighbours; the sign of a normal is arbitrary."""
    neighbours = min(NORMAL_NEIGHBOURS, len(points))
    _, nearest = cKDTree(points).query(points, k=neighbours)
    return _normals_of_neighbourhoods(points, nearest.reshape(len(points), -1))


def _normals_of_neighbourhoods(
    points: Float[np.ndarray, "N 3"], nearest: Int[np.ndarray, "N k"]
) -> Float32[np.ndarray, "N 3"]:
    patches = points[nearest].astype(np.float64)
    patches -= patches.mean(axis=1, keepdims=True)
    covariance = np.einsum("nki,nkj->nij", patches, patches)
    _, axes = np.linalg.eigh(covariance)
    return np.asarray(axes[:, :, 0], dtype=np.float32)


def _disc_radius(neighbour_distances: Float[np.ndarray, "N k"]) -> float:
    fifth = min(5, neighbour_distances.shape[1] - 1)
    return float(np.clip(DISC_SCALE * np.median(neighbour_distances[:, fifth]), 0.01, 0.25))


def _shade(
    in_camera: Float[np.ndarray, "V N 3"], normals_in_camera: Float[np.ndarray, "V N 3"], cameras: Cameras
) -> UInt8[np.ndarray, "V N"]:
    """Headlight times depth cue, 1 to 255 (0 is the background's)."""
    distance = np.linalg.norm(in_camera, axis=-1)
    facing = np.abs((normals_in_camera * in_camera).sum(axis=-1)) / np.maximum(distance, 1e-6)
    to_center = np.linalg.norm(cameras.world_to_camera[:, :, 3], axis=-1)[:, None]
    behind = np.clip((in_camera[..., 2] - to_center + 1) / 2, 0, 1)
    brightness = (AMBIENT + (1 - AMBIENT) * facing) * (1 - (1 - FAR_BRIGHTNESS) * behind)
    return np.asarray(1 + 254 * np.clip(brightness, 0, 1), dtype=np.uint8)


def _splat(points: Float[np.ndarray, "N 3"], radius: float, cameras: Cameras) -> Int[np.ndarray, "V H W"]:
    """Z-buffer by the painter's algorithm: discs from far to near, so the last write on a pixel is the nearest.

    A disc's radius in pixels grows as its depth shrinks, so discs sorted from far to near are also sorted by radius:
    each run of equal integer radius is written with one table of offsets.
    """
    in_camera = to_camera(points, cameras)
    depth = in_camera[..., 2].reshape(-1)
    pixels = to_pixels(in_camera, cameras).reshape(-1, 2)
    size, views = cameras.image_size, len(in_camera)
    largest = size // 4
    radii = np.clip(np.rint(radius * cameras.intrinsics[0, 0] / np.maximum(depth, 1e-6)), 1, largest).astype(np.int32)
    inside = (depth > 1e-3) & ((pixels > -radii[:, None]) & (pixels < size + radii[:, None])).all(axis=1)
    chosen = np.flatnonzero(inside)
    chosen = chosen[np.argsort(-depth[chosen], kind="stable")]
    # A margin as wide as the widest disc makes every write fall inside the canvas.
    margin = 2 * largest + 1
    width = size + 2 * margin
    canvas = np.full((views, width, width), -1, dtype=np.int32)
    corner = np.floor(pixels[chosen]).astype(np.int32) + margin
    view, point = np.divmod(chosen.astype(np.int32), np.int32(len(points)))
    start = (view * width + corner[:, 1]) * width + corner[:, 0]
    flat = canvas.reshape(-1)
    ordered = radii[chosen]
    for run in np.split(np.arange(len(chosen)), np.flatnonzero(np.diff(ordered)) + 1):
        if len(run):
            offsets = _disc_offsets(int(ordered[run[0]]), width)
            flat[start[run, None] + offsets] = point[run, None]
    return canvas[:, margin : margin + size, margin : margin + size].copy()


@lru_cache(maxsize=512)
def _disc_offsets(radius: int, width: int) -> Int[np.ndarray, " P"]:
    rows, columns = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    inside = rows**2 + columns**2 <= (radius + 0.3) ** 2
    return np.asarray((rows * width + columns)[inside], dtype=np.int32)
