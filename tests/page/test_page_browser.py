"""Does the page keep its promises in a real browser, from the first paint to the download?"""

from __future__ import annotations

import json
import os
import re
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import app
from pointmcd.shapes.load import MAX_FILE_BYTES, load_shape
from tests.browser import chromium, needs_chromium, watch
from viz.page.examples import examples
from viz.page.options import Options
from viz.page.reload import TOKENS
from viz.page.shown import Shown, analyse
from viz.page.sources import Opened, Source, open_source

# A bound for a busy machine; an idle one answers within a second.
SLOWEST_MS = 60_000

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def models() -> Any:
    from pointmcd import load_models

    return load_models(device="cpu")


@pytest.fixture(scope="module")
def address(models: Any) -> Iterator[str]:
    page = app.serve(models, port=7900)
    yield page.local_url.rstrip("/")
    page.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One browser context: pages share its cache, while each page load is a visitor of its own to Gradio."""
    with chromium() as started:
        yield started.new_context(viewport={"width": 1440, "height": 900})


@pytest.fixture
def visit(browser: Any, address: str) -> Iterator[Callable[..., Any]]:
    """Open the page as a new visitor. However the visit goes, nothing leaves this machine and nothing complains."""
    pages, watched = [], []

    def open_page(path: str = "/", *, shown: str = "chair.off", width: int = 1440, scheme: Any = "light") -> Any:
        page = browser.new_page()
        pages.append(page)
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        page.set_default_timeout(SLOWEST_MS)
        watched.append(watch(page, address))
        page.goto(address + path)
        wait_until_shown(page, shown)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert watched == [([], [])] * len(watched)


def wait_until_shown(page: Any, name: str) -> None:
    """Wait until the viewer and the card show this shape and the scene has settled."""
    page.wait_for_function(
        "name => window.pointmcdViewer?.phase === 'ready' && window.pointmcdViewer.name === name"
        " && document.querySelector('#card .name').textContent === name",
        arg=name,
    )
    page.evaluate("() => window.pointmcdViewer.settled()")


def seen(page: Any) -> int:
    """How many points the scene shows as seen in the selected view."""
    return int(page.evaluate("() => window.pointmcdViewer.strong"))


def send(page: Any, path: Path | dict[str, Any]) -> None:
    page.locator("#upload input[type=file]").set_input_files(path)


def refusal(page: Any) -> str:
    return str(page.locator("#card .refusal").text_content())


def write_cube(path: Path, *, height: float = 2.0) -> Path:
    corners = [f"{x} {y} {z * height}" for x in (0, 1) for y in (0, 1) for z in (0, 1)]
    faces = ["4 0 1 3 2", "4 4 6 7 5", "4 0 4 5 1", "4 2 3 7 6", "4 0 2 6 4", "4 1 5 7 3"]
    path.write_text("\n".join(["OFF", "8 6 0", *corners, *faces, ""]))
    return path


def screenshot(page: Any, name: str, tmp_path: Path, **settings: Any) -> Path:
    folder = Path(os.environ.get("SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=folder / f"{name}.png", **settings)
    return folder / f"{name}.png"


def test_the_first_example_is_analysed_without_a_click(visit: Any) -> None:
    page = visit()
    assert page.title() == "PointMCD Studio"
    assert page.evaluate("() => window.pointmcdViewer.drawn") == 1024
    assert page.locator("#card .notes li").count() >= 1
    assert refusal(page) == ""


def test_the_first_shape_comes_with_the_first_answer(visit: Any) -> None:
    page = visit()
    asked = "() => performance.getEntriesByType('resource').filter(({ name }) => name.includes('/queue/join')).length"
    assert page.evaluate(asked) == 1


def test_choosing_an_example_draws_its_cloud_and_names_it_in_the_address(visit: Any) -> None:
    page = visit()
    page.get_by_alt_text("airplane", exact=True).click()
    wait_until_shown(page, "airplane.glb")
    assert page.evaluate("() => window.pointmcdViewer.drawn") == 1024
    assert "example=airplane" in page.url


def test_options_changed_before_the_first_answer_are_what_is_shown_and_what_the_address_says(
    browser: Any, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    compute = analyse

    def slow(*shape_and_options: Any, **rest: Any) -> Shown:
        time.sleep(4)
        return compute(*shape_and_options, **rest)

    monkeypatch.setattr("viz.page.touches.analyse", slow)
    page = browser.new_page()
    page.set_default_timeout(SLOWEST_MS)
    foreign, complaints = watch(page, address)
    page.goto(address + "/?points=512")
    points = page.locator("#options input[aria-label='number input for Points']")
    page.wait_for_function("box => box.value === '512'", arg=points.element_handle())
    assert page.evaluate("() => window.pointmcdViewer?.drawn ?? 0") == 0
    typed(page, "number input for Views", "5", "Enter")
    page.wait_for_function("() => document.querySelectorAll('.pmv-thumb').length === 12")
    assert page.get_by_label("number input for Views").input_value() == "5"
    page.wait_for_function("() => document.querySelectorAll('.pmv-thumb').length === 5")
    page.wait_for_function("() => new URL(location).searchParams.get('views') === '5'")
    assert page.evaluate("() => window.pointmcdViewer.drawn") == 512
    assert page.get_by_label("number input for Views").input_value() == "5"
    assert points.input_value() == "512"
    assert page.evaluate("() => location.search") == "?points=512&example=chair&views=5"
    page.close()
    assert (foreign, complaints) == ([], [])


def read_slowly(monkeypatch: pytest.MonkeyPatch, seconds: dict[str, float]) -> None:
    """Let reading take as long as on a machine with much to do; by file name, 0 for those not named."""
    read = open_source

    def slow(source: Source) -> Opened:
        time.sleep(seconds.get(source.name, 0))
        return read(source)

    monkeypatch.setattr("viz.page.visit.open_source", slow)


def test_of_hasty_choices_the_last_one_is_shown(visit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    page = visit()
    page.get_by_label("number input for Views").fill("3")
    page.get_by_label("number input for Views").blur()
    read_slowly(monkeypatch, {"bathtub.stl": 1.0, "mug.ply": 0.3, "guitar.obj": 0.1})
    for name in ("bathtub", "mug", "lamp", "guitar"):
        page.get_by_alt_text(name, exact=True).click()
    wait_until_shown(page, "guitar.obj")
    page.wait_for_timeout(2500)
    assert page.evaluate("() => window.pointmcdViewer.name") == "guitar.obj"
    assert page.locator(".pmv-thumb").count() == 3


def test_a_file_that_takes_long_to_read_does_not_replace_a_later_choice(
    visit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = visit()
    read_slowly(monkeypatch, {"slow.off": 2.0})
    send(page, write_cube(tmp_path / "slow.off"))
    page.wait_for_timeout(500)
    page.get_by_alt_text("mug", exact=True).click()
    wait_until_shown(page, "mug.ply")
    page.wait_for_timeout(2500)
    assert page.evaluate("() => window.pointmcdViewer.name") == "mug.ply"
    assert refusal(page) == ""


def test_a_refusal_stays_in_sight_when_the_shape_before_it_is_shown_late(
    visit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = visit()
    compute = analyse

    def slow(*shape_and_options: Any, **rest: Any) -> Shown:
        time.sleep(2)
        return compute(*shape_and_options, **rest)

    monkeypatch.setattr("viz.page.touches.analyse", slow)
    page.get_by_alt_text("mug", exact=True).click()
    page.wait_for_timeout(500)
    (tmp_path / "empty.ply").write_text("")
    send(page, tmp_path / "empty.ply")
    wait_until_shown(page, "mug.ply")
    page.wait_for_timeout(1000)
    assert refusal(page).startswith("empty.ply")
    page.get_by_label("number input for Views").fill("3")
    page.get_by_label("number input for Views").blur()
    page.wait_for_function("() => document.querySelectorAll('.pmv-thumb').length === 3")
    page.wait_for_function("() => document.querySelector('#card .refusal').hidden")


def test_of_two_files_dropped_in_a_hurry_the_second_is_shown(
    visit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = visit()
    read_slowly(monkeypatch, {"slow.off": 1.5})
    send(page, write_cube(tmp_path / "slow.off"))
    page.wait_for_timeout(500)
    send(page, write_cube(tmp_path / "second.off"))
    wait_until_shown(page, "second.off")
    page.wait_for_timeout(2000)
    assert page.evaluate("() => window.pointmcdViewer.name") == "second.off"


def test_each_view_shows_exactly_the_points_that_the_mask_holds(visit: Any, models: Any) -> None:
    from pointmcd.analysis.analyze import analyze

    mask = analyze(load_shape(examples()["mug"]), models).visibility.mask
    page = visit("/?example=mug", shown="mug.ply")
    counts = []
    for view in range(len(mask)):
        page.locator(f".pmv-thumb[data-view='{view}']").click()
        counts.append(seen(page))
    assert counts == mask.sum(axis=1).tolist()


def test_a_file_of_ones_own_is_shown_and_leaves_room_for_the_next(visit: Any, tmp_path: Path) -> None:
    page = visit()
    for name in ("first.off", "second.off"):
        send(page, write_cube(tmp_path / name))
        wait_until_shown(page, name)
    assert "example=" not in page.url
    assert page.locator("#examples .selected").count() == 0


def bad_files(folder: Path) -> list[Path]:
    """One file of each kind that a visitor may send by mistake or by malice."""
    texts = {
        "empty.ply": "",
        "words.xyz": "once upon a time\nthere was a cloud\n",
        "short.off": "OFF\n8 6 0\n0 0 0\n",
        "twice_the_same.csv": "x,y,z\n" + "1,2,3\n" * 50,
        "not_finite.txt": "nan nan nan\n" * 50,
        "outside.obj": "v 0 0\n" * 10,
        "photo.jpeg": "not a shape",
        "points.ply": "ply\nformat binary_little_endian 1.0\nelement vertex 4000000000\nproperty float x\n"
        "property float y\nproperty float z\nend_header\n",
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    np.save(folder / "pickle.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with zipfile.ZipFile(folder / "archive.zip", "w") as archive:
        archive.writestr("chair.off", "OFF")
    return sorted(folder.iterdir())


def test_each_bad_file_is_refused_with_a_sentence_and_the_next_good_one_is_shown(visit: Any, tmp_path: Path) -> None:
    page, folder = visit(), tmp_path / "bad"
    folder.mkdir()
    for bad in bad_files(folder):
        send(page, bad)
        page.wait_for_function(
            "name => document.querySelector('#card .refusal').textContent.includes(name)", arg=bad.name
        )
        assert re.fullmatch(r".{20,400}\.", refusal(page), re.DOTALL), refusal(page)
        assert page.evaluate("() => window.pointmcdViewer.name") == "chair.off"
        assert page.locator("#card .name").text_content() == "chair.off"
    send(page, write_cube(tmp_path / "good.off"))
    wait_until_shown(page, "good.off")
    assert page.locator("#card .refusal").is_hidden()


def test_a_file_above_the_limit_is_refused_in_the_card_until_the_next_good_one(visit: Any, tmp_path: Path) -> None:
    page = visit()
    with (tmp_path / "large.ply").open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    send(page, tmp_path / "large.ply")
    page.locator("#card .refusal").wait_for()
    assert refusal(page).startswith("large.ply is larger than 100 MB")
    page.wait_for_timeout(1500)
    assert page.locator("#card .refusal").is_visible()
    assert page.evaluate("() => window.pointmcdViewer.name") == "chair.off"
    send(page, write_cube(tmp_path / "good.off"))
    wait_until_shown(page, "good.off")
    assert page.locator("#card .refusal").is_hidden()


def test_a_reader_that_crashes_costs_one_sentence(visit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = visit()
    with monkeypatch.context() as starved:
        # With so little memory the reading process dies before it can report anything.
        starved.setattr(
            "viz.page.sources.load_shape", lambda *args, **options: load_shape(*args, **options, memory_limit=2**24)
        )
        send(page, write_cube(tmp_path / "crash.off"))
        page.wait_for_function("() => document.querySelector('#card .refusal').textContent.includes('crash.off')")
    send(page, write_cube(tmp_path / "alive.off"))
    wait_until_shown(page, "alive.off")
    assert refusal(page) == ""


def test_a_hostile_file_name_is_shown_as_text(visit: Any, tmp_path: Path) -> None:
    page = visit()
    name = (
        "a ${document.title='owned'} {{value}} <script>document.title='owned'</script><img src=x onerror=alert(1)>.off"
    )
    content = write_cube(tmp_path / "plain.off").read_bytes()
    # A slash cannot be part of a file's name, so the closing tag goes without.
    name = name.replace("/", "")
    send(page, {"name": name, "mimeType": "application/octet-stream", "buffer": content})
    wait_until_shown(page, name)
    assert page.title() == "PointMCD Studio"
    assert page.locator("#card img, #viewer img[src=x], #card script").count() == 0


def test_the_address_restores_example_options_view_and_colours(visit: Any) -> None:
    page = visit(
        "/?example=table&views=6&visibility=zbuffer&elevation_deg=10&seed=4#view=3&color=wins", shown="table.npz"
    )
    assert page.locator(".pmv-thumb").count() == 6
    assert page.get_by_label("number input for Views").input_value() == "6"
    assert page.get_by_label("Visibility", exact=True).input_value() == "Z-buffer"
    assert page.get_by_label("Sampling seed").input_value() == "4"
    state = page.evaluate("() => window.pointmcdViewer.state")
    assert (state["view"], state["mode"]) == (2, "wins")
    for part in (
        "example=table",
        "views=6",
        "visibility=zbuffer",
        "elevation_deg=10",
        "seed=4",
        "view=3",
        "color=wins",
    ):
        assert part in page.url


def test_nonsense_in_the_address_leaves_the_defaults(visit: Any) -> None:
    page = visit("/?example=%3Cscript%3E&views=999&student=..%2F..&up=sideways#view=999&color=%24%7B1%7D&point=-1")
    assert page.locator(".pmv-thumb").count() == 12
    assert page.get_by_label("number input for Views").input_value() == "12"


def test_changing_an_option_analyses_the_same_shape_again(visit: Any) -> None:
    page = visit()
    views = page.get_by_label("number input for Views")
    views.fill("5")
    views.blur()
    page.wait_for_function("() => document.querySelectorAll('.pmv-thumb').length === 5")
    page.get_by_label("Up axis of the file").click()
    page.get_by_role("option", name="Y up").click()
    page.wait_for_function("() => document.querySelector('#card .notes').textContent.includes('Y-up')")
    assert page.evaluate("() => window.pointmcdViewer.name") == "chair.off"
    assert "views=5" in page.url
    assert "up=y" in page.url


def test_two_visitors_do_not_see_each_others_shapes(visit: Any, tmp_path: Path) -> None:
    mine, theirs = visit(), visit("/?example=lamp", shown="lamp.csv")
    send(mine, write_cube(tmp_path / "mine.off"))
    wait_until_shown(mine, "mine.off")
    for page, views in ((theirs, "4"), (mine, "3")):
        page.get_by_label("number input for Views").fill(views)
        page.get_by_label("number input for Views").blur()
        page.wait_for_function("n => document.querySelectorAll('.pmv-thumb').length === n", arg=int(views))
    assert mine.evaluate("() => window.pointmcdViewer.name") == "mine.off"
    assert theirs.evaluate("() => window.pointmcdViewer.name") == "lamp.csv"


def test_the_downloads_hold_the_shape_on_the_page(visit: Any, tmp_path: Path) -> None:
    page = visit("/?views=4")
    kept = {}
    for label in ("PNG", "NPZ", "JSON"):
        with page.expect_download() as download:
            page.locator("#downloads").get_by_role("button", name=label, exact=True).click()
        kept[label] = tmp_path / download.value.suggested_filename
        download.value.save_as(kept[label])
    assert [path.name for path in kept.values()] == ["chair.png", "chair.npz", "chair.json"]
    assert kept["PNG"].read_bytes().startswith(b"\x89PNG")
    assert json.loads(kept["JSON"].read_text(encoding="utf-8"))["views"] == 4
    with np.load(kept["NPZ"]) as arrays:
        assert arrays["visibility"].shape == (4, 1024)


def test_the_page_fits_a_laptop_screen_without_scrolling(visit: Any, tmp_path: Path) -> None:
    page = visit()
    screenshot(page, "light_1440x900", tmp_path)
    inner, outer = page.evaluate("() => [window.innerHeight, document.documentElement.scrollHeight]")
    assert outer <= inner
    column = page.evaluate(
        "() => { const side = document.querySelector('#side'); return [side.scrollHeight, side.clientHeight]; }"
    )
    assert column[0] <= column[1]


def test_the_page_is_usable_on_a_telephone(visit: Any, tmp_path: Path) -> None:
    page = visit(width=420)
    screenshot(page, "light_420", tmp_path, full_page=True)
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 420
    assert page.locator("#viewer .pmv").bounding_box()["width"] > 380
    order = [page.locator(name).bounding_box()["y"] for name in ("#examples", "#upload", "#viewer", "#options")]
    assert order == sorted(order)


def test_dark_follows_the_system_and_the_button_turns_it(visit: Any, tmp_path: Path) -> None:
    page = visit(scheme="dark")
    ground = "() => getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(ground)
    screenshot(page, "dark_1440x900", tmp_path)
    page.get_by_role("button", name="Light or dark").click()
    page.wait_for_function("() => !document.body.classList.contains('dark')")
    assert sum(map(int, re.findall(r"\d+", dark)[:3])) < 120
    assert page.evaluate(ground) != dark
    assert "__theme=light" in page.url


def test_each_question_mark_of_the_side_opens_two_lines(visit: Any) -> None:
    page = visit()
    marks = page.locator("#side summary")
    assert marks.count() >= 2
    for index in range(marks.count()):
        marks.nth(index).click()
        text = page.locator("#side details[open] p").nth(0)
        assert text.is_visible()
        assert len(str(text.text_content())) > 40
        marks.nth(index).click()


def typed(page: Any, label: str, text: str, key: str) -> None:
    box = page.locator(f"#options input[type=number][aria-label='{label}']")
    box.fill(text)
    box.press(key)


def test_a_typed_number_counts_with_enter_and_stays_within_its_limits(visit: Any) -> None:
    page = visit()
    typed(page, "number input for Views", "5", "Enter")
    page.wait_for_function("() => new URL(location).searchParams.get('views') === '5'")
    typed(page, "number input for Points", "99999", "Tab")
    page.wait_for_function("() => new URL(location).searchParams.get('points') === '4096'")
    typed(page, "number input for Points", "", "Tab")
    typed(page, "Sampling seed", "-5", "Enter")
    typed(page, "Sampling seed", "7", "Enter")
    page.wait_for_function("() => new URL(location).searchParams.get('seed') === '7'")
    assert page.evaluate("() => new URL(location).searchParams.get('points')") == "4096"
    assert page.locator(".toast-body").count() == 0


def test_a_number_outside_of_its_limits_is_never_sent(visit: Any) -> None:
    page, sent = visit(), []
    page.on("request", lambda request: sent.append(request.post_data or "") if "queue/join" in request.url else None)
    page.get_by_label("Sampling seed").fill("-5")
    # A question that is asked meanwhile sends all boxes.
    page.get_by_label("Visibility").first.click()
    page.get_by_role("option", name="Z-buffer").click()
    wait_for_address(page, "visibility", "zbuffer")
    assert sent
    assert not any("-5" in question for question in sent)


@pytest.fixture
def analysed(monkeypatch: pytest.MonkeyPatch) -> list[Options]:
    """The options of every analysis that the server made, in order."""
    compute, made = analyse, []

    def noted(opened: Opened, options: Options, *rest: Any, **more: Any) -> Shown:
        made.append(options)
        return compute(opened, options, *rest, **more)

    monkeypatch.setattr("viz.page.touches.analyse", noted)
    return made


def wait_for_address(page: Any, key: str, value: str | None) -> None:
    page.wait_for_function("([key, value]) => new URL(location).searchParams.get(key) === value", arg=[key, value])


def test_a_slider_moved_by_keys_is_analysed_once_after_the_last_one(visit: Any, analysed: list[Options]) -> None:
    page = visit()
    before = len(analysed)
    for label, keys, key, value in (
        ("Views", ["ArrowRight"] * 3, "views", "15"),
        ("Points", ["ArrowLeft", "ArrowLeft"], "points", "512"),
        ("Elevation °", ["ArrowUp", "End"], "elevation_deg", "90"),
    ):
        page.get_by_label(f"range slider for {label}").focus()
        for pressed in keys:
            page.keyboard.press(pressed)
        wait_for_address(page, key, value)
    page.wait_for_timeout(1000)
    assert [(options.views, options.points, options.elevation_deg) for options in analysed[before:]] == [
        (15, 1024, 30), (15, 512, 30), (15, 512, 90)
    ]  # fmt: skip


def test_a_number_counts_when_its_visitor_pauses_and_half_of_one_does_not(visit: Any, analysed: list[Options]) -> None:
    page = visit()
    before = len(analysed)
    box = page.locator("#options input[type=number][aria-label='number input for Points']")
    box.focus()
    page.keyboard.press("Control+a")
    page.keyboard.type("51")
    page.wait_for_timeout(1000)
    assert (box.input_value(), analysed[before:]) == ("51", []), "51 points are fewer than the slider offers"
    page.keyboard.type("2")
    wait_for_address(page, "points", "512")
    assert page.evaluate("() => document.activeElement.getAttribute('aria-label')") == "number input for Points"
    page.get_by_label("Sampling seed").focus()
    page.keyboard.press("Control+a")
    page.keyboard.type("17", delay=50)
    wait_for_address(page, "seed", "17")
    page.wait_for_timeout(1000)
    assert [(options.points, options.seed) for options in analysed[before:]] == [(512, 0), (512, 17)]


def test_a_slider_that_is_dragged_is_analysed_when_it_is_let_go(visit: Any, analysed: list[Options]) -> None:
    page = visit()
    before = len(analysed)
    track = page.get_by_label("range slider for Views").bounding_box()
    page.mouse.move(track["x"] + track["width"] / 2, track["y"] + track["height"] / 2)
    page.mouse.down()
    page.mouse.move(track["x"] + track["width"] - 1, track["y"] + track["height"] / 2, steps=3)
    page.wait_for_timeout(1000)
    assert analysed[before:] == []
    page.mouse.up()
    wait_for_address(page, "views", "24")
    page.wait_for_timeout(1000)
    assert [options.views for options in analysed[before:]] == [24]


def test_of_options_changed_while_an_analysis_runs_the_last_ones_are_shown(
    visit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, compute = visit(), analyse

    def slow(*shape_and_options: Any, **rest: Any) -> Shown:
        time.sleep(1.5)
        return compute(*shape_and_options, **rest)

    monkeypatch.setattr("viz.page.touches.analyse", slow)
    for views in ("3", "4", "5"):
        typed(page, "number input for Views", views, "Enter")
        page.wait_for_timeout(300)
    typed(page, "Sampling seed", "6", "Enter")
    wait_for_address(page, "seed", "6")
    wait_for_address(page, "views", "5")
    page.wait_for_function("() => document.querySelectorAll('.pmv-thumb').length === 5")
    assert page.get_by_label("number input for Views").input_value() == "5"


def test_another_example_starts_with_the_axis_that_suits_it(visit: Any) -> None:
    page = visit("/?example=chair&up=y")
    axis = page.get_by_label("Up axis of the file")
    assert axis.input_value() == "Y up"
    assert "Turned Y-up to Z-up" in str(page.locator("#card .notes").text_content())
    page.get_by_alt_text("sofa", exact=True).click()
    wait_until_shown(page, "sofa.stl")
    page.wait_for_function("() => document.querySelector(\"[aria-label='Up axis of the file']\").value === 'Automatic'")
    assert "Kept Z as the up axis" in str(page.locator("#card .notes").text_content())
    assert "up=" not in page.url


def test_a_file_of_ones_own_outlives_a_reload_and_is_named_where_it_does_not(visit: Any, tmp_path: Path) -> None:
    page = visit()
    send(page, write_cube(tmp_path / "mine.off"))
    wait_until_shown(page, "mine.off")
    page.get_by_label("Up axis of the file").click()
    page.get_by_role("option", name="Y up").click()
    wait_for_address(page, "up", "y")
    typed(page, "number input for Views", "5", "Enter")
    wait_for_address(page, "views", "5")
    page.reload()
    wait_until_shown(page, "mine.off")
    assert page.locator(".pmv-thumb").count() == 5
    assert "Turned Y-up to Z-up" in str(page.locator("#card .notes").text_content())
    assert page.get_by_label("Up axis of the file").input_value() == "Y up"
    assert page.locator("#examples .selected").count() == 0
    assert refusal(page) == ""
    TOKENS.sources.clear()
    page.reload()
    wait_until_shown(page, "chair.off")
    assert refusal(page) == "Your file mine.off is no longer here; drop it again."
    assert page.locator("#examples .selected").get_attribute("aria-label") == "chair"
    assert page.get_by_label("Up axis of the file").input_value() == "Automatic"
    page.reload()
    wait_until_shown(page, "chair.off")
    assert refusal(page) == "", "it is said once"


# Each title of a message over the scene, from the page's first moment on.
COLLECT_MESSAGES = """
window.said = new Set();
new MutationObserver(() => window.said.add(document.querySelector("[data-part=message] strong")?.textContent))
  .observe(document, { subtree: true, childList: true });
