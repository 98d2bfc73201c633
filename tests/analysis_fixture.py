"""What does a plausible Analysis look like when nothing of the pipeline is trusted? Built by hand, for the viz tests.

The camera, the projection, the z-buffer and the max-pool are written out here in their slow, obvious form, so that the
page's tests do not inherit a mistake from the modules they are meant to check.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from pointmcd.analysis.answers import share_on_background
from pointmcd.data.labels import MODELNET40
from pointmcd.evaluation.alignment import diagonal_dominance, retrieval_at_1
from pointmcd.records import (
    Analysis,
    Answer,
    Cameras,
    ClassScores,
    Comparison,
    HeatMaps,
    PointCloud,
    Pooling,
    Renders,
    Role,
    Scene,
    Visibility,
)

IMAGE_SIZE = 224
CHANNELS = 1024
TEACHER_SIZE = 512
HEAT_CELLS = 7
LABEL = 8


def make_analysis(
    *,
    points: int = 1024,
    views: int = 12,
    seed: int = 0,
    name: str = "chair.off",
    shape: str = "chair",
    colors: bool = False,
    plain: bool = True,
    notes: tuple[str, ...] = ("Kept 1,024 of 38,210 points.",),
) -> Analysis:
    """Build one analysis.

    Args:
        points: Number of points N.
        views: Number of views V on one ring at 30 degrees.
        seed: Of the points and of the made-up features.
        name: The user's file name.
        shape: "chair" or "sphere".
        colors: Whether the file had colours.
        plain: Whether there is a plain student.
        notes: What was done to the file.
    """
    rng = np.random.default_rng(seed)
    xyz = _chair(rng, points) if shape == "chair" else _sphere(rng, points)
    xyz = xyz - xyz.mean(axis=0)
    xyz = (xyz / np.linalg.norm(xyz, axis=1).max()).astype(np.float32)
    cameras = _ring(views)
    pixels, depth = _project(xyz, cameras)
    renders, margin = _splat(pixels, depth, cameras)
    margin = np.where(margin < 0.05, 0.0, margin).astype(np.float32)
    mask = margin == 0.0
    teacher_direction = rng.normal(size=(views, TEACHER_SIZE)).astype(np.float32)
    distilled, teacher_features = _student(rng, xyz, mask, teacher_direction, "distilled", noise=0.6, confidence=4.6)
    plain_view, _ = _student(rng, xyz, mask, teacher_direction, "plain", noise=8.0, confidence=3.1)
    similarity = _cosines(plain_view.prediction.view_features, teacher_features)
    plain_view = replace(plain_view, similarity=similarity, **_figures(similarity))
    cells = np.linspace(-1, 1, HEAT_CELLS)
    blob = np.exp(-((cells[:, None] - 0.2) ** 2 + cells[None, :] ** 2) / 0.3) - 0.25
    heat_maps = np.stack([np.roll(blob, v % 3 - 1, axis=1) * (1 + 0.1 * np.cos(v)) for v in range(views)])
    heat_maps = heat_maps.astype(np.float32)
    teacher = Answer(
        network="mobilenet_v2",
        role="teacher",
        weights="a" * 64,
        scores=ClassScores(_logits(rng, 8, 5.4), np.stack([_logits(rng, 8, 4.0) for _ in range(views)])),
        shape_feature=teacher_features.max(axis=0),
        view_features=teacher_features,
        heat_maps=HeatMaps(heat_maps, share_on_background(heat_maps, renders.depth)),
    )
    cloud = PointCloud(
        points=xyz,
        to_world=np.diag([0.42, 0.42, 0.42, 1.0]),
        colors=((xyz + 1) * 127.5).astype(np.uint8) if colors else None,
        notes=notes,
    )
    seen = Visibility(mask=mask, pixels=pixels.astype(np.float32), margin=margin, method="zbuffer")
    comparisons = (distilled, plain_view) if plain else (distilled,)
    return Analysis(
        scene=Scene(name, notes, cloud, cameras, renders, seen),
        answers=(teacher, *(found.prediction for found in comparisons)),
        comparisons=comparisons,
        class_names=MODELNET40,
        timings_ms={"render": 61.0, "visibility": 22.0, "teacher": 48.0, "student": 3.0},
    )


def edited(
    analysis: Analysis,
    *,
    name: str | None = None,
    renders: Renders | None = None,
    heat_maps: np.ndarray | None = None,
    class_names: tuple[str, ...] | None = None,
    logits: dict[str, np.ndarray] | None = None,
    pooling: dict[str, Any] | None = None,
    alignment: np.ndarray | None = None,
    without: Sequence[str] = (),
) -> Analysis:
    """Change parts of an analysis, and leave it consistent.

    Args:
        analysis: Is left as it is.
        name: Of the shape.
        renders: Instead of its own.
        heat_maps: The teacher's; what of them lies on the background follows.
        class_names: Instead of its own.
        logits: By an answer's key.
        pooling: Fields of the distilled student's.
        alignment: The distilled student's.
        without: Keys of answers to leave out.
    """
    scene = replace(analysis.scene, name=name or analysis.name, renders=renders or analysis.renders)
    maps = analysis.heat_maps if heat_maps is None else heat_maps
    answers, comparisons = [], []
    for key, answer in zip(analysis.keys, analysis.answers, strict=True):
        if key in without:
            continue
        changed = answer
        if logits and key in logits:
            views = len(answer.view_logits)
            changed = replace(changed, scores=ClassScores(logits[key], np.tile(logits[key], (views, 1))))
        if key == "teacher":
            changed = replace(changed, heat_maps=HeatMaps(maps, share_on_background(maps, scene.renders.depth)))
        if key == "distilled" and pooling:
            assert answer.pooling is not None
            changed = replace(changed, pooling=replace(answer.pooling, **pooling))
        answers.append(changed)
        found = analysis.comparison_of(answer)
        if found is not None:
            shares = found.alignment if alignment is None or key != "distilled" else alignment
            comparisons.append(replace(found, prediction=changed, alignment=shares))
    return replace(
        analysis, scene=scene, answers=tuple(answers), comparisons=tuple(comparisons),
        class_names=class_names or analysis.class_names,
    )  # fmt: skip


def _chair(rng: np.random.Generator, count: int) -> np.ndarray:
    boxes = [  # centre, half size
        ((0, 0, 0.0), (0.45, 0.45, 0.05)),
        ((-0.42, 0, 0.5), (0.04, 0.45, 0.45)),
        *[((x, y, -0.45), (0.05, 0.05, 0.42)) for x in (-0.38, 0.38) for y in (-0.38, 0.38)],
    ]
    areas = np.array([half[0] * half[1] + half[1] * half[2] + half[0] * half[2] for _, half in boxes])
    chosen = rng.choice(len(boxes), size=count, p=areas / areas.sum())
    center = np.array([boxes[i][0] for i in chosen])
    half = np.array([boxes[i][1] for i in chosen])
    inside = rng.uniform(-1, 1, size=(count, 3))
    face_area = np.stack([half[:, 1] * half[:, 2], half[:, 0] * half[:, 2], half[:, 0] * half[:, 1]], axis=1)
    cumulative = np.cumsum(face_area / face_area.sum(axis=1, keepdims=True), axis=1)
    axis = (rng.random((count, 1)) > cumulative).sum(axis=1).clip(0, 2)
    inside[np.arange(count), axis] = rng.choice([-1.0, 1.0], size=count)
    return center + inside * half


def _sphere(rng: np.random.Generator, count: int) -> np.ndarray:
    direction = rng.normal(size=(count, 3))
    return direction / np.linalg.norm(direction, axis=1, keepdims=True)


def _ring(views: int) -> Cameras:
    azimuth = np.arange(views) * 360.0 / views
    elevation = np.full(views, 30.0)
    matrices = []
    for a, e in zip(np.radians(azimuth), np.radians(elevation), strict=True):
        center = 2.0 * np.array([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)])
        forward = -center / 2.0
        right = np.cross(forward, [0, 0, 1])
        right /= np.linalg.norm(right)
        rotation = np.stack([right, np.cross(forward, right), forward])
        matrices.append(np.column_stack([rotation, -rotation @ center]))
    focal = IMAGE_SIZE / 2 / np.tan(np.radians(30.0))
    return Cameras(
        world_to_camera=np.array(matrices, dtype=np.float32),
        intrinsics=np.array([[focal, 0, IMAGE_SIZE / 2], [0, focal, IMAGE_SIZE / 2], [0, 0, 1]], dtype=np.float32),
        image_size=IMAGE_SIZE,
        azimuth_deg=azimuth.astype(np.float32),
        elevation_deg=elevation.astype(np.float32),
    )


def _project(xyz: np.ndarray, cameras: Cameras) -> tuple[np.ndarray, np.ndarray]:
    pixels, depths = [], []
    for matrix in cameras.world_to_camera:
        in_camera = xyz @ matrix[:, :3].T + matrix[:, 3]
        on_image = in_camera @ cameras.intrinsics.T
        pixels.append(on_image[:, :2] / on_image[:, 2:])
        depths.append(in_camera[:, 2])
    return np.array(pixels), np.array(depths)


def _splat(pixels: np.ndarray, depth: np.ndarray, cameras: Cameras) -> tuple[Renders, np.ndarray]:
    """Draw a square of 9 x 9 pixels per point, nearest on top; margins are read from the same depth image."""
    views = len(depth)
    size = cameras.image_size
    buffer = np.full((views, size, size), np.inf, dtype=np.float32)
    index = np.full((views, size, size), -1, dtype=np.int64)
    for v in range(views):
        for n in np.argsort(-depth[v]):
            column, row = pixels[v, n].astype(int)
            window = (v, slice(max(row - 4, 0), row + 5), slice(max(column - 4, 0), column + 5))
            buffer[window] = depth[v, n]
            index[window] = n
    seen = np.isfinite(buffer)
    shade = np.where(seen, 250 - (np.where(seen, buffer, 1.0) - 1.0) * 95, 0).clip(0, 255).astype(np.uint8)
    images = np.repeat(shade[..., None], 3, axis=-1)
    column = pixels[..., 0].astype(int).clip(0, size - 1)
    row = pixels[..., 1].astype(int).clip(0, size - 1)
    margin = depth - buffer[np.arange(views)[:, None], row, column]
    return Renders(images=images, depth=buffer, index=index, source="points"), margin.clip(0).astype(np.float32)


def _student(
    rng: np.random.Generator,
    xyz: np.ndarray,
    mask: np.ndarray,
    teacher_direction: np.ndarray,
    role: Role,
    *,
    noise: float,
    confidence: float,
) -> tuple[Comparison, np.ndarray]:
    frequencies = rng.normal(size=(3, CHANNELS)) * 1.6
    features = np.maximum(np.cos(xyz @ frequencies + rng.uniform(0, 6.28, CHANNELS)), 0).astype(np.float32)
    views = len(mask)
    winners = np.full((views, CHANNELS), -1, dtype=np.int64)
    pooled = np.zeros((views, CHANNELS), dtype=np.float32)
    for v in range(views):
        seen = np.flatnonzero(mask[v])
        if len(seen):
            winners[v] = seen[features[seen].argmax(axis=0)]
            pooled[v] = features[seen].max(axis=0)
    head = (rng.normal(size=(CHANNELS, TEACHER_SIZE)) / np.sqrt(CHANNELS)).astype(np.float32)
    described = pooled @ head
    teacher = described + noise * teacher_direction * 0.2
    alignment = np.zeros((views, len(xyz)), dtype=np.float32)
    for v in range(views):
        scale = np.linalg.norm(described[v]) * np.linalg.norm(teacher[v])
        share = pooled[v] * (head @ teacher[v]) / max(scale, 1e-9)
        np.add.at(alignment[v], winners[v][winners[v] >= 0], share[winners[v] >= 0])
    centred = features - features.mean(axis=0)
    components = np.linalg.svd(centred, full_matrices=False)[0][:, :3]
    components = (components - components.min(axis=0)) / np.ptp(components, axis=0)
    logits = _logits(rng, LABEL, confidence)
    answer = Answer(
        network="pointnet",
        role=role,
        weights="b" * 64,
        scores=ClassScores(logits, np.stack([_logits(rng, LABEL, confidence) for _ in range(views)])),
        shape_feature=described.max(axis=0),
        view_features=described,
        pooling=Pooling(winners, pooled, features.argmax(axis=0), components.astype(np.float32)),
    )
    similarity = _cosines(described - described.mean(axis=0) * 0.9, teacher - teacher.mean(axis=0) * 0.9)
    bias = np.zeros(views, dtype=np.float32)
    return Comparison(answer, similarity, alignment, bias, **_figures(similarity)), teacher.astype(np.float32)


def _figures(similarity: np.ndarray) -> dict[str, float]:
    matrix = torch.from_numpy(similarity)
    return {
        "diagonal_dominance": diagonal_dominance(matrix).item(), "retrieval_at_1": retrieval_at_1(matrix).item(),
    }  # fmt: skip


def _cosines(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    columns = columns / np.linalg.norm(columns, axis=1, keepdims=True)
    return np.asarray(rows @ columns.T, dtype=np.float32)


def _logits(rng: np.random.Generator, label: int, confidence: float) -> np.ndarray:
    logits = rng.normal(size=len(MODELNET40)) * 0.7
    logits[label] += confidence
    logits[32] += confidence * 0.55
    return logits.astype(np.float32)
