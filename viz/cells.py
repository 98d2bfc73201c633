"""Which points lie behind a cell of the similarity matrix? The answer, for analyses that some page still shows.

A bundle holds the shares of the matrix's diagonal; those of all cells would be some hundred kilobytes. So a bundle gets
a ticket, by which its page, and nobody who was not given it, asks for one cell at a time.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from pointmcd.records import Analysis
from viz.bundle import pack_cell

if TYPE_CHECKING:
    from pointmcd.weights.models import Models


class Cells:
    """The analyses that can be asked about: each for as long as somebody else holds it."""

    def __init__(self, get_models: Callable[[], Models]) -> None:
        """Take the function that gives the networks; it is called with each question."""
        self._get_models = get_models
        self._analyses: WeakValueDictionary[str, Analysis] = WeakValueDictionary()

    def ticket_for(self, analysis: Analysis) -> str:
        """Make what a page has to show to ask about this analysis."""
        ticket = secrets.token_urlsafe(16)
        self._analyses[ticket] = analysis
        return ticket

    def explainer(self) -> Callable[[Any], dict[str, Any]]:
        """Make the function that the viewer asks; a plain function, because Gradio marks it."""

        def explain_cell(question: Any) -> dict[str, Any]:
            """Answer `{"ticket", "answer", "row", "column"}` by `pack_cell`'s dict; anything else by an empty one.

            It multiplies a 512-vector by a 512 x 1,024 matrix and copies one number a point: a millisecond or two.
            """
            from pointmcd.analysis.explain import cell_shares

            try:
                row, column = (int(question[key]) for key in ("row", "column"))
                analysis = self._analyses[str(question["ticket"])]
                key = str(question.get("answer", "plain" if question.get("plain") else "distilled"))
                shares, bias = cell_shares(analysis, self._get_models(), row=row, column=column, key=key)
            except (KeyError, TypeError, ValueError, OverflowError):
                return {}  # not a question of our viewer's, or of a page whose visit is over
            return pack_cell(analysis, shares, bias)

        return explain_cell
