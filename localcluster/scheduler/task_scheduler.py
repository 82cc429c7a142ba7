"""Which task runs on which executor: task sets in order, executors with room, batches.

A plain state machine: no clock, no pipes; what is to be sent comes back as values. Covers FIFO and FAIR order, queueing ahead
for short tasks and recalling what was queued too far ahead. Does not know stages' dependencies (``dag_scheduler``). Follows
Spark's ``TaskSchedulerImpl`` and ``Pool``.

Short tasks are queued ahead at the executors, so that none waits for a message between two tasks: as many as
``QUEUE_SECONDS`` of work by the measured task time. Long or unmeasured tasks go one per core, which keeps the load even.
When the measure was wrong (an executor sits on queued tasks while another idles) ``recall`` takes them back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count
from typing import NamedTuple

from localcluster.scheduler.task_set import RunningTask, TaskSet
from protocol.cluster_messages import TaskDescription

QUEUE_SECONDS = 0.02  # of work kept queued at an executor
MAX_QUEUED = 512  # tasks


class Launch(NamedTuple):
    """Tasks of one stage attempt to be sent to one executor; ``first``: it has not seen this stage's binary yet."""

    executor_id: str
    task_set: TaskSet
    tasks: tuple[TaskDescription, ...]
    first: bool


@dataclass
class ExecutorSlots:
    """What the scheduler knows of one executor."""

    cores: int
    tasks: dict[int, TaskSet] = field(default_factory=dict)  # {task id: its set}, in launch order
    stages: set[int] = field(default_factory=set)  # keys of stage attempts whose binary it has
    idle_since: float = 0.0
    heard_at: float = 0.0  # last time a task of it ended


class LostTask(NamedTuple):
    task_set: TaskSet
    task: RunningTask
    blamed: bool
    """The executor's death counts against the task: it was certainly running, not merely queued."""


