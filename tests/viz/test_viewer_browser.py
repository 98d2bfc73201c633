"""Does the viewer show what its bundle holds, in a real browser and without any server's help?"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest

from pointmcd.records import Analysis
from tests.analysis_fixture import make_analysis
from tests.browser import CHROMIUM, chromium, needs_chromium, watch
from viz.bundle import make_bundle
from viz.components import AnalysisViewer
from viz.theme import DARK, LIGHT

SLOWEST_MS = 30_000
EVIL_NAME = "${window.ran=1}{{window.ran=2}}<script>window.ran=3</script><img src=x onerror=window.ran=4>.ply"
# Counts the WebGL contexts that were ever made and are still alive, whoever holds them.
COUNT_CONTEXTS = """
window.contexts = [];
const getContext = HTMLCanvasElement.prototype.getContext;
HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
  const context = getContext.call(this, kind, ...rest);
  if (context && /webgl/.test(kind) && !window.contexts.some((held) => held.deref() === context)) {
    window.contexts.push(new WeakRef(context));
  }
  return context;
};
window.liveContexts = () => window.contexts.filter((held) => held.deref() && !held.deref().isContextLost()).length;
"""
# Both scenes rest in one pose: the same now and half a second ago.
TOGETHER = """
async () => {
  const poses = () => [window.pointmcdViewer.camera, window.pointmcdViewer.compareCamera].map(({ eye, center, up }) =>
    [eye, center, up].flatMap(({ x, y, z }) => [x, y, z].map((value) => value.toFixed(5) * 1)).join());
  const [main, compared] = poses();
  await new Promise((done) => setTimeout(done, 500));
  return main === compared && poses().every((pose) => pose === main);
}
"""
# Of each point that no nearer one covers: the colour of its middle in the picture, as "#rrggbb".
COLORS_ON_SCREEN = """
async () => {
  const node = document.querySelector("[data-part=scene-main]");
  const picture = new Image();
  picture.src = await window.pointmcdViewer.picture();
  await picture.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [picture.width, picture.height];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(picture, 0, 0);
  const scale = picture.width / node.clientWidth;
  const places = Array.from({ length: window.pointmcdViewer.drawn }, (_, n) => window.pointmcdViewer.screenPosition(n));
  const covers = ([x, y, depth], [ownX, ownY, own]) => depth < own && Math.hypot(x - ownX, y - ownY) < 9;
  const found = {};
  places.forEach((place, n) => {
    if (places.some((other) => covers(other, place))) return;
    const [x, y] = place.map((value) => Math.round(value * scale));
    const channels = [...context.getImageData(x, y, 1, 1).data].slice(0, 3);
    found[n] = "#" + channels.map((channel) => channel.toString(16).padStart(2, "0")).join("");
  });
  return found;
}
"""

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def shapes() -> dict[str, Analysis]:
    return {
        "chair": make_analysis(points=600, views=12, colors=True, name="chair.off"),
        "sphere": make_analysis(points=400, views=5, seed=1, shape="sphere", name=EVIL_NAME),
        "lonely": make_analysis(points=300, views=4, seed=2, plain=False, name="lonely.ply"),
    }


@pytest.fixture(scope="module")
def address(shapes: dict[str, Analysis]) -> Iterator[str]:
    """A page with nothing but the viewer and one button per value it can get."""
    values: dict[str, Any] = {name: make_bundle(analysis) for name, analysis in shapes.items()}
    values |= {"nothing": None, "error": {"error": f"Line 17 of {EVIL_NAME} has 2 columns."}}
    values["damaged"] = {**values["chair"], "points": {**values["chair"]["points"], "data": ""}}
    with gr.Blocks() as page:
        with gr.Row():
            buttons = {name: gr.Button(name, elem_id=f"give-{name}") for name in values}
        viewer = AnalysisViewer(values["chair"])
        for name, button in buttons.items():
            button.click(lambda name=name: values[name], outputs=viewer, show_progress="hidden")
    page.launch(server_name="127.0.0.1", prevent_thread_lock=True, quiet=True, share=False, ssr_mode=False)
    yield page.local_url.rstrip("/")
    page.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        # Software GL pays for every pixel and every frame of a flight: a small window, and flights that end at once.
        context = started.new_context(viewport={"width": 1100, "height": 800}, reduced_motion="reduce")
        context.add_init_script(COUNT_CONTEXTS)
        context.set_default_timeout(SLOWEST_MS)
        yield context


@pytest.fixture
def open_page(browser: Any, address: str) -> Iterator[Any]:
    """Open a page of one's own. However the visit goes, nothing leaves this machine and nothing complains."""
    pages, watched = [], []

    def open_it(state: str = "", *, width: int = 1100, height: int = 800) -> Any:
        page = browser.new_page()
        pages.append(page)
        page.set_viewport_size({"width": width, "height": height})
        watched.append(watch(page, address))
        page.goto(f"{address}/#{state}")
        settle(page)
        return page

    yield open_it
    for page in pages:
        page.close()
    assert watched == [([], [])] * len(watched)


