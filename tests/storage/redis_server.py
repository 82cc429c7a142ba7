"""A Redis server for the tests of stores that outlive their run."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support import DEADLINE


@contextmanager
def redis_server(directory: Path) -> Iterator[str]:
    """The unix socket of a server that runs meanwhile. The directory's path is short: a socket's has 107 bytes."""
    pytest.importorskip("redis", reason="the Python package redis is not installed")
    server = shutil.which("redis-server")
    if server is None:
        pytest.skip("there is no redis-server (Debian: apt-get install redis-server)")
    socket = str(directory / "s")
    options = {"port": "0", "unixsocket": socket, "dir": str(directory), "save": "", "daemonize": "no"}
    arguments = [argument for name, value in options.items() for argument in (f"--{name}", value)]
    process = subprocess.Popen([server, *arguments], stdout=subprocess.PIPE, text=True)
    try:
        _wait_until_ready(process)
        yield socket
    finally:
        process.terminate()
        process.communicate(timeout=DEADLINE)


def _wait_until_ready(process: subprocess.Popen[str]) -> None:
    """The server says when it takes connections; the test's own time limit watches over this."""
    assert process.stdout is not None
    for line in process.stdout:
        if "ready to accept connections" in line.lower():
            return
    pytest.fail("redis-server ended before it was ready")
