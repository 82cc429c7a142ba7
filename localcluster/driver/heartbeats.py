"""`Heartbeats`: what each executor last said of itself: its memory and the tasks that it runs.

Under the driver's lock. Read by `status`, and by whoever limits memory. Not what tells whether an executor lives: see
``executor_pool``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from protocol.cluster_messages import ExecutorHeartbeat
from protocol.endpoint import Reply


class Heartbeat(NamedTuple):
    rss: int  # bytes resident, shared pages included
    shared: int  # bytes of rss in shared memory and files
    peak_rss: int  # the largest rss so far
    running: tuple[int, ...]  # task ids, those queued there not included
    heard_at: float  # seconds, monotonic

    @property
    def own(self) -> int:
        """Bytes of rss that are no other process's as well, but for what a fork has not changed yet."""
        return self.rss - self.shared


class Heartbeats:
    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._latest: dict[str, Heartbeat] = {}  # {executor id: its last}; none before the first and after its end

    def receive(self, executor_id: str, message: ExecutorHeartbeat, reply: Reply | None) -> None:
        before = self._latest.get(executor_id)
        peak = message.rss if before is None else max(before.peak_rss, message.rss)
        beat = Heartbeat(message.rss, message.shared, peak, message.running, self._clock())
        self._latest[executor_id] = beat

    def latest(self, executor_id: str) -> Heartbeat | None:
        return self._latest.get(executor_id)

    def forget(self, executor_id: str) -> None:
        """The executor is lost."""
        self._latest.pop(executor_id, None)
