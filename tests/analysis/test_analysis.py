"""Is one analysis consistent with itself: shares add up, winners are seen, the same seed gives the same numbers?"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pointmcd.analysis.analyze import analyze, predict_points
from pointmcd.analysis.explain import BLOCK, alignment_shares, principal_colors
from pointmcd.analysis.export import save_arrays, summary
from pointmcd.data.labels import MODELNET40
from pointmcd.networks.encoders import ENCODERS
from pointmcd.networks.student import Student
from pointmcd.records import Analysis, CheckpointError, Comparison, Shape, ShapeError, Visibility
from pointmcd.scene.cameras import Rig, two_rings
from pointmcd.scene.visibility import visible_points
from pointmcd.tasks.classification import classification_student
from pointmcd.weights.manifest import build_network, save_weights
from pointmcd.weights.models import Models, load_models, pick_device

VIEWS, POINTS = 4, 150


def ball(points: int = 400, *, name: str = "ball.xyz") -> Shape:
    """A dented ball as a point set."""
    rng = np.random.default_rng(0)
    xyz = rng.normal(size=(points, 3))
    xyz *= (1 + 0.3 * np.sign(xyz[:, :1])) / np.linalg.norm(xyz, axis=1, keepdims=True)
    return Shape(name=name, vertices=xyz, notes=("Dropped 3 non-finite points.",))


def box() -> Shape:
    """A 1 x 1 x 2 box as a mesh."""
    corners = np.array([(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 2)], dtype=np.float64)
    quads = np.array([(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)])
    return Shape(name="box.off", vertices=corners, faces=np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]))


@pytest.fixture(scope="module")
def analysis(random_models: Models) -> Analysis:
    return analyze(ball(), random_models, views=VIEWS, points=POINTS)


@pytest.fixture(params=["student", "plain"])
def view(request: pytest.FixtureRequest, analysis: Analysis) -> Comparison:
    found = getattr(analysis, request.param)
    assert isinstance(found, Comparison)
    return found


def test_the_shares_of_a_views_points_and_the_bias_add_up_to_its_cosine(view: Comparison) -> None:
    np.testing.assert_allclose(view.alignment.sum(axis=1) + view.alignment_bias, view.cosine, atol=1e-5)


def test_only_winners_have_a_share_and_every_winner_is_seen(analysis: Analysis, view: Comparison) -> None:
    for k in range(VIEWS):
        winners = set(view.winners[k].tolist())
        assert winners <= set(np.flatnonzero(analysis.visibility.mask[k]).tolist())
        assert set(np.flatnonzero(view.alignment[k]).tolist()) <= winners


def test_a_share_is_what_the_cosine_loses_when_the_points_channels_are_taken_away(random_models: Models) -> None:
    # The slow twin: with the gate and the lengths held, take one point's channels out and measure the difference.
    student, teacher_views = random_models.students["pointnet"], torch.rand(1, 2, 512)
    generator = torch.Generator().manual_seed(0)
    points, seen = torch.rand(1, 60, 3, generator=generator), torch.rand(1, 2, 60, generator=generator) < 0.4
    with torch.inference_mode():
        output = student(points, seen)
        assert output.view_features is not None
        assert output.view_pools is not None
        assert output.winners is not None
        shares, _ = alignment_shares(
            student, output.view_features, output.view_pools, output.winners, teacher_views, points=60
        )
        weight, bias = student.alignment.folded()
        for k in range(2):
            g, v, pool, winners = (
                x[0, k] for x in (output.view_features, teacher_views, output.view_pools, output.winners)
            )
            gate, length = (g > 0).float(), g.norm() * v.norm()
            whole = (gate * (weight @ pool + bias)) @ v / length
            for point in winners.unique()[:8].tolist():
                without = (gate * (weight @ (pool * (winners != point)) + bias)) @ v / length
                assert shares[0, k, point].item() == pytest.approx((whole - without).item(), abs=1e-5)


@pytest.mark.parametrize("who", ["student", "plain"])
def test_a_winner_has_the_largest_feature_of_the_points_its_view_sees(
    random_models: Models, analysis: Analysis, who: str
) -> None:
    module = (random_models.plains if who == "plain" else random_models.students)["pointnet"]
    view = getattr(analysis, who)
    with torch.inference_mode():
        values = module.encoder(torch.from_numpy(analysis.cloud.points)[None]).values[0].numpy()
    for winners, seen in (
        *zip(view.winners, analysis.visibility.mask, strict=True), (view.global_winners, np.ones(POINTS, dtype=bool))
    ):  # fmt: skip
        np.testing.assert_allclose(values[winners, np.arange(1024)], values[seen].max(axis=0), atol=1e-5)


def test_similarity_is_the_cosine_of_student_row_and_teacher_column(analysis: Analysis, view: Comparison) -> None:
    for i in range(VIEWS):
        for j in range(VIEWS):
            a, b = view.prediction.view_features[i], analysis.teacher.view_features[j]
            assert view.similarity[i, j] == pytest.approx(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)), abs=1e-5)


def blind(visible_points: Callable[..., Visibility], *views: int) -> Callable[..., Visibility]:
    """Visibility in which some views see nothing, as with a camera inside the shape."""

    def wrapped(*arguments: Any, **keywords: Any) -> Visibility:
        seen = visible_points(*arguments, **keywords)
        mask = seen.mask.copy()
        mask[list(views)] = False
        mask[:, 5] = False
        return replace(seen, mask=mask)

    return wrapped


def test_a_view_that_sees_nothing_has_no_winners_and_no_shares(
    random_models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pointmcd.analysis import scene as module

    monkeypatch.setattr(module, "visible_points", blind(module.visible_points, 1))
    result = analyze(ball(), random_models, views=3, points=POINTS)
    assert 5 in result.unseen_points
    for who in (result.student, result.plain):
        assert who is not None
        assert (who.winners[1] == -1).all()
        assert (who.winners[[0, 2]] >= 0).all()
        assert not (who.winners == 5).any()
        assert (who.alignment[1] == 0).all()
        np.testing.assert_allclose(who.alignment.sum(axis=1) + who.alignment_bias, who.cosine, atol=1e-5)


def test_unseen_points_are_those_that_no_view_sees(analysis: Analysis) -> None:
    expected = [n for n in range(POINTS) if not any(analysis.visibility.mask[k, n] for k in range(VIEWS))]
    assert analysis.unseen_points.tolist() == expected
    assert summary(analysis)["visibility"]["unseen_points"] == len(expected)


def test_the_summary_has_exactly_the_documented_keys(analysis: Analysis) -> None:
    answer = summary(analysis)
    assert set(answer) == {
        "name", "notes", "points", "views", "visibility", "teacher", "student", "plain", "alignment", "timings_ms",
        "weights", "version", "settings", "plain_alignment", "answers", "domain",
    }  # fmt: skip
    assert set(answer["visibility"]) == {"method", "seen_fraction", "unseen_points"}
    assert set(answer["alignment"]) == {"cosine", "similarity", "diagonal_dominance", "retrieval_at_1"}
    assert set(answer["student"]) == set(answer["plain"]) == {"top5"}
    assert set(answer["teacher"]) == {"top5", "heat_on_background"}
    assert set(answer["weights"]) == {"teacher", "student", "plain"}
    assert json.loads(json.dumps(answer, allow_nan=False)) == answer


def test_the_summary_says_what_the_arrays_say(analysis: Analysis) -> None:
    answer = summary(analysis)
    assert (answer["name"], answer["points"], answer["views"]) == ("ball.xyz", POINTS, VIEWS)
    assert answer["notes"] == ["Dropped 3 non-finite points.", "Kept 150 of 400 points."]
    assert answer["visibility"]["seen_fraction"] == pytest.approx(analysis.visibility.mask.mean(axis=1), abs=1e-6)
    assert answer["alignment"]["cosine"] == pytest.approx(np.diagonal(analysis.student.similarity), abs=1e-6)
    assert np.array(answer["alignment"]["similarity"]).shape == (VIEWS, VIEWS)
    for who, prediction in (("teacher", analysis.teacher), ("student", analysis.student.prediction)):
        top = answer[who]["top5"]
        assert len(top) == 5
        powers = np.exp(prediction.logits.astype(np.float64))
        probabilities = dict(zip(MODELNET40, powers / powers.sum(), strict=True))
        assert [label for label, _ in top] == sorted(probabilities, key=probabilities.__getitem__, reverse=True)[:5]
        assert [p for _, p in top] == pytest.approx([probabilities[label] for label, _ in top], abs=1e-5)


def test_the_saved_arrays_have_the_documented_names_shapes_and_types(analysis: Analysis, tmp_path: Path) -> None:
    save_arrays(analysis, tmp_path / "out.npz")
    with np.load(tmp_path / "out.npz", allow_pickle=False) as file:
        arrays = dict(file)
    documented = {
        "points": (POINTS, 3), "visibility": (VIEWS, POINTS), "pixels": (VIEWS, POINTS, 2),
        "images": (VIEWS, 224, 224, 3), "depth": (VIEWS, 224, 224), "teacher_view_features": (VIEWS, 512),
        "student_view_features": (VIEWS, 512), "similarity": (VIEWS, VIEWS), "winners": (VIEWS, 1024),
        "teacher_logits": (40,), "student_logits": (40,), "plain_logits": (40,), "heat_maps": (VIEWS, 6, 6),
        "alignment": (VIEWS, POINTS), "plain_winners": (VIEWS, 1024), "global_winners": (1024,),
        "alignment_bias": (VIEWS,),
    }  # fmt: skip
    assert {name: arrays[name].shape for name in documented} == documented
    assert arrays["visibility"].dtype == bool
    assert arrays["images"].dtype == np.uint8
    assert np.issubdtype(arrays["winners"].dtype, np.integer)
    assert np.array_equal(arrays["winners"], analysis.student.winners)
    assert np.array_equal(arrays["plain_logits"], analysis.plain.prediction.logits if analysis.plain else None)
    assert arrays["class_names"].tolist() == list(MODELNET40)


def test_a_file_is_written_under_the_very_name_that_was_asked_for(analysis: Analysis, tmp_path: Path) -> None:
    save_arrays(analysis, tmp_path / "no ending")
    assert [path.name for path in tmp_path.iterdir()] == ["no ending"]


def numbers(result: Analysis) -> list[np.ndarray]:
    assert result.plain is not None
    return [
        result.cloud.points, result.renders.images, result.visibility.mask, result.teacher.logits, result.heat_maps,
        result.student.prediction.logits, result.student.alignment, result.student.winners,
        result.student.feature_colors, result.plain.similarity,
    ]  # fmt: skip


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others(
    random_models: Models, analysis: Analysis
) -> None:
    again = analyze(ball(), random_models, views=VIEWS, points=POINTS)
    other = analyze(ball(), random_models, views=VIEWS, points=POINTS, seed=1)
    assert all(np.array_equal(a, b) for a, b in zip(numbers(analysis), numbers(again), strict=True))
    assert not np.array_equal(analysis.cloud.points, other.cloud.points)


def test_the_students_need_no_images_and_no_masks_for_their_answer(random_models: Models, analysis: Analysis) -> None:
    with torch.inference_mode():
        alone = random_models.students["pointnet"](torch.from_numpy(analysis.cloud.points)[None])
    np.testing.assert_allclose(analysis.student.prediction.logits, alone.logits[0].numpy(), atol=1e-5)


def test_the_teacher_saw_the_very_images_of_the_record(random_models: Models, analysis: Analysis) -> None:
    assert analysis.renders.source == "points"
    images = torch.from_numpy(analysis.renders.images).permute(0, 3, 1, 2)[None].float() / 255
    with torch.inference_mode():
        taught = random_models.teacher(images)
    np.testing.assert_allclose(analysis.teacher.logits, taught.logits[0].numpy(), atol=1e-5)


def test_a_mesh_is_seen_by_ray_casting_and_a_point_set_by_hidden_point_removal(
    random_models: Models, analysis: Analysis
) -> None:
    assert analysis.visibility.method == "hpr"
    meshed = analyze(box(), random_models, views=2, points=80)
    assert meshed.visibility.method == "raycast"
    assert meshed.renders.source == "points"  # what the teacher was trained on


@pytest.mark.parametrize("count", [3, 7])
def test_a_shape_of_a_few_points_is_analysed(random_models: Models, count: int) -> None:
    result = analyze(ball(count), random_models, views=2)
    assert result.visibility.mask.shape == (2, count)
    assert np.isfinite(result.student.feature_colors).all()


def test_a_rig_places_the_cameras_of_an_analysis(random_models: Models) -> None:
    result = analyze(ball(), random_models, rig=Rig.two_rings(), points=50)
    assert np.array_equal(result.cameras.world_to_camera, two_rings().world_to_camera)
    assert result.teacher.view_features.shape[0] == 16


def test_a_rig_that_stands_near_is_warned_of(random_models: Models) -> None:
    far = Rig.ring(2, distance=3.0)
    near = Rig.of_matrices(Rig.ring(2, distance=1.5).cameras().world_to_camera)
    notes = [analyze(ball(), random_models, rig=rig, visibility="hpr", points=50).notes for rig in (near, far)]
    assert any("nearer than 2 radii" in note for note in notes[0])
    assert not any("nearer than 2 radii" in note for note in notes[1])


def test_one_view_is_a_rig_too(random_models: Models) -> None:
    answer = summary(analyze(ball(), random_models, views=1, points=50))
    assert answer["alignment"]["diagonal_dominance"] == 0
    assert answer["alignment"]["retrieval_at_1"] == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"views": 0}, "1 to 64 views"),
        ({"views": 65}, "1 to 64 views"),
        ({"views": 10**12}, "1 to 64 views"),
        ({"views": -3}, "not -3"),
        ({"points": 10**12}, "At most 50,000 points"),
        ({"points": 2}, "at least 3"),
        ({"elevation_deg": 91.0}, "between -90 and 90"),
        ({"elevation_deg": float("nan")}, "between -90 and 90"),
        ({"distance": 1.0}, "1 to 100 radii away"),
        ({"fov_deg": 180.0}, "between 1 and 170"),
        ({"visibility": "raycast"}, "needs a mesh"),
        ({"visibility": "xray"}, "one of auto, raycast, hpr, zbuffer"),
        ({"seed": -1}, "seed is 0 or more, not -1"),
    ],
)
def test_a_setting_out_of_its_range_is_a_sentence_for_the_user(
    random_models: Models, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ShapeError, match=message):
        analyze(ball(), random_models, **settings)


def test_a_student_without_weights_is_refused_and_the_others_are_listed(random_models: Models) -> None:
    with pytest.raises(CheckpointError, match=r"no weights for 'dgcnn'; there are some for: pointnet\."):
        analyze(ball(), random_models, student="dgcnn")


def test_without_a_plain_student_there_is_no_plain_answer(random_models: Models, tmp_path: Path) -> None:
    result = analyze(ball(), replace(random_models, plains={}), views=2, points=50)
    assert result.plain is None
    assert summary(result)["plain"] is None
    assert set(summary(result)["weights"]) == {"teacher", "student"}
    save_arrays(result, tmp_path / "out.npz")
    with np.load(tmp_path / "out.npz") as arrays:
        assert not [name for name in arrays if name.startswith("plain")]


def test_every_stage_is_timed(analysis: Analysis) -> None:
    assert list(analysis.timings_ms) == STAGES
    assert all(time >= 0 for time in analysis.timings_ms.values())


def test_a_stage_is_timed_until_the_device_has_done_it(random_models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[torch.device] = []
    monkeypatch.setattr("pointmcd.analysis.stages.wait_for", waited.append)
    result = analyze(ball(), random_models, views=1, points=50)
    assert waited == [random_models.device] * len(result.timings_ms)


def test_principal_colours_follow_the_directions_of_most_variance() -> None:
    values = torch.zeros(200, 20)
    values[:, 4] = torch.linspace(-3, 3, 200)
    values[:, 9] = torch.rand(200, generator=torch.Generator().manual_seed(0))
    colors = principal_colors(values)
    assert colors.shape == (200, 3)
    assert colors.min() >= 0
    assert colors.max() <= 1
    assert abs(np.corrcoef(colors[:, 0], values[:, 4])[0, 1]) > 0.99
    assert abs(np.corrcoef(colors[:, 1], values[:, 9])[0, 1]) > 0.99


def test_equal_features_get_equal_colours_that_are_finite() -> None:
    colors = principal_colors(torch.full((10, 8), 3.0))
    assert torch.isfinite(colors).all()
    assert len(colors.unique(dim=0)) == 1


def test_colours_of_many_points_are_those_that_all_points_would_decide() -> None:
    generator = torch.Generator().manual_seed(0)
    spread = torch.tensor([9.0, 5.0, 3.0] + [0.3] * 29)
    values = torch.rand(3 * BLOCK + 5, 32, generator=generator) * spread
    colors = principal_colors(values)
    centred = values - values.mean(dim=0)
    _, _, directions = torch.linalg.svd(centred, full_matrices=False)
    for which, component in enumerate((centred @ directions[:3].T).T):
        assert abs(torch.corrcoef(torch.stack([component, colors[:, which]]))[0, 1]) > 0.99


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds no teacher with a student"):
        load_models(folder=tmp_path)


def test_networks_of_different_classes_are_refused(tmp_path: Path) -> None:
    for role, settings in {
        "teacher": {"kind": "teacher", "backbone": "slim_resnet18", "input_size": 96},
        "distilled": {"kind": "student", "encoder": "pointnet", "classes": 3},
    }.items():
        save_weights(
            build_network(settings), tmp_path, network="any", role=role, settings=settings, training={}, metrics={},
            licence="",
        )  # fmt: skip
    with pytest.raises(CheckpointError, match="name different classes"):
        load_models(folder=tmp_path)


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(CheckpointError, match="no device 'gpu'; choose auto, cpu or cuda"):
        pick_device("gpu")


def test_a_device_that_is_not_there_is_refused() -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    with pytest.raises(CheckpointError, match="no CUDA device"):
        pick_device("cuda")
    assert pick_device("auto").type == "cpu"


def test_all_points_kept_give_the_analysiss_own_prediction(analysis: Analysis, random_models: Models) -> None:
    answers = {"student": analysis.student.prediction, "plain": analysis.plain.prediction}
    for who, prediction in answers.items():
        alone = predict_points(analysis.cloud.points, random_models, plain=who == "plain")
        np.testing.assert_allclose(alone, prediction.probabilities, atol=1e-5)


@pytest.mark.parametrize("points", [np.zeros((2, 3)), np.full((5, 3), np.nan)])
def test_points_that_no_student_reads_are_refused(points: np.ndarray, random_models: Models) -> None:
    with pytest.raises(ShapeError, match="A student reads 3 to"):
        predict_points(points.astype(np.float32), random_models)


STAGES = ["sample", "render", "visibility", "teacher", "student", "plain", "colors", "explain"]


@pytest.fixture(scope="module")
def two_students(random_models: Models) -> Models:
    """The random networks, and the same student once more under another name with weights of its own."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        other = build_network({"kind": "student", "encoder": "pointnet", "isolate_views": False}).eval()
    assert isinstance(other, Student)
    return replace(
        random_models,
        students={**random_models.students, "dgcnn": other},
        weights={**random_models.weights, "dgcnn": "other"},
    )


