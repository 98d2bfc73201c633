"""Which touch leads to which answer, and what may overtake what?"""

from __future__ import annotations

from typing import Any

import gradio as gr

from viz.components import asset
from viz.page import queues
from viz.page.layout import Side
from viz.page.touches import Touches, choose_example, choose_upload

# Gradio strips a file's name of its special characters; the visitor has to find the file by the name it had.
_OWN_NAME_JS = "(visit, file) => [visit, file, file ? file.orig_name : '']"


def wire(page: gr.Blocks, touches: Touches, visit: gr.State, side: Side, viewer: gr.HTML) -> None:
    """Connect every touch of the page with what answers it."""
    token, own_name = gr.Textbox(visible=False), gr.Textbox(visible=False)
    boxes, card = side.boxes, side.card
    private: dict[str, Any] = {"api_visibility": "private", "show_progress_on": card}
    # Every choice is sent, and the visit keeps the newest: Gradio's "always_last" would repeat the first one,
    # because it sends the data of the event that it waited for. To show needs only what is chosen by then.
    choice: dict[str, Any] = {**private, "trigger_mode": "multiple"}
    then_show: dict[str, Any] = {
        "fn": touches.show,
        "inputs": [visit, *boxes.choices],
        "outputs": [visit, viewer, card],
        "trigger_mode": "always_last",
        **queues.MODEL,
        **private,
    }

    kept_upload = asset("page/kept_upload.js")
    page.load(
        touches.restore, [token, own_name], [boxes.up, side.gallery, *boxes.choices], js=f"() => ({kept_upload})()",
        queue=False, show_progress="hidden", api_visibility="private",
    )  # fmt: skip
    page.load(
        touches.start, [visit, token, own_name], [visit, viewer, card, boxes.student],
        js=f"(visit) => [visit, ...({kept_upload})()]", **queues.lane("start"), **private,
    )  # fmt: skip

    picked = side.gallery.select(choose_example, visit, [visit, card, boxes.up], **queues.EXAMPLE, **choice)
    dropped = side.upload.upload(
        choose_upload, [visit, side.upload, own_name], [visit, card, boxes.up, side.gallery, side.upload],
        js=_OWN_NAME_JS, **queues.READER, **choice,
    )  # fmt: skip
    turned = boxes.up.input(touches.turn, [visit, boxes.up], [visit, card, boxes.up], **queues.lane("turn"), **choice)
    for chosen in (picked, dropped, turned):
        chosen.then(**then_show)

    touched = [
        boxes.student.input, boxes.visibility.input, boxes.views.release, boxes.points.release,
        boxes.elevation_deg.release, boxes.seed.blur,
    ]  # fmt: skip
    gr.on(touched, **then_show | {"fn": touches.show_with_options})
