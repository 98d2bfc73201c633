"""What is left when the server is told to end, or is killed? No process, no file, and no long wait."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import app
from tests.loopback import file_data, post, upload
from viz.server.folder import OwnFolder
from viz.server.settings import free_port

ROOT = Path(app.__file__).parent
# Ten seconds and more of reading on any machine: numbers as text.
SLOW = b"0.123456789 0.987654321 0.192837465\n" * 600_000
OPTIONS = ["pointnet", "auto", 4, 256, 0, 30, "auto"]


class Server:
    """A server as `make run` starts it, with a folder of its own for what is temporary."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        port = free_port("127.0.0.1", 24400 + os.getpid() % 500)
        environment = {**os.environ, "PORT": str(port), "TMPDIR": str(folder), "PYTHONUNBUFFERED": "1"}
        environment.pop("HOST", None)
        self.process = subprocess.Popen(
            [sys.executable, "app.py"],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self.process.stdout is not None
        while (line := self.process.stdout.readline()) and "http://" not in line:
            pass
        self.page = SimpleNamespace(server_port=int(line.rsplit(":", 1)[1]))

    def readers(self) -> list[int]:
        """The processes that read a file for this server, alive though their parent may not be."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                try:
                    command = (entry / "cmdline").read_bytes()
                except OSError:
                    continue
                if b"pointmcd.shapes.reading" in command and str(self.folder).encode() in command:
                    found.append(int(entry.name))
        return found

    def read_slowly(self) -> None:
        """Have it read a file that takes long."""
        [name] = upload(self.page, ("slow.xyz", SLOW)).json
        assert post(self.page, "call/analyze", {"data": [file_data(name), *OPTIONS]}).status == 200
        assert within(30, lambda: bool(self.readers())), "no reader was started"


def within(seconds: float, holds: Any) -> bool:
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        time.sleep(0.05)
    return bool(holds())


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    started = Server(tmp_path)
    yield started
    if started.process.poll() is None:
        started.process.kill()
    started.process.wait(10)
    assert started.process.stdout is not None
    started.process.stdout.close()


needs_proc = pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="processes are found in /proc")


@needs_proc
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_a_file_is_read_ends_all_and_leaves_nothing(number: signal.Signals, server: Server) -> None:
    server.read_slowly()
    began = time.monotonic()
    server.process.send_signal(number)
    server.process.wait(10)
    assert within(3, lambda: not server.readers())
    assert time.monotonic() - began <= 3
    assert [path for path in server.folder.rglob("*") if path.is_file() and path.name != "lock"] == []


@needs_proc
def test_a_killed_servers_reader_ends_too_and_the_next_start_sweeps(server: Server) -> None:
    server.read_slowly()
    server.process.kill()
    server.process.wait(10)
    assert within(3, lambda: not server.readers())
    [above] = server.folder.glob("pointmcd-studio-*")
    assert list(above.rglob("slow.xyz")), "a kill leaves what the next start has to find"
    next_start = OwnFolder(above)
    assert [path for path in above.iterdir() if path.is_dir()] == [next_start.path]
    next_start.remove()
