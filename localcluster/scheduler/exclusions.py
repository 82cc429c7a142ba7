"""Which executors get no tasks since too many failed there, and what becomes of tasks that may run nowhere.

A plain state machine: no clock (``now`` in seconds is passed in). Puts together what single task sets know
(``task_set_excludelist``) and what is known of executors (``health_tracker``). Follows Spark's ``TaskSchedulerImpl``:
for a task that may run nowhere an idle executor is ended, so that another one comes in its place; if none is idle, or
nothing has come of it in time, its stage is aborted.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from localcluster.scheduler.executor_slots import ExecutorSlots
from localcluster.scheduler.health_tracker import HealthTracker
from localcluster.scheduler.running_task import RunningTask
from localcluster.scheduler.task_set import TaskSet
from localcluster.scheduler.task_set_excludelist import ExcludeOnFailure, TaskSetExcludelist
from protocol.events import ExecutorExcluded, Recorder


class EndExecutor(NamedTuple):
    """End an executor by force; another one comes in its place."""

    executor_id: str
    reason: str


class Abort(NamedTuple):
    """A stage can go on nowhere."""

    task_set: TaskSet
    reason: str


class Exclusions:
    def __init__(self, settings: ExcludeOnFailure, record: Recorder) -> None:
        self._settings = settings
        self._record = record
        self._health = HealthTracker(settings)
        self._succeeded: list[TaskSet] = []  # whose failures are to be counted
        self._ending: dict[str, str] = {}  # {id of an executor that is about to be ended, or being ended: why}
        self._told: set[str] = set()  # those of which that was told
        self._deadlines: dict[int, float] = {}  # {stage key: seconds; when a set that may run nowhere is given up}

    def excludelist(self) -> TaskSetExcludelist:
        return TaskSetExcludelist(self._settings)

    def excludes(self, executor_id: str) -> bool:
        """From all stages."""
        return executor_id in self._health.excluded or executor_id in self._ending

    def ends(self, executor_id: str) -> bool:
        """Whether it is ended by us: none of its tasks is to blame."""
        return executor_id in self._ending

    def executor_lost(self, executor_id: str) -> None:
        self._health.forget(executor_id)
        self._ending.pop(executor_id, None)
        self._told.discard(executor_id)

    def task_failed(self, task_set: TaskSet, task: RunningTask, reason: str, now: float) -> bool:
        """Note a failure that counts. Whether the executor gets no more tasks of the set from now on."""
        assert task_set.excludelist is not None
        failures = task_set.excludelist.task_failed(task.executor_id, task.position, reason, now)
        if failures is None:
            return False
        self._record(ExecutorExcluded(time.time(), task.executor_id, task_set.stage.id, failures))
        return True

    def withdrawn(self, task_set: TaskSet) -> None:
        """An attempt launches nothing more."""
        self._deadlines.pop(task_set.key, None)
        if task_set.is_finished and task_set.excludelist is not None and task_set.excludelist.failures:
            self._succeeded.append(task_set)

    def update(self, executors: Mapping[str, ExecutorSlots], now: float) -> None:
        """Before tasks are given out."""
        self._health.expire(now)
        while self._succeeded:
            for executor_id, failures in self._health.task_set_succeeded(self._succeeded.pop(), executors, now):
                self._record(ExecutorExcluded(time.time(), executor_id, None, failures))
                if self._settings.kills:
                    self._ending[executor_id] = (
                        f"{failures} tasks failed there, and spark.excludeOnFailure.killExcludedExecutors is set"
                    )
        for executor_id, slots in executors.items():
            slots.excluded = self.excludes(executor_id)

    def judge(
        self, task_sets: Iterable[TaskSet], executors: Mapping[str, ExecutorSlots], launched: set[int], now: float
    ) -> tuple[list[EndExecutor], list[Abort]]:
        """What follows, after tasks were given out; ``launched`` has the keys of the sets that had some."""
        aborts = [abort for task_set in task_sets if (abort := self._judge(task_set, executors, launched, now))]
        ends = [EndExecutor(id, reason) for id, reason in self._ending.items() if id not in self._told]
        self._told.update(self._ending)
        return ends, aborts

    def _judge(
        self, task_set: TaskSet, executors: Mapping[str, ExecutorSlots], launched: set[int], now: float
    ) -> Abort | None:
        position = None
        if executors and task_set.key not in launched:
            position = task_set.stranded([id for id, slots in executors.items() if not slots.excluded])
        if position is None:
            self._deadlines.pop(task_set.key, None)
            return None
        if task_set.key not in self._deadlines:
            if not self._ending:  # else another executor is on its way
                idle = next((id for id, slots in executors.items() if not slots.tasks), None)
                if idle is None:
                    return _abort(task_set, position)
                self._ending[idle] = "a task may run on no executor that there is, since it failed there"
                executors[idle].excluded = True
            self._deadlines[task_set.key] = now + self._settings.unschedulable_timeout
        elif launched:  # as long as somebody gets on
            self._deadlines[task_set.key] = now + self._settings.unschedulable_timeout
        elif now >= self._deadlines[task_set.key]:
            return _abort(task_set, position)
        return None

    def check(self, keys: Iterable[int], executors: Iterable[str]) -> None:
        """Audit the invariants, given the keys of the sets that launch tasks. Raises AssertionError."""
        assert self._deadlines.keys() <= set(keys), "a set that ended is waited for"
        assert {*self._ending, *self._health.excluded} <= set(executors), "a dead executor is excluded"
        assert not self._succeeded, "failures were not counted"


def _abort(task_set: TaskSet, position: int) -> Abort:
    """Spark's wording."""
    stage, attempt = task_set.stage, task_set.attempt
    assert task_set.excludelist is not None
    return Abort(
        task_set,
        f"\nAborting TaskSet {stage.id}.{attempt} because task {position} (partition {stage.partitions[position]})\n"
        "cannot run anywhere due to node and executor excludeOnFailure.\nMost recent failure:\n"
        f"{task_set.excludelist.latest_reason}\n\n"
        "ExcludeOnFailure behavior can be configured via spark.excludeOnFailure.*.\n",
    )
