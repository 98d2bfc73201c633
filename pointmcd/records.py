"""What are the nouns of the project? Frozen numpy records, and the errors a user may see.

    Shape -> PointCloud + Cameras -> Renders, Visibility   = Scene       what cameras see of a cloud
    Scene -> each network                                  = Answer      what one network says
    Answer + the teacher's Answer                          = Comparison  how alike their views are
    Scene + Answers + Comparisons                          = Analysis    all that figures, files and the page read

Letters: N points, V views, H x W pixels, K classes, P parts, T descriptor size, D point-feature size
(docs/conventions.md). Records hold arrays, so equality is identity (`eq=False`): a generated `__eq__` would raise.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, UInt8

# "plain" is trained without a teacher, "control" with a wrong one or wrong views; "own" are the user's weights.
Role: TypeAlias = Literal["teacher", "distilled", "plain", "control", "own"]


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
    """A shape as its file gives it, cleaned, Z up, in the file's own units."""

    name: str  # file name without folder; text from the user, never to be put into HTML
    vertices: Float[np.ndarray, "S 3"]  # of a mesh, or the points of a point set
    faces: Int[np.ndarray, "F 3"] | None = None  # triangles as vertex indices; None for a point set
    colors: UInt8[np.ndarray, "S 3"] | None = None  # RGB per vertex if the file has them
    notes: tuple[str, ...] = ()  # what was done to the file, one sentence each ("Dropped 3 non-finite points.")
    up: str = "z"  # the file's axis that points up: "x", "y" or "z"

    @property
    def is_mesh(self) -> bool:
        return self.faces is not None


@dataclass(frozen=True, eq=False)
class PointCloud:
    """Points centred on their mean, farthest point at distance 1 (ModelNet40's convention), Z up.

    `to_world` maps them back to the file's coordinates: `points @ to_world[:3, :3].T + to_world[:3, 3]`.
    """

    points: Float32[np.ndarray, "N 3"]
    to_world: Float[np.ndarray, "4 4"]
    colors: UInt8[np.ndarray, "N 3"] | None = None  # RGB per point if the file has them
    mesh_vertices: Float32[np.ndarray, "S 3"] | None = None  # in the same frame, if the shape is a mesh
    mesh_faces: Int[np.ndarray, "F 3"] | None = None  # its triangles
    notes: tuple[str, ...] = ()  # the shape's, and what sampling added ("Kept 1,024 of 38,210 points.")


@dataclass(frozen=True, eq=False)
class Cameras:
    """A rig of V pinhole cameras. OpenCV axes: x right, y down, z forward; pixel centres at +0.5."""

    world_to_camera: Float32[np.ndarray, "V 3 4"]  # [R | t] per view: x_camera = R @ x_world + t
    intrinsics: Float32[np.ndarray, "3 3"]  # shared by all views, in pixels
    image_size: int  # height and width of the square image, in pixels
    azimuth_deg: Float32[np.ndarray, " V"]  # for labels: angle about +Z from +X
    elevation_deg: Float32[np.ndarray, " V"]  # for labels: angle above the horizon

    @property
    def centers(self) -> Float32[np.ndarray, "V 3"]:
        """Camera positions in the world: `-R.T @ t`."""
        rotation, translation = self.world_to_camera[:, :, :3], self.world_to_camera[:, :, 3]
        return np.asarray(-np.einsum("vij,vi->vj", rotation, translation), dtype=np.float32)


@dataclass(frozen=True, eq=False)
class Renders:
    """Grey shaded images on black, with depth and what each pixel shows."""

    images: UInt8[np.ndarray, "V H W 3"]  # the grey image, three equal channels
    depth: Float32[np.ndarray, "V H W"]  # distance along the camera's axis; inf where nothing is hit
    index: Int[np.ndarray, "V H W"]  # point or face (by `source`) that the pixel shows; -1 where nothing is hit
    source: str  # "points" or "mesh"


@dataclass(frozen=True, eq=False)
class Visibility:
    """Which points each camera sees."""

    mask: Bool[np.ndarray, "V N"]  # True where view v sees point n
    pixels: Float32[np.ndarray, "V N 2"]  # image position (column, row), in pixels
    margin: Float32[np.ndarray, "V N"]  # how far behind the nearest surface on its pixel, normalised units; 0 in front
    method: str  # "raycast", "hpr" or "zbuffer"


