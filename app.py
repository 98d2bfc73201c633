"""Which page does a visitor see, and what answers each touch of it?"""

from __future__ import annotations

import os

# Gradio reads these when it is imported: nothing on this page may call home.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
# Gradio keeps a record of 10,000 events, and makes a table of them after each one: nobody reads it here.
os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", "1")
os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", str(10**9))

import json
import re
import secrets
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
import numpy as np
from anyio import CapacityLimiter, to_thread
from starlette.middleware import Middleware

from pointmcd.records import CheckpointError, ShapeError
from pointmcd.shapes.load import EXTENSIONS, load_shape
from viz.bundle import asks_plain, make_bundle, points_from_base64
from viz.cells import Cells
from viz.components import AnalysisViewer, asset, in_place
from viz.delivery import HEAD, compressed_plotly
from viz.delivery import routes as script_routes
from viz.server.folder import leave_nothing_on_signals, own_folder
from viz.server.guard import Guard
from viz.server.inside import Inside
from viz.server.names import Names
from viz.server.sessions import Sessions
from viz.server.settings import forwarded_allow_ips, free_port, settings_from
from viz.server.tidying import tidying
from viz.server.uploads import Uploads
from viz.theme import DARK, LIGHT

if TYPE_CHECKING:
    from pointmcd.records import Analysis, Shape
    from pointmcd.weights.models import Models

HERE = Path(__file__).resolve().parent
EXAMPLE_FOLDER = HERE / "examples" / "shapes"
THUMBNAIL_FOLDER = HERE / "examples" / "thumbnails"
FIRST_EXAMPLE = "chair"

# Every student the code knows; the page then offers only those that have weights.
STUDENTS = (("PointNet", "pointnet"), ("DGCNN", "dgcnn"))
VISIBILITIES = (
    ("Automatic", "auto"),
    ("Ray casting", "raycast"),
    ("Hidden point removal", "hpr"),
    ("Z-buffer", "zbuffer"),
)
UP_AXES = (("Automatic", "auto"), ("Z up", "z"), ("Y up", "y"), ("X up", "x"))
VIEWS = (1, 24)
POINTS = (256, 4096)
ELEVATIONS = (-90, 90)
LARGEST_SEED = 2**31 - 1

UPLOAD_LIMIT = 100 * 2**20  # bytes
LONGEST_NAME = 120
# A visitor's files are deleted this long after they came: seconds between sweeps, age in seconds.
DELETE_CACHE = (600, 7200)
# An analysis takes about 10 MB, and its shape what was read (five million points: 120 MB); the visitor least lately
# active is forgotten first.
SESSIONS_KEPT = 100
TOKENS_KEPT = 1000  # that are found again after a reload; each is a path and a name
QUEUE_SIZE = 128
# Questions of the winners' slider wait for no queue: few at a time, each for a moment, and DGCNN gets fewer points, so
# that it takes no longer than a second.
QUESTIONS_WAITING = 3
LONGEST_WAIT_S = 0.5
MOST_POINTS_ASKED = {"dgcnn": 1024}


@dataclass(frozen=True)
class Options:
    """What a visitor chose for the analysis; the defaults are the paper's.

    Attributes:
        student: Name of the point network.
        visibility: "auto", "raycast", "hpr" or "zbuffer".
        views: Number of cameras on the ring.
        points: Number of points that are sampled.
        seed: Of the sampling.
        elevation_deg: Of the ring, in degrees.
    """

    student: str = "pointnet"
    visibility: str = "auto"
    views: int = 12
    points: int = 1024
    seed: int = 0
    elevation_deg: float = 30.0


@dataclass(frozen=True)
class Source:
    """Where a shape comes from.

    Attributes:
        path: The file on this machine.
        name: Its name as the visitor knows it: text, never to be put into HTML.
        up: "auto", "z", "y" or "x".
        example: The example's key in the address bar; None for the visitor's own file.
        token: By which the visitor's browser finds its own file again after a reload; None for an example.
    """

    path: Path
    name: str
    up: str = "auto"
    example: str | None = None
    token: str | None = None


