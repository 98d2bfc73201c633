"""Where do the cameras stand, and where does a point fall in each image? The one place with axis conventions.

World: right-handed, Z up. Camera: OpenCV axes, x right, y down, z forward. Pixels: (column, row), the centre of the
top-left pixel at (0.5, 0.5).
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float

from pointmcd.types import Cameras, SettingError

# Points as a numpy array or a torch tensor (which is not imported here: the command line's help would wait for it).
Array: TypeAlias = Any

# HPR and z-buffer need the camera at least two radii away (measured: at 1.2 radii they fail).
DISTANCE = 2.0
# At two radii the unit sphere spans exactly 60 degrees: 2 * asin(1 / 2).
FIELD_OF_VIEW_DEG = 60.0
IMAGE_SIZE = 224  # paper, Sec. IV-A


def ring(
    views: int = 12,
    *,
    elevation_deg: float = 30.0,
    distance: float = DISTANCE,
    fov_deg: float = FIELD_OF_VIEW_DEG,
    image_size: int = IMAGE_SIZE,
) -> Cameras:
    """Place `views` cameras evenly on one ring, looking at the origin; the first at azimuth 0 (paper, Sec. IV-A).

    Args:
        views: Number of cameras V, 1 to 64.
        elevation_deg: Height above the horizon, -90 to 90 degrees.
        distance: From the origin, in radii of the normalised shape; more than 1, at most 100.
        fov_deg: Full opening angle of the square image, 1 to 170 degrees.
        image_size: Side of the image in pixels.

    Raises:
        SettingError: A setting is out of its range.
    """
    _check_rig(views, abs(elevation_deg), distance, fov_deg, image_size)  # before an array of that many views is made
    azimuth = np.arange(views, dtype=np.float64) * (360.0 / views)
    return rig(azimuth, np.full(views, elevation_deg), distance=distance, fov_deg=fov_deg, image_size=image_size)


def two_rings(
    *, distance: float = DISTANCE, fov_deg: float = FIELD_OF_VIEW_DEG, image_size: int = IMAGE_SIZE
) -> Cameras:
    """Place 16 cameras: 8 azimuths at +30, then 8 at -30 degrees (paper, part segmentation and unsupervised)."""
    azimuth = np.tile(np.arange(8) * 45.0, 2)
    elevation = np.repeat([30.0, -30.0], 8)
    return rig(azimuth, elevation, distance=distance, fov_deg=fov_deg, image_size=image_size)


def rig(
    azimuth_deg: Float[np.ndarray, " V"],
    elevation_deg: Float[np.ndarray, " V"],
    *,
    distance: float = DISTANCE,
    fov_deg: float = FIELD_OF_VIEW_DEG,
    image_size: int = IMAGE_SIZE,
) -> Cameras:
    """Place one camera per (azimuth, elevation), looking at the origin with +Z up in the image.

    Raises:
        SettingError: A setting is out of its range.
    """
    _check_rig(len(azimuth_deg), float(np.abs(elevation_deg).max(initial=0.0)), distance, fov_deg, image_size)
    azimuth, elevation = np.radians(azimuth_deg), np.radians(elevation_deg)
    center = distance * np.stack(
        [np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)], axis=-1
    )
    forward = -center / distance
    # Built from the azimuth, not from a cross product with +Z, so that looking straight down is no special case.
    right = np.stack([-np.sin(azimuth), np.cos(azimuth), np.zeros_like(azimuth)], axis=-1)
    down = np.cross(forward, right)
    rotation = np.stack([right, down, forward], axis=1)
    translation = -np.einsum("vij,vj->vi", rotation, center)
    focal = 0.5 * image_size / np.tan(np.radians(fov_deg) / 2)
    half = image_size / 2
    return Cameras(
        world_to_camera=np.concatenate([rotation, translation[..., None]], axis=-1).astype(np.float32),
        intrinsics=np.array([[focal, 0, half], [0, focal, half], [0, 0, 1]], dtype=np.float32),
        image_size=image_size,
        azimuth_deg=np.asarray(azimuth_deg, dtype=np.float32),
        elevation_deg=np.asarray(elevation_deg, dtype=np.float32),
    )


def _check_rig(views: int, steepest_deg: float, distance: float, fov_deg: float, image_size: int) -> None:
    if not 1 <= views <= 64:
        raise SettingError(f"A rig has 1 to 64 views, not {views}.")
    if not steepest_deg <= 90:
        raise SettingError(f"An elevation lies between -90 and 90 degrees, not at {steepest_deg:g}.")
    if not 1 < distance <= 100:
        raise SettingError(f"The cameras must stand outside the shape, 1 to 100 radii away, not {distance:g}.")
    if not 1 <= fov_deg <= 170:
        raise SettingError(f"A field of view lies between 1 and 170 degrees, not at {fov_deg:g}.")
    if not 8 <= image_size <= 4096:
        raise SettingError(f"An image has 8 to 4,096 pixels a side, not {image_size}.")


def to_camera(points: Float[Array, "*S N 3"], cameras: Cameras) -> Float[Array, "*S V N 3"]:
    """Express world points in every camera's frame; the last coordinate is the depth."""
    rotation, translation = (_beside(points, part) for part in np.split(cameras.world_to_camera, [3], axis=2))
    return points[..., None, :, :] @ rotation.swapaxes(1, 2) + translation.swapaxes(1, 2)


def to_pixels(in_camera: Float[Array, "*S V N 3"], cameras: Cameras) -> Float[Array, "*S V N 2"]:
    """Project camera-frame points to (column, row); points behind the camera give nonsense, as for any pinhole."""
    focal, half = float(cameras.intrinsics[0, 0]), float(cameras.intrinsics[0, 2])
    return in_camera[..., :2] / in_camera[..., 2:].clip(1e-6) * focal + half


def _beside(points: Array, constant: Float[np.ndarray, "*S"]) -> Array:
    """Bring a constant to where the points lie."""
    return constant if isinstance(points, np.ndarray) else points.new_tensor(constant)
