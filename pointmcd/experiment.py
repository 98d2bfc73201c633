"""Which steps turn a data set into weights with a manifest? Prepare, train, round to fp16, judge once on test, save."""

from __future__ import annotations

import csv
import os
import platform
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import nn

from pointmcd.analysis import pick_device
from pointmcd.checkpoints import WEIGHTS, Entry, build_network, load_weights, read_manifest, save_weights, to_half
from pointmcd.data import PointSet, augmented_copies, load_point_set, split_validation
from pointmcd.distill import Student
from pointmcd.evaluate import Accuracy, Alignment, accuracy, predict, view_alignment
from pointmcd.labels import MODELNET40
from pointmcd.recipes import VALIDATION_SHARE, Recipe, get_recipe
from pointmcd.teachers import ClassificationTeacher
from pointmcd.train import Run, teacher_features, teacher_predict, train_student, train_teacher
from pointmcd.types import CheckpointError, ShapeError
from pointmcd.view_cache import ViewCache, prepare_renders, prepare_views, written_whole

SPLIT_SEED = 0  # the validation split is the same for every network and training seed
MODELNET40_LICENCE = (
    "ModelNet40 (Wu et al., CVPR 2015): models collected from the web, copyright with their authors, given for "
    "academic research only."
)


def run_teacher(
    *, data: str, test: str, recipe: Recipe, seed: int, out: str, weights: str, cache: str, device: str
) -> Entry:
    """Train the teacher on `data`, judge it once on `test` and save it to the folder `weights`."""
    _check_exists(test)
    whole = load_point_set(data)
    rows, held_out = split_validation(whole.labels, share=VALIDATION_SHARE, seed=SPLIT_SEED)
    train, validation = whole.subset(rows), whole.subset(held_out)
    target = pick_device(device)
    views = prepare_views(whole.points, cache, image_size=recipe.input_size, device=target)
    if recipe.rendered_copies:
        copies = augmented_copies(
            train.points, copies=recipe.rendered_copies, scale=recipe.scale, shift=recipe.shift, seed=seed
        )
        renders = prepare_renders(copies, cache, image_size=recipe.input_size, device=target)
    else:
        renders = views.images[rows]
    network = {
        "kind": "teacher",
        "backbone": recipe.backbone,
        "input_size": recipe.input_size,
        "classes": len(train.class_names),
    }
    run = Run(Path(out), seed, target, identity=f"{network} data={whole.sha256}")
    model = train_teacher(
        train.labels, renders, validation.labels, views.images[held_out], recipe, run, classes=len(train.class_names)
    )
    shipped = _rounded(model, network, run.device)
    assert isinstance(shipped, ClassificationTeacher)
    result = judge_teacher(shipped, load_point_set(test).labelled_by(train.class_names), cache)
    usual = get_recipe("teacher", recipe.name).backbone
    command = "train-teacher" + ("" if recipe.backbone == usual else f" --backbone {recipe.backbone}")
    return save_weights(
        shipped, weights, name="teacher", network=network,
        training=_training_notes(command, data, test, recipe, run, train),
        metrics=_metrics(result, test, run, len(held_out)), data_licence=_licence(train),
    )  # fmt: skip


def run_student(
    *, encoder: str, plain: bool, data: str, test: str, recipe: Recipe, seed: int, out: str, weights: str, cache: str,
    device: str,
) -> Entry:  # fmt: skip
    """Train one student, distilled or plain, against the teacher in `weights` (else the shipped one), and save it."""
    _check_exists(test)
    train = load_point_set(data)
    network = {
        "kind": "student",
        "encoder": encoder,
        "classes": len(train.class_names),
        "isolate_views": plain,
    }
    target = pick_device(device)
    teacher, teacher_entry = find_teacher(weights, target)
    identity = f"{network} data={train.sha256} teacher={teacher_entry.sha256}"
    run = Run(Path(out), seed, target, identity=identity)
    views = prepare_views(train.points, cache, image_size=teacher.input_size, device=target)
    taught = cached_features(teacher, teacher_entry.sha256, views)
    rows, held_out = split_validation(train.labels, share=VALIDATION_SHARE, seed=SPLIT_SEED)
    model = train_student(
        train.subset(rows), np.asarray(views.visibility)[rows], taught[rows], train.subset(held_out), recipe, run,
        encoder=encoder, plain=plain,
    )  # fmt: skip
    shipped = _rounded(model, network, run.device)
    assert isinstance(shipped, Student)
    result = judge_student(shipped, load_point_set(test).labelled_by(train.class_names))
    if "teacher" not in read_manifest(weights):  # the shipped one taught: the folder is to be of use by itself
        copied = ("name", "network", "training", "metrics", "data_licence")
        save_weights(teacher, weights, **{key: getattr(teacher_entry, key) for key in copied})
    command = f"distill --student {encoder}" + (" --plain" if plain else "")
    notes = _training_notes(command, data, test, recipe, run, train.subset(rows)) | {"teacher": teacher_entry.sha256}
    for key in ("backbone", "input_size", "rendered_copies", "image_scale", "image_shift"):  # the teacher's
        del notes["recipe"][key]
    return save_weights(
        shipped, weights, name=encoder + ("_plain" if plain else ""), network=network, training=notes,
        metrics=_metrics(result, test, run, len(held_out)), data_licence=_licence(train),
    )  # fmt: skip


