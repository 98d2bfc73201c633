"""How do tests open a real browser, and what may a page never do in it?"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""
# Software GL, and no request of the browser's own.
FLAGS = [
    "--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
    "--disable-background-networking",
]  # fmt: skip

needs_chromium = [pytest.mark.browser, pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium on this machine")]


@contextmanager
def chromium() -> Iterator[Any]:
    """Start a headless Chromium; offer playwright's browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


def watch(page: Any, address: str) -> tuple[list[str], list[str]]:
    """Collect the requests that leave this machine and the page's complaints: both are to stay empty."""
    foreign: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda r: None if r.url.startswith((address, "data:", "blob:")) else foreign.append(r.url))
    # Gradio's client says so of its own stream when a page is left or loaded again in the middle of an answer.
    left = "AbortError: signal is aborted without reason"
    page.on("pageerror", lambda error: None if str(error).startswith(left) else complaints.append(str(error)))
    page.on("console", lambda line: complaints.append(line.text) if line.type == "error" else None)
    return foreign, complaints
