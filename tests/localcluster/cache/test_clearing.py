"""Clearing: all at once for who looks, and nobody is held up by the files, however many there are."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from localcluster.base.side_thread import SideThread
from localcluster.cache import clearing, entry_file, server
from localcluster.cache.clearing import Clearing
from localcluster.cache.home import CacheHome, Tier
from localcluster.cache.index import CacheIndex
from localcluster.cache.keys import block_id_of
from localcluster.cache.server import CacheServer
from protocol import cache_messages as m
from storage import os_layer
from tests.localcluster.cache.conftest import Serving
from tests.support import DEADLINE, InThread, wait_until

Serve = Callable[..., Serving]


class Held:
    """Files that are removed wait until they are let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.began, self.go_on = threading.Event(), threading.Event()
        self._unlink = os_layer.unlink
        monkeypatch.setattr(os_layer, "unlink", self)

    def __call__(self, path: str) -> bool:
        self.began.set()
        assert self.go_on.wait(DEADLINE)
        return self._unlink(path)


@pytest.fixture
def held(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
    held = Held(monkeypatch)
    yield held
    held.go_on.set()


def files_aside(home: CacheHome) -> list[str]:
    return [name for tier in Tier for name in os_layer.names_in(home.aside(tier))]


def test_a_namespace_is_gone_at_once_and_others_are_answered_while_it_loses_its_files(
    serving: Serving, held: Held
) -> None:
    cache, other = serving.cache(), serving.cache()
    cache.update({f"{number}": number for number in range(20)})
    clear = InThread(lambda: cache._client.ask(m.ClearCache("x")))
    assert held.began.wait(DEADLINE)
    assert InThread(lambda: other.get_or_compute("5", lambda: "new")).outcome() == "new"
    assert InThread(lambda: list(other)).outcome() == ["5"]
    assert clear.outcome() == 20
    held.go_on.set()
    wait_until(lambda: files_aside(serving.home) == [])
    assert list(other.items()) == [("5", "new")]
    serving.server.check()


def test_who_needs_room_gets_it_between_two_slices(home: CacheHome, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clearing, "AT_ONCE", 2)
    home.make()
    for number in range(5):
        Path(home.aside(Tier.DISK), f"{number}").write_text("")
    work: deque[Callable[[], object]] = deque()
    side = SideThread()
    monkeypatch.setattr(side, "submit", work.append)
    Clearing(home, CacheIndex({}), side).remove_later(home.aside(Tier.DISK))
    for left in (3, 1, 0):
        work.append(lambda: None)  # of others
        work.popleft()()
        assert len(os.listdir(home.aside(Tier.DISK))) == left
        work.popleft()()


def test_what_is_put_while_a_namespace_loses_its_files_stays(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    serving = serve(memory=0)
    cache = serving.cache()
    cache["a"] = "on the disk"
    held = Held(monkeypatch)
    cache.clear()
    assert "a" not in cache
    held.go_on.set()
    serving.server._index.limits[Tier.MEMORY] = 1 << 20
    cache["a"] = "in memory"
    wait_until(lambda: files_aside(serving.home) == [])
    assert cache["a"] == "in memory"
    assert not os.path.exists(serving.home.path(Tier.DISK, block_id_of("x", "a")))
    serving.server.check()


def test_the_files_are_gone_when_the_server_has_ended(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clearing, "AT_ONCE", 1)
    cache = serving.cache()
    cache.update({f"{number}": number for number in range(9)})
    cache.clear()
    serving.stop()
    assert files_aside(serving.home) == []


def test_what_a_server_that_was_killed_left_aside_the_next_one_removes(serve: Serve, home: CacheHome) -> None:
    home.make()
    for tier in Tier:
        left = Path(home.aside(tier), "left")
        left.mkdir()
        (left / ("f" * 32)).write_text("")
    serving = serve()
    wait_until(lambda: files_aside(home) == [])
    assert serving.client().ask(m.GetCacheStatus()).memory.entries == 0


def test_all_namespaces_go_and_what_has_no_files_any_more_is_forgotten(serving: Serving) -> None:
    one, other = serving.cache("one"), serving.cache("other")
    one["a"] = other["a"] = 1
    os_layer.remove_tree(os.path.dirname(serving.home.path(Tier.MEMORY, block_id_of("one", "a"))))
    assert one._client.ask(m.ClearCache(None)) == 2
    assert [*one, *other] == []
    assert len(serving.server._index) == 0


def test_others_are_answered_while_many_entries_expire(home: CacheHome, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "EXPIRED_AT_ONCE", 2)
    home.make()
    home.make_namespace(Tier.MEMORY, "x")
    for number in range(5):
        block_id = block_id_of("x", f"{number}")
        entry_file.write(home.path(Tier.MEMORY, block_id), entry_file.content(f"{number}", 1, ttl=1e-9))
    serving = CacheServer(home, dict.fromkeys(Tier, 1 << 20), 300.0, None, lambda: None)  # type: ignore[arg-type]
    serving._read_files(Tier.MEMORY)
    waits = []
    for left in (3, 1, 0):
        waits.append(serving._round(0.0))
        assert len(serving._index) == left
    assert waits == [0.0, 0.0, server.ROUND]
    serving._loop.stop(DEADLINE)
