"""What does each camera's image of the shape look like? Grey shading on black, with depth and index per pixel."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, Int32, UInt8
from scipy.spatial import cKDTree

from pointmcd.cameras import to_camera, to_pixels
from pointmcd.types import Cameras, PointCloud, Renders

Spread: TypeAlias = Float[np.ndarray, " N"]
Drawn: TypeAlias = Int32[np.ndarray, "..."] | UInt8[np.ndarray, "..."]

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
# The closed form of a normal is used where the two smallest eigenvalues lie this far apart, as a share of the whole
# range: its error, some 1e-15 over the gap's square, then stays under the rounding to single precision.
SURE_GAP = 1e-3
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
    dots = _Dots.of(points, cameras)
    depth, brightness = dots.in_camera[..., 2].reshape(-1), dots.brightness.reshape(-1)
    # Each pixel shows a dot, numbered through all views; -1, the last of each table, is the background.
    shown = _splat(dots, cameras, np.arange(depth.size, dtype=np.int32), background=-1).astype(np.intp)
    index = np.append(np.tile(np.arange(len(points), dtype=np.int32), len(shown)), np.int32(-1))[shown]
    return Renders(
        images=np.repeat(np.append(brightness, np.uint8(0))[shown][..., None], 3, axis=-1),
        depth=np.append(depth, np.inf).astype(np.float32)[shown],
        index=index,
        source="points",
    )


def draw_points(points: Float[np.ndarray, "N 3"], cameras: Cameras) -> UInt8[np.ndarray, "V H W"]:
    """Draw the images of `render_points` alone, one channel of the three: half the time, for whole data sets."""
    dots = _Dots.of(points, cameras)
    return _splat(dots, cameras, dots.brightness.reshape(-1), background=0)


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
    x, y, z = points.T.astype(np.float64)[:, nearest]
    for offset in (x, y, z):
        offset -= offset.mean(axis=1, keepdims=True)
    products = [
        np.einsum("nk,nk->n", first, second) for first, second in ((x, x), (x, y), (x, z), (y, y), (y, z), (z, z))
    ]
    axis, sure = _axis_of_least_spread(*products)
    normals = axis.astype(np.float32)
    if not sure.all():
        unsure = np.stack(products, axis=-1)[~sure]
        _, axes = np.linalg.eigh(unsure[:, [0, 1, 2, 1, 3, 4, 2, 4, 5]].reshape(-1, 3, 3))
        normals[~sure] = axes[:, :, 0]
    return normals


def _axis_of_least_spread(
    xx: Spread, xy: Spread, xz: Spread, yy: Spread, yz: Spread, zz: Spread
) -> tuple[Float[np.ndarray, "N 3"], Bool[np.ndarray, " N"]]:
    """Find the eigenvector of the smallest eigenvalue of symmetric 3 x 3 matrices in closed form.

    Returns:
        Unit vectors, and where they can be trusted to single precision: not where the two smallest eigenvalues are
        nearly one.
    """
    mean = (xx + yy + zz) / 3
    a, b, c = xx - mean, yy - mean, zz - mean
    spread = np.sqrt((a * a + b * b + c * c + 2 * (xy * xy + xz * xz + yz * yz)) / 6)
    determinant = a * (b * c - yz * yz) - xy * (xy * c - yz * xz) + xz * (xy * yz - b * xz)
    with np.errstate(divide="ignore", invalid="ignore"):
        angle = np.arccos(np.clip(determinant / (2 * spread**3), -1, 1)) / 3
        largest, least = 2 * spread * np.cos(angle), 2 * spread * np.cos(angle + 2 * np.pi / 3)
        a, b, c = a - least, b - least, c - least
        # The rows of what is left span the plane across the axis: the longest of their cross products is the best.
        crosses = np.stack(
            [
                [xy * yz - xz * b, xz * xy - a * yz, a * b - xy * xy],
                [xy * c - xz * yz, xz * xz - a * c, a * yz - xy * xz],
                [b * c - yz * yz, yz * xz - xy * c, xy * yz - b * xz],
            ]
        )
        longest = (crosses * crosses).sum(axis=1)
        best = longest.argmax(axis=0)
        rows = np.arange(len(best))
        axis = crosses[best, :, rows] / np.sqrt(longest[best, rows])[:, None]
        gap = -largest - 2 * least  # The three eigenvalues about their mean add up to 0.
        sure = (gap > SURE_GAP * (largest - least)) & np.isfinite(axis).all(axis=1)
    return axis, sure


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
    distance = np.sqrt(_dot(in_camera, in_camera))
    facing = np.abs(_dot(normals_in_camera, in_camera)) / np.maximum(distance, 1e-6)
    behind = np.clip((in_camera[..., 2] - to_center + 1) / 2, 0, 1)
    brightness = (AMBIENT + (1 - AMBIENT) * facing) * (1 - (1 - FAR_BRIGHTNESS) * behind)
    return np.asarray(1 + 254 * np.clip(brightness, 0, 1), dtype=np.uint8)


def _dot(first: Float[np.ndarray, "*S 3"], second: Float[np.ndarray, "*S 3"]) -> Float[np.ndarray, "*S"]:
    """Sum over the last axis, written out: numpy is slow at summing rows of three."""
    x, y, z = (first[..., axis] * second[..., axis] for axis in range(3))
    return np.asarray(x + y + z)


@dataclass(frozen=True, eq=False)
class _Dots:
    """What `_splat` draws: each point as each camera sees it.

    Attributes:
        radius: Of the discs, in normalised units.
        in_camera: The points in the cameras' frames.
        brightness: Their grey.
    """

    radius: float
    in_camera: Float[np.ndarray, "V N 3"]
    brightness: UInt8[np.ndarray, "V N"]

    @classmethod
    def of(cls, points: Float[np.ndarray, "N 3"], cameras: Cameras) -> _Dots:
        distances, nearest = cKDTree(points).query(points, k=min(NORMAL_NEIGHBOURS, len(points)))
        normals = _normals_of_neighbourhoods(points, nearest.reshape(len(points), -1))
        in_camera = to_camera(points, cameras)
        # Written out: numpy's einsum over rows of three takes as long as all the rest of the shading.
        x, y, z = normals.T
        turn = cameras.world_to_camera[:, :, :3, None]
        turned = [turn[:, axis, 0] * x + turn[:, axis, 1] * y + turn[:, axis, 2] * z for axis in range(3)]
        return cls(
            radius=_disc_radius(distances.reshape(len(points), -1)),
            in_camera=in_camera,
            brightness=_shade(in_camera, np.stack(turned, axis=-1), _distance_to_center(cameras)[:, None]),
        )


def _splat(dots: _Dots, cameras: Cameras, values: Drawn, *, background: int) -> Drawn:
    """Z-buffer by the painter's algorithm: discs from far to near, so the last write on a pixel is the nearest.

    A disc's radius in pixels grows as its depth shrinks, so discs sorted from far to near are also sorted by radius:
    each run of equal integer radius is written with one table of offsets.

    Args:
        dots: What to draw.
        cameras: The rig.
        values: What to write for each dot, view by view.
        background: What a pixel without a dot holds.

    Returns:
        The values that are seen, `(V, H, W)`.
    """
    views, count, _ = dots.in_camera.shape
    depth = dots.in_camera[..., 2].reshape(-1)
    column, row = np.ascontiguousarray(to_pixels(dots.in_camera, cameras).reshape(-1, 2).T)
    size = cameras.image_size
    radii = np.clip(np.rint(dots.radius * cameras.intrinsics[0, 0] / np.maximum(depth, 1e-6)), 1, size // 4)
    low, high = -radii, size + radii
    inside = (depth > NEAR) & (column > low) & (column < high) & (row > low) & (row < high)
    chosen = _far_to_near(depth, np.flatnonzero(inside))
    ordered = radii[chosen].astype(np.intp)
    # A margin as wide as the widest disc makes every write fall inside the canvas.
    margin = 2 * int(ordered.max(initial=0)) + 1
    width = size + 2 * margin
    canvas = np.full((views, width, width), background, dtype=values.dtype)
    across, down = (np.floor(pixels[chosen]).astype(np.intp) + margin for pixels in (column, row))
    start = (chosen // count * width + down) * width + across
    flat, values = canvas.reshape(-1), values[chosen]
    edges = np.flatnonzero(np.diff(ordered, prepend=0, append=0))
    for first, last in pairwise(edges):
        offsets = _disc_offsets(int(ordered[first]), width)
        step = 1 + WRITES_AT_A_TIME // len(offsets)
        for block in range(first, last, step):
            some = slice(block, min(block + step, last))
            flat[start[some, None] + offsets] = values[some, None]
    return canvas[:, margin : margin + size, margin : margin + size].copy()


def _far_to_near(depth: Float[np.ndarray, " D"], chosen: Int[np.ndarray, " C"]) -> Int[np.ndarray, " C"]:
    """Sort by depth, the deepest first, equals as they come; depths are positive.

    Positive floats sort like their bits, so that depth and place make one whole number: those sort several times faster
    than depths with their places.
    """
    bits = np.uint32(0xFFFFFFFF) - depth[chosen].astype(np.float32).view(np.uint32)
    keys = bits.astype(np.uint64) << np.uint64(32) | chosen.astype(np.uint64)
    keys.sort()
    return np.asarray(keys & np.uint64(0xFFFFFFFF), dtype=np.intp)


@lru_cache(maxsize=512)
def _disc_offsets(radius: int, width: int) -> Int[np.ndarray, " P"]:
    rows, columns = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    inside = rows**2 + columns**2 <= (radius + 0.3) ** 2
    return np.asarray((rows * width + columns)[inside], dtype=np.intp)