def _check_exists(test: str) -> None:
    """Notice a wrong path before the hours of training, without reading the file."""
    if not Path(test).is_file():
        raise ShapeError(f"{test}: there is no such file. Give an .npz with points, labels and class_names.")


def choose_recipe(network: str, name: str, *, epochs: int | None, backbone: str | None = None) -> Recipe:
    """Take a recipe, with another number of epochs or backbone where asked for.

    Raises:
        ValueError: There is no such recipe, or less than one epoch is asked for.
    """
    recipe = get_recipe(network, name)
    if epochs is not None and epochs < 1:
        raise ValueError(f"Training takes at least 1 epoch, not {epochs}.")
    changes: dict[str, Any] = {}
    if epochs is not None:
        changes["epochs"] = epochs
    if backbone is not None:
        changes["backbone"] = backbone
    return replace(recipe, **changes)


def find_teacher(weights: str | Path, device: torch.device) -> tuple[ClassificationTeacher, Entry]:
    """The teacher of a weights folder, or the shipped one where that folder has none.

    Raises:
        CheckpointError: There is neither.
    """
    for folder in (Path(weights), WEIGHTS):
        entry = read_manifest(folder).get("teacher")
        if entry is not None:
            teacher = load_weights(entry, folder).to(device)
            assert isinstance(teacher, ClassificationTeacher)
            return teacher, entry
    raise CheckpointError(f"{weights} holds no teacher; run train-teacher first.")


def cached_features(teacher: ClassificationTeacher, sha256: str, views: ViewCache) -> Float[np.ndarray, "S V T"]:
    """Teacher descriptors of every cached view, computed once per teacher and kept beside the renders."""
    file = views.folder / f"features_{sha256[:16]}.npy"
    if not file.exists():
        with written_whole(file) as partial:
            np.save(partial, teacher_features(teacher, views.images))
    features: Float[np.ndarray, "S V T"] = np.load(file)
    return features


def judge_teacher(teacher: ClassificationTeacher, test: PointSet, cache: str | Path) -> Accuracy:
    """Accuracy of the teacher on point renders of a set."""
    views = _views_of(test, teacher, cache)
    return accuracy(teacher_predict(teacher, views.images), test.labels)


def judge_student(student: Student, test: PointSet) -> Accuracy:
    """Accuracy of a student on a set: points in, no images and no masks."""
    return accuracy(predict(student, test.points), test.labels)


def judge_alignment(
    student: Student, teacher: ClassificationTeacher, sha256: str, test: PointSet, cache: str | Path
) -> Alignment:
    """How a student's view descriptors lie to the teacher's on a set."""
    views = _views_of(test, teacher, cache)
    taught = cached_features(teacher, sha256, views)
    seen: Bool[np.ndarray, "S V N"] = views.masks(np.arange(len(test)), test.points.shape[1])
    return view_alignment(student, test.points, seen, taught.astype(np.float32))


def _views_of(test: PointSet, teacher: ClassificationTeacher, cache: str | Path) -> ViewCache:
    device = next(teacher.parameters()).device
    return prepare_views(test.points, cache, image_size=teacher.input_size, device=device)


def _rounded(model: nn.Module, network: dict[str, Any], device: torch.device) -> nn.Module:
    """The network as it ships: its floats rounded to fp16 and back, so that what is judged is what is saved."""
    shipped = build_network(network)
    counters = {key: value for key, value in shipped.state_dict().items() if key.endswith("num_batches_tracked")}
    halves = {key: value.float() for key, value in to_half(model).items()}
    shipped.load_state_dict(halves | counters)
    return shipped.to(device).eval()


def _training_notes(command: str, data: str, test: str, recipe: Recipe, run: Run, train: PointSet) -> dict[str, Any]:
    with (run.folder / "log.csv").open() as file:
        seconds = sum(float(row["seconds"]) for row in csv.DictReader(file))
    hardware = torch.cuda.get_device_name() if run.device.type == "cuda" else f"{os.cpu_count()} CPU cores"
    return {
        "command": f"python -m pointmcd {command} --data {Path(data).name} --test {Path(test).name} "
        f"--recipe {recipe.name} --epochs {recipe.epochs} --seed {run.seed}",
        "recipe": asdict(recipe),
        "data": Path(data).name,
        "shapes": len(train),
        "class_names": list(train.class_names),
        "seed": run.seed,
        "epochs": recipe.epochs,
        "chosen_epoch": "the last one",
        "hours": round(seconds / 3600, 2),
        "hardware": f"{hardware} ({platform.machine()})",
        "torch": torch.__version__,
    }


def _licence(train: PointSet) -> str:
    return MODELNET40_LICENCE if train.class_names == MODELNET40 else "That of the training data."


def _metrics(result: Accuracy, test: str, run: Run, validation_shapes: int) -> dict[str, Any]:
    with (run.folder / "log.csv").open() as file:
        last = list(csv.DictReader(file))[-1]
    return {
        "test_overall_accuracy": round(result.overall, 6),
        "test_mean_class_accuracy": round(result.mean_class, 6),
        "test_shapes": result.shapes,
        "test_data": Path(test).name,
        "validation_accuracy": float(last["validation_accuracy"]),
        "validation_shapes": validation_shapes,
        "train_accuracy_augmented": float(last["train_accuracy"]),
    }