@dataclass(frozen=True)
class Sampling:
    """What decides a cloud: two that are equal ask for the same points of the same `Shape` object."""

    shape: Shape
    points: int  # that were asked for
    seed: int


@dataclass(frozen=True, eq=False)
class Scene:
    """What cameras see of a cloud, before any network is asked."""

    name: str  # the shape's; text from the user
    notes: tuple[str, ...]  # what was done to the file, and what to know of the cameras
    cloud: PointCloud  # what the point networks read
    cameras: Cameras
    renders: Renders  # exactly the images that the image networks read
    visibility: Visibility
    sampling: Sampling | None = None  # what the cloud was drawn from; None in a record made by hand

    @property
    def unseen_points(self) -> Int[np.ndarray, " U"]:
        """Indices of the points that no view sees: never supervised by the teacher."""
        return np.flatnonzero(~self.visibility.mask.any(axis=0))


@dataclass(frozen=True, eq=False)
class ClassScores:
    """What a network takes the shape for, before softmax."""

    logits: Float32[np.ndarray, " K"]
    view_logits: Float32[np.ndarray, "V K"]  # the classifier's scores of each view alone

    @property
    def probabilities(self) -> Float32[np.ndarray, " K"]:
        """Softmax of the logits."""
        powers = np.exp(self.logits - self.logits.max())
        return np.asarray(powers / powers.sum(), dtype=np.float32)


@dataclass(frozen=True, eq=False)
class PartScores:
    """Which part a network takes each point for, before softmax."""

    logits: Float32[np.ndarray, "N P"]


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """The cloud that a network makes of its own feature of the shape."""

    points: Float32[np.ndarray, "M 3"]


@dataclass(frozen=True, eq=False)
class Pooling:
    """What a point network's max-pools make of its points (Eq. 5)."""

    winners: Int[np.ndarray, "V D"]  # the point that won each channel of each view's pool; -1 where none is seen
    pools: Float32[np.ndarray, "V D"]  # what it won with; 0 where the view sees nothing
    global_winners: Int[np.ndarray, " D"]  # of the pool over all points, which the head reads
    # First three principal components of the point features, in 0..1, by one map for all point networks of an analysis.
    feature_colors: Float32[np.ndarray, "N 3"]


@dataclass(frozen=True, eq=False)
class HeatMaps:
    """Where an image network finds its first answer."""

    values: Float32[np.ndarray, "V h w"]  # what each cell adds to that answer's logit of the view; below 0: takes away
    on_background: Float32[np.ndarray, " V"]  # share of each map's magnitude where the image shows nothing, 0 to 1


@dataclass(frozen=True, eq=False)
class Answer:
    """What one network says of one scene."""

    network: str  # "pointnet", "dgcnn", ...; an image network's backbone
    role: Role
    weights: str  # SHA-256 of their file
    scores: ClassScores | PartScores | Reconstruction
    shape_feature: Float32[np.ndarray, " T"]  # what the head reads of the whole shape
    view_features: Float32[np.ndarray, "V T"]  # `v_k` of the teacher, `g_k` of a point network (Eq. 5)
    pooling: Pooling | None = None  # of a point network
    heat_maps: HeatMaps | None = None  # of an image network
    task: str = "classification"
    run: str = ""  # which of several trainings

    @property
    def classes(self) -> ClassScores:
        """The scores of an answer that names a class."""
        assert isinstance(self.scores, ClassScores), f"{self.network} scores no classes"
        return self.scores

    @property
    def logits(self) -> Float32[np.ndarray, " K"]:
        return self.classes.logits

    @property
    def view_logits(self) -> Float32[np.ndarray, "V K"]:
        return self.classes.view_logits

    @property
    def probabilities(self) -> Float32[np.ndarray, " K"]:
        return self.classes.probabilities


