"""Does the house keep its rules: who imports whom, and that importing does nothing?

Rules among the modules of `pointmcd` and `viz` are import-linter's (`make check`); here stand the ones it cannot see.
"""

import ast
import pkgutil
import subprocess
import sys
from importlib.util import find_spec
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
import json, sys, threading
NETWORK = ("socket.connect", "socket.bind", "socket.getaddrinfo")
STARTS = ("subprocess.Popen", "os.fork", "os.posix_spawn", "os.system")
deeds = []
def watch(event, args):
    weights = event == "open" and str(args[0]).endswith((".safetensors", ".pt", ".pth"))
    if weights or event in NETWORK + STARTS:
        deeds.append(f"{event} {args}")
sys.addaudithook(watch)
threading.Thread.start = lambda thread: deeds.append(f"thread {thread}")  # older Pythons audit no threads
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


def test_the_app_imports_only_viz_pointmcd_gradio_and_what_that_brings() -> None:
    strangers = (
        imported_names(ROOT / "app.py")
        - {"viz", "pointmcd", "gradio", "anyio", "numpy", "starlette"}
        - sys.stdlib_module_names
    )
    assert not strangers


def test_importing_every_module_reads_no_weights_opens_no_connection_and_starts_nothing() -> None:
    # Triton's kernels are imported where triton is: on a GPU's torch, or with requirements-dev.txt on Linux.
    kernels = {name for name in MODULES if name.startswith("pointmcd.kernels.")} - {"pointmcd.kernels.device"}
    modules = [name for name in MODULES if find_spec("triton") or name not in kernels]
    imports = "".join(f"import {name}\n" for name in [*modules, "app"])
    assert run(f"{WATCH}{imports}print(json.dumps(deeds))").strip() == "[]"


@pytest.mark.parametrize(
    ("deed", "event"),
    [
        ("import socket; socket.socket().connect_ex(('127.0.0.1', 9))", "socket.connect"),
        ("import threading; threading.Thread(target=print).start()", "thread"),
        ("open('missing.pt', 'rb')", "open"),
    ],
)
def test_the_watch_of_the_test_above_sees_the_deed(deed: str, event: str) -> None:
    code = f"{WATCH}try:\n    {deed}\nexcept OSError:\n    pass\nprint(json.dumps(deeds))"
    assert event in run(code)


def test_reading_a_file_does_not_pay_for_torch() -> None:
    modules = "pointmcd, pointmcd.records, pointmcd.data.labels, pointmcd.shapes.load"
    assert run(f"import sys, {modules}; print('torch' in sys.modules)").strip() == "False"


def test_training_runs_on_a_machine_without_the_packages_of_the_page() -> None:
    absent = ("gradio", "plotly", "matplotlib", "open3d", "trimesh", "PIL")
    block = "import sys\n" + "".join(f"sys.modules[{name!r}] = None\n" for name in absent)
    training = (
        "pointmcd.__main__, pointmcd.training.experiment, pointmcd.training.loop, pointmcd.evaluation.accuracy, "
        "pointmcd.data.point_set"
    )
    assert run(f"{block}import {training}; print('imported')").strip() == "imported"
