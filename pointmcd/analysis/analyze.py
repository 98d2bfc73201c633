"""What do all the networks make of one shape? The one direct pass: shape, renders, visibility, networks, Analysis."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import numpy as np
import torch
from jaxtyping import Float32

from pointmcd.analysis.explain import alignment_shares, as_numpy, feature_colors_of
from pointmcd.choices import AUTO, ELEVATION_DEG, MOST_POINTS, POINTS, STUDENT, VIEWS
from pointmcd.evaluation.alignment import cosine_matrix
from pointmcd.kernels.device import wait_for
from pointmcd.networks.student import Student, StudentOutput
from pointmcd.networks.teachers.classification import TeacherOutput
from pointmcd.records import (
    Analysis,
    Cameras,
    CheckpointError,
    Prediction,
    Renders,
    Sampling,
    SettingError,
    Settings,
    Shape,
    ShapeError,
    StudentView,
)
from pointmcd.scene.cameras import DISTANCE, FIELD_OF_VIEW_DEG, IMAGE_SIZE, Rig
from pointmcd.scene.render import render_points
from pointmcd.scene.visibility import resolve_method, visible_points
from pointmcd.shapes.sample import sample_points
from pointmcd.weights.models import Models

P = ParamSpec("P")

R = TypeVar("R")


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
        previous: An earlier analysis, of whatever shape. What would only be computed again is taken from it: the cloud
            of the same `Shape` object, points and seed; of the same cloud and rig the renders, the teacher's answer
            and the visibility by the same method; of all these a student's answer. Networks count as the same if their
            weights' hashes are.

    Raises:
        ShapeError: The shape or a setting cannot be used.
        CheckpointError: That student has no weights.
    """
    if student not in models.students:
        raise CheckpointError(
            f"There are no weights for {student!r}; there are some for: {', '.join(models.students) or 'none'}."
        )
    if points > MOST_POINTS:
        raise ShapeError(f"At most {MOST_POINTS:,} points can be analysed at once, not {points:,}.")
    if seed < 0:
        raise ShapeError(f"A seed is 0 or more, not {seed}.")
    clock = _Clock(models.device)
    sampling = Sampling(shape, points, seed)
    try:
        rig = rig or Rig.ring(views, elevation_deg=elevation_deg, distance=distance, fov_deg=fov_deg)
        cameras = rig.cameras(image_size=IMAGE_SIZE)
        # From here on each name of what may be kept is the earlier analysis, or None where that has something else.
        same_cloud = previous if previous and previous.sampling == sampling else None
        cloud = same_cloud.cloud if same_cloud else clock("sample", sample_points, shape, count=points, seed=seed)
        same_images = same_cloud if same_cloud and _is_same_rig(same_cloud.cameras, cameras) else None
        if same_images:
            cameras, renders = same_images.cameras, same_images.renders
        else:
            renders = clock("render", render_points, cloud.points, cameras)
        method = resolve_method(visibility, cloud)
        same_masks = same_images if same_images and same_images.visibility.method == method else None
        if same_masks:
            seen = same_masks.visibility
        else:
            seen = clock("visibility", visible_points, cloud, cameras, method=method, renders=renders)
    except SettingError as error:  # what the page and the command line catch of an analysis
        raise ShapeError(str(error)) from error
    notes = cloud.notes
    if seen.method != "raycast" and rig.distance < DISTANCE:
        notes += (f"Cameras nearer than {DISTANCE:g} radii: {seen.method} finds fewer of the visible points there.",)
    same_lesson = same_images if same_images and same_images.teacher_weights == models.weights["teacher"] else None
    if same_lesson:
        teacher, heat_maps = same_lesson.teacher, same_lesson.heat_maps
    else:
        teacher, heat_maps = clock("teacher", _ask_teacher, renders, models)
    networks = {"student": (models.students[student], models.weights[student])}
    if student in models.plains:
        networks["plain"] = (models.plains[student], models.weights[f"{student}_plain"])
    # A pair of students shares one map of colours, so what is known of one is kept with its own twin only.
    pair = {weights for _, weights in networks.values()}
    same_pair = same_cloud if same_cloud and set(_answers_by_weights(same_cloud)) == pair else None
    answers = _answers_by_weights(same_pair if same_masks and same_lesson else None)
    outputs = {}
    for who, (network, weights) in networks.items():
        if weights not in answers:
            batch, mask = (torch.from_numpy(array).to(models.device)[None] for array in (cloud.points, seen.mask))
            outputs[who] = clock(who, network, batch, mask)
    if outputs:
        # The colours are made of the point features alone, which no mask changes.
        colors = {weights: answer.feature_colors for weights, answer in _answers_by_weights(same_pair).items()}
        answers |= clock("explain", _explain, outputs, networks, teacher, colors, points=len(cloud.points))
    return Analysis(
        name=shape.name,
        notes=notes,
        cloud=cloud,
        cameras=cameras,
        renders=renders,
        visibility=seen,
        teacher=teacher,
        heat_maps=heat_maps,
        student_name=student,
        student=answers[models.weights[student]],
        plain=answers[networks["plain"][1]] if "plain" in networks else None,
        class_names=models.class_names,
        teacher_weights=models.weights["teacher"],
        timings_ms=clock.timings_ms,
        sampling=sampling,
        settings=Settings(
            student=student, visibility=visibility, rig=rig.key, views=len(rig.azimuth_deg), points=points, seed=seed,
            elevation_deg=rig.elevation_deg[0], distance=rig.distance, fov_deg=rig.fov_deg, up=shape.up,
        ),
    )  # fmt: skip


