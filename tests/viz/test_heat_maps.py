"""Does the heat map say what speaks for and what against the teacher's answer, and how much of it is background?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from pointmcd.analysis.analyze import analyze
from pointmcd.analysis.export import save_arrays, summary
from pointmcd.records import Analysis, Renders, Shape
from pointmcd.weights.models import Models
from tests.analysis_fixture import edited, make_analysis
from tests.browser import needs_chromium
from tests.viewer_page import choose, viewer_page
from viz.bundle import make_bundle

SIZE = 224
# The mean colour of a square of the thumbnail's canvas about (column, row), as [red, green, blue].
SQUARE = """
([view, column, row]) => {
  const context = document.querySelector(`.pmv-thumb[data-view="${view}"] canvas`).getContext("2d");
  const { data } = context.getImageData(column - 4, row - 4, 8, 8);
  return [0, 1, 2].map((c) => data.filter((_, i) => i % 4 === c).reduce((sum, value) => sum + value, 0) / 64);
}
"""


def with_maps(maps: list[Any], *, shape_pixels: np.ndarray | None = None) -> Analysis:
    """A made-up analysis with these heat maps; the shape covers the pixels that are True, or nothing."""
    analysis = make_analysis(points=120, views=len(maps))
    covered = np.zeros((SIZE, SIZE), dtype=bool) if shape_pixels is None else shape_pixels
    renders = Renders(
        images=np.zeros((len(maps), SIZE, SIZE, 3), dtype=np.uint8),
        depth=np.tile(np.where(covered, 1.0, np.inf).astype(np.float32), (len(maps), 1, 1)),
        index=np.tile(np.where(covered, 0, -1), (len(maps), 1, 1)),
        source="points",
    )
    return edited(analysis, heat_maps=np.array(maps, dtype=np.float32), renders=renders)


def left(pixels: int) -> np.ndarray:
    covered = np.zeros((SIZE, SIZE), dtype=bool)
    covered[:, :pixels] = True
    return covered


@pytest.mark.parametrize(
    ("cells", "shape_pixels", "share"),
    [
        ([[1.0, 3.0], [0.0, 0.0]], left(112), 0.75),
        ([[1.0, -3.0], [0.0, 0.0]], left(112), 0.75),
        ([[2.0, 0.0], [0.0, 0.0]], left(56), 0.5),
        ([[1.0, 1.0, 1.0]] * 3, left(112), 0.5),  # the middle cell is cut through, between two pixels
        ([[0.0, 0.0], [0.0, 0.0]], left(112), 0.0),
        ([[1.0, 2.0], [3.0, 4.0]], left(SIZE), 0.0),
        ([[1.0, 2.0], [3.0, 4.0]], left(0), 1.0),
    ],
)
def test_the_share_on_the_background_counts_magnitudes_by_area(
    cells: Any, shape_pixels: np.ndarray, share: float
) -> None:
    assert with_maps([cells], shape_pixels=shape_pixels).heat_on_background == pytest.approx([share], abs=1e-5)


def test_the_share_on_the_background_is_that_of_the_picture_pixel_by_pixel() -> None:
    analysis = make_analysis(points=200, views=3)
    for view, share in enumerate(analysis.heat_on_background):
        cells = np.abs(np.repeat(np.repeat(analysis.heat_maps[view], 32, axis=0), 32, axis=1))
        empty = analysis.renders.index[view] < 0
        assert share == pytest.approx(cells[empty].sum() / cells.sum(), abs=1e-5)


def test_json_npz_and_bundle_carry_the_share_on_the_background(random_models: Models, tmp_path: Any) -> None:
    points = np.random.default_rng(0).normal(size=(300, 3))
    analysis = analyze(Shape(name="ball.xyz", vertices=points), random_models, views=3, points=100)
    shares = analysis.heat_on_background
    assert summary(analysis)["teacher"]["heat_on_background"] == pytest.approx(shares.tolist(), abs=1e-6)
    save_arrays(analysis, tmp_path / "out.npz")
    with np.load(tmp_path / "out.npz", allow_pickle=False) as file:
        assert np.array_equal(file["heat_on_background"], shares)
    packed = make_bundle(analysis)["heat"]
    assert packed["on_background"] == pytest.approx(shares.tolist(), abs=1e-4)
    first = int(analysis.teacher.logits.argmax())
    assert packed["label"] == analysis.class_names[first]
    assert packed["logits"] == pytest.approx(analysis.teacher.view_logits[:, first].tolist(), abs=1e-4)


@pytest.fixture(scope="module")
def page() -> Iterator[Any]:
    maps = [[[0.5, -1.5], [0.0, 0.0]], [[-0.5, -0.1], [-0.3, -0.2]]]
    with viewer_page({"heat": make_bundle(with_maps(maps, shape_pixels=left(112)))}) as opened:
        choose(opened, "thumbs=heat")
        yield opened


def square(page: Any, view: int, cell: tuple[int, int]) -> tuple[float, float, float]:
    row, column = cell
    red, green, blue = page.evaluate(SQUARE, [view, 56 + 112 * column, 56 + 112 * row])
    return red, green, blue


@pytest.mark.browser
class TestOnThePage:
    """What is drawn in the thumbnails, whose images are black here."""

    pytestmark = needs_chromium

    def test_what_speaks_for_the_answer_is_red_and_what_speaks_against_it_blue(self, page: Any) -> None:
        red, _, blue = square(page, 0, (0, 0))
        assert red > blue + 60
        red, _, blue = square(page, 0, (0, 1))
        assert blue > red + 60

    def test_a_view_of_which_all_speaks_against_the_answer_is_not_blank(self, page: Any) -> None:
        for cell in ((0, 0), (0, 1), (1, 0), (1, 1)):
            red, _, blue = square(page, 1, cell)
            assert blue > red + 15

    def test_all_views_have_one_scale_on_which_more_is_stronger(self, page: Any) -> None:
        blues = [square(page, *where)[2] for where in ((0, (0, 1)), (1, (0, 0)), (1, (1, 0)), (1, (0, 1)))]
        assert blues == sorted(blues, reverse=True)

    def test_a_cell_that_says_nothing_leaves_the_image_as_it_is(self, page: Any) -> None:
        assert max(page.evaluate(SQUARE, [0, 20, 200])) < 12

    def test_the_bar_names_both_ends_the_answer_and_the_unit(self, page: Any) -> None:
        text = page.locator("[data-part=heatbar]").inner_text()
        assert "−1.5" in text
        assert "+1.5" in text
        assert "chair" in text
        assert "logit" in text
        assert "teacher's first answer" in page.locator("[data-part=heatbar]").get_attribute("title")

    def test_under_each_image_stands_the_share_on_the_background(self, page: Any) -> None:
        captions = page.locator(".pmv-thumb-caption").all_inner_texts()
        assert [" ".join(text.split()) for text in captions] == ["background 75 %", "background 27 %"]
