"""How do the page's rooms become one page?"""

from __future__ import annotations

from collections.abc import Callable

import gradio as gr

from viz.cells import Cells
from viz.components import AnalysisViewer
from viz.page.downloads import add_downloads
from viz.page.endpoint import add_endpoint
from viz.page.examples import THUMBNAIL_FOLDER
from viz.page.layout import side_column
from viz.page.loading import Models, once
from viz.page.touches import Touches
from viz.page.visit import Visit
from viz.page.winners import kept_predictor
from viz.page.wiring import wire
from viz.server.uploads import AGE_S, SWEEP_S


def build_app(models: Models | Callable[[], Models]) -> gr.Blocks:
    """Lay out the page and wire it.

    Args:
        models: The networks, or a function without arguments that loads them; it is called once, on first use.

    Returns:
        The page, ready to be launched.
    """
    get_models = once(models)
    cells = Cells(get_models)
    gr.set_static_paths([THUMBNAIL_FOLDER])

    with gr.Blocks(
        title="PointMCD Studio", analytics_enabled=False, fill_width=True, delete_cache=(SWEEP_S, AGE_S)
    ) as page:
        visit = gr.State(Visit(), time_to_live=AGE_S)  # every event gives it back: that renews its time
        with gr.Row(elem_id="studio", equal_height=False):
            side = side_column()
            with gr.Column(elem_id="main", scale=1):
                viewer = AnalysisViewer(
                    {"loading": True},
                    predict_kept=kept_predictor(get_models),
                    explain_cell=cells.explainer(),
                    own_route=True,
                )

        wire(page, Touches(get_models, cells), visit, side, viewer)
        add_downloads(side, visit)
        add_endpoint(side.boxes, get_models)

    built: gr.Blocks = page
    return built
