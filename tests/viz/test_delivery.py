"""Do plotly.js and the viewer's modules reach every browser once, early, and as it can take them?"""

from __future__ import annotations

import gzip
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from plotly.offline import get_plotlyjs

import app
from viz import delivery
from viz.delivery import ENTRY, MODULE_FOLDER, MODULES, PLOTLY_PATH


@pytest.fixture(scope="module")
def page(random_models: Any) -> Iterator[Any]:
    served = app.serve(random_models, port=7990)
    yield served
    served.close()


def ask(page: Any, path: str, **headers: str) -> Any:
    names = {name.replace("_", "-"): text for name, text in headers.items()}
    return urllib.request.urlopen(urllib.request.Request(f"{page.local_url.rstrip('/')}{path}", headers=names))


def ask_for_plotly(page: Any, **headers: str) -> Any:
    return ask(page, PLOTLY_PATH, **headers)


def imported_by(name: str) -> set[str]:
    """The modules that a browser gets when it imports one."""
    direct = set(
        re.findall(r'^import .* from "\./(\w+\.js)";$', MODULES[name].read_text(encoding="utf-8"), re.MULTILINE)
    )
    return {name}.union(*(imported_by(other) for other in direct))


def test_every_module_is_asked_for_with_the_page_and_none_besides(page: Any) -> None:
    with ask(page, "/") as answer:
        html = answer.read().decode("utf-8")
    # Gradio puts them into the head from its configuration, before it makes the first component.
    early = re.findall(rf'rel=\\"modulepreload\\" href=\\"{MODULE_FOLDER[1:]}/(\w+\.js)', html)
    assert sorted(early) == sorted(imported_by(ENTRY))
    assert imported_by(ENTRY) == set(MODULES)


def test_a_module_arrives_as_a_script_under_an_address_that_says_its_version(page: Any) -> None:
    for name, path in MODULES.items():
        with ask(page, f"{MODULE_FOLDER}/{name}", accept_encoding="gzip") as answer:
            assert gzip.decompress(answer.read()) == path.read_bytes()
            assert answer.headers["Content-Type"].startswith("text/javascript")
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert "immutable" in answer.headers["Cache-Control"]


@pytest.mark.parametrize("name", ["nothing.js", "types.d.ts", "viewer.css", "..%2fcomponents.py"])
def test_the_folder_of_modules_holds_nothing_else(page: Any, name: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        ask(page, f"{MODULE_FOLDER}/{name}")
    assert refused.value.code == 404
    refused.value.close()


def test_plotly_arrives_compressed_once_and_stays_in_the_browsers_cache(page: Any) -> None:
    with ask_for_plotly(page, accept_encoding="gzip, br") as answer:
        assert gzip.decompress(answer.read()).decode("utf-8") == get_plotlyjs()
        assert answer.headers["Content-Encoding"] == "gzip"
        assert answer.headers["Vary"] == "Accept-Encoding"
        assert "immutable" in answer.headers["Cache-Control"]


@pytest.mark.parametrize("accepted", ["identity", "", "deflate"])
def test_who_takes_no_gzip_gets_plotly_as_it_is(page: Any, accepted: str) -> None:
    with ask_for_plotly(page, accept_encoding=accepted) as answer:
        assert answer.headers["Content-Encoding"] is None
        assert answer.headers["Vary"] == "Accept-Encoding"
        assert answer.read().decode("utf-8") == get_plotlyjs()


def test_a_browser_that_holds_this_plotly_gets_no_second_copy(page: Any) -> None:
    with ask_for_plotly(page, accept_encoding="gzip") as answer:
        packed = answer.headers["ETag"]
    with ask_for_plotly(page, accept_encoding="identity") as answer:
        plain = answer.headers["ETag"]
    assert packed != plain
    with pytest.raises(urllib.error.HTTPError) as unchanged:
        ask_for_plotly(page, accept_encoding="gzip", if_none_match=f'"other", W/{packed}')
    assert (unchanged.value.code, unchanged.value.headers["ETag"]) == (304, packed)
    unchanged.value.close()
    with ask_for_plotly(page, accept_encoding="gzip", if_none_match=plain) as answer:
        assert answer.status == 200


def test_plotly_is_compressed_once_though_two_ask_for_it_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def slow(_: bytes, **_options: Any) -> bytes:
        calls.append(1)
        time.sleep(0.2)
        return b"packed"

    monkeypatch.setattr(delivery.gzip, "compress", slow)
    delivery._compress.cache_clear()
    try:
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(lambda _: delivery.compressed_plotly(), range(4))) == [b"packed"] * 4
        assert len(calls) == 1
    finally:
        delivery._compress.cache_clear()
