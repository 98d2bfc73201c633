"""Does the house keep its rules: who imports whom, and that importing does nothing?

Rules among the modules of `pointmcd` and `viz` are import-linter's (`make check`); here stand the ones it cannot see.
"""

import ast
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted(
    module.name
    for package in ("pointmcd", "viz")
    for module in pkgutil.walk_packages([str(ROOT / package)], prefix=f"{package}.")
    if not module.name.endswith("__main__")
)

# Runs before the imports: every forbidden deed is written down, whoever does it and however it is caught.
WATCH = """
import json, sys
deeds = []
def watch(event, args):
    if event in ("socket.connect", "socket.bind", "socket.getaddrinfo"):
        deeds.append(f"{event} {args[1:]}")
    elif event == "open" and str(args[0]).endswith((".safetensors", ".pt", ".pth")):
        deeds.append(f"reads {args[0]}")
    elif event == "_thread.start_new_thread" and getattr(args[0], "__module__", "").startswith(("pointmcd", "viz", "app")):
        deeds.append(f"starts a thread {args[0]}")
sys.addaudithook(watch)
"""


def run(code: str) -> str:
    """Run code in a fresh interpreter at the repository's root and return what it prints."""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def imported_names(path: Path) -> set[str]:
    """Return the top-level names that a file imports anywhere, also inside functions."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return {name.split(".")[0] for name in plain | {n.module or "." for n in nodes if isinstance(n, ast.ImportFrom)}}


def test_the_app_imports_only_viz_pointmcd_gradio_and_the_standard_library() -> None:
    strangers = imported_names(ROOT / "app.py") - {"viz", "pointmcd", "gradio"} - sys.stdlib_module_names
    assert not strangers


def test_importing_every_module_reads_no_weights_opens_no_connection_and_starts_nothing() -> None:
    imports = "".join(f"import {name}\n" for name in [*MODULES, "app"])
    assert run(f"{WATCH}{imports}print(json.dumps(deeds))").strip() == "[]"


def test_the_watch_of_the_test_above_sees_a_connection() -> None:
    attempt = "import socket\ntry:\n    socket.create_connection(('127.0.0.1', 9), 0.2)\nexcept OSError:\n    pass\n"
    assert "socket.connect" in run(f"{WATCH}{attempt}print(json.dumps(deeds))")


@pytest.mark.parametrize("module", ["pointmcd", "pointmcd.types", "pointmcd.labels", "pointmcd.shapes"])
def test_reading_a_file_does_not_pay_for_torch(module: str) -> None:
    assert run(f"import sys, {module}; print('torch' in sys.modules)").strip() == "False"


@pytest.mark.parametrize("module", ["pointmcd.train", "pointmcd.evaluate", "pointmcd.data"])
def test_training_runs_on_a_machine_without_the_packages_of_the_page(module: str) -> None:
    absent = ("gradio", "plotly", "matplotlib", "open3d", "trimesh", "PIL")
    block = "import sys\n" + "".join(f"sys.modules[{name!r}] = None\n" for name in absent)
    run(f"{block}import {module}")
