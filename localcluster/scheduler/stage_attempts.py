"""Attempts of stages: the current one, which launches tasks, and retired ones, whose tasks may still finish.

Covers making an attempt's task set, and what executors must be told when it ends. Does not decide when an attempt
starts or ends (``dag_scheduler``).
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import count

from localcluster.scheduler.barrier_attempt import BarrierAttempt
from localcluster.scheduler.instruction import DropStage, Instruction, Kill, Recall, discards
from localcluster.scheduler.job_history import JobHistory
from localcluster.scheduler.limits import Limits
from localcluster.scheduler.pools import DEFAULT_POOL, POOL_PROPERTY
from localcluster.scheduler.running_task import RunningTask
from localcluster.scheduler.stage import Stage
from localcluster.scheduler.task_scheduler import TaskScheduler
from localcluster.scheduler.task_set import TaskSet
from protocol.events import Recorder, StageResubmitted, TaskDiscarded, TaskKilled, nobody


class StageAttempts:
    def __init__(self, tasks: TaskScheduler, history: JobHistory, limits: Limits, record: Recorder = nobody) -> None:
        self._tasks = tasks
        self._history = history
        self._limits = limits
        self._record = record
        self._keys = count()
        self._current: dict[Stage, TaskSet] = {}
        self._retired: dict[Stage, list[TaskSet]] = {}  # earlier attempts that may still have tasks

    @property
    def current(self) -> Mapping[Stage, TaskSet]:
        return self._current

    @property
    def retired(self) -> Mapping[Stage, list[TaskSet]]:
        return self._retired

    def is_current(self, task_set: TaskSet) -> bool:
        return self._current.get(task_set.stage) is task_set

    def start(self, stage: Stage, positions: Sequence[int], now: float) -> None:
        """Run these positions of a stage; its oldest job says in which pool."""
        stage.attempt += 1
        if stage.attempt > 0 or stage.setback:
            self._record(_resubmitted(stage, positions))
        job = min(stage.jobs, key=lambda j: j.id)
        task_set = TaskSet(
            key=next(self._keys),
            stage=stage,
            positions=positions,
            preferred=stage.inputs.preferences(positions),
            alive=self._tasks.executors,
            priority=(job.id, stage.id),
            pool=job.properties.get(POOL_PROPERTY, DEFAULT_POOL),
            properties=job.properties,
            max_failures=self._limits.task_failures,
            max_losses=self._limits.task_losses,
            created=now,
            barrier=self._barrier(stage, len(positions)),
            missing=stage.inputs.missing_blocks(),
        )
        self._current[stage] = task_set
        self._history.attempt_started(task_set)
        self._tasks.submit(task_set)

    def _barrier(self, stage: Stage, tasks: int) -> BarrierAttempt | None:
        if not stage.is_barrier:
            return None
        return BarrierAttempt(f"Stage {stage.id} (Attempt {stage.attempt})", tasks, self._limits.barrier_timeout)

    def retire(self, stage: Stage) -> list[Instruction]:
        """The current attempt launches nothing more. Tasks that run may finish; those still queued come back, since
        they would find the stage's binary dropped. Tasks of a barrier stage are killed: they wait for each other.
        """
        if self._current[stage].barrier is not None:
            return self.kill(stage, "the other tasks of its barrier stage are over")
        task_set = self._current.pop(stage)
        self._history.attempt_ended(task_set)
        by_executor: dict[str, list[int]] = {}
        for task in task_set.running.values():
            by_executor.setdefault(task.executor_id, []).append(task.task_id)
        retired = [old for old in (*self._retired.pop(stage, ()), task_set) if old.running]
        if retired:
            self._retired[stage] = retired
        return [*(Recall(executor_id, tuple(ids)) for executor_id, ids in by_executor.items()), *self._drop(task_set)]

    def kill(self, stage: Stage, reason: str) -> list[Instruction]:
        """Nobody waits for the stage's tasks any more, of whatever attempt. What a barrier attempt kept back goes."""
        task_sets = self._retired.pop(stage, [])
        current = self._current.pop(stage, None)
        if current is not None:
            self._history.attempt_ended(current)
            task_sets.append(current)
        kills: list[Instruction] = []
        unused: list[Instruction] = []
        answers: list[Instruction] = []
        for task_set in task_sets:
            kills += self._kill(task_set, task_set.running.values(), reason)
            if task_set.barrier is not None:
                for task, result in task_set.barrier.take_results():
                    self._record(TaskDiscarded(time.time(), task_set.ref(task), task.executor_id))
                    unused += discards(task.executor_id, result, stage)
                answers += task_set.barrier.fail(reason)
        # The answers behind the kills, which explain.
        return [*unused, *kills, *answers, *(self._drop(current) if current is not None else ())]

    def kill_copies(self, task_set: TaskSet, position: int) -> list[Kill]:
        """A position is done: the other task that computes it, if there is one, does so in vain."""
        return self._kill(task_set, task_set.rivals(position), "another attempt succeeded")

    def _kill(self, task_set: TaskSet, tasks: Iterable[RunningTask], reason: str) -> list[Kill]:
        kills = []
        for task in tasks:
            if not task.killed:
                task.killed = True
                self._tasks.task_killed(task.task_id)
                self._record(TaskKilled(time.time(), task_set.ref(task), task.executor_id, reason))
                kills.append(Kill(task.executor_id, task.task_id, reason))
        return kills

    def _drop(self, task_set: TaskSet) -> list[DropStage]:
        return [DropStage(executor_id, task_set.key) for executor_id in self._tasks.withdraw(task_set)]

    def check(self) -> None:
        """Audit the invariants. Raises AssertionError."""
        for stage, task_set in self._current.items():
            assert task_set.stage is stage
            assert not task_set.is_finished, f"{stage} is finished and runs"
        for stage, task_sets in self._retired.items():
            assert all(task_set.stage is stage for task_set in task_sets)


def _resubmitted(stage: Stage, positions: Sequence[int]) -> StageResubmitted:
    reason, stage.setback = stage.setback, ""
    partitions = tuple([stage.partitions[position] for position in positions])
    return StageResubmitted(time.time(), stage.id, stage.attempt, reason, partitions)