@pytest.fixture(scope="module")
def first_page(browser: Any, address: str) -> Iterator[Any]:
    """One page for the tests that need no page of their own: opening one costs seconds."""
    page = browser.new_page()
    page.foreign, page.complaints = watch(page, address)
    page.goto(address)
    settle(page)
    yield page
    page.close()


@pytest.fixture
def page(first_page: Any, shapes: dict[str, Analysis]) -> Iterator[Any]:
    """The viewer as it opens: the chair, the first view, the home camera."""
    give(first_page, "chair", shapes)
    first_page.evaluate("() => { document.activeElement.blur(); document.body.classList.remove('dark'); }")
    first_page.keyboard.press("Escape")
    # Emptying the address by hand is how a user resets every choice.
    first_page.evaluate("() => { location.hash = ''; }")
    first_page.wait_for_function("() => location.hash === '' && window.pointmcdViewer.state.mode === 'seen'")
    first_page.mouse.move(1, 1)
    first_page.keyboard.press("r")
    settle(first_page)
    yield first_page
    assert first_page.foreign == []
    assert first_page.complaints == []


def settle(page: Any) -> None:
    page.wait_for_function("() => window.pointmcdViewer?.drawn > 0")
    page.evaluate("() => window.pointmcdViewer.settled()")


def give(page: Any, name: str, shapes: dict[str, Analysis]) -> None:
    page.locator(f"#give-{name}").click()
    page.wait_for_function("name => window.pointmcdViewer.name === name", arg=shapes[name].name)
    settle(page)


def state(page: Any) -> dict[str, Any]:
    return dict(page.evaluate("() => window.pointmcdViewer.state"))


def camera(page: Any, scene: str = "camera") -> list[float]:
    pose = page.evaluate(f"() => window.pointmcdViewer.{scene}")
    return [pose[part][axis] for part in ("eye", "center", "up") for axis in "xyz"]


def colors_on_screen(page: Any) -> dict[int, str]:
    """The colour at the middle of each point that no other point covers, read from the picture that WebGL drew."""
    found: dict[str, str] = page.evaluate(COLORS_ON_SCREEN)
    return {int(point): color for point, color in found.items()}


def assert_painted(page: Any, color: str, points: np.ndarray) -> None:
    """Exactly these points are drawn in this colour, as far as they are not covered."""
    shown = colors_on_screen(page)
    assert len(shown) > 0.1 * len(points)
    assert {point for point, own in shown.items() if own == color} == {point for point in shown if points[point]}


def a_point_to_click(page: Any) -> tuple[int, float, float]:
    """A point that nothing stands in front of, and where it is on the page."""
    point, x, y = page.evaluate(
        """() => {
          for (let n = 0; n < window.pointmcdViewer.drawn; n++) {
            const place = window.pointmcdViewer.screenPosition(n);
            if (place && window.pointmcdViewer.pick(place[0], place[1]) === n) return [n, place[0], place[1]];
          }
        }"""
    )
    box = page.locator("[data-part=scene-main]").bounding_box()
    return int(point), box["x"] + x, box["y"] + y


