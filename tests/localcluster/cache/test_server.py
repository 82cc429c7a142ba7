"""The server over real sockets, in this process: what it answers, and what it does when programs end or time passes."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from localcluster.cache import client as client_module
from localcluster.cache import entry_file, server
from localcluster.cache.client import CacheClient, NoServer
from localcluster.cache.home import CacheHome, Tier
from localcluster.cache.index import PAGE
from localcluster.cache.keys import block_id_of
from protocol import cache_messages as m
from protocol.message import Report
from storage import os_layer
from storage.block_id import CacheBlockId
from tests.localcluster.cache.conftest import Serving
from tests.support import DEADLINE, InThread, fails, wait_until

Serve = Callable[..., Serving]

KEY = block_id_of("x", "key")
OTHER = block_id_of("x", "other")


def claim(client: CacheClient, block_id: CacheBlockId = KEY, claimant: int = 1, patience: float = DEADLINE) -> Any:
    return client.ask(m.ClaimEntry(block_id, claimant, patience, 0), DEADLINE)


def put(client: CacheClient, block_id: CacheBlockId = KEY, value: Any = 1, *, ttl: float | None = None) -> str:
    """Where it was written."""
    content = entry_file.content("key", value, ttl)
    path = client.ask(m.ReserveEntry(block_id, content.size, on_disk=False))
    assert path is not None
    entry_file.write(path, content)
    assert client.ask(m.CommitEntry(block_id, path, content.expires))
    return str(path)


def status(client: CacheClient) -> m.CacheStatus:
    found: m.CacheStatus = client.ask(m.GetCacheStatus())
    return found


def wait_for_waiting(client: CacheClient, count: int) -> None:
    wait_until(lambda: status(client).waiting == count)


# --- who computes ----------------------------------------------------------------------------------------------------


def test_one_computes_and_all_others_hear_when_it_is_there(serving: Serving) -> None:
    first, *others = [serving.client() for _ in range(5)]
    assert claim(first) is m.Claim.YOURS
    waiting = [InThread(lambda other=other: claim(other)) for other in others]  # type: ignore[misc]
    wait_for_waiting(first, 4)
    put(first)
    assert [each.outcome() for each in waiting] == [m.Claim.READY] * 4
    assert claim(others[0]) is m.Claim.READY
    serving.server.check()


@pytest.mark.parametrize("how", ["release", "end", "abort"])
def test_when_the_one_who_computes_gives_up_the_next_one_does(serving: Serving, how: str) -> None:
    first, second = serving.client(), serving.client()
    assert claim(first) is m.Claim.YOURS
    waiting = InThread(lambda: claim(second))
    wait_for_waiting(serving.client(), 1)
    if how == "release":
        first.tell(m.ReleaseClaim(KEY, 1))
    elif how == "end":
        first.close()
    else:
        assert first._endpoint is not None
        first._endpoint.channel.abort()
    assert waiting.outcome() is m.Claim.YOURS
    serving.server.check()


def test_who_has_waited_long_enough_asks_again(serving: Serving) -> None:
    first, second = serving.client(), serving.client()
    assert claim(first) is m.Claim.YOURS
    assert claim(second, patience=0.01) is m.Claim.TAKEN
    assert claim(second, patience=0.01) is m.Claim.TAKEN
    assert status(second).waiting == 0


def test_a_file_that_is_of_no_use_to_the_asker_is_computed_again(serving: Serving) -> None:
    client = serving.client()
    put(client)
    inode = os.stat(serving.home.path(Tier.MEMORY, KEY)).st_ino
    assert client.ask(m.ClaimEntry(KEY, 1, 1.0, inode + 1)) is m.Claim.READY
    assert client.ask(m.ClaimEntry(KEY, 1, 1.0, inode)) is m.Claim.YOURS


def test_an_entry_whose_file_was_removed_is_computed_again(serving: Serving) -> None:
    client = serving.client()
    put(client)
    os.unlink(serving.home.path(Tier.MEMORY, KEY))
    assert claim(client) is m.Claim.YOURS


def test_one_whom_a_question_without_an_answer_left_waiting_holds_nobody_up(serving: Serving) -> None:
    first, second, third = [serving.client() for _ in range(3)]
    assert claim(first) is m.Claim.YOURS
    assert second._connected(False).ask_async(m.ClaimEntry(KEY, 1, 0.05, 0), DEADLINE)  # the answer is nobody's
    wait_for_waiting(third, 1)
    second.tell(m.ReleaseClaim(KEY, 1))
    wait_for_waiting(third, 0)
    first.tell(m.ReleaseClaim(KEY, 1))
    assert claim(third) is m.Claim.YOURS


def test_a_claimant_that_is_stopped_is_given_up_after_a_while(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "STOPPED_FOR", 0.1)
    program = """
