"""What does the file card say?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from viz.page.address import query_of
from viz.page.shown import Shown


def card_of(shown: Shown, notes: Sequence[str], *, refused: str | None = None) -> dict[str, Any]:
    """Describe the shape that is shown, under the refusal of a file that came after it."""
    source = shown.opened.source
    return {
        "name": shown.analysis.name,
        "notes": list(notes),
        "query": query_of(source, shown.options),
        "refusal": refused,
        "upload": {"token": source.token, "name": source.name} if source.token else None,
    }


def refusal(sentence: object) -> Any:
    """Put a refusal's sentence above what is still shown; without a sentence the card stays as it is."""
    return gr.skip() if sentence is None else {"refusal": str(sentence)}
