"""Stragglers: tasks that run much longer than the others of their stage took, of which a copy is started elsewhere.

A plain state machine: no clock (``now`` in seconds is passed in). Covers when a task counts as one, and since when a
task runs: those queued behind others at their executor wait and do not count. What becomes of the copies is the task
set's business. Follows Spark's ``TaskSetManager.checkSpeculatableTasks``, without its look at records processed
(``spark.speculation.efficiency.*``), of which the driver knows nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from localcluster.scheduler.executor_slots import ExecutorSlots
from localcluster.scheduler.running_task import RunningTask
from localcluster.scheduler.task_set import TaskSet


class Speculation(NamedTuple):
    """The settings ``spark.speculation.*``. Times are in seconds; ``slots`` is how many tasks an executor runs."""

    quantile: float = 0.9
    multiplier: float = 3.0
    min_task_runtime: float = 0.1
    task_duration_threshold: float | None = None
    slots: int = 1

    def stragglers(self, executors: Iterable[ExecutorSlots], now: float) -> Iterator[tuple[TaskSet, RunningTask]]:
        """Tasks without a copy that run for too long."""
        thresholds: dict[int, float | None] = {}  # {stage key: seconds}
        for slots in executors:
            for task_set, task, started in _running(slots):
                if now - started <= self.min_task_runtime or not task_set.may_be_copied(task.position):
                    continue
                if task_set.key not in thresholds:
                    thresholds[task_set.key] = self._threshold(task_set.tasks, task_set.durations or ())
                threshold = thresholds[task_set.key]
                if threshold is not None and now - started > threshold:
                    yield task_set, task

    def _threshold(self, tasks: int, durations: Sequence[float]) -> float | None:
        """Seconds after which a task is a straggler; None: it cannot be told yet."""
        by_hand = self.task_duration_threshold
        if tasks == 1 and by_hand is None:
            return None
        if len(durations) >= max(int(self.quantile * tasks), 1):
            return max(self.multiplier * sorted(durations)[len(durations) // 2], self.min_task_runtime)
        if by_hand is not None and tasks <= self.slots:
            return max(by_hand, self.min_task_runtime)
        return None


def _running(slots: ExecutorSlots) -> Iterator[tuple[TaskSet, RunningTask, float]]:
    """The tasks that have a core, and since when: an executor takes them in the order of their launch.

    One that was told to end may have its core still. It is passed over all the same: what waits behind it and was not
    given back, as asked, by an executor that is stuck waits as long as if it ran.
    """
    cores = slots.cores
    for task_id, task_set in slots.tasks.items():
        task = task_set.running[task_id]
        if task.killed:
            continue
        if cores == 0:
            return
        cores -= 1
        # Of one that was queued: it cannot have begun before a task of the executor ended, and that was heard of then,
        # or later. So no task is taken for older than it is.
        if task.started is None:
            task.started = slots.heard_at
        yield task_set, task, task.started
