"""Where are visitors' files kept, how much may each visitor send, and when are the files deleted?"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import secrets
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from viz.server.names import PREFIX

AGE_S = 7200  # then a visitor's file is deleted
SWEEP_S = 600
FILES_A_CLIENT = 64
BYTES_A_CLIENT = 500 * 2**20
BYTES_IN_ALL = 2 * 2**30
UPLOADS_A_CLIENT = 4  # at once
UPLOADS_IN_ALL = 16
SILENCE_S = 30  # an upload that sends nothing for this long is aborted
_FORM_OVERHEAD = 2**16  # what a form adds to its one file
_TOO_BIG = "The file exceeds the maximum allowed size of {:.0f} MB: save a smaller version."
_NAME = "uploads"


@dataclass
class _Progress:
    name: str = ""
    sent: int = 0
    done: bool = False


@dataclass
class Uploads:
    """Takes files from browsers, each into a folder with a name that only its sender learns.

    What a client sent first makes room for what it sends now; nobody else's files do.

    Attributes:
        folder: Where they go; what our own programs write there counts as one more client's.
        largest: Most bytes in a file.
        age_s: Seconds after which a file is deleted.
    """

    folder: Path
    largest: int
    age_s: int
    _owners: dict[str, str] = field(default_factory=dict)
    _running: Counter[str] = field(default_factory=Counter)
    _progress: dict[str, _Progress] = field(default_factory=dict)

    def routes(self) -> list[Route]:
        """Answer the two addresses where Gradio's client sends files and asks for their progress."""
        return [
            Route("/gradio_api/upload", self._take, methods=["POST"]),
            Route("/gradio_api/upload_progress", self._tell_progress),
        ]

    def clear(self) -> None:
        """Delete everything this server received."""
        for name in list(self._owners):
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def make_room(self, client: str, coming: int) -> bool:
        """Delete old files, and this client's oldest ones as needed; say whether there is room now."""
        now, sizes, born = time.time(), {}, {}
        for kept in self.folder.iterdir():
            with contextlib.suppress(OSError):
                born[kept] = kept.stat().st_mtime
                sizes[kept] = sum(file.stat().st_size for file in kept.iterdir()) if kept.is_dir() else 0

        def drop(kept: Path) -> None:
            shutil.rmtree(kept, ignore_errors=True)
            self._owners.pop(kept.name, None)
            del sizes[kept]

        for kept in [kept for kept in sizes if now - born[kept] > self.age_s]:
            drop(kept)
        for owner in {client, ""}:
            own = sorted((kept for kept in sizes if self._owners.get(kept.name, "") == owner), key=born.__getitem__)
            more = coming if owner == client else 0
            while own and (len(own) >= FILES_A_CLIENT or sum(sizes[k] for k in own) + more > BYTES_A_CLIENT):
                drop(own.pop(0))
        return sum(sizes.values()) + coming <= BYTES_IN_ALL

    async def _take(self, request: Request) -> Response:
        client = request.client.host if request.client else ""
        if self._running[client] >= UPLOADS_A_CLIENT or self._running.total() >= UPLOADS_IN_ALL:
            return PlainTextResponse("Busy: other files are still being sent. Try again in a moment.", 503)
        length = request.headers.get("content-length", "")
        if length.isdecimal() and int(length) > self.largest + _FORM_OVERHEAD:
            return PlainTextResponse(_TOO_BIG.format(self.largest / 2**20), 413)
        progress = self._progress.setdefault(request.query_params.get("upload_id", "")[:64], _Progress())
        self._running[client] += 1
        try:
            return await self._read(request, client, progress)
        except _TooBig:
            return PlainTextResponse(_TOO_BIG.format(self.largest / 2**20), 413)
        except MultiPartException as error:
            return PlainTextResponse(f"Send one file in a form: {error.message}", 400)
        except (ClientDisconnect, TimeoutError):
            return PlainTextResponse("The file did not arrive whole: send it again.", 408)
        finally:
            self._running[client] -= 1
            if not self._running[client]:
                del self._running[client]
            progress.done = True
            asyncio.get_running_loop().call_later(SILENCE_S, self._forget_progress, progress)

    async def _read(self, request: Request, client: str, progress: _Progress) -> Response:
        counted = Request(request.scope, _counting(request.receive, self.largest + _FORM_OVERHEAD, progress))
        if not request.headers.get("content-type", "").startswith("multipart/form-data"):
            return PlainTextResponse("Send one file in a form.", 400)
        # Starlette keeps what arrives in unnamed files, which vanish whatever happens.
        async with counted.form(max_files=1, max_fields=8) as form:
            file = form.get("files")
            if not isinstance(file, UploadFile):
                return PlainTextResponse("Send one file in a form, called files.", 400)
            if (file.size or 0) > self.largest:
                raise _TooBig
            if not await run_in_threadpool(self.make_room, client, file.size or 0):
                return PlainTextResponse("The server's disk is full: try again later.", 507)
            folder = Path(tempfile.mkdtemp(prefix=secrets.token_urlsafe(24), dir=self.folder))
            self._owners[folder.name] = client
            path = folder / _harmless(file.filename or "")
            try:
                await run_in_threadpool(_copy, file, path)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
        return JSONResponse([f"{PREFIX}{_NAME}/{folder.name}/{path.name}"])

    def _forget_progress(self, progress: _Progress) -> None:
        for key in [key for key, one in self._progress.items() if one is progress]:
            del self._progress[key]

    async def _tell_progress(self, request: Request) -> Response:
        """Report an upload's progress as events; Gradio's page asks before or while it sends."""
        key = request.query_params.get("upload_id", "")[:64]
        for _ in range(60):
            if key in self._progress:
                break
            await asyncio.sleep(0.05)
        # Where the browser refuses a file itself, it asks all the same, and nothing ever comes.
        progress = self._progress.get(key, _Progress(done=True))

        async def events() -> AsyncIterator[str]:
            told = 0
            while not progress.done:
                if progress.sent > told and progress.name:
                    message = {"msg": "update", "orig_name": progress.name, "chunk_size": progress.sent - told}
                    told = progress.sent
                    yield f"data: {json.dumps(message)}\n\n"
                await asyncio.sleep(0.05)
            yield 'data: {"msg": "done"}\n\n'

        return StreamingResponse(events(), media_type="text/event-stream")


class _TooBig(Exception):
    """More arrived than is allowed."""


def _counting(
    receive: Callable[[], Awaitable[Any]], most: int, progress: _Progress
) -> Callable[[], Awaitable[dict[str, Any]]]:
    """Count what arrives; stop where it is too much or too slow."""

    async def counted() -> dict[str, Any]:
        message: dict[str, Any] = await asyncio.wait_for(receive(), SILENCE_S)
        body = message.get("body", b"")
        if not progress.name and (named := re.search(rb'filename="([^"\r\n]{0,300})"', body[:4096])):
            progress.name = named[1].decode("utf-8", "replace")
        progress.sent += len(body)
        if progress.sent > most:
            raise _TooBig
        return message

    return counted


def _copy(file: UploadFile, path: Path) -> None:
    with path.open("wb") as copy:
        shutil.copyfileobj(file.file, copy, 2**20)


def _harmless(name: str) -> str:
    """Strip a file's name of everything with a meaning in a path; keep its ending."""
    name = re.sub(r"[^\w .()+-]+", "_", name.replace("\\", "/").rpartition("/")[2]).strip(" .")
    stem, dot, ending = name.rpartition(".")
    return f"{stem[:80]}{dot}{ending[:16]}" or "file"
