"""How do tests open the viewer alone, with values and server functions of their own?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gradio as gr

from tests.browser import chromium, watch
from viz.components import AnalysisViewer

SLOWEST_MS = 60_000


@contextmanager
def viewer_page(
    values: dict[str, Any], *, width: int = 1100, height: int = 800, **functions: Callable[[dict[str, Any]], Any]
) -> Iterator[Any]:
    """Serve the viewer with a button per value; offer playwright's page, which shows the first one.

    However the visit goes, nothing leaves this machine and nothing complains.
    """
    with gr.Blocks() as served:
        with gr.Row():
            buttons = {name: gr.Button(name, elem_id=f"give-{name}") for name in values}
        viewer = AnalysisViewer(next(iter(values.values())), **functions)
        for name, button in buttons.items():
            button.click(lambda name=name: values[name], outputs=viewer, show_progress="hidden")
    served.launch(server_name="127.0.0.1", prevent_thread_lock=True, quiet=True, share=False, ssr_mode=False)
    try:
        with chromium() as browser:
            context = browser.new_context(viewport={"width": width, "height": height}, reduced_motion="reduce")
            context.set_default_timeout(SLOWEST_MS)
            page = context.new_page()
            foreign, complaints = watch(page, served.local_url.rstrip("/"))
            page.goto(served.local_url)
            settle(page)
            yield page
        assert (foreign, complaints) == ([], [])
    finally:
        served.close()


def settle(page: Any) -> None:
    """Wait until everything that was asked for is drawn."""
    page.wait_for_function("() => window.pointmcdViewer?.drawn > 0")
    page.evaluate("() => window.pointmcdViewer.settled()")


def give(page: Any, name: str, shown: str) -> None:
    """Press a value's button and wait until the shape of that name is drawn."""
    page.locator(f"#give-{name}").click()
    page.wait_for_function("name => window.pointmcdViewer.name === name", arg=shown)
    settle(page)


def choose(page: Any, hash_: str) -> None:
    """Set the address by hand: every choice that it does not name goes back to its default."""
    page.evaluate("hash => { location.hash = hash; }", hash_)
    page.wait_for_timeout(100)
    settle(page)
