"""What does a program get that asks the running page? The same JSON as from the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr

from pointmcd.records import UserError
from viz.components import in_place
from viz.page import queues
from viz.page.downloads import summary_of
from viz.page.layout import OptionBoxes
from viz.page.loading import Models
from viz.page.options import options_of
from viz.page.shown import analyse
from viz.page.sources import Source, open_source


def add_endpoint(boxes: OptionBoxes, get_models: Callable[[], Models]) -> None:
    """Answer /analyze: with a file input of its own, and the page's options with their limits and defaults."""

    def analyze(
        file: str | None,
        student: str,
        visibility: str,
        views: float | int,
        points: float | int,
        seed: float | int | None,
        elevation_deg: float | int,
        up: str,
    ) -> dict[str, Any]:
        """Analyse one file; the answer is what `python -m pointmcd analyze FILE --json` prints."""
        if file is None:
            raise gr.Error("Send a file to analyse.", print_exception=False)

        options = options_of(student, visibility, views, points, seed, elevation_deg)
        try:
            opened = open_source(Source(Path(file), Path(file).name, up))
            return summary_of(analyse(opened, options, get_models()))
        except UserError as error:
            raise gr.Error(str(error), print_exception=False) from error

    file, answer = in_place(gr.File(visible=False)), gr.JSON(visible=False)
    trigger = gr.Button(visible=False)
    trigger.click(analyze, [file, *boxes.choices, boxes.up], answer, api_name="analyze", **queues.READER)
