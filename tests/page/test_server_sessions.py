"""Who keeps a place, who is told to wait, and what is let go of when a visit ends?"""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import app
from pointmcd.shapes.load import load_shape
from tests.loopback import (
    CUBE,
    await_answers,
    file_data,
    join,
    open_page,
    post,
    upload,
)
from viz.page.winners import thinned
from viz.server.folder import OwnFolder
from viz.server.inside import Inside
from viz.server.sessions import IDLE_S, LEFT_S, PLACES_AN_ADDRESS, VISITS_KEPT, Busy, Sessions
from viz.server.uploads import BYTES_A_CLIENT, FILES_A_CLIENT, Uploads

OPTIONS = ["pointnet", "auto", 4, 256, 0, 30, "auto"]
SHOWN = ["pointnet", "auto", 4, 256, 0, 30]


@pytest.fixture(scope="module")
def page(random_models: Any) -> Iterator[Any]:
    served = app.serve(random_models, port=24200)
    yield served
    served.close()


FIRST_VISIT = [None, "", ""]  # the visit, no token of an own file, no name of it


class Room:
    """Sessions with a clock and a queue of the test's own."""

    def __init__(self, kept: int) -> None:
        self.now, self.waiting, self.forgotten = 0.0, list[tuple[str, str]](), list[str]()
        self.sessions = Sessions(kept, lambda: self.waiting, self.forgotten.append, lambda: self.now)


def test_a_thousand_invented_sessions_end_no_visit_that_is_looked_at() -> None:
    room = Room(kept=20)
    with ExitStack() as pages:
        for number in range(15):
            pages.enter_context(room.sessions.open_page(f"page {number}", "class"))
        refused = 0
        for number in range(1000):
            room.now += 0.1 if number % 2 else 20
            try:
                room.sessions.admit(f"invented {number}", "stranger")
            except Busy:
                refused += 1
        assert all(room.sessions.has_page(f"page {number}") for number in range(15))
        assert all(name.startswith("invented") for name in room.forgotten)
        assert refused + len(room.forgotten) == 995


def test_a_visit_whose_page_was_closed_makes_room_for_the_next() -> None:
    room = Room(kept=1)
    with room.sessions.open_page("first", "a"), pytest.raises(Busy):
        room.sessions.admit("second", "b")
    with pytest.raises(Busy):
        room.sessions.admit("second", "b")
    room.now += IDLE_S + 1
    room.waiting = [("first", "a")]
    with pytest.raises(Busy):
        room.sessions.admit("second", "b")
    room.waiting = []
    room.sessions.admit("second", "b")
    assert room.forgotten == ["first"]


def test_a_page_goes_before_names_that_were_invented_a_moment_ago() -> None:
    room = Room(kept=2)
    room.sessions.admit("invented", "a")
    with room.sessions.open_page("first", "b"), room.sessions.open_page("second", "b"):
        assert room.forgotten == ["invented"]
        with pytest.raises(Busy):
            room.sessions.admit("invented again", "a")


def test_a_page_has_four_places_and_so_has_all_that_comes_from_one_address_without_a_page() -> None:
    room = Room(kept=100)
    with room.sessions.open_page("page", "class"), room.sessions.open_page("other", "class"):
        room.waiting = [("page", "class")] * 4
        with pytest.raises(Busy, match=r"Busy: 4 .*Try again"):
            room.sessions.check_place("page", "class")
        room.sessions.check_place("other", "class")
        room.sessions.check_place("invented", "class")
        room.waiting = [(f"invented {number}", "class") for number in range(4)]
        with pytest.raises(Busy):
            room.sessions.check_place("invented 9", "class")
        room.sessions.check_place("invented 9", "elsewhere")
        room.sessions.check_place("page", "class")
        room.waiting = [("busy", "class")] * PLACES_AN_ADDRESS
        with pytest.raises(Busy):
            room.sessions.check_place("page", "class")


def test_a_visit_is_let_go_of_when_its_page_has_been_closed_for_a_while() -> None:
    room = Room(kept=9)
    with room.sessions.open_page("open", "a"):
        with room.sessions.open_page("closed", "a"):
            room.now += 2 * LEFT_S
            room.sessions.forget_left()
            assert room.forgotten == []
        room.now += LEFT_S - 1
        room.sessions.forget_left()
        assert room.forgotten == []
        room.now += 2
        room.sessions.forget_left()
        assert room.forgotten == ["closed"]


