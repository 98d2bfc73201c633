"""Does the bundle say what the analysis says, in few enough bytes?"""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pointmcd.analysis.findings import DOMAIN_RULE, domain_note
from pointmcd.records import Analysis
from pointmcd.scene.render import render_points
from tests.analysis_fixture import edited, make_analysis
from viz.bundle import make_bundle


@pytest.fixture(scope="module")
def analysis() -> Analysis:
    return make_analysis(points=500, views=5)


@pytest.fixture(scope="module")
def bundle(analysis: Analysis) -> dict[str, Any]:
    return json.loads(json.dumps(make_bundle(analysis)))


def decode(packed: dict[str, Any]) -> np.ndarray:
    values = np.frombuffer(base64.b64decode(packed["data"]), dtype=np.dtype(packed["dtype"]).newbyteorder("<"))
    return values.reshape(packed["shape"])


def sparse_row(student: dict[str, Any], view: int, field: str, count: int) -> np.ndarray:
    rows = decode(student["rows"])
    chosen = slice(rows[view], rows[view + 1])
    row = np.zeros(count)
    row[decode(student["index"])[chosen]] = decode(student[field])[chosen]
    return row


def answers_of(bundle: dict[str, Any]) -> dict[str, Any]:
    """The bundle's answers by their keys."""
    return {answer["key"]: answer for answer in bundle["answers"]}


def with_first_answers(analysis: Analysis, *, teacher: int, distilled: int, plain: int, sure: float) -> Analysis:
    def logits(label: int) -> np.ndarray:
        classes = len(analysis.class_names)
        probabilities = np.full(classes, (1 - sure) / (classes - 1), dtype=np.float32)
        probabilities[label] = sure
        return np.log(probabilities)

    return edited(analysis, logits={"teacher": logits(teacher), "distilled": logits(distilled), "plain": logits(plain)})


def test_the_mask_survives_bit_by_bit(analysis: Analysis, bundle: dict[str, Any]) -> None:
    bits = np.unpackbits(decode(bundle["visibility"]["mask"]), axis=1, bitorder="little")[:, :500]
    np.testing.assert_array_equal(bits.astype(bool), analysis.visibility.mask)
    assert bundle["visibility"]["seen"] == analysis.visibility.mask.sum(axis=1).tolist()
    assert bundle["visibility"]["unseen"] == len(analysis.unseen_points)


def test_the_bundles_points_and_cameras_give_the_analysis_pixels(analysis: Analysis, bundle: dict[str, Any]) -> None:
    points = decode(bundle["points"])
    for view, matrix in enumerate(decode(bundle["cameras"]["world_to_camera"])):
        on_image = (points @ matrix[:, :3].T + matrix[:, 3]) @ decode(bundle["cameras"]["intrinsics"]).T
        np.testing.assert_allclose(on_image[:, :2] / on_image[:, 2:], analysis.visibility.pixels[view], atol=0.01)


def test_the_images_are_exactly_what_the_teacher_saw(analysis: Analysis, bundle: dict[str, Any]) -> None:
    for source, image in zip(bundle["images"], analysis.renders.images, strict=True):
        kind, data = source.split(",")
        assert kind == "data:image/webp;base64"
        shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("L"))
        np.testing.assert_array_equal(shown, image[..., 0])


def test_winners_are_counted_per_view_and_over_all_points(analysis: Analysis, bundle: dict[str, Any]) -> None:
    for name, student in (("distilled", analysis.student), ("plain", analysis.plain)):
        assert student is not None
        packed = answers_of(bundle)[name]["student"]
        for view in range(5):
            counted = np.bincount(student.winners[view][student.winners[view] >= 0], minlength=500)
            np.testing.assert_array_equal(sparse_row(packed, view, "wins", 500), counted)
        np.testing.assert_array_equal(decode(packed["global_wins"]), np.bincount(student.global_winners, minlength=500))
        blind = np.isin(student.global_winners, analysis.unseen_points).sum()
        assert packed["blind_channels"] == blind
        assert packed["global_channels"] == student.winners.shape[1]


def test_alignment_keeps_three_digits_and_its_zeros(analysis: Analysis, bundle: dict[str, Any]) -> None:
    for view in range(5):
        row = sparse_row(answers_of(bundle)["distilled"]["student"], view, "alignment", 500)
        np.testing.assert_allclose(row, analysis.student.alignment[view], rtol=1e-3, atol=1e-6)
        np.testing.assert_array_equal(row == 0, analysis.student.alignment[view] == 0)


