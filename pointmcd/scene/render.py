"""What does each camera's image of the shape look like? Grey shading on black, with depth and index per pixel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32, Int, Shaped, UInt8
from scipy.spatial import cKDTree
from torch import Tensor

from pointmcd.records import Cameras, PointCloud, Renders
from pointmcd.scene.cameras import to_camera
from pointmcd.scene.discs import (
    DISC_NEIGHBOUR,
    NORMAL_NEIGHBOURS,
    Discs,
    distance_to_center,
    normals,
    radius_for,
    shade,
)

SOURCES = ("auto", "mesh", "points")
# Pixels that discs write in one call: a bound on memory, which a million points would otherwise fill with addresses.
WRITES_AT_A_TIME = 1 << 20


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
    discs = _discs(points, cameras)
    depth, brightness = discs.in_camera[..., 2].flatten().numpy(), discs.brightness.flatten().numpy()
    # Each pixel shows a dot, numbered through all views; -1, the last of each table, is the background.
    shown = _paint(discs, cameras, np.arange(depth.size, dtype=np.int32), background=-1).astype(np.intp)
    index = np.append(np.tile(np.arange(len(points), dtype=np.int32), len(shown)), np.int32(-1))[shown]
    return Renders(
        images=np.repeat(np.append(brightness, np.uint8(0))[shown][..., None], 3, axis=-1),
        depth=np.append(depth, np.inf).astype(np.float32)[shown],
        index=index,
        source="points",
    )


def draw_points(points: Float[np.ndarray, "N 3"], cameras: Cameras) -> UInt8[np.ndarray, "V H W"]:
    """Draw the images of `render_points` alone, one channel of the three: half the time, for whole data sets."""
    discs = _discs(points, cameras)
    return _paint(discs, cameras, discs.brightness.flatten().numpy(), background=0)


def _discs(points: Float[np.ndarray, "N 3"], cameras: Cameras) -> Discs:
    nearest, reach = _neighbours(points)
    in_camera = torch.from_numpy(to_camera(points, cameras))
    return Discs.of(_one(points), in_camera[None], nearest, reach, cameras)


def _one(points: Float[np.ndarray, "N 3"]) -> Float[Tensor, "1 N 3"]:
    return torch.tensor(np.ascontiguousarray(points))[None]


def _neighbours(points: Float[np.ndarray, "N 3"]) -> tuple[Int[Tensor, "1 N k"], Float[Tensor, "1 N"]]:
    """Find each point's neighbours for its normal, and its distance to the one that its disc reaches for."""
    near = list(range(1, min(NORMAL_NEIGHBOURS, len(points)) + 1))
    distances, nearest = cKDTree(points).query(points, k=near)
    reach = distances[:, min(DISC_NEIGHBOUR, len(near) - 1)]
    return torch.from_numpy(nearest)[None], torch.tensor(reach)[None]


def _paint(
    discs: Discs, cameras: Cameras, values: Shaped[np.ndarray, " D"], *, background: int
) -> Shaped[np.ndarray, "V H W"]:
    """Draw by the painter's algorithm: discs from far to near, so the last write on a pixel is the nearest.

    Args:
        discs: The discs of one cloud.
        cameras: The rig.
        values: What to write for each disc, view by view.
        background: What a pixel without a disc holds.

    Returns:
        The values that are seen.
    """
    placed = discs.place(cameras)
    _, views, width = placed.canvas
    flat, values = np.full(views * width * width, background, dtype=values.dtype), values[placed.dot.numpy()]
    for some, pixels in placed.writes(WRITES_AT_A_TIME):
        flat[pixels.numpy()] = values[some, None]
    return placed.crop(torch.from_numpy(flat))[0].numpy()


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
    rotation, centers = cameras.world_to_camera[:, :, :3], cameras.centers
    to_center = torch.from_numpy(distance_to_center(cameras))
    for view in range(shape[0]):  # One view at a time: rays take ten times the memory of the pixels they make.
        hits = first_hits(scene, np.broadcast_to(centers[view], rays.shape), rays @ rotation[view])
        depth[view], index[view] = hits.reach, hits.face  # The rays advance one unit of depth per unit of reach.
        hit = np.flatnonzero(hits.face >= 0)
        in_camera, normal = rays[hit] * hits.reach[hit, None], hits.normal[hit] @ rotation[view].T
        image[view, hit] = shade(torch.from_numpy(in_camera), torch.from_numpy(normal), to_center[view]).numpy()
    return Renders(
        images=np.repeat(image.reshape(*shape, 1), 3, axis=-1),
        depth=depth.reshape(shape),
        index=index.reshape(shape),
        source="mesh",
    )


def _pixel_rays(cameras: Cameras) -> Float32[np.ndarray, "P 3"]:
    """Return the directions through the pixel centres, row by row, in the camera's frame, with depth 1."""
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
        normal: Unit normal of that face, on the side its winding gives; zeros where nothing is hit.
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
    import open3d  # Imported here because it takes a second and training never needs it.

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
        directions: Any length; it is the unit of `Hits.reach`.
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
    nearest, _ = _neighbours(points)
    return normals(_one(points), nearest)[0].numpy()


def disc_radius(points: Float[np.ndarray, "N 3"]) -> float:
    """Measure the reach of the discs that `render_points` draws, in normalised units."""
    _, reach = _neighbours(points)
    return radius_for(reach).item()
