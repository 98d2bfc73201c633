"""What does each network say of a scene? The image network reads the renders, the point networks the points."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float32

from pointmcd.analysis.explain import as_numpy, feature_colors_of
from pointmcd.analysis.stages import Stages
from pointmcd.networks.student import StudentOutput
from pointmcd.networks.teachers.classification import TeacherOutput
from pointmcd.records import Answer, ClassScores, HeatMaps, Pooling, Renders, Scene
from pointmcd.weights.models import Models, PointNetwork


def ask_teacher(scene: Scene, models: Models, stages: Stages) -> Answer:
    """Show the image network the renders."""
    weights = models.weights["teacher"]
    return stages.keep(
        "teacher",
        (scene.renders, weights),
        lambda: stages.timed("teacher", _look, scene.renders, models, weights),
    )


def ask_point_networks(
    scene: Scene, networks: tuple[PointNetwork, ...], device: torch.device, stages: Stages
) -> tuple[Answer, ...]:
    """Show every point network the points, with what each view sees of them.

    They are asked together: their feature colours are one map of all their features, so another set of networks gives
    each of them other colours. No mask changes the features, so other visibility leaves the colours as they are.
    """

    def ask() -> tuple[Answer, ...]:
        points = torch.from_numpy(scene.cloud.points).to(device)[None]
        mask = torch.from_numpy(scene.visibility.mask).to(device)[None]
        outputs = [stages.timed(_stage_of(network), network.module, points, mask) for network in networks]
        modules = [network.module for network in networks]
        colors = stages.keep(
            "colors",
            (scene.cloud, networks),
            lambda: stages.timed("colors", feature_colors_of, modules, outputs, points[0]),
        )
        return tuple(map(_point_answer, networks, outputs, colors))

    return stages.keep("point networks", (scene.cloud, scene.visibility, networks), ask)


def _stage_of(network: PointNetwork) -> str:
    """What its time is called; the distilled student's has been "student" from the start."""
    name = "student" if network.role == "distilled" else network.role
    return f"{name}-{network.run}" if network.run else name


def _look(renders: Renders, models: Models, weights: str) -> Answer:
    images = torch.from_numpy(renders.images).to(models.device).permute(0, 3, 1, 2).float() / 255
    taught = models.teacher(images[None])
    maps = as_numpy(models.teacher.heat_maps(taught, taught.logits.argmax(dim=1))[0])
    return Answer(
        network=models.teacher.backbone_name,
        role="teacher",
        weights=weights,
        scores=_class_scores(taught),
        shape_feature=as_numpy(taught.shape_feature[0]),
        view_features=as_numpy(taught.view_features[0]),
        heat_maps=HeatMaps(maps, share_on_background(maps, renders.depth)),
    )


def _point_answer(network: PointNetwork, output: StudentOutput, colors: Float32[np.ndarray, "N 3"]) -> Answer:
    assert output.view_features is not None
    assert output.view_pools is not None
    assert output.winners is not None
    return Answer(
        network=network.name,
        role=network.role,
        weights=network.weights,
        scores=_class_scores(output),
        shape_feature=as_numpy(output.shape_feature[0]),
        view_features=as_numpy(output.view_features[0]),
        pooling=Pooling(
            winners=output.winners[0].cpu().numpy(),
            pools=as_numpy(output.view_pools[0]),
            global_winners=output.global_winners[0].cpu().numpy(),
            feature_colors=colors,
        ),
        run=network.run,
    )


def _class_scores(output: TeacherOutput | StudentOutput) -> ClassScores:
    assert output.view_logits is not None
    return ClassScores(as_numpy(output.logits[0]), as_numpy(output.view_logits[0]))


def share_on_background(
    maps: Float32[np.ndarray, "V h w"], depth: Float32[np.ndarray, "V H W"]
) -> Float32[np.ndarray, " V"]:
    """Share of each heat map's magnitude that lies where the image shows nothing, 0 to 1.

    A cell counts by the part of its area that is background. It reads more of the image than it covers, so a cell on
    the background may still speak of the shape's edge.
    """
    magnitude, empty = np.abs(maps), np.isinf(depth).astype(np.float32)
    rows, columns = (_areas(c, p) for c, p in zip(magnitude.shape[1:], empty.shape[1:], strict=True))
    on_background = (magnitude * (rows @ empty @ columns.T)).sum(axis=(1, 2))
    return np.asarray(on_background / magnitude.sum(axis=(1, 2)).clip(min=1e-12), dtype=np.float32)


def _areas(cells: int, pixels: int) -> Float32[np.ndarray, "c p"]:
    """Part of each cell that each pixel takes up, along one side of an image; cells need not end between pixels."""
    edges = np.arange(cells + 1) * pixels / cells
    left, right = np.maximum(edges[:-1, None], np.arange(pixels)), np.minimum(edges[1:, None], np.arange(pixels) + 1)
    return np.asarray((right - left).clip(min=0) * cells / pixels, dtype=np.float32)
