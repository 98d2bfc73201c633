"""How does the viewer live in a Gradio page? One HTML component with a fixed template, and plotly.js from its wheel."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import gradio as gr
import plotly
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from viz import theme

_HERE: Final = Path(__file__).parent
_PLOTLY: Final = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
# In reading order: each file answers one question, and all share one function's scope.
_SCRIPTS: Final = (
    "dom.js", "decode.js", "camera.js", "colouring.js", "legend.js", "discs.js", "scene.js", "thumbnails.js",
    "predictions.js", "matrix.js", "card.js", "snapshot.js", "address.js", "viewer.js",
)  # fmt: skip
# Gradio compiles a template with Handlebars, then as a JavaScript template literal: none of these may occur in it.
_TEMPLATE_SYNTAX: Final = ("{{", "${", "`", "\\")


def AnalysisViewer(
    value: dict[str, Any] | None = None,
    *,
    elem_id: str = "viewer",
    predict_kept: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
    plotly_path: str | None = None,
) -> gr.HTML:
    """Make the linked viewer: the 3D scene, the views, the predictions, the similarity matrix and the point's card.

    A function that reads as a component: importing a subclass of a Gradio component writes a .pyi file beside it.

    Args:
        value: A bundle of `viz.bundle.make_bundle`; None for the empty state; `{"error": sentence}` to show an error.
        elem_id: The element's id in the page.
        predict_kept: Answers `{"student", "plain", "points": base64 of float32 (n, 3)}` by `{"label", "probability"}`:
            what a student says of the points that the winners' slider keeps. Without it, the slider only counts them.
        plotly_path: Where the server has its `plotly_route`; None for a page whose server has none.

    Returns:
        A component whose value is the bundle. It triggers `select` with `{view, point, mode, student, compare}` when
        the user chooses a view or a point; nothing in it needs an answer. Its state lives in the address's hash, and
        `window.pointmcdViewer` tells tests and curious consoles what is shown (see the end of viewer.js).
    """
    if plotly_path is None:
        gr.set_static_paths([_PLOTLY])
        plotly_path = f"/gradio_api/file={_PLOTLY.as_posix()}"
    template = f"<style>\n{viewer_css()}\n</style>\n{asset('viewer/viewer.html')}"
    for syntax in _TEMPLATE_SYNTAX:
        if syntax in template:
            raise ValueError(f"The viewer's template contains {syntax!r}, which Gradio would run as code.")
    return gr.HTML(
        value=value,
        html_template=template,
        js_on_load=_script(plotly_path),
        apply_default_css=False,
        elem_id=elem_id,
        elem_classes=["pmv-host"],
        show_label=False,
        server_functions=None if predict_kept is None else [predict_kept],
    )


def viewer_css() -> str:
    """Return the viewer's style sheet with the theme's colours; the component carries it itself."""
    return theme.css_variables() + asset("viewer/viewer.css")


@lru_cache(maxsize=1)
def compressed_plotly() -> bytes:
    """Return plotly.js as gzip, made once: Gradio makes it anew for every visitor and answers nobody meanwhile."""
    return gzip.compress(_PLOTLY.read_bytes(), mtime=0)


def plotly_route(path: str) -> Route:
    """Answer this address with plotly.js, which every browser takes compressed and keeps for a year."""

    def answer(_request: Request) -> Response:
        headers = {"Content-Encoding": "gzip", "Cache-Control": "public, max-age=31536000, immutable"}
        return Response(compressed_plotly(), media_type="text/javascript", headers=headers)

    return Route(path, answer)


def _script(plotly_path: str) -> str:
    config = json.dumps({"plotly": plotly_path, "theme": theme.script_constants()})
    body = "\n".join(asset(f"viewer/{name}") for name in _SCRIPTS)
    # `select` is named here because Gradio looks for an event's name in this text.
    start = f"new Viewer(element, watch, props, trigger, {config});\n//# sourceURL=pointmcd-viewer.js"
    return f'"use strict";\n{body}\n{start}'


def asset(name: str) -> str:
    """Read a style sheet, script or template of ours: `page/...` of the page, `viewer/...` of the viewer."""
    return (_HERE / name).read_text(encoding="utf-8")
