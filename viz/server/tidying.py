"""What does the server clean up while it runs, and when it ends?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from starlette.concurrency import run_in_threadpool

from viz.server.sessions import Sessions
from viz.server.uploads import Uploads

EVERY_S = 10


def tidying(uploads: Uploads, sessions: Sessions) -> Callable[[Any], AbstractAsyncContextManager[None]]:
    """Make the server's lifespan: limit files and forget closed visits while it runs, delete its files at the end."""

    async def tidy() -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            sessions.forget_left()
            await run_in_threadpool(uploads.make_room, "", 0)

    @asynccontextmanager
    async def lifespan(_app: Any) -> AsyncIterator[None]:
        task = asyncio.create_task(tidy())
        try:
            yield
        finally:
            task.cancel()
            uploads.clear()

    return lifespan
