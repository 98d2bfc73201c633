"""What do all the networks make of one shape? The one direct pass: shape, renders, visibility, networks, Analysis."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np
import torch
from jaxtyping import Float, Float32, Int
from torch import Tensor

from pointmcd import __version__
from pointmcd.cameras import DISTANCE, FIELD_OF_VIEW_DEG, IMAGE_SIZE, Rig
from pointmcd.checkpoints import WEIGHTS, entries_by_role, load_weights, read_manifest
from pointmcd.distill import Student, StudentOutput
from pointmcd.evaluate import cosine_matrix
from pointmcd.files import written_whole
from pointmcd.gpu import wait_for
from pointmcd.labels import MODELNET40
from pointmcd.render import render_points
from pointmcd.shapes import sample_points
from pointmcd.teachers import ClassificationTeacher, TeacherOutput, folded
from pointmcd.types import (
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
from pointmcd.visibility import resolve_method, visible_points

P = ParamSpec("P")
R = TypeVar("R")

ABOUT = ("name", "version", "settings", "weights")  # of the summary, in the file of arrays too
TOP = 5  # answers listed in a summary
BLOCK = 4096  # points whose features are worked on at once; more take no longer together, but more memory
MAX_POINTS = 50_000  # their features take 0.2 GB a student, and as much again for each step of working on them


@dataclass(frozen=True, eq=False)
class Models:
    """The networks of one analysis, on one device.

    Attributes:
        teacher: The image network.
        students: Distilled students by encoder name.
        plains: The same students trained without distillation, where there are such weights.
        weights: SHA-256 of each network's file: "teacher", an encoder's name, or that with "_plain".
        device: Where they compute.
        class_names: Label of each logit, the same for all of them.
    """

    teacher: ClassificationTeacher
    students: dict[str, Student]
    plains: dict[str, Student]
    weights: dict[str, str]
    device: torch.device
    class_names: tuple[str, ...] = MODELNET40

    @property
    def student_names(self) -> tuple[str, ...]:
        """The students that have weights."""
        return tuple(self.students)


def load_models(*, folder: str | Path = WEIGHTS, device: str = "auto") -> Models:
    """Load the networks that a weights folder lists, one for each role (`entries_by_role`).

    Args:
        folder: Holds `manifest.json` and its files; the shipped weights by default.
        device: "auto" (CUDA where there is one), "cpu" or "cuda".

    Raises:
        CheckpointError: The folder lacks a teacher or a student, a file is damaged, the networks name different
            classes, or it is unclear which of several is meant.
    """
    target = pick_device(device)
    entries = entries_by_role(read_manifest(folder), folder)
    networks = {role: load_weights(entry, folder).to(target) for role, entry in entries.items()}
    teacher = networks.get("teacher")
    students = [module for module in networks.values() if isinstance(module, Student)]
    if not isinstance(teacher, ClassificationTeacher) or not students:
        raise CheckpointError(f"{folder} holds no teacher with a student; train them, or restore the files.")
    names = {entry.class_names for entry in entries.values()}
    if len(names) > 1 or {entry.network.get("classes", 40) for entry in entries.values()} != {
        len(name) for name in names
    }:
        raise CheckpointError(f"The networks in {folder} name different classes; train them on one data set.")
    distilled = {module.encoder_name: module for module in students if not module.isolate_views}
    return Models(
        teacher=teacher,
        students=dict(sorted(distilled.items(), reverse=True)),
        plains={module.encoder_name: module for module in students if module.isolate_views},
        weights={role: entry.sha256 for role, entry in entries.items()},
        device=target,
        class_names=names.pop(),
    )


def pick_device(name: str) -> torch.device:
    """Turn "auto" into CUDA where there is one, else CPU.

    Raises:
        CheckpointError: No such device, or CUDA was asked for and there is none.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if re.fullmatch(r"cpu|cuda(:\d+)?", name) is None:
        raise CheckpointError(f"There is no device {name!r}; choose auto, cpu or cuda.")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise CheckpointError("This machine has no CUDA device that torch can use; choose --device cpu or auto.")
    return torch.device(name)


