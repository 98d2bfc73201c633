"""Are the shipped weights what the manifest and the README say, and do they know our own shapes?"""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from pointmcd.analysis.analyze import analyze
from pointmcd.data.point_set import load_point_set
from pointmcd.data.synthetic import SHAPES, make_shape
from pointmcd.evaluation.accuracy import accuracy, predict
from pointmcd.records import Answer
from pointmcd.weights.manifest import WEIGHTS, read_manifest
from pointmcd.weights.models import Models, load_models

ROOT = Path(__file__).parents[2]
STUDENTS = [name for name, entry in read_manifest().items() if entry.role != "teacher"]
ENCODERS = [name for name in STUDENTS if not name.endswith("_plain")]
MODELNET40_TEST = ROOT.parent / "shared/data/modelnet40_points/modelnet40_1024_test.npz"


@pytest.fixture(scope="module")
def models() -> Models:
    return load_models(device="cpu")


def test_the_manifest_lists_every_file_and_they_are_small_half_precision_floats() -> None:
    files = {path.name for path in WEIGHTS.glob("*.safetensors")}
    assert files == {entry.file for entry in read_manifest().values()}
    assert sum(path.stat().st_size for path in WEIGHTS.iterdir()) < 80 * 10**6
    for name in files:
        assert {value.dtype for value in load_file(WEIGHTS / name).values()} == {torch.float16}, name


def test_the_manifest_says_how_each_network_was_trained_and_what_was_measured() -> None:
    for entry in read_manifest().values():
        assert entry.training["command"].startswith("python -m pointmcd ")
        assert {"recipe", "data", "seed", "epochs", "hardware", "shapes"} <= entry.training.keys()
        assert entry.metrics["test_shapes"] == 2220
        assert 0 < entry.metrics["test_mean_class_accuracy"] < entry.metrics["test_overall_accuracy"] < 1
        assert "research" in entry.licence


@pytest.mark.parametrize("name", [f"{encoder}_plain" for encoder in ENCODERS])
def test_a_plain_student_differs_from_the_distilled_one_only_in_the_distillation(name: str) -> None:
    plain, distilled = read_manifest()[name], read_manifest()[name.removesuffix("_plain")]
    for key in ("recipe", "seed", "epochs", "data", "shapes", "teacher"):
        assert plain.training[key] == distilled.training[key], key
    assert plain.settings == distilled.settings | {"isolate_views": True}


def test_the_students_learned_from_the_shipped_teacher() -> None:
    entries = read_manifest()
    assert {entry.training.get("teacher", entries["teacher"].sha256) for entry in entries.values()} == {
        entries["teacher"].sha256
    }


def test_the_documents_state_the_accuracies_of_the_manifest() -> None:
    table = (ROOT / "docs/reproduction.md").read_text(encoding="utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for entry in read_manifest().values():
        overall = 100 * entry.metrics["test_overall_accuracy"]
        mean_class = 100 * entry.metrics["test_mean_class_accuracy"]
        assert re.search(rf"\| {overall:.1f} \| {mean_class:.1f} \| `{entry.sha256[:12]}` \|", table), entry.key
        assert f"{overall:.1f} / {mean_class:.1f}" in readme, entry.key


@pytest.mark.parametrize("encoder", ENCODERS)
def test_the_networks_name_at_least_three_of_four_generated_shapes(models: Models, encoder: str) -> None:
    right = dict.fromkeys(("teacher", "student", "plain"), 0)
    labelled = [(name, recipe.label) for name, recipe in SHAPES.items() if recipe.label is not None]
    for name, label in labelled:
        analysis = analyze(make_shape(name).shape, models, student=encoder)
        assert analysis.plain is not None
        answers: dict[str, Answer] = {
            "teacher": analysis.teacher,
            "student": analysis.student.prediction,
            "plain": analysis.plain.prediction,
        }
        for network, prediction in answers.items():
            right[network] += analysis.class_names[int(prediction.logits.argmax())] == label
    assert len(labelled) >= 24
    assert right["teacher"] >= 0.75 * len(labelled), json.dumps(right)
    assert right["student"] >= 0.75 * len(labelled), json.dumps(right)
    assert right["plain"] >= 0.75 * len(labelled), json.dumps(right)


@pytest.mark.slow
@pytest.mark.skipif(not MODELNET40_TEST.exists(), reason="ModelNet40's test clouds are not beside this checkout")
@pytest.mark.parametrize("name", STUDENTS)
def test_the_stated_accuracy_is_measured_again(models: Models, name: str) -> None:
    data = load_point_set(MODELNET40_TEST)
    student = (models.plains if name.endswith("_plain") else models.students)[name.removesuffix("_plain")]
    measured = accuracy(predict(student, data.points), data.labels)
    stated = read_manifest()[name].metrics
    assert measured.shapes == stated["test_shapes"]
    # Another machine's arithmetic may turn a shape or two that lie on a border.
    assert np.isclose(measured.overall, stated["test_overall_accuracy"], atol=0.002)