def test_margins_are_within_a_hundredth_and_in_front_stays_in_front(analysis: Analysis, bundle: dict[str, Any]) -> None:
    stored = decode(bundle["visibility"]["margin"]).astype(float)
    margin = bundle["visibility"]["largest_margin"] * (stored / 255) ** 2
    np.testing.assert_allclose(margin, analysis.visibility.margin.clip(0, 2), atol=0.008)
    assert (margin[analysis.visibility.margin == 0] == 0).all()


def test_a_view_that_sees_nothing_has_no_winners() -> None:
    analysis = make_analysis(points=100, views=3)
    winners = analysis.student.winners.copy()
    winners[1] = -1
    alignment = analysis.student.alignment.copy()
    alignment[1] = 0
    blind = edited(analysis, pooling={"winners": winners}, alignment=alignment)
    packed = make_bundle(blind)["answers"][1]["student"]
    rows = decode(packed["rows"])
    assert rows[2] == rows[1]


def test_the_top_five_are_sorted_probabilities_with_their_margin(analysis: Analysis, bundle: dict[str, Any]) -> None:
    top = answers_of(bundle)["distilled"]["top"]
    expected = np.sort(analysis.student.prediction.probabilities)[::-1][:5]
    np.testing.assert_allclose([p for _, p in top], expected, atol=1e-5)
    assert top[0][0] == analysis.class_names[int(analysis.student.prediction.logits.argmax())]
    assert answers_of(bundle)["distilled"]["margin"] == pytest.approx(float(expected[0] - expected[1]), abs=2e-5)


def test_without_plain_weights_nothing_is_said_of_a_plain_student() -> None:
    bundle = make_bundle(make_analysis(points=64, views=2, plain=False))
    assert list(answers_of(bundle)) == ["teacher", "distilled"]


def test_the_bundle_of_2048_points_and_16_views_is_under_300_kilobytes() -> None:
    analysis = make_analysis(points=2048, views=16, colors=True)
    analysis = edited(analysis, renders=render_points(analysis.cloud.points, analysis.cameras))
    assert len(json.dumps(make_bundle(analysis))) < 300_000


def test_a_thinned_cloud_keeps_its_winners_and_says_so() -> None:
    analysis = make_analysis(points=900, views=4, plain=False)
    bundle = make_bundle(analysis, points_drawn=700)
    drawn = decode(bundle["points"])
    assert len(drawn) == 700
    assert bundle["total_points"] == 900
    assert "The viewer draws 700 of 900 points; all counts are of all points." in bundle["notes"]
    won = analysis.student.winners[analysis.student.winners >= 0]
    everywhere = {tuple(point) for point in drawn}
    assert all(tuple(analysis.cloud.points[n]) in everywhere for n in won)
    assert bundle["visibility"]["seen"] == analysis.visibility.mask.sum(axis=1).tolist()
    for view in range(4):
        total = sparse_row(answers_of(bundle)["distilled"]["student"], view, "wins", 700).sum()
        assert total == (analysis.student.winners[view] >= 0).sum()


def test_a_cloud_thinned_below_its_winners_keeps_the_strongest() -> None:
    analysis = make_analysis(points=300, views=4)
    bundle = make_bundle(analysis, points_drawn=10)
    strongest = np.bincount(analysis.student.global_winners, minlength=300).argmax()
    assert tuple(analysis.cloud.points[strongest]) in {tuple(point) for point in decode(bundle["points"])}


@pytest.mark.parametrize("points_drawn", [0, 50_001])
def test_an_impossible_number_of_drawn_points_is_refused(points_drawn: int) -> None:
    with pytest.raises(ValueError, match="points_drawn is 1 to 50,000"):
        make_bundle(make_analysis(points=64, views=2), points_drawn=points_drawn)


def test_a_users_file_name_is_data_and_stays_as_it_is() -> None:
    name = "${alert(1)}<script>alert(2)</script>.ply"
    assert make_bundle(make_analysis(points=64, views=2, name=name))["name"] == name


def test_agreement_with_confidence_needs_no_warning(analysis: Analysis) -> None:
    assert domain_note(with_first_answers(analysis, teacher=8, distilled=8, plain=8, sure=0.9)) is None


@pytest.mark.parametrize("answers", [(33, 8, 8), (8, 33, 8), (8, 8, 33)])
def test_one_dissenting_network_is_worth_a_warning(analysis: Analysis, answers: tuple[int, int, int]) -> None:
    teacher, distilled, plain = answers
    note = domain_note(with_first_answers(analysis, teacher=teacher, distilled=distilled, plain=plain, sure=0.9))
    assert note == "Handle with care: the networks disagree."


def test_low_confidence_is_named_with_its_number(analysis: Analysis) -> None:
    note = domain_note(with_first_answers(analysis, teacher=8, distilled=8, plain=8, sure=0.31))
    assert note == "Handle with care: the distilled student is only 31 % sure."
    assert "less than 50 % probability" in DOMAIN_RULE
