"""The way to a server that is a process of its own: started once, found again, and what is done when it is silent."""

from __future__ import annotations

import gc
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from localcluster import Cache
from localcluster.base import os_layer as processes
from localcluster.cache import client as client_module
from localcluster.cache import command
from localcluster.cache.client import CacheClient, NoServer, NotRunning, ServerOptions
from localcluster.cache.home import CacheHome
from localcluster.cache.keys import block_id_of
from protocol import cache_messages as m
from protocol.endpoint import Endpoint
from protocol.errors import CacheError
from tests.support import DEADLINE, InThread, wait_until

KEY = block_id_of("x", "key")


@pytest.fixture
def client(directory: str) -> Iterator[CacheClient]:
    client = CacheClient(CacheHome(directory), ServerOptions())
    yield client
    client.close()


def server_pid(client: CacheClient) -> int:
    return int(client.ask(m.GetCacheStatus()).pid)


def end_of(pid: int) -> None:
    wait_until(lambda: not command._lives(pid), "the server goes on")


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno >= logging.WARNING]


def test_whoever_is_first_starts_the_server_and_all_others_find_it(client: CacheClient, directory: str) -> None:
    with pytest.raises(NotRunning):
        client.ask(m.GetCacheStatus(), start=False)
    pid = server_pid(client)
    other = CacheClient(CacheHome(directory), ServerOptions())
    assert server_pid(other) == pid
    assert other.ask(m.GetCacheStatus(), start=False).clients == 2