@torch.inference_mode()
def analyze(
    shape: Shape,
    models: Models,
    *,
    student: str = "pointnet",
    visibility: str = "auto",
    views: int = 12,
    points: int = 1024,
    seed: int = 0,
    elevation_deg: float = 30.0,
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
        views: Cameras on the ring, 1 to 64.
        points: Points to sample, 3 to `MAX_POINTS`.
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
    if points > MAX_POINTS:
        raise ShapeError(f"At most {MAX_POINTS:,} points can be analysed at once, not {points:,}.")
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
    return _prediction(taught), _numpy(models.teacher.heat_maps(taught, taught.logits.argmax(dim=1))[0])


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
    points: Float32[np.ndarray, "N 3"], models: Models, *, student: str = "pointnet", plain: bool = False
) -> Float32[np.ndarray, " K"]:
    """Ask a student alone for class probabilities, with the points as they are: no sampling, no centring.

    Raises:
        ShapeError: Not 3 to `MAX_POINTS` finite points.
        CheckpointError: There are no such weights.
    """
    table = models.plains if plain else models.students
    if student not in table:
        raise CheckpointError(f"There are no such weights for {student!r}; there are: {', '.join(table) or 'none'}.")
    if not (3 <= len(points) <= MAX_POINTS and np.isfinite(points).all()):
        raise ShapeError(f"A student reads 3 to {MAX_POINTS:,} finite points.")
    logits = table[student](torch.from_numpy(points).to(models.device)[None]).logits[0]
    return _numpy(logits.softmax(dim=0))


def _prediction(output: TeacherOutput | StudentOutput) -> Prediction:
    assert output.view_features is not None
    assert output.view_logits is not None
    return Prediction(
        logits=_numpy(output.logits[0]),
        shape_feature=_numpy(output.shape_feature[0]),
        view_features=_numpy(output.view_features[0]),
        view_logits=_numpy(output.view_logits[0]),
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
    colors = colors or _feature_colors(outputs, networks)
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
            pools=_numpy(output.view_pools[0]),
            global_winners=output.global_winners[0].cpu().numpy(),
            similarity=_numpy(cosine_matrix(output.view_features, teacher_views)[0]),
            alignment=_numpy(shares[0]),
            alignment_bias=_numpy(bias[0]),
            feature_colors=colors[weights],
            weights=weights,
        )
    return answers


def _feature_colors(
    outputs: dict[str, StudentOutput], networks: dict[str, tuple[Student, str]]
) -> dict[str, Float32[np.ndarray, "N 3"]]:
    """Colour the points by their features, by one map for all networks: the colours by weights' hash."""
    blocks = [
        networks[who][0].encoder.output_layer(block)
        for who, output in outputs.items()
        for block in output.trunk.values[0].split(BLOCK)
    ]
    colors = np.split(_numpy(principal_colors(torch.cat(blocks))), len(outputs))
    return {networks[who][1]: own for who, own in zip(outputs, colors, strict=True)}


def alignment_shares(
    student: Student, output: StudentOutput, teacher_views: Float[Tensor, "B V T"], *, points: int
) -> tuple[Float[Tensor, "B V N"], Float[Tensor, "B V"]]:
    """Split each cosine `cos(g_k, v_k)` over the points that made `g_k` (evaluation mode).

    `g_k = relu(A p_k + b)` with the batch norm folded into A and b; channel c of `p_k` comes from one winning point.
    With the ReLU's gate known, the cosine is linear in `p_k`: each channel's term goes to its winner, and the rest is
    the bias's. Shares and bias of a view sum to its cosine exactly; a share is negative where the point pulls away.

    Returns:
        Share of each point in each view, and the bias's share.
    """
    assert output.view_features is not None
    assert output.view_pools is not None
    assert output.winners is not None
    return _shares(student, output.view_features, output.view_pools, output.winners, teacher_views, points=points)


