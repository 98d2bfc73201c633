"""How does what is shown become a file in the visitor's hands?"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr

from viz.components import asset
from viz.page.layout import Side
from viz.page.shown import Shown
from viz.page.visit import Visit

LONGEST_STEM = 80
# The viewer's own tool makes the picture, in the browser.
_PNG_JS = "() => document.querySelector('#viewer [data-tool=image]').click()"


def add_downloads(side: Side, visit: gr.State) -> None:
    """Make the three buttons give a picture, the arrays and the summary of what is shown."""
    side.png.click(None, js=_PNG_JS)

    download = gr.DownloadButton(visible="hidden")
    for button, write, suffix in ((side.npz, write_npz, ".npz"), (side.json, write_json, ".json")):
        save = _saver(write, suffix, download)
        saved = button.click(save, visit, download, show_progress="hidden", api_visibility="private")
        saved.then(None, download, js=asset("page/download.js"))


def _saver(
    write: Callable[[Shown, Path], None], suffix: str, download: gr.DownloadButton
) -> Callable[[Visit], str | None]:
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


def summary_of(shown: Shown) -> dict[str, Any]:
    """Return the object that the command line prints with --json; it times only the stages that were computed."""
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
    """Keep only letters, digits, dots, dashes and underscores of a file name's stem."""
    return re.sub(r"[^\w.-]+", "_", Path(name).stem).strip("._")[:LONGEST_STEM] or "shape"