def screenshot(page: Any, name: str, tmp_path: Path, **settings: Any) -> None:
    folder = Path(os.environ.get("SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=folder / f"{name}.png", **settings)


def test_the_cloud_of_the_bundle_is_drawn(page: Any, shapes: dict[str, Analysis]) -> None:
    assert page.evaluate("() => window.pointmcdViewer.drawn") == len(shapes["chair"].cloud.points)
    shown = set(colors_on_screen(page).values())
    assert LIGHT["seen"] in shown
    dimmed = shown - {LIGHT["seen"]}
    assert len(dimmed) == 1
    assert LIGHT["scene"] not in dimmed


def test_selecting_a_view_shows_exactly_the_points_it_sees(page: Any, shapes: dict[str, Analysis]) -> None:
    mask = shapes["chair"].visibility.mask
    for view in (0, 4, 11):
        page.locator(f".pmv-thumb[data-view='{view}']").click()
        settle(page)
        assert_painted(page, LIGHT["seen"], mask[view])
        assert f"{mask[view].sum()} (" in page.locator("[data-part=legend]").inner_text()
        assert (
            f"View {view + 1} sees {mask[view].sum()} of 600 points" in page.locator("[data-part=status]").inner_text()
        )


def test_clicking_a_point_fills_its_card_with_the_views_that_see_it(page: Any, shapes: dict[str, Analysis]) -> None:
    point, x, y = a_point_to_click(page)
    page.mouse.click(x, y)
    assert state(page)["point"] == point
    chips = page.locator(".pmv-chip").evaluate_all("chips => chips.map((chip) => chip.dataset.seen === 'true')")
    assert chips == shapes["chair"].visibility.mask[:, point].tolist()
    card = page.locator("[data-part=card]").inner_text()
    assert "  ".join(f"{value:.3f}" for value in shapes["chair"].cloud.points[point]) in card
    won = (shapes["chair"].student.winners[0] == point).sum()
    overall = (shapes["chair"].student.global_winners == point).sum()
    assert f"{won} here · {overall} overall" in card


def test_the_clicked_point_is_marked_at_its_pixel(page: Any, shapes: dict[str, Analysis]) -> None:
    analysis = shapes["chair"]
    for view, point in ((0, 3), (7, 120)):
        place = page.evaluate("([view, point]) => window.pointmcdViewer.imagePosition(view, point)", [view, point])
        assert place == pytest.approx(analysis.visibility.pixels[view, point].tolist(), abs=0.02)


def test_the_pinned_points_ring_follows_the_camera(page: Any) -> None:
    page.evaluate("() => { location.hash = 'point=120'; }")
    page.wait_for_function("() => window.pointmcdViewer.state.point === 120")
    page.keyboard.press("f")
    settle(page)
    scene, ring = (page.locator(f"[data-part={part}]").bounding_box() for part in ("scene-main", "pin-main"))
    x, y, _ = page.evaluate("() => window.pointmcdViewer.screenPosition(120)")
    center = ring["x"] + ring["width"] / 2 - scene["x"], ring["y"] + ring["height"] / 2 - scene["y"]
    assert center == pytest.approx((x, y), abs=1)


def test_a_drag_turns_the_scene_and_is_not_a_click(page: Any) -> None:
    before = camera(page)
    _, x, y = a_point_to_click(page)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 30, y + 4, steps=4)
    page.mouse.move(x + 60, y + 8, steps=4)
    page.mouse.up()
    settle(page)
    assert state(page)["point"] is None
    assert camera(page) != pytest.approx(before, abs=1e-3)


def test_the_scene_turns_at_once_after_a_choice(page: Any) -> None:
    before = camera(page)
    box = page.locator("[data-part=scene-main]").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.keyboard.press("4")
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 40, y, steps=4)
    page.mouse.up()
    assert camera(page) != pytest.approx(before, abs=1e-3)


def test_escape_and_double_click_clear_the_point(page: Any) -> None:
    _, x, y = a_point_to_click(page)
    page.mouse.click(x, y)
    assert state(page)["point"] is not None
    page.keyboard.press("Escape")
    assert state(page)["point"] is None
    page.mouse.dblclick(x, y)
    assert state(page)["point"] is None


def test_one_scene_is_one_context(open_page: Any) -> None:
    assert open_page().evaluate("() => window.liveContexts()") == 1


def test_thirty_shapes_leave_two_contexts_at_most_and_the_camera_where_it_was(
    page: Any, shapes: dict[str, Analysis]
) -> None:
    page.keyboard.press("3")  # a colouring in which the students differ
    page.keyboard.press("c")
    page.wait_for_function("() => window.pointmcdViewer.compareCamera !== null")
    page.locator("[data-tool=fly]").click()
    settle(page)
    before = camera(page)
    for turn in range(30):
        give(page, ("sphere", "lonely", "chair")[turn % 3], shapes)
    assert page.evaluate("() => window.liveContexts()") <= 2
    assert camera(page) == pytest.approx(before, abs=1e-6)


