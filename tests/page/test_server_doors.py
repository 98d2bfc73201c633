"""Which doors does the server keep shut? Nothing is opened, fetched, looked up or kept for whoever only asks for it."""

from __future__ import annotations

import http.client
import json
import logging
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import app
from tests.loopback import CUBE, ask, await_answers, file_data, form, join, post, upload, upload_head
from viz.page.examples import EXAMPLE_FOLDER

OPTIONS = ["pointnet", "auto", 4, 256, 0, 30, "auto"]


@pytest.fixture(scope="module")
def page(random_models: Any) -> Iterator[Any]:
    served = app.serve(random_models, port=24100)
    yield served
    served.close()


def kept(page: Any) -> list[Path]:
    """The files that the server holds for visitors."""
    return [path for path in Path(page.app.uploaded_file_dir).rglob("*") if path.is_file()]


def test_no_queued_function_can_be_called_past_the_queue(page: Any) -> None:
    for number, function in page.fns.items():
        if function.queue:
            for address in (f"run/{function.api_name}", f"api/{function.api_name}", "run/predict"):
                answer = post(page, address, {"data": [], "fn_index": number, "session_hash": "past"})
                assert answer.status == 404, (function.api_name, address)


def test_queued_calls_are_answered_with_and_without_a_session(page: Any) -> None:
    [name] = upload(page, ("cube.off", CUBE)).json
    assert join(page, "queued", "analyze", [file_data(name), *OPTIONS]).status == 200
    [answer] = await_answers(page, "queued")
    assert answer["success"]
    assert answer["output"]["data"][0]["views"] == 4
    event = post(page, "call/analyze", {"data": [file_data(name), *OPTIONS]}).json["event_id"]
    said = ask(page, "GET", f"/gradio_api/call/analyze/{event}").body.decode()
    assert "event: complete" in said
    assert '"name": "cube.off"' in said


@pytest.fixture
def outside(monkeypatch: pytest.MonkeyPatch, page: Any) -> Iterator[tuple[str, list[Any]]]:
    """A server that is none of ours, and a list of all that anybody in this process connects to or looks up."""
    reached: list[Any] = []
    connect, look_up = socket.socket.connect, socket.getaddrinfo

    def noted_connect(self: socket.socket, address: Any) -> None:
        if address != ("127.0.0.1", page.server_port):  # that is the test itself
            reached.append(address)
        return connect(self, address)

    def noted_look_up(host: Any, *rest: Any, **more: Any) -> Any:
        if host not in ("127.0.0.1", b"127.0.0.1"):
            reached.append(host)
        return look_up(host, *rest, **more)

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        monkeypatch.setattr(socket.socket, "connect", noted_connect)
        monkeypatch.setattr(socket, "getaddrinfo", noted_look_up)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/big.off", reached


@pytest.mark.parametrize("where", ["path", "url", "both", "in a seed", "in the event's data", "deep inside"])
@pytest.mark.parametrize("kind", ["an address", "a name that is looked up", "a server's own file", "another's folder"])
def test_a_question_opens_nothing_but_its_senders_upload(
    where: str, kind: str, page: Any, outside: tuple[str, list[Any]]
) -> None:
    address, reached = outside
    named = {
        "an address": address,
        "a name that is looked up": "http://models.invalid/cube.off",
        "a server's own file": str(EXAMPLE_FOLDER / "chair.off"),
        "another's folder": "/-/uploads/../../chair.off",
    }[kind]
    file = {
        "path": file_data(named), "url": {"path": None, "url": named, "meta": {"_type": "gradio.FileData"}},
        "both": file_data(named) | {"url": named},
    }.get(where, file_data(named))  # fmt: skip
    data, more = [file, *OPTIONS], {}
    if where == "in a seed":
        data = [None, *OPTIONS[:4], file, *OPTIONS[5:]]
    elif where == "in the event's data":
        data, more = [None, *OPTIONS], {"event_data": {"value": {"image": file}}}
    elif where == "deep inside":
        data = [{"a": [[{"b": file}]]}, *OPTIONS]
    assert join(page, "sneaky", "analyze", data, **more).status == 403
    time.sleep(0.05)
    assert reached == []


@pytest.mark.parametrize(
    "path",
    ["file={}", "file=http://models.invalid/x", "file=ftp://models.invalid/x", "proxy={}", "file/{}",
     "file=/etc/passwd", "file=/-/uploads/../../lock", "file=/-/page/app.py", "file=app.py", "file=/-/examples",
     "file=/-/examples/../shapes/chair.off", "file=/-/examples/%2e%2e/shapes/chair.off", "file=//models.invalid/x"],
)  # fmt: skip
def test_no_address_opens_a_file_that_is_not_the_pages_own(
    path: str, page: Any, outside: tuple[str, list[Any]]
) -> None:
    address, reached = outside
    assert ask(page, "GET", "/gradio_api/" + path.format(address)).status in (403, 404)
    assert reached == []


def test_thumbnails_and_own_uploads_are_opened_under_their_names(page: Any) -> None:
    assert ask(page, "GET", "/gradio_api/file=/-/examples/chair.png").body.startswith(b"\x89PNG")
    [name] = upload(page, ("cube.off", CUBE)).json
    assert ask(page, "GET", f"/gradio_api/file={name}").body == CUBE


