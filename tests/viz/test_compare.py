"""Is Compare offered only where two different pictures can be compared, by one scale, with the rig in sight?"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pointmcd.analysis.analyze import analyze
from pointmcd.analysis.explain import principal_colors
from pointmcd.records import Shape
from pointmcd.weights.models import Models
from tests.analysis_fixture import make_analysis
from tests.browser import needs_chromium
from tests.viewer_page import choose, settle, viewer_page
from viz.bundle import make_bundle

DIFFER, ALIKE = ["wins", "alignment", "features"], ["seen", "views", "height", "file", "difference", "blind"]


def test_equal_features_have_equal_colours_in_both_students(random_models: Models) -> None:
    points = np.random.default_rng(0).normal(size=(200, 3))
    analysis = analyze(Shape(name="ball.xyz", vertices=points), random_models, views=2, points=100)
    assert analysis.plain is not None
    batch = torch.from_numpy(analysis.cloud.points)[None]
    with torch.inference_mode():
        features = [
            table["pointnet"].encoder(batch).values[0] for table in (random_models.students, random_models.plains)
        ]
    expected = principal_colors(torch.cat(features)).numpy()
    drawn = np.concatenate([analysis.student.feature_colors, analysis.plain.feature_colors])
    np.testing.assert_allclose(drawn, expected, atol=2e-3)


@pytest.fixture(scope="module")
def page() -> Iterator[Any]:
    shape = make_analysis(points=300, views=12, colors=True)
    with viewer_page({"chair": make_bundle(shape)}) as opened:
        yield opened


def picture(page: Any, pane: str) -> np.ndarray:
    """What is drawn in a pane, without what lies over it."""
    return np.asarray(Image.open(io.BytesIO(page.locator(f"[data-part={pane}]").screenshot())).convert("RGB"))


@pytest.mark.browser
class TestOnThePage:
    """What the button offers, and what is drawn."""

    pytestmark = needs_chromium

    @pytest.mark.parametrize("mode", ALIKE)
    def test_where_both_students_look_alike_there_is_one_picture_and_the_button_says_why(
        self, page: Any, mode: str
    ) -> None:
        choose(page, f"color={mode}&compare=1")
        button = page.locator("[data-tool=compare]")
        assert button.is_disabled()
        assert "is the same for both students" in button.get_attribute("title")
        assert page.locator("[data-part=pane-compare]").is_hidden()

    @pytest.mark.parametrize("mode", DIFFER)
    def test_where_they_differ_two_different_pictures_stand_side_by_side(self, page: Any, mode: str) -> None:
        choose(page, f"color={mode}&compare=1")
        assert page.locator("[data-tool=compare]").is_enabled()
        page.wait_for_timeout(300)
        settle(page)
        left, right = picture(page, "scene-main"), picture(page, "scene-compare")
        height, width = (min(a, b) for a, b in zip(left.shape[:2], right.shape[:2], strict=True))
        cut = (slice(60, height - 70), slice(4, width - 4))
        assert (np.abs(left[cut].astype(int) - right[cut]).max(axis=-1) > 40).mean() > 0.005

    def test_comparing_goes_on_when_the_colouring_allows_it_again(self, page: Any) -> None:
        choose(page, "color=wins&compare=1")
        page.keyboard.press("2")
        settle(page)
        assert page.locator("[data-part=pane-compare]").is_hidden()
        page.keyboard.press("4")
        settle(page)
        assert page.locator("[data-part=pane-compare]").is_visible()

    @pytest.mark.parametrize(
        ("width", "state", "panes"),
        [
            (1100, "color=wins&compare=1", ["scene-main", "scene-compare"]),
            (420, "", ["scene-main"]),
            (420, "color=wins&compare=1", ["scene-main", "scene-compare"]),
            (1100, "", ["scene-main"]),
        ],
    )
    def test_the_whole_rig_is_in_sight_with_the_selected_camera(
        self, page: Any, width: int, state: str, panes: list[str]
    ) -> None:
        page.add_style_tag(content=".pmv-tools, .pmv-status, .pmv-pane-title { visibility: hidden; }")
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(300)
        for view in (2, 8):
            choose(page, f"{state}&view={view}")
            page.keyboard.press("r")
            page.wait_for_timeout(300)
            settle(page)
            for pane in panes:
                drawn = picture(page, pane)
                inside = drawn[14:-14, 4:-4]  # the stage has round corners and a border
                background = inside[len(inside) // 2, 0]
                edges = np.concatenate([inside[:, :3].reshape(-1, 3), inside[:, -3:].reshape(-1, 3), inside[0]])
                away = np.abs(edges.astype(int) - background).max(axis=-1) > 12
                assert away.mean() == 0, f"nothing is cut off in {pane}, view {view}"
