"""Which requests reach Gradio, and what do its answers reveal?"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.responses import JSONResponse

from viz.server.mishaps import tell
from viz.server.names import Forbidden, Names
from viz.server.sessions import Busy, Sessions
from viz.server.settings import USER, Settings

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

LARGEST_QUESTION = 2 * 2**20  # bytes of JSON
API = "/gradio_api"
# Gradio has many more addresses: a proxy, file downloads, code editing, recordings. The page needs these.
_READ = re.compile(
    r"/|/config/?|/theme\.css|/favicon\.ico|/robots\.txt|/manifest\.json|/plotly-[\w.-]+\.js|/viewer-\w+/\w+\.js"
    r"|/(?:assets|static|svelte)/.+"
    r"|/gradio_api/(?:info/?|openapi\.json|theme\.css|startup-events|app_id/?|upload_progress|login_check/?"
    r"|queue/data|queue/status|heartbeat/[\w-]{1,64}|call/analyze/\w+|file=.+)"
)
_ASK = re.compile(rf"{API}/(?:queue/join|call/analyze/?|run/\w+/?|component_server/?|cancel|reset/?)")
_PUT = re.compile(rf"{API}/upload")
_QUEUED = re.compile(rf"{API}/(?:queue/join|call/analyze/?)")
_HEARTBEAT = re.compile(rf"{API}/heartbeat/(.+)")
_FILE = f"{API}/file="
_TEXT = ("text/html", "application/json", "text/event-stream")
_CONTENT_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' data: blob:; worker-src 'self' blob:; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors {frames}"
)


class Refused(Exception):
    """A request is answered with a status and one sentence."""

    def __init__(self, status: int, sentence: str, **headers: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence
        self.headers = {name.replace("_", "-"): text for name, text in headers.items()}


def guarded(settings: Settings, names: Names, sessions: Sessions) -> Middleware:
    """Put a `Guard` before the page."""
    return Middleware(Guard, settings=settings, names=names, sessions=sessions)


class Guard:
    """Stands before the page: an ASGI application around Gradio's.

    Args:
        app: Gradio's.
        settings: Which names are answered, and who may ask.
        names: Names of the files that may be asked for.
        sessions: Who is here.
    """

    def __init__(self, app: App, *, settings: Settings, names: Names, sessions: Sessions) -> None:
        self._app, self._settings, self._names, self._sessions = app, settings, names, sessions
        self._joining = asyncio.Lock()
        policy = _CONTENT_POLICY.format(frames=settings.frames)
        self._headers = {
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "same-origin",
            "Content-Security-Policy": policy,
        }

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer, refuse, or pass on."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        outgoing = _Outgoing(send, self._headers, self._names)
        incoming = _Incoming(receive)
        try:
            await self._pass_on(dict(scope), incoming, outgoing)
        except Refused as refused:
            await _answer(refused, scope, incoming, outgoing)
        except Busy as busy:
            await _answer(Refused(503, str(busy), Retry_After="5"), scope, incoming, outgoing)
        except Exception as error:  # noqa: BLE001  Gradio may trip over a stranger's request in any way
            if incoming.left:
                return
            tell(error, f"{scope['method']} {scope['path'][:80]!r}")
            if not outgoing.started:
                await _answer(Refused(500, "The server could not answer this question."), scope, incoming, outgoing)

    async def _pass_on(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        scope["headers"] = self._checked_headers(scope)
        path = self._path(scope)
        method, client = scope["method"], (scope.get("client") or ("",))[0]
        self._check_password(scope, path)
        if method in ("GET", "HEAD") and _READ.fullmatch(path):
            if path.startswith(_FILE):
                self._name_file(scope, path)
            if beat := _HEARTBEAT.fullmatch(path):
                with self._sessions.open_page(beat[1], client):
                    await self._app(scope, receive, send)
                return
            await self._app(scope, receive, send)
        elif method == "POST" and _PUT.fullmatch(path):
            await self._app(scope, receive, send)
        elif method == "POST" and _ASK.fullmatch(path):
            await self._ask(scope, path, client, receive, send)
        else:
            raise Refused(404, "There is nothing at this address.")

    async def _ask(self, scope: MutableMapping[str, Any], path: str, client: str, receive: Receive, send: Send) -> None:
        """Pass on a question if it is small, names only the sender's own files, and has a place in the queue."""
        question = await _read_question(receive)
        try:
            question = self._names.real_files(question)
        except (Forbidden, RecursionError):
            raise Refused(403, "Only a file that you have uploaded can be opened: send it first.") from None
        session = question.get("session_hash")
        if session is not None and not (isinstance(session, str) and re.fullmatch(r"[\w-]{1,64}", session)):
            raise Refused(400, "A session is named by letters and digits.")
        if session is None:
            session = question["session_hash"] = f"call-{secrets.token_hex(16)}"
            self._sessions.admit_call(session)
        else:
            self._sessions.admit(session, client)
        scope = _with_body_length(scope, body := json.dumps(question).encode())
        if not _QUEUED.fullmatch(path):
            await self._app(scope, _replay(body, receive), send)
            return
        async with self._joining:  # no other question comes in between counting and queueing
            await self._find_place(session, client)
            await self._app(scope, _replay(body, receive), send)

    async def _find_place(self, session: str, client: str) -> None:
        for _ in range(10):  # a page's own connection may come a moment after its first question
            try:
                return self._sessions.check_place(session, client)
            except Busy:
                if self._sessions.has_page(session) or session.startswith("call-"):
                    raise
                await asyncio.sleep(0.02)
        return self._sessions.check_place(session, client)

    def _checked_headers(self, scope: MutableMapping[str, Any]) -> list[tuple[bytes, bytes]]:
        """Check the host's name, and drop other headers that claim where the page is served."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        forwarded = headers.get("x-forwarded-host", "").split(",")[0].strip()
        if self._settings.trusts_proxy and forwarded:
            host = forwarded
        if not self._settings.answers(host):
            raise Refused(400, "This server does not answer to that host name: see ALLOWED_HOSTS in docs/deploy.md.")
        drop = (b"host", b"x-forwarded-host", b"x-forwarded-proto", b"x-gradio-server")
        return [(b"host", host.encode("latin-1")), *(pair for pair in scope["headers"] if pair[0] not in drop)]

    def _path(self, scope: MutableMapping[str, Any]) -> str:
        """Return the path below the page's root, whether or not the proxy has stripped the root."""
        path: str = scope["path"]
        root = self._settings.root_path
        return path[len(root) :] or "/" if root and f"{path}/".startswith(f"{root}/") else path

    def _check_password(self, scope: MutableMapping[str, Any], path: str) -> None:
        wanted = self._settings.password
        if not wanted or path == f"{API}/startup-events":  # Gradio asks itself this when it starts
            return
        kind, _, given = Headers(scope=scope).get("authorization", "").partition(" ")
        expected = base64.b64encode(f"{USER}:{wanted}".encode())
        if kind.lower() != "basic" or not secrets.compare_digest(given.strip().encode(), expected):
            raise Refused(401, "A password is needed.", WWW_Authenticate='Basic realm="PointMCD Studio"')

    def _name_file(self, scope: MutableMapping[str, Any], path: str) -> None:
        try:
            real = self._names.real(path[len(_FILE) :])
        except Forbidden:
            raise Refused(403, "Only files of this page can be opened.") from None
        scope["path"] = f"{scope['path'][: -len(path)]}{_FILE}{real}"
        scope.pop("raw_path", None)


