"""`ExecutorHistory`: since when executors are there, and what is remembered of those that are gone.

Under the driver's lock; kept by the executor pool, read by ``status``. Covers those that have registered: of others
there is nothing to tell but the event of their loss (``event_history``). Bounded: of those that are gone, the oldest is
forgotten.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from localcluster.scheduler.statistics import ExecutorTasks


class FormerExecutor(NamedTuple):
    """An executor that is gone, lost or drained. Times are in seconds since the epoch."""

    executor_id: str
    pid: int
    added: float
    removed: float
    reason: str
    completed_tasks: int
    failed_tasks: int  # what ran there at the end included


class ExecutorHistory:
    def __init__(self, retained: int = 100) -> None:
        self._added: dict[str, float] = {}  # {executor id: since when it is there}
        self._former: deque[FormerExecutor] = deque(maxlen=retained)

    def registered(self, executor_id: str, at: float) -> None:
        self._added[executor_id] = at

    def ended(self, executor_id: str, pid: int, at: float, reason: str, tasks: ExecutorTasks) -> None:
        """It is gone; ``tasks`` are those that it had until then."""
        added = self._added.pop(executor_id, None)
        if added is not None:
            failed = tasks.failed + len(tasks.running)
            self._former.append(FormerExecutor(executor_id, pid, added, at, reason, tasks.completed, failed))

    def added_at(self, executor_id: str) -> float | None:
        return self._added.get(executor_id)

    @property
    def former(self) -> Sequence[FormerExecutor]:
        """Those that are gone, in the order of their ends."""
        return tuple(self._former)
