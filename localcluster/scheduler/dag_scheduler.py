"""Jobs, stages and what follows from each task's end: the heart of the driver.

A plain state machine: events in (`submit`, `tasks_finished`, `task_failed`, `executor_lost`, …), instructions out (`take`).
No pipes, no clock, no lock of its own: the driver calls it under its lock and performs the instructions. Covers stage order,
retries, stage resubmission after lost map outputs, cancellation. Does not place tasks (``task_scheduler``), does not run
them. Follows Spark's ``DAGScheduler``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import count
from typing import NamedTuple, TypeAlias

from localcluster.scheduler.map_output_tracker import MapOutputTracker, MapStatus
from localcluster.scheduler.stage import Job, JobEnd, Stage, TaskOutcome
from localcluster.scheduler.task_scheduler import Launch, TaskScheduler
from localcluster.scheduler.task_set import RunningTask, TaskSet
from protocol.cluster_messages import TaskFailed, TaskResult
from protocol.errors import JobCancelledError, JobError
from protocol.locations import SharedLocation

log = logging.getLogger(__name__)


class Kill(NamedTuple):
    executor_id: str
    task_id: int
    reason: str


class Recall(NamedTuple):
    executor_id: str
    task_ids: tuple[int, ...]


class DropStage(NamedTuple):
    executor_id: str
    stage_key: int


class Discard(NamedTuple):
    """A task's output that nobody waits for: its shared blocks are to be freed. ``shuffle_id`` is None for a result."""

    executor_id: str
    task_id: int
    shuffle_id: int | None
    blocks: tuple[SharedLocation | None, ...]


class OutputReady(NamedTuple):
    """A map output that the block master is to know of, so that it survives its executor."""

    shuffle_id: int
    map_index: int
    status: MapStatus


Instruction: TypeAlias = Launch | Kill | Recall | DropStage | Discard | OutputReady
Preferences: TypeAlias = Callable[[Stage, Sequence[int]], Mapping[int, Sequence[str]]]
TaskFailure: TypeAlias = Callable[[Stage, RunningTask, TaskFailed, int], BaseException]