class TaskScheduler:
    def __init__(self, *, fair: bool = False, locality_wait: float = 3.0) -> None:
        self._fair = fair
        self._locality_wait = locality_wait
        self._task_ids = count()
        self._sets: dict[int, TaskSet] = {}  # {stage key: set}
        self.executors: dict[str, ExecutorSlots] = {}

    # --- executors ---

    def add_executor(self, executor_id: str, cores: int, now: float) -> None:
        self.executors[executor_id] = ExecutorSlots(cores, idle_since=now, heard_at=now)

    def remove_executor(self, executor_id: str) -> list[LostTask]:
        """Forget an executor and requeue its tasks."""
        slots = self.executors.pop(executor_id, None)
        if slots is None:
            return []
        certain = len(slots.tasks) <= slots.cores
        lost = []
        for task_id, task_set in slots.tasks.items():
            task_set.one_at_a_time = True
            task = task_set.failed(task_id, counts=certain)
            if task is not None:
                lost.append(LostTask(task_set, task, certain))
        return lost

    # --- task sets ---

    def submit(self, task_set: TaskSet) -> None:
        self._sets[task_set.key] = task_set

    def withdraw(self, task_set: TaskSet) -> list[RunningTask]:
        """Launch nothing more of a set. What runs is returned and its outcome is still accepted."""
        self._sets.pop(task_set.key, None)
        return list(task_set.running.values())

    def forget_stage(self, key: int) -> list[str]:
        """Executors that hold a stage attempt's binary and may now drop it."""
        holders = [executor_id for executor_id, slots in self.executors.items() if key in slots.stages]
        for executor_id in holders:
            self.executors[executor_id].stages.discard(key)
        return holders

    # --- outcomes: each returns the set the task belongs to, or None when the task is not known any more ---

    def task_ended(self, executor_id: str, task_id: int, now: float) -> TaskSet | None:
        slots = self.executors.get(executor_id)
        if slots is None:
            return None
        task_set = slots.tasks.pop(task_id, None)
        slots.heard_at = now
        if not slots.tasks:
            slots.idle_since = now
        return task_set

    # --- assignment ---

    def assign(self, now: float) -> list[Launch]:
        """Give waiting tasks to executors with room; call after every change."""
        launches: list[Launch] = []
        if not self.executors:
            return launches
        for task_set in self._ordered():
            if task_set.pending:
                self._assign_set(task_set, now, launches)
        return launches

    def next_deadline(self) -> float | None:
        """When `assign` should be called again although nothing happened (a locality wait ends)."""
        deadlines = [d for s in self._sets.values() if (d := s.wait_deadline(self._locality_wait)) is not None]
        return min(deadlines, default=None)

    def recall(self, now: float, patience: float) -> list[tuple[str, list[int]]]:
        """Tasks to take back from executors that have not reported for ``patience`` seconds while others idle."""
        if any(s.pending for s in self._sets.values()) or not any(not e.tasks for e in self.executors.values()):
            return []
        stuck = []
        for executor_id, slots in self.executors.items():
            if len(slots.tasks) > slots.cores and now - slots.heard_at >= patience:
                stuck.append((executor_id, list(slots.tasks)[slots.cores :]))
        return stuck

    def _assign_set(self, task_set: TaskSet, now: float, launches: list[Launch]) -> None:
        while task_set.pending:
            before = len(launches)
            self._share_out(task_set, now, launches)
            if len(launches) == before:
                return

    def _share_out(self, task_set: TaskSet, now: float, launches: list[Launch]) -> None:
        """One round: every executor with room gets an even share, so that the last tasks do not all go to one."""
        ahead = self._queue_ahead(task_set)
        # Refill when half of a queue is gone, in one batch; a core without a task is filled at once.
        roomy = [
            (len(slots.tasks), executor_id, slots)
            for executor_id, slots in self.executors.items()
            if len(slots.tasks) < slots.cores or len(slots.tasks) <= slots.cores + ahead // 2 - 1
        ]
        roomy.sort(key=lambda entry: entry[0])
        for remaining, (load, executor_id, slots) in zip(range(len(roomy), 0, -1), roomy, strict=True):
            share = -(-task_set.pending // remaining)
            batch = self._take(task_set, executor_id, slots, min(slots.cores + ahead - load, share), now)
            if batch:
                launches.append(Launch(executor_id, task_set, batch, task_set.key not in slots.stages))
                slots.stages.add(task_set.key)

    def _take(
        self, task_set: TaskSet, executor_id: str, slots: ExecutorSlots, limit: int, now: float
    ) -> tuple[TaskDescription, ...]:
        batch: list[TaskDescription] = []
        while len(batch) < limit:
            position = task_set.take(executor_id, self.executors, now, self._locality_wait)
            if position is None:
                break
            task_id = next(self._task_ids)
            attempt = task_set.next_attempt(position)
            task_set.launched(RunningTask(task_id, position, attempt, executor_id))
            slots.tasks[task_id] = task_set
            index = task_set.stage.partitions[position]
            batch.append(TaskDescription(task_id, index, attempt, task_set.encode(position)))
        if batch and len(slots.tasks) == len(batch):
            slots.heard_at = now  # it was idle: patience starts now
        return tuple(batch)

    def _queue_ahead(self, task_set: TaskSet) -> int:
        if task_set.one_at_a_time or task_set.mean_time is None:
            return 0
        return min(MAX_QUEUED, int(QUEUE_SECONDS / max(task_set.mean_time, 1e-6)))

    def _ordered(self) -> Iterable[TaskSet]:
        sets = sorted(self._sets.values(), key=lambda s: s.priority) if len(self._sets) > 1 else self._sets.values()
        if not self._fair or len(self._sets) < 2:
            return list(sets)
        running: dict[str, int] = {}
        for task_set in sets:
            running[task_set.pool] = running.get(task_set.pool, 0) + len(task_set.running)
        return sorted(sets, key=lambda s: (running[s.pool], s.pool))