def test_nobody_learns_the_name_of_anothers_upload_from_the_file(page: Any) -> None:
    [mine], [yours] = upload(page, ("cube.off", CUBE)).json, upload(page, ("cube.off", CUBE)).json
    assert mine != yours
    assert all(re.fullmatch(r"/-/uploads/[\w-]{32,}/cube\.off", name) for name in (mine, yours))


@pytest.mark.parametrize(
    "path",
    ["monitoring", "monitoring/summary", "gradio_api/deep_link?session_hash=x", "gradio_api/vibe-code",
     "gradio_api/runs", "gradio_api/token", "gradio_api/dev/reload", "login", "docs",
     "gradio_api/custom_component/a/client/b/c.js"],
)  # fmt: skip
def test_what_the_page_does_not_need_is_not_there(path: str, page: Any) -> None:
    assert ask(page, "GET", f"/{path}").status == 404
    assert post(page, path.removeprefix("gradio_api/"), {}).status in (400, 404)


def test_a_question_has_at_most_two_megabytes(page: Any) -> None:
    answer = post(page, "queue/join", {"session_hash": "big", "fn_index": 0, "data": ["x" * 2**21]})
    assert answer.status == 413
    assert "2 MB" in answer.json["error"]


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"1", b"[" * 10**5, b'{"a":' * 10**5, b"\xff", b'"session_hash"'])
def test_what_is_no_question_is_refused_with_a_sentence(body: bytes, page: Any) -> None:
    answer = ask(page, "POST", "/gradio_api/queue/join", body, content_type="application/json")
    assert answer.status in (400, 403)
    assert answer.json["error"].endswith(".")


def test_what_gradio_trips_over_again_and_again_is_one_line_each_time(
    page: Any, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    def trip(number: int) -> None:
        assert post(page, "queue/join", {"session_hash": "odd", "fn_index": 999 + number, "data": []}).status == 500
        assert join(page, "odd", "analyze", [None, "no student", *OPTIONS[1:]]).status == 200
        assert not await_answers(page, "odd")[0]["success"]

    trip(0)
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        for number in range(1, 6):
            trip(number)
    assert len(caplog.records) == 10
    assert not any(record.exc_info or "\n" in record.getMessage() for record in caplog.records)
    assert "Traceback" not in capfd.readouterr().err


def test_one_request_brings_one_file(page: Any) -> None:
    before = kept(page)
    assert upload(page, *[(f"{i}.off", CUBE) for i in range(3)]).status == 400
    assert upload(page).status == 400
    assert kept(page) == before


def test_a_request_above_the_limit_is_refused_before_it_is_sent(page: Any) -> None:
    _, kind = form(("a.off", b""))
    line = http.client.HTTPConnection("127.0.0.1", page.server_port, timeout=10)
    line.putrequest("POST", "/gradio_api/upload")
    line.putheader("Content-Type", kind)
    line.putheader("Content-Length", str(180 * 2**20))
    line.endheaders()
    answer = line.getresponse()
    assert answer.status == 413
    assert b"100 MB" in answer.read()
    line.close()


def test_aborted_uploads_leave_neither_files_nor_lines(page: Any, caplog: pytest.LogCaptureFixture) -> None:
    before, (body, kind) = kept(page), form(("big.off", b"x" * 3 * 2**20))
    head = upload_head(len(body), kind)
    with caplog.at_level(logging.WARNING):
        for _ in range(30):
            with socket.create_connection(("127.0.0.1", page.server_port)) as line:
                line.sendall(head + body[: 2 * 2**20])
        time.sleep(1)
    assert kept(page) == before
    assert not caplog.records
    assert upload(page, ("cube.off", CUBE)).status == 200, "nobody's place is lost"


def test_an_analysis_leaves_nothing_beside_the_upload(page: Any) -> None:
    [name] = upload(page, ("once.off", CUBE)).json
    before = kept(page)
    join(page, "tidy", "analyze", [file_data(name), *OPTIONS])
    assert await_answers(page, "tidy")[0]["success"]
    assert kept(page) == before


def test_a_fourth_upload_waits_and_a_fifth_is_told_so(page: Any) -> None:
    body, kind = form(("slow.off", b"x" * 2**20))
    head = upload_head(len(body), kind)
    lines = [socket.create_connection(("127.0.0.1", page.server_port)) for _ in range(4)]
    try:
        for line in lines:
            line.sendall(head + body[:100])
        time.sleep(0.5)
        answer = upload(page, ("cube.off", CUBE))
        assert (answer.status, answer.body.startswith(b"Busy")) == (503, True)
    finally:
        for line in lines:
            line.close()
    time.sleep(0.5)
    assert upload(page, ("cube.off", CUBE)).status == 200


def test_the_page_can_follow_an_upload(page: Any) -> None:
    told: list[str] = []
    body, kind = form(("followed.off", CUBE * 2000))
    follow = threading.Thread(
        target=lambda: told.append(ask(page, "GET", "/gradio_api/upload_progress?upload_id=one").body.decode())
    )
    follow.start()
    assert ask(page, "POST", "/gradio_api/upload?upload_id=one", body, content_type=kind).status == 200
    follow.join(20)
    messages = [json.loads(line[5:]) for line in told[0].split("\n") if line]
    assert messages[-1] == {"msg": "done"}
    assert all(message["orig_name"] == "followed.off" for message in messages[:-1])
    never = ask(page, "GET", "/gradio_api/upload_progress?upload_id=none")
    assert (never.status, never.body) == (200, b'data: {"msg": "done"}\n\n')
