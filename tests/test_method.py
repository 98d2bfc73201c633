"""Does docs/method.md lead somewhere: does every function and every test that it names exist?"""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
METHOD = (ROOT / "docs/method.md").read_text(encoding="utf-8")
FUNCTIONS = sorted(set(re.findall(r"`(pointmcd\.[\w.]+)`", METHOD)))
TESTS = sorted(set(re.findall(r"`(test_\w+)`", METHOD)))
TEST_FILES = sorted(set(re.findall(r"`(test_\w+\.py)`", METHOD)))
WRITTEN = "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "tests").rglob("test_*.py")))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_it_names_exists(name: str) -> None:
    if name.startswith("pointmcd.kernels."):
        pytest.importorskip("triton", reason="the kernels need triton")
    module, _, attribute = name.rpartition(".")
    try:
        found: object = import_module(name)
    except ModuleNotFoundError:
        found = getattr(import_module(module), attribute)
    assert found.__doc__


@pytest.mark.parametrize("name", TESTS)
def test_every_test_it_names_exists(name: str) -> None:
    assert f"def {name}(" in WRITTEN


@pytest.mark.parametrize("name", TEST_FILES)
def test_every_test_file_it_names_exists(name: str) -> None:
    assert list((ROOT / "tests").rglob(name))


def test_it_names_the_functions_that_matter() -> None:
    for name in ("project", "distillation_loss", "smoothed_cross_entropy", "alignment_shares", "visible_points"):
        assert any(function.endswith(f".{name}") for function in FUNCTIONS)
    assert len(TESTS) > 15