class Tokens:
    """Find a visitor's file again after a reload, which is a new visit, by a token that only that browser holds.

    Only the file's place is kept; the file is deleted at its own time.
    """

    def __init__(self, most: int = TOKENS_KEPT) -> None:
        self.most = most
        self.sources: dict[str, Source] = {}
        self.lock = threading.Lock()

    def keep(self, source: Source) -> Source:
        """Give the file a token that nobody can guess; the oldest of too many files is forgotten."""
        kept = replace(source, token=secrets.token_urlsafe(32))
        with self.lock:
            self.sources[str(kept.token)] = kept
            while len(self.sources) > self.most:
                del self.sources[next(iter(self.sources))]
        return kept

    def find(self, token: str) -> Source | None:
        with self.lock:
            return self.sources.get(token)


TOKENS = Tokens()


@dataclass(frozen=True)
class Arrival:
    """Hold what a visitor's browser asks for when it opens the page.

    Attributes:
        example: The key of an example that the address bar names.
        up: The axis that the address bar names.
        token: Of the visitor's own file that this browser tab showed last; empty where it showed none.
        name: That file's name.
    """

    example: str | None
    up: str
    token: str = ""
    name: str = ""

    @property
    def upload(self) -> Source | None:
        """Find the visitor's own file that is to be shown again; None where there was none or it is gone."""
        source = None if self.example else TOKENS.find(self.token)
        return replace(source, up=self.up) if source and source.path.exists() else None

    @property
    def lost(self) -> str | None:
        """Say that the visitor's own file is gone; None where there was none or it is still there."""
        if self.example or not self.token or self.upload:
            return None
        return f"Your file {own_name_of(self.name)} is no longer here; drop it again."


@dataclass(frozen=True, eq=False)
class Opened:
    """A shape that was read, and from where."""

    source: Source
    shape: Shape


@dataclass(frozen=True, eq=False)
class Shown:
    """What the page shows: a shape, analysed with some options."""

    opened: Opened
    options: Options
    analysis: Analysis


_ANALYSING = threading.Lock()  # one analysis takes all cores: two at once would both take longer
_CHOOSING = threading.Lock()  # for a moment, by all visits: Gradio copies a visit, and a lock cannot be copied


@dataclass(eq=False)
class Visit:
    """What one visitor chose and sees: kept on the server, seen by nobody else.

    The events of a visit overlap: an example may be picked while a large file is still being read. So choices are
    counted, and none replaces the shape of a later one.

    Attributes:
        choices: How many were made.
        standing: Those that were not refused, by their count, from the one that is opened on.
        refused: Why the newest choice was refused; None where it was not, or where the visitor has moved on.
        opened: The shape of the newest choice that has been read.
        opened_by: Which choice that was, counted from 1.
        shown: What the page shows; on its way to become `opened` with the chosen options.
    """

    choices: int = 0
    standing: dict[int, Source] = field(default_factory=dict)
    refused: str | None = None
    opened: Opened | None = None
    opened_by: int = 0
    shown: Shown | None = None

    @property
    def wanted(self) -> Source | None:
        """Name the newest choice that was not refused."""
        standing = self.standing  # replaced as a whole, never changed: it may be read at any moment
        return standing[max(standing)] if standing else None

    def choose(self, source: Source) -> str | None:
        """Read a shape and open it; return a sentence where it is refused. The opened one then stays."""
        with _CHOOSING:
            self.choices = number = self.choices + 1
            self.standing, self.refused = {**self.standing, number: source}, None
        try:
            opened = open_source(source)
        except ShapeError as error:
            with _CHOOSING:
                if self.wanted is source:
                    self.refused = str(error)
                self.standing = {count: other for count, other in self.standing.items() if count != number}
            return self.refused
        with _CHOOSING:
            if number > self.opened_by:
                self.opened, self.opened_by = opened, number
                self.standing = {count: later for count, later in self.standing.items() if count >= number}
        return None


def examples() -> dict[str, Path]:
    """The shipped shapes by the key that stands in the address bar, in alphabetical order."""
    return {path.stem: path for path in sorted(EXAMPLE_FOLDER.iterdir()) if path.suffix in EXTENSIONS}


def example_source(key: str, up: str) -> Source:
    path = examples()[key]
    return Source(path, path.name, up, key)


def open_source(source: Source) -> Opened:
    """Read a shape; shipped examples are kept in memory, a visitor's file never is.

    Raises:
        ShapeError: The file cannot be used.
    """
    if not source.path.exists():
        raise ShapeError(f"{source.name} is no longer on the server; please upload it again.")
    read = _read_example if source.example else _read
    return Opened(source, read(source.path, source.up, source.name))


def _read(path: Path, up: str, name: str) -> Shape:
    return load_shape(path, up=up, name=name)


_read_example = lru_cache(maxsize=128)(_read)


