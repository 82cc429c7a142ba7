"""What the tasks of one attempt of a barrier stage have in common: they wait for each other, and they count together.

A plain state machine: calls in, answers out. Covers ``barrier()`` and ``allGather()``, and keeping results until all
are there, so that of an attempt that fails none counts. Does not launch or kill tasks. Follows Spark's
``BarrierCoordinator``.

Nobody waits in vain: when a task has ended, when tasks wait at different functions or for too long, all who wait get an
error, and so does whoever calls later in the same attempt. The calls of another attempt go to another object.
"""

from __future__ import annotations

from typing import NamedTuple

from localcluster.scheduler.running_task import RunningTask
from protocol.cluster_messages import BarrierCall, BarrierRelease, TaskResult

MAX_GATHERED = 4 << 20  # characters that all messages of one allGather together may have; a Pipe's message has a limit


class BarrierAnswer(NamedTuple):
    """Tell a task that its wait is over."""

    executor_id: str
    release: BarrierRelease


class _Waiting(NamedTuple):
    task: RunningTask
    call: BarrierCall


class BarrierAttempt:
    """What the tasks of one attempt at a barrier stage do together.

    ``name`` is the stage's, for messages; ``size`` the number of its tasks; ``timeout`` in seconds.
    """

    def __init__(self, name: str, size: int, timeout: float) -> None:
        self._name = name
        self._size = size
        self._timeout = timeout
        self._waiting: dict[int, _Waiting] = {}  # {position: its call}
        self._deadline = 0.0  # seconds; of those who wait
        self._epoch = 0  # how many times all have met
        self._failure: str | None = None  # why nobody can wait any more
        self._results: dict[int, tuple[RunningTask, TaskResult]] = {}  # {position: its result}

    # --- waiting for each other ---

    def call(self, task: RunningTask, call: BarrierCall, now: float) -> list[BarrierAnswer]:
        """A task has reached a barrier."""
        waiting = _Waiting(task, call)
        if self._failure is not None:
            return [_refuse(waiting, self._failure)]
        if task.position in self._waiting:
            return [_refuse(waiting, f"A task of {self._name} called {call.function}() while it waits already.")]
        if not self._waiting:
            self._deadline = now + self._timeout
        self._waiting[task.position] = waiting
        problem = self._problem()
        if problem is not None:
            return self.fail(problem)
        return self._release() if len(self._waiting) == self._size else []

    def expire(self, now: float) -> list[BarrierAnswer]:
        """Those who wait may have waited too long."""
        if not self._waiting or now < self._deadline:
            return []
        return self.fail(
            f"The coordinator didn't get all barrier sync requests for barrier epoch {self._epoch} from {self._name} "
            f"within {self._timeout:g} second(s)."
        )

    def fail(self, reason: str) -> list[BarrierAnswer]:
        """Nobody can wait any more, now or later."""
        self._failure = self._failure or reason
        refused = [_refuse(waiting, reason) for waiting in self._waiting.values()]
        self._waiting.clear()
        return refused

    def forget(self, task: RunningTask) -> None:
        """The task has ended: if a thread of it waits, its executor ends that wait."""
        self._waiting.pop(task.position, None)

    def _problem(self) -> str | None:
        functions = sorted({waiting.call.function for waiting in self._waiting.values()})
        if len(functions) > 1:
            return f"The tasks of {self._name} wait at different functions: {', '.join(functions)}."
        if self._results:
            return (
                f"A task of {self._name} waits in {functions[0]}(), but the task of position {min(self._results)} has "
                "ended without calling it."
            )
        if sum(len(waiting.call.message) for waiting in self._waiting.values()) > MAX_GATHERED:
            return f"The messages that the tasks of {self._name} gather have more than {MAX_GATHERED} characters."
        return None

    def _release(self) -> list[BarrierAnswer]:
        messages = tuple(self._waiting[position].call.message for position in sorted(self._waiting))
        released = [
            BarrierAnswer(task.executor_id, BarrierRelease(task.task_id, call.call_id, messages, None))
            for task, call in self._waiting.values()
        ]
        self._waiting.clear()
        self._epoch += 1
        return released

    # --- counting together ---

    def keep(self, task: RunningTask, result: TaskResult) -> list[BarrierAnswer]:
        """A task has succeeded. If others wait, it is in vain."""
        self._results[task.position] = (task, result)
        self.forget(task)
        problem = self._problem() if self._waiting else None
        return [] if problem is None else self.fail(problem)

    def take_results(self) -> list[tuple[RunningTask, TaskResult]]:
        """What was kept, and forget it."""
        results, self._results = list(self._results.values()), {}
        return results

    @property
    def is_complete(self) -> bool:
        """Whether the results of all tasks are there."""
        return len(self._results) == self._size

    def kept_from(self, executor_id: str) -> RunningTask | None:
        """A task whose result is kept and which ran on this executor, if any."""
        tasks = (task for task, _ in self._results.values())
        return next((task for task in tasks if task.executor_id == executor_id), None)


def _refuse(waiting: _Waiting, reason: str) -> BarrierAnswer:
    task, call = waiting
    return BarrierAnswer(task.executor_id, BarrierRelease(task.task_id, call.call_id, (), reason))
