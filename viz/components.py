"""How does the viewer live in a Gradio page? One HTML component with a fixed template, and plotly.js from its wheel."""

from __future__ import annotations

import gzip
import json
import threading
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
_COMPRESSING: Final = threading.Lock()
# Where a server with `plotly_route` has plotly.js: a new version has a new address, so browsers may keep it for long.
PLOTLY_PATH: Final = f"/plotly-{plotly.__version__}.min.js"
# Relative to the page's base, as all that Gradio names: right under a root path too. The viewer asks for the same.
PLOTLY_HEAD: Final = f'<link rel="preload" as="script" href="{PLOTLY_PATH[1:]}">'
# In reading order: each file answers one question, and all share one function's scope.
_SCRIPTS: Final = (
    "dom.js", "decode.js", "cells.js", "camera.js", "colouring.js", "legend.js", "discs.js", "plotly_insides.js",
    "scene.js", "thumbnails.js", "predictions.js", "matrix.js", "card.js", "snapshot.js", "address.js", "viewer.js",
)  # fmt: skip
# Gradio compiles a template with Handlebars, then as a JavaScript template literal: none of these may occur in it.
_TEMPLATE_SYNTAX: Final = ("{{", "${", "`", "\\")


def AnalysisViewer(
    value: dict[str, Any] | None = None,
    *,
    elem_id: str = "viewer",
    predict_kept: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
    explain_cell: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
    own_route: bool = False,
) -> gr.HTML:
    """Make the linked viewer: the 3D scene, the views, the predictions, the similarity matrix and the point's card.

    A function that reads as a component: importing a subclass of a Gradio component writes a .pyi file beside it.

    Args:
        value: A bundle of `viz.bundle.make_bundle`; None for the empty state; `{"loading": True}` while the first
            one is on its way; `{"error": sentence}` to show an error.
        elem_id: The element's id in the page.
        predict_kept: Answers `{"student", "plain", "points": base64 of float32 (n, 3)}` by `{"label", "probability"}`:
            what a student says of the points that the winners' slider keeps. Without it, the slider only counts them.
        explain_cell: Answers `{"ticket", "plain", "row", "column"}` by `viz.bundle.pack_cell`'s dict: the shares behind
            a cell beside the diagonal of the similarity matrix; see `viz.cells`. Without it, the page says that such a
            cell cannot be explained.
        own_route: Whether the server has `plotly_route` (and the page `PLOTLY_HEAD`, so that it comes early); else
            plotly.js comes as one of Gradio's static files, compressed anew for each visitor.

    Returns:
        A component whose value is the bundle. It triggers `select` with `{view, point, mode, student, compare}` when
        the user chooses a view or a point; nothing in it needs an answer. Its state lives in the address's hash, and
        `window.pointmcdViewer` tells tests and curious consoles what is shown (see the end of viewer.js).
    """
    plotly_path = PLOTLY_PATH
    if not own_route:
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
        server_functions=[function for function in (predict_kept, explain_cell) if function is not None] or None,
    )


def in_place(file: gr.File) -> gr.File:
    """Let a file input hand on the path of what was sent: Gradio's own leaves an empty file beside it each time."""

    def path_of(payload: Any) -> str | None:
        return None if payload is None else str(payload.path)

    file.preprocess = path_of  # type: ignore[method-assign]  # a subclass would write a .pyi file beside this one
    return file


def viewer_css() -> str:
    """Return the viewer's style sheet with the theme's colours; the component carries it itself."""
    return theme.css_variables() + asset("viewer/viewer.css")


def compressed_plotly() -> bytes:
    """Return plotly.js as gzip, made once: Gradio makes it anew for every visitor and answers nobody meanwhile."""
    with _COMPRESSING:  # of two that ask at once, the second waits for the first one's
        return _compress()


@lru_cache(maxsize=1)
def _compress() -> bytes:
    return gzip.compress(_PLOTLY.read_bytes(), mtime=0)


def plotly_route() -> Route:
    """Answer `PLOTLY_PATH` with plotly.js: compressed for whoever takes that, kept by browsers for a year."""
    return Route(PLOTLY_PATH, _answer_with_plotly)


def _answer_with_plotly(request: Request) -> Response:
    packed = "gzip" in request.headers.get("accept-encoding", "").lower()
    tag = f'"{plotly.__version__}{"-gzip" if packed else ""}"'
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding", "ETag": tag}
    known = [held.strip().removeprefix("W/") for held in request.headers.get("if-none-match", "").split(",")]
    if tag in known or "*" in known:
        return Response(status_code=304, headers=headers)
    if packed:
        headers["Content-Encoding"] = "gzip"
    return Response(
        compressed_plotly() if packed else _PLOTLY.read_bytes(), media_type="text/javascript", headers=headers
    )


def _script(plotly_path: str) -> str:
    config = json.dumps({"plotly": plotly_path[1:], "theme": theme.script_constants()})
    body = "\n".join(asset(f"viewer/{name}") for name in _SCRIPTS)
    # `select` is named here because Gradio looks for an event's name in this text.
    start = f"new Viewer(element, watch, props, trigger, {config});\n//# sourceURL=pointmcd-viewer.js"
    return f'"use strict";\n{body}\n{start}'


def asset(name: str) -> str:
    """Read a style sheet, script or template of ours: `page/...` of the page, `viewer/...` of the viewer."""
    return (_HERE / name).read_text(encoding="utf-8")