def options_from_query(query: Mapping[str, str], *, students: tuple[str, ...]) -> tuple[str | None, str, Options]:
    """Read example, up axis and options from the address bar; whatever is not valid there is left at its default.

    Returns:
        The example's key or None, the up axis, and the options.
    """
    chosen = Options(student=students[0] if students else Options.student)
    if query.get("student") in students:
        chosen = replace(chosen, student=query["student"])
    if query.get("visibility") in dict(VISIBILITIES).values():
        chosen = replace(chosen, visibility=query["visibility"])
    limits = {"views": VIEWS, "points": POINTS, "seed": (0, LARGEST_SEED), "elevation_deg": ELEVATIONS}
    for key, (low, high) in limits.items():
        text = query.get(key, "")
        if re.fullmatch(r"-?\d{1,10}", text) and low <= int(text) <= high:
            number: dict[str, Any] = {key: int(text)}
            chosen = replace(chosen, **number)
    example = query.get("example")
    up = next((axis for _, axis in UP_AXES if axis == query.get("up")), "auto")
    return example if example in examples() else None, up, chosen


def query_from(shown: Shown) -> dict[str, str | None]:
    """Say what the address bar has to hold: a value for each choice that is not the default, else None."""
    query: dict[str, str | None] = {"example": shown.opened.source.example}
    query["up"] = None if shown.opened.source.up == "auto" else shown.opened.source.up
    for key, default in vars(Options()).items():
        value = getattr(shown.options, key)
        query[key] = None if value == default else f"{value:g}" if isinstance(value, float) else str(value)
    return query


def once(models: Models | Callable[[], Models]) -> Callable[[], Models]:
    """Turn models or their loader into a function that loads them on its first call, from whichever thread."""
    if not callable(models):
        return lambda: models
    lock = threading.Lock()
    loaded: list[Models] = []

    def get() -> Models:
        with lock:
            if not loaded:
                loaded.append(models())
        return loaded[0]

    return get


def students_with_weights(get_models: Callable[[], Models]) -> tuple[str, ...]:
    """Name the students to offer. Where the networks cannot be loaded, the first analysis says why."""
    try:
        return tuple(get_models().student_names)
    except CheckpointError:
        return (Options.student,)


def offer(students: tuple[str, ...], asked: str) -> Any:
    """Say which students can be chosen; the one that was asked for stays, unless it has no weights."""
    choices = [choice for choice in STUDENTS if choice[1] in students]
    return gr.update(choices=choices) if asked in students else gr.update(choices=choices, value=students[0])


def card_of(shown: Shown, notes: Sequence[str], *, refused: str | None = None) -> dict[str, Any]:
    """What the file card says of the shape that is shown, under the refusal of a file that came after it."""
    source = shown.opened.source
    return {
        "name": shown.analysis.name, "notes": list(notes), "query": query_from(shown), "refusal": refused,
        "upload": {"token": source.token, "name": source.name} if source.token else None,
    }  # fmt: skip


def refusal(sentence: object) -> Any:
    """What the file card says when a file or a choice was refused: the sentence, above what is still shown.

    Without a sentence the card stays as it is.
    """
    return gr.skip() if sentence is None else {"refusal": str(sentence)}


def analyse(opened: Opened, options: Options, models: Models, *, before: Shown | None = None) -> Shown:
    """Run the one direct pass; of what was shown before, keep all that would only be computed again.

    Raises:
        ShapeError: The shape cannot be analysed.
        CheckpointError: The student has no usable weights.
    """
    from pointmcd.analysis.analyze import analyze

    previous = before.analysis if before else None
    with _ANALYSING:
        return Shown(opened, options, analyze(opened.shape, models, **vars(options), previous=previous))


def warm_up(get_models: Callable[[], Models]) -> None:
    """Analyse the first example once, so that no visitor waits for the networks or for Open3D's import."""
    compressed_plotly()
    with suppress(ShapeError, CheckpointError):  # the page says it to whoever opens it
        analyse(open_source(example_source(FIRST_EXAMPLE, "auto")), Options(), get_models())


