"""How do plotly.js and the viewer's modules reach a browser: once, early, and as it can take them?

Each address says which version it is: plotly's number, and a hash of our own scripts. So a browser may keep what it got
for long, and a page never runs one module of yesterday with one of today.
"""

from __future__ import annotations

import gzip
import hashlib
import threading
from functools import cache
from pathlib import Path
from typing import Final

import plotly
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

PLOTLY: Final = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
VIEWER: Final = Path(__file__).parent / "viewer"
MODULES: Final = {path.name: path for path in sorted(VIEWER.glob("*.js"))}
# The module that is started: it imports the others.
ENTRY: Final = "viewer.js"

_VERSION: Final = hashlib.sha256(b"\0".join(path.read_bytes() for path in MODULES.values())).hexdigest()[:16]
_COMPRESSING: Final = threading.Lock()

# Where a server with `routes` has them. The page names them relative to its base, as all that Gradio names: right under
# a root path too.
PLOTLY_PATH: Final = f"/plotly-{plotly.__version__}.min.js"
MODULE_FOLDER: Final = f"/viewer-{_VERSION}"
# Asked for with the page, so that neither plotly nor a module that another one imports costs a way there and back.
HEAD: Final = f'<link rel="preload" as="script" href="{PLOTLY_PATH[1:]}">' + "".join(
    f'<link rel="modulepreload" href="{MODULE_FOLDER[1:]}/{name}">' for name in MODULES
)


def routes() -> list[Route]:
    """Answer `PLOTLY_PATH` and the modules: compressed for whoever takes that, kept by browsers for a year."""
    return [Route(PLOTLY_PATH, _answer_with_plotly), Route(f"{MODULE_FOLDER}/{{name}}", _answer_with_module)]


def compressed_plotly() -> bytes:
    """Return plotly.js as gzip, made once: Gradio makes it anew for every visitor and answers nobody meanwhile."""
    return _compressed(PLOTLY)


def _answer_with_plotly(request: Request) -> Response:
    return _answer(request, PLOTLY, plotly.__version__)


def _answer_with_module(request: Request) -> Response:
    path = MODULES.get(request.path_params["name"])
    return Response(status_code=404) if path is None else _answer(request, path, _VERSION)


def _answer(request: Request, path: Path, version: str) -> Response:
    packed = "gzip" in request.headers.get("accept-encoding", "").lower()
    tag = f'"{version}{"-gzip" if packed else ""}"'
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding", "ETag": tag}
    known = [held.strip().removeprefix("W/") for held in request.headers.get("if-none-match", "").split(",")]
    if tag in known or "*" in known:
        return Response(status_code=304, headers=headers)
    if packed:
        headers["Content-Encoding"] = "gzip"
    return Response(_compressed(path) if packed else path.read_bytes(), media_type="text/javascript", headers=headers)


def _compressed(path: Path) -> bytes:
    with _COMPRESSING:  # of two that ask at once, the second waits for the first one's
        return _compress(path)


@cache
def _compress(path: Path) -> bytes:
    return gzip.compress(path.read_bytes(), mtime=0)