MESH = box()
SETTINGS = {"views": VIEWS, "points": POINTS}
OTHER_VIEWS = ["render", "visibility", "teacher", "student", "plain", "explain"]
# What a visitor can change, and the stages that this computes anew.
CHANGES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "nothing": ({}, []),
    "the method that was meant": ({"visibility": "raycast"}, []),
    "visibility": ({"visibility": "zbuffer"}, ["visibility", "student", "plain", "explain"]),
    "student": ({"student": "dgcnn"}, ["student", "colors", "explain"]),
    "student and visibility": (
        {"student": "dgcnn", "visibility": "hpr"},
        ["visibility", "student", "colors", "explain"],
    ),
    "views": ({"views": 3}, OTHER_VIEWS),
    "elevation": ({"elevation_deg": -10.0}, OTHER_VIEWS),
    "distance": ({"distance": 2.5}, OTHER_VIEWS),
    "field of view": ({"fov_deg": 50.0}, OTHER_VIEWS),
    "points": ({"points": 100}, STAGES),
    "seed": ({"seed": 1}, STAGES),
}


@pytest.mark.parametrize(("changed", "computed"), CHANGES.values(), ids=CHANGES)
def test_an_analysis_after_another_computes_what_changed_and_gives_the_numbers_of_a_fresh_one(
    two_students: Models, changed: dict[str, Any], computed: list[str]
) -> None:
    before = analyze(MESH, two_students, **SETTINGS)
    after = analyze(MESH, two_students, **(SETTINGS | changed), previous=before)
    assert list(after.timings_ms) == computed
    assert_same_numbers(after, analyze(MESH, two_students, **(SETTINGS | changed)))


