"""Does the page show whichever networks answered? It knows none of them by name."""

from __future__ import annotations

import base64
import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.analysis_fixture import make_analysis
from tests.browser import needs_chromium
from tests.viewer_page import choose, give, settle, viewer_page
from viz.bundle import ROLES, make_bundle
from viz.page.winners import kept_predictor
from viz.theme import DARK, LIGHT

VIEWER = Path(__file__).parents[2] / "viz" / "viewer"
THIRD = "control-seed-7"


def with_third_student(bundle: dict[str, Any]) -> dict[str, Any]:
    """A bundle with one more student, such as another run's manifest would name it."""
    label, hint = ROLES["control"]
    third = copy.deepcopy(bundle["answers"][1])
    third |= {"key": THIRD, "role": "control", "run": "seed-7", "label": label, "hint": hint, "color": "control"}
    third["top"] = [["toilet", 0.75], *third["top"][1:]]
    third["student"]["diagonal_dominance"] = 0.123
    return {**bundle, "name": "three.off", "answers": [*bundle["answers"], third]}


@pytest.mark.parametrize("script", sorted(VIEWER.glob("*.js")), ids=lambda path: path.name)
def test_no_module_spells_the_name_of_a_student(script: Path) -> None:
    assert re.findall(r"\b(?:distilled|plain)\b", script.read_text(encoding="utf-8"), re.IGNORECASE) == []


def test_an_answer_says_who_gave_it_and_how_to_show_it() -> None:
    answers = make_bundle(make_analysis(points=64, views=2))["answers"]
    assert [(answer["key"], answer["label"], answer["color"]) for answer in answers] == [
        ("teacher", "Teacher", "teacher"),
        ("distilled", "Distilled", "distilled"),
        ("plain", "Plain", "plain"),
    ]
    assert [answer["student"] is None for answer in answers] == [True, False, False]


def test_every_role_has_a_colour_in_both_themes() -> None:
    assert [role for role in ROLES if role not in LIGHT or role not in DARK] == []


def test_a_question_about_an_unknown_answer_is_not_answered_by_another_one(random_models: Any) -> None:
    points = base64.b64encode(np.zeros((8, 3), dtype="<f4").tobytes()).decode("ascii")
    ask = kept_predictor(lambda: random_models)
    answered = {
        key: ask({"student": "pointnet", "answer": key, "points": points}) for key in ("distilled", "plain", THIRD)
    }
    assert answered[THIRD] == {}
    assert sorted(answered["distilled"]) == sorted(answered["plain"]) == ["label", "probability"]


@pytest.fixture(scope="module")
def page() -> Iterator[Any]:
    bundle = make_bundle(make_analysis(points=200, views=4, name="two.off"))
    lone = make_bundle(make_analysis(points=200, views=4, plain=False, name="one.off"))
    values = {"three": with_third_student(bundle), "two": bundle, "one": lone}
    with viewer_page(values) as opened:
        yield opened


@pytest.mark.browser
class TestOnThePage:
    """A third student appears because the bundle holds it, and goes with it."""

    pytestmark = needs_chromium

    def test_it_stands_in_the_predictions_and_in_the_switch(self, page: Any) -> None:
        give(page, "three", "three.off")
        column = page.locator(f"[data-network={THIRD}]")
        assert column.locator("h4").inner_text() == "Control"
        assert column.locator(".pmv-first .pmv-label").inner_text() == "toilet"
        assert page.locator("[data-part=student-switch] button").all_inner_texts() == ["Distilled", "Plain", "Control"]

    def test_it_can_be_chosen_by_hand_by_key_and_by_address(self, page: Any) -> None:
        give(page, "three", "three.off")
        chosen = "() => window.pointmcdViewer.state.student"
        page.locator(f"[data-choice={THIRD}]").click()
        assert page.evaluate(chosen) == THIRD
        assert f"student={THIRD}" in page.evaluate("() => location.hash")
        assert "+0.123" in page.locator("[data-part=similarity-side]").inner_text()
        page.keyboard.press("s")
        assert page.evaluate(chosen) == "distilled"
        choose(page, f"student={THIRD}&color=wins")
        assert page.evaluate(chosen) == THIRD
        wanted = page.evaluate(
            "() => getComputedStyle(document.querySelector('.pmv')).getPropertyValue('--pmv-control')"
        )
        drawn = "() => getComputedStyle(document.querySelector('[data-part=card]')).getPropertyValue('--pmv-student')"
        assert page.evaluate(drawn) == wanted
        choose(page, "")

    def test_compare_shows_the_first_two(self, page: Any) -> None:
        give(page, "three", "three.off")
        choose(page, f"student={THIRD}&color=wins&compare=1")
        titles = [page.locator(f"[data-part=title-{pane}]").inner_text().split(" ")[0] for pane in ("main", "compare")]
        assert titles == ["Distilled", "Plain"]
        choose(page, "")

    def test_the_next_shape_without_it_goes_back_to_the_first_student(self, page: Any) -> None:
        give(page, "three", "three.off")
        page.locator(f"[data-choice={THIRD}]").click()
        give(page, "two", "two.off")
        assert page.evaluate("() => window.pointmcdViewer.state.student") == "distilled"
        assert page.locator(f"[data-network={THIRD}]").count() == 0

    def test_a_single_student_has_nothing_to_be_compared_with(self, page: Any) -> None:
        give(page, "one", "one.off")
        assert page.locator("[data-choice=difference]").is_disabled()
        assert page.locator("[data-tool=compare]").is_disabled()
        assert page.locator("[data-part=student-switch] button").all_inner_texts() == ["Distilled"]
        page.keyboard.press("s")
        settle(page)
        assert page.evaluate("() => window.pointmcdViewer.state.student") == "distilled"
