"""How do the viewer's colours become Gradio's?"""

from __future__ import annotations

import gradio as gr

from viz.theme import DARK, LIGHT

# Gradio's variable, and the colour of ours that it takes.
_COLOURS = {
    "body_background_fill": "page",
    "background_fill_primary": "panel",
    "block_background_fill": "panel",
    "body_text_color": "text",
    "body_text_color_subdued": "muted",
    "block_label_text_color": "muted",
    "block_title_text_color": "muted",
    "border_color_primary": "border",
    "border_color_accent": "accent",
    "slider_color": "accent",
    "input_background_fill": "panel",
    "input_border_color": "border-strong",
    "input_border_color_focus": "accent",
    "button_secondary_background_fill": "panel",
    "button_secondary_background_fill_hover": "inset",
    "button_secondary_border_color": "border-strong",
    "button_secondary_text_color": "text",
    "error_background_fill": "error-soft",
    "error_border_color": "error-text",
    "error_text_color": "error-text",
}


def gradio_theme() -> gr.themes.Base:
    """Make a quiet theme in the viewer's colours, with the system's own fonts, so that no font is fetched."""
    theme = gr.themes.Base(
        primary_hue="blue",
        neutral_hue="slate",
        spacing_size="sm",
        radius_size="sm",
        text_size="sm",
        font=("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"),
        font_mono=("ui-monospace", "SFMono-Regular", "Menlo", "monospace"),
    )
    light = {variable: LIGHT[colour] for variable, colour in _COLOURS.items()}
    dark = {f"{variable}_dark": DARK[colour] for variable, colour in _COLOURS.items()}
    return theme.set(**light, **dark, input_border_width="1px", button_border_width="1px")
