"""A program's way to the server of a cache: found, or started by this process if there is none.

Covers connecting, and what to do when there is no answer: `NoServer`, and for a while nobody is asked again. One
connection for each process and cache, made when it is first needed: who only reads needs none. A forked process makes
its own.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import math
import os
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import psutil

from localcluster.base import os_layer as processes
from localcluster.cache.home import CacheHome
from localcluster.conf.settings import parse_bytes
from protocol import cache_messages as m
from protocol.channel import Channel
from protocol.endpoint import Endpoint
from protocol.errors import AskTimeoutError, CacheError, ChannelError, RemoteAskError
from protocol.forks import free_in_forks
from protocol.message import Report

log = logging.getLogger(__name__)

CONNECT_TIMEOUT = 2.0  # seconds
START_TIMEOUT = 30.0  # seconds for a server to start: an earlier one may have much to move to the disk
ATTEMPTS = 3  # at a question: a server that was killed lets one in, while the system takes it apart
STARTS = 3  # at most: the server that was there when the new one was started may have been ending
ASK_TIMEOUT = 30.0  # seconds for most answers
TELL_TIMEOUT = 5.0  # seconds for the server to take what needs no answer
RETRY_AFTER = 5.0  # seconds before a server that did not answer is asked again, at least
RETRY_SHARE = 3  # times as long as the vain question took, if that is more

_PACKAGES = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_INHERITED = ("HOME", "PATH", "LANG", "LC_ALL", "TMPDIR", "TZ", "LD_LIBRARY_PATH")  # of the starter's environment


class NoServer(CacheError):
    """There is no server, or it does not answer. Nobody is asked for the next few seconds."""


class NotRunning(NoServer):
    """There is no server, and the question was not worth to start one."""


@dataclass(frozen=True)
class ServerOptions:
    """For the server that this process may start. Sizes in bytes, None: by `server_process`'s rule; time in seconds."""

    max_memory: int | None = None
    max_disk: int | None = None
    idle_timeout: float | None = None

    @classmethod
    def said(
        cls, max_memory: int | str | None, max_disk: int | str | None, idle_timeout: float | None
    ) -> ServerOptions:
        """Sizes may be texts such as ``2g``. Raises CacheError."""
        return cls(_bytes("max_memory", max_memory), _bytes("max_disk", max_disk), idle_timeout)

    def __post_init__(self) -> None:
        for name in ("max_memory", "max_disk"):
            size = getattr(self, name)
            if size is not None and (not isinstance(size, int) or size < 0):
                raise CacheError(f"{name} is a number of bytes, or a text such as '512m' or '2g', not {size!r}")
        if self.idle_timeout is not None and not 0 < self.idle_timeout < math.inf:
            raise CacheError(f"idle_timeout is a number of seconds more than 0, not {self.idle_timeout!r}")


def _bytes(name: str, size: int | str | None) -> int | None:
    if not isinstance(size, str):
        return size
    try:
        return parse_bytes(size)
    except ValueError:
        raise CacheError(f"{name} is a size such as '512m' or '2g', or a number of bytes, not {size!r}") from None


