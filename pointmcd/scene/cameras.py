"""Where do the cameras stand, and where does a point fall in each image? The one place with axis conventions.

World: right-handed, Z up. Camera: OpenCV axes, x right, y down, z forward. Pixels: (column, row), the centre of the
top-left pixel at (0.5, 0.5).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float

from pointmcd.choices import ELEVATION_DEG, MOST_VIEWS, VIEWS
from pointmcd.records import Cameras, SettingError

# A numpy array or a torch tensor. Importing torch here would delay the command line's help.
Array: TypeAlias = Any

# HPR and z-buffer need the camera at least two radii away (measured: at 1.2 radii they fail).
DISTANCE = 2.0
# At two radii the unit sphere spans exactly 60 degrees: 2 * asin(1 / 2).
FIELD_OF_VIEW_DEG = 60.0
IMAGE_SIZE = 224  # paper, Sec. IV-A


@dataclass(frozen=True)
class Rig:
    """Where cameras stand and how they look, as plain data; equal rigs make equal cameras.

    Attributes:
        azimuth_deg: Angle about +Z from +X of each camera.
        elevation_deg: Angle above the horizon of each, -90 to 90.
        distance: Distance from the origin, in radii of the normalised shape; more than 1, at most 100. The nearest
            camera's, where matrices are given.
        fov_deg: Full opening angle of the square image, 1 to 170 degrees.
        matrices: Twelve numbers a camera, `[R | t]` row by row; None where the angles place the cameras, looking at
            the origin with +Z up in the image.

    Raises:
        SettingError: A setting is out of its range.
    """

    azimuth_deg: tuple[float, ...]
    elevation_deg: tuple[float, ...]
    distance: float = DISTANCE
    fov_deg: float = FIELD_OF_VIEW_DEG
    matrices: tuple[tuple[float, ...], ...] | None = None

    def __post_init__(self) -> None:
        _check_views(len(self.azimuth_deg))
        if len(self.elevation_deg) != len(self.azimuth_deg):
            raise SettingError(f"{len(self.azimuth_deg)} azimuths do not go with {len(self.elevation_deg)} elevations.")
        if not np.isfinite(self.azimuth_deg).all():
            raise SettingError("An azimuth is a finite number of degrees.")
        for steep in self.elevation_deg:
            if not abs(steep) <= 90:
                raise SettingError(f"An elevation lies between -90 and 90 degrees, not at {steep:g}.")
        if not 1 < self.distance <= 100:
            raise SettingError(f"The cameras must stand outside the shape, 1 to 100 radii away, not {self.distance:g}.")
        if not 1 <= self.fov_deg <= 170:
            raise SettingError(f"A field of view lies between 1 and 170 degrees, not at {self.fov_deg:g}.")

    @classmethod
    def ring(
        cls,
        views: int = VIEWS,
        *,
        elevation_deg: float = ELEVATION_DEG,
        distance: float = DISTANCE,
        fov_deg: float = FIELD_OF_VIEW_DEG,
    ) -> Rig:
        """Place `views` cameras evenly on one ring, the first at azimuth 0 (paper, Sec. IV-A)."""
        _check_views(views)  # before an array of that many views is made
        azimuth = np.arange(views) * (360.0 / views)
        return cls(tuple(azimuth.tolist()), (float(elevation_deg),) * views, distance, fov_deg)

    @classmethod
    def two_rings(cls, *, distance: float = DISTANCE, fov_deg: float = FIELD_OF_VIEW_DEG) -> Rig:
        """Place 16 cameras: 8 azimuths at +30, then 8 at -30 degrees (paper, part segmentation and unsupervised)."""
        azimuth = tuple(45.0 * step for step in range(8))
        return cls(2 * azimuth, 8 * (30.0,) + 8 * (-30.0,), distance, fov_deg)

    @classmethod
    def of_matrices(cls, world_to_camera: Float[np.ndarray, "V 3 4"], *, fov_deg: float = FIELD_OF_VIEW_DEG) -> Rig:
        """Take cameras as given, in any direction.

        Raises:
            SettingError: A matrix is not `[R | t]` with a rotation R, or a setting is out of its range.
        """
        matrices = world_to_camera.astype(np.float64)
        rotation, translation = matrices[:, :, :3], matrices[:, :, 3]
        straight = np.abs(rotation @ rotation.swapaxes(1, 2) - np.eye(3)) <= 1e-4
        if not (straight.all() and (np.linalg.det(rotation) > 0).all() and np.isfinite(translation).all()):
            raise SettingError("A camera's matrix is [R | t], with a rotation R and finite numbers.")
        center = -np.einsum("vij,vi->vj", rotation, translation)
        distance = np.linalg.norm(center, axis=1)
        elevation = np.degrees(np.arcsin(np.clip(center[:, 2] / np.maximum(distance, 1e-12), -1, 1)))
        azimuth = np.degrees(np.arctan2(center[:, 1], center[:, 0]))
        rows = tuple(map(tuple, matrices.reshape(-1, 12).tolist()))
        return cls(
            tuple(azimuth.tolist()), tuple(elevation.tolist()), float(distance.min(initial=np.inf)), fov_deg, rows
        )

    @property
    def key(self) -> str:
        """Name the rig for files and manifests; different cameras have different names."""
        views, steep = len(self.azimuth_deg), self.elevation_deg[0]
        lens = "" if self.fov_deg == FIELD_OF_VIEW_DEG else f"_f{_short(self.fov_deg)}"
        if self.distance != DISTANCE:
            lens = f"_d{_short(self.distance)}{lens}"
        if self == Rig.ring(views, elevation_deg=steep, distance=self.distance, fov_deg=self.fov_deg):
            return f"ring{views}_e{_short(steep)}{lens}"
        if self == Rig.two_rings(distance=self.distance, fov_deg=self.fov_deg):
            return f"two_rings16_e30{lens}"
        numbers = repr((self.azimuth_deg, self.elevation_deg, self.matrices))
        return f"free{views}_{hashlib.sha256(numbers.encode()).hexdigest()[:12]}{lens}"

    def cameras(self, *, image_size: int = IMAGE_SIZE) -> Cameras:
        """Make the cameras, with square images of `image_size` pixels a side.

        Raises:
            SettingError: Not 8 to 4,096 pixels.
        """
        if not 8 <= image_size <= 4096:
            raise SettingError(f"An image has 8 to 4,096 pixels a side, not {image_size}.")
        if self.matrices is None:
            world_to_camera = _looking_at_the_origin(self)
        else:
            world_to_camera = np.reshape(self.matrices, (-1, 3, 4))
        focal = 0.5 * image_size / np.tan(np.radians(self.fov_deg) / 2)
        half = image_size / 2
        return Cameras(
            world_to_camera=world_to_camera.astype(np.float32),
            intrinsics=np.array([[focal, 0, half], [0, focal, half], [0, 0, 1]], dtype=np.float32),
            image_size=image_size,
            azimuth_deg=np.asarray(self.azimuth_deg, dtype=np.float32),
            elevation_deg=np.asarray(self.elevation_deg, dtype=np.float32),
        )


def rig_of_name(name: str) -> Rig:
    """Find a rig of the paper.

    Raises:
        SettingError: There is no rig of that name.
    """
    if name not in RIGS:
        raise SettingError(f"A rig is one of {', '.join(RIGS)}, not {name!r}.")
    return RIGS[name]


def ring(
    views: int = VIEWS,
    *,
    elevation_deg: float = 30.0,
    distance: float = DISTANCE,
    fov_deg: float = FIELD_OF_VIEW_DEG,
    image_size: int = IMAGE_SIZE,
) -> Cameras:
    """Make the cameras of `Rig.ring`."""
    placed = Rig.ring(views, elevation_deg=elevation_deg, distance=distance, fov_deg=fov_deg)
    return placed.cameras(image_size=image_size)


def two_rings(
    *, distance: float = DISTANCE, fov_deg: float = FIELD_OF_VIEW_DEG, image_size: int = IMAGE_SIZE
) -> Cameras:
    """Make the cameras of `Rig.two_rings`."""
    return Rig.two_rings(distance=distance, fov_deg=fov_deg).cameras(image_size=image_size)


def rig(
    azimuth_deg: Float[np.ndarray, " V"],
    elevation_deg: Float[np.ndarray, " V"],
    *,
    distance: float = DISTANCE,
    fov_deg: float = FIELD_OF_VIEW_DEG,
    image_size: int = IMAGE_SIZE,
) -> Cameras:
    """Make one camera per (azimuth, elevation), looking at the origin with +Z up in the image."""
    placed = Rig(tuple(azimuth_deg.tolist()), tuple(elevation_deg.tolist()), distance, fov_deg)
    return placed.cameras(image_size=image_size)


def _looking_at_the_origin(rig: Rig) -> Float[np.ndarray, "V 3 4"]:
    azimuth, elevation = np.radians(rig.azimuth_deg), np.radians(rig.elevation_deg)
    center = rig.distance * np.stack(
        [np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)], axis=-1
    )
    forward = -center / rig.distance
    # Built from the azimuth, not from a cross product with +Z, so that looking straight down is no special case.
    right = np.stack([-np.sin(azimuth), np.cos(azimuth), np.zeros_like(azimuth)], axis=-1)
    down = np.cross(forward, right)
    rotation = np.stack([right, down, forward], axis=1)
    translation = -np.einsum("vij,vj->vi", rotation, center)
    return np.concatenate([rotation, translation[..., None]], axis=-1)


def _check_views(views: int) -> None:
    if not 1 <= views <= MOST_VIEWS:
        raise SettingError(f"A rig has 1 to {MOST_VIEWS} views, not {views}.")


def _short(number: float) -> str:
    return repr(float(number)).removesuffix(".0")


# The rigs of the paper by the names that the command line takes.
RIGS = {"ring12": Rig.ring(12), "two-rings16": Rig.two_rings()}


def to_camera(points: Float[Array, "*S N 3"], cameras: Cameras) -> Float[Array, "*S V N 3"]:
    """Express world points in every camera's frame; the last coordinate is the depth."""
    rotation, translation = (_beside(points, part) for part in np.split(cameras.world_to_camera, [3], axis=2))
    return points[..., None, :, :] @ rotation.swapaxes(1, 2) + translation.swapaxes(1, 2)


def to_pixels(in_camera: Float[Array, "*S V N 3"], cameras: Cameras) -> Float[Array, "*S V N 2"]:
    """Project camera-frame points to (column, row); points behind the camera give nonsense, as for any pinhole."""
    focal, half = float(cameras.intrinsics[0, 0]), float(cameras.intrinsics[0, 2])
    return in_camera[..., :2] / in_camera[..., 2:].clip(1e-6) * focal + half


def _beside(points: Array, constant: Float[np.ndarray, "*S"]) -> Array:
    """Move a constant to the points' device."""
    return constant if isinstance(points, np.ndarray) else points.new_tensor(constant)
