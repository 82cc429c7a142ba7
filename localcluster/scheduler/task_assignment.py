"""Tasks of one set to executors with room: shares, batches, and the block that one task computes for all.

Covers one task set at a time. Which set comes next, and how far ahead its tasks are queued, is ``task_scheduler``'s.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from itertools import count
from operator import itemgetter
from typing import NamedTuple

from localcluster.scheduler.block_claims import BlockClaims
from localcluster.scheduler.executor_slots import ExecutorSlots
from localcluster.scheduler.task_set import TaskSet
from protocol.cluster_messages import TaskDescription
from protocol.events import Recorder, TasksLaunched

_load = itemgetter(0)


class Launch(NamedTuple):
    """Tasks of one stage attempt to be sent to one executor; ``first``: it has not seen this stage's binary yet."""

    executor_id: str
    task_set: TaskSet
    tasks: tuple[TaskDescription, ...]
    first: bool


class TaskAssignment:
    """``executors`` and ``claims`` are the scheduler's own, and change meanwhile."""

    def __init__(self, executors: Mapping[str, ExecutorSlots], claims: BlockClaims, record: Recorder) -> None:
        self._executors = executors
        self._claims = claims
        self._record = record
        self._task_ids = count()
        self.launched = 0  # tasks so far
        self.unsendable: list[tuple[TaskSet, Exception]] = []  # sets that were given up: a partition cannot be pickled

    def assign_set(self, task_set: TaskSet, ahead: int, wait: float, now: float, launches: list[Launch]) -> None:
        """Rounds, until nobody takes any more: an executor's share may have been left by one that must not have it."""
        launched = -1
        while task_set.pending and len(launches) != launched:
            launched = len(launches)
            self._share_out(task_set, ahead, wait, now, launches)

    def _share_out(self, task_set: TaskSet, ahead: int, wait: float, now: float, launches: list[Launch]) -> None:
        """One round: fill executors with room to the same level, so that the last tasks do not all go to one."""
        # Refill when half of a queue is gone, in one batch; a core without a task is filled at once.
        roomy = [
            (len(slots.tasks), executor_id, slots)
            for executor_id, slots in self._executors.items()
            if (len(slots.tasks) < slots.cores or (len(slots.tasks) < slots.cores + ahead // 2 and not slots.stuck))
            and not slots.excluded
        ]
        roomy.sort(key=_load)
        loads = sum(map(_load, roomy))
        for remaining, (load, executor_id, slots) in zip(range(len(roomy), 0, -1), roomy, strict=True):
            level = -(-(task_set.pending + loads) // remaining)
            loads -= load
            limit = min(slots.cores + ahead, level) - load
            batch = self._take(task_set, executor_id, slots, limit, wait, now)
            if batch:
                launches.append(self._launch(task_set, executor_id, slots, batch, now))

    def assign_copies(self, task_set: TaskSet, now: float, launches: list[Launch]) -> None:
        """Copies of stragglers take cores that nothing else of their set wants; they are not queued."""
        for executor_id, slots in self._executors.items():
            limit = 0 if slots.excluded else slots.cores - len(slots.tasks)
            batch = self._take(task_set, executor_id, slots, limit, 0.0, now, copies=True)
            if batch:
                launches.append(self._launch(task_set, executor_id, slots, batch, now, copies=True))

    def _launch(
        self,
        task_set: TaskSet,
        executor_id: str,
        slots: ExecutorSlots,
        batch: Sequence[TaskDescription],
        now: float,
        copies: bool = False,
    ) -> Launch:
        is_first = task_set.key not in slots.stages
        slots.stages.add(task_set.key)
        slots.heard_at = now  # patience starts anew
        self._record(_launched(task_set, executor_id, batch, copies))
        return Launch(executor_id, task_set, tuple(batch), is_first)

    def _take(
        self,
        task_set: TaskSet,
        executor_id: str,
        slots: ExecutorSlots,
        limit: int,
        wait: float,
        now: float,
        copies: bool = False,
    ) -> list[TaskDescription]:
        batch: list[TaskDescription] = []
        while len(batch) < limit:
            position = task_set.take_copy(executor_id) if copies else task_set.take(executor_id, now, wait)
            if position is None:
                break
            missing = task_set.missing(position) if task_set.missing is not None else ()
            can_wait = not copies and task_set.barrier is None
            if missing and can_wait and self._claims.park(task_set, position, missing):
                continue
            try:
                partition = task_set.stage.inputs.encode(position)
            except Exception as error:  # nested too deeply, say
                task_set.stop_launching()
                self.unsendable.append((task_set, error))
                break
            task_id = next(self._task_ids)
            started = now if len(slots.tasks) < slots.cores else None
            attempt = task_set.launched(task_id, position, executor_id, started)
            slots.tasks[task_id] = task_set
            if missing:
                self._claims.claim(task_id, task_set, missing)
            batch.append(TaskDescription(task_id, task_set.stage.partitions[position], attempt, partition))
        self.launched += len(batch)
        slots.launched += len(batch)
        return batch


def _launched(
    task_set: TaskSet, executor_id: str, batch: Sequence[TaskDescription], speculative: bool
) -> TasksLaunched:
    tasks = tuple([(task.partition_index, task.attempt) for task in batch])
    return TasksLaunched(time.time(), executor_id, task_set.stage.id, task_set.attempt, tasks, speculative)