class CacheClient:
    """Thread-safe. `of` gives the one of this process for a cache. ``warns``: a program goes on without a server, and
    its user is to know.
    """

    _of: ClassVar[weakref.WeakValueDictionary[str, CacheClient]] = weakref.WeakValueDictionary()
    _making: ClassVar[Any] = free_in_forks(threading.Lock())

    def __init__(self, home: CacheHome, options: ServerOptions, *, warns: bool = True) -> None:
        self.home = home
        self._options = options
        self._compared: ServerOptions | None = None  # with what the server has
        self._lock = free_in_forks(threading.Lock())
        self._pid = os.getpid()
        self._endpoint: Endpoint | None = None
        self._server: psutil.Process | None = None
        self._silent_until = 0.0  # time.monotonic()
        self._warns = self._is_to_warn = warns

    @classmethod
    def of(cls, home: CacheHome, options: ServerOptions) -> CacheClient:
        """Options that say nothing leave those that were said before."""
        with cls._making:
            client = cls._of.get(home.directory)
            if client is None:
                client = cls._of[home.directory] = cls(home, options)
            elif options != ServerOptions():
                client._options = options
            return client

    def __del__(self, is_finalizing: Callable[[], bool] = sys.is_finalizing) -> None:
        if not is_finalizing():  # else the kernel does it, and this module may be gone
            self.close()

    def close(self) -> None:
        """End the connection. The next question makes another one."""
        endpoint, self._endpoint = self._endpoint, None
        if endpoint is not None:
            endpoint.channel.close()

    def ask(self, message: Report, timeout: float = ASK_TIMEOUT, *, start: bool = True) -> Any:
        """The server's answer. Raises NoServer. ``start``: if there is no server, start one."""
        began = time.monotonic()
        try:
            return self._ask(message, timeout, start)
        except NotRunning:
            raise
        except NoServer:  # a start that fails may take long, and a program is not to do little else
            now = time.monotonic()
            self._silent_until = max(self._silent_until, now + RETRY_SHARE * (now - began))
            raise

    def _ask(self, message: Report, timeout: float, start: bool) -> Any:
        for attempt in range(1, ATTEMPTS + 1):
            endpoint = self._connected(start)
            try:
                answer = endpoint.ask(message, timeout)
                self._is_to_warn = self._warns
                return answer
            except RemoteAskError as error:
                raise self._no_server(f"the cache's server failed: {error}") from error
            except AskTimeoutError as error:
                self._forget(endpoint)  # should it answer late, nobody would know of the claim, or the room, that it is
                raise self._no_server(f"the cache's server does not answer: {error}") from error
            except ChannelError as error:
                self._forget(endpoint)
                if attempt == ATTEMPTS:  # else it ended since the last question, in good order perhaps
                    raise self._no_server(f"the cache's server is gone: {error}") from error
        raise AssertionError("not reached")

    def tell(self, message: Report) -> None:
        """Say it to the server if there is a connection; it is of no interest to another server. One that does not take
        it hears by the end of the connection that nothing of this program stands any more.
        """
        endpoint = self._endpoint
        if endpoint is not None and self._pid == os.getpid():
            try:
                endpoint.tell(message, timeout=TELL_TIMEOUT)
            except ChannelError as error:
                self._forget(endpoint)
                log.debug("%s was not told: %s", type(message).__name__, error)

    def _connected(self, start: bool) -> Endpoint:
        with self._lock:
            if self._pid != os.getpid():  # a fork: the channel closed itself, and is the parent's
                self._pid, self._endpoint, self._silent_until = os.getpid(), None, 0.0
            if time.monotonic() < self._silent_until:
                raise NoServer("the cache's server did not answer a moment ago")
            endpoint = self._endpoint or self._connect(start)
            if self._server is not None and _is_stopped(self._server):
                endpoint.channel.abort()  # it may go on one day, and answer what nobody waits for any more
                self._endpoint = None
                raise self._no_server(f"the cache's server, process {self._server.pid}, is stopped")
            self._endpoint = endpoint
            if self._warns and self._compared != self._options:
                self._compared = self._options
                self._compare(endpoint)
            return endpoint

    def _compare(self, endpoint: Endpoint) -> None:
        """Warn if the server has other limits than this program said: it has those of the one that started it."""
        said = {"max_memory": self._options.max_memory, "max_disk": self._options.max_disk}
        if said["max_memory"] is None and said["max_disk"] is None:
            return
        try:
            status = endpoint.ask(m.GetCacheStatus(), CONNECT_TIMEOUT)
        except ChannelError:  # the next question will tell
            return
        limits = {"max_memory": status.memory.limit, "max_disk": status.disk.limit}
        others = [name for name, size in said.items() if size not in (None, limits[name])]
        if others:
            log.warning(
                "the server of the cache in %s was started with %s: %s said here is for the next one, after "
                "`localcluster cache stop` or Cache.stop_server()",
                self.home.directory,
                ", ".join(f"{name}={limits[name]}" for name in others),
                ", ".join(f"{name}={said[name]}" for name in others),
            )

    def _connect(self, start: bool) -> Endpoint:
        connection = self._reach(start)
        endpoint = Endpoint(Channel(connection, name="cache server"))  # at once, for the sake of forks
        try:
            pid, uid = processes.peer_of(connection)
            if uid != os.getuid():
                raise CacheError(f"user {uid} listens at {self.home.socket}")
            self._server = psutil.Process(pid)
        except (CacheError, OSError, psutil.Error) as error:
            endpoint.channel.abort()
            raise self._no_server(f"the cache in {self.home.directory} has no server: {error}") from error
        return endpoint

    def _reach(self, start: bool) -> socket.socket:
        try:
            self.home.require_own()
            for _ in range(STARTS):
                try:
                    return processes.connect_to(self.home.socket, CONNECT_TIMEOUT)
                except (FileNotFoundError, ConnectionRefusedError):
                    if not start:
                        raise NotRunning(f"the cache in {self.home.directory} has no server") from None
                self._start()
            return processes.connect_to(self.home.socket, CONNECT_TIMEOUT)
        except NotRunning:
            raise
        except (CacheError, OSError, subprocess.SubprocessError) as error:
            raise self._no_server(f"the cache in {self.home.directory} has no server: {error}") from error

    def _start(self) -> None:
        """Raises CacheError, OSError, TimeoutExpired."""
        said = {name: value for name, value in dataclasses.asdict(self._options).items() if value is not None}
        arguments = {"directory": self.home.directory, **said}
        command = [sys.executable, "-m", "localcluster.cache.server_process", json.dumps(arguments)]
        environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [_PACKAGES, os.environ.get("PYTHONPATH")]))
        process = processes.start_program(
            command,
            cwd="/",
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        assert process.stderr is not None
        with process.stderr as problem:
            try:
                code = process.wait(START_TIMEOUT)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise
            if code:
                os.set_blocking(problem.fileno(), False)  # a fork of this process may have the other end open
                text = (problem.read() or b"").decode(errors="replace").strip()
                raise CacheError(f"it did not start: {text or f'exit code {code}'}")

    def _forget(self, endpoint: Endpoint) -> None:
        endpoint.channel.close()
        with self._lock:
            if self._endpoint is endpoint:
                self._endpoint = None

    def _no_server(self, text: str) -> NoServer:
        """The first time after a server has answered this is a warning, for the program goes on without the cache."""
        self._silent_until = time.monotonic() + RETRY_AFTER
        if self._is_to_warn:
            self._is_to_warn = False
            log.warning("%s. Until one answers, what is missing is computed and not kept", text)
        return NoServer(text)


def _is_stopped(process: psutil.Process | None) -> bool:
    try:
        return process is not None and process.status() == psutil.STATUS_STOPPED
    except psutil.Error:
        return False  # the connection will end
