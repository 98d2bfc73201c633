"""What does each camera's image of the shape look like? Grey shading on black, with depth and index per pixel."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, Int, UInt8
from scipy.spatial import cKDTree

from pointmcd.cameras import to_camera, to_pixels
from pointmcd.types import Cameras, PointCloud, Renders

SOURCES = ("auto", "mesh", "points")
NORMAL_NEIGHBOURS = 16
# Discs reach this many times the median distance to the 5th neighbour: the smallest that leaves no holes in an evenly
# sampled surface (a hole shows what is behind; a larger disc only thickens the outline). Where points are drawn
# independently, 1 to 5 % of the pixels inside the outline show what is behind.
DISC_SCALE = 0.8
DISC_NEIGHBOUR = 5
# Points nearer to the camera's plane than this are not drawn.
NEAR = 1e-3
# A headlight: what faces the camera is brightest. The ambient share keeps grazing surfaces apart from the background.
AMBIENT = 0.25
# Brightness falls to this share at the far side of the unit sphere, so that one image also tells depth.
FAR_BRIGHTNESS = 0.45


def render(cloud: PointCloud, cameras: Cameras, *, source: str = "auto") -> Renders:
    """Draw a cloud's mesh or its points, in one style.

    Args:
        cloud: Points, and the mesh they were sampled from if there is one.
        cameras: Any rig.
        source: "mesh", "points", or "auto": the mesh if there is one. Networks trained on point renders want "points".

    Raises:
        ValueError: An unknown source, or "mesh" for a cloud without one.
    """
    if source not in SOURCES:
        raise ValueError(f"A render's source is one of {', '.join(SOURCES)}, not {source!r}.")
    if source == "points" or (source == "auto" and cloud.mesh_faces is None):
        return render_points(cloud.points, cameras)
    if cloud.mesh_vertices is None or cloud.mesh_faces is None:
        raise ValueError("This shape has no mesh to draw: render its points (source 'points').")
    return render_mesh(cloud.mesh_vertices, cloud.mesh_faces, cameras)


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
    normals_in_camera = np.einsum("vij,nj->vni", cameras.world_to_camera[:, :, :3], normals)
    brightness = _shade(in_camera, normals_in_camera, _distance_to_center(cameras)[:, None])
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


def render_mesh(vertices: Float[np.ndarray, "S 3"], faces: Int[np.ndarray, "F 3"], cameras: Cameras) -> Renders:
    """Cast one ray through the centre of each pixel; flat shading, both sides of a face alike.

    Args:
        vertices: In the normalised frame.
        faces: Triangles; their winding does not matter.
        cameras: Any rig.

    Returns:
        Renders whose index is the face that each pixel shows.

    Raises:
        ValueError: The mesh has no faces, or a face names a vertex that does not exist.
    """
    scene = raycast_scene(vertices, faces)
    rays = _pixel_rays(cameras)
    shape = (len(cameras.world_to_camera), cameras.image_size, cameras.image_size)
    image = np.zeros((shape[0], len(rays)), dtype=np.uint8)
    depth = np.empty(image.shape, dtype=np.float32)
    index = np.empty(image.shape, dtype=np.int32)
    rotation, centers, to_center = cameras.world_to_camera[:, :, :3], cameras.centers, _distance_to_center(cameras)
    for view in range(shape[0]):  # One view at a time: rays take ten times the memory of the pixels they make.
        hits = first_hits(scene, np.broadcast_to(centers[view], rays.shape), rays @ rotation[view])
        depth[view], index[view] = hits.reach, hits.face  # The rays advance one unit of depth per unit of reach.
        hit = np.flatnonzero(hits.face >= 0)
        in_camera = rays[hit] * hits.reach[hit, None]
        image[view, hit] = _shade(in_camera, hits.normal[hit] @ rotation[view].T, to_center[view])
    return Renders(
        images=np.repeat(image.reshape(*shape, 1), 3, axis=-1),
        depth=depth.reshape(shape),
        index=index.reshape(shape),
        source="mesh",
    )


def _pixel_rays(cameras: Cameras) -> Float32[np.ndarray, "P 3"]:
    """Directions through the pixel centres, row by row, in the camera's frame, with depth 1."""
    focal, half = cameras.intrinsics[0, 0], cameras.intrinsics[0, 2]
    steps = (np.arange(cameras.image_size, dtype=np.float32) + np.float32(0.5) - half) / focal
    across, down = np.meshgrid(steps, steps)
    return np.stack([across, down, np.ones_like(across)], axis=-1).reshape(-1, 3)


