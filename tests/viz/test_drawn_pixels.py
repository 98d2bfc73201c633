"""Is what was chosen what the screen shows? The stage after a change, pixel by pixel, against a page opened afresh."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import app
from tests.browser import chromium, needs_chromium, watch
from tests.pictures import difference, picture_of, read_picture
from viz.page.examples import examples

pytestmark = needs_chromium

# A bound for a busy machine.
SLOWEST_MS = 90_000
# One after another: flat, tall, wide and full of holes.
SIX = ("airplane", "lamp", "table", "sofa", "guitar", "person")
LOSE_CONTEXT = """
part => {
  const gl = document.querySelector(`[data-part=${part}] canvas`).getContext("webgl");
  (window.context = gl.getExtension("WEBGL_lose_context")).loseContext();
}
"""
# As some graphics cards are.
WITHOUT_VERTEX_ARRAYS = """
const getExtension = WebGLRenderingContext.prototype.getExtension;
WebGLRenderingContext.prototype.getExtension = function (name) {
  return name === "OES_vertex_array_object" ? null : getExtension.call(this, name);
};
"""


class Visitors:
    """Opens pages: visitors who come afresh, and whose pages stay open while others come."""

    def __init__(self, context: Any, address: str) -> None:
        self.context = context
        self.address = address
        self.fresh: dict[tuple[str, str], dict[str, np.ndarray]] = {}

    def open(self, path: str, *, script: str = "") -> Any:
        page = self.context.new_page()
        page.set_default_timeout(SLOWEST_MS)
        page.add_init_script(script)
        page.watched = watch(page, self.address)
        page.goto(self.address + path)
        wait_until_shown(page)
        return page

    def pictures(self, page: Any) -> dict[str, np.ndarray]:
        """What each open pane shows."""
        page.mouse.move(1, 1)
        wait_until_shown(page)
        panes = ["main", "compare"] if page.evaluate("() => window.pointmcdViewer.comparing") else ["main"]
        return {pane: picture_of(page, pane) for pane in panes}

    def pictures_afresh(self, address: str, file: Path | None) -> dict[str, np.ndarray]:
        """What a page shows that is opened at this address, and then given this file."""
        known = address, str(file or "")
        if known not in self.fresh:
            page = self.open(address.removeprefix(self.address))
            if file:
                send(page, file)
            self.fresh[known] = self.pictures(page)
            close(page)
        return self.fresh[known]

    def differences(self, page: Any, file: Path | None = None) -> list[str]:
        """Say where this page shows anything else than a fresh one of its address."""
        shown, expected = self.pictures(page), self.pictures_afresh(page.url, file)
        assert shown.keys() == expected.keys()
        found = {pane: difference(shown[pane], expected[pane]) for pane in shown}
        return [f"{pane}: {text}" for pane, text in found.items() if text]


def close(page: Any) -> None:
    """However a visit went, nothing left this machine and nothing complained."""
    page.close()
    assert page.watched == ([], [])


def wait_until_shown(page: Any, name: str = "") -> None:
    """Wait until viewer and card agree on the shape, which has this name if one is given, and the scene rests."""
    page.wait_for_function(
        """name => {
          const viewer = window.pointmcdViewer;
          const card = document.querySelector("#card .name")?.textContent;
          return viewer?.phase === "ready" && viewer.drawn && viewer.name === card && (!name || name === card);
        }""",
        arg=name,
    )
    page.evaluate("() => window.pointmcdViewer.settled()")


def choose(page: Any, key: str) -> None:
    page.get_by_alt_text(key, exact=True).click()
    wait_until_shown(page, examples()[key].name)


def send(page: Any, file: Path) -> None:
    page.locator("#upload input[type=file]").set_input_files(file)
    wait_until_shown(page, file.name)


def set_number(page: Any, label: str, value: int, query: str) -> None:
    box = page.get_by_label(f"number input for {label}")
    box.fill(str(value))
    box.press("Enter")
    page.wait_for_function(
        "([key, value]) => new URL(location).searchParams.get(key) === value", arg=[query, str(value)]
    )


def choose_student(page: Any, label: str, key: str) -> None:
    page.get_by_label("Student", exact=True).first.click()
    page.get_by_role("option", name=label).click()
    page.wait_for_function("key => new URL(location).searchParams.get('student') === key", arg=key)


def press(page: Any, *keys: str) -> None:
    page.evaluate("() => document.activeElement.blur()")
    for key in keys:
        page.keyboard.press(key)


def pin(page: Any) -> None:
    page.evaluate("() => { location.hash += '&point=100'; }")
    page.wait_for_function("() => window.pointmcdViewer.state.point === 100")


def turn_theme(page: Any) -> None:
    before = page.evaluate("() => window.pointmcdViewer.theme")
    page.get_by_role("button", name="Light or dark").click()
    page.wait_for_function("before => window.pointmcdViewer.theme !== before", arg=before)


def lose_and_restore(page: Any, pane: str) -> None:
    notice = page.locator(f"[data-part=scene-{pane}] + .pmv-notice")
    page.evaluate(LOSE_CONTEXT, f"scene-{pane}")
    notice.wait_for()
    page.wait_for_timeout(200)
    page.evaluate("() => window.context.restoreContext()")
    notice.wait_for(state="hidden")


@pytest.fixture(scope="module")
def visitors() -> Iterator[Visitors]:
    from pointmcd import load_models

    served = app.serve(load_models(device="cpu"), port=7950)
    with chromium() as browser:
        context = browser.new_context(viewport={"width": 1200, "height": 760}, reduced_motion="reduce")
        yield Visitors(context, served.local_url.rstrip("/"))
    served.close()


@pytest.fixture(scope="module")
def page(visitors: Visitors) -> Iterator[Any]:
    """One page for all changes: each comes after those of the tests before it, as in a long visit."""
    page = visitors.open("/#compare=1&color=wins")
    yield page
    close(page)


@pytest.fixture(scope="module")
def uploads(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A ball and a rod that the page cannot know."""
    folder, rng = tmp_path_factory.mktemp("uploads"), np.random.default_rng(0)
    ball = rng.normal(size=(1500, 3))
    ball /= np.linalg.norm(ball, axis=1, keepdims=True)
    rod = rng.uniform(-1, 1, size=(1500, 3)) * [0.1, 0.1, 1]
    for name, points in (("ball.xyz", ball), ("rod.xyz", rod)):
        np.savetxt(folder / name, points, fmt="%.5f")
    return folder / "ball.xyz", folder / "rod.xyz"