@torch.inference_mode()
def cell_shares(
    analysis: Analysis, models: Models, *, row: int, column: int, plain: bool = False
) -> tuple[Float32[np.ndarray, " N"], float]:
    """Split a cell of the similarity matrix, `cos(g_row, v_column)`, as `alignment_shares` splits the diagonal.

    Args:
        analysis: As `analyze` gives it.
        models: The networks that it was made with.
        row: View of the student, from 0.
        column: View of the teacher, from 0.
        plain: Whether to explain the plain student's matrix.

    Returns:
        Share of each point, and the bias's share.

    Raises:
        ShapeError: There is no such view.
        CheckpointError: The analysis was made with other weights.
    """
    views = len(analysis.teacher.view_features)
    if not (0 <= row < views and 0 <= column < views):
        raise ShapeError(f"A row and a column are 0 to {views - 1}, not {row} and {column}.")
    name, answer = analysis.student_name, analysis.plain if plain else analysis.student
    student = (models.plains if plain else models.students).get(name)
    weights = models.weights.get(f"{name}_plain" if plain else name)
    if student is None or answer is None or answer.weights != weights:
        raise CheckpointError("The analysis was made with other weights; analyse the shape again.")
    rows = (answer.prediction.view_features, answer.pools, answer.winners)
    view, pool, winners = (torch.from_numpy(array[None, [row]]).to(models.device) for array in rows)
    teacher_view = torch.from_numpy(analysis.teacher.view_features[None, [column]]).to(models.device)
    shares, bias = _shares(student, view, pool, winners, teacher_view, points=len(analysis.cloud.points))
    return _numpy(shares[0, 0]), bias.item()


def _shares(
    student: Student,
    views: Float[Tensor, "B V T"],
    pools: Float[Tensor, "B V D"],
    winners: Int[Tensor, "B V D"],
    teacher_views: Float[Tensor, "B V T"],
    *,
    points: int,
) -> tuple[Float[Tensor, "B V N"], Float[Tensor, "B V"]]:
    """Split the cosine of each view with the teacher's descriptor beside it; see `alignment_shares`."""
    weight, bias = folded(student.head.alignment)
    lengths = (views.norm(dim=-1) * teacher_views.norm(dim=-1)).clamp(min=1e-12)[..., None]
    pull = (views > 0) * teacher_views / lengths  # d cos / d g at fixed lengths, behind the ReLU's gate
    terms = (pull @ weight) * pools  # 0 where the view sees nothing
    shares = terms.new_zeros(*views.shape[:2], points)
    return shares.scatter_add_(2, winners.clamp(min=0), terms), pull @ bias


