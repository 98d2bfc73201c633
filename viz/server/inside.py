"""What does the server need to know about Gradio's insides? Only this file touches what Gradio does not document."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from viz.server.mishaps import BriefTraceback


class Inside:
    """A view into a page's queue and sessions.

    Written for Gradio 6.31; tests/page/test_server_sessions.py fails where a later version moves one of these names.

    Args:
        page: A `gradio.Blocks` with a queue.
    """

    def __init__(self, page: Any) -> None:
        self._page = page
        # Its queue prints some forty lines for each failed answer, and any visitor can cause one.
        vars(sys.modules[type(page._queue).__module__])["traceback"] = BriefTraceback

    def waiting(self) -> Iterator[tuple[str, str]]:
        """Name session and address of each question that waits in the queue or is being answered."""
        for event in list(self._page._queue.event_ids_to_events.values()):
            yield event.session_hash, event.request.client.host if event.request.client else ""

    def forget(self, session: str) -> None:
        """Drop everything kept for a session: its choices, and answers it never fetched."""
        holder, queue = self._page.state_holder, self._page._queue
        holder.session_data.pop(session, None)
        holder.time_last_used.pop(session, None)
        queue.pending_messages_per_session.pop(session, None)
        queue.pending_event_ids_session.pop(session, None)
