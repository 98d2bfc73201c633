"""How do tests speak to a server of their own, as programs do that are no browsers?"""

from __future__ import annotations

import http.client
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

CUBE = (
    b"OFF\n8 6 0\n0 0 0\n1 0 0\n1 1 0\n0 1 0\n0 0 2\n1 0 2\n1 1 2\n0 1 2\n"
    b"4 0 1 2 3\n4 4 5 6 7\n4 0 1 5 4\n4 1 2 6 5\n4 2 3 7 6\n4 3 0 4 7\n"
)


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(page: Any, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
    """Send one request to a served page; header names have underscores for dashes."""
    line = http.client.HTTPConnection("127.0.0.1", page.server_port, timeout=60)
    try:
        line.request(method, path, body, {name.replace("_", "-"): text for name, text in headers.items()})
        answer = line.getresponse()
        return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
    finally:
        line.close()


def post(page: Any, path: str, question: Any, **headers: str) -> Answer:
    """Send JSON to an address below /gradio_api."""
    return ask(page, "POST", f"/gradio_api/{path}", json.dumps(question).encode(), content_type="application/json",
               **headers)  # fmt: skip


def form(*files: tuple[str, bytes]) -> tuple[bytes, str]:
    """Write a form of files; give its body and its content type."""
    edge = secrets.token_hex(8)
    parts = [
        f'--{edge}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'.encode() + body + b"\r\n"
        for name, body in files
    ]
    return b"".join(parts) + f"--{edge}--\r\n".encode(), f"multipart/form-data; boundary={edge}"


def upload(page: Any, *files: tuple[str, bytes]) -> Answer:
    """Send files as the page does, all in one request."""
    body, kind = form(*files)
    return ask(page, "POST", "/gradio_api/upload", body, content_type=kind)


def upload_head(length: int, kind: str) -> bytes:
    """The head of a request that sends a form, for who means to send only some of it."""
    lines = (
        "POST /gradio_api/upload HTTP/1.1",
        "Host: localhost",
        f"Content-Type: {kind}",
        f"Content-Length: {length}",
    )
    return "\r\n".join((*lines, "", "")).encode()


def file_data(path: str) -> dict[str, Any]:
    """A file as Gradio's clients name it in a question."""
    return {"path": path, "meta": {"_type": "gradio.FileData"}}


def number_of(page: Any, function: str) -> int:
    """The number under which the page asks for a function of ours."""
    return next(number for number, one in page.fns.items() if one.api_name == function)


def join(page: Any, session: str, function: str, data: list[Any], **more: Any) -> Answer:
    """Ask for a function as the page does, without waiting for the answer."""
    question = {"session_hash": session, "fn_index": number_of(page, function), "data": data, **more}
    return post(page, "queue/join", question)


def await_answers(page: Any, session: str, count: int = 1) -> list[dict[str, Any]]:
    """Wait for that many answers to a session's questions."""
    line = http.client.HTTPConnection("127.0.0.1", page.server_port, timeout=120)
    line.request("GET", f"/gradio_api/queue/data?session_hash={session}")
    answer, done = line.getresponse(), []
    try:
        while len(done) < count and (text := answer.readline()):
            if text.startswith(b"data:") and (message := json.loads(text[5:]))["msg"] == "process_completed":
                done.append(message)
    finally:
        line.close()
    return done


@contextmanager
def open_page(page: Any, session: str) -> Iterator[None]:
    """Hold the line by which a browser says that its page is open."""
    line = http.client.HTTPConnection("127.0.0.1", page.server_port, timeout=60)
    line.request("GET", f"/gradio_api/heartbeat/{session}")
    answer = line.getresponse()
    assert answer.status == 200, answer.read()
    assert answer.readline().startswith(b"data: ALIVE")
    try:
        yield
    finally:
        line.close()