@pytest.mark.parametrize("key", SIX)
def test_of_six_shapes_in_a_row_each_is_drawn_in_both_panes(page: Any, visitors: Visitors, key: str) -> None:
    choose(page, key)
    assert visitors.differences(page) == []


CHANGES: dict[str, Callable[[Any], None]] = {
    "compare closed": lambda page: press(page, "c"),
    "another example": lambda page: choose(page, "toilet"),
    "fewer views": lambda page: set_number(page, "Views", 5, "views"),
    "more points": lambda page: set_number(page, "Points", 2048, "points"),
    "another student": lambda page: choose_student(page, "DGCNN", "dgcnn"),
    "another layer, view and point": lambda page: (press(page, "5", "ArrowRight"), pin(page)),
    "a lost and restored context": lambda page: lose_and_restore(page, "main"),
    "compare opened": lambda page: press(page, "c"),
    "a lost and restored context of the second pane": lambda page: lose_and_restore(page, "compare"),
    "the other theme": turn_theme,
    "fewer points in both panes": lambda page: set_number(page, "Points", 512, "points"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_after_a_change_the_stage_is_that_of_a_fresh_page(page: Any, visitors: Visitors, change: str) -> None:
    before = page.url
    CHANGES[change](page)
    assert change.startswith("a lost") or page.url != before
    assert visitors.differences(page) == []


def test_a_file_of_ones_own_after_another_is_drawn(page: Any, visitors: Visitors, uploads: tuple[Path, Path]) -> None:
    for file in uploads:
        send(page, file)
    assert visitors.differences(page, uploads[-1]) == []


def test_a_graphics_card_without_vertex_arrays_draws_each_shape_too(visitors: Visitors) -> None:
    page = visitors.open("/#compare=1&color=wins", script=WITHOUT_VERTEX_ARRAYS)
    for key in SIX[:3]:
        choose(page, key)
        assert visitors.differences(page) == []
    close(page)


def test_the_picture_that_is_downloaded_is_the_stage(visitors: Visitors, tmp_path: Path) -> None:
    # The file has two pixels for one of the page's, as this screen has; at this width both panes begin on whole ones.
    context = visitors.context.browser.new_context(
        viewport={"width": 1201, "height": 760}, device_scale_factor=2, reduced_motion="reduce"
    )
    page = Visitors(context, visitors.address).open("/?example=guitar#compare=1&color=wins&point=100")
    choose(page, "lamp")
    pin(page)
    shown = visitors.pictures(page)
    with page.expect_download() as download:
        page.locator("[data-tool=image]").click()
    download.value.save_as(tmp_path / "stage.png")
    left, saved = 0, read_picture((tmp_path / "stage.png").read_bytes())
    for pane, stage in shown.items():
        node = page.locator(f"[data-part=scene-{pane}]")
        width, height = (2 * node.evaluate(f"node => node.client{side}") for side in ("Width", "Height"))
        # Below the header and the panes' titles, which are text of the file's own.
        titles = 60
        part = saved[-height:, left : left + width][titles:]
        left += width
        assert difference(part, stage[titles:height, :width], least=0.995) == "", pane
    close(page)
    context.close()


def another_shape(page: Any, rng: np.random.Generator) -> str:
    others = [key for key, path in examples().items() if path.name != page.evaluate("() => pointmcdViewer.name")]
    key = str(rng.choice(others))
    choose(page, key)
    return key


def another_number_of_points(page: Any, rng: np.random.Generator) -> str:
    now = page.evaluate("() => window.pointmcdViewer.drawn")
    points = int(rng.choice([count for count in (256, 768, 1280, 3072, 4096) if count != now]))
    set_number(page, "Points", points, "points")
    return f"{points} points"


def some_key(page: Any, rng: np.random.Generator) -> str:
    key = str(rng.choice(["1", "3", "4", "6", "9", "c", "s", "ArrowLeft"]))
    press(page, key)
    return f"key {key}"


def some_loss(page: Any, rng: np.random.Generator) -> str:
    lose_and_restore(page, "main")
    return "a lost and restored context"


CHANGES_ANYWHERE = (another_shape, another_shape, another_number_of_points, some_key, some_key, some_loss)


@pytest.mark.slow
def test_after_forty_changes_in_any_order_the_stage_is_that_of_a_fresh_page(visitors: Visitors) -> None:
    rng = np.random.default_rng(0)
    page = visitors.open("/")
    wrong = []
    for _ in range(40):
        change = CHANGES_ANYWHERE[int(rng.integers(len(CHANGES_ANYWHERE)))]
        done = change(page, rng)
        wrong += [f"{done}: {text}" for text in visitors.differences(page)]
    close(page)
    assert wrong == []
