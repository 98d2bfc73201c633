"""What does the server have to know of Gradio's insides? All that is not documented there is touched here alone."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from viz.server.mishaps import BriefTraceback


class Inside:
    """A look into a page's queue and its sessions.

    Written for Gradio 6.31; tests/page/test_server_sessions.py says which of these names went where it moves on.

    Args:
        page: A `gradio.Blocks` with a queue.
    """

    def __init__(self, page: Any) -> None:
        self._page = page
        # Its queue prints some forty lines for each answer that fails, which anybody can cause.
        vars(sys.modules[type(page._queue).__module__])["traceback"] = BriefTraceback

    def waiting(self) -> Iterator[tuple[str, str]]:
        """Name session and address of each question that waits in the queue or is being answered."""
        for event in list(self._page._queue.event_ids_to_events.values()):
            yield event.session_hash, event.request.client.host if event.request.client else ""

    def forget(self, session: str) -> None:
        """Let go of all that is kept for a session: what it chose, and answers that it never fetched."""
        holder, queue = self._page.state_holder, self._page._queue
        holder.session_data.pop(session, None)
        holder.time_last_used.pop(session, None)
        queue.pending_messages_per_session.pop(session, None)
        queue.pending_event_ids_session.pop(session, None)