def assert_same_numbers(one: Any, other: Any, *, path: str = "analysis") -> None:
    """Compare two records field by field, to the last bit."""
    if isinstance(one, np.ndarray):
        assert np.array_equal(one, other), path
    elif is_dataclass(one):
        for part in fields(one):
            if part.name not in ("timings_ms", "kept"):
                assert_same_numbers(getattr(one, part.name), getattr(other, part.name), path=f"{path}.{part.name}")
    elif isinstance(one, tuple):
        assert len(one) == len(other), path
        for place, pair in enumerate(zip(one, other, strict=True)):
            assert_same_numbers(*pair, path=f"{path}[{place}]")
    else:
        assert one == other, path


def test_what_is_kept_are_the_very_arrays(two_students: Models) -> None:
    before = analyze(MESH, two_students, **SETTINGS)
    again = analyze(MESH, two_students, **SETTINGS, previous=before)
    for part in ("cloud", "cameras", "renders", "visibility", "teacher", "heat_maps", "student", "plain"):
        assert getattr(again, part) is getattr(before, part), part
    other = analyze(MESH, two_students, **SETTINGS, student="dgcnn", previous=before)
    assert other.renders is before.renders
    assert other.visibility is before.visibility
    assert other.teacher is before.teacher
    assert other.student is not before.student
    turned = analyze(MESH, two_students, **SETTINGS, visibility="hpr", previous=before)
    assert turned.teacher is before.teacher
    assert turned.student.feature_colors is before.student.feature_colors
    assert turned.student.winners is not before.student.winners