def test_a_lost_context_is_said_and_comes_back_with_the_cloud_and_what_was_chosen_meanwhile(
    open_page: Any, shapes: dict[str, Analysis]
) -> None:
    page = open_page()
    notice = page.locator("[data-part=scene-main] + .pmv-notice")
    assert notice.is_hidden()
    page.evaluate(
        """() => {
          const gl = document.querySelector("[data-part=scene-main] canvas").getContext("webgl");
          (window.context = gl.getExtension("WEBGL_lose_context")).loseContext();
        }"""
    )
    notice.wait_for()
    assert "comes back by itself" in notice.inner_text()
    page.locator(".pmv-thumb[data-view='4']").click()
    page.locator("[data-tool=image]").click()
    page.wait_for_timeout(300)
    page.evaluate("() => window.context.restoreContext()")
    notice.wait_for(state="hidden")
    settle(page)
    assert_painted(page, LIGHT["seen"], shapes["chair"].visibility.mask[4])
    assert page.evaluate("() => window.liveContexts()") == 1
    before = camera(page)
    box = page.locator("[data-part=scene-main]").bounding_box()
    page.mouse.move(box["x"] + 200, box["y"] + 200)
    page.mouse.down()
    page.mouse.move(box["x"] + 260, box["y"] + 210, steps=6)
    page.mouse.up()
    settle(page)
    assert camera(page) != pytest.approx(before, abs=1e-3)
    page.keyboard.press("r")  # from where no line of the rig lies over a point
    give(page, "lonely", shapes)
    page.locator(".pmv-thumb[data-view='0']").click()
    settle(page)
    assert_painted(page, LIGHT["seen"], shapes["lonely"].visibility.mask[0])


def test_without_webgl_our_own_sentence_stands_in_the_scene_and_all_else_works(browser: Any, address: str) -> None:
    flags = ["--no-sandbox", "--disable-background-networking", "--disable-gpu", "--disable-3d-apis"]
    bare = browser.browser.browser_type.launch(executable_path=CHROMIUM, args=flags)
    page = bare.new_page(viewport={"width": 1100, "height": 800})
    page.set_default_timeout(SLOWEST_MS)
    foreign, complaints = watch(page, address)
    page.goto(address)
    notice = page.locator("[data-part=scene-main] + .pmv-notice")
    notice.wait_for()
    assert "has no WebGL" in notice.inner_text()
    page.set_viewport_size({"width": 900, "height": 700})
    for key in ("3", "ArrowRight", "f", "c", "r"):
        page.keyboard.press(key)
    page.locator("[data-tool=image]").click()
    page.locator("#give-sphere").click()
    page.wait_for_function("name => window.pointmcdViewer.name === name", arg=EVIL_NAME)
    page.wait_for_timeout(700)
    assert page.locator(".pmv-thumb").count() == 5
    assert page.locator(".no-webgl").count() == 0
    bare.close()
    assert (foreign, complaints) == ([], [])


def test_a_graphics_card_without_vertex_arrays_draws_the_cloud_too(
    browser: Any, address: str, shapes: dict[str, Analysis]
) -> None:
    page = browser.new_page()
    page.add_init_script(
        """
        const getExtension = WebGLRenderingContext.prototype.getExtension;
        WebGLRenderingContext.prototype.getExtension = function (name) {
          return name === "OES_vertex_array_object" ? null : getExtension.call(this, name);
        };
        """
    )
    foreign, complaints = watch(page, address)
    page.goto(address)
    settle(page)
    for view in (0, 4):
        page.locator(f".pmv-thumb[data-view='{view}']").click()
        settle(page)
        assert_painted(page, LIGHT["seen"], shapes["chair"].visibility.mask[view])
    page.close()
    assert (foreign, complaints) == ([], [])


