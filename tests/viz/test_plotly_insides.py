"""Does a plotly whose insides have moved say so by name, and is one file alone to be mended then?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import plotly
import pytest

from tests.analysis_fixture import make_analysis
from tests.browser import chromium, needs_chromium, watch
from viz.bundle import make_bundle
from viz.components import AnalysisViewer

ROOT = Path(__file__).parents[2]
INSIDES_FILE = ROOT / "viz" / "viewer" / "plotly_insides.js"
# Whoever says one of these reaches into plotly.
INSIDES = re.compile(
    r"_fullLayout|\b_scene\b|glplot|cameraParams|dataScale|updateFx|pickSlots|\b_trace\b|\.gl-container"
)
SLOWEST_MS = 90_000

_, in_chromium = needs_chromium


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with gr.Blocks() as page:
        AnalysisViewer(make_bundle(make_analysis(points=100, views=3)))
    page.launch(server_name="127.0.0.1", prevent_thread_lock=True, quiet=True, share=False, ssr_mode=False)
    yield page.local_url.rstrip("/")
    page.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started.new_context(viewport={"width": 900, "height": 700})


def notice_with_renamed(names: list[str], browser: Any, address: str) -> str:
    """What stands in the scene of a page whose plotly.js calls some of its insides otherwise."""

    def rename(route: Any) -> None:
        text = (Path(plotly.__file__).parent / "package_data" / "plotly.min.js").read_text(encoding="utf-8")
        for name in names:
            text = re.sub(rf"\b{name}\b", f"{name}Moved", text)
        route.fulfill(body=text, content_type="text/javascript; charset=utf-8")

    page = browser.new_page()
    page.set_default_timeout(SLOWEST_MS)
    foreign, _ = watch(page, address)
    page.route("**/plotly.min.js", rename)
    page.goto(address)
    notice = page.locator("[data-part=scene-main] + .pmv-notice")
    page.wait_for_function(
        "() => window.pointmcdViewer?.drawn || document.querySelector('.pmv-pane .pmv-notice:not([hidden])')"
    )
    said = str(notice.text_content())
    page.close()
    assert foreign == []
    return said


def test_no_other_script_reaches_into_plotly() -> None:
    scripts = [path for path in INSIDES_FILE.parent.glob("*.js") if path != INSIDES_FILE]
    assert len(scripts) >= 10
    assert INSIDES.search(INSIDES_FILE.read_text(encoding="utf-8"))
    assert [path.name for path in scripts if INSIDES.search(path.read_text(encoding="utf-8"))] == []


def test_the_installed_plotly_is_the_one_whose_insides_are_known() -> None:
    pinned = re.search(r"^plotly>=([\d.]+),<([\d.]+)$", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert pinned, "requirements.txt holds plotly's version from both sides"
    low, high, installed = (
        [int(part) for part in text.split(".")[:2]] for text in (*pinned.groups(), plotly.__version__)
    )
    assert low <= installed < high


@pytest.mark.browser
@in_chromium
def test_insides_that_moved_are_named_in_the_scene(browser: Any, address: str) -> None:
    said = notice_with_renamed(["updateFx", "dataScale"], browser, address)
    assert re.fullmatch(
        r"The 3D view cannot be drawn by plotly\.js [\d.]+, which lacks updateFx, dataScale: install plotly as "
        r"requirements\.txt pins it\. Images, predictions and numbers are all here\.",
        said,
    )


@pytest.mark.browser
@in_chromium
def test_the_installed_plotly_lacks_nothing(browser: Any, address: str) -> None:
    assert notice_with_renamed([], browser, address) == ""
