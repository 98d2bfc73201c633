"""Who is here? The visits that the server keeps, and the places that each visitor has in the queue."""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

# An analysis takes about 10 MB, and its shape what was read (five million points: 120 MB); the visitor who was
# inactive longest is forgotten first.
VISITS_KEPT = 100
PLACES = 4  # in the queue, for one visitor
PLACES_AN_ADDRESS = 64  # of the 128 in all: a class behind one router shares them
LIVE_AN_ADDRESS = 60  # of the visits that are kept
IDLE_S = 60  # a visit without an open page makes room this long after its last touch
LEFT_S = 300  # and ends this long after it, even if the room is not needed
ANSWERS_KEPT = 128  # of calls without a session


class Busy(Exception):
    """There is no room now; the message says so."""


@dataclass
class _Session:
    address: str
    used: float
    pages: int = 0
    had_page: bool = False


class Sessions:
    """Admits visits, each known by its session hash, and forgets those without an open page.

    A visitor with an open page is never forgotten: a flood of invented hashes is refused, or replaces itself.

    Args:
        kept: Most visits at a time.
        waiting: Names the session and the address of everything that is in the queue or being worked on.
        forget: Called with the session that has made room.
        clock: Seconds; for tests.
    """

    def __init__(
        self,
        kept: int,
        waiting: Callable[[], Iterable[tuple[str, str]]],
        forget: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kept, self._waiting, self._forget, self._clock = kept, waiting, forget, clock
        self._sessions: OrderedDict[str, _Session] = OrderedDict()  # the longest unused first
        self._calls: OrderedDict[str, None] = OrderedDict()

    def admit(self, session: str, address: str) -> None:
        """Let a session in, or in again.

        Raises:
            Busy: Visits with an open page, or touched just now, take all the places.
        """
        self._let_in(session, address, lambda known: self._clock() - known.used > IDLE_S)

    def _let_in(self, session: str, address: str, gives_way: Callable[[_Session], bool]) -> _Session:
        known = self._sessions.get(session)
        if known is None:
            if len(self._sessions) >= self._kept:
                self._make_room(gives_way)
            known = self._sessions[session] = _Session(address, 0.0)
        known.used = self._clock()
        self._sessions.move_to_end(session)
        return known

    def _make_room(self, gives_way: Callable[[_Session], bool]) -> None:
        working = {session for session, _ in self._waiting()}
        for session, known in self._sessions.items():
            if not known.pages and session not in working and gives_way(known):
                del self._sessions[session]
                self._forget(session)
                return
        raise Busy("This server has as many visitors as it can take: try again in a minute.")

    def forget_left(self) -> None:
        """Forget the visits whose page was closed a while ago: each keeps some 7 MB of pictures."""
        working = {session for session, _ in self._waiting()}
        for session, known in list(self._sessions.items()):
            if not known.pages and session not in working and self._clock() - known.used > LEFT_S:
                del self._sessions[session]
                self._forget(session)

    def admit_call(self, session: str) -> None:
        """Let in a call of a program that has no session: its answer is kept until enough others have come."""
        self._calls[session] = None
        while len(self._calls) > ANSWERS_KEPT:
            self._forget(self._calls.popitem(last=False)[0])

    @contextmanager
    def open_page(self, session: str, address: str) -> Iterator[None]:
        """Hold a session for as long as its page is open.

        Raises:
            Busy: There is no room, or one address has too many.
        """
        if sum(known.pages > 0 for known in self._sessions.values() if known.address == address) >= LIVE_AN_ADDRESS:
            raise Busy("Too many pages are open at your address: close one, then reload.")

        # A page takes precedence over sessions that never had one: otherwise invented names would keep pages out.
        def idle_or_invented(known: _Session) -> bool:
            return not known.had_page or self._clock() - known.used > IDLE_S

        known = self._let_in(session, address, idle_or_invented)
        known.pages += 1
        known.had_page = True
        try:
            yield
        finally:
            known.pages -= 1
            known.used = self._clock()

    def has_page(self, session: str) -> bool:
        """Say whether this visit has an open page."""
        return session in self._sessions and self._sessions[session].pages > 0

    def check_place(self, session: str, address: str) -> None:
        """Check that a visitor has a place left in the queue.

        A visitor is a page, known by its session; everything from one address without a page counts as one visitor.

        Raises:
            Busy: All are taken.
        """
        waiting = list(self._waiting())
        if self.has_page(session):
            held = sum(other == session for other, _ in waiting)
        else:
            held = sum(other == address and not self.has_page(one) for one, other in waiting)
        if held >= PLACES or Counter(other for _, other in waiting)[address] >= PLACES_AN_ADDRESS:
            raise Busy(f"Busy: {held} of your questions are still waiting. Try again when one is answered.")
