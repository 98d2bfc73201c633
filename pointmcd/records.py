"""What are the nouns of the project? Frozen numpy records, and the errors a user may see.

Letters: N points, V views, H x W pixels, K classes, T teacher-feature size, D point-feature size (docs/conventions.md).
Records hold arrays, so equality is identity (`eq=False`): a generated `__eq__` would raise on arrays.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, UInt8


class UserError(ValueError):
    """What was given cannot be used. The message is one sentence for the user: what was wrong, where, what to do.

    Every other ValueError is a mistake of the program's.
    """


class ShapeError(UserError):
    """A shape cannot be read or used."""


class DataError(UserError):
    """A data set, or what was prepared of one, cannot be read or used."""


class SettingError(UserError):
    """A setting is out of its range, or does not fit the others."""


class CheckpointError(UserError):
    """Weights or the state of a training are missing, damaged or do not fit."""


@dataclass(frozen=True, eq=False)
class Shape:
    """A shape as its file gives it, cleaned, Z up, in the file's own units.

    Attributes:
        name: File name without folder; text from the user, never to be put into HTML.
        vertices: Mesh vertices, or the points of a point set.
        faces: Triangles as vertex indices; None for a point set.
        colors: RGB per vertex if the file has them.
        notes: What was done to the file, one sentence each ("Dropped 3 non-finite points.").
        up: The file's axis that points up: "x", "y" or "z".
    """

    name: str
    vertices: Float[np.ndarray, "S 3"]
    faces: Int[np.ndarray, "F 3"] | None = None
    colors: UInt8[np.ndarray, "S 3"] | None = None
    notes: tuple[str, ...] = ()
    up: str = "z"

    @property
    def is_mesh(self) -> bool:
        return self.faces is not None


@dataclass(frozen=True, eq=False)
class PointCloud:
    """Points centred on their mean, farthest point at distance 1 (ModelNet40's convention), Z up.

    Attributes:
        points: The sampled, normalised points.
        to_world: Maps normalised coordinates back to the file's: `points @ to_world[:3, :3].T + to_world[:3, 3]`.
        colors: RGB per point if the file has them.
        mesh_vertices: The mesh in the same normalised frame, if the shape is a mesh.
        mesh_faces: Its triangles.
        notes: The shape's notes and what sampling added ("Kept 1,024 of 38,210 points.").
    """

    points: Float32[np.ndarray, "N 3"]
    to_world: Float[np.ndarray, "4 4"]
    colors: UInt8[np.ndarray, "N 3"] | None = None
    mesh_vertices: Float32[np.ndarray, "S 3"] | None = None
    mesh_faces: Int[np.ndarray, "F 3"] | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Cameras:
    """A rig of V pinhole cameras. OpenCV axes: x right, y down, z forward; pixel centres at +0.5.

    Attributes:
        world_to_camera: `[R | t]` per view: `x_camera = R @ x_world + t`.
        intrinsics: Shared by all views, in pixels.
        image_size: Height and width of the square image, in pixels.
        azimuth_deg: For labels: angle about +Z from +X.
        elevation_deg: For labels: angle above the horizon.
    """

    world_to_camera: Float32[np.ndarray, "V 3 4"]
    intrinsics: Float32[np.ndarray, "3 3"]
    image_size: int
    azimuth_deg: Float32[np.ndarray, " V"]
    elevation_deg: Float32[np.ndarray, " V"]

    @property
    def centers(self) -> Float32[np.ndarray, "V 3"]:
        """Camera positions in the world: `-R.T @ t`."""
        rotation, translation = self.world_to_camera[:, :, :3], self.world_to_camera[:, :, 3]
        return np.asarray(-np.einsum("vij,vi->vj", rotation, translation), dtype=np.float32)


@dataclass(frozen=True, eq=False)
class Renders:
    """Grey shaded images on black, with depth and what each pixel shows.

    Attributes:
        images: The grey image, three equal channels.
        depth: Distance along the camera's axis; inf where nothing is hit.
        index: Point (source "points") or face (source "mesh") that the pixel shows; -1 where nothing is hit.
        source: "points" or "mesh".
    """

    images: UInt8[np.ndarray, "V H W 3"]
    depth: Float32[np.ndarray, "V H W"]
    index: Int[np.ndarray, "V H W"]
    source: str


@dataclass(frozen=True, eq=False)
class Visibility:
    """Which points each camera sees.

    Attributes:
        mask: True where view v sees point n.
        pixels: Image position (column, row) of each point in each view, in pixels.
        margin: How far the point lies behind the nearest surface on its pixel, normalised units; 0 in front.
        method: "raycast", "hpr" or "zbuffer".
    """

    mask: Bool[np.ndarray, "V N"]
    pixels: Float32[np.ndarray, "V N 2"]
    margin: Float32[np.ndarray, "V N"]
    method: str


@dataclass(frozen=True, eq=False)
class Prediction:
    """What one network says of one shape; teacher and student fill the same record.

    Attributes:
        logits: Class scores before softmax.
        shape_feature: The feature the classifier reads.
        view_features: One descriptor per view: `v_k` of the teacher, `g_k` of a student (Eq. 5).
        view_logits: The classifier's scores of each view alone.
    """

    logits: Float32[np.ndarray, " K"]
    shape_feature: Float32[np.ndarray, " T"]
    view_features: Float32[np.ndarray, "V T"]
    view_logits: Float32[np.ndarray, "V K"]

    @property
    def probabilities(self) -> Float32[np.ndarray, " K"]:
        """Softmax of the logits."""
        powers = np.exp(self.logits - self.logits.max())
        return np.asarray(powers / powers.sum(), dtype=np.float32)


@dataclass(frozen=True, eq=False)
class StudentView:
    """One student's answer, and what VAFP made of its points.

    Attributes:
        prediction: Logits and descriptors.
        winners: The point that won each channel of each view's max-pool; -1 where the view sees nothing.
        pools: What it won with: the largest feature of the points that the view sees; 0 where it sees nothing.
        global_winners: The point that won each channel of the pool over all points (what the classifier reads).
        similarity: Cosine of student view i (row) and teacher view j (column).
        alignment: Each point's share of `cos(g_k, v_k)` in view k; a row plus `alignment_bias` sums to the cosine.
        alignment_bias: The part of the cosine that no point makes (the alignment head's bias).
        feature_colors: The first three principal components of the point features, scaled to 0..1: one map for the
            distilled and the plain student, so that equal features have equal colours in both.
        weights: SHA-256 of the weights' file.
    """

    prediction: Prediction
    winners: Int[np.ndarray, "V D"]
    pools: Float32[np.ndarray, "V D"]
    global_winners: Int[np.ndarray, " D"]
    similarity: Float32[np.ndarray, "V V"]
    alignment: Float32[np.ndarray, "V N"]
    alignment_bias: Float32[np.ndarray, " V"]
    feature_colors: Float32[np.ndarray, "N 3"]
    weights: str

    @property
    def cosine(self) -> Float32[np.ndarray, " V"]:
        """Cosine of each student view with its own teacher view."""
        return np.asarray(np.diagonal(self.similarity), dtype=np.float32)

    @property
    def diagonal_dominance(self) -> float:
        """Mean cosine with the own view minus mean cosine with the others; 0 for a single view."""
        views = len(self.similarity)
        if views < 2:
            return 0.0
        own = float(np.trace(self.similarity)) / views
        others = (float(self.similarity.sum()) - own * views) / (views * (views - 1))
        return own - others

    @property
    def retrieval_at_1(self) -> float:
        """Share of student views whose most similar teacher view is their own."""
        return float((self.similarity.argmax(axis=1) == np.arange(len(self.similarity))).mean())


@dataclass(frozen=True)
class Sampling:
    """What decides a cloud: two that are equal ask for the same points of the same `Shape` object.

    Attributes:
        shape: The shape; compared by identity, as every record is.
        points: Points that were asked for.
        seed: Of the draw.
    """

    shape: Shape
    points: int
    seed: int


@dataclass(frozen=True)
class Settings:
    """What an analysis was asked for.

    Attributes:
        student: Name of the student.
        visibility: "auto", "raycast", "hpr" or "zbuffer".
        rig: Key of the rig (`pointmcd.scene.cameras.Rig.key`).
        views: Its cameras.
        points: Points to sample.
        seed: Of the sampling.
        elevation_deg: Of its first camera, in degrees.
        distance: Of the cameras, in radii of the shape.
        fov_deg: Full opening angle, in degrees.
        up: The file's axis that points up.
    """

    student: str
    visibility: str
    rig: str
    views: int
    points: int
    seed: int
    elevation_deg: float
    distance: float
    fov_deg: float
    up: str


@dataclass(frozen=True, eq=False)
class Analysis:
    """Everything one direct pass computes about one shape: the only thing that figures and the page read.

    Attributes:
        name: The shape's name; text from the user.
        notes: What was done to the file.
        cloud: The points that the students read.
        cameras: The rig.
        renders: Exactly the images that the teacher saw.
        visibility: What each camera sees.
        teacher: The image network's answer.
        heat_maps: What each cell of the teacher's last feature map adds to that view's logit of the teacher's first
            answer; below 0 where it speaks against it.
        student_name: "pointnet", "dgcnn", ...
        student: The distilled student.
        plain: The same student trained without distillation; None where there are no such weights.
        class_names: Label of each logit.
        teacher_weights: SHA-256 of the teacher's weights' file.
        timings_ms: Wall-clock time of each stage that was computed; a stage that was taken from the analysis before has
            no entry.
        sampling: What the cloud was drawn from, so that the next analysis knows whether it may keep it; None in a
            record made by hand, of which nothing is kept.
        settings: What was asked for; None in a record made by hand.
    """

    name: str
    notes: tuple[str, ...]
    cloud: PointCloud
    cameras: Cameras
    renders: Renders
    visibility: Visibility
    teacher: Prediction
    heat_maps: Float32[np.ndarray, "V h w"]
    student_name: str
    student: StudentView
    plain: StudentView | None
    class_names: tuple[str, ...]
    teacher_weights: str
    timings_ms: dict[str, float] = field(default_factory=dict)
    sampling: Sampling | None = None
    settings: Settings | None = None

    @property
    def unseen_points(self) -> Int[np.ndarray, " U"]:
        """Indices of the points that no view sees: never supervised by the teacher."""
        return np.flatnonzero(~self.visibility.mask.any(axis=0))

    @property
    def heat_on_background(self) -> Float32[np.ndarray, " V"]:
        """Share of each heat map's magnitude that lies where the image shows nothing, 0 to 1.

        A cell counts by the part of its area that is background. It reads more of the image than it covers, so a cell
        on the background may still speak of the shape's edge.
        """
        magnitude = np.abs(self.heat_maps)
        empty = np.isinf(self.renders.depth).astype(np.float32)
        rows, columns = (_areas(c, p) for c, p in zip(magnitude.shape[1:], empty.shape[1:], strict=True))
        on_background = (magnitude * (rows @ empty @ columns.T)).sum(axis=(1, 2))
        return np.asarray(on_background / magnitude.sum(axis=(1, 2)).clip(min=1e-12), dtype=np.float32)


def _areas(cells: int, pixels: int) -> Float32[np.ndarray, "c p"]:
    """Part of each cell that each pixel takes up, along one side of an image; cells need not end between pixels."""
    edges = np.arange(cells + 1) * pixels / cells
    left, right = np.maximum(edges[:-1, None], np.arange(pixels)), np.minimum(edges[1:, None], np.arange(pixels) + 1)
    return np.asarray((right - left).clip(min=0) * cells / pixels, dtype=np.float32)
