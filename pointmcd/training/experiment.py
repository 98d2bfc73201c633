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

from pointmcd.data.augmentation import augmented_copies
from pointmcd.data.labels import MODELNET40
from pointmcd.data.point_set import PointSet, check_training_set, load_point_set, split_validation
from pointmcd.data.view_cache import ViewCache, prepare_renders, prepare_views, read_array
from pointmcd.evaluation.accuracy import Accuracy, accuracy, predict
from pointmcd.evaluation.alignment import Alignment, view_alignment
from pointmcd.evaluation.teacher import teacher_features, teacher_predict
from pointmcd.files import written_whole
from pointmcd.networks.student import Student
from pointmcd.networks.teachers.classification import ClassificationTeacher
from pointmcd.records import CheckpointError, DataError, SettingError
from pointmcd.training.loop import Run
from pointmcd.training.recipes import (
    VALIDATION_SHARE,
    Recipe,
    StudentRecipe,
    TeacherRecipe,
    student_recipe,
    teacher_recipe,
)
from pointmcd.training.steps import train_student, train_teacher
from pointmcd.weights.manifest import (
    WEIGHTS,
    Entry,
    build_network,
    find_default,
    load_weights,
    read_manifest,
    save_weights,
    to_half,
)
from pointmcd.weights.models import pick_device

SPLIT_SEED = 0  # the validation split is the same for every network and training seed
MODELNET40_LICENCE = (
    "ModelNet40 (Wu et al., CVPR 2015): models collected from the web, copyright with their authors, given for "
    "academic research only."
)


def run_teacher(
    *, data: str, test: str, recipe: TeacherRecipe, seed: int, out: str, weights: str, cache: str, device: str,
    normalise: bool = False,
) -> Entry:  # fmt: skip
    """Train the teacher on `data`, judge it once on `test` and save it to the folder `weights`."""
    target = pick_device(device)
    whole, judged = _load_sets(data, test, recipe, normalise=normalise)
    _check_folder(weights, whole.class_names, replaced=("teacher", recipe.backbone, f"seed{seed}"))
    rows, held_out = split_validation(whole.labels, share=VALIDATION_SHARE, seed=SPLIT_SEED)
    train, validation = whole.subset(rows), whole.subset(held_out)
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
    run = Run(Path(out), seed, target, identity={"network": network, "data": whole.sha256})
    model = train_teacher(
        train.labels, renders, validation.labels, views.images[held_out], recipe, run, classes=len(train.class_names)
    )
    shipped = _rounded(model, network, run.device)
    assert isinstance(shipped, ClassificationTeacher)
    result = judge_teacher(shipped, judged, cache)
    usual = teacher_recipe(recipe.name).backbone
    command = "train-teacher" + ("" if recipe.backbone == usual else f" --backbone {recipe.backbone}")
    return save_weights(
        shipped, weights, network=recipe.backbone, role="teacher", run=f"seed{seed}", settings=network,
        training=_training_notes(command, data, test, recipe, run, train),
        metrics=_metrics(result, test, run, len(held_out)), licence=_licence(train),
    )  # fmt: skip


def run_student(
    *, encoder: str, plain: bool, data: str, test: str, recipe: StudentRecipe, seed: int, out: str, weights: str,
    cache: str,
    device: str, normalise: bool = False,
) -> Entry:  # fmt: skip
    """Train one student, distilled or plain, against the teacher in `weights` (else the shipped one), and save it."""
    target = pick_device(device)
    teacher, teacher_entry = find_teacher(weights, target)
    train, judged = _load_sets(data, test, recipe, normalise=normalise)
    role = "plain" if plain else "distilled"
    _check_folder(weights, train.class_names, replaced=(role, encoder, f"seed{seed}"))
    if teacher_entry.class_names != train.class_names:
        raise CheckpointError(
            f"{data}: its {len(train.class_names)} classes ({_some(train.class_names)}) are not the "
            f"{len(teacher_entry.class_names)} of the teacher ({_some(teacher_entry.class_names)}), in that order; run "
            "train-teacher on it first."
        )
    network = {
        "kind": "student",
        "encoder": encoder,
        "classes": len(train.class_names),
        "isolate_views": plain,
    }
    identity = {"network": network, "data": train.sha256, "teacher": teacher_entry.sha256}
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
    result = judge_student(shipped, judged)
    if (
        find_default(read_manifest(weights), role="teacher") is None
    ):  # the shipped one taught: the folder is to be of use by itself
        copied = {key: value for key, value in vars(teacher_entry).items() if key not in ("file", "sha256")}
        save_weights(teacher, weights, **copied)
    command = f"distill --student {encoder}" + (" --plain" if plain else "")
    notes = _training_notes(command, data, test, recipe, run, train.subset(rows)) | {"teacher": teacher_entry.sha256}
    return save_weights(
        shipped, weights, network=encoder, role=role, run=f"seed{seed}", settings=network, training=notes,
        metrics=_metrics(result, test, run, len(held_out)), licence=_licence(train),
    )  # fmt: skip


def _load_sets(data: str, test: str, recipe: Recipe, *, normalise: bool) -> tuple[PointSet, PointSet]:
    """Read and check all data before the hours of training; the test split is judged once, at the end."""
    train, judged = load_point_set(data, normalise=normalise), load_point_set(test, normalise=normalise)
    check_training_set(train, data, batch_size=recipe.batch_size, share=VALIDATION_SHARE)
    return train, judged.labelled_by(train.class_names, source=test)


def _check_folder(weights: str, class_names: tuple[str, ...], *, replaced: tuple[str, str, str]) -> None:
    """Refuse a folder that could not be used any more with a network of these classes beside those that it holds."""
    for name, other in read_manifest(weights).items():
        if (other.role, other.network, other.run) != replaced and other.class_names != class_names:
            raise CheckpointError(
                f"{weights} holds {name}, of {len(other.class_names)} classes ({_some(other.class_names)}), and "
                f"the data have {len(class_names)} ({_some(class_names)}), in that order; choose another --weights."
            )


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def choose_recipe(encoder: str, name: str, *, epochs: int | None) -> StudentRecipe:
    """Take a student's recipe, with another number of epochs where asked for.

    Raises:
        SettingError: There is no such recipe, or less than one epoch is asked for.
    """
    return replace(student_recipe(encoder, name), **_asked_for(epochs=epochs))


def choose_teacher_recipe(name: str, *, epochs: int | None, backbone: str | None = None) -> TeacherRecipe:
    """Take the teacher's recipe, with another number of epochs or backbone where asked for.

    Raises:
        SettingError: There is no such recipe, or less than one epoch is asked for.
    """
    return replace(teacher_recipe(name), **_asked_for(epochs=epochs, backbone=backbone))


def _asked_for(*, epochs: int | None, **others: Any) -> dict[str, Any]:
    if epochs is not None and epochs < 1:
        raise SettingError(f"Training takes at least 1 epoch, not {epochs}.")
    return {name: value for name, value in {"epochs": epochs, **others}.items() if value is not None}


def find_teacher(weights: str | Path, device: torch.device) -> tuple[ClassificationTeacher, Entry]:
    """The teacher of a weights folder, or the shipped one where that folder has none.

    Raises:
        CheckpointError: There is neither, or it is unclear which of several is meant.
    """
    for folder in (Path(weights), WEIGHTS):
        entry = find_default(read_manifest(folder), role="teacher")
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
    features = read_array(file, shape=(*views.images.shape[:2], None), dtype=np.float16)
    if not np.isfinite(features).all():
        raise DataError(f"{file} is damaged; remove it, and the same command makes it again.")
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