def test_answers_to_calls_without_a_session_are_not_kept_for_ever() -> None:
    room = Room(kept=1)
    for number in range(1000):
        room.sessions.admit_call(f"call {number}")
    assert 800 < len(room.forgotten) < 1000
    assert "call 999" not in room.forgotten


def test_a_live_visit_survives_a_flood_of_invented_sessions(page: Any) -> None:
    with open_page(page, "mine"):
        assert join(page, "mine", "start", FIRST_VISIT).status == 200
        assert await_answers(page, "mine")[0]["success"]
        with ThreadPoolExecutor(8) as pool:
            codes = list(
                pool.map(lambda n: post(page, "component_server", {"session_hash": f"flood-{n}"}).status, range(150))
            )
        assert set(codes) <= {400, 503}
        assert 503 in codes
        visit = page.state_holder["mine"][next(iter(page.state_holder["mine"].state_data))]
        assert visit.shown is not None
        assert len(page.state_holder.session_data) <= VISITS_KEPT + 1


def test_nothing_is_left_of_a_session_that_is_forgotten(page: Any) -> None:
    with open_page(page, "passing"):
        join(page, "passing", "start", FIRST_VISIT)
        deadline = time.monotonic() + 60
        while dict(Inside(page).waiting()) and time.monotonic() < deadline:
            time.sleep(0.05)
    holder, queue = page.state_holder, page._queue
    kept = (holder.session_data, holder.time_last_used, queue.pending_messages_per_session)
    assert all("passing" in where for where in kept), "Gradio has moved what Inside.forget lets go of"
    assert not queue.event_ids_to_events
    Inside(page).forget("passing")
    assert not any("passing" in where for where in (*kept, queue.pending_event_ids_session))