def test_that_nobody_is_there_is_no_warning_to_who_only_looks(
    client: CacheClient, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(NotRunning):
        client.ask(m.GetCacheStatus(), start=False)
    assert warnings(caplog) == []
    assert client.ask(m.GetCacheStatus()).pid  # and it may be started at once


def test_the_server_is_detached_and_has_nothing_of_its_starter(client: CacheClient, tmp_path: Path) -> None:
    with (tmp_path / "opened").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        high = os.dup2(file.fileno(), 900)  # inheritable
        try:
            process = psutil.Process(server_pid(client))
        finally:
            os.close(high)
    assert os.getsid(process.pid) == process.pid != os.getsid(0)
    assert process.ppid() != os.getpid()
    assert process.cwd() == "/"
    if sys.platform == "linux":
        fds = Path(f"/proc/{process.pid}/fd")
        links = {os.readlink(link) for link in fds.iterdir()}
        assert not [link for link in links if "opened" in link]
        assert {os.readlink(fds / str(number)) for number in range(3)} == {"/dev/null"}
        expected = ("/dev/null", "socket:", "pipe:", "anon_inode:[eventpoll]", client.home.directory, client.home.owner)
        assert not [link for link in links if not link.startswith(expected)]


def test_options_go_to_the_server_that_is_started(directory: str) -> None:
    home = CacheHome(directory)
    client = CacheClient.of(home, ServerOptions(max_memory=1 << 20, max_disk=1 << 21))
    assert CacheClient.of(home, ServerOptions()) is client
    found = client.ask(m.GetCacheStatus())
    assert (found.memory.limit, found.disk.limit) == (1 << 20, 1 << 21)


def test_a_server_with_other_limits_is_a_warning_once(directory: str, caplog: pytest.LogCaptureFixture) -> None:
    with Cache("x", directory=directory, max_memory="1m", max_disk=2 << 20) as first:
        first["a"] = 1
        assert server_status(first).memory.limit == 1 << 20
        assert warnings(caplog) == []
        other = CacheClient(CacheHome(directory), ServerOptions(max_memory=1 << 20, max_disk=3 << 20))
        for _ in range(2):
            server_pid(other)
        other.close()
        (warning,) = warnings(caplog)
        assert "started with max_disk=2097152: max_disk=3145728 said here" in warning
        caplog.clear()
        with Cache("y", directory=directory, max_memory="3m") as later:  # over the connection that there is
            later["a"] = later["b"] = 1
        (warning,) = warnings(caplog)
        assert "started with max_memory=1048576: max_memory=3145728 said here" in warning


def server_status(cache: Cache) -> m.CacheStatus:
    status = cache._client.ask(m.GetCacheStatus())
    assert isinstance(status, m.CacheStatus)
    return status


def test_a_size_that_is_none_says_how_sizes_are_said() -> None:
    with pytest.raises(CacheError, match=r"max_disk is a size such as '512m' or '2g'.*, not 'lots'"):
        ServerOptions.said(None, "lots", None)


def test_of_two_that_say_something_the_later_one_is_heard(directory: str) -> None:
    home = CacheHome(directory)
    client = CacheClient.of(home, ServerOptions(max_memory=1 << 20))
    CacheClient.of(home, ServerOptions(max_memory=1 << 22))
    assert client.ask(m.GetCacheStatus()).memory.limit == 1 << 22


@pytest.mark.parametrize(
    "options",
    [{"max_memory": -1}, {"max_disk": 1.5}, {"idle_timeout": 0}, {"idle_timeout": float("inf")}, {"idle_timeout": -1}],
    ids=str,
)
def test_options_that_cannot_be_meant_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(CacheError, match=next(iter(options))):
        ServerOptions(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
def test_the_next_question_after_the_server_s_end_starts_another_one(
    client: CacheClient, signum: signal.Signals, caplog: pytest.LogCaptureFixture
) -> None:
    first = server_pid(client)
    os.kill(first, signum)
    end_of(first)
    assert server_pid(client) != first
    assert warnings(caplog) == []


def test_a_server_that_is_being_taken_apart_may_let_one_in_and_is_not_taken_for_the_next_one(
    client: CacheClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid, connect, connections = server_pid(client), client._connect, 0

    def connect_and_lose(start: bool) -> Endpoint:
        nonlocal connections
        connections += 1
        endpoint = connect(start)
        if connections == 1:
            endpoint.channel.abort()
        return endpoint

    monkeypatch.setattr(client, "_connect", connect_and_lose)
    assert client._endpoint is not None
    client._endpoint.channel.abort()
    assert server_pid(client) == pid
    assert connections == 2


def test_a_stopped_server_is_not_waited_for_and_there_is_one_warning(
    client: CacheClient, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "RETRY_AFTER", 0.01)
    pid = server_pid(client)
    os.kill(pid, signal.SIGSTOP)
    try:
        wait_until(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED)
        for other in (client, client, CacheClient(client.home, ServerOptions()), client):
            with pytest.raises(NoServer, match="stopped"):
                other.ask(m.GetCacheStatus())
            time.sleep(0.02)  # until it may be asked again
        assert len([text for text in warnings(caplog) if "stopped" in text]) == 2  # of two clients
    finally:
        os.kill(pid, signal.SIGCONT)
    assert server_pid(client) == pid
    assert client.ask(m.GetCacheStatus()).clients == 1


def test_nobody_is_asked_again_for_a_while(client: CacheClient, monkeypatch: pytest.MonkeyPatch) -> None:
    starts: list[int] = []
    monkeypatch.setattr(client, "_start", lambda: starts.append(1))
    for _ in range(3):
        with pytest.raises(NoServer):
            client.ask(m.GetCacheStatus())
    assert len(starts) == client_module.STARTS


def test_what_took_long_in_vain_is_not_tried_again_for_longer(
    client: CacheClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = 1000.0
    monkeypatch.setattr(client_module.time, "monotonic", lambda: clock)

    def start() -> None:
        nonlocal clock
        clock += 20
        raise CacheError("it does not end")

    monkeypatch.setattr(client, "_start", start)
    for moment, took in ((1000.0, 20), (1070.0, 0), (1081.0, 20)):
        clock = moment
        with pytest.raises(NoServer):
            client.ask(m.GetCacheStatus())
        assert clock == moment + took


def test_a_server_that_cannot_start_says_why(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    client = CacheClient(CacheHome(str(tmp_path / "file" / "cache")), ServerOptions())
    with pytest.raises(NoServer, match="cannot use"):
        client.ask(m.GetCacheStatus())
    assert len(warnings(caplog)) == 1


def test_a_server_that_does_not_come_is_given_up(client: CacheClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "START_TIMEOUT", 0.2)
    started: list[subprocess.Popen[bytes]] = []

    def start(command: list[str], **options: object) -> subprocess.Popen[bytes]:
        started.append(
            subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        )
        return started[-1]

    monkeypatch.setattr(processes, "start_program", start)
    with pytest.raises(NoServer, match="timed out"):
        client.ask(m.GetCacheStatus())
    assert started[0].returncode == -signal.SIGKILL
    assert started[0].stdin is not None
    started[0].stdin.close()


def test_an_answer_that_is_late_leaves_no_claim_behind(client: CacheClient, directory: str) -> None:
    """Who gave up waiting does not know that it is to compute: all others would wait for it as long as it lives."""
    pid = server_pid(client)
    asking = client._connected(False)
    os.kill(pid, signal.SIGSTOP)
    try:
        wait_until(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED)
        client._server = None  # it was stopped right after the look at it
        with pytest.raises(NoServer, match="does not answer"):
            client.ask(m.ClaimEntry(KEY, 1, 5.0, 0), timeout=0.1)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert client._endpoint is not asking
    other = CacheClient(CacheHome(directory), ServerOptions())
    assert other.ask(m.ClaimEntry(KEY, 1, DEADLINE, 0)) is m.Claim.YOURS


def test_telling_a_server_that_takes_nothing_ends_the_connection_and_leaves_no_claim(
    client: CacheClient, directory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "TELL_TIMEOUT", 0.05, raising=False)
    pid = server_pid(client)
    assert client.ask(m.ClaimEntry(KEY, 1, 5.0, 0)) is m.Claim.YOURS
    told = client._endpoint
    os.kill(pid, signal.SIGSTOP)
    try:
        wait_until(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED)

        def tell() -> None:
            while client._endpoint is told:
                client.tell(m.AbandonEntry("." * 10_000))

        InThread(tell).outcome()
    finally:
        os.kill(pid, signal.SIGCONT)
    other = CacheClient(CacheHome(directory), ServerOptions())
    assert other.ask(m.ClaimEntry(KEY, 1, DEADLINE, 0)) is m.Claim.YOURS


def test_a_fork_makes_a_connection_of_its_own_and_leaves_the_parent_s(client: CacheClient) -> None:
    assert client.ask(m.ClaimEntry(KEY, 1, 5.0, 0)) is m.Claim.YOURS
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            client.tell(m.ReleaseClaim(KEY, 1))  # not the parent's: it has no connection yet
            answer = client.ask(m.ClaimEntry(KEY, 1, 0.01, 0))
            client.close()
            os.write(writing, f"{answer} {client.ask(m.GetCacheStatus()).clients}".encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    os.close(writing)
    assert os.read(reading, 100) == b"Claim.TAKEN 2"
    os.close(reading)
    assert client.ask(m.GetCacheStatus()).computing == 1


def test_a_fork_while_a_thread_connects_is_not_held_up(client: CacheClient) -> None:
    pid = server_pid(client)
    client.close()
    with client._lock:  # as by a thread that is connecting
        child = os.fork()
        if child == 0:
            try:
                os._exit(0 if server_pid(client) == pid else 3)
            finally:
                os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_many_threads_ask_over_one_connection(client: CacheClient) -> None:
    server_pid(client)
    ready = threading.Barrier(8)

    def ask() -> list[int]:
        ready.wait(DEADLINE)
        return [client.ask(m.GetCacheStatus()).clients for _ in range(20)]

    assert {tuple(thread.outcome()) for thread in [InThread(ask) for _ in range(8)]} == {(1,) * 20}


def test_many_threads_that_need_a_server_start_one(client: CacheClient) -> None:
    ready = threading.Barrier(8)

    def ask() -> int:
        ready.wait(DEADLINE)
        return server_pid(client)

    assert len({thread.outcome() for thread in [InThread(ask) for _ in range(8)]}) == 1


def test_twenty_programs_that_need_a_server_at_once_get_the_same_one(directory: str, tmp_path: Path) -> None:
    program = """
import os, sys
from localcluster.cache.client import CacheClient, ServerOptions
from localcluster.cache.home import CacheHome
from protocol import cache_messages as m
children = []
reading, writing = os.pipe()
for _ in range(20):
    child = os.fork()
    if child == 0:
        os.close(writing)
        os.read(reading, 1)  # until all are there
        client = CacheClient(CacheHome(sys.argv[1]), ServerOptions())
        os.write(1, b"%d\\n" % client.ask(m.GetCacheStatus()).pid)
        os._exit(0)
    children.append(child)
os.close(writing)
sys.exit(any([os.waitpid(child, 0)[1] for child in children]))
"""
    found = subprocess.run(
        [sys.executable, "-c", program, directory], capture_output=True, text=True, timeout=100, check=False
    )
    assert found.returncode == 0, found.stderr
    pids = found.stdout.split()
    assert len(pids) == 20
    assert len(set(pids)) == 1
    holders = [
        process.pid
        for process in psutil.process_iter()
        if "localcluster.cache.server_process" in " ".join(_command_line(process))
        and directory in str(_command_line(process))
    ]
    assert holders == [int(pids[0])]


def _command_line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def test_a_client_that_nobody_needs_any_more_ends_its_connection(directory: str) -> None:
    home = CacheHome(directory)
    client = CacheClient.of(home, ServerOptions())
    server_pid(client)
    del client
    gc.collect()
    assert CacheClient.of(home, ServerOptions()).ask(m.GetCacheStatus()).clients == 1


def test_a_program_that_ends_in_the_midst_ends_well(directory: str) -> None:
    program = """
import sys, threading
from localcluster import Cache
cache = Cache("x", directory=sys.argv[1])
cache["a"] = 1
threading.Thread(target=lambda: cache.get_or_compute("never", lambda: threading.Event().wait()), daemon=True).start()
while not cache._client.ask(__import__("protocol.cache_messages").cache_messages.GetCacheStatus()).computing:
    pass
"""
    found = subprocess.run([sys.executable, "-c", program, directory], capture_output=True, timeout=60, check=False)
    assert (found.returncode, found.stderr) == (0, b"")


def test_home_and_cache_taken_away_while_the_server_runs_start_another_one(client: CacheClient) -> None:
    """``rm -rf ~/.cache``: not two servers that remove each other's entries."""
    first = server_pid(client)
    subprocess.run(["rm", "-rf", client.home.directory], check=True)
    end_of(first)
    second = server_pid(client)
    assert second != first
    client.home.require_own()