def build_app(models: Models | Callable[[], Models]) -> gr.Blocks:
    """Lay out the page and wire it.

    Args:
        models: The networks, or a function without arguments that loads them; it is called once, on first use.

    Returns:
        The page, ready for `serve`.
    """
    get_models = once(models)
    cells = Cells(get_models)
    gr.set_static_paths([THUMBNAIL_FOLDER])

    with gr.Blocks(
        title="PointMCD Studio", analytics_enabled=False, fill_width=True, delete_cache=DELETE_CACHE
    ) as page:
        visit = gr.State(Visit(), time_to_live=DELETE_CACHE[1])  # every event gives it back: that renews its time
        with gr.Row(elem_id="studio", equal_height=False):
            with gr.Column(elem_id="side", min_width=280, scale=0):
                gr.HTML(
                    asset("page/header.html"), elem_id="masthead", apply_default_css=False,
                    js_on_load=asset("page/theme_button.js") + asset("page/options.js") + asset("page/gallery.js"),
                )  # fmt: skip
                _section("Examples", HELP_EXAMPLES)
                gallery = gr.Gallery(
                    [(str(THUMBNAIL_FOLDER / f"{key}.png"), key.replace("_", " ")) for key in examples()],
                    columns=4, allow_preview=False, show_label=False, container=False, buttons=[], object_fit="contain",
                    elem_id="examples", interactive=False,
                )  # fmt: skip
                _section("Your own file", HELP_FILE)
                upload = in_place(gr.File(label=" ".join(EXTENSIONS), elem_id="upload", height=84))
                card = gr.HTML(
                    {}, elem_id="card", html_template=asset("page/card.html"), apply_default_css=False,
                    js_on_load=f"const largestUpload = {UPLOAD_LIMIT};\n{asset('page/card.js')}",
                )  # fmt: skip
                _section("Options", HELP_OPTIONS)
                with gr.Column(elem_id="options"):
                    with gr.Row():
                        student = gr.Dropdown(list(STUDENTS), value=Options.student, label="Student", min_width=90)
                        visibility = gr.Dropdown(list(VISIBILITIES), value="auto", label="Visibility", min_width=90)
                    views = gr.Slider(*VIEWS, value=Options.views, step=1, label="Views")
                    points = gr.Slider(*POINTS, value=Options.points, step=256, label="Points")
                    elevation = gr.Slider(*ELEVATIONS, value=Options.elevation_deg, step=5, label="Elevation °")
                    with gr.Row():
                        up = gr.Dropdown(list(UP_AXES), value="auto", label="Up axis of the file", min_width=90)
                        seed = gr.Number(
                            0, minimum=0, maximum=LARGEST_SEED, precision=0, label="Sampling seed", min_width=90
                        )
                with gr.Row(elem_id="downloads"):
                    png_button = gr.Button("PNG", size="sm", min_width=60)
                    npz_button = gr.Button("NPZ", size="sm", min_width=60)
                    json_button = gr.Button("JSON", size="sm", min_width=60)
                download = gr.DownloadButton(visible="hidden")
            with gr.Column(elem_id="main", scale=1):
                viewer = AnalysisViewer(
                    {"loading": True}, elem_id="viewer", predict_kept=kept_predictor(get_models),
                    explain_cell=cells.explainer(), own_route=True,
                )  # fmt: skip

        own_name, token = gr.Textbox(visible=False), gr.Textbox(visible=False)
        choices = [student, visibility, views, points, seed, elevation]
        known = tuple(name for _, name in STUDENTS)

        def restore(token: str, name: str, request: gr.Request) -> tuple[Any, ...]:
            """Set the boxes to what the address bar says, at once: a visitor who is quick finds them set."""
            key, axis, options = options_from_query(dict(request.query_params), students=known)
            source = first_source(Arrival(key, axis, token or "", name or ""))
            return source.up, gr.Gallery(selected_index=gallery_index(source)), *vars(options).values()

        def start(visit: Visit, token: str, name: str, request: gr.Request) -> tuple[Visit, Any, Any, Any]:
            """Start a visit: show the file that this browser tab had, the example of the address bar, or the first one.

            It reads the address bar itself and is asked together with `restore`, which never waits for the networks:
            to be asked after it would cost the visitor another way there and back, and to set the boxes here would
            undo what was chosen meanwhile.
            """
            offered = students_with_weights(get_models)
            key, axis, options = options_from_query(dict(request.query_params), students=offered)
            if visit.wanted is None:  # else the visitor was quicker
                open_first(visit, Arrival(key, axis, token or "", name or ""))
            asked = options_from_query(dict(request.query_params), students=known)[2].student
            return *show(visit, *vars(options).values()), offer(offered, asked)

        lanes = Lanes()

        async def start_in_lane(visit: Visit, token: str, name: str, request: gr.Request) -> Any:
            return await lanes.run(start, visit, token, name, request, own_file=TOKENS.find(token or "") is not None)

        async def turn_in_lane(visit: Visit, up: str) -> Any:
            own_file = visit.wanted is not None and visit.wanted.example is None
            return await lanes.run(turn, visit, up, own_file=own_file)

        def show(visit: Visit, *chosen: Any) -> tuple[Visit, Any, Any]:
            """Analyse the opened shape; where that fails, keep what is shown and say why.

            The shape stays opened whatever happens, so that another choice of options shows it.
            """
            options, shape, before, nothing = options_of(*chosen), visit.opened, visit.shown, gr.skip()
            if shape is None:
                gone = "This visit's shape is no longer on the server: choose one again."
                return visit, nothing if before else None, refusal(visit.refused or gone)
            if before and before.opened is shape and before.options == options:
                return visit, nothing, nothing
            usable, remark = usable_options(shape, options)
            try:
                visit.shown = now = replace(analyse(shape, usable, get_models(), before=before), options=options)
            except (ShapeError, CheckpointError) as error:
                return visit, nothing if before else {"error": str(error)}, refusal(error)
            bundle = {**make_bundle(now.analysis), "ticket": cells.ticket_for(now.analysis)}
            return visit, bundle, card_of(now, [*bundle["notes"], *remark], refused=visit.refused)

        def show_with_options(visit: Visit, *chosen: Any) -> tuple[Visit, Any, Any]:
            """Do `show` after a touch of the options: the visitor has read what was refused before."""
            visit.refused = None
            return show(visit, *chosen)

        def analyze(
            file: str | None,
            student: str,
            visibility: str,
            views: float,
            points: float,
            seed: float,
            elevation_deg: float,
            up: str,
        ) -> dict[str, Any]:
            """Analyse one file; the answer is what `python -m pointmcd analyze FILE --json` prints."""
            if file is None:
                raise gr.Error("Send a file to analyse.", print_exception=False)
            options = options_of(student, visibility, views, points, seed, elevation_deg)
            try:
                shape = open_source(Source(Path(file), Path(file).name, up))
                return summary_of(analyse(shape, options, get_models()))
            except (ShapeError, CheckpointError) as error:
                raise gr.Error(str(error), print_exception=False) from error

        # The networks take one visitor at a time (see `analyse`); reading a file does not need them, so two may read
        # meanwhile. Shipped examples are read at once: they wait for nobody's file.
        model_queue: dict[str, Any] = {"concurrency_limit": 1, "concurrency_id": "model"}
        reader_queue: dict[str, Any] = {"concurrency_limit": 2, "concurrency_id": "reader"}
        example_queue: dict[str, Any] = {"concurrency_limit": 2, "concurrency_id": "example"}

        def lane_queue(name: str) -> dict[str, Any]:  # `Lanes` holds these back
            return {"concurrency_limit": None, "concurrency_id": name}

        private: dict[str, Any] = {"api_visibility": "private", "show_progress_on": card}
        # Every choice is sent, and the visit keeps the newest: Gradio's "always_last" would repeat the first one,
        # because it sends the data of the event that it waited for. To show needs only what is chosen by then.
        choice: dict[str, Any] = {**private, "trigger_mode": "multiple"}
        then_show: dict[str, Any] = {
            "fn": show, "inputs": [visit, *choices], "outputs": [visit, viewer, card],
            **model_queue, **private, "trigger_mode": "always_last",
        }  # fmt: skip

        page.load(
            restore, [token, own_name], [up, gallery, *choices], js=f"() => ({KEPT_UPLOAD_JS})()",
            queue=False, show_progress="hidden", api_visibility="private",
        )  # fmt: skip
        page.load(
            start_in_lane, [visit, token, own_name], [visit, viewer, card, student],
            js=f"(visit) => [visit, ...({KEPT_UPLOAD_JS})()]", **lane_queue("start"), **private,
        )  # fmt: skip
        gallery.select(choose_example, visit, [visit, card, up], **example_queue, **choice).then(**then_show)
        upload.upload(
            choose_upload, [visit, upload, own_name], [visit, card, up, gallery, upload], js=OWN_NAME_JS,
            **reader_queue, **choice,
        ).then(**then_show)  # fmt: skip
        up.input(turn_in_lane, [visit, up], [visit, card, up], **lane_queue("turn"), **choice).then(**then_show)
        touched = [student.input, visibility.input, views.release, points.release, elevation.release, seed.blur]
        gr.on(touched, **then_show | {"fn": show_with_options})

        def saver(write: Callable[[Shown, Path], None], suffix: str) -> Callable[[Visit], str | None]:
            def save(visit: Visit) -> str | None:
                """Write a file of what is shown. Gradio knows it as its own and deletes it with the uploads."""
                now = visit.shown
                if now is None:
                    return None
                Path(download.GRADIO_CACHE).mkdir(parents=True, exist_ok=True)
                path = Path(tempfile.mkdtemp(dir=download.GRADIO_CACHE)) / f"{harmless(now.analysis.name)}{suffix}"
                write(now, path)
                download.temp_files.add(str(path))
                return str(path)

            return save

        png_button.click(None, js=PNG_JS)
        for button, write, suffix in ((npz_button, write_npz, ".npz"), (json_button, write_json, ".json")):
            saved = button.click(
                saver(write, suffix), visit, download, show_progress="hidden", api_visibility="private"
            )
            saved.then(None, download, js=asset("page/download.js"))

        # The endpoint has its own file input and trigger; its options are the page's, with their limits and defaults.
        endpoint_file, endpoint_answer = in_place(gr.File(visible=False)), gr.JSON(visible=False)
        gr.Button(visible=False).click(
            analyze, [endpoint_file, *choices, up], endpoint_answer, api_name="analyze", **reader_queue
        )
    built: gr.Blocks = page
    return built