def _is_same_rig(first: Cameras, second: Cameras) -> bool:
    return (
        first.image_size == second.image_size
        and np.array_equal(first.world_to_camera, second.world_to_camera)
        and np.array_equal(first.intrinsics, second.intrinsics)
    )


def _answers_by_weights(analysis: Analysis | None) -> dict[str, StudentView]:
    answers = (analysis.student, analysis.plain) if analysis else ()
    return {answer.weights: answer for answer in answers if answer is not None}


def _ask_teacher(renders: Renders, models: Models) -> tuple[Prediction, Float32[np.ndarray, "V h w"]]:
    images = torch.from_numpy(renders.images).to(models.device).permute(0, 3, 1, 2).float() / 255
    taught = models.teacher(images[None])
    return _prediction(taught), as_numpy(models.teacher.heat_maps(taught, taught.logits.argmax(dim=1))[0])


class _Clock:
    """Calls the stages and keeps their wall-clock times, in milliseconds."""

    def __init__(self, device: torch.device) -> None:
        self.timings_ms: dict[str, float] = {}
        self._device = device

    def __call__(self, stage: str, compute: Callable[P, R], *arguments: P.args, **options: P.kwargs) -> R:
        started = time.perf_counter()
        answer = compute(*arguments, **options)
        wait_for(self._device)
        self.timings_ms[stage] = round(1000 * (time.perf_counter() - started), 2)
        return answer


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


def _prediction(output: TeacherOutput | StudentOutput) -> Prediction:
    assert output.view_features is not None
    assert output.view_logits is not None
    return Prediction(
        logits=as_numpy(output.logits[0]),
        shape_feature=as_numpy(output.shape_feature[0]),
        view_features=as_numpy(output.view_features[0]),
        view_logits=as_numpy(output.view_logits[0]),
    )


def _explain(
    outputs: dict[str, StudentOutput],
    networks: dict[str, tuple[Student, str]],
    teacher: Prediction,
    colors: dict[str, Float32[np.ndarray, "N 3"]],
    *,
    points: int,
) -> dict[str, StudentView]:
    """Say of each output what VAFP made of the points.

    Args:
        outputs: By role.
        networks: Network and weights' hash by role.
        teacher: What the views are compared with.
        colors: Feature colours by weights' hash, of all the networks; empty where they are not known yet.
        points: Points of the cloud.

    Returns:
        The answers by weights' hash.
    """
    colors = colors or feature_colors_of(outputs, networks)
    answers = {}
    for who, output in outputs.items():
        student, weights = networks[who]
        assert output.view_features is not None
        assert output.view_pools is not None
        assert output.winners is not None
        teacher_views = torch.from_numpy(teacher.view_features).to(output.view_features)[None]
        shares, bias = alignment_shares(student, output, teacher_views, points=points)
        answers[weights] = StudentView(
            prediction=_prediction(output),
            winners=output.winners[0].cpu().numpy(),
            pools=as_numpy(output.view_pools[0]),
            global_winners=output.global_winners[0].cpu().numpy(),
            similarity=as_numpy(cosine_matrix(output.view_features, teacher_views)[0]),
            alignment=as_numpy(shares[0]),
            alignment_bias=as_numpy(bias[0]),
            feature_colors=colors[weights],
            weights=weights,
        )
    return answers