def principal_colors(values: Float[Tensor, "N D"], *, iterations: int = 5) -> Float[Tensor, "N 3"]:
    """Map point features to colours: their first three principal components, each stretched to 0..1.

    By subspace iteration from a fixed start, so that the same features always get the same colours. Of more than
    `BLOCK` points an even sample decides the components (of 10,000 points, colours move by 0.02 of their range).
    """
    sample = values[:: -(-len(values) // BLOCK)].float()
    mean = sample.mean(dim=0)
    centred: Tensor = sample - mean
    basis = torch.randn(values.shape[1], 16, generator=torch.Generator().manual_seed(0)).to(centred)
    for _ in range(iterations):
        basis, _ = torch.linalg.qr(((centred @ basis).T @ centred).T)
    _, _, rotation = torch.linalg.svd(centred @ basis, full_matrices=False)
    directions = basis @ rotation[:3].T
    components = torch.cat([(block.float() - mean) @ directions for block in values.split(BLOCK)])
    # A component's sign is free: let its heavier tail be bright.
    components = components * torch.where((components**3).sum(dim=0) < 0, -1.0, 1.0)
    low, high = torch.quantile(components, torch.tensor([0.02, 0.98]).to(components), dim=0)
    stretched: Tensor = (components - low) / (high - low).clamp(min=1e-9)
    return stretched.clamp(0, 1)


def _numpy(tensor: Tensor) -> Float32[np.ndarray, ...]:
    return tensor.float().cpu().numpy()


def summary(analysis: Analysis) -> dict[str, Any]:
    """What `python -m pointmcd analyze --json` and the page's API answer: plain JSON types."""
    seen = analysis.visibility.mask
    return {
        "name": analysis.name,
        "version": __version__,
        "settings": _settings(analysis),
        "notes": list(analysis.notes),
        "points": seen.shape[1],
        "views": seen.shape[0],
        "visibility": {
            "method": analysis.visibility.method,
            "seen_fraction": [round(float(share), 6) for share in seen.mean(axis=1)],
            "unseen_points": len(analysis.unseen_points),
        },
        "teacher": {
            "top5": _top(analysis.teacher, analysis.class_names),
            "heat_on_background": [round(float(share), 6) for share in analysis.heat_on_background],
        },
        "student": {"top5": _top(analysis.student.prediction, analysis.class_names)},
        "plain": None if analysis.plain is None else {"top5": _top(analysis.plain.prediction, analysis.class_names)},
        "alignment": _alignment(analysis.student),
        "plain_alignment": None if analysis.plain is None else _alignment(analysis.plain),
        "timings_ms": analysis.timings_ms,
        "weights": _weights(analysis),
    }


def _settings(analysis: Analysis) -> dict[str, Any] | None:
    """What was asked for, and the visibility test that "auto" stood for; None of a record made by hand."""
    if analysis.settings is None:
        return None
    return asdict(analysis.settings) | {"visibility_used": analysis.visibility.method}


def _weights(analysis: Analysis) -> dict[str, str]:
    """SHA-256 of each network's file."""
    weights = {"teacher": analysis.teacher_weights, "student": analysis.student.weights}
    return weights if analysis.plain is None else weights | {"plain": analysis.plain.weights}


def _top(prediction: Prediction, names: tuple[str, ...]) -> list[list[Any]]:
    probabilities = prediction.probabilities
    best: Int[np.ndarray, " 5"] = np.argsort(-probabilities, kind="stable")[:TOP]
    return [[names[label], round(float(probabilities[label]), 6)] for label in best]


def _alignment(view: StudentView) -> dict[str, Any]:
    return {
        "cosine": [round(float(value), 6) for value in view.cosine],
        "similarity": [[round(float(value), 6) for value in row] for row in view.similarity],
        "diagonal_dominance": round(view.diagonal_dominance, 6),
        "retrieval_at_1": round(view.retrieval_at_1, 6),
    }


def save_arrays(analysis: Analysis, path: str | Path) -> None:
    """Write the analysis's arrays as a compressed .npz (no pickles); see docs/conventions.md for axes and units.

    `about` is JSON text: of what, with which settings, version and weights.
    """
    about = summary(analysis)
    arrays = {
        "points": analysis.cloud.points,
        "to_world": analysis.cloud.to_world,
        "visibility": analysis.visibility.mask,
        "pixels": analysis.visibility.pixels,
        "margin": analysis.visibility.margin,
        "images": analysis.renders.images,
        "depth": analysis.renders.depth,
        "index": analysis.renders.index,
        "heat_maps": analysis.heat_maps,
        "heat_on_background": analysis.heat_on_background,
        "world_to_camera": analysis.cameras.world_to_camera,
        "intrinsics": analysis.cameras.intrinsics,
        "class_names": np.array(analysis.class_names),
        "teacher_view_features": analysis.teacher.view_features,
        "teacher_logits": analysis.teacher.logits,
        "about": np.array(json.dumps({key: about[key] for key in ABOUT})),
    }
    for name, view in (("student", analysis.student), ("plain", analysis.plain)):
        if view is None:
            continue
        prefix = "" if name == "student" else "plain_"
        arrays |= {
            f"{name}_view_features": view.prediction.view_features,
            f"{name}_logits": view.prediction.logits,
            f"{prefix}similarity": view.similarity,
            f"{prefix}winners": view.winners.astype(np.int32),
            f"{prefix}pools": view.pools,
            f"{prefix}global_winners": view.global_winners.astype(np.int32),
            f"{prefix}alignment": view.alignment,
            f"{prefix}alignment_bias": view.alignment_bias,
        }
    with written_whole(Path(path).resolve()) as partial, partial.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # the stub takes **kwds for allow_pickle
