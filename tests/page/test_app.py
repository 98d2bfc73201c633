"""Does the page's server keep its promises: one endpoint, no port clash, no reading outside the upload folder?"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest

import app
from pointmcd.records import CheckpointError, ShapeError
from viz.page.address import options_from_query, query_of
from viz.page.downloads import harmless, write_json, write_npz
from viz.page.examples import FIRST_EXAMPLE, THUMBNAIL_FOLDER, examples
from viz.page.loading import once, students_with_weights
from viz.page.options import Options
from viz.page.reload import Arrival, Tokens, open_first
from viz.page.shown import analyse
from viz.page.sources import Opened, Source, example_source, open_source
from viz.page.touches import choose_example, choose_upload, offer, turn
from viz.page.visit import Visit
from viz.server.settings import free_port

ROOT = Path(app.__file__).parent
STUDENTS = ("pointnet",)


@pytest.fixture(scope="module")
def models() -> Any:
    from pointmcd import load_models

    return load_models(device="cpu")


@pytest.fixture(scope="module")
def page(models: Any) -> Iterator[Any]:
    served = app.serve(models, port=7960)
    yield served
    served.close()


@pytest.fixture(scope="module")
def client(page: Any) -> Any:
    from gradio_client import Client

    return Client(page.local_url, verbose=False)


@pytest.fixture
def cube(tmp_path: Path) -> Path:
    corners = [(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 2)]
    quads = ["4 0 1 3 2", "4 4 6 7 5", "4 0 4 5 1", "4 2 3 7 6", "4 0 2 6 4", "4 1 5 7 3"]
    path = tmp_path / "cube.off"
    path.write_text("OFF\n8 6 0\n" + "\n".join(" ".join(map(str, c)) for c in corners) + "\n" + "\n".join(quads) + "\n")
    return path


def test_importing_the_page_writes_no_file_beside_it() -> None:
    assert not (ROOT / "app.pyi").exists(), "a subclass of a Gradio component writes one"


def test_the_first_paint_does_not_pay_for_torch() -> None:
    code = "import app, sys; print('torch' in sys.modules, 'open3d' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["False", "False"]


def test_every_example_has_a_thumbnail_and_the_first_one_exists() -> None:
    assert FIRST_EXAMPLE in examples()
    assert set(examples()) == {path.stem for path in THUMBNAIL_FOLDER.glob("*.png")}


def test_the_address_bar_restores_what_it_stored() -> None:
    options = Options(visibility="hpr", views=6, points=512, seed=7, elevation_deg=-15.0)
    source = Source(Path("chair.ply"), "chair.ply", up="y", example=FIRST_EXAMPLE)
    query = {key: value for key, value in query_of(source, options).items() if value is not None}
    assert query == {"example": FIRST_EXAMPLE, "up": "y", "visibility": "hpr", "views": "6", "points": "512",
                     "seed": "7", "elevation_deg": "-15"}  # fmt: skip
    assert options_from_query(query, students=STUDENTS) == (FIRST_EXAMPLE, "y", options)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("example", "../../etc/passwd"),
        ("student", "dgcnn; rm"),
        ("visibility", "guess"),
        ("views", "0"),
        ("views", "25"),
        ("views", "1e1"),
        ("points", "99999999999999"),
        ("seed", "-1"),
        ("elevation_deg", "nan"),
        ("up", "<script>"),
    ],
)
def test_an_invalid_word_in_the_address_bar_leaves_the_default(key: str, text: str) -> None:
    assert options_from_query({key: text}, students=STUDENTS) == (None, "auto", Options())


def test_a_student_without_weights_is_not_taken_from_the_address_bar() -> None:
    assert options_from_query({"student": "dgcnn"}, students=("pointnet",))[2].student == "pointnet"
    assert options_from_query({"student": "dgcnn"}, students=("pointnet", "dgcnn"))[2].student == "dgcnn"


def test_models_are_loaded_once_however_many_visitors_ask_at_the_same_time() -> None:
    calls: list[int] = []

    def load() -> Any:
        calls.append(1)
        time.sleep(0.05)
        return object()

    get, answers = once(load), []
    threads = [threading.Thread(target=lambda: answers.append(get())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1
    assert len(set(map(id, answers))) == 1


def test_a_loader_that_failed_is_asked_again() -> None:
    attempts: list[int] = []

    def load() -> Any:
        attempts.append(1)
        if len(attempts) == 1:
            raise OSError("disk")
        return object()

    get = once(load)
    with pytest.raises(OSError, match="disk"):
        get()
    assert get() is get()


def test_a_file_that_the_server_has_deleted_asks_for_a_new_upload(tmp_path: Path) -> None:
    with pytest.raises(ShapeError, match="upload it again"):
        open_source(Source(tmp_path / "gone.off", "gone.off"))


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("chair.off", "chair"),
        ("../a b<${x}>.off", "a_b_x"),
        ("...", "shape"),
        ("椅子 1.ply", "椅子_1"),
        ("a" * 200, "a" * 80),
    ],
)
def test_a_download_is_named_after_the_shape_with_harmless_characters_only(name: str, stem: str) -> None:
    assert harmless(name) == stem


def test_a_taken_port_gives_the_next_free_one() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        taken = holder.getsockname()[1]
        assert free_port("127.0.0.1", taken) > taken


def test_the_page_is_served_while_the_models_are_still_loading() -> None:
    go = threading.Event()

    def load() -> Any:
        go.wait(30)
        raise OSError("not needed by this test")

    served = app.serve(load, port=7980)
    try:
        with urllib.request.urlopen(served.local_url, timeout=5) as answer:
            assert b"PointMCD Studio" in answer.read()
    finally:
        go.set()
        served.close()


def test_make_run_prints_the_address_and_says_when_the_port_is_taken() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        taken = holder.getsockname()[1]
        environment = {**os.environ, "PORT": str(taken), "PYTHONUNBUFFERED": "1"}
        environment.pop("HOST", None)
        with subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=environment, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True) as process:  # fmt: skip
            try:
                assert process.stdout is not None
                said = [process.stdout.readline() for _ in range(2)]
            finally:
                process.terminate()
    assert f"Port {taken} is taken" in said[0]
    assert re.search(r"http://127\.0\.0\.1:\d+", said[1])


@pytest.mark.parametrize("port", ["http", "0", "-1", "70000", "78.6"])
def test_a_port_that_is_none_is_refused_with_a_sentence(port: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", port)
    with pytest.raises(SystemExit, match="PORT is a number"):
        app.main()


def test_the_server_shares_no_folder_and_takes_no_file_above_the_limit(page: Any) -> None:
    assert page.allowed_paths == []
    assert page.max_file_size == 100 * 2**20
    assert page.local_url.startswith("http://127.0.0.1:")
    assert page.share_url is None


def test_the_only_public_endpoint_is_analyze(client: Any) -> None:
    assert list(client.view_api(return_format="dict")["named_endpoints"]) == ["/analyze"]
    assert client.view_api(return_format="dict")["unnamed_endpoints"] == {}


def test_the_endpoint_answers_what_the_command_line_prints(client: Any, cube: Path, models: Any) -> None:
    from gradio_client import handle_file

    from pointmcd.analysis.analyze import analyze
    from pointmcd.analysis.export import summary
    from pointmcd.shapes.load import load_shape

    answer = client.predict(handle_file(str(cube)), views=6, seed=3, api_name="/analyze")
    expected = json.loads(json.dumps(summary(analyze(load_shape(cube), models, views=6, seed=3))))
    assert answer.pop("timings_ms")
    expected.pop("timings_ms")
    assert answer == expected


def test_the_endpoint_refuses_a_bad_file_with_a_sentence_and_reads_the_next(client: Any, cube: Path) -> None:
    from gradio_client import handle_file
    from gradio_client.exceptions import AppError

    bad = cube.with_name("bad.off")
    bad.write_text("OFF\n8 6 0\n1 2\n")
    with pytest.raises(AppError, match=r"bad\.off.*\."):
        client.predict(handle_file(str(bad)), api_name="/analyze")
    assert client.predict(handle_file(str(cube)), api_name="/analyze")["name"] == "cube.off"


@pytest.mark.parametrize("options", [{"views": 1000}, {"points": 10**9}, {"visibility": "guess"}, {"up": "w"}])
def test_the_endpoint_refuses_options_that_the_page_does_not_offer(
    client: Any, cube: Path, options: dict[str, Any]
) -> None:
    from gradio_client import handle_file
    from gradio_client.exceptions import AppError

    with pytest.raises((AppError, ValueError)):
        client.predict(handle_file(str(cube)), **options, api_name="/analyze")


def test_the_downloads_hold_what_is_shown(models: Any, cube: Path, tmp_path: Path) -> None:
    shown = analyse(open_source(Source(cube, "cube.off")), Options(views=4), models)
    write_json(shown, tmp_path / "cube.json")
    write_npz(shown, tmp_path / "cube.npz")
    assert json.loads((tmp_path / "cube.json").read_text(encoding="utf-8"))["views"] == 4
    with np.load(tmp_path / "cube.npz") as arrays:
        assert arrays["visibility"].shape == (4, 1024)


def test_another_visibility_keeps_the_renders_that_are_shown(cube: Path, models: Any) -> None:
    opened = open_source(Source(cube, "cube.off"))
    first = analyse(opened, Options(views=4), models)
    second = analyse(opened, Options(views=4, visibility="hpr"), models, before=first)
    assert second.analysis.renders is first.analysis.renders
    assert second.analysis.visibility.method == "hpr"
    assert "render" not in second.analysis.timings_ms


def test_a_bad_file_leaves_the_opened_shape_alone_and_says_why(cube: Path, tmp_path: Path) -> None:
    visit = Visit()
    assert visit.choose(Source(cube, "cube.off")) is None
    before = visit.opened
    _, message, axis, gallery, emptied = choose_upload(visit, str(tmp_path / "missing.off"), "")
    assert visit.opened is before
    assert visit.wanted is before.source
    assert gallery == gr.skip()
    assert axis == before.source.up
    assert message["refusal"].startswith("missing.off")
    assert emptied is None


def test_a_file_keeps_the_name_it_had_on_the_visitors_machine(cube: Path) -> None:
    visit, *_ = choose_upload(Visit(), str(cube), "folder/<b>${mine}.off")
    assert visit.opened.shape.name == "<b>${mine}.off"


def test_another_up_axis_reads_the_same_file_again(cube: Path) -> None:
    visit = Visit()
    visit.choose(Source(cube, "cube.off"))
    turn(visit, "y")
    assert np.ptp(visit.opened.shape.vertices, axis=0).tolist() == [1, 2, 1]
    assert any("Y-up" in note for note in visit.opened.shape.notes)


@pytest.mark.parametrize("slow_one", ["cube.off", "missing.off"])
def test_a_choice_that_was_read_too_late_changes_and_says_nothing(
    slow_one: str, cube: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    visit, read = Visit(), open_source
    newest = Source(cube, "newest.off")

    def overtaken(source: Source) -> Opened:
        if source.name == slow_one:  # while it is read, the visitor picks another
            assert visit.choose(newest) is None
        return read(source)

    monkeypatch.setattr("viz.page.visit.open_source", overtaken)
    assert visit.choose(Source(cube.with_name(slow_one), slow_one)) is None
    assert visit.opened.source is visit.wanted is newest


def test_a_bad_file_does_not_cost_the_good_one_that_is_still_being_read(
    cube: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    visit, read = Visit(), open_source

    def slow(source: Source) -> Opened:
        if source.name == "good.off":  # while it is read, a bad file is dropped
            assert str(visit.choose(Source(tmp_path / "missing.off", "missing.off"))).startswith("missing.off")
        return read(source)

    monkeypatch.setattr("viz.page.visit.open_source", slow)
    assert visit.choose(Source(cube, "good.off")) is None
    assert visit.opened is not None
    assert visit.opened.source.name == visit.wanted.name == "good.off"
    assert str(visit.refused).startswith("missing.off"), "the refusal is still to be said"


@pytest.mark.parametrize("refused_first", ["older.off", "newer.off"])
def test_two_refused_choices_that_overlap_leave_the_shape_before_them(
    refused_first: str, cube: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    visit, read = Visit(), open_source
    visit.choose(Source(cube, "cube.off"))
    arrived = {"older.off": threading.Event(), "newer.off": threading.Event()}
    first_is_over = threading.Event()

    def slow(source: Source) -> Opened:
        arrived[source.name].set()
        assert all(event.wait(10) for event in arrived.values())
        assert source.name == refused_first or first_is_over.wait(10)
        return read(source)

    def choose(name: str) -> None:
        visit.choose(Source(tmp_path / name, name))
        if name == refused_first:
            first_is_over.set()

    monkeypatch.setattr("viz.page.visit.open_source", slow)
    threads = [threading.Thread(target=choose, args=[name]) for name in arrived]
    for thread, name in zip(threads, arrived, strict=True):
        thread.start()
        assert arrived[name].wait(10)
    for thread in threads:
        thread.join(20)
    assert visit.wanted is not None
    assert visit.wanted is visit.opened.source
    assert visit.wanted.name == "cube.off"
    assert visit.refused is not None


def gallery_event(key: str) -> Any:
    return gr.SelectData(None, {"index": list(examples()).index(key), "value": None})


def test_the_up_axis_belongs_to_the_file_and_the_next_one_starts_at_automatic(cube: Path) -> None:
    visit = Visit()
    choose_example(visit, gallery_event("chair"))
    turn(visit, "y")
    _, _, axis = choose_example(visit, gallery_event("sofa"))
    assert axis == visit.opened.source.up == "auto"
    turn(visit, "y")
    _, _, axis, *_ = choose_upload(visit, str(cube), "mine.off")
    assert axis == visit.opened.source.up == "auto"


def test_a_turn_made_while_the_file_is_read_stays_in_the_box(cube: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    visit, read = Visit(), open_source

    def turned_meanwhile(source: Source) -> Opened:
        if source.up == "auto":
            turn(visit, "y")
        return read(source)

    monkeypatch.setattr("viz.page.visit.open_source", turned_meanwhile)
    _, _, axis, *_ = choose_upload(visit, str(cube), "mine.off")
    assert axis == visit.opened.source.up == "y"


def test_a_turn_that_is_refused_leaves_the_box_at_the_axis_that_is_shown(cube: Path) -> None:
    visit = Visit()
    visit.choose(Source(cube, "cube.off", "x"))
    cube.unlink()
    _, message, axis = turn(visit, "y")
    assert "upload it again" in message["refusal"]
    assert axis == "x"


@pytest.fixture
def uploaded(cube: Path) -> Source:
    """A file of a visit that has ended; the browser was told its token."""
    visit, *_ = choose_upload(Visit(), str(cube), "mine.off")
    source: Source = visit.opened.source
    return source


def test_a_visitor_who_comes_back_with_the_files_token_finds_it_with_the_axis_of_the_address(uploaded: Source) -> None:
    visit = Visit()
    open_first(visit, Arrival(None, "y", uploaded.token, "mine.off"))
    assert visit.opened.source == replace(uploaded, up="y")
    assert visit.refused is None


def test_a_file_has_a_token_that_nobody_guesses_and_an_example_has_none(cube: Path) -> None:
    tokens = {choose_upload(Visit(), str(cube), "")[0].opened.source.token for _ in range(20)}
    assert len(tokens) == 20
    assert min(map(len, tokens)) >= 32
    assert example_source("chair", "auto").token is None


@pytest.mark.parametrize("token", ["", "0", "A" * 43, "../../etc/passwd", "mine.off"])
def test_no_other_token_opens_the_file(token: str, uploaded: Source) -> None:
    visit = Visit()
    open_first(visit, Arrival(None, "y", token, "mine.off"))
    assert visit.opened.source.example == FIRST_EXAMPLE
    assert visit.opened.shape.name == "chair.off"


@pytest.mark.parametrize("lost", ["the file", "the token"])
def test_where_the_file_is_gone_the_page_says_so_above_the_first_example(lost: str, uploaded: Source) -> None:
    visit, token = Visit(), uploaded.token if lost == "the file" else "forgotten"
    if lost == "the file":
        uploaded.path.unlink()
    open_first(visit, Arrival(None, "y", token, "mine.off"))
    assert visit.opened.source == example_source(FIRST_EXAMPLE, "auto"), "the axis was the lost file's"
    assert visit.refused == "Your file mine.off is no longer here; drop it again."


def test_an_example_in_the_address_goes_before_the_file_that_was_shown(uploaded: Source) -> None:
    visit = Visit()
    open_first(visit, Arrival("sofa", "y", uploaded.token, "mine.off"))
    assert visit.opened.source == example_source("sofa", "y")
    assert visit.refused is None


def test_only_the_newest_files_are_found_again(cube: Path) -> None:
    kept = Tokens(most=3)
    tokens = [kept.keep(Source(cube, f"{n}.off")).token for n in range(5)]
    assert [kept.find(token) is not None for token in tokens] == [False, False, True, True, True]


@pytest.mark.parametrize("index", [-1, 10**6, None, "0", [0, 0]])
def test_an_invalid_index_from_the_gallery_changes_nothing(index: Any) -> None:
    event, visit = gr.SelectData(None, {"index": index, "value": None}), Visit()
    assert choose_example(visit, event) == (visit, gr.skip(), gr.skip())
    assert visit.wanted is visit.opened is None


def test_without_weights_the_page_still_offers_a_student_and_the_analysis_says_why() -> None:
    def load() -> Any:
        raise CheckpointError("There are no weights.")

    assert students_with_weights(load) == ("pointnet",)


def test_the_chosen_student_stays_when_a_third_one_without_a_title_has_weights() -> None:
    offered = offer(("third", "dgcnn", "pointnet"), "dgcnn")
    assert offered["choices"] == [("PointNet", "pointnet"), ("DGCNN", "dgcnn"), ("third", "third")]
    assert "value" not in offered, "the box keeps what it has"


def test_a_student_without_weights_gives_way_to_the_first_that_has_some() -> None:
    offered = offer(("pointnet",), "dgcnn")
    assert (offered["choices"], offered["value"]) == ([("PointNet", "pointnet")], "pointnet")