def test_the_point_under_the_pointer_is_the_one_whose_disc_is_seen_there(page: Any) -> None:
    # Seen is, of the discs that cover a place, the nearest; places are taken from all over the discs.
    wrong = page.evaluate(
        """() => {
          const viewer = window.pointmcdViewer;
          const places = Array.from({ length: viewer.drawn }, (_, n) => viewer.screenPosition(n));
          const radius = viewer.discRadius;
          let wrong = 0;
          for (let k = 0; k < 1200; k++) {
            const [x, y] = places[(k * 37) % places.length].slice(0, 2);
            const [px, py] = [x + 0.9 * radius * Math.cos(k), y + 0.9 * radius * Math.sin(k)];
            let front = null;
            places.forEach(([a, b, depth], n) => {
              if (Math.hypot(a - px, b - py) <= radius && (front === null || depth < places[front][2])) front = n;
            });
            if (viewer.pick(px, py) !== front) wrong += 1;
          }
          return wrong;
        }"""
    )
    assert wrong == 0


def test_a_flight_ends_where_the_views_camera_stands(page: Any, shapes: dict[str, Analysis]) -> None:
    page.locator(".pmv-thumb[data-view='4']").click()
    page.keyboard.press("f")
    settle(page)
    pose = page.evaluate("() => window.pointmcdViewer.camera")
    eye = [pose["eye"][axis] for axis in "xyz"]
    # One unit of the shape is 1 / 2.1 of the scene's.
    assert eye == pytest.approx((shapes["chair"].cameras.centers[4] / 2.1).tolist(), abs=1e-3)


def test_from_a_views_pose_the_scene_shows_what_the_image_shows(page: Any, shapes: dict[str, Analysis]) -> None:
    page.keyboard.press("f")
    settle(page)
    box = page.locator("[data-part=scene-main]").bounding_box()
    analysis = shapes["chair"]
    for point in (5, 77, 300):
        column, row = analysis.visibility.pixels[0, point]
        x, y, _ = page.evaluate("n => window.pointmcdViewer.screenPosition(n)", point)
        # The image fills the scene's height and is centred in its width.
        assert y / box["height"] == pytest.approx(float(row) / 224, abs=0.01)
        assert (x - box["width"] / 2) / box["height"] == pytest.approx(float(column) / 224 - 0.5, abs=0.01)


def test_the_compared_scenes_turn_together(page: Any) -> None:
    page.keyboard.press("3")  # a colouring in which the students differ
    page.keyboard.press("c")
    page.wait_for_function("() => window.pointmcdViewer.compareCamera !== null")
    settle(page)
    for scene in ("main", "compare"):
        box = page.locator(f"[data-part=scene-{scene}]").bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        before = camera(page)
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + 40, y, steps=6)
        page.mouse.up()
        page.wait_for_function(TOGETHER)
        assert camera(page) != pytest.approx(before, abs=1e-3)


def test_the_second_scene_opens_in_the_pose_of_the_first(page: Any) -> None:
    page.keyboard.press("3")
    for view in (3, 8):
        page.locator(f".pmv-thumb[data-view='{view}']").click()
        page.keyboard.press("f")
        page.keyboard.press("c")
        page.wait_for_function(TOGETHER)
        assert page.evaluate(TOGETHER), "they stay so"
        page.keyboard.press("c")


def test_a_cell_of_the_matrix_selects_both_views_and_their_points(page: Any) -> None:
    canvas = page.locator(".pmv-matrix")
    cell = (canvas.bounding_box()["width"] - 19) / 12
    canvas.click(position={"x": 18 + 6.5 * cell, "y": 18 + 2.5 * cell})
    now = state(page)
    assert now["cell"] == [2, 6]
    assert now["view"] == 2
    assert "student view 3 · teacher view 7" in page.locator("[data-part=legend]").inner_text()
    canvas.press("ArrowDown")
    assert state(page)["cell"] == [3, 6]


def test_keep_only_winners_keeps_the_points_that_win_so_many(page: Any, shapes: dict[str, Analysis]) -> None:
    page.keyboard.press("3")
    wins = [(shapes["chair"].student.winners[0] == n).sum() for n in range(600)]
    assert page.evaluate("() => window.pointmcdViewer.strong") == sum(w >= 1 for w in wins)
    slider = page.locator(".pmv-slider input")
    slider.fill("20")
    least = state(page)["least"]
    assert least > 1
    assert page.evaluate("() => window.pointmcdViewer.strong") == sum(w >= least for w in wins)


