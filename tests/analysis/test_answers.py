"""Does an analysis carry every network that there is, each under a name of its own, into all that it is written to?"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pointmcd.__main__ import _as_text
from pointmcd.analysis.analyze import analyze
from pointmcd.analysis.explain import cell_shares
from pointmcd.analysis.export import save_arrays, summary
from pointmcd.analysis.findings import blind_channels, margin, top, wins
from pointmcd.records import Analysis, Answer, CheckpointError, PartScores, Shape
from pointmcd.tasks.classification import classification_student
from pointmcd.weights.models import Models, PointNetwork
from tests.analysis_fixture import edited, make_analysis
from viz.bundle import make_bundle
from viz.figures import overview

VIEWS, POINTS = 3, 120


def ball() -> Shape:
    xyz = np.random.default_rng(0).normal(size=(300, 3))
    return Shape("ball.xyz", xyz / np.linalg.norm(xyz, axis=1, keepdims=True))


@pytest.fixture(scope="module")
def models(random_models: Models) -> Models:
    """The random networks, a control in two runs and the user's own."""
    modules = [classification_student("pointnet").eval() for _ in range(3)]
    return replace(
        random_models,
        others=(
            PointNetwork(modules[0], "pointnet", "control", "c" * 64, run="Seed 0"),
            PointNetwork(modules[1], "pointnet", "control", "d" * 64, run="seed_1"),
            PointNetwork(modules[2], "pointnet", "own", "e" * 64),
            PointNetwork(modules[2], "dgcnn", "own", "f" * 64),  # of another encoder: not asked for
        ),
    )


@pytest.fixture(scope="module")
def analysis(models: Models) -> Analysis:
    return analyze(ball(), models, views=VIEWS, points=POINTS)


KEYS = ("teacher", "distilled", "plain", "control-seed-0", "control-seed_1", "own")


def test_every_network_answers_under_its_role_or_where_that_is_shared_its_role_and_run(analysis: Analysis) -> None:
    assert analysis.keys == KEYS
    assert [found.prediction for found in analysis.comparisons] == list(analysis.answers[1:])


def test_roles_are_found_by_their_names(analysis: Analysis) -> None:
    assert analysis.teacher is analysis.answers[0]
    assert analysis.student.prediction is analysis.answers[1]
    assert analysis.plain is not None
    assert analysis.plain.prediction is analysis.answers[2]
    assert analysis.comparison_of(analysis.teacher) is None


def test_json_lists_every_answer_with_its_place_in_the_comparison(analysis: Analysis) -> None:
    told = summary(analysis)
    assert tuple(answer["key"] for answer in told["answers"]) == KEYS
    assert [answer["weights"] for answer in told["answers"]] == [answer.weights for answer in analysis.answers]
    assert told["answers"][1]["top5"] == told["student"]["top5"]
    assert told["answers"][2]["alignment"] == told["plain_alignment"]
    assert "alignment" not in told["answers"][0]
    assert json.loads(json.dumps(told, allow_nan=False)) == told


def test_npz_holds_every_answer_and_the_names_of_before(analysis: Analysis, tmp_path: Path) -> None:
    save_arrays(analysis, tmp_path / "out.npz")
    with np.load(tmp_path / "out.npz") as arrays:
        assert np.array_equal(arrays["student_logits"], analysis.student.prediction.logits)
        assert np.array_equal(arrays["winners"], analysis.student.winners)
        for key, answer in zip(KEYS[2:], analysis.answers[2:], strict=True):
            assert np.array_equal(arrays[f"{key}_logits"], answer.logits)
            assert arrays[f"{key}_similarity"].shape == (VIEWS, VIEWS)


def test_text_and_figure_name_every_answer(analysis: Analysis) -> None:
    text = _as_text(summary(analysis))
    for line in (
        "Teacher:",
        "Distilled student:",
        "Plain student:",
        "Control Seed 0:",
        "Control seed_1:",
        "Own weights:",
    ):
        assert f"\n{line} " in text
    (axes,) = [axes for axes in overview(analysis).axes if axes.get_title() == "Predictions"]
    assert tuple(label.get_text() for label in axes.get_legend().get_texts()) == KEYS


@pytest.mark.parametrize("place", range(1, len(KEYS)))
def test_a_cell_of_every_answers_matrix_can_be_explained(analysis: Analysis, models: Models, place: int) -> None:
    shares, bias = cell_shares(analysis, models, row=2, column=1, key=KEYS[place])
    assert shares.sum() + bias == pytest.approx(analysis.comparisons[place - 1].similarity[2, 1], abs=1e-5)


@pytest.mark.parametrize("key", ["teacher", "nobody"])
def test_a_cell_of_no_students_matrix_is_refused(analysis: Analysis, models: Models, key: str) -> None:
    with pytest.raises(CheckpointError, match=f"no student '{key}'"):
        cell_shares(analysis, models, row=0, column=0, key=key)


def test_a_network_that_joins_changes_no_number_of_the_others_but_their_shared_colours(
    analysis: Analysis, random_models: Models
) -> None:
    alone = analyze(ball(), random_models, views=VIEWS, points=POINTS)
    after = analyze(ball(), random_models, views=VIEWS, points=POINTS, previous=analysis)
    for found, again, kept in zip(alone.comparisons, analysis.comparisons, after.comparisons, strict=False):
        assert np.array_equal(found.similarity, again.similarity)
        assert np.array_equal(found.winners, again.winners)
        assert np.array_equal(found.feature_colors, kept.feature_colors)


def test_parts_are_no_classes() -> None:
    nothing = np.zeros((1, 1), dtype=np.float32)
    answer = Answer("pointnet2", "distilled", "", PartScores(nothing), nothing[0], nothing, task="part_segmentation")
    with pytest.raises(AssertionError, match="scores no classes"):
        _ = answer.probabilities


def test_the_likeliest_come_first_and_of_equals_the_one_named_first() -> None:
    analysis = make_analysis(points=64, views=2)
    logits = np.log(np.array([0.1, 0.35, 0.35, 0.2], dtype=np.float32))
    few = edited(analysis, class_names=("a", "b", "c", "d"), logits={"teacher": logits})
    assert [name for name, _ in top(few.teacher, few.class_names, count=3)] == ["b", "c", "d"]
    assert margin(few.teacher) == pytest.approx(0.0, abs=1e-6)


def test_wins_count_channels_and_leave_out_views_that_saw_nothing() -> None:
    assert wins(np.array([[0, 2, 2], [-1, -1, -1], [3, 2, 0]]), points=5).tolist() == [2, 0, 3, 1, 0]


def test_json_and_bundle_tell_the_same_blind_channels_and_the_same_warning() -> None:
    analysis = make_analysis(points=200, views=2)
    told, bundle = summary(analysis), make_bundle(analysis)
    unseen = set(analysis.unseen_points.tolist())
    expected = sum(int(winner) in unseen for winner in analysis.student.global_winners)
    assert expected > 0
    assert blind_channels(analysis, analysis.student.pooling) == expected
    assert told["answers"][1]["blind_channels"] == expected
    assert told["domain"] == bundle["domain"]
