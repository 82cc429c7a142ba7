"""The event loop of the driver, or of another server: one thread that reads every pipe and keeps time.

Handlers run in this thread, under the owner's lock. Covers reading, writing what stayed behind on full pipes, waking
up and rounds. Knows nothing of what the messages mean.
"""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from localcluster.base import os_layer
from protocol.endpoint import Endpoint, Incoming
from protocol.errors import ChannelError
from protocol.forks import disown_in_forks

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Source:
    endpoint: Endpoint
    on_messages: Callable[[list[Incoming]], None]
    on_end: Callable[[ChannelError], None]


class EventLoop:
    """One thread that reads many endpoints.

    ``on_round(now)`` is called when its time has come or `wake` was; it returns how many seconds until the next.

    ``on_crash(error)`` is called, under the lock, if a handler raises what it must not: the loop is over then. ``name``
    is the thread's.
    """

    def __init__(
        self,
        lock: AbstractContextManager[object],
        on_round: Callable[[float], float],
        on_crash: Callable[[BaseException], None],
        name: str = "localcluster-driver",
    ) -> None:
        self._lock = lock
        self._on_round = on_round
        self._on_crash = on_crash
        self._selector = selectors.DefaultSelector()
        self._wakeup_read, self._wakeup_write = os_layer.wakeup_pipe()
        self._selector.register(self._wakeup_read, selectors.EVENT_READ)
        self._stopping = False
        self._woken = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        disown_in_forks(self)

    def start(self) -> None:
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    @property
    def is_this_thread(self) -> bool:
        return threading.current_thread() is self._thread

    def add(
        self, endpoint: Endpoint, on_messages: Callable[[list[Incoming]], None], on_end: Callable[[ChannelError], None]
    ) -> None:
        """Read an endpoint from now on; ``on_end`` is called once, after its last message. Under the lock."""
        endpoint.channel.on_backlog = self.wake
        self._selector.register(endpoint.fileno(), selectors.EVENT_READ, _Source(endpoint, on_messages, on_end))
        self.wake()

    def remove(self, endpoint: Endpoint) -> None:
        """Stop reading an endpoint; before it is closed. Under the lock."""
        with contextlib.suppress(KeyError, ValueError, ChannelError):  # not there any more
            self._selector.unregister(endpoint.fileno())

    def wake(self) -> None:
        """Start a round now. From any thread, also from a finalizer: it takes no lock."""
        with contextlib.suppress(BlockingIOError, OSError):  # a full pipe wakes as well; a closed one has no loop
            os.write(self._wakeup_write, b"\0")

    def disown(self) -> None:
        """In a fork of this process, whose finalizers must not wake the parent's loop."""
        self._wakeup_write = -1

    def stop(self, timeout: float) -> None:
        """End the thread; without the lock. Sources stay open."""
        self._stopping = True
        self.wake()
        if self._thread.ident is not None:  # it was started
            self._thread.join(timeout)
        self._selector.close()
        os.close(self._wakeup_read)
        closed, self._wakeup_write = self._wakeup_write, -1  # a late wake must not write where the number leads next
        os.close(closed)

    def _run(self) -> None:
        due = 0.0
        try:
            while not self._stopping:
                events = self._selector.select(max(0.0, due - time.monotonic()))
                with self._lock:
                    for key, mask in events:
                        self._serve(key, mask)
                    now = time.monotonic()
                    if now >= due or self._woken:
                        self._woken = False
                        due = now + self._on_round(now)
                    self._watch_backlogs()
        except BaseException as error:
            log.exception("the event loop %s failed", self._thread.name)
            with self._lock:
                self._on_crash(error)

    def _serve(self, key: selectors.SelectorKey, mask: int) -> None:
        if key.data is None:
            self._woken = True
            with contextlib.suppress(BlockingIOError):
                while len(os.read(key.fd, 4096)) == 4096:
                    pass
            return
        source: _Source = key.data
        if self._selector.get_map().get(key.fd) is not key:
            return  # an earlier event of this batch removed or re-registered it
        try:
            if mask & selectors.EVENT_WRITE:
                source.endpoint.flush()
            if mask & selectors.EVENT_READ:
                incoming = source.endpoint.receive_ready()
                if incoming:
                    source.on_messages(incoming)
        except ChannelError as error:
            self.remove(source.endpoint)
            source.on_end(error)

    def _watch_backlogs(self) -> None:
        """Ask for writability exactly where bytes stayed behind."""
        for key in list(self._selector.get_map().values()):
            if key.data is not None:
                wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if key.data.endpoint.wants_write else 0)
                if wanted != key.events:
                    self._selector.modify(key.fd, wanted, key.data)