def test_blind_spots_are_counted_with_their_share_of_the_winners(page: Any, shapes: dict[str, Analysis]) -> None:
    page.keyboard.press("9")
    settle(page)
    analysis = shapes["chair"]
    blind = analysis.unseen_points
    assert len(blind) > 0
    assert_painted(page, LIGHT["blind"], np.isin(np.arange(600), blind))
    channels = sum(int(winner) in set(blind.tolist()) for winner in analysis.student.global_winners)
    assert f"they win {channels} of 1,024 channels" in page.locator("[data-part=legend]").inner_text()


def test_every_key_does_what_the_help_says(page: Any) -> None:
    page.keyboard.press("ArrowRight")
    assert state(page)["view"] == 1
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert state(page)["view"] == 11
    for key, mode in enumerate(
        ["seen", "views", "wins", "alignment", "features", "height", "file", "difference", "blind"], 1
    ):
        page.keyboard.press(str(key))
        assert state(page)["mode"] == mode
    page.keyboard.press("t")
    assert state(page)["thumbs"] == "points"
    page.keyboard.press("s")
    assert state(page)["student"] == "plain"
    page.keyboard.press("?")
    assert page.locator("[data-part=help]").is_visible()
    page.keyboard.press("Escape")
    assert page.locator("[data-part=help]").is_hidden()
    page.keyboard.press("Space")
    page.wait_for_function("() => window.pointmcdViewer.state.view !== 11")
    page.keyboard.press("Space")


@pytest.mark.parametrize("opener", ["the button", "the key"])
def test_the_help_holds_the_keyboard_and_gives_it_back(page: Any, opener: str) -> None:
    tool = page.locator("[data-tool=keys]")
    tool.focus()
    page.keyboard.press("Enter" if opener == "the button" else "?")
    inside = "() => Boolean(document.activeElement.closest('[data-part=help]'))"
    assert page.locator("[data-part=help]").is_visible()
    for key in ("Tab", "Tab", "Tab", "Shift+Tab", "Shift+Tab"):
        page.keyboard.press(key)
        assert page.evaluate(inside), key
    page.keyboard.press("Escape")
    assert page.locator("[data-part=help]").is_hidden()
    assert tool.evaluate("node => node === document.activeElement")


def test_no_shortcut_acts_behind_the_help(page: Any) -> None:
    before = state(page)
    page.keyboard.press("?")
    for key in ("3", "4", "ArrowRight", "ArrowLeft", "ArrowRight", "c", "s", "t", "f", "r"):
        page.keyboard.press(key)
    assert page.locator("[data-part=help]").is_visible()
    assert state(page) == before
    page.keyboard.press("?")
    assert page.locator("[data-part=help]").is_hidden()
    page.keyboard.press("3")
    assert state(page)["mode"] == "wins"


def test_the_winners_slider_moves_by_keys_and_every_step_is_another_number(page: Any) -> None:
    page.keyboard.press("3")
    page.locator(".pmv-slider input").focus()
    steps = [state(page)["least"]]
    for _ in range(6):
        page.keyboard.press("ArrowRight")
        steps.append(state(page)["least"])
    assert steps == sorted(set(steps))
    assert steps[:3] == [1, 2, 3]
    for least in reversed(steps[:-1]):
        page.keyboard.press("ArrowLeft")
        assert state(page)["least"] == least
    page.keyboard.press("End")
    assert state(page)["least"] > steps[-1]
    page.keyboard.press("Home")
    assert (state(page)["least"], state(page)["view"]) == (1, 0), "no key went to the views behind"


def test_arrows_in_the_legends_choices_keep_the_focus_on_the_chosen_one(page: Any) -> None:
    page.keyboard.press("3")
    page.locator(".pmv-legend [data-choice=view]").focus()
    for choice in ("views", "pool", "view"):
        page.keyboard.press("ArrowRight")
        assert page.evaluate("() => document.activeElement.dataset.choice") == choice
        assert state(page)["scope"] == choice


def test_the_address_carries_the_state(open_page: Any) -> None:
    page = open_page("view=4&color=wins&scope=pool&student=plain&thumbs=heat&point=17&compare=1")
    now = state(page)
    assert (now["view"], now["mode"], now["scope"], now["student"]) == (3, "wins", "pool", "plain")
    assert (now["thumbs"], now["point"], now["compare"]) == ("heat", 17, True)
    page.keyboard.press("Escape")
    page.keyboard.press("1")
    kept = page.evaluate("() => location.hash").removeprefix("#").split("&")
    assert sorted(kept) == ["compare=1", "scope=pool", "student=plain", "thumbs=heat", "view=4"]


