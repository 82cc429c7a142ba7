"""What runs where: task sets, the executors that get tasks, and what becomes of these.

A plain state machine: no clock, no pipes; what is to be sent comes back as values. Covers queueing ahead for short
tasks and recalling what was queued too far ahead. Does not know the order of task sets (``pools``), who of those with
room gets how many (``task_assignment``), nor stages' dependencies (``dag_scheduler``). Follows Spark's
``TaskSchedulerImpl``.

Short tasks are queued ahead at the executors, so that none waits for a message between two tasks: as many as
``QUEUE_SECONDS`` of work by the measured task time. Long or unmeasured tasks go one per core, which keeps the load
even. When the measure was wrong (an executor sits on queued tasks while another has a free core) ``recall`` takes them
back.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

from localcluster.scheduler.block_claims import BlockClaims
from localcluster.scheduler.exclusions import Abort, EndExecutor, Exclusions
from localcluster.scheduler.executor_slots import ExecutorSlots
from localcluster.scheduler.pools import SchedulingOrder, fifo
from localcluster.scheduler.running_task import RunningTask
from localcluster.scheduler.speculation import Speculation
from localcluster.scheduler.statistics import ExecutorTasks, TaskStatistics
from localcluster.scheduler.task_assignment import Launch, TaskAssignment
from localcluster.scheduler.task_set import TaskSet
from localcluster.scheduler.task_set_excludelist import ExcludeOnFailure
from protocol.events import Recorder, nobody
from storage.block_id import BlockId

QUEUE_SECONDS = 0.02  # of work kept queued at an executor
MAX_QUEUED = 512  # tasks


class LostTask(NamedTuple):
    task_set: TaskSet
    task: RunningTask
    ran: bool  # as far as is known: it was among the first of its executor's queue
    blamed: bool
    """The executor's death counts against the task: it was certainly running, not merely queued."""


