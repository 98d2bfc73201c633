"""To whom does the server answer, under which names, and what stands above each answer?"""

from __future__ import annotations

import base64
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import app
from tests.loopback import ask, post
from viz.page.examples import REPOSITORY
from viz.server.names import Forbidden, Names
from viz.server.settings import forwarded_allow_ips, settings_from

OWN_NAME = socket.gethostname().lower()


@pytest.fixture(scope="module")
def page(random_models: Any) -> Iterator[Any]:
    served = app.serve(random_models, port=24300)
    yield served
    served.close()


@pytest.fixture
def behind_a_proxy(random_models: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The page at https://shapes.example.org/studio, for whoever knows the password."""
    for name, text in {
        "ALLOWED_HOSTS": "shapes.example.org", "ROOT_PATH": "/studio", "PASSWORD": "öffne dich",
        "FORWARDED_ALLOW_IPS": "127.0.0.1",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, text)
    served = app.serve(random_models, port=24350)
    yield served
    served.close()


@pytest.mark.parametrize(
    ("bound", "environ", "answered", "refused"),
    [
        ("127.0.0.1", {}, ["localhost", "localhost:7860", "127.0.0.1:80", "127.0.0.2", "[::1]:7860", "LOCALHOST."],
         ["evil.example", "10.0.0.1", f"{OWN_NAME}.evil.example", "", "localhost.evil.example", "127.0.0.1.evil"]),
        ("0.0.0.0", {}, ["192.168.1.7:7860", "[fe80::1]:80", OWN_NAME, f"{OWN_NAME}.local:7860", "localhost"],
         ["evil.example", "192.168.1.7.evil.example", ""]),
        ("0.0.0.0", {"SPACE_ID": "a/b", "SPACE_HOST": "a-b.hf.space"}, ["a-b.hf.space"], ["c-d.hf.space", "hf.space"]),
        ("127.0.0.1", {"ALLOWED_HOSTS": "shapes.example.org, *.lab.example"},
         ["Shapes.Example.org:443", "one.lab.example", "localhost"],
         ["example.org", "lab.example", "a.b.lab.example", "evil-shapes.example.org"]),
        ("127.0.0.1", {"ALLOWED_HOSTS": "*"}, ["anything.example", "8.8.8.8"], []),
    ],
)  # fmt: skip
def test_only_own_host_names_are_answered(
    bound: str, environ: dict[str, str], answered: list[str], refused: list[str]
) -> None:
    settings = settings_from(environ, bound)
    assert {host: settings.answers(host) for host in answered + refused} == {
        host: host in answered for host in answered + refused
    }


def test_a_request_under_a_strange_name_is_told_what_to_do(page: Any) -> None:
    for path in ("/", "/config", "/assets/x.js", "/gradio_api/queue/data?session_hash=x", "/plotly-7.1.0.min.js"):
        answer = ask(page, "GET", path, host="evil.example")
        assert answer.status == 400
        assert "ALLOWED_HOSTS" in answer.json["error"]
    assert post(page, "queue/join", {}, host="evil.example").status == 400


@pytest.mark.parametrize("header", ["x_forwarded_host", "x_gradio_server", "x_forwarded_proto"])
def test_no_header_of_a_strangers_moves_the_page(header: str, page: Any) -> None:
    for path in ("/", "/config"):
        body = ask(page, "GET", path, **{header: "https" if "proto" in header else "http://evil.example/"}).body
        assert b"evil.example" not in body
        assert b"https://127.0.0.1" not in body
        assert f"http://127.0.0.1:{page.server_port}".encode() in body


def test_no_path_of_this_machine_leaves_the_server(page: Any) -> None:
    here = [str(REPOSITORY).encode(), str(Path(page.app.uploaded_file_dir)).encode(), str(Path.home()).encode() + b"/"]
    for path in ("/", "/config", "/gradio_api/info", "/theme.css", "/gradio_api/openapi.json"):
        answer = ask(page, "GET", path)
        assert answer.status == 200
        assert [one for one in here if one in answer.body] == [], path
        assert int(answer.headers["content-length"]) == len(answer.body)


def test_every_answer_says_how_it_may_be_used(page: Any) -> None:
    for path in ("/", "/config", "/nothing", "/gradio_api/file=/-/examples/chair.png", "/gradio_api/file=/etc/passwd"):
        headers = ask(page, "GET", path).headers
        assert headers["x-content-type-options"] == "nosniff"
        policy = dict(part.split(maxsplit=1) for part in headers["content-security-policy"].split("; "))
        assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'self'"
        assert policy["object-src"] == "'none'"
        assert "*" not in headers["content-security-policy"]


def test_only_the_hub_may_frame_a_space() -> None:
    assert settings_from({}, "127.0.0.1").frames == "'self'"
    space = settings_from({"SPACE_ID": "a/b", "SPACE_HOST": "a-b.hf.space"}, "0.0.0.0")
    assert space.frames == "'self' https://huggingface.co https://*.hf.space"


def test_no_proxy_is_believed_unless_it_is_named() -> None:
    assert forwarded_allow_ips({}) == ""
    assert forwarded_allow_ips({"FORWARDED_ALLOW_IPS": "10.1.2.3"}) == "10.1.2.3"
    assert "0.0.0.0/0" not in forwarded_allow_ips({"SPACE_ID": "a/b"})


def test_behind_a_proxy_the_page_stands_where_the_proxy_says_and_asks_for_the_password(behind_a_proxy: Any) -> None:
    word = base64.b64encode("visitor:öffne dich".encode()).decode()
    outer = {"x_forwarded_host": "shapes.example.org", "x_forwarded_proto": "https", "authorization": f"Basic {word}"}
    for path in ("/", "/studio/", "/config", "/studio/config"):
        answer = ask(behind_a_proxy, "GET", path, **outer)
        assert answer.status == 200, path
        assert b"https://shapes.example.org/studio" in answer.body
    assert ask(behind_a_proxy, "GET", "/studio/gradio_api/file=/-/examples/chair.png", **outer).status == 200
    assert ask(behind_a_proxy, "GET", "/", **outer | {"x_forwarded_host": "evil.example"}).status == 400
    for wrong in ({}, {"authorization": "Basic " + base64.b64encode(b"visitor:open").decode()},
                  {"authorization": f"Bearer {word}"}, {"authorization": "Basic"}):  # fmt: skip
        for path in ("/", "/config", "/gradio_api/queue/data?session_hash=x", "/gradio_api/file=/-/examples/chair.png"):
            answer = ask(behind_a_proxy, "GET", path, **wrong)
            assert (answer.status, answer.headers["www-authenticate"][:5]) == (401, "Basic")
        assert post(behind_a_proxy, "queue/join", {}, **wrong).status == 401
        assert ask(behind_a_proxy, "POST", "/gradio_api/upload", b"", **wrong).status == 401


def test_names_stand_for_files_below_their_folders_and_for_nothing_else(tmp_path: Path) -> None:
    shared, hidden = tmp_path / "a b é", tmp_path
    shared.mkdir()
    (shared / "way out").symlink_to(tmp_path)
    names = Names({"uploads": shared}, hidden={"own": hidden})
    assert names.real("/-/uploads/x/y.off") == shared / "x" / "y.off"
    for wrong in ("/-/uploads", "/-/uploads/", "/-/own/x", "/-/uploads/../x", "/-/uploads/way out/x", str(shared / "x"),
                  "uploads/x", "", None, 3, ["/-/uploads/x"], "/-/uploads/x\0", "http://a/-/uploads/x"):  # fmt: skip
        with pytest.raises(Forbidden):
            names.real(wrong)


def test_a_path_is_hidden_however_it_is_spelled(tmp_path: Path) -> None:
    folder = tmp_path / "a b é"
    names = Names({"uploads": folder}, hidden={"own": tmp_path})
    text = (
        f"{folder}/1 {folder.as_posix().replace('é', chr(92) + 'u00e9')}/2 {tmp_path}/a%20b%20%C3%A9/3 {tmp_path}/lock"
    )
    assert names.hide(text.encode()) == b"/-/uploads/1 /-/uploads/2 /-/uploads/3 /-/own/lock"
