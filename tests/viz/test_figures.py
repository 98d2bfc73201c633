"""Does the figure for paper show what the analysis holds, and can it be read by itself?"""

from __future__ import annotations

import io

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from pointmcd.records import Analysis
from tests.analysis_fixture import edited, make_analysis
from viz.figures import overview


@pytest.fixture(scope="module")
def analysis() -> Analysis:
    return make_analysis()


@pytest.fixture(scope="module")
def figure(analysis: Analysis) -> Figure:
    return overview(analysis)


def test_every_view_is_drawn_as_the_teacher_saw_it(figure: Figure, analysis: Analysis) -> None:
    drawn = [np.asarray(axes.images[0].get_array()) for axes in figure.axes if "sees" in axes.get_title()]
    assert len(drawn) == len(analysis.renders.images)
    assert all(np.array_equal(a, b) for a, b in zip(drawn, analysis.renders.images, strict=True))


def test_the_matrix_and_its_figures_are_those_of_the_analysis(figure: Figure, analysis: Analysis) -> None:
    (axes,) = [axes for axes in figure.axes if axes.get_title().startswith("View similarity")]
    assert np.array_equal(np.asarray(axes.images[0].get_array()), analysis.student.similarity)
    assert f"{analysis.student.diagonal_dominance:+.3f}" in axes.get_title()
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("teacher view", "student view")


def test_every_panel_has_a_title_and_every_scale_its_unit(figure: Figure) -> None:
    titles = {axes.get_title() for axes in figure.axes}
    units = {axes.get_ylabel() for axes in figure.axes}
    assert {"Views that see each point", "Predictions"} <= titles
    assert "cosine" in units
    assert any(unit.startswith("views of") for unit in units)


def test_a_name_with_dollars_is_text_and_the_figure_can_be_saved(analysis: Analysis) -> None:
    file = io.BytesIO()
    overview(edited(analysis, name="a$\\bad{$ $<script>.off", without=["plain"])).savefig(file, dpi=50)
    assert Image.open(file).width == 550


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_with_few_classes_each_bar_has_its_own_label(analysis: Analysis, classes: int) -> None:
    names = ("box", "rod", "plate", "cone", "ring")[:classes]

    def answer(first: int) -> np.ndarray:
        return np.roll(np.arange(classes, 0, -1, dtype=np.float32), first)

    few = edited(analysis, class_names=names, logits={"teacher": answer(0), "distilled": answer(1), "plain": answer(0)})
    assert few.plain is not None
    (axes,) = [axes for axes in overview(few).axes if axes.get_title() == "Predictions"]
    labels = dict(zip(axes.get_yticks().tolist(), [label.get_text() for label in axes.get_yticklabels()], strict=True))
    predictions = (few.teacher, few.student.prediction, few.plain.prediction)
    drawn = [(bar.get_y() + bar.get_height() / 2, bar.get_width()) for bar in axes.patches]
    expected = [sorted(zip(p.probabilities.tolist(), names, strict=True), reverse=True) for p in predictions]
    for (place, width), (probability, name) in zip(drawn, [pair for rows in expected for pair in rows], strict=True):
        assert width == pytest.approx(probability)
        assert labels[round(place, 6)] == name