def test_nonsense_in_the_address_is_ignored(page: Any) -> None:
    page.evaluate(
        "hash => { location.hash = hash; }", "view=99&color=<b>&point=-3&student=constructor&thumbs=__proto__"
    )
    page.evaluate("hash => { location.hash = hash; }", "view=99&color=<b>&point=700&student=constructor&least=1e9")
    page.wait_for_timeout(200)
    now = state(page)
    assert (now["view"], now["mode"], now["point"], now["student"]) == (0, "seen", None, "distilled")
    assert (now["least"], now["thumbs"]) == (1, "render")


def test_a_hostile_file_name_is_text(page: Any, shapes: dict[str, Analysis]) -> None:
    give(page, "sphere", shapes)
    assert EVIL_NAME in page.locator("[data-part=status]").inner_text()
    page.locator("#give-error").click()
    page.wait_for_function("() => window.pointmcdViewer.phase === 'error'")
    assert EVIL_NAME in page.locator("[data-part=message]").inner_text()
    assert page.evaluate("() => window.ran") is None


def test_without_a_shape_the_page_says_what_to_do_and_the_next_shape_works(
    page: Any, shapes: dict[str, Analysis]
) -> None:
    page.locator("#give-nothing").click()
    page.wait_for_function("() => window.pointmcdViewer.phase === 'empty'")
    assert "Choose an example" in page.locator("[data-part=message]").inner_text()
    assert page.locator("[data-part=predictions]").is_hidden()
    give(page, "lonely", shapes)
    assert page.locator("[data-part=message]").is_hidden()
    assert page.evaluate("() => window.pointmcdViewer.drawn") == 300


def test_without_a_plain_student_there_is_nothing_to_compare(page: Any, shapes: dict[str, Analysis]) -> None:
    page.keyboard.press("s")
    page.keyboard.press("8")
    give(page, "lonely", shapes)
    now = state(page)
    assert (now["student"], now["mode"], now["compare"]) == ("distilled", "seen", False)
    assert page.locator("[data-tool=compare]").is_disabled()
    page.keyboard.press("c")
    assert state(page)["compare"] is False


def test_a_damaged_bundle_is_an_error_in_words(page: Any) -> None:
    page.locator("#give-damaged").click()
    page.wait_for_function("() => window.pointmcdViewer.phase === 'error'")
    assert "could not read the analysis (an array is cut short)" in page.locator("[data-part=message]").inner_text()
    assert "an array is cut short" in page.complaints.pop()


def test_choosing_asks_nothing_of_the_server(page: Any) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.locator(".pmv-thumb[data-view='2']").click()
    page.keyboard.press("4")
    _, x, y = a_point_to_click(page)
    page.mouse.click(x, y)
    page.wait_for_timeout(200)
    assert [url for url in asked if url.startswith("http") and "heartbeat" not in url] == []


def test_the_picture_is_named_after_the_shape(page: Any, tmp_path: Path) -> None:
    with page.expect_download() as download:
        page.locator("[data-tool=image]").click()
    assert download.value.suggested_filename == "chair.png"
    download.value.save_as(tmp_path / "chair.png")
    assert (tmp_path / "chair.png").stat().st_size > 10_000


def test_the_dark_theme_repaints_the_scene(open_page: Any, shapes: dict[str, Analysis], tmp_path: Path) -> None:
    page = open_page("point=17", width=1440, height=900)
    screenshot(page, "viewer-light", tmp_path)
    page.evaluate("() => document.body.classList.add('dark')")
    page.wait_for_function("() => window.pointmcdViewer.theme === 'dark'")
    settle(page)
    assert_painted(page, DARK["seen"], shapes["chair"].visibility.mask[0])
    screenshot(page, "viewer-dark", tmp_path)


def test_on_a_phone_everything_fits_the_width(open_page: Any, tmp_path: Path) -> None:
    page = open_page("thumbs=heat&point=17", width=420)
    width = page.evaluate("() => document.querySelector('.pmv').scrollWidth")
    assert width <= 420
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 420
    screenshot(page, "viewer-420", tmp_path, full_page=True)