def test_of_another_shape_nothing_is_kept_though_its_points_are_the_same(random_models: Models) -> None:
    before = analyze(box(), random_models, **SETTINGS)
    after = analyze(box(), random_models, **SETTINGS, previous=before)
    assert list(after.timings_ms) == STAGES


def test_of_a_record_made_by_hand_nothing_is_kept(random_models: Models) -> None:
    by_hand = replace(analyze(MESH, random_models, **SETTINGS), kept={})
    assert list(analyze(MESH, random_models, **SETTINGS, previous=by_hand).timings_ms) == STAGES


@pytest.mark.parametrize(
    ("weights", "computed"),
    [("teacher", ["teacher", "explain"]), ("pointnet", ["student", "plain", "colors", "explain"]),
     ("pointnet_plain", ["student", "plain", "colors", "explain"])],
)  # fmt: skip
def test_of_other_weights_no_answer_is_kept(random_models: Models, weights: str, computed: list[str]) -> None:
    before = analyze(MESH, random_models, **SETTINGS)
    retrained = replace(random_models, weights={**random_models.weights, weights: "retrained"})
    assert list(analyze(MESH, retrained, **SETTINGS, previous=before).timings_ms) == computed


def test_a_plain_student_that_came_or_went_is_answered_for_or_left_out(random_models: Models) -> None:
    alone = replace(random_models, plains={})
    before = analyze(MESH, random_models, **SETTINGS)
    without = analyze(MESH, alone, **SETTINGS, previous=before)
    assert without.plain is None
    assert without.student.prediction.logits.tobytes() == before.student.prediction.logits.tobytes()
    again = analyze(MESH, random_models, **SETTINGS, previous=without)
    # Feature colours are one map for both, so both are asked anew.
    assert list(again.timings_ms) == ["student", "plain", "colors", "explain"]
    assert_same_numbers(again, before)


