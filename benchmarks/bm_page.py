"""How fast does the page answer in a browser, how much does it send, and does its memory stay flat?

A headless Chromium with software GL: the figures include its cost, and say how much is the page's own.
Run on an idle machine: `python -m benchmarks.bm_page`; it needs the development requirements and Chromium.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import gradio as gr

from benchmarks import rows
from benchmarks.rows import Row
from pointmcd import analyze, load_models
from pointmcd.data.synthetic import make_shape
from pointmcd.records import Analysis
from tests.browser import chromium
from viz.bundle import make_bundle
from viz.components import AnalysisViewer
from viz.page.examples import examples

ABOUT = "The page in a browser: bytes sent, time to the drawn cloud, redraws, first load, memory over 100 shapes."
HOME = Path(__file__).parent.parent
PORT = 7990
WINDOW = {"width": 1440, "height": 900}
VIEWER_WIDTH = 1102  # of the viewer in a page of that width
SLOWEST_MS = 60_000
SHAPE_CHANGES = 100
# The bounds.
BUNDLE_KB, CHOICE_S, LOAD_S, FLAT_PERCENT = 300.0, 0.8, 3.0, 10.0
REDRAW_MS = {2048: 100.0, 20_000: 250.0}
LOADS, CHOICES, REDRAWS = 3, 12, 15

# Chromium's GL runs asynchronously: reading a pixel waits until it has drawn.
IN_PAGE = """
window.bench = {
  plotlyRan: null,
  frame: () => new Promise((done) => requestAnimationFrame(done)),
  async drawn() {
    await bench.frame(); // plotly draws at the start of a frame
    const { gl } = document.querySelector("[data-part=scene-main]")._fullLayout.scene._scene.glplot;
    gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4));
  },
  async redraw() {
    await bench.frame();
    const { glplot } = document.querySelector("[data-part=scene-main]")._fullLayout.scene._scene;
    const started = performance.now();
    glplot.redraw();
    glplot.gl.readPixels(0, 0, 1, 1, glplot.gl.RGBA, glplot.gl.UNSIGNED_BYTE, new Uint8Array(4));
    return performance.now() - started;
  },
};
document.addEventListener("load", ({ target }) => {
  if (target.tagName === "SCRIPT" && window.Plotly) bench.plotlyRan ??= performance.now();
}, true);
"""
# Milliseconds from a click on a view: until its handler returns, until plotly has taken it, until it is on the screen.
SELECT_VIEW = """
async (view) => {
  const node = document.querySelector("[data-part=scene-main]");
  await bench.drawn();
  const taken = new Promise((done) => node.once("plotly_afterplot", () => done(performance.now())));
  const started = performance.now();
  document.querySelector(`.pmv-thumb[data-view="${view}"]`).click();
  const script = performance.now() - started;
  const plotted = (await taken) - started;
  await bench.drawn();
  return { script, plotted, drawn: performance.now() - started };
}
"""
# Milliseconds since the navigation began: until the page asks for the first shape, until plotly.js has run, until the
# whole answer has arrived; and the megabytes sent in all.
LOAD_STEPS = """
() => {
  const sent = performance.getEntriesByType("resource");
  const [asked, answer] = ["/queue/join", "/queue/data"].map((path) => sent.find(({ name }) => name.includes(path)));
  const bytes = sent.reduce((sum, { transferSize }) => sum + transferSize, 0);
  return [asked.startTime, bench.plotlyRan, answer.responseEnd, bytes / 1e6];
}
"""
# Milliseconds from a click in the gallery to the drawn cloud of that shape.
CHOOSE_EXAMPLE = """
async ([caption, file]) => {
  const node = document.querySelector("[data-part=scene-main]");
  const taken = new Promise((done) => {
    const check = () => {
      if (window.pointmcdViewer.name !== file) return;
      node.removeListener("plotly_afterplot", check);
      done();
    };
    node.on("plotly_afterplot", check);
  });
  const started = performance.now();
  document.querySelector(`#examples img[alt="${caption}"]`).click();
  await taken;
  await bench.drawn();
  return performance.now() - started;
}
"""


def measure() -> list[Row]:
    """Measure everything; about two minutes on two idle cores."""
    models = load_models(device="cpu")
    shape = make_shape("chair").shape
    small = analyze(shape, models, points=2048, views=16)
    large = analyze(shape, models, points=20_000, views=12)
    with chromium() as browser:
        with _viewer_alone(large) as address:
            crowded = _open(browser, address, WINDOW | {"width": VIEWER_WIDTH})
            found = [_redraw(crowded, 20_000)]
            crowded.context.close()
        with _server() as (address, server):
            page = _open(browser, f"{address}/?points=2048&views=16")
            found += [_redraw(page, 2048), _bundle_size(small)]
            page.context.close()
            found.append(_first_load(browser, address))
            page = _open(browser, address)
            keys = list(examples())
            for key in keys:  # the server reads each example once, and keeps it
                _choose(page, key)
            found.append(_choosing(page, keys))
            found += _memory(page, server, keys)
    return found


def _at_most(what: str, figure: str, value: float, unit: str, bound: float, *, detail: str = "") -> Row:
    return Row(what, figure, value, unit, bound, at_least=False, detail=detail)


def _bundle_size(analysis: Analysis) -> Row:
    parts = {key: len(_json(value)) / 1e3 for key, value in make_bundle(analysis).items()}
    largest = sorted(parts, key=parts.__getitem__, reverse=True)[:4]
    listed = ", ".join(f"{key} {parts[key]:.0f}" for key in largest)
    return _at_most(
        "a shape of 2,048 points and 16 views",
        "JSON sent to the page",
        sum(parts.values()),
        "KB",
        BUNDLE_KB,
        detail=f"most of it: {listed}",
    )


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _redraw(page: Any, points: int) -> Row:
    """Click from view to view."""
    times = [page.evaluate(SELECT_VIEW, 1 + turn % 5) for turn in range(REDRAWS)]
    gl_ms = statistics.median(page.evaluate("() => bench.redraw()") for _ in range(REDRAWS))
    script, plotted, drawn = (statistics.median(each[key] for each in times) for key in ("script", "plotted", "drawn"))
    return _at_most(
        f"{points:,} points in the scene",
        "a view is selected and drawn",
        drawn,
        "ms",
        REDRAW_MS[points],
        detail=f"of it the viewer's script {script:.0f} ms, then plotly {plotted - script:.0f} ms; "
        f"one frame of software GL alone takes {gl_ms:.0f} ms; the rest is the browser's own drawing of the page",
    )


@contextmanager
def _viewer_alone(analysis: Analysis) -> Iterator[str]:
    """Serve nothing but the viewer: the whole page stops at 4,096 points."""
    with gr.Blocks() as blocks:
        AnalysisViewer(make_bundle(analysis))
    with redirect_stdout(StringIO()):  # Gradio prints that it closes
        blocks.launch(server_name="127.0.0.1", prevent_thread_lock=True, quiet=True, share=False, ssr_mode=False)
        try:
            yield blocks.local_url
        finally:
            blocks.close()


@contextmanager
def _server() -> Iterator[tuple[str, int]]:
    """Serve the page by `python app.py` in its own process, warm; yield its address and process id."""
    environment = os.environ | {"PORT": str(PORT), "HOST": "127.0.0.1"}
    server = subprocess.Popen([sys.executable, "app.py"], cwd=HOME, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        line = next(line for line in server.stdout if line.startswith("PointMCD Studio: "))
        yield line.split(": ", 1)[1].strip(), server.pid
    finally:
        server.terminate()
        server.wait()


def _open(browser: Any, address: str, window: dict[str, int] = WINDOW) -> Any:
    """Open the page as a new visitor with an empty cache, and wait for the first cloud."""
    context = browser.new_context(viewport=window, reduced_motion="reduce")
    context.set_default_timeout(SLOWEST_MS)
    context.add_init_script(IN_PAGE)
    page = context.new_page()
    page.goto(address)
    page.wait_for_function("() => window.pointmcdViewer?.phase === 'ready' && window.pointmcdViewer.drawn > 0")
    page.evaluate("() => bench.drawn()")
    return page


def _first_load(browser: Any, address: str) -> Row:
    """Time a new visitor from the first request to the first shape on the screen; cache empty, page whole."""
    seconds, steps = [], []
    for _ in range(LOADS):
        started = time.perf_counter()
        page = _open(browser, address)
        seconds.append(time.perf_counter() - started)
        steps.append(page.evaluate(LOAD_STEPS))
        page.context.close()
    asked, ready, answered, sent_mb = (statistics.median(each) for each in zip(*steps, strict=True))
    return _at_most(
        "first load on loopback",
        "until the cloud is drawn",
        statistics.median(seconds),
        "s",
        LOAD_S,
        detail=f"the page asks for the first shape after {asked / 1000:.2f} s, plotly.js has run after "
        f"{ready / 1000:.2f} s, the answer is read after {answered / 1000:.2f} s; {sent_mb:.1f} MB sent",
    )


def _choosing(page: Any, keys: list[str]) -> Row:
    seconds = statistics.median(_choose(page, key) for key in keys[:CHOICES]) / 1000
    return _at_most("an example is chosen", "its cloud is drawn, warm", seconds, "s", CHOICE_S)


def _choose(page: Any, key: str) -> float:
    return float(page.evaluate(CHOOSE_EXAMPLE, [key.replace("_", " "), examples()[key].name]))


def _memory(page: Any, server: int, keys: list[str]) -> list[Row]:
    """Measure the growth of both sides over a hundred shapes, after every example was shown once."""
    devtools = page.context.new_cdp_session(page)
    devtools.send("Performance.enable")

    def heap_mb() -> float:
        devtools.send("HeapProfiler.collectGarbage")
        metrics = {each["name"]: each["value"] for each in devtools.send("Performance.getMetrics")["metrics"]}
        return float(metrics["JSHeapUsedSize"]) / 1e6

    def server_mb() -> float:
        lines = Path(f"/proc/{server}/status").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) * 1024 / 1e6

    sides = {"browser's JavaScript heap": heap_mb, "server's resident memory": server_mb}
    series: dict[str, list[float]] = {side: [read()] for side, read in sides.items()}
    for change in range(SHAPE_CHANGES):
        _choose(page, keys[change % len(keys)])
        if (change + 1) % (SHAPE_CHANGES // 4) == 0:
            for side, read in sides.items():
                series[side].append(read())
    found = []
    for side, values in series.items():
        growth = 100 * (values[-1] / values[0] - 1)
        detail = f"after each quarter, MB: {', '.join(f'{value:.0f}' for value in values)}"
        what = f"{SHAPE_CHANGES} shapes one after another"
        found.append(_at_most(what, f"growth of the {side}", growth, "%", FLAT_PERCENT, detail=detail))
    return found


if __name__ == "__main__":
    rows.run("bm_page", measure, ABOUT)
