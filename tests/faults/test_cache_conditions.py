"""What a machine does to its cache: other users, full memory and disks, stopped and killed servers, much and many."""

from __future__ import annotations

import gc
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from localcluster import Cache
from localcluster.base import os_layer as processes
from localcluster.cache import command, entry_file
from localcluster.cache import home as home_module
from localcluster.cache.client import CacheClient, ServerOptions
from localcluster.cache.home import CacheHome, Tier
from localcluster.cache.keys import block_id_of, digest_of
from protocol import cache_messages as m
from protocol.errors import CacheError
from storage import os_layer
from tests.support import DEADLINE, wait_until

ANOTHER_USER = 54321

as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can be another user, or mount a file system")


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[str]:
    path = str(tmp_path / "cache")
    yield path
    command.stop(path, 60)
    os_layer.remove_what_can_be(CacheHome(path).shared)


@pytest.fixture
def cache(directory: str) -> Iterator[Cache]:
    cache = Cache("x", directory=directory)
    yield cache
    cache.close()


def server_pid(cache: Cache) -> int:
    return int(cache._client.ask(m.GetCacheStatus()).pid)


def kill(cache: Cache) -> None:
    pid = server_pid(cache)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not command._lives(pid))


# --- another user ----------------------------------------------------------------------------------------------------


def as_another_user(call: Callable[[], None]) -> None:
    """In a process of another user, which has all rights of that one and no more."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(ANOTHER_USER)
            os.setuid(ANOTHER_USER)
            call()
            os._exit(0)
        except BaseException as error:
            os.write(writing, repr(error).encode())
            os._exit(1)
    os.close(writing)
    problem = os.read(reading, 10_000)
    os.close(reading)
    os.waitpid(child, 0)
    assert problem == b""


@as_root
def test_another_user_sees_fills_and_changes_nothing(cache: Cache, directory: str) -> None:
    cache["a"] = 1
    home = CacheHome(directory)
    paths = [path for tier in Tier for path in (home.root(tier), home.entries(tier), home.aside(tier))]
    entry = home.path(Tier.MEMORY, block_id_of("x", "a"))

    def attack() -> None:
        attempts: list[Callable[[], object]] = [
            *(lambda path=path: os.listdir(path) for path in paths),
            *(lambda path=path: os_layer.create(f"{path}/file") for path in paths),
            *(lambda path=path: os.rmdir(path) for path in paths),
            *(lambda path=path: os.chmod(path, 0o777) for path in paths),
            lambda: os.rename(home.shared, f"{home.shared}-mine"),
            lambda: os_layer.open_existing(entry),
            lambda: os.unlink(entry),
            lambda: os_layer.open_existing(home.lock),
            lambda: processes.connect_to(home.socket, 1),
        ]
        for attempt in attempts:
            try:
                attempt()
            except PermissionError:
                continue
            raise AssertionError(attempt)
        for use in (lambda: Cache("x", directory=directory).get("a"), lambda: [*command.listed(directory)]):
            with suppress(CacheError, PermissionError):
                assert not use()

    os.chmod(os.path.dirname(directory), 0o755)
    as_another_user(attack)
    assert cache["a"] == 1


@as_root
def test_another_user_s_directory_in_our_place_is_refused_aloud(directory: str) -> None:
    home = CacheHome(directory)
    as_another_user(lambda: os.mkdir(home.shared, 0o700))
    try:
        with pytest.raises(CacheError, match=f"belongs to user {ANOTHER_USER}"):
            Cache(directory=directory)
    finally:
        os.rmdir(home.shared)


@as_root
def test_a_cache_that_becomes_another_s_is_not_asked(
    cache: Cache, directory: str, caplog: pytest.LogCaptureFixture
) -> None:
    home = CacheHome(directory)
    home.make()
    os.chown(home.shared, ANOTHER_USER, ANOTHER_USER)
    assert cache.get_or_compute("a", lambda: 5) == 5
    assert f"belongs to user {ANOTHER_USER}" in caplog.text
    os.chown(home.shared, 0, 0)


# --- full memory, full disk ------------------------------------------------------------------------------------------


@pytest.fixture
def small_file_system() -> Iterator[Path]:
    """Of 1 MiB. Its path is short: a socket's may not be long."""
    path = Path(tempfile.mkdtemp(prefix="lc", dir="/tmp"))
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(path)], capture_output=True, check=False
    )
    if mounted.returncode:
        path.rmdir()
        pytest.skip("this system mounts nothing for us")
    yield path
    gc.collect()
    subprocess.run(["umount", "-l", str(path)], check=True)
    path.rmdir()


def fill(path: Path) -> None:
    with suppress(OSError), (path / "of others").open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass


@as_root
@pytest.mark.parametrize("size", [10, 200_000])
def test_full_shared_memory_sends_values_to_the_disk(
    small_file_system: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(home_module, "SHARED_MEMORY", str(small_file_system))
    directory = str(tmp_path / "cache")
    with serving_here(CacheHome(directory), memory=1 << 30) as cache:
        cache["in memory"] = np.arange(size // 8)
        held = cache["in memory"]
        fill(small_file_system)
        cache["on disk"] = np.arange(size // 8)
        assert cache["on disk"].tolist() == list(range(size // 8))
        assert os.path.exists(CacheHome(directory).path(Tier.DISK, block_id_of("x", "on disk")))
        held += 1  # pages of our own: shared memory has none to give, and none is asked for
        assert cache["in memory"].tolist() == list(range(size // 8))
        assert cache.get_or_compute("a", lambda: 5) == 5
        del held
        gc.collect()


@as_root
@pytest.mark.parametrize("size", [10, 200_000])
def test_a_full_disk_is_an_error_of_put_and_of_nothing_else(
    small_file_system: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    home = CacheHome(str(small_file_system / "cache"))
    with serving_here(home, memory=0) as cache:
        cache["before"] = 1
        fill(small_file_system)
        value = b"." * size
        with pytest.raises(CacheError):
            cache["a"] = value
        assert cache.get_or_compute("a", lambda: value) == value
        assert cache["before"] == 1
        (small_file_system / "of others").unlink()
        cache["a"] = value
        assert cache["a"] == value


class serving_here:
    """A server in threads of this process, and a cache that asks it."""

    def __init__(self, home: CacheHome, memory: int) -> None:
        from tests.localcluster.cache.conftest import Serving

        self.serving = Serving(home, {Tier.MEMORY: memory, Tier.DISK: 1 << 30}, 300)

    def __enter__(self) -> Cache:
        return self.serving.cache()

    def __exit__(self, *_: object) -> None:
        self.serving.stop()
        self.serving.server.check()
        os_layer.remove_what_can_be(self.serving.home.shared)


# --- the server ------------------------------------------------------------------------------------------------------


def test_a_stopped_server_holds_no_reader_up_and_others_for_a_moment(
    cache: Cache, caplog: pytest.LogCaptureFixture
) -> None:
    cache["a"] = 1
    cache["b"] = np.arange(100_000)
    pid = server_pid(cache)
    os.kill(pid, signal.SIGSTOP)
    try:
        wait_until(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED)
        began = time.monotonic()
        fresh = Cache("x", directory=cache.directory)
        for each in (cache, fresh):
            assert each["a"] == 1
            assert each["b"][-1] == 99_999
            assert sorted(each) == ["a", "b"]
            assert "c" not in each
            for number in range(3):
                assert each.get_or_compute("c", lambda n=number: n) == number  # type: ignore[misc]
            with pytest.raises(CacheError, match=r"stopped|a moment ago"):
                each["c"] = 1
        assert time.monotonic() - began < DEADLINE  # and not the timeouts of some answers
        assert len([each for each in caplog.records if each.levelno >= logging.WARNING]) == 1  # they share a connection
        del cache["a"]
        assert "a" not in fresh
        fresh.close()
    finally:
        os.kill(pid, signal.SIGCONT)


def test_what_is_in_memory_when_the_server_is_killed_the_next_one_finds(cache: Cache, directory: str) -> None:
    for number in range(5):
        cache[f"{number}"] = np.full(10_000, number)
    kill(cache)
    assert [cache[f"{number}"][0] for number in range(5)] == list(range(5))
    assert cache._client.ask(m.GetCacheStatus()).memory.entries == 5
    kill(cache)
    assert command.stop(directory, 60) == 0
    assert not os.path.exists(CacheHome(directory).shared)
    assert [cache[f"{number}"][0] for number in range(5)] == list(range(5))


def test_a_program_that_is_killed_while_it_has_entries_mapped_gives_them_back(directory: str) -> None:
    program = """
import sys
from localcluster import Cache
array = Cache("x", directory=sys.argv[1])["a"]
print(array[-1], flush=True)
sys.stdin.read()
"""
    with serving_here(CacheHome(directory), memory=1 << 20) as cache:
        cache["a"] = np.arange(100_000)  # 800 kB
        with subprocess.Popen(
            [sys.executable, "-c", program, directory], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as reader:
            assert reader.stdout is not None
            assert reader.stdout.readline() == b"99999\n"
            cache["b"] = np.arange(100_000)
            assert tier_of(cache, "a") is Tier.MEMORY  # mapped: to move it would free no memory
            assert tier_of(cache, "b") is Tier.DISK
            reader.kill()
        cache["c"] = np.arange(100_000)
        assert (tier_of(cache, "a"), tier_of(cache, "c")) == (Tier.DISK, Tier.MEMORY)
        assert cache["a"][-1] == 99_999


def tier_of(cache: Cache, key: str) -> Tier:
    (tier,) = [each for each in Tier if os.path.exists(cache._home.path(each, block_id_of("x", key)))]
    return tier


def test_stop_while_programs_read_and_write(directory: str, tmp_path: Path) -> None:
    program = """
import sys, time
from contextlib import suppress
import numpy as np
from localcluster import Cache
from localcluster.cache import client
from localcluster.errors import CacheError
client.RETRY_AFTER = 0.05
cache = Cache("x", directory=sys.argv[1])
print("begun", flush=True)
until, number = time.monotonic() + 4, 0
while time.monotonic() < until:
    number += 1
    key = f"{number % 17}"
    size = 20_000 if number % 2 else 3
    value = cache.get_or_compute(key, lambda: np.full(size, number % 17))
    assert (value == number % 17).all(), value
    with suppress(CacheError):  # it was stopped again and again while this program started one
        cache[key] = np.full(size, number % 17)
    assert (cache.get(key, value) == number % 17).all()
    if number % 5 == 0:
        cache.pop(key, None)
print(number)
"""
    with (tmp_path / "errors").open("w+") as errors:
        programs = [
            subprocess.Popen([sys.executable, "-c", program, directory], stdout=subprocess.PIPE, stderr=errors)
            for _ in range(3)
        ]
        for each in programs:
            assert each.stdout is not None
            assert each.stdout.readline() == b"begun\n"
        while any(each.poll() is None for each in programs):
            if command.status(directory).get("stored", 0) > 20:
                command.stop(directory, 60)
        errors.seek(0)
        assert "Traceback" not in errors.read()
    for each in programs:
        with each:
            assert each.stdout is not None
            assert int(each.stdout.readline()) > 10
    command.stop(directory, 60)
    assert not os.path.exists(CacheHome(directory).shared)


# --- much ------------------------------------------------------------------------------------------------------------


@pytest.mark.stress
@pytest.mark.timeout(1200)
def test_100_000_keys(directory: str) -> None:
    home, count = CacheHome(directory), 100_000
    home.make()
    home.make_namespace(Tier.DISK, "x")
    pieces: Any = None
    for number in range(count):
        content = entry_file.content(f"{number}", number)
        entry_file.write(os.path.join(home.entries(Tier.DISK), "x", digest_of(f"{number}")), content)
        pieces = content.pieces
    assert pieces
    figures = {}

    def measure(what: str, call: Callable[[], object]) -> object:
        began = time.monotonic()
        result = call()
        figures[what] = round(time.monotonic() - began, 2)
        return result

    cache = Cache("x", directory=directory)
    assert measure("start", lambda: cache._client.ask(m.GetCacheStatus()).disk.entries) == count
    assert measure("len", lambda: len(cache)) == count
    assert measure("keys", lambda: len(set(cache))) == count
    assert measure("ls", lambda: sum(1 for _ in command.listed(directory))) == count
    assert measure("a hit", lambda: cache["77777"]) == 77777
    measure("a put", lambda: cache.put("new", 1))
    assert measure("clear", lambda: command.clear(directory, "x")) == count + 1
    assert len(cache) == 0
    logging.getLogger(__name__).warning("100,000 keys, in seconds: %s", figures)
    cache.close()


@pytest.mark.stress
@pytest.mark.timeout(1200)
def test_a_value_of_5_gib(directory: str) -> None:
    size = 5 << 30
    free = min(shutil.disk_usage(path).free for path in ("/dev/shm", os.path.dirname(directory)))
    if free < 2 * size or psutil.virtual_memory().available < 3 * size:
        pytest.skip("no room for it")
    cache = Cache("x", directory=directory, max_memory=6 << 30, max_disk=6 << 30)
    array = np.arange(size // 8)
    cache["a"] = array
    found = cache["a"]
    assert found.nbytes == size
    assert (found[:: 1 << 20] == array[:: 1 << 20]).all()
    assert found[-1] == array[-1]
    del found, array
    gc.collect()
    assert command.stop(directory, 600) == 0
    assert cache["a"][-1] == size // 8 - 1
    cache.close()


def test_options_of_other_directories_do_not_meet(tmp_path: Path) -> None:
    clients = [
        CacheClient(CacheHome(str(tmp_path / name)), ServerOptions(max_memory=size))
        for name, size in (("a", 1), ("b", 2))
    ]
    assert [client.ask(m.GetCacheStatus()).memory.limit for client in clients] == [1, 2]
    for client in clients:
        client.close()
        command.stop(client.home.directory, 60)
