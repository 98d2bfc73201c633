"""How does the viewer live in a Gradio page? One HTML component with a fixed template, and modules."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import gradio as gr

from viz import theme
from viz.delivery import ENTRY, MODULE_FOLDER, PLOTLY, PLOTLY_PATH, VIEWER

_HERE: Final = Path(__file__).parent
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
        predict_kept: Answers `{"student", "answer", "points": base64 of float32 (n, 3)}` by `{"label", "probability"}`:
            what a student says of the points that the winners' slider keeps. Without it, the slider only counts them.
        explain_cell: Answers `{"ticket", "answer", "row", "column"}` by `viz.bundle.pack_cell`'s dict: the shares
            behind a cell beside the diagonal of the similarity matrix; see `viz.cells`. Without it, the page says that
            such a cell cannot be explained.
        own_route: Whether the server has `viz.delivery.routes` (and the page its `HEAD`, so that they come early); else
            plotly.js and the modules come as Gradio's static files, compressed anew for each visitor.

    Returns:
        A component whose value is the bundle. It triggers `select` with `{view, point, mode, student, compare}` when
        the user chooses a view or a point; nothing in it needs an answer. Its state lives in the address's hash, and
        `window.pointmcdViewer` tells tests and curious consoles what is shown (see viewer/inspect.js).
    """
    if own_route:
        plotly, modules = PLOTLY_PATH[1:], MODULE_FOLDER[1:]
    else:
        gr.set_static_paths([PLOTLY, VIEWER])
        plotly, modules = (f"gradio_api/file={path.as_posix()}" for path in (PLOTLY, VIEWER))
    template = f"<style>\n{viewer_css()}\n</style>\n{asset('viewer/viewer.html')}"
    for syntax in _TEMPLATE_SYNTAX:
        if syntax in template:
            raise ValueError(f"The viewer's template contains {syntax!r}, which Gradio would run as code.")
    return gr.HTML(
        value=value,
        html_template=template,
        js_on_load=_script(plotly, modules),
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


def _script(plotly: str, modules: str) -> str:
    config = json.dumps({"plotly": plotly, "theme": theme.script_constants()})
    # "select" stands here because Gradio looks for an event's name in this text; `server` exists only with functions.
    return f"""const host = {{
  element, watch, props, config: {config},
  select: (chosen) => trigger("select", chosen),
  server: typeof server === "undefined" ? null : server,
}};
const entry = new URL({json.dumps(f"{modules}/{ENTRY}")}, document.baseURI);
import(entry).then(({{ Viewer }}) => new Viewer(host)).catch((error) => {{
  console.error("PointMCD viewer:", error);
  const message = element.querySelector("[data-part=message]");
  message.hidden = false;
  message.textContent = "The viewer's scripts did not load: reload the page.";
}});
//# sourceURL=pointmcd-viewer.js"""


def asset(name: str) -> str:
    """Read a style sheet, script or template of ours: `page/...` of the page, `viewer/...` of the viewer."""
    return (_HERE / name).read_text(encoding="utf-8")