import sys
from localcluster.cache.client import CacheClient, ServerOptions
from localcluster.cache.home import CacheHome
from localcluster.cache.keys import block_id_of
from protocol import cache_messages as m
client = CacheClient(CacheHome(sys.argv[1]), ServerOptions())
print(client.ask(m.ClaimEntry(block_id_of("x", "key"), 1, 9.0, 0)), flush=True)
sys.stdin.read()
"""
    command = [sys.executable, "-c", program, serving.home.directory]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert b"YOURS" in other.stdout.readline()
        client = serving.client()
        assert claim(client, patience=0.1) is m.Claim.TAKEN  # it runs
        os.kill(other.pid, signal.SIGSTOP)
        assert claim(client) is m.Claim.YOURS
        os.kill(other.pid, signal.SIGCONT)
        other.kill()


# --- room ------------------------------------------------------------------------------------------------------------


def test_what_there_is_no_room_for_is_refused(serve: Serve) -> None:
    client = serve(memory=2 * PAGE, disk=3 * PAGE).client()
    assert client.ask(m.ReserveEntry(KEY, 3 * PAGE + 1, on_disk=False)) is None
    path = client.ask(m.ReserveEntry(KEY, 3 * PAGE, on_disk=False))
    assert path.startswith(client.home.aside(Tier.DISK))
    assert client.ask(m.ReserveEntry(KEY, 1, on_disk=True)) is None


def test_older_entries_make_room(serve: Serve) -> None:
    serving = serve(memory=3 * PAGE, disk=2 * PAGE)
    client = serving.client()
    for number in range(9):
        put(client, block_id_of("x", f"{number}"))
    found = status(client)
    assert (found.memory.entries, found.memory.used) == (3, 3 * PAGE)
    assert (found.disk.entries, found.disk.used) == (2, 2 * PAGE)
    assert (found.stored, found.moved, found.evicted) == (9, 6, 4)
    serving.server.check()


@pytest.mark.parametrize("how", ["abandon", "end"])
def test_room_that_is_not_used_is_given_back(serve: Serve, how: str) -> None:
    serving = serve(memory=2 * PAGE, disk=0)
    client, other = serving.client(), serving.client()
    path = client.ask(m.ReserveEntry(KEY, 2 * PAGE, on_disk=False))
    Path(path).write_bytes(b"begun")
    assert other.ask(m.ReserveEntry(KEY, 2 * PAGE, on_disk=False)) is None
    client.tell(m.AbandonEntry(path)) if how == "abandon" else client.close()
    wait_until(lambda: status(other).memory.used == 0)
    assert not os.path.exists(path)
    assert other.ask(m.ReserveEntry(KEY, 2 * PAGE, on_disk=False)) is not None
    serving.server.check()


def test_room_that_cannot_be_made_for_want_of_anything_is_answered(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving = serve(memory=PAGE)
    client = serving.client()
    put(client)
    monkeypatch.setattr(serving.server._mover, "make_room", lambda *_: 1 / 0)
    assert client.ask(m.ReserveEntry(KEY, PAGE, on_disk=False), DEADLINE) is None


def test_only_a_reservation_can_be_committed_and_only_by_its_program(serving: Serving, tmp_path: Path) -> None:
    client, other = serving.client(), serving.client()
    foreign = tmp_path / "foreign"
    foreign.write_bytes(b"not reserved")
    assert not client.ask(m.CommitEntry(KEY, str(foreign), 0.0))
    assert foreign.exists()
    path = client.ask(m.ReserveEntry(KEY, 5, on_disk=False))
    Path(path).write_bytes(b"bytes")
    assert not other.ask(m.CommitEntry(KEY, path, 0.0))
    other.tell(m.AbandonEntry(path))
    assert not other.ask(m.CommitEntry(KEY, f"{path}/../../../../etc/passwd", 0.0))
    assert client.ask(m.CommitEntry(KEY, path, 0.0))
    assert not client.ask(m.CommitEntry(KEY, path, 0.0))
    serving.server.check()


@pytest.mark.parametrize("call", ["rename", "make_directory"])
def test_a_commit_that_the_system_refuses_is_answered_and_leaves_nothing(
    serving: Serving, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    client = serving.client()
    path = client.ask(m.ReserveEntry(KEY, 5, on_disk=False))
    Path(path).write_bytes(b"bytes")
    monkeypatch.setattr(os_layer, call, fails(errno.EDQUOT))
    assert not client.ask(m.CommitEntry(KEY, path, 0.0))
    assert not os.path.exists(path)
    assert status(client).memory.used == 0
    serving.server.check()


def test_a_namespace_s_directory_that_somebody_removed_is_made_anew(serving: Serving) -> None:
    client = serving.client()
    put(client)
    os_layer.remove_tree(os.path.dirname(serving.home.path(Tier.MEMORY, KEY)))
    put(client)
    assert os.path.exists(serving.home.path(Tier.MEMORY, KEY))


def test_a_new_entry_takes_the_place_of_the_one_before_in_the_other_tier_too(serve: Serve) -> None:
    serving = serve(memory=PAGE)
    client = serving.client()
    put(client, value="a")
    put(client, OTHER)
    assert os.path.exists(serving.home.path(Tier.DISK, KEY))
    put(client, value="b")
    assert not os.path.exists(serving.home.path(Tier.DISK, KEY))
    found = entry_file.read(serving.home.path(Tier.MEMORY, KEY), lambda *_: False)
    assert found is not None
    assert found.value == "b"
    serving.server.check()


def test_a_small_entry_comes_in_one_message(serve: Serve) -> None:
    serving = serve(memory=2 * PAGE, disk=2 * PAGE)
    client = serving.client()
    data = b"".join(entry_file.content("key", [1]).pieces)
    for number in range(4):
        assert client.ask(m.StoreEntry(block_id_of("x", f"{number}"), data, 0.0, number == 0))
    found = status(client)
    assert (found.memory.entries, found.disk.entries, found.stored) == (2, 2, 4)
    assert client.ask(m.StoreEntry(KEY, data, 0.0, False))
    assert status(client).evicted == 1
    assert serving.server._index.get(block_id_of("x", "0")).pinned  # type: ignore[union-attr]
    read = entry_file.read(serving.home.path(Tier.MEMORY, KEY), lambda *_: False)
    assert read is not None
    assert read.value == [1]
    serving.server.check()


def test_a_small_entry_of_a_program_that_ended_meanwhile_leaves_nothing(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving = serve(memory=0)
    client, write = serving.client(), entry_file.write_pieces

    def write_late(*arguments: Any, **how: Any) -> None:
        client.close()
        wait_until(lambda: not serving.server._programs)
        write(*arguments, **how)

    monkeypatch.setattr(entry_file, "write_pieces", write_late)
    asking = InThread(lambda: client._connected(False).ask(m.StoreEntry(KEY, b"bytes", 0.0, False), DEADLINE))
    assert isinstance(asking.outcome(), Exception)
    wait_until(lambda: not any(serving.server._intake.reserved().values()))
    wait_until(lambda: os_layer.names_in(serving.home.aside(Tier.DISK)) == [])
    assert len(serving.server._index) == 0


# --- removal and time ------------------------------------------------------------------------------------------------


def test_removed_and_cleared_entries_are_counted_once(serving: Serving) -> None:
    client = serving.client()
    put(client)
    put(client, OTHER)
    put(client, block_id_of("y", "key"))
    assert client.ask(m.RemoveEntries((KEY, KEY))) == 1
    assert client.ask(m.RemoveEntries((KEY,))) == 0
    assert client.ask(m.ClearCache("x")) == 1
    assert client.ask(m.ClearCache(None)) == 1
    assert client.ask(m.ClearCache(None)) == 0
    assert status(client).removed == 3
    serving.server.check()


def test_what_is_expired_goes_away(serving: Serving) -> None:
    client = serving.client()
    put(client, ttl=0.05)
    put(client, OTHER, ttl=1000)
    wait_until(lambda: status(client).expired == 1)
    assert not os.path.exists(serving.home.path(Tier.MEMORY, KEY))
    assert os.path.exists(serving.home.path(Tier.MEMORY, OTHER))
    assert claim(client) is m.Claim.YOURS


def test_a_clock_that_jumps_ends_entries_early_or_late_and_nothing_else(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, now = serving.client(), time.time()
    put(client, ttl=1000)
    monkeypatch.setattr(time, "time", lambda: now - 1e6)
    put(client, OTHER, ttl=1000)  # by the clock that is wrong
    assert claim(client) is m.Claim.READY
    monkeypatch.setattr(time, "time", lambda: now)
    wait_until(lambda: status(client).expired == 1)
    assert claim(client) is m.Claim.READY
    monkeypatch.setattr(time, "time", lambda: now + 1e6)
    wait_until(lambda: status(client).expired == 2)
    assert claim(client) is m.Claim.YOURS
    serving.server.check()


def test_it_ends_when_there_was_nobody_for_a_while_and_nothing_is_in_memory(serve: Serve) -> None:
    serving = serve(idle_timeout=0.1)
    client = serving.client()
    put(client)
    client.close()
    wait_until(lambda: not serving.server._programs)
    assert not serving.ended.wait(0.3)
    client.ask(m.ClearCache(None))
    assert not serving.ended.wait(0.3)  # somebody is there
    client.close()
    assert serving.ended.wait(DEADLINE)


@pytest.mark.parametrize("what", ["lock", "socket", "memory", "disk"])
def test_it_ends_when_what_it_stands_on_is_taken_away(serve: Serve, home: CacheHome, what: str) -> None:
    home.make()
    os_layer.close(os_layer.create(home.lock))
    serving = serve()
    client = serving.client()
    put(client)
    assert not serving.ended.is_set()
    gone = {"lock": home.lock, "socket": home.socket, "memory": home.shared, "disk": home.directory}
    os_layer.remove_tree(gone[what])
    assert serving.ended.wait(DEADLINE)


def test_it_ends_when_it_is_asked_to(serving: Serving) -> None:
    client = serving.client()
    put(client)
    asking = InThread(lambda: client.ask(m.StopCache()))
    assert serving.ended.wait(DEADLINE)
    serving.stop(close_clients=False)
    assert asking.outcome() == 0


def test_at_its_end_entries_are_on_the_disk_and_programs_see_it(serving: Serving) -> None:
    client, waiting = serving.client(), serving.client()
    put(client)
    assert claim(client, OTHER) is m.Claim.YOURS
    asking = InThread(lambda: waiting._connected(False).ask(m.ClaimEntry(OTHER, 1, DEADLINE, 0), DEADLINE))
    wait_for_waiting(client, 1)
    serving.stop(close_clients=False)
    assert isinstance(asking.outcome(), Exception)
    assert os.path.exists(serving.home.path(Tier.DISK, KEY))
    assert not os.path.exists(serving.home.path(Tier.MEMORY, KEY))


def test_the_end_waits_for_a_disk_as_long_as_it_takes_bytes(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MOVE_TIMEOUT", 0.05)
    put(serving.client())
    looks, progress, copy = 0, serving.server._mover.progress, os_layer.copy_file
    enough = threading.Event()

    def look() -> Any:
        nonlocal looks
        looks += 1
        if looks == 5:
            enough.set()
        return progress()

    def copy_slowly(source: str, target: str) -> None:
        with open(target, "ab", buffering=0) as file:
            while not enough.wait(0.005):
                file.write(b".")
        os.unlink(target)
        copy(source, target)

    monkeypatch.setattr(serving.server._mover, "progress", look)
    monkeypatch.setattr(os_layer, "copy_file", copy_slowly)
    serving.stop()
    assert os.path.exists(serving.home.path(Tier.DISK, KEY))


def test_the_end_does_not_wait_for_a_disk_that_takes_nothing_and_leaves_in_memory_what_is_there(
    serving: Serving, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(server, "MOVE_TIMEOUT", 0.05)
    monkeypatch.setattr(server, "STOP_TIMEOUT", 0.05)
    put(serving.client())
    hangs = threading.Event()
    monkeypatch.setattr(os_layer, "copy_file", lambda *_: hangs.wait(DEADLINE))
    assert InThread(serving.server.stop).outcome() == 1
    assert f"{KEY} is stuck" in caplog.text
    assert os.path.exists(serving.home.path(Tier.MEMORY, KEY))
    hangs.set()
    serving.server._side._thread.join(DEADLINE)


# --- programs --------------------------------------------------------------------------------------------------------


def test_a_want_of_descriptors_keeps_programs_out_for_a_while(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "ACCEPT_AGAIN", 0.01)
    refused: SimpleQueue[int] = SimpleQueue()

    class Refusing:
        def __getattr__(self, name: str) -> Any:
            return getattr(serving.listening, name)

        def accept(self) -> Any:
            refused.put(1)
            if refused.qsize() < 3:
                raise OSError(errno.EMFILE, "Too many open files")
            return serving.listening.accept()

    monkeypatch.setattr(serving.server, "_listening", Refusing())
    for _ in range(2):  # the first may be accepted by the call that is under way
        assert status(serving.client()).clients >= 1
    assert refused.qsize() >= 3


def test_another_user_is_not_let_in(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server.processes, "peer_of", lambda _: (1, os.getuid() + 1))
    client = serving.client()
    monkeypatch.setattr(client_module.processes, "peer_of", lambda _: (os.getpid(), os.getuid()), raising=True)
    monkeypatch.setattr(server.os, "getuid", lambda: 77)
    with pytest.raises(NoServer):
        client.ask(m.GetCacheStatus(), start=False)


class Unknown(Report):
    pass


def test_a_message_that_it_does_not_know_is_an_error_and_it_goes_on(serving: Serving) -> None:
    client = serving.client()
    with pytest.raises(NoServer, match="no message"):
        client.ask(Unknown())
    assert status(serving.client()).clients == 2


def test_a_handler_that_fails_fails_one_question(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving.server._index, "of_namespace", lambda _: 1 / 0)
    with pytest.raises(NoServer, match="division"):
        serving.client().ask(m.ClearCache(None))
    assert status(serving.client()).memory.entries == 0


# --- its start -------------------------------------------------------------------------------------------------------


def test_it_makes_its_books_of_the_files(serve: Serve) -> None:
    first = serve()
    client = first.client()
    put(client, ttl=1000)
    put(client, OTHER)
    path = first.home.path(Tier.MEMORY, OTHER)
    os.chmod(path, entry_file.PINNED)
    begun = client.ask(m.ReserveEntry(KEY, 5, on_disk=True))
    Path(begun).write_bytes(b"begun")
    first.stop(is_robbed=True)  # as by a SIGKILL, the entries are in memory
    Path(begun).write_bytes(b"begun")
    Path(os.path.dirname(path), "no entry").write_text("")
    Path(os.path.dirname(path), "f" * 32).write_text("damaged")
    second = serve()
    client = second.client()
    assert status(client).memory.entries == 3
    assert not os.path.exists(begun)
    assert claim(client) is m.Claim.READY
    assert second.server._index.get(KEY).expires > time.time()  # type: ignore[union-attr]
    assert second.server._index.get(OTHER).pinned  # type: ignore[union-attr]
    second.server.check()


def test_of_an_entry_in_both_tiers_the_one_in_memory_stays(serve: Serve) -> None:
    first = serve()
    put(first.client(), value="new")
    first.stop(is_robbed=True)
    first.home.make_namespace(Tier.DISK, "x")
    entry_file.write(first.home.path(Tier.DISK, KEY), entry_file.content("key", "old"))
    second = serve()
    assert not os.path.exists(first.home.path(Tier.DISK, KEY))
    assert status(second.client()).memory.entries == 1
    second.server.check()
