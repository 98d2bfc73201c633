"""Does plotly.js reach every browser once, and as it can take it?"""

from __future__ import annotations

import gzip
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
from viz.delivery import PLOTLY_PATH


@pytest.fixture(scope="module")
def page(random_models: Any) -> Iterator[Any]:
    served = app.serve(random_models, port=7990)
    yield served
    served.close()


def ask_for_plotly(page: Any, **headers: str) -> Any:
    names = {name.replace("_", "-"): text for name, text in headers.items()}
    return urllib.request.urlopen(urllib.request.Request(f"{page.local_url.rstrip('/')}{PLOTLY_PATH}", headers=names))


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
