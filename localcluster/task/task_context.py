"""What a task knows about itself: `TaskContext`, as in PySpark.

Covers identity, local properties, completion callbacks and finding the context of the running task. What tasks of a
barrier stage know besides is in `barrier_task_context`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from decimal import Decimal

    from localcluster.task.env import Env
    from localcluster.task.resource_information import ResourceInformation

log = logging.getLogger(__name__)
_current = threading.local()
_running: dict[int, TaskContext] = {}  # {task id: context} of this process


class TaskContext:
    """The task that runs in the calling thread; `get` finds it. None of it can be set by user code.

    Calling the class gives the running task's context, too, and an empty one where no task runs. A context that a task
    returns arrives in the driver as a record of what it was.

    >>> sc.parallelize([7, 8], 2).map(lambda x: TaskContext.get().partitionId()).collect()
    [0, 1]
    """

    env: Env
    accumulators: dict[int, Any]
    """{accumulator id: this task's own copy of it}."""
    _callbacks: list[Callable[[TaskContext], None]]

    # PySpark's names, and its values of a context that no task has
    _stageId: int | None = None
    _partitionId: int | None = None
    _attemptNumber: int | None = None
    _taskAttemptId: int | None = None
    _localProperties: Mapping[str, str] | None = None
    _cpus: int | None = None
    _resources: dict[str, ResourceInformation] | None = None

    def __new__(cls) -> TaskContext:
        return TaskContext.get() or object.__new__(cls)

    @classmethod
    def of_task(
        cls,
        env: Env,
        stage_id: int,
        partition: int,
        attempt: int,
        task_id: int,
        properties: Mapping[str, str],
        cpus: int = 1,
    ) -> TaskContext:
        """The context of a task that is about to run here."""
        context = object.__new__(cls)
        context.env = env
        context.accumulators = {}
        context._callbacks = []
        context._stageId = stage_id
        context._partitionId = partition
        context._attemptNumber = attempt
        context._taskAttemptId = task_id
        context._localProperties = properties
        context._cpus = cpus
        context._resources = {}
        return context

    def __reduce__(self) -> tuple[Any, ...]:
        names = [name for name in vars(TaskContext) if name.startswith("_") and name in vars(self)]
        kept = {name: getattr(self, name) for name in names if name != "_callbacks"}
        return _restore, (type(self), kept)

    @classmethod
    def get(cls) -> TaskContext | None:
        """The context of the running task; None in the driver.

        A thread that a task started finds the task's, unless several tasks run in this process: then it finds none.
        """
        own: TaskContext | None = getattr(_current, "context", None)
        if own is None and len(_running) == 1:
            return next(iter(_running.values()), None)  # it may end in this very moment
        return own

    @classmethod
    def _getOrCreate(cls) -> TaskContext:
        """The running task's context, else an empty one."""
        return cls()

    @classmethod
    def _setTaskContext(cls, taskContext: TaskContext | None) -> None:
        """Let `get` find this context in the calling thread; None undoes it."""
        _current.context = taskContext

    def stageId(self) -> int:
        return self._stageId  # type: ignore[return-value]  # an empty context has none, as in PySpark; so below

    def partitionId(self) -> int:
        return self._partitionId  # type: ignore[return-value]

    def attemptNumber(self) -> int:
        """How many times this partition's task was launched before in this stage attempt; 0 the first time."""
        return self._attemptNumber  # type: ignore[return-value]

    def taskAttemptId(self) -> int:
        """Unique among all tasks of the context."""
        return self._taskAttemptId  # type: ignore[return-value]

    def cpus(self) -> int:
        """Cores that the task occupies."""
        return self._cpus  # type: ignore[return-value]

    def cpuAmount(self) -> Decimal:
        """Cores that the task occupies, as an exact number."""
        from decimal import Decimal  # few ask for it, and it would take memory in every process

        return None if self._cpus is None else Decimal(self._cpus)  # type: ignore[return-value]

    def resources(self) -> dict[str, ResourceInformation]:
        """Always empty: one machine has no resource discovery."""
        return self._resources  # type: ignore[return-value]

    def getLocalProperty(self, key: str) -> str | None:
        """A property that `SparkContext.setLocalProperty` set in the thread that started the job."""
        return None if self._localProperties is None else self._localProperties.get(key)

    def on_completion(self, callback: Callable[[TaskContext], None]) -> None:
        """Run ``callback(context)`` when the task ends, however; the last registered runs first."""
        self._callbacks.append(callback)

    def enter(self) -> None:
        _current.context = self
        _running[self.taskAttemptId()] = self

    def leave(self) -> None:
        """End the task: run the callbacks. An exception in one is logged and does not stop the others."""
        _current.context = None
        _running.pop(self.taskAttemptId(), None)
        while self._callbacks:
            callback = self._callbacks.pop()
            try:
                callback(self)
            except Exception:
                log.exception("a completion callback of task %d failed", self._taskAttemptId)


def _restore(cls: type[TaskContext], kept: dict[str, Any]) -> TaskContext:
    context = object.__new__(cls)
    vars(context).update(kept)
    return context
