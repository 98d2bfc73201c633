"""Does the process that reads a file end with the program that asked for it, and leave nothing behind?"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pointmcd.records import ShapeError
from pointmcd.shapes import load as shapes

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="process groups and signals of POSIX")

# Loads argv[1] with a reader that never ends, in one C loop that holds Python's global lock, and prints its process.
PARENT = """
import subprocess, sys
from pointmcd.shapes.load import load_shape

READER = '''
import sys
import pointmcd.shapes.reading.__main__ as reader
sys.argv = sys.argv[sys.argv.index("pointmcd.shapes.reading"):]
reader.read_bytes = lambda *arguments: list(filter(None, iter(int, 1)))
print("reading", file=sys.stderr, flush=True)
reader.main()
'''
start = subprocess.Popen

def endless(command, **options):
    options["stderr"] = None
    child = start([sys.executable, "-c", READER, *command], **options)
    print(child.pid, flush=True)
    return child

subprocess.Popen = endless
load_shape(sys.argv[1])
"""


@pytest.fixture
def cloud(tmp_path: Path) -> Path:
    file = tmp_path / "cloud.xyz"
    file.write_bytes(b"0 0 0\n1 0 0\n0 2 0\n0 0 3\n")
    return file


def is_running(process: int) -> bool:
    """Tell a process that works from one that has ended, waited for by its parent or not."""
    answer = subprocess.run(["ps", "-o", "stat=", "-p", str(process)], capture_output=True, text=True)
    return answer.stdout.strip()[:1] not in ("", "Z")


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM", "SIGINT"])
def test_the_reader_ends_within_three_seconds_of_the_program(cloud, tmp_path, name):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(cloud)],
        cwd=Path(__file__).parents[3], env={**os.environ, "TMPDIR": str(scratch)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert parent.stdout
    assert parent.stderr
    reader = int(parent.stdout.readline())
    try:
        assert parent.stderr.readline() == "reading\n"
        assert is_running(reader)
        started = time.perf_counter()
        parent.send_signal(getattr(signal, name))
        parent.wait(timeout=30)
        while is_running(reader) and time.perf_counter() - started < 20:
            time.sleep(0.02)
        assert time.perf_counter() - started < 3
        assert list(scratch.iterdir()) == []
    finally:
        parent.kill()
        if is_running(reader):
            os.kill(reader, signal.SIGKILL)
        parent.communicate()


def test_a_reader_whose_program_ended_before_it_began_reads_nothing(cloud):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    answer = subprocess.run(
        [sys.executable, "-m", "pointmcd.shapes.reading", str(cloud), "60", str(2**31), str(ended.pid)],
        cwd=Path(__file__).parents[3], capture_output=True, check=False,
    )  # fmt: skip
    assert answer.returncode != 0
    assert answer.stdout == b""


def test_stopping_the_readers_ends_every_wait_with_one_sentence(cloud, monkeypatch):
    start = subprocess.Popen
    monkeypatch.setattr("subprocess.Popen", lambda command, **options: start(["sleep", "60"], **options))
    sentences: list[str] = []

    def load() -> None:
        try:
            shapes.load_shape(cloud)
        except ShapeError as error:
            sentences.append(str(error))

    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    stopped, patience = 0, time.perf_counter() + 20
    while stopped < 3 and time.perf_counter() < patience:
        stopped += shapes.stop_readers()
        time.sleep(0.01)
    for thread in threads:
        thread.join(timeout=3)
        assert not thread.is_alive()
    assert stopped == 3
    assert sentences == ["cloud.xyz: reading was stopped before its end: choose the file again."] * 3
    assert shapes.stop_readers() == 0
