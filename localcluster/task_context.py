"""What a task knows about itself: `TaskContext`, as in PySpark.

Covers identity, local properties and completion callbacks. Barrier tasks are not here.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from localcluster.accumulators import Accumulator
    from localcluster.env import Env

log = logging.getLogger(__name__)
_current = threading.local()


class TaskContext:
    """The task that runs in the calling thread; `get` finds it. None of it can be set by user code."""

    __slots__ = (
        "_attempt",
        "_callbacks",
        "_cpus",
        "_partition",
        "_properties",
        "_stage_id",
        "_task_id",
        "accumulators",
        "env",
    )

    def __init__(
        self, env: Env, stage_id: int, partition: int, attempt: int, task_id: int, properties: Mapping[str, str]
    ) -> None:
        self.env = env
        self.accumulators: dict[int, Accumulator[Any]] = {}  # this task's own copies, by accumulator id
        self._stage_id = stage_id
        self._partition = partition
        self._attempt = attempt
        self._task_id = task_id
        self._properties = properties
        self._cpus = 1
        self._callbacks: list[Callable[[TaskContext], None]] = []

    @classmethod
    def get(cls) -> TaskContext | None:
        """The context of the running task; None in the driver."""
        return getattr(_current, "context", None)

    def stageId(self) -> int:
        return self._stage_id

    def partitionId(self) -> int:
        return self._partition

    def attemptNumber(self) -> int:
        """How many times this partition's task was launched before in this stage attempt; 0 the first time."""
        return self._attempt

    def taskAttemptId(self) -> int:
        """Unique among all tasks of the context."""
        return self._task_id

    def cpus(self) -> int:
        """Cores that the task occupies."""
        return self._cpus

    def resources(self) -> dict[str, object]:
        """Always empty: one machine has no resource discovery."""
        return {}

    def getLocalProperty(self, key: str) -> str | None:
        """A property that `SparkContext.setLocalProperty` set in the thread that started the job."""
        return self._properties.get(key)

    def on_completion(self, callback: Callable[[TaskContext], None]) -> None:
        """Run ``callback(context)`` when the task ends, however; the last registered runs first."""
        self._callbacks.append(callback)

    def enter(self) -> None:
        _current.context = self

    def leave(self) -> None:
        """End the task: run the callbacks. An exception in one is logged and does not stop the others."""
        _current.context = None
        while self._callbacks:
            callback = self._callbacks.pop()
            try:
                callback(self)
            except Exception:
                log.exception("a completion callback of task %d failed", self._task_id)