@dataclass(frozen=True, eq=False)
class Hits:
    """The first thing each of R rays meets.

    Attributes:
        reach: How often the ray's direction fits between its origin and the hit; inf where nothing is hit.
        face: The face that is hit; -1 where nothing is.
        normal: Unit normal of that face, on the side that its winding says; zeros where nothing is hit.
    """

    reach: Float32[np.ndarray, " R"]
    face: Int[np.ndarray, " R"]
    normal: Float32[np.ndarray, "R 3"]


def raycast_scene(vertices: Float[np.ndarray, "S 3"], faces: Int[np.ndarray, "F 3"]) -> Any:
    """Prepare a mesh for `first_hits`.

    Returns:
        An `open3d.t.geometry.RaycastingScene`.

    Raises:
        ValueError: The mesh has no faces, or a face names a vertex that does not exist.
    """
    if not len(faces):
        raise ValueError("A mesh needs at least one face to be seen.")
    lowest, highest = int(faces.min()), int(faces.max())
    if lowest < 0 or highest >= len(vertices):
        raise ValueError(f"Faces name the vertices {lowest} to {highest}, but the mesh has {len(vertices)}, from 0 on.")
    import open3d  # Here, because it takes a second to import, and training never needs it.

    scene = open3d.t.geometry.RaycastingScene()
    scene.add_triangles(
        open3d.core.Tensor.from_numpy(np.ascontiguousarray(vertices, dtype=np.float32)),
        open3d.core.Tensor.from_numpy(np.ascontiguousarray(faces, dtype=np.uint32)),
    )
    return scene


def first_hits(scene: Any, origins: Float[np.ndarray, "R 3"], directions: Float[np.ndarray, "R 3"]) -> Hits:
    """Find where rays first meet a mesh, from either side of its faces.

    Args:
        scene: From `raycast_scene`.
        origins: Where the rays start.
        directions: Of any length; it is the unit of `Hits.reach`.
    """
    import open3d

    rays = np.concatenate([origins, directions], axis=-1, dtype=np.float32)
    answer = scene.cast_rays(open3d.core.Tensor.from_numpy(rays))
    return Hits(
        reach=answer["t_hit"].numpy(),
        # Its "nothing" is the largest uint32, which is -1 as an int32.
        face=answer["primitive_ids"].numpy().view(np.int32),
        normal=answer["primitive_normals"].numpy(),
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


def disc_radius(points: Float[np.ndarray, "N 3"]) -> float:
    """Measure how far the discs reach that `render_points` draws, in normalised units."""
    distances, _ = cKDTree(points).query(points, k=min(DISC_NEIGHBOUR + 1, len(points)))
    return _disc_radius(distances.reshape(len(points), -1))


def _disc_radius(neighbour_distances: Float[np.ndarray, "N k"]) -> float:
    fifth = min(DISC_NEIGHBOUR, neighbour_distances.shape[1] - 1)
    return float(np.clip(DISC_SCALE * np.median(neighbour_distances[:, fifth]), 0.01, 0.25))


def _distance_to_center(cameras: Cameras) -> Float32[np.ndarray, " V"]:
    return np.asarray(np.linalg.norm(cameras.world_to_camera[:, :, 3], axis=-1))


def _shade(
    in_camera: Float[np.ndarray, "*S 3"],
    normals_in_camera: Float[np.ndarray, "*S 3"],
    to_center: Float[np.ndarray, ...],
) -> UInt8[np.ndarray, "*S"]:
    """Headlight times depth cue, 1 to 255 (0 is the background's)."""
    distance = np.linalg.norm(in_camera, axis=-1)
    facing = np.abs((normals_in_camera * in_camera).sum(axis=-1)) / np.maximum(distance, 1e-6)
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
    inside = (depth > NEAR) & ((pixels > -radii[:, None]) & (pixels < size + radii[:, None])).all(axis=1)
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
