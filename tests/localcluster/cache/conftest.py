"""A cache of a test's own: its home, a server of it in this process, and one in a process of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from localcluster import Cache
from localcluster.base import os_layer as processes
from localcluster.cache import command, server
from localcluster.cache.client import CacheClient, ServerOptions
from localcluster.cache.home import CacheHome, Tier
from localcluster.cache.server import CacheServer
from storage import os_layer
from tests.support import DEADLINE


class Serving:
    """A server in threads of this process, and clients that connect to it by its socket."""

    def __init__(self, home: CacheHome, limits: dict[Tier, int], idle_timeout: float) -> None:
        home.make()
        self.home = home
        os_layer.unlink(home.socket)
        self.listening = processes.listen_at(home.socket)
        self.ended = threading.Event()
        self.server = CacheServer(home, limits, idle_timeout, self.listening, self.ended.set)
        self.server.start()
        self._accepting = threading.Thread(target=self.server.accept, daemon=True)
        self._accepting.start()
        self.clients: list[CacheClient] = []

    def client(self) -> CacheClient:
        self.clients.append(CacheClient(self.home, ServerOptions()))
        return self.clients[-1]

    def cache(self, namespace: str = "x", **how: Any) -> Cache:
        """A program of its own, as the server sees it."""
        cache = Cache(namespace, directory=self.home.directory, **how)
        cache._connection = self.client()
        return cache

    def stop(self, *, is_robbed: bool = False, close_clients: bool = True) -> None:
        for client in self.clients if close_clients else ():
            client.close()
        if self.listening.fileno() >= 0:
            self.server.stop(is_robbed=is_robbed)
            self._accepting.join(DEADLINE)
            assert not self._accepting.is_alive()
            self.server.check()


@pytest.fixture
def home(tmp_path: Path) -> Iterator[CacheHome]:
    home = CacheHome(str(tmp_path / "cache"))
    yield home
    os_layer.remove_what_can_be(home.shared)


@pytest.fixture
def serve(home: CacheHome, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Serving]]:
    """Start a server in this process; what it keeps in memory and on the disk is limited."""
    monkeypatch.setattr(server, "ROUND", 0.02)
    started: list[Serving] = []

    def start(memory: int = 1 << 30, disk: int = 1 << 30, idle_timeout: float = 300.0) -> Serving:
        started.append(Serving(home, {Tier.MEMORY: memory, Tier.DISK: disk}, idle_timeout))
        return started[-1]

    yield start
    for serving in started:
        serving.stop()


@pytest.fixture
def serving(serve: Callable[..., Serving]) -> Serving:
    return serve()


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[str]:
    """Of a cache whose server is a process that whoever needs it starts."""
    path = str(tmp_path / "cache")
    yield path
    command.stop(path, DEADLINE)
    os_layer.remove_what_can_be(CacheHome(path).shared)
