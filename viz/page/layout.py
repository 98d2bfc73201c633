"""Where does everything stand on the page?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from pointmcd.choices import AUTO
from pointmcd.shapes.load import EXTENSIONS, MAX_FILE_BYTES
from viz.components import asset, in_place
from viz.page.examples import thumbnails
from viz.page.options import (
    ELEVATIONS_DEG,
    POINTS,
    SEEDS,
    VIEWS,
    Options,
    known_students,
    student_choices,
    up_choices,
    visibility_choices,
)

_HELP = {
    "Examples": (
        "Shapes made by this project, one for each kind of file.<br>"
        "Pick one: it is sampled, rendered, and read by the teacher and both students."
    ),
    "Your own file": (
        "A mesh or a point set of up to 100 MB and 5 million points; it stays on this server and is deleted soon.<br>"
        "Below stands what was done to it before the networks saw it."
    ),
    "Options": (
        "Visibility decides which points each camera sees; elevation and views place the cameras.<br>"
        "The seed chooses which points are sampled: the same seed gives the same numbers."
    ),
}


@dataclass(frozen=True, eq=False)
class OptionBoxes:
    """The inputs of `Options`, in the order of its fields, and the file's axis up."""

    student: gr.Dropdown
    visibility: gr.Dropdown
    views: gr.Slider
    points: gr.Slider
    seed: gr.Number
    elevation_deg: gr.Slider
    up: gr.Dropdown

    @property
    def choices(self) -> list[Any]:
        """List the boxes whose values `options_of` collects."""
        return [getattr(self, name) for name in vars(Options())]


@dataclass(frozen=True, eq=False)
class Side:
    """What stands on the left of the page."""

    gallery: gr.Gallery
    upload: gr.File
    card: gr.HTML
    boxes: OptionBoxes
    png: gr.Button
    npz: gr.Button
    json: gr.Button


def side_column() -> Side:
    """Lay out the column of what a visitor chooses from, top to bottom."""
    with gr.Column(elem_id="side", min_width=280, scale=0):
        _masthead()
        _section("Examples")
        gallery = _gallery()
        _section("Your own file")
        upload = in_place(gr.File(label=" ".join(EXTENSIONS), elem_id="upload", height=84))
        card = _card()
        _section("Options")
        boxes = _option_boxes()

        with gr.Row(elem_id="downloads"):
            png, npz, json = (gr.Button(name, size="sm", min_width=60) for name in ("PNG", "NPZ", "JSON"))

    return Side(gallery, upload, card, boxes, png, npz, json)


def _masthead() -> None:
    scripts = ("page/theme_button.js", "page/options.js", "page/gallery.js")
    gr.HTML(
        asset("page/header.html"),
        elem_id="masthead",
        apply_default_css=False,
        js_on_load="".join(asset(script) for script in scripts),
    )


def _section(title: str) -> None:
    """Put a heading with a "?" that opens two lines; both texts are ours."""
    gr.HTML(
        f"<div class='section-title'><h2>{title}</h2>"
        f"<details><summary aria-label='About: {title}'>?</summary><p>{_HELP[title]}</p></details></div>",
        elem_classes="section",
        js_on_load=None,
        apply_default_css=False,
    )


def _gallery() -> gr.Gallery:
    return gr.Gallery(
        thumbnails(),
        columns=4,
        allow_preview=False,
        show_label=False,
        container=False,
        buttons=[],
        object_fit="contain",
        elem_id="examples",
        interactive=False,
    )


def _card() -> gr.HTML:
    return gr.HTML(
        {},
        elem_id="card",
        html_template=asset("page/card.html"),
        apply_default_css=False,
        js_on_load=f"const largestUpload = {MAX_FILE_BYTES};\n{asset('page/card.js')}",
    )


def _option_boxes() -> OptionBoxes:
    first = Options()
    low, high = SEEDS
    with gr.Column(elem_id="options"):
        with gr.Row():
            students = student_choices(known_students())
            student = gr.Dropdown(students, value=first.student, label="Student", min_width=90)
            visibility = gr.Dropdown(visibility_choices(), value=first.visibility, label="Visibility", min_width=90)

        views = gr.Slider(*VIEWS, value=first.views, step=1, label="Views")
        points = gr.Slider(*POINTS, value=first.points, step=256, label="Points")
        elevation = gr.Slider(*ELEVATIONS_DEG, value=first.elevation_deg, step=5, label="Elevation °")

        with gr.Row():
            up = gr.Dropdown(up_choices(), value=AUTO, label="Up axis of the file", min_width=90)
            seed = gr.Number(first.seed, minimum=low, maximum=high, precision=0, label="Sampling seed", min_width=90)

    return OptionBoxes(student, visibility, views, points, seed, elevation, up)