def options_of(*chosen: Any) -> Options:
    """Collect the values of the option inputs, in the order of the fields; an emptied seed counts as 0."""
    student, visibility, views, points, seed, elevation_deg = chosen
    return Options(student, visibility, int(views), int(points), int(seed or 0), float(elevation_deg))


def kept_predictor(get_models: Callable[[], Models]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Make the viewer's question: what does the student say of the points that the winners' slider keeps?

    The points come with the question, so nothing of a visit is read; they are checked as anything from a browser.
    """
    turn, asking = threading.Lock(), threading.BoundedSemaphore(QUESTIONS_WAITING)

    def predict_kept(question: dict[str, Any]) -> dict[str, Any]:
        from pointmcd.analysis.analyze import predict_points

        if not asking.acquire(blocking=False):
            return {"busy": True}
        try:
            if not turn.acquire(timeout=LONGEST_WAIT_S):
                return {"busy": True}
            try:
                points = points_from_base64(question["points"])
                student = str(question.get("student", Options.student))
                models = get_models()
                points = thinned(points, MOST_POINTS_ASKED.get(student, POINTS[1]))
                probabilities = predict_points(points, models, student=student, plain=asks_plain(question))
            finally:
                turn.release()
        except (KeyError, TypeError, ValueError, CheckpointError):  # not a question of our viewer's: no answer
            return {}
        finally:
            asking.release()
        best = int(probabilities.argmax())
        return {"label": models.class_names[best], "probability": float(probabilities[best])}

    return predict_kept


def thinned(points: np.ndarray, most: int) -> np.ndarray:
    """Leave out points evenly, where a network would take too long for all of them."""
    return points if len(points) <= most else points[np.linspace(0, len(points) - 1, most).astype(int)]


class Lanes:
    """Let examples overtake visitors' own files, which may take long to read."""

    def __init__(self) -> None:
        self._own, self._examples = CapacityLimiter(2), CapacityLimiter(4)

    async def run(self, do: Callable[..., Any], *arguments: Any, own_file: bool) -> Any:
        """Call a function in a thread of its lane."""
        return await to_thread.run_sync(do, *arguments, limiter=self._own if own_file else self._examples)


def usable_options(shape: Opened, options: Options) -> tuple[Options, tuple[str, ...]]:
    """Take another visibility test where the chosen one cannot judge this shape, and say so.

    The choice itself stays, for the next mesh.
    """
    if options.visibility == "raycast" and not shape.shape.is_mesh:
        remark = "Ray casting needs a mesh, and this file has only points: hidden point removal is used."
        return replace(options, visibility="auto"), (remark,)
    return options, ()


def first_source(arrival: Arrival) -> Source:
    """Say what the page opens with; the axis of a file that is gone does not turn the example in its place."""
    return arrival.upload or example_source(arrival.example or FIRST_EXAMPLE, "auto" if arrival.lost else arrival.up)


def open_first(visit: Visit, arrival: Arrival) -> None:
    """Open what the page opens with, and say where that is not the file that the visitor had."""
    visit.choose(first_source(arrival))
    visit.refused = visit.refused or arrival.lost


def gallery_index(source: Source) -> int | None:
    """Say which example the gallery marks: none for a visitor's own file."""
    return list(examples()).index(source.example) if source.example else None


def own_name_of(name: str) -> str:
    """Take the folders off a file's name, and what is too long."""
    return Path(name).name[:LONGEST_NAME]


def axis_of(visit: Visit) -> Any:
    """Say what the box of the up axis holds: the axis of the file that the visitor wants."""
    return visit.wanted.up if visit.wanted else gr.skip()


def choose_example(visit: Visit, event: gr.SelectData) -> tuple[Visit, Any, Any]:
    """Open an example of the gallery, with the axis up that suits its file."""
    keys = list(examples())
    if not (isinstance(event.index, int) and 0 <= event.index < len(keys)):
        return visit, gr.skip(), gr.skip()
    message = refusal(visit.choose(example_source(keys[event.index], "auto")))
    return visit, message, axis_of(visit)


def choose_upload(visit: Visit, file: str | None, own_name: str) -> tuple[Visit, Any, Any, Any, None]:
    """Open a visitor's file, with the axis up that suits it, and, where that succeeds, unmark the gallery's example.

    The file input is emptied, so that it stays a place to drop the next file; the card names what was read.
    """
    if file is None:
        return visit, gr.skip(), gr.skip(), gr.skip(), None
    source = TOKENS.keep(Source(Path(file), own_name_of(own_name or file)))
    message = refusal(visit.choose(source))
    # By its token, because the same file may have been turned while it was read.
    is_newest = visit.wanted is not None and visit.wanted.token == source.token
    return visit, message, axis_of(visit), gr.Gallery(selected_index=None) if is_newest else gr.skip(), None


def turn(visit: Visit, up: str) -> tuple[Visit, Any, Any]:
    """Read the same file again with another axis up; where that is refused, the box goes back."""
    if visit.wanted is None:
        return visit, gr.skip(), gr.skip()
    refused = visit.choose(replace(visit.wanted, up=up))
    return visit, refusal(refused), gr.skip() if refused is None else axis_of(visit)


def summary_of(shown: Shown) -> dict[str, Any]:
    """The object that the command line prints with --json; its timings are of the stages that were computed."""
    from pointmcd.analysis.export import summary

    return summary(shown.analysis)


def write_npz(shown: Shown, path: Path) -> None:
    """Write the arrays that the command line writes with --out."""
    from pointmcd.analysis.export import save_arrays

    save_arrays(shown.analysis, path)


def write_json(shown: Shown, path: Path) -> None:
    """Write what `summary_of` gives."""
    path.write_text(json.dumps(summary_of(shown), indent=1), encoding="utf-8")


def harmless(name: str) -> str:
    """A file name's stem with only letters, digits, dots, dashes and underscores left."""
    return re.sub(r"[^\w.-]+", "_", Path(name).stem).strip("._")[:80] or "shape"


def serve(models: Models | Callable[[], Models], *, host: str = "127.0.0.1", port: int = 7860) -> gr.Blocks:
    """Start the page and return at once; `.local_url` is its address and `.close()` stops it.

    Environment variables say who may reach it: see docs/deploy.md.

    Args:
        models: As for `build_app`.
        host: Address to bind.
        port: First port to try; where it is taken, the next free one is used.

    Raises:
        OSError: No port is free.
    """
    folder = own_folder()
    # Gradio's components ask for their folder when they are made, uvicorn for its proxies when it starts.
    os.environ["GRADIO_TEMP_DIR"] = str(folder.uploads)
    os.environ["FORWARDED_ALLOW_IPS"] = forwarded_allow_ips()
    settings = settings_from(os.environ, host)
    uploads = Uploads(folder.uploads, largest=UPLOAD_LIMIT, age_s=DELETE_CACHE[1])
    page = build_app(models)
    page.queue(max_size=QUEUE_SIZE, api_open=False)
    inside = Inside(page)
    names = Names({"uploads": folder.uploads, "examples": THUMBNAIL_FOLDER}, hidden={"page": HERE, "own": folder.path})
    sessions = Sessions(SESSIONS_KEPT, inside.waiting, inside.forget)
    page.launch(
        server_name=host, server_port=free_port(host, port), prevent_thread_lock=True, quiet=True, inbrowser=False,
        share=False, allowed_paths=[], max_file_size=UPLOAD_LIMIT, show_error=True, ssr_mode=False, footer_links=[],
        # Sessions admits no more than it keeps, and says which one goes: Gradio's own limit is never reached.
        state_session_capacity=10**6, enable_monitoring=False, run_history=False, pwa=False,
        root_path=settings.root_path, theme=_theme(), css=asset("page/page.css"), head=HEAD,
        app_kwargs={
            "routes": [*script_routes(), *uploads.routes()],
            "middleware": [Middleware(Guard, settings=settings, names=names, sessions=sessions)],
            "lifespan": tidying(uploads, sessions),
        },
    )  # fmt: skip
    return page


def main() -> None:
    """Serve the page until interrupted. HOST and PORT override where."""
    # A Space is reached through its container's outer address; everywhere else only this machine may connect.
    host = os.environ.get("HOST") or ("0.0.0.0" if os.environ.get("SPACE_ID") else "127.0.0.1")
    port = os.environ.get("PORT") or "7860"
    if not (port.isdecimal() and 0 < int(port) < 65536):
        sys.exit(f"PORT is a number from 1 to 65535, not {port!r}.")
    from pointmcd import load_models

    wanted = int(port)
    leave_nothing_on_signals()
    get_models = once(load_models)
    page = serve(get_models, host=host, port=wanted)
    if page.server_port != wanted:
        print(f"Port {wanted} is taken, so this is port {page.server_port}.")
    print(f"PointMCD Studio: http://{host}:{page.server_port}", flush=True)
    threading.Thread(target=warm_up, args=[get_models], daemon=True).start()
    page.block_thread()


def _section(title: str, help_text: str) -> gr.HTML:
    """A heading with a "?" that opens two lines; both texts are ours."""
    return gr.HTML(
        f"<div class='section-title'><h2>{title}</h2>"
        f"<details><summary aria-label='About: {title}'>?</summary><p>{help_text}</p></details></div>",
        elem_classes="section",
        js_on_load=None,
        apply_default_css=False,
    )


HELP_EXAMPLES = (
    "Shapes made by this project, one for each kind of file.<br>"
    "Pick one: it is sampled, rendered, and read by the teacher and both students."
)
HELP_FILE = (
    "A mesh or a point set of up to 100 MB and 5 million points; it stays on this server and is deleted soon.<br>"
    "Below stands what was done to it before the networks saw it."
)
HELP_OPTIONS = (
    "Visibility decides which points each camera sees; elevation and views place the cameras.<br>"
    "The seed chooses which points are sampled: the same seed gives the same numbers."
)


# Gradio strips a file's name of its special characters; the visitor is to find the file by the name it had.
OWN_NAME_JS = "(visit, file) => [visit, file, file ? file.orig_name : '']"
KEPT_UPLOAD_JS = asset("page/kept_upload.js")
# The picture is the browser's: the viewer's own tool makes it.
PNG_JS = "() => document.querySelector('#viewer [data-tool=image]').click()"


def _theme() -> gr.themes.Base:
    """A quiet theme in the viewer's colours, with the system's own fonts, so that no font is fetched."""
    theme = gr.themes.Base(
        primary_hue="blue",
        neutral_hue="slate",
        spacing_size="sm",
        radius_size="sm",
        text_size="sm",
        font=("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"),
        font_mono=("ui-monospace", "SFMono-Regular", "Menlo", "monospace"),
    )
    colours = {
        "body_background_fill": "page",
        "background_fill_primary": "panel",
        "block_background_fill": "panel",
        "body_text_color": "text",
        "body_text_color_subdued": "muted",
        "block_label_text_color": "muted",
        "block_title_text_color": "muted",
        "border_color_primary": "border",
        "border_color_accent": "accent",
        "slider_color": "accent",
        "input_background_fill": "panel",
        "input_border_color": "border-strong",
        "input_border_color_focus": "accent",
        "button_secondary_background_fill": "panel",
        "button_secondary_background_fill_hover": "inset",
        "button_secondary_border_color": "border-strong",
        "button_secondary_text_color": "text",
        "error_background_fill": "error-soft",
        "error_border_color": "error-text",
        "error_text_color": "error-text",
    }
    light = {variable: LIGHT[colour] for variable, colour in colours.items()}
    dark = {f"{variable}_dark": DARK[colour] for variable, colour in colours.items()}
    return theme.set(**light, **dark, input_border_width="1px", button_border_width="1px")


if __name__ == "__main__":
    main()