class _Incoming:
    """Remembers whether the asker has left."""

    def __init__(self, receive: Receive) -> None:
        self._receive, self.left = receive, False

    async def __call__(self) -> Message:
        message = await self._receive()
        self.left = self.left or message["type"] == "http.disconnect"
        return message


class _Outgoing:
    """Adds headers and replaces paths with names; a stated length waits for its body, which may get shorter."""

    def __init__(self, send: Send, headers: dict[str, str], names: Names) -> None:
        self._send, self._headers, self._names = send, headers, names
        self._held: Message | None = None
        self._is_text = self.started = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, text in self._headers.items():
                headers.setdefault(name, text)
            self._is_text = headers.get("content-type", "").startswith(_TEXT)
            if self._is_text and "content-length" in headers:
                self._held = message
                return
        elif message["type"] == "http.response.body" and self._is_text:
            message["body"] = self._names.hide(message.get("body", b""))
        if self._held is not None:
            start, self._held = self._held, None
            if message.get("body") and not message.get("more_body"):
                MutableHeaders(scope=start)["content-length"] = str(len(message["body"]))
            await self._send(start)
        self.started = True
        await self._send(message)


async def _answer(refused: Refused, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
    body = {"error": refused.sentence, "detail": refused.sentence}  # the page shows one, Gradio's client the other
    await JSONResponse(body, refused.status, headers=refused.headers)(scope, receive, send)


async def _read_question(receive: Receive) -> dict[str, Any]:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError
        body += message.get("body", b"")
        if len(body) > LARGEST_QUESTION:
            raise Refused(413, f"A question has at most {LARGEST_QUESTION / 2**20:.0f} MB.")
        if not message.get("more_body"):
            break
    try:
        question = json.loads(bytes(body))
    except (ValueError, RecursionError):
        question = None
    if not isinstance(question, dict):
        raise Refused(400, "A question is a JSON object.")
    return question


def _with_body_length(scope: MutableMapping[str, Any], body: bytes) -> MutableMapping[str, Any]:
    drop = (b"content-length", b"transfer-encoding")
    kept = [pair for pair in scope["headers"] if pair[0] not in drop]
    return {**scope, "headers": [*kept, (b"content-length", str(len(body)).encode())]}


def _replay(body: bytes, receive: Receive) -> Receive:
    """Replay a body that was already read, then pass on what follows."""
    given = False

    async def replayed() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed
