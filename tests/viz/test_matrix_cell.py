"""Does a cell of the similarity matrix lead to the points that made its cosine, on the server and on the page?"""

from __future__ import annotations

import base64
import gc
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pointmcd.analysis.analyze import analyze
from pointmcd.analysis.explain import cell_shares
from pointmcd.records import Analysis, CheckpointError, Shape, ShapeError
from pointmcd.weights.models import Models
from tests.analysis_fixture import edited
from tests.browser import needs_chromium
from tests.viewer_page import choose, give, settle, viewer_page
from tests.viz.test_viewer_browser import colors_on_screen
from viz.bundle import make_bundle
from viz.cells import Cells

VIEWS, POINTS = 4, 150


def ball(name: str, views: int, models: Models) -> Analysis:
    points = np.random.default_rng(len(name)).normal(size=(400, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return analyze(Shape(name=name, vertices=points), models, views=views, points=POINTS)


@pytest.fixture(scope="module")
def analysis(random_models: Models) -> Analysis:
    return ball("ball.xyz", VIEWS, random_models)


@pytest.mark.parametrize("plain", [False, True])
def test_the_shares_of_every_cell_and_the_bias_add_up_to_its_cosine(
    analysis: Analysis, random_models: Models, plain: bool
) -> None:
    answer = analysis.plain if plain else analysis.student
    assert answer is not None
    for row in range(VIEWS):
        for column in range(VIEWS):
            shares, bias = cell_shares(analysis, random_models, row=row, column=column, plain=plain)
            assert shares.sum() + bias == pytest.approx(answer.similarity[row, column], abs=1e-5)
            assert set(np.flatnonzero(shares)) <= set(answer.winners[row])


def test_on_the_diagonal_they_are_the_alignment(analysis: Analysis, random_models: Models) -> None:
    for view in range(VIEWS):
        shares, bias = cell_shares(analysis, random_models, row=view, column=view)
        np.testing.assert_allclose(shares, analysis.student.alignment[view], atol=1e-6)
        assert bias == pytest.approx(analysis.student.alignment_bias[view], abs=1e-6)


@pytest.mark.parametrize(("row", "column"), [(-1, 0), (0, VIEWS), (VIEWS, 0)])
def test_a_view_that_is_not_there_is_named(analysis: Analysis, random_models: Models, row: int, column: int) -> None:
    with pytest.raises(ShapeError, match=f"0 to {VIEWS - 1}, not {row} and {column}"):
        cell_shares(analysis, random_models, row=row, column=column)


def test_other_weights_do_not_answer_for_an_analysis(analysis: Analysis, random_models: Models) -> None:
    others = replace(random_models, weights={**random_models.weights, "pointnet": "0" * 64})
    with pytest.raises(CheckpointError, match="other weights"):
        cell_shares(analysis, others, row=0, column=1)


@pytest.fixture(scope="module")
def cells(random_models: Models) -> Cells:
    return Cells(lambda: random_models)


def test_an_answer_holds_the_shares_of_the_points_that_the_page_draws(
    analysis: Analysis, random_models: Models, cells: Cells
) -> None:
    question = {"ticket": cells.ticket_for(analysis), "plain": True, "row": 2, "column": 0}
    answer = cells.explainer()(question)
    shares, bias = cell_shares(analysis, random_models, row=2, column=0, plain=True)
    index = np.frombuffer(base64.b64decode(answer["index"]["data"]), dtype="<u4")
    assert index.tolist() == np.flatnonzero(shares).tolist()
    values = np.frombuffer(base64.b64decode(answer["shares"]["data"]), dtype="<f4")
    np.testing.assert_array_equal(values, shares[index])
    assert answer["bias"] == bias


@pytest.mark.parametrize(
    "wrong",
    [
        {"ticket": "guessed"}, {"ticket": None}, {"row": VIEWS}, {"row": -1}, {"row": None}, {"row": float("inf")},
        {"column": "x"},
    ],
)  # fmt: skip
def test_what_is_no_question_of_our_page_gets_an_empty_answer(
    analysis: Analysis, cells: Cells, wrong: dict[str, Any]
) -> None:
    question = {"ticket": cells.ticket_for(analysis), "row": 0, "column": 1, **wrong}
    assert cells.explainer()(question) == {}


@pytest.mark.parametrize("question", [{}, [], None, "ticket", 5])
def test_a_question_of_no_form_gets_an_empty_answer(cells: Cells, question: Any) -> None:
    assert cells.explainer()(question) == {}


def test_a_ticket_keeps_no_analysis_alive(random_models: Models, cells: Cells) -> None:
    ticket = cells.ticket_for(ball("gone.xyz", 1, random_models))
    gc.collect()
    assert cells.explainer()({"ticket": ticket, "row": 0, "column": 0}) == {}


def test_a_hundred_questions_take_less_than_two_seconds(analysis: Analysis, cells: Cells) -> None:
    question = {"ticket": cells.ticket_for(analysis), "row": 0, "column": 1}
    ask = cells.explainer()
    started = time.process_time()
    assert all(ask(question) for _ in range(100))
    assert time.process_time() - started < 4  # on two cores


@pytest.fixture(scope="module")
def small(random_models: Models) -> Analysis:
    return ball("small.xyz", 2, random_models)


@pytest.fixture(scope="module")
def page(analysis: Analysis, small: Analysis, cells: Cells) -> Iterator[Any]:
    ticket, known = cells.ticket_for(analysis), cells.explainer()

    def explain_cell(question: dict[str, Any]) -> dict[str, Any]:
        return known(question)

    values = {
        "ball": {**make_bundle(analysis), "ticket": ticket},
        "small": {**make_bundle(small), "ticket": cells.ticket_for(small)},
        "forgotten": {**make_bundle(edited(analysis, name="forgotten.xyz")), "ticket": "forgotten"},
    }
    with viewer_page(values, explain_cell=explain_cell) as opened:
        yield opened


def place_of(page: Any, row: int, column: int, views: int = VIEWS) -> dict[str, float]:
    size = (page.locator(".pmv-matrix").bounding_box()["width"] - 19) / views
    return {"x": 18 + (column + 0.5) * size, "y": 18 + (row + 0.5) * size}


def click(page: Any, row: int, column: int) -> str:
    page.locator(".pmv-matrix").click(position=place_of(page, row, column))
    page.wait_for_function("() => !document.querySelector('[data-part=legend]').innerText.includes('Asking')")
    settle(page)
    return str(page.locator("[data-part=legend]").inner_text())


def assert_shares_are_drawn(page: Any, shares: np.ndarray) -> None:
    """A point that pulls together is redder than blue, one that pulls apart bluer than red, any other is grey."""
    shown = colors_on_screen(page)
    assert len(shown) > 40
    tints = {point: int(color[1:3], 16) - int(color[5:7], 16) for point, color in shown.items()}
    strong = [point for point in shown if abs(shares[point]) > 0.02 * abs(shares).max()]
    assert len(strong) > 5
    assert {point: bool(tints[point] > 0) for point in strong} == {point: bool(shares[point] > 0) for point in strong}
    silent = {color for point, color in shown.items() if shares[point] == 0}
    assert len(silent) == 1


@pytest.mark.browser
class TestOnThePage:
    """What is drawn after a cell was clicked."""

    pytestmark = needs_chromium

    def test_a_cell_beside_the_diagonal_colours_the_points_by_their_shares_of_its_cosine(
        self, page: Any, analysis: Analysis, random_models: Models
    ) -> None:
        give(page, "ball", "ball.xyz")
        choose(page, "view=2")
        for row, column in ((0, 3), (2, 1)):
            legend = click(page, row, column)
            assert f"student view {row + 1} · teacher view {column + 1}" in legend
            assert f"{analysis.student.similarity[row, column]:.3f}" in legend
            shares, bias = cell_shares(analysis, random_models, row=row, column=column)
            assert f"{abs(bias):.3f}; square-root scale" in legend
            assert_shares_are_drawn(page, shares)

    def test_the_plain_students_cell_has_its_own_shares(
        self, page: Any, analysis: Analysis, random_models: Models
    ) -> None:
        give(page, "ball", "ball.xyz")
        choose(page, "student=plain")
        click(page, 1, 3)
        assert_shares_are_drawn(page, cell_shares(analysis, random_models, row=1, column=3, plain=True)[0])

    def test_where_the_server_has_no_answer_the_page_says_so(self, page: Any) -> None:
        give(page, "forgotten", "forgotten.xyz")
        assert "did not answer" in click(page, 0, 1)

    def test_the_tip_over_the_matrix_speaks_of_what_is_shown(
        self, page: Any, analysis: Analysis, small: Analysis
    ) -> None:
        give(page, "ball", "ball.xyz")
        choose(page, "")
        box, place = page.locator(".pmv-matrix").bounding_box(), place_of(page, 3, 1)
        page.mouse.move(box["x"] + place["x"], box["y"] + place["y"])
        tip = page.locator("[data-part=tip]")
        assert f"cosine {analysis.student.similarity[3, 1]:.3f}" in tip.inner_text()
        page.keyboard.press("s")
        assert analysis.plain is not None
        assert f"cosine {analysis.plain.similarity[3, 1]:.3f}" in tip.inner_text()
        page.evaluate("() => document.querySelector('#give-small').click()")
        page.wait_for_function("() => window.pointmcdViewer.name === 'small.xyz'")
        settle(page)
        assert small.plain is not None
        assert f"cosine {small.plain.similarity[1, 0]:.3f}" in tip.inner_text()
