"""`BarrierTaskContext`: what a task of a barrier stage knows besides, and how it waits for the others. As in PySpark.

Which tasks wait for which, and when they are answered, is decided in the driver (``scheduler.barrier_attempt``); how a
call gets there is in ``executor.barrier_calls``.
"""

from __future__ import annotations

from collections.abc import Callable

from localcluster.task.task_context import TaskContext
from protocol.errors import PySparkRuntimeError


class BarrierTaskInfo:
    """Where a task of a barrier stage runs: ``address`` is ``"host:port"``.

    The host is this machine's loopback address. In place of a port there is the executor's number, which tells
    executors apart; nothing listens there.
    """

    def __init__(self, address: str) -> None:
        self.address = address


class BarrierTaskContext(TaskContext):
    """The task that runs in the calling thread, of a stage whose tasks were all launched together.

    Every task of the stage must make the same calls of `barrier` and `allGather`, in the same order.

    >>> def f(records):
    ...     return [BarrierTaskContext.get().allGather(str(sum(records)))]
    >>> sc.parallelize([1, 2, 3, 4], 2).barrier().mapPartitions(f).collect()
    [['3', '7'], ['3', '7']]
    """

    _addresses: tuple[str, ...] = ()
    _call: Callable[[str, str], list[str]] | None = None

    def attach(self, addresses: tuple[str, ...], call: Callable[[str, str], list[str]]) -> None:
        """Before the task runs. ``call(function, message)`` waits for all tasks and gives their messages."""
        self._addresses = addresses
        self._call = call

    @classmethod
    def get(cls) -> BarrierTaskContext:
        """The context of the running task. Raises PySparkRuntimeError outside a barrier stage."""
        context = TaskContext.get()
        if not isinstance(context, BarrierTaskContext):
            raise PySparkRuntimeError(errorClass="NOT_IN_BARRIER_STAGE", messageParameters={})
        return context

    @classmethod
    def _getOrCreate(cls) -> BarrierTaskContext:
        """The running barrier task's context, else an empty one."""
        context = TaskContext.get()
        return context if isinstance(context, BarrierTaskContext) else object.__new__(cls)

    def barrier(self) -> None:
        """Wait until every task of the stage has called this.

        Raises SparkException when that cannot happen any more (a task ended before, or called `allGather` instead) or
        takes longer than ``spark.barrier.sync.timeout``. The stage's tasks then fail, all of them.
        """
        self._wait("barrier", "")

    def allGather(self, message: str = "") -> list[str]:
        """Wait as `barrier` does; the messages of all tasks, in the order of their partitions.

        Raises TypeError for a message that is no str.
        """
        if not isinstance(message, str):
            raise TypeError("Argument `message` must be of type `str`")
        return self._wait("allGather", message)

    def getTaskInfos(self) -> list[BarrierTaskInfo]:
        """Where the stage's tasks run, in the order of their partitions."""
        self._require_call("getTaskInfos")
        return [BarrierTaskInfo(address) for address in self._addresses]

    def _wait(self, function: str, message: str) -> list[str]:
        return self._require_call(function)(function, message)

    def _require_call(self, function: str) -> Callable[[str, str], list[str]]:
        if self._call is None:  # an empty context, or one that a task returned
            raise PySparkRuntimeError(
                errorClass="CALL_BEFORE_INITIALIZE",
                messageParameters={"func_name": function, "object": "BarrierTaskContext"},
            )
        return self._call