"""


def test_until_the_first_shape_is_there_the_page_says_that_it_is_loading_and_nothing_else(
    browser: Any, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compute = analyse

    def slow(*shape_and_options: Any, **rest: Any) -> Shown:
        time.sleep(2)
        return compute(*shape_and_options, **rest)

    monkeypatch.setattr("viz.page.touches.analyse", slow)
    page = browser.new_page()
    page.set_default_timeout(SLOWEST_MS)
    page.add_init_script(COLLECT_MESSAGES)
    page.goto(address)
    page.locator("[data-part=message] strong").wait_for()
    screenshot(page, "loading", tmp_path)
    wait_until_shown(page, "chair.off")
    assert set(page.evaluate("() => [...window.said]")) - {None} == {"Loading"}
    page.close()


def test_the_gallerys_buttons_are_called_after_their_examples_and_say_which_is_chosen(visit: Any) -> None:
    page = visit()
    names = [key.replace("_", " ") for key in examples()]
    label = "node => node.getAttribute('aria-label')"
    buttons = page.locator("#examples button.thumbnail-item")
    assert [button.evaluate(label) for button in buttons.all()] == names
    page.get_by_role("button", name="airplane", exact=True).click()
    wait_until_shown(page, "airplane.glb")
    assert [button.evaluate(label) for button in buttons.all()] == names
    assert page.locator("#examples [aria-pressed=true]").evaluate_all("all => all.map((node) => node.ariaLabel)") == [
        "airplane"
    ]


RING = """
() => {
  const probe = document.body.appendChild(document.createElement('i'));
  probe.style.color = 'var(--slider-color)';
  const accent = getComputedStyle(probe).color;
  probe.remove();
  for (let node = document.activeElement; node.id !== 'side' && node !== document.body; node = node.parentElement) {
    const { outlineStyle, outlineWidth, outlineColor } = getComputedStyle(node);
    if (outlineStyle === 'solid' && outlineWidth === '2px' && outlineColor === accent) return true;
  }
  return false;
}
"""


def test_whatever_has_the_keyboard_in_the_side_wears_a_ring_in_the_accent_colour(visit: Any) -> None:
    from playwright.sync_api import TimeoutError as StillWaiting

    page = visit()
    without, visited, gaps = [], [], set()
    for scheme in ("light", "dark"):
        assert page.evaluate("() => window.pointmcdViewer.theme") == scheme
        page.locator("#masthead button").focus()
        page.keyboard.press("Tab")
        while page.evaluate("() => Boolean(document.activeElement.closest('#side'))"):
            name = page.evaluate("() => document.activeElement.ariaLabel ?? document.activeElement.textContent.trim()")
            visited.append(name)
            try:
                page.wait_for_function(RING, timeout=2000)  # some of Gradio's buttons take a moment to change
            except StillWaiting:
                without.append((scheme, name))
            if name.startswith("range slider"):
                gaps.add(page.evaluate("() => getComputedStyle(document.activeElement).outlineOffset"))
            page.keyboard.press("Tab")
        page.locator("#masthead button").click()  # from light to dark, and back
        page.evaluate("() => window.pointmcdViewer.settled()")
    assert {"range slider for Views", "Student", "Visibility", "Sampling seed", "PNG", "chair"} <= set(visited)
    assert without == []
    assert gaps == {"5px"}, "around the thumb, which is twice as high as the slider"


def test_points_are_shown_where_ray_casting_was_chosen_and_the_page_says_how(visit: Any) -> None:
    page = visit("/?example=lamp&visibility=raycast", shown="lamp.csv")
    assert "hidden point removal is used" in str(page.locator("#card .notes").text_content())
    assert page.locator("#card .refusal").is_hidden()
    assert "visibility=raycast" in page.url


def test_the_winners_alone_are_asked_again_and_the_answer_is_the_networks(visit: Any, models: Any) -> None:
    from pointmcd.analysis.analyze import analyze, predict_points

    page = visit("/#color=wins&scope=pool&least=4")
    label = page.locator("[data-part=legend] .pmv-slider span")
    page.wait_for_function("() => /: \\w+ \\d+/.test(document.querySelector('.pmv-slider span').textContent)")
    analysis = analyze(load_shape(examples()["chair"]), models)
    wins = np.bincount(analysis.student.global_winners, minlength=len(analysis.cloud.points))
    kept = analysis.cloud.points[wins >= 4]
    probabilities = predict_points(kept, models)
    best = int(probabilities.argmax())
    name = analysis.class_names[best].replace("_", " ")
    assert label.text_content() == f"{len(kept)} win ≥ 4: {name} {100 * probabilities[best]:.0f} %"
