"""How is the page started? Settings, the page, the server."""

from __future__ import annotations

import os

# Gradio reads these when it is imported: nothing on this page may call home.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
# Gradio keeps a record of 10,000 events, and makes a table of them after each one: nobody reads it here.
os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", "1")
os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", str(10**9))

import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import gradio as gr

from pointmcd.records import UserError
from pointmcd.shapes.load import MAX_FILE_BYTES
from viz.components import asset
from viz.delivery import HEAD, compressed_plotly
from viz.delivery import routes as script_routes
from viz.page import queues
from viz.page.build import build_app
from viz.page.examples import FIRST_EXAMPLE, REPOSITORY, THUMBNAIL_FOLDER
from viz.page.gradio_theme import gradio_theme
from viz.page.loading import once
from viz.page.options import Options
from viz.page.shown import analyse
from viz.page.sources import example_source, open_source
from viz.server.folder import leave_nothing_on_signals, own_folder
from viz.server.guard import guarded
from viz.server.inside import Inside
from viz.server.names import Names
from viz.server.sessions import VISITS_KEPT, Sessions
from viz.server.settings import forwarded_allow_ips, free_port, settings_from
from viz.server.tidying import tidying
from viz.server.uploads import AGE_S, Uploads

if TYPE_CHECKING:
    from pointmcd.weights.models import Models


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

    page = build_app(models)
    page.queue(max_size=queues.LONGEST, api_open=False)

    inside = Inside(page)
    uploads = Uploads(folder.uploads, largest=MAX_FILE_BYTES, age_s=AGE_S)
    shared = {"uploads": folder.uploads, "examples": THUMBNAIL_FOLDER}
    names = Names(shared, hidden={"page": REPOSITORY, "own": folder.path})
    sessions = Sessions(VISITS_KEPT, inside.waiting, inside.forget)

    page.launch(
        server_name=host, server_port=free_port(host, port), prevent_thread_lock=True, quiet=True, inbrowser=False,
        share=False, allowed_paths=[], max_file_size=MAX_FILE_BYTES, show_error=True, ssr_mode=False, footer_links=[],
        # Sessions admits no more than it keeps, and says which one goes: Gradio's own limit is never reached.
        state_session_capacity=10**6, enable_monitoring=False, run_history=False, pwa=False,
        root_path=settings.root_path, theme=gradio_theme(), css=asset("page/page.css"), head=HEAD,
        app_kwargs={
            "routes": [*script_routes(), *uploads.routes()],
            "middleware": [guarded(settings, names, sessions)],
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

    leave_nothing_on_signals()
    get_models = once(load_models)
    page = serve(get_models, host=host, port=int(port))
    if page.server_port != int(port):
        print(f"Port {port} is taken, so this is port {page.server_port}.")
    print(f"PointMCD Studio: http://{host}:{page.server_port}", flush=True)

    threading.Thread(target=warm_up, args=[get_models], daemon=True).start()
    page.block_thread()


def warm_up(get_models: Callable[[], Models]) -> None:
    """Analyse the first example once, so that no visitor waits for the networks or for Open3D's import."""
    compressed_plotly()
    with suppress(UserError):  # the page tells its visitors
        analyse(open_source(example_source(FIRST_EXAMPLE, "auto")), Options(), get_models())


if __name__ == "__main__":
    main()