@pytest.fixture
def slow_reader(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Whoever reads a file of a visitor's waits for this."""
    go, read = threading.Event(), load_shape

    def slowly(path: Path, **options: Any) -> Any:
        if "slow" in path.name:
            go.wait(60)
        return read(path, **options)

    monkeypatch.setattr("viz.page.sources.load_shape", slowly)
    yield go
    go.set()


def drained(page: Any) -> bool:
    """Wait until the queue is empty."""
    deadline = time.monotonic() + 60
    while list(Inside(page).waiting()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not list(Inside(page).waiting())


def test_slow_files_hold_up_neither_examples_nor_first_pictures_nor_turns(
    page: Any, slow_reader: threading.Event
) -> None:
    [name] = upload(page, ("slow.off", CUBE)).json
    with open_page(page, "slow"), open_page(page, "quick"):
        for _ in range(2):
            join(page, "slow", "analyze", [file_data(name), *OPTIONS])
        for _ in range(2):
            join(page, "slow", "choose_upload", [None, file_data(name), "slow.off"])
        time.sleep(0.3)
        for function, data, more in (
            ("start", FIRST_VISIT, {}),
            ("choose_example", [None], {"event_data": {"index": 2, "value": None}}),
            ("show", [None, *SHOWN], {}),
            ("turn", [None, "y"], {}),
        ):
            began = time.monotonic()
            assert join(page, "quick", function, data, **more).status == 200
            assert await_answers(page, "quick")[0]["success"], function
            assert time.monotonic() - began < 20, function  # for ever, before: nobody lets the slow one go on
        assert [session for session, _ in Inside(page).waiting() if session == "slow"] == ["slow"] * 4
        slow_reader.set()
        assert drained(page)


def test_the_fifth_question_of_one_visitor_is_told_to_wait_and_others_are_not(
    page: Any, slow_reader: threading.Event
) -> None:
    [name] = upload(page, ("slow.off", CUBE)).json
    ask_slowly = {"data": [file_data(name), *OPTIONS]}
    with open_page(page, "greedy"), open_page(page, "modest"):
        with ThreadPoolExecutor(24) as pool:
            answers = list(pool.map(lambda _: join(page, "greedy", "analyze", ask_slowly["data"]), range(24)))
        assert sorted(answer.status for answer in answers) == [200] * 4 + [503] * 20
        assert all("try again" in a.json["error"].lower() for a in answers if a.status == 503)
        assert join(page, "modest", "start", FIRST_VISIT).status == 200
        codes = [post(page, "call/analyze", ask_slowly).status for _ in range(6)]
        assert codes == [200] * 4 + [503] * 2
        slow_reader.set()
        assert drained(page)


def question(points: int, **more: Any) -> dict[str, Any]:
    cloud = np.random.default_rng(0).normal(size=(points, 3)).astype("<f4")
    return {"student": "pointnet", "points": base64.b64encode(cloud.tobytes()).decode(), **more}


def winners(page: Any, question: dict[str, Any]) -> Any:
    viewer = next(number for number, block in page.blocks.items() if getattr(block, "elem_id", None) == "viewer")
    body = {"session_hash": "slider", "component_id": viewer, "fn_name": "predict_kept", "data": question}
    return post(page, "component_server", body).json


@pytest.fixture
def slider(page: Any) -> Iterator[None]:
    """The page on which the winners' slider is moved."""
    with open_page(page, "slider"):
        yield


def test_the_winners_are_asked_about_up_to_as_many_points_as_are_shown(page: Any, slider: None) -> None:
    assert winners(page, question(4096))["label"]
    assert winners(page, question(4100)) == {}
    assert winners(page, {"points": 3}) == winners(page, {}) == {}


def test_of_forty_questions_at_once_few_are_answered_and_the_page_stays_quick(
    page: Any, slider: None, random_models: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pointmcd.analysis.analyze

    monkeypatch.setattr(
        pointmcd.analysis.analyze, "predict_points",
        lambda *_, **__: (time.sleep(0.3), np.eye(len(random_models.class_names), dtype=np.float32)[0])[1],
    )  # fmt: skip
    with ThreadPoolExecutor(40) as pool:
        began = time.monotonic()
        answers = list(pool.map(lambda _: winners(page, question(64)), range(40)))
        assert time.monotonic() - began < 10
    assert {"busy": True} in answers
    assert any("label" in answer for answer in answers)


def test_a_network_that_takes_long_is_asked_about_fewer_points() -> None:
    points = np.arange(12288, dtype=np.float32).reshape(-1, 3)
    assert thinned(points, 4096) is points
    fewer = thinned(points, 1024)
    assert len(fewer) == 1024
    assert fewer[0].tolist() == points[0].tolist()
    assert fewer[-1].tolist() == points[-1].tolist()


def put(uploads: Uploads, name: str, owner: str | None, size: int, *, age_s: float = 0) -> None:
    """A file as if it had been sent that long ago; it takes no room on the disk."""
    import os

    folder = uploads.folder / name
    folder.mkdir()
    with (folder / "file").open("wb") as file:
        file.truncate(size)
    os.utime(folder, (time.time() - age_s,) * 2)
    if owner:
        uploads._owners[name] = owner


def test_what_a_client_sent_first_makes_room_and_nobody_elses_files_do(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path, largest=2**20, age_s=7200)
    put(uploads, "theirs", "b", BYTES_A_CLIENT // 2, age_s=200)
    for number in range(5):
        put(uploads, f"mine{number}", "a", BYTES_A_CLIENT // 5, age_s=100 - number)
    assert uploads.make_room("a", BYTES_A_CLIENT // 5)
    assert {path.name for path in tmp_path.iterdir()} == {"theirs", "mine1", "mine2", "mine3", "mine4"}


def test_a_client_has_so_many_files_and_old_ones_go(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path, largest=2**20, age_s=7200)
    put(uploads, "old", "b", 1, age_s=7300)
    for number in range(FILES_A_CLIENT):
        put(uploads, f"mine{number:03}", "a", 1, age_s=FILES_A_CLIENT - number)
        put(uploads, f"made{number:03}", None, 1, age_s=FILES_A_CLIENT - number)
    assert uploads.make_room("a", 1)
    names = {path.name for path in tmp_path.iterdir()}
    assert names.isdisjoint({"old", "mine000", "made000"})
    assert {"mine001", "made001"} <= names


def test_a_full_server_takes_no_more(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path, largest=2**20, age_s=7200)
    for number in range(4):
        put(uploads, f"of{number}", f"client {number}", BYTES_A_CLIENT)
    assert not uploads.make_room("another", 100 * 2**20)
    assert len(list(tmp_path.iterdir())) == 4


def test_a_start_sweeps_what_a_crash_left_and_no_other_server(tmp_path: Path) -> None:
    running = OwnFolder(tmp_path)
    (running.uploads / "in use").touch()
    for name in ("123-crashed", "124-crashed-before-it-had-a-lock"):
        (tmp_path / name / "uploads").mkdir(parents=True)
        (tmp_path / name / "uploads" / "left.off").touch()
    (tmp_path / "123-crashed" / "lock").touch()
    started = OwnFolder(tmp_path)
    assert {path for path in tmp_path.iterdir() if path.is_dir()} == {running.path, started.path}
    assert (running.uploads / "in use").exists()
    running.remove()
    started.remove()
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


def test_a_folder_of_somebody_elses_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "mine").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="TMPDIR"):
        OwnFolder(tmp_path / "mine")
