"""What do all the networks make of one shape? The one direct pass: scene, answers, comparisons, Analysis."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float32

from pointmcd.analysis.answers import ask_point_networks, ask_teacher
from pointmcd.analysis.explain import as_numpy, compare
from pointmcd.analysis.scene import make_scene
from pointmcd.analysis.stages import Stages
from pointmcd.choices import AUTO, ELEVATION_DEG, MOST_POINTS, POINTS, STUDENT, VIEWS
from pointmcd.records import (
    Analysis,
    Answer,
    CheckpointError,
    Comparison,
    Sampling,
    SettingError,
    Settings,
    Shape,
    ShapeError,
)
from pointmcd.scene.cameras import DISTANCE, FIELD_OF_VIEW_DEG, Rig
from pointmcd.weights.models import Models, PointNetwork


@torch.inference_mode()
def analyze(
    shape: Shape,
    models: Models,
    *,
    student: str = STUDENT,
    visibility: str = AUTO,
    views: int = VIEWS,
    points: int = POINTS,
    seed: int = 0,
    elevation_deg: float = ELEVATION_DEG,
    distance: float = DISTANCE,
    fov_deg: float = FIELD_OF_VIEW_DEG,
    rig: Rig | None = None,
    previous: Analysis | None = None,
) -> Analysis:
    """Compute everything the page, the figures and the files show of one shape.

    The teacher reads point renders of the sampled cloud, for a mesh too: that is what it was trained on.

    Args:
        shape: As `load_shape` gives it.
        models: As `load_models` gives them.
        student: Name of a student that has weights.
        visibility: "auto" (ray casting with a mesh, else hidden point removal), "raycast", "hpr" or "zbuffer".
        views: Cameras on the ring, 1 to `MOST_VIEWS`.
        points: Points to sample, 3 to `MOST_POINTS`.
        seed: Of the sampling: the same seed on the same machine gives the same numbers.
        elevation_deg: Of the ring, in degrees.
        distance: Of the cameras, in radii of the shape.
        fov_deg: Full opening angle, in degrees.
        rig: Other cameras than that ring; it has a distance and an angle of its own.
        previous: An earlier analysis, of whatever shape: each stage that the same inputs decide is taken from it.
            Networks count as the same if their weights' hashes are.

    Raises:
        ShapeError: The shape or a setting cannot be used.
        CheckpointError: That student has no weights.
    """
    networks = models.point_networks(student)
    if points > MOST_POINTS:
        raise ShapeError(f"At most {MOST_POINTS:,} points can be analysed at once, not {points:,}.")
    if seed < 0:
        raise ShapeError(f"A seed is 0 or more, not {seed}.")
    stages = Stages(previous.kept if previous else {}, models.device)
    try:
        rig = rig or Rig.ring(views, elevation_deg=elevation_deg, distance=distance, fov_deg=fov_deg)
        scene = make_scene(Sampling(shape, points, seed), rig, visibility, stages)
    except SettingError as error:  # what the page and the command line catch of an analysis
        raise ShapeError(str(error)) from error
    teacher = ask_teacher(scene, models, stages)
    answers = ask_point_networks(scene, networks, models.device, stages)
    comparisons = _compare_all(networks, answers, teacher, stages)
    return Analysis(
        scene=scene,
        answers=(teacher, *answers),
        comparisons=comparisons,
        class_names=models.class_names,
        settings=Settings(
            student=student, visibility=visibility, rig=rig.key, views=len(rig.azimuth_deg), points=points, seed=seed,
            elevation_deg=rig.elevation_deg[0], distance=rig.distance, fov_deg=rig.fov_deg, up=shape.up,
        ),
        timings_ms=stages.timings_ms,
        kept=stages.kept,
    )  # fmt: skip


def _compare_all(
    networks: tuple[PointNetwork, ...], answers: tuple[Answer, ...], teacher: Answer, stages: Stages
) -> tuple[Comparison, ...]:
    def explain() -> tuple[Comparison, ...]:
        pairs = zip(networks, answers, strict=True)
        return tuple(compare(network.module, answer, teacher) for network, answer in pairs)

    return stages.keep("comparisons", (answers, teacher), lambda: stages.timed("explain", explain))


@torch.inference_mode()
def predict_points(
    points: Float32[np.ndarray, "N 3"], models: Models, *, student: str = STUDENT, plain: bool = False
) -> Float32[np.ndarray, " K"]:
    """Ask a student alone for class probabilities, with the points as they are: no sampling, no centring.

    Raises:
        ShapeError: Not 3 to `MOST_POINTS` finite points.
        CheckpointError: There are no such weights.
    """
    table = models.plains if plain else models.students
    if student not in table:
        raise CheckpointError(f"There are no such weights for {student!r}; there are: {', '.join(table) or 'none'}.")
    if not (3 <= len(points) <= MOST_POINTS and np.isfinite(points).all()):
        raise ShapeError(f"A student reads 3 to {MOST_POINTS:,} finite points.")
    logits = table[student](torch.from_numpy(points).to(models.device)[None]).logits[0]
    return as_numpy(logits.softmax(dim=0))
