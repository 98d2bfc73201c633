"""What answers each touch of the page?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr

from pointmcd.records import UserError
from viz.bundle import make_bundle
from viz.cells import Cells
from viz.page.address import options_from_query
from viz.page.card import card_of, refusal
from viz.page.examples import examples
from viz.page.loading import Models, students_with_weights
from viz.page.options import known_students, options_of, student_choices, usable_options
from viz.page.queues import Lanes
from viz.page.reload import TOKENS, Arrival, first_source, gallery_index, open_first
from viz.page.shown import analyse
from viz.page.sources import Source, example_source, own_name_of
from viz.page.visit import Visit


class Touches:
    """Answers the events that need the networks, or wait in a lane."""

    def __init__(self, get_models: Callable[[], Models], cells: Cells) -> None:
        self._get_models, self._cells, self._lanes = get_models, cells, Lanes()

    def restore(self, token: str | None, name: str | None, request: gr.Request) -> tuple[Any, ...]:
        """Set the boxes to what the address bar says, at once: a visitor who is quick finds them set."""
        key, axis, options = options_from_query(dict(request.query_params), students=known_students())
        source = first_source(Arrival(key, axis, token or "", name or ""))
        return source.up, gr.Gallery(selected_index=gallery_index(source)), *vars(options).values()

    async def start(self, visit: Visit, token: str | None, name: str | None, request: gr.Request) -> Any:
        """Start a visit: show the file that this browser tab had, the example of the address bar, or the first one.

        It reads the address bar itself and is asked together with `restore`, which never waits for the networks:
        to be asked after it would cost the visitor another round trip, and to set the boxes here would undo what was
        chosen meanwhile.
        """
        own_file = TOKENS.find(token or "") is not None
        return await self._lanes.run(self._start, visit, token or "", name or "", request, own_file=own_file)

    def _start(self, visit: Visit, token: str, name: str, request: gr.Request) -> tuple[Visit, Any, Any, Any]:
        query = dict(request.query_params)
        offered = students_with_weights(self._get_models)
        key, axis, options = options_from_query(query, students=offered)
        if visit.wanted is None:  # else the visitor was quicker
            open_first(visit, Arrival(key, axis, token, name))

        asked = options_from_query(query, students=known_students())[2].student
        return *self.show(visit, *vars(options).values()), offer(offered, asked)

    async def turn(self, visit: Visit, up: str) -> Any:
        """Read the same file again with another axis up, in its lane."""
        own_file = visit.wanted is not None and visit.wanted.example is None
        return await self._lanes.run(turn, visit, up, own_file=own_file)

    def show(self, visit: Visit, *chosen: Any) -> tuple[Visit, Any, Any]:
        """Analyse the opened shape; where that fails, keep what is shown and say why.

        The shape stays opened whatever happens, so that another choice of options shows it.
        """
        options, opened, before = options_of(*chosen), visit.opened, visit.shown
        if opened is None:
            gone = "This visit's shape is no longer on the server: choose one again."
            return visit, gr.skip() if before else None, refusal(visit.refused or gone)
        if before and before.opened is opened and before.options == options:
            return visit, gr.skip(), gr.skip()

        usable, remark = usable_options(options, opened.shape)
        try:
            now = analyse(opened, usable, self._get_models(), before=before)
        except UserError as error:
            return visit, gr.skip() if before else {"error": str(error)}, refusal(error)

        visit.shown = now = replace(now, options=options)
        bundle = {**make_bundle(now.analysis), "ticket": self._cells.ticket_for(now.analysis)}
        return visit, bundle, card_of(now, [*bundle["notes"], *remark], refused=visit.refused)

    def show_with_options(self, visit: Visit, *chosen: Any) -> tuple[Visit, Any, Any]:
        """Do `show` after a touch of the options: the visitor has read what was refused before."""
        visit.refused = None
        return self.show(visit, *chosen)


def offer(students: tuple[str, ...], asked: str) -> Any:
    """List the students that can be chosen; the one that was asked for stays, unless it has no weights."""
    choices = student_choices(students)
    return gr.update(choices=choices) if asked in students else gr.update(choices=choices, value=students[0])


def axis_of(visit: Visit) -> Any:
    """Set the box of the up axis to the axis of the file that the visitor wants."""
    return visit.wanted.up if visit.wanted else gr.skip()


def choose_example(visit: Visit, event: gr.SelectData) -> tuple[Visit, Any, Any]:
    """Open an example of the gallery, with the axis up that suits its file."""
    keys = list(examples())
    if not (isinstance(event.index, int) and 0 <= event.index < len(keys)):
        return visit, gr.skip(), gr.skip()

    message = refusal(visit.choose(example_source(keys[event.index], "auto")))
    return visit, message, axis_of(visit)


def choose_upload(visit: Visit, file: str | None, own_name: str | None) -> tuple[Visit, Any, Any, Any, None]:
    """Open a visitor's file, with the axis up that suits it, and, where that succeeds, unmark the gallery's example.

    The file input is emptied, so that it stays a place to drop the next file; the card names what was read.
    """
    if file is None:
        return visit, gr.skip(), gr.skip(), gr.skip(), None

    source = TOKENS.keep(Source(Path(file), own_name_of(own_name or file)))
    message = refusal(visit.choose(source))

    # Compare tokens, because the same file may have been turned while it was read.
    is_newest = visit.wanted is not None and visit.wanted.token == source.token
    gallery = gr.Gallery(selected_index=None) if is_newest else gr.skip()
    return visit, message, axis_of(visit), gallery, None


def turn(visit: Visit, up: str) -> tuple[Visit, Any, Any]:
    """Read the same file again with another axis up; where that is refused, the box goes back."""
    if visit.wanted is None:
        return visit, gr.skip(), gr.skip()

    refused = visit.choose(replace(visit.wanted, up=up))
    return visit, refusal(refused), gr.skip() if refused is None else axis_of(visit)
