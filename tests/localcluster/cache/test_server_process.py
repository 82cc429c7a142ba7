"""The server's process: which one of several serves, how it ends, and what its end leaves."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from localcluster import Cache
from localcluster.base import os_layer as processes
from localcluster.cache import entry_file, server_process
from localcluster.cache.client import CacheClient, ServerOptions
from localcluster.cache.home import CacheHome, Tier
from localcluster.cache.keys import block_id_of
from localcluster.cache.leftovers import hold
from localcluster.cache.server_process import _end, _limits, _lock
from protocol import cache_messages as m
from protocol.errors import CacheError
from storage import os_layer
from tests.localcluster.cache.conftest import Serving
from tests.support import DEADLINE, wait_until


@pytest.fixture
def locked(home: CacheHome) -> Iterator[int]:
    home.make()
    fd = _lock(home)
    assert fd is not None
    yield fd
    with suppress(OSError):
        os.close(fd)


def test_there_is_one_lock(home: CacheHome, locked: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_process, "LOCK_DEADLINE", 0.1)
    with pytest.raises(CacheError, match="does not answer, nor end"):
        _lock(home)
    listening = processes.listen_at(home.socket)
    assert _lock(home) is None  # somebody serves
    listening.close()
    os.close(locked)
    fd = _lock(home)
    assert fd is not None
    os.close(fd)


def test_a_lock_whose_file_was_removed_while_it_was_waited_for_is_not_it(
    home: CacheHome, locked: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, rounds = os_layer.lock, 0

    def lock_late(fd: int, *, wait: bool) -> bool:
        nonlocal rounds
        rounds += 1
        if rounds == 2:
            os.unlink(home.lock)  # with the one that was opened before
            os.close(locked)
        return lock(fd, wait=wait)

    monkeypatch.setattr(os_layer, "lock", lock_late)
    fd = _lock(home)
    assert fd is not None
    assert os.fstat(fd).st_ino == os.stat(home.lock).st_ino
    assert rounds == 3
    os.close(fd)


def test_the_end_takes_away_what_is_in_memory_and_no_more(home: CacheHome, locked: int, serving: Serving) -> None:
    put(serving)
    _end(home, locked, hold(home), serving.server)
    assert not os.path.exists(home.shared)
    assert os.path.exists(home.path(Tier.DISK, block_id_of("x", "key")))


def put(serving: Serving) -> None:
    client, content = serving.client(), entry_file.content("key", 1)
    path = client.ask(m.ReserveEntry(block_id_of("x", "key"), content.size, False))
    entry_file.write(path, content)
    assert client.ask(m.CommitEntry(block_id_of("x", "key"), path, 0.0))
    client.close()


def test_the_end_of_one_that_was_robbed_of_its_place_leaves_the_next_one_s(
    home: CacheHome, locked: int, serving: Serving
) -> None:
    put(serving)
    os.unlink(home.lock)
    Path(home.lock).write_text("")  # as by the next server
    _end(home, locked, hold(home), serving.server)
    assert os.path.exists(home.socket)
    assert os.path.exists(home.path(Tier.MEMORY, block_id_of("x", "key")))


def test_the_end_of_one_whose_directory_is_gone_leaves_nothing(home: CacheHome, locked: int, serving: Serving) -> None:
    put(serving)
    owner = hold(home)
    shutil.rmtree(home.directory)
    _end(home, locked, owner, serving.server)
    assert not os.path.exists(home.shared)
    assert not os.path.exists(home.directory)


@pytest.mark.parametrize("first", ["lock", "aside"])
def test_an_end_in_the_midst_of_a_removal_waits_for_the_rest_of_it(
    home: CacheHome, locked: int, serving: Serving, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    put(serving)
    owner = hold(home)
    os.rename(os.path.join(home.directory, first), os.path.join(home.directory, "removed"))
    clock = SimpleNamespace(monotonic=lambda: 0.0, sleep=lambda _: shutil.rmtree(home.directory))
    monkeypatch.setattr(server_process, "time", clock)
    _end(home, locked, owner, serving.server)
    assert not os.path.exists(home.shared)
    assert not os.path.exists(home.directory)


def test_what_stays_of_a_directory_keeps_what_is_in_memory(
    home: CacheHome, locked: int, serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(serving)
    owner = hold(home)
    os.unlink(home.lock)
    monkeypatch.setattr(server_process, "REMOVAL_DEADLINE", 0.0)
    _end(home, locked, owner, serving.server)
    assert os.path.exists(home.path(Tier.MEMORY, block_id_of("x", "key")))


def test_a_server_whose_directory_is_removed_ends_and_leaves_nothing(home: CacheHome) -> None:
    cache = Cache("x", directory=home.directory)
    cache["a"] = 1
    shutil.rmtree(home.directory)
    wait_until(lambda: not os.path.exists(home.shared))
    cache.close()


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="a directory that can be looked at, and holds no others")
def test_a_start_that_fails_for_its_directory_leaves_nothing() -> None:
    home = CacheHome("/proc/none")
    assert "/proc/none" in run({"directory": home.directory}).stderr
    assert not os.path.exists(home.shared)


def test_limits_are_what_is_said_or_a_share(home: CacheHome, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os_layer, "space_at", lambda path: (1000, 400) if path == home.shared else (900, 80))
    assert _limits(home, None, None) == {Tier.MEMORY: 250, Tier.DISK: 40}
    assert _limits(home, 0, 0) == {Tier.MEMORY: 0, Tier.DISK: 0}
    assert _limits(home, 5, 6) == {Tier.MEMORY: 5, Tier.DISK: 6}
    monkeypatch.setattr(os_layer, "space_at", lambda path: (1 << 50, 1 << 50))
    assert _limits(home, 1, None)[Tier.DISK] == server_process.MAX_DISK


@pytest.mark.parametrize("call", ["create", "make_directory"])
def test_what_goes_wrong_at_the_start_is_said(home: CacheHome, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    from tests.support import fails

    monkeypatch.setattr(os_layer, call, fails(errno.EDQUOT))
    reading, writing = os_layer.pipe()
    assert server_process._serve({"directory": home.directory}, writing) == 1
    os.close(writing)
    assert os.strerror(errno.EDQUOT).encode() in os.read(reading, 1000)
    os.close(reading)


def run(arguments: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    import json

    command = [sys.executable, "-m", "localcluster.cache.server_process", json.dumps(arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)


def test_a_server_with_nothing_to_do_ends_by_itself_and_leaves_nothing(directory: str) -> None:
    found = run({"directory": directory, "idle_timeout": 0.1})
    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")
    home = CacheHome(directory)
    wait_until(lambda: not os.path.exists(home.shared))
    wait_until(lambda: "ended" in Path(directory, "log").read_text())


def test_a_second_one_sees_that_it_is_not_needed(directory: str) -> None:
    for _ in range(2):
        assert run({"directory": directory}).returncode == 0
    client = CacheClient(CacheHome(directory), ServerOptions())
    assert client.ask(m.GetCacheStatus(), start=False).clients == 1
    client.close()


def test_one_that_cannot_serve_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = run({"directory": str(tmp_path / "file" / "cache")})
    assert found.returncode == 1
    assert "cannot use" in found.stderr


def test_no_thread_is_left_by_a_server_that_ended(serving: Serving) -> None:
    serving.stop()
    assert [thread for thread in threading.enumerate() if thread.name.startswith("localcluster-cache")] == []
