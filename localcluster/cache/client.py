"""A program's way to the server of a cache: found, or started by this process if there is none.

Covers connecting, and what to do when there is no answer: `NoServer`, and for a while nobody is asked again. One
connection for each process and cache, made when it is first needed: who only reads needs none. A forked process makes
its own.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import time
import weakref
from dataclasses import dataclass
from typing import Any, ClassVar

import psutil

from localcluster.base import os_layer as processes
from localcluster.cache.home import CacheHome
from protocol.channel import Channel
from protocol.endpoint import Endpoint
from protocol.errors import AskTimeoutError, CacheError, ChannelError
from protocol.forks import free_in_forks
from protocol.message import Report

log = logging.getLogger(__name__)

CONNECT_TIMEOUT = 2.0  # seconds
START_TIMEOUT = 30.0  # seconds for a server to start: an earlier one may have much to move to the disk
ASK_TIMEOUT = 30.0  # seconds for most answers
RETRY_AFTER = 5.0  # seconds before a server that did not answer is asked again

_PACKAGES = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_INHERITED = ("HOME", "PATH", "LANG", "LC_ALL", "TMPDIR", "TZ")  # of the starter's environment


class NoServer(CacheError):
    """There is no server, or it does not answer. Nobody is asked for the next few seconds."""


@dataclass(frozen=True)
class ServerOptions:
    """For the server that this process may start. Sizes in bytes, None: by `server_process`'s rule; time in seconds."""

    max_memory: int | None = None
    max_disk: int | None = None
    idle_timeout: float | None = None


class CacheClient:
    """Thread-safe. `of` gives the one of this process for a cache."""

    _of: ClassVar[weakref.WeakValueDictionary[str, CacheClient]] = weakref.WeakValueDictionary()
    _making: ClassVar[Any] = free_in_forks(threading.Lock())

    def __init__(self, home: CacheHome, options: ServerOptions) -> None:
        self.home = home
        self._options = options
        self._lock = free_in_forks(threading.Lock())
        self._pid = os.getpid()
        self._endpoint: Endpoint | None = None
        self._server: psutil.Process | None = None
        self._silent_until = 0.0  # time.monotonic()
        self._warned = False

    @classmethod
    def of(cls, home: CacheHome, options: ServerOptions) -> CacheClient:
        with cls._making:
            client = cls._of.get(home.directory)
            if client is None:
                client = cls._of[home.directory] = cls(home, options)
            return client

    def __del__(self) -> None:
        if not sys.is_finalizing():  # else the kernel does it
            self.close()

    def close(self) -> None:
        """End the connection. The next question makes another one."""
        endpoint, self._endpoint = self._endpoint, None
        if endpoint is not None:
            endpoint.channel.close()

    def ask(self, message: Report, timeout: float = ASK_TIMEOUT, *, start: bool = True) -> Any:
        """The server's answer. Raises NoServer, RemoteAskError. ``start``: if there is no server, start one."""
        for attempt in (1, 2):
            endpoint = self._connected(start)
            try:
                return endpoint.ask(message, timeout)
            except AskTimeoutError as error:
                raise self._no_server(f"the cache's server does not answer: {error}") from error
            except ChannelError as error:
                self._forget(endpoint)
                if attempt == 2:  # else it ended since the last question, in good order perhaps
                    raise self._no_server(f"the cache's server is gone: {error}") from error
        raise AssertionError("not reached")

    def tell(self, message: Report) -> None:
        """Say it to the server if there is a connection; it is of no interest to another server."""
        endpoint = self._endpoint
        if endpoint is not None and self._pid == os.getpid():
            try:
                endpoint.tell(message)
            except ChannelError as error:
                log.debug("%s was not told: %s", type(message).__name__, error)

    def _connected(self, start: bool) -> Endpoint:
        with self._lock:
            if self._pid != os.getpid():  # a fork: the channel closed itself, and is the parent's
                self._pid, self._endpoint, self._silent_until = os.getpid(), None, 0.0
            if time.monotonic() < self._silent_until:
                raise NoServer("the cache's server did not answer a moment ago")
            if self._endpoint is None:
                self._endpoint = self._connect(start)
            elif _is_stopped(self._server):
                raise self._no_server(
                    f"the cache's server, process {self._server.pid if self._server else 0}, is stopped"
                )
            return self._endpoint

    def _connect(self, start: bool) -> Endpoint:
        try:
            self.home.require_own()
            try:
                connection = processes.connect_to(self.home.socket, CONNECT_TIMEOUT)
            except (FileNotFoundError, ConnectionRefusedError):
                if not start:
                    raise NoServer(f"the cache in {self.home.directory} has no server") from None
                self._start()
                connection = processes.connect_to(self.home.socket, CONNECT_TIMEOUT)
            pid, uid = processes.peer_of(connection)
        except (OSError, subprocess.SubprocessError) as error:
            raise self._no_server(f"the cache in {self.home.directory} has no server: {error}") from error
        if uid != os.getuid():
            connection.close()
            raise CacheError(f"user {uid} listens at {self.home.socket}")
        try:
            self._server = psutil.Process(pid)
        except psutil.NoSuchProcess as error:
            connection.close()
            raise self._no_server("the cache's server has just ended") from error
        self._warned = False
        return Endpoint(Channel(connection, name="cache server"))

    def _start(self) -> None:
        options = self._options
        arguments = {
            "directory": self.home.directory,
            "max_memory": options.max_memory,
            "max_disk": options.max_disk,
            "idle_timeout": options.idle_timeout,
        }
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
        try:
            _, problem = process.communicate(timeout=START_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
        if process.returncode:
            raise CacheError(f"the cache's server did not start: {problem.decode(errors='replace').strip()}")

    def _forget(self, endpoint: Endpoint) -> None:
        endpoint.channel.close()
        with self._lock:
            if self._endpoint is endpoint:
                self._endpoint = None

    def _no_server(self, text: str) -> NoServer:
        """The first time after a server has answered this is a warning, for the program goes on without the cache."""
        self._silent_until = time.monotonic() + RETRY_AFTER
        if not self._warned:
            self._warned = True
            log.warning("%s. Until one answers, what is missing is computed and not kept", text)
        return NoServer(text)


def _is_stopped(process: psutil.Process | None) -> bool:
    try:
        return process is not None and process.status() == psutil.STATUS_STOPPED
    except psutil.Error:
        return False  # the connection will end