@dataclass(frozen=True, eq=False)
class Comparison:
    """How the view descriptors of a point network lie to the teacher's."""

    prediction: Answer  # the point network's
    similarity: Float32[np.ndarray, "V V"]  # cosine of student view i (row) and teacher view j (column)
    alignment: Float32[np.ndarray, "V N"]  # each point's share of `cos(g_k, v_k)`; a row plus its bias sums to it
    alignment_bias: Float32[np.ndarray, " V"]  # the part of the cosine that no point makes: the alignment head's bias
    diagonal_dominance: float  # mean cosine with the own view minus mean with the others; 0 for a single view
    retrieval_at_1: float  # share of student views whose most similar teacher view is their own

    @property
    def cosine(self) -> Float32[np.ndarray, " V"]:
        """Cosine of each student view with its own teacher view."""
        return np.asarray(np.diagonal(self.similarity), dtype=np.float32)

    @property
    def weights(self) -> str:
        return self.prediction.weights

    @property
    def pooling(self) -> Pooling:
        assert self.prediction.pooling is not None, f"{self.prediction.network} pools no points"
        return self.prediction.pooling

    @property
    def winners(self) -> Int[np.ndarray, "V D"]:
        return self.pooling.winners

    @property
    def pools(self) -> Float32[np.ndarray, "V D"]:
        return self.pooling.pools

    @property
    def global_winners(self) -> Int[np.ndarray, " D"]:
        return self.pooling.global_winners

    @property
    def feature_colors(self) -> Float32[np.ndarray, "N 3"]:
        return self.pooling.feature_colors


@dataclass(frozen=True)
class Settings:
    """What an analysis was asked for."""

    student: str
    visibility: str  # "auto", "raycast", "hpr" or "zbuffer"
    rig: str  # its key (`pointmcd.scene.cameras.Rig.key`)
    views: int
    points: int  # to sample
    seed: int  # of the sampling
    elevation_deg: float  # of the first camera
    distance: float  # of the cameras, in radii of the shape
    fov_deg: float  # full opening angle
    up: str  # the file's axis that points up


@dataclass(frozen=True, eq=False)
class Analysis:
    """Everything one direct pass computes about one shape: the only thing that figures and the page read."""

    scene: Scene
    answers: tuple[Answer, ...]  # in the order to show: the teacher, then the point networks
    comparisons: tuple[Comparison, ...]  # of the point networks with the teacher, in the same order
    class_names: tuple[str, ...]  # label of each logit
    settings: Settings | None = None  # None in a record made by hand
    timings_ms: dict[str, float] = field(default_factory=dict)  # wall clock of each stage that was not kept
    kept: dict[str, Any] = field(default_factory=dict, repr=False)  # for the next analysis: pointmcd.analysis.stages

    @property
    def keys(self) -> tuple[str, ...]:
        """A name of each answer: its role, and its run where several have that role."""
        roles = [answer.role for answer in self.answers]
        names = (a.role if roles.count(a.role) == 1 else f"{a.role}-{a.run}" for a in self.answers)
        return tuple(re.sub(r"[^a-z0-9_-]+", "-", name.lower()) for name in names)

    def comparison_of(self, answer: Answer) -> Comparison | None:
        return next((found for found in self.comparisons if found.prediction is answer), None)

    @property
    def teacher(self) -> Answer:
        return next(answer for answer in self.answers if answer.role == "teacher")

    @property
    def student(self) -> Comparison:
        """The distilled student, beside the teacher."""
        return next(found for found in self.comparisons if found.prediction.role == "distilled")

    @property
    def plain(self) -> Comparison | None:
        """The same student trained without distillation; None where there are no such weights."""
        return next((found for found in self.comparisons if found.prediction.role == "plain"), None)

    @property
    def student_name(self) -> str:
        return self.student.prediction.network

    @property
    def teacher_weights(self) -> str:
        return self.teacher.weights

    @property
    def heat_maps(self) -> Float32[np.ndarray, "V h w"]:
        assert self.teacher.heat_maps is not None
        return self.teacher.heat_maps.values

    @property
    def heat_on_background(self) -> Float32[np.ndarray, " V"]:
        assert self.teacher.heat_maps is not None
        return self.teacher.heat_maps.on_background

    @property
    def name(self) -> str:
        return self.scene.name

    @property
    def notes(self) -> tuple[str, ...]:
        return self.scene.notes

    @property
    def cloud(self) -> PointCloud:
        return self.scene.cloud

    @property
    def cameras(self) -> Cameras:
        return self.scene.cameras

    @property
    def renders(self) -> Renders:
        return self.scene.renders

    @property
    def visibility(self) -> Visibility:
        return self.scene.visibility

    @property
    def unseen_points(self) -> Int[np.ndarray, " U"]:
        return self.scene.unseen_points