class TaskScheduler:
    """``speculation``: None: stragglers are waited for. ``exclude_on_failure``: None: executors on which tasks fail get
    others all the same.
    """

    def __init__(
        self,
        *,
        order: SchedulingOrder = fifo,
        locality_wait: float = 3.0,
        speculation: Speculation | None = None,
        exclude_on_failure: ExcludeOnFailure | None = None,
        record: Recorder = nobody,
    ) -> None:
        self._order = order
        self._locality_wait = locality_wait  # seconds
        self._speculation = speculation
        self._exclusions = None if exclude_on_failure is None else Exclusions(exclude_on_failure, record)
        self._sets: dict[int, TaskSet] = {}  # {stage key: set}
        self._claims = BlockClaims()
        self._failed = self._returned = self._lost = 0  # tasks so far
        self.executors: dict[str, ExecutorSlots] = {}  # those that get tasks
        self._draining: dict[str, ExecutorSlots] = {}  # those that only finish what they have
        self._assignment = TaskAssignment(self.executors, self._claims, record)

    # --- executors ---

    def add_executor(self, executor_id: str, cores: int, now: float) -> None:
        self.executors[executor_id] = ExecutorSlots(cores, heard_at=now)

    def drain_executor(self, executor_id: str) -> list[int]:
        """Launch nothing more there. The tasks to take back from its queue; what runs there ends there."""
        slots = self.executors.pop(executor_id, None)
        if slots is None:
            return []
        self._draining[executor_id] = slots
        for task_set in self._sets.values():
            task_set.home_lost(executor_id)
        return list(slots.tasks)[slots.cores :]

    @property
    def drained(self) -> list[str]:
        """Draining executors without tasks."""
        return [executor_id for executor_id, slots in self._draining.items() if not slots.tasks]

    def slots_of(self, executor_id: str) -> ExecutorSlots | None:
        return self.executors.get(executor_id) or self._draining.get(executor_id)

    def remove_executor(self, executor_id: str) -> list[LostTask]:
        """Forget an executor and requeue its tasks."""
        slots = self.executors.pop(executor_id, None) or self._draining.pop(executor_id, None)
        if slots is None:
            return []
        self._lost += len(slots.tasks)
        # A queued task is innocent. So may be all but one that was told to stop, or of a withdrawn set.
        own = [task_set.key in self._sets and not task_set.running[id].killed for id, task_set in slots.tasks.items()]
        certain = len(slots.tasks) <= slots.cores and all(own)
        if self._exclusions is not None:
            certain = certain and not self._exclusions.ends(executor_id)
            self._exclusions.executor_lost(executor_id)
        lost = []
        for number, (task_id, task_set) in enumerate(slots.tasks.items()):
            self._claims.release(task_id)
            task = task_set.lost(task_id, ran=number < slots.cores, counts=certain)
            if task is not None:
                lost.append(LostTask(task_set, task, number < slots.cores, certain))
        for task_set in self._sets.values():
            task_set.home_lost(executor_id)
        return lost

    # --- task sets ---

    def submit(self, task_set: TaskSet) -> None:
        self._sets[task_set.key] = task_set
        if self._speculation is not None and task_set.barrier is None:
            task_set.durations = []
        if self._exclusions is not None and task_set.barrier is None:
            task_set.excludelist = self._exclusions.excludelist()

    def withdraw(self, task_set: TaskSet) -> list[str]:
        """Launch nothing more of a set; outcomes of what runs are still told. The executors that hold its binary."""
        self._sets.pop(task_set.key, None)
        if self._exclusions is not None:
            self._exclusions.withdrawn(task_set)
        known = {**self.executors, **self._draining}
        holders = [executor_id for executor_id, slots in known.items() if task_set.key in slots.stages]
        for executor_id in holders:
            known[executor_id].stages.discard(task_set.key)
        return holders

    # --- outcomes: each returns the set the task belongs to, or None when the task is not known any more ---

    def task_ended(self, executor_id: str, task_id: int, now: float, succeeded: bool) -> TaskSet | None:
        self._claims.release(task_id, succeeded)
        slots = self.executors.get(executor_id) or self._draining.get(executor_id)  # as `slots_of`, for each task
        task_set = slots.tasks.pop(task_id, None) if slots is not None else None
        if slots is not None and task_set is not None:
            slots.heard_at = now
            slots.stuck = False
            if not succeeded:
                self._failed += 1
                slots.failed += 1
        return task_set

    def task_returned(self, executor_id: str, task_id: int) -> TaskSet | None:
        """A task came back without having run, which does not show that its executor gets on."""
        self._claims.release(task_id)
        slots = self.slots_of(executor_id)
        task_set = slots.tasks.pop(task_id, None) if slots is not None else None
        if slots is not None and task_set is not None:
            self._returned += 1
            slots.returned += 1
        return task_set

    def task_killed(self, task_id: int) -> None:
        """A task was told to end. It may take its time; what it was to compute others may compute from now on."""
        self._claims.release(task_id)

    def block_stored(self, block_id: BlockId) -> bool:
        """A cached block was reported. Whether a task was kept back for it."""
        return self._claims.stored(block_id)

    def tasks_of(self, executor_id: str) -> ExecutorTasks:
        """What an executor runs, one per core, and what it did; nothing of one that is not known any more."""
        slots = self.slots_of(executor_id)
        if slots is None:
            return ExecutorTasks()
        first = islice(slots.tasks.items(), slots.cores)
        running = tuple(task_set.ref(task_set.running[task_id]) for task_id, task_set in first)
        return ExecutorTasks(running, slots.completed, slots.failed)

    def running_task(self, executor_id: str, task_id: int) -> tuple[TaskSet, RunningTask] | None:
        """A task that an executor has not reported the end of, and its set."""
        slots = self.slots_of(executor_id)
        task_set = slots.tasks.get(task_id) if slots is not None else None
        return None if task_set is None else (task_set, task_set.running[task_id])

    # --- executors where tasks fail ---

    def task_failed(self, task_set: TaskSet, task: RunningTask, reason: str, now: float) -> list[int]:
        """A failure counts against a task and its executor. What is to be taken back from the executor's queue."""
        if self._exclusions is None or task_set.excludelist is None or task_set.key not in self._sets:
            return []
        if not self._exclusions.task_failed(task_set, task, reason, now):
            return []
        slots = self.slots_of(task.executor_id)
        queued = [] if slots is None else list(slots.tasks.items())[slots.cores :]
        return [task_id for task_id, its_set in queued if its_set is task_set]

    def judge(self, launches: Sequence[Launch], now: float) -> tuple[list[EndExecutor], list[Abort]]:
        """What follows from executors where tasks failed, after `assign` has launched these."""
        if self._exclusions is None:
            return [], []
        launched = {launch.task_set.key for launch in launches}
        return self._exclusions.judge(list(self._sets.values()), self.executors, launched, now)

    def exclusions_of(self, executor_id: str) -> tuple[bool, tuple[int, ...]]:
        """Whether an executor gets no tasks at all, and the ids of the stages of which it gets none."""
        of_stages = (
            s for s in self._sets.values() if s.excludelist is not None and executor_id in s.excludelist.executors
        )
        excluded = self._exclusions is not None and self._exclusions.excludes(executor_id)
        return excluded, tuple(task_set.stage.id for task_set in of_stages)

    # --- stragglers ---

    def speculate(self, now: float) -> list[tuple[TaskSet, RunningTask]]:
        """Have a copy made of each straggler, as soon as another executor has a free core. Those stragglers."""
        if self._speculation is None:
            return []
        slots = [*self.executors.values(), *self._draining.values()]
        found = [each for each in self._speculation.stragglers(slots, now) if each[0].key in self._sets]
        for task_set, task in found:
            task_set.copies_wanted[task.position] = task.executor_id
        return found

    # --- assignment ---

    def assign(self, now: float) -> list[Launch]:
        """Give waiting tasks to executors with room; call after every change."""
        launches: list[Launch] = []
        if self._exclusions is not None:
            self._exclusions.update(self.executors, now)
        if self.executors:
            careful = any(task_set.one_at_a_time for task_set in self._sets.values())
            for task_set in self._order(self._sets.values()):
                if task_set.pending and task_set.barrier is not None:
                    if task_set.pending > self._free_cores():
                        break  # those behind it must not take the cores that it waits for
                    for wait in (math.inf, 0.0):  # first those that find their home free
                        self._assignment.assign_set(task_set, 0, wait, now, launches)
                elif task_set.pending:
                    ahead = 0 if careful else _queue_ahead(task_set)
                    self._assignment.assign_set(task_set, ahead, self._locality_wait, now, launches)
                if task_set.copies_wanted:
                    self._assignment.assign_copies(task_set, now, launches)
        return launches

    def take_unsendable(self) -> list[tuple[TaskSet, Exception]]:
        """Task sets that `assign` gave up, since a partition of them cannot be pickled."""
        unsendable, self._assignment.unsendable = self._assignment.unsendable, []
        return unsendable

    def recall(self, now: float, patience: float) -> list[tuple[str, list[int]]]:
        """Tasks to take back from executors that ended none for ``patience`` seconds while others have a free core."""
        # With exclusions, what is pending still is what may not run where a core is free.
        if self._exclusions is None and any(s.pending and s.barrier is None for s in self._sets.values()):
            return []
        if all(slots.excluded or len(slots.tasks) >= slots.cores for slots in self.executors.values()):
            return []
        recalled = []
        for executor_id, slots in self.executors.items():
            if not slots.stuck and len(slots.tasks) > slots.cores and now - slots.heard_at >= patience:
                slots.stuck = True
                recalled.append((executor_id, list(slots.tasks)[slots.cores :]))
        return recalled

    @property
    def slots(self) -> int:
        """Tasks that may run at once on the executors that get any."""
        return sum(slots.cores for slots in self.executors.values() if not slots.excluded)

    def _free_cores(self) -> int:
        return sum(max(0, slots.cores - len(slots.tasks)) for slots in self.executors.values() if not slots.excluded)

    # --- audit ---

    def statistics(self) -> TaskStatistics:
        slots = [*self.executors.values(), *self._draining.values()]
        at_executors = sum(len(s.tasks) for s in slots)
        others = at_executors + self._failed + self._returned + self._lost
        return TaskStatistics(
            pending=sum(task_set.pending for task_set in self._sets.values()),
            at_executors=at_executors,
            launched=self._assignment.launched,
            finished=self._assignment.launched - others,  # not counted one by one, which would take time
            failed=self._failed,
            returned=self._returned,
            lost=self._lost,
            task_sets=len(self._sets),
            binaries=sum(len(s.stages) for s in slots),
        )

    def check(self) -> None:
        """Audit the invariants. Raises AssertionError."""
        known = {**self.executors, **self._draining}
        assert len(known) == len(self.executors) + len(self._draining), "an executor drains and gets tasks"
        self._claims.check({task_id for slots in known.values() for task_id in slots.tasks})
        for task_set in self._sets.values():
            task_set.check()
            for task in task_set.running.values():
                assert known[task.executor_id].tasks[task.task_id] is task_set, "a task is where it is not known"
        if self._exclusions is not None:
            self._exclusions.check(self._sets, known)
        for executor_id, slots in known.items():
            assert slots.stages <= self._sets.keys(), "an executor keeps the binary of a stage that ended"
            for task_id, task_set in slots.tasks.items():
                assert task_set.running[task_id].executor_id == executor_id, "a task is known where it is not"
        assert not self._assignment.unsendable, "a set that was given up was not taken"
        assert self.statistics().finished >= 0, "more has become of tasks than were launched"


def _queue_ahead(task_set: TaskSet) -> int:
    """How many tasks beyond one per core an executor may have."""
    if task_set.mean_time is None:
        return 0
    return min(MAX_QUEUED, int(QUEUE_SECONDS / max(task_set.mean_time, 1e-6)))