class DAGScheduler:
    """``preferences`` tells where a stage's positions would like to run; ``describe_failure`` makes the error a job ends with."""

    def __init__(
        self,
        tasks: TaskScheduler,
        outputs: MapOutputTracker,
        *,
        encode: Callable[[Stage, int], bytes],
        preferences: Preferences,
        describe_failure: TaskFailure,
        max_task_failures: int = 4,
        max_stage_attempts: int = 4,
    ) -> None:
        self._tasks = tasks
        self._outputs = outputs
        self._encode = encode
        self._preferences = preferences
        self._describe_failure = describe_failure
        self._max_task_failures = max_task_failures
        self._max_stage_attempts = max_stage_attempts
        self._stage_keys = count()
        self._jobs: dict[int, Job] = {}
        self._map_stages: dict[int, Stage] = {}  # {shuffle id: stage that some active job may need}
        self._running: dict[Stage, TaskSet] = {}
        self._waiting: dict[Stage, None] = {}  # stages that wait for a parent, in order
        self._outbox: list[Instruction] = []

    def take(self, now: float) -> list[Instruction]:
        """What is to be sent, in order."""
        self._outbox.extend(self._tasks.assign(now))
        instructions, self._outbox = self._outbox, []
        return instructions

    @property
    def jobs(self) -> Mapping[int, Job]:
        return self._jobs

    @property
    def running_stages(self) -> Mapping[Stage, TaskSet]:
        return self._running

    # --- jobs ---

    def submit(self, job: Job, now: float) -> None:
        self._jobs[job.id] = job
        for shuffle_id, planned in job.map_stages.items():
            self._outputs.register_shuffle(shuffle_id, len(planned.partitions))
            self._map_stages.setdefault(shuffle_id, planned).jobs.add(job)
        job.final_stage.jobs.add(job)
        if not job.final_stage.partitions:
            self._end_job(job, None)
            return
        self._submit_stage(job.final_stage, now)

    def cancel(self, job_id: int, reason: str) -> None:
        job = self._jobs.get(job_id)
        if job is not None:
            self._end_job(job, JobCancelledError(f"Job {job_id} cancelled {reason}".rstrip()))

    def fail_all(self, error: BaseException) -> None:
        """The cluster is gone or stopping: end every job."""
        for job in list(self._jobs.values()):
            self._end_job(job, error)

    # --- task events ---

    def tasks_finished(self, executor_id: str, results: Iterable[TaskResult], now: float) -> None:
        delivered: dict[Job, list[TaskOutcome]] = {}
        for result in results:
            task_set = self._tasks.task_ended(executor_id, result.task_id, now)
            task = task_set.succeeded(result.task_id, result.run_time) if task_set is not None else None
            if task_set is None or task is None:
                self._discard(executor_id, result, task_set.stage if task_set is not None else None)
                continue
            self._task_succeeded(task_set, task, result, delivered, now)
        for job, outcomes in delivered.items():
            job.events.put(outcomes)
            if len(job.final_stage.done) == len(job.final_stage.partitions):
                self._end_job(job, None)

    def task_failed(self, executor_id: str, failure: TaskFailed, now: float) -> None:
        task_set = self._tasks.task_ended(executor_id, failure.task_id, now)
        if task_set is None:
            return
        if failure.kind == "fetch":
            task_set.failed(failure.task_id, counts=False)
            self._fetch_failed(task_set, failure, now)
            return
        task = task_set.failed(failure.task_id, counts=True)
        if task is None:
            return
        stage = task_set.stage
        stage.failed_tasks += 1
        if stage not in self._running:
            return
        if failure.kind == "fatal" or task_set.exhausted(task.position):
            self._abort_stage(stage, self._describe_failure(stage, task, failure, task_set.failures[task.position]))

    def task_given_back(self, executor_id: str, task_ids: Iterable[int], now: float) -> None:
        """Tasks that were recalled or killed before they ran: back in the queue, no blame."""
        for task_id in task_ids:
            task_set = self._tasks.task_ended(executor_id, task_id, now)
            if task_set is not None:
                task_set.failed(task_id, counts=False)

    # --- executor events ---

    def executor_added(self, executor_id: str, cores: int, now: float) -> None:
        self._tasks.add_executor(executor_id, cores, now)

    def executor_lost(self, executor_id: str, reason: str, now: float) -> None:
        """Requeue what ran there. Map outputs in shared memory or files survive; heap ones do not exist."""
        for lost in self._tasks.remove_executor(executor_id):
            stage = lost.task_set.stage
            stage.failed_tasks += lost.blamed
            if lost.blamed and stage in self._running and lost.task_set.exhausted(lost.task.position):
                failure = TaskFailed(lost.task.task_id, None, "executor_lost", f"ExecutorLostFailure ({reason})")
                failures = lost.task_set.failures[lost.task.position]
                self._abort_stage(stage, self._describe_failure(stage, lost.task, failure, failures))

    def output_lost(self, shuffle_id: int, map_index: int) -> None:
        """A map output was found missing outside a task (fault injection, a lost segment)."""
        self._outputs.lose_output(shuffle_id, map_index)

    def recall(self, now: float, patience: float) -> None:
        for executor_id, task_ids in self._tasks.recall(now, patience):
            self._outbox.append(Recall(executor_id, tuple(task_ids)))

    # --- stages ---

    def _submit_stage(self, stage: Stage, now: float) -> None:
        if stage in self._running or stage in self._waiting:
            return
        missing = [self._map_stages[s] for s in stage.parent_shuffles if not self._outputs.is_complete(s)]
        if not missing:
            self._start(stage, now)
            return
        self._waiting[stage] = None
        for parent in missing:
            self._submit_stage(parent, now)

    def _start(self, stage: Stage, now: float) -> None:
        positions = self._open_positions(stage)
        stage.attempt += 1
        job = min(stage.jobs, key=lambda j: j.id)
        task_set = TaskSet(
            key=next(self._stage_keys),
            stage=stage,
            positions=positions,
            encode=lambda position: self._encode(stage, position),
            preferred=self._preferences(stage, positions),
            priority=(job.id, stage.id),
            pool=job.properties.get("spark.scheduler.pool", "default"),
            max_failures=self._max_task_failures,
            created=now,
        )
        self._running[stage] = task_set
        self._tasks.submit(task_set)

    def _open_positions(self, stage: Stage) -> list[int]:
        if stage.shuffle is not None:
            return self._outputs.missing(stage.shuffle.shuffle_id)
        return [position for position in range(len(stage.partitions)) if position not in stage.done]

    def _task_succeeded(
        self,
        task_set: TaskSet,
        task: RunningTask,
        result: TaskResult,
        delivered: dict[Job, list[TaskOutcome]],
        now: float,
    ) -> None:
        stage = task_set.stage
        if stage.shuffle is not None:
            self._output_written(stage, task, result, delivered)
        else:
            job = next(iter(stage.jobs), None)
            if job is None or task.position in stage.done:
                self._discard(task.executor_id, result, stage)
                return
            stage.done.add(task.position)
            outcome = TaskOutcome(task.position, task.task_id, result.result, result.updates)
            delivered.setdefault(job, []).append(outcome)
        if task_set.is_finished and self._running.get(stage) is task_set:
            self._stage_finished(stage, task_set, now)

    def _output_written(
        self, stage: Stage, task: RunningTask, result: TaskResult, delivered: dict[Job, list[TaskOutcome]]
    ) -> None:
        assert stage.shuffle is not None
        assert isinstance(result.result, tuple)
        status = MapStatus(task.executor_id, result.task_id, result.result)
        map_index = stage.partitions[task.position]
        if not self._outputs.register_output(stage.shuffle.shuffle_id, map_index, status):
            self._discard(task.executor_id, result, stage)
            return
        self._outbox.append(OutputReady(stage.shuffle.shuffle_id, map_index, status))
        if result.updates is not None and stage.jobs:
            job = min(stage.jobs, key=lambda j: j.id)
            delivered.setdefault(job, []).append(TaskOutcome(None, task.task_id, None, result.updates))

    def _stage_finished(self, stage: Stage, task_set: TaskSet, now: float) -> None:
        self._retire(stage)
        if stage.shuffle is None:
            return
        if not self._outputs.is_complete(stage.shuffle.shuffle_id):  # an output was lost while the others were computed
            self._submit_stage(stage, now)
            return
        stage.fetch_failures = 0
        self._wake_waiting(now)

    def _wake_waiting(self, now: float) -> None:
        for stage in list(self._waiting):
            if all(self._outputs.is_complete(s) for s in stage.parent_shuffles):
                del self._waiting[stage]
                self._start(stage, now)

    def _fetch_failed(self, task_set: TaskSet, failure: TaskFailed, now: float) -> None:
        """A reducer could not read a map output: compute it again, then the rest of this stage."""
        stage = task_set.stage
        assert failure.fetch is not None
        self._outputs.lose_output(*failure.fetch)
        if self._running.get(stage) is not task_set:
            return  # another task of the same attempt reported first
        stage.fetch_failures += 1
        if stage.fetch_failures >= self._max_stage_attempts:
            text = f"{stage.name} (stage {stage.id}) has failed the maximum allowable number of times: {stage.fetch_failures}"
            self._abort_stage(stage, JobError(f"Job aborted due to stage failure: {text}. {failure.text}"))
            return
        log.info("stage %d lost an input (%s); computing it again", stage.id, failure.text)
        self._retire(stage)
        self._submit_stage(stage, now)

    def _retire(self, stage: Stage) -> None:
        """The stage's current attempt launches nothing more."""
        task_set = self._running.pop(stage)
        self._tasks.withdraw(task_set)
        for executor_id in self._tasks.forget_stage(task_set.key):
            self._outbox.append(DropStage(executor_id, task_set.key))

    def _abort_stage(self, stage: Stage, error: BaseException) -> None:
        for job in list(stage.jobs):
            self._end_job(job, error)

    def _end_job(self, job: Job, error: BaseException | None) -> None:
        if self._jobs.pop(job.id, None) is None:
            return
        for stage in [*job.map_stages.values(), job.final_stage]:
            canonical = stage if stage.shuffle is None else self._map_stages.get(stage.shuffle.shuffle_id)
            if canonical is not None:
                self._leave(canonical, job, error)
        job.ended = True
        job.events.put(JobEnd(error))

    def _leave(self, stage: Stage, job: Job, error: BaseException | None) -> None:
        """A job does not need the stage any more; the last one to leave ends it."""
        stage.jobs.discard(job)
        if stage.jobs:
            return
        self._waiting.pop(stage, None)
        task_set = self._running.get(stage)
        if task_set is not None:
            reason = "job ended" if error is None else str(error)
            kills = [Kill(task.executor_id, task.task_id, reason) for task in task_set.running.values()]
            self._outbox.extend(kills)
            self._retire(stage)
        if stage.shuffle is not None and self._map_stages.get(stage.shuffle.shuffle_id) is stage:
            del self._map_stages[stage.shuffle.shuffle_id]

    def _discard(self, executor_id: str, result: TaskResult, stage: Stage | None) -> None:
        if isinstance(result.result, bytes):
            return
        if isinstance(result.result, tuple):
            shuffle_id = stage.shuffle.shuffle_id if stage is not None and stage.shuffle is not None else None
            self._outbox.append(Discard(executor_id, result.task_id, shuffle_id, result.result))
        else:
            self._outbox.append(Discard(executor_id, result.task_id, None, (result.result,)))