def test_a_remark_on_near_cameras_follows_the_visibility_that_is_asked_for(random_models: Models) -> None:
    near = {**SETTINGS, "distance": 1.5}
    before = analyze(MESH, random_models, **near)
    after = analyze(MESH, random_models, **near, visibility="hpr", previous=before)
    assert len(after.notes) == len(before.notes) + 1
    assert analyze(MESH, random_models, **near, previous=after).notes == before.notes


@pytest.mark.parametrize("shape", [ball(), MESH], ids=["points", "mesh"])
def test_automatic_visibility_is_the_one_that_visible_points_would_take(random_models: Models, shape: Shape) -> None:
    result = analyze(shape, random_models, **SETTINGS)
    assert result.visibility.method == visible_points(result.cloud, result.cameras).method


def test_a_setting_that_is_refused_is_refused_after_an_analysis_too(random_models: Models) -> None:
    before = analyze(ball(), random_models, **SETTINGS)
    with pytest.raises(ShapeError, match="one of auto, raycast"):
        analyze(ball(), random_models, **SETTINGS, visibility="xray", previous=before)


@pytest.mark.parametrize("encoder", list(ENCODERS))
def test_a_student_of_every_encoder_is_analysed(random_models: Models, encoder: str) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        student = classification_student(encoder).eval()
    models = replace(
        random_models, students={encoder: student}, plains={}, weights=random_models.weights | {encoder: "x"}
    )
    result = analyze(ball(), models, student=encoder, views=VIEWS, points=300)
    answer = result.student
    assert answer.feature_colors.shape == (300, 3)
    assert len(np.unique(answer.feature_colors, axis=0)) > 10
    assert np.isfinite(answer.alignment).all()
    np.testing.assert_allclose(answer.alignment.sum(axis=1) + answer.alignment_bias, answer.cosine, atol=1e-4)
    seen = np.take_along_axis(result.visibility.mask, answer.winners.clip(min=0), axis=1)
    assert seen[answer.winners >= 0].all()
