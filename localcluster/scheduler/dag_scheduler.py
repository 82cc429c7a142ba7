"""Jobs, stages and what follows from each task's end: the heart of the driver.

A plain state machine: events in (`submit`, `tasks_finished`, `task_failed`, `executor_lost`, …), instructions out
(`take`). No pipes, no clock, no lock of its own: the driver calls it under its lock and performs the instructions.
Covers jobs, and the results of tasks; what the failure of a task means is ``stage_failures``'. Does not know the order
of stages (``stages``), does not place tasks (``task_scheduler``) or run them. Follows Spark's ``DAGScheduler``.

After a fetch failure the attempt of a stage is retired and the stage runs again; tasks of retired attempts that still
run are welcome to finish: whichever attempt delivers a position first counts.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence

from localcluster.scheduler.barrier_slots import BarrierSlotChecks
from localcluster.scheduler.instruction import Instruction, Kill, OutputReady, Recall, discards, discards_of
from localcluster.scheduler.job_history import JobHistory
from localcluster.scheduler.job_results import JobResults, deliver
from localcluster.scheduler.limits import Limits
from localcluster.scheduler.map_output_tracker import MapOutputTracker
from localcluster.scheduler.running_task import RunningTask
from localcluster.scheduler.stage import Job, JobEnd, Stage
from localcluster.scheduler.stage_failures import ABORTED, LOST, StageFailures, TaskFailure
from localcluster.scheduler.stages import Stages
from localcluster.scheduler.statistics import DAGStatistics, ExecutorTasks, JobStatistics
from localcluster.scheduler.task_assignment import Launch
from localcluster.scheduler.task_scheduler import TaskScheduler
from localcluster.scheduler.task_set import TaskSet
from localcluster.shuffle.map_status import MapStatus
from protocol.cluster_messages import BarrierCall, TaskFailed, TaskResult
from protocol.errors import JobCancelledError, JobError, SerializationError
from protocol.events import Recorder, TaskDiscarded, TaskSpeculated, nobody
from protocol.task_output import MapOutput
from storage.block_id import BlockId

log = logging.getLogger(__name__)


class DAGScheduler:
    """Says which stage runs when, and what follows from the ends of tasks.

    ``describe_failure`` makes the error that a job ends with, but for its cause (`JobEnd.cause`).
    """

    def __init__(
        self,
        tasks: TaskScheduler,
        outputs: MapOutputTracker,
        *,
        describe_failure: TaskFailure,
        limits: Limits,
        history: JobHistory | None = None,
        record: Recorder = nobody,
    ) -> None:
        self._tasks = tasks
        self._outputs = outputs
        self._record = record
        self._limits = limits
        self._jobs: dict[int, Job] = {}
        self.history = history or JobHistory()
        self._stages = Stages(tasks, outputs, self.history, limits, record)
        failed = self._stages, outputs, limits, describe_failure
        self._failures = StageFailures(*failed, self._abort_stage, record)
        self._results = JobResults(limits.result_size)
        self._barrier_slots = BarrierSlotChecks(limits.barrier_check_interval, limits.barrier_check_failures)
        self._outbox: list[Instruction] = []

    def take(self, now: float) -> list[Instruction]:
        """What is to be sent, in order."""
        launches: list[Launch] = []
        is_over = False
        while not is_over:  # again for what the end of a stage lets others have
            launched = self._tasks.assign(now)
            self._outbox.extend(launched)
            launches += launched
            is_over = not self._give_up_sets(launches, now)
        instructions, self._outbox = self._outbox, []
        return [each for each in instructions if not (isinstance(each, Kill) and self._is_void(each))]

    def _is_void(self, kill: Kill) -> bool:
        """Whether the end of the task was in the same report as the reason to stop it."""
        return self._tasks.running_task(kill.executor_id, kill.task_id) is None

    def _give_up_sets(self, launches: Sequence[Launch], now: float) -> bool:
        """Abort the stages of which a task cannot be sent, or may run nowhere. Whether there were any."""
        unsendable = self._tasks.take_unsendable()
        for task_set, error in unsendable:
            self._abort_unsendable(task_set.stage, error)
        ends, aborts = self._tasks.judge(launches, now)
        self._outbox.extend(ends)
        for task_set, reason in aborts:
            self._abort_stage(task_set.stage, JobError(f"{ABORTED}{reason}"))
        return bool(unsendable or aborts)

    @property
    def jobs(self) -> Mapping[int, Job]:
        return self._jobs

    @property
    def running_stages(self) -> Mapping[Stage, TaskSet]:
        return self._stages.running

    def tasks_of(self, executor_id: str) -> ExecutorTasks:
        """What an executor runs, tasks that are queued there left out, and how many it did."""
        return self._tasks.tasks_of(executor_id)

    def exclusions_of(self, executor_id: str) -> tuple[bool, tuple[int, ...]]:
        """Whether an executor gets no tasks at all, and the ids of the stages of which it gets none, since too many
        failed there.
        """
        return self._tasks.exclusions_of(executor_id)

    # --- jobs ---

    def submit(self, job: Job, now: float) -> None:
        self._jobs[job.id] = job
        stages = self._stages.add(job)
        self.history.job_started(job, stages if job.final_stage.partitions else ())
        if job.final_stage.partitions:
            self._stages.submit(job.final_stage, now)
        else:
            self._end_job(job, None)

    def cancel(self, job_id: int, reason: str) -> None:
        job = self._jobs.get(job_id)
        if job is not None:
            parameters = {"jobId": str(job_id), "reason": reason}
            error = JobCancelledError(errorClass="SPARK_JOB_CANCELLED", messageParameters=parameters)
            self._end_job(job, error)

    def fail_all(self, error: BaseException) -> None:
        """The cluster is gone or stopping: end every job."""
        for job in list(self._jobs.values()):
            self._end_job(job, error)

    # --- task events ---

    def tasks_finished(self, executor_id: str, results: Iterable[TaskResult], now: float) -> None:
        for result in results:
            task_set = self._tasks.task_ended(executor_id, result.task_id, now, succeeded=True)
            if task_set is None:
                self._outbox.extend(discards(executor_id, result, None))
                continue
            task = task_set.running[result.task_id]
            if task_set.succeeded(result.task_id, result.run_time) is None:
                self._discard(task_set, task, result)
                continue
            if task_set.durations is not None:
                self._outbox.extend(self._stages.kill_copies(task_set, task.position))
            finished = self._what_counts(task_set, task, result)
            if finished:
                self._tasks_succeeded(task_set, finished, now)
        for job, error in self._results.hand_over().items():
            if error is not None or len(job.final_stage.done) == len(job.final_stage.partitions):
                self._end_job(job, error)
        if self._results.undelivered:
            refused, self._results.undelivered = self._results.undelivered, []
            self._outbox.extend(discards_of(refused))

    def task_failed(self, executor_id: str, failure: TaskFailed, now: float) -> None:
        task_set = self._tasks.task_ended(executor_id, failure.task_id, now, succeeded=False)
        if task_set is None:
            return
        task = task_set.failed(failure.task_id, counts=failure.kind != "fetch")
        if failure.kind == "fetch":
            self._outbox.extend(self._failures.fetch_failed(task_set, task, failure, now))
        elif task is not None and task_set.barrier is not None:
            task_set.barrier.forget(task)
            self._outbox.extend(self._failures.barrier_failed(task_set, task, failure, now))
        elif task is not None:
            queued = self._tasks.task_failed(task_set, task, failure.text, now)
            if queued:
                self._outbox.append(Recall(executor_id, tuple(queued)))
            self._failures.retry_or_give_up(task_set, task, failure)

    def task_given_back(self, executor_id: str, task_ids: Iterable[int], now: float) -> None:
        """Tasks that were recalled or killed: back in the queue, no blame."""
        for task_id in task_ids:
            task_set = self._tasks.task_returned(executor_id, task_id)
            if task_set is not None:
                task_set.returned(task_id)

    def block_stored(self, block_id: BlockId) -> bool:
        """An executor reported a cached block. Whether there may be something to send now."""
        return self._tasks.block_stored(block_id)

    def barrier_called(self, executor_id: str, call: BarrierCall, now: float) -> None:
        """A task waits for the others of its stage. One whose end was reported is not there any more."""
        task_set, task = self._tasks.running_task(executor_id, call.task_id) or (None, None)
        if task_set is not None and task is not None and task_set.barrier is not None:
            self._outbox.extend(task_set.barrier.call(task, call, now))

    def expire_barriers(self, now: float) -> None:
        """Let those go who waited for too long: tasks for each other, stages for executors."""
        for task_set in self._stages.running.values():
            if task_set.barrier is not None:
                self._outbox.extend(task_set.barrier.expire(now))
        for task_set, error in self._barrier_slots.check(self._stages.running.values(), self._tasks.slots, now):
            self._abort_stage(task_set.stage, error)

    def end_hopeless_barriers(self, slots: int) -> None:
        """End the jobs of barrier stages that wait for more slots than there will be: executors were given up since
        they were planned.
        """
        for stage, task_set in list(self._stages.running.items()):
            if task_set.barrier is not None and task_set.pending > slots:
                needs = f"the barrier stage {stage.name} (stage {stage.id}) needs {task_set.pending} slots at once"
                self._abort_stage(stage, JobError(f"{needs}, and the cluster has only {slots} from now on"))

    # --- executor events ---

    def executor_added(self, executor_id: str, cores: int, now: float) -> None:
        self._tasks.add_executor(executor_id, cores, now)

    def drain_executor(self, executor_id: str) -> None:
        """Launch nothing more there; what is queued there comes back."""
        queued = self._tasks.drain_executor(executor_id)
        if queued:
            self._outbox.append(Recall(executor_id, tuple(queued)))

    def drained_executors(self) -> list[str]:
        """Draining executors that have no task any more, and no output that would not survive them yet."""
        barriers = [task_set.barrier for task_set in self._stages.running.values() if task_set.barrier is not None]
        return [each for each in self._tasks.drained if not any(barrier.kept_from(each) for barrier in barriers)]

    def executor_lost(self, executor_id: str, reason: str, now: float) -> None:
        """Requeue what ran there. Map outputs in shared memory or files survive; heap ones do not exist."""
        for lost in self._tasks.remove_executor(executor_id):
            failure = _lost_with_executor(lost.task, reason)
            if lost.task_set.barrier is not None:
                self._outbox.extend(self._failures.barrier_failed(lost.task_set, lost.task, failure, now))
            elif lost.ran:
                self._failures.retry_or_give_up(lost.task_set, lost.task, failure, lost.blamed)
        for task_set in list(self._stages.running.values()):
            task = task_set.barrier.kept_from(executor_id) if task_set.barrier is not None else None
            if task is not None:  # its output went with the executor, since it had not been told of
                failure = _lost_with_executor(task, reason)
                self._outbox.extend(self._failures.barrier_failed(task_set, task, failure, now))

    def output_lost(self, shuffle_id: int, map_index: int) -> None:
        """A map output was found missing outside a task (fault injection, a lost segment)."""
        self._outputs.lose_output(shuffle_id, map_index)

    def recall(self, now: float, patience: float) -> None:
        for executor_id, task_ids in self._tasks.recall(now, patience):
            self._outbox.append(Recall(executor_id, tuple(task_ids)))

    def speculate(self, now: float) -> None:
        """Have copies made of stragglers. To be called from time to time."""
        for task_set, task in self._tasks.speculate(now):
            ref = task_set.ref(task)
            log.info("task %s at executor %s runs for long; it gets a copy", ref, task.executor_id)
            self._record(TaskSpeculated(time.time(), ref, task.executor_id))

    # --- results ---

    def _what_counts(
        self, task_set: TaskSet, task: RunningTask, result: TaskResult
    ) -> Sequence[tuple[RunningTask, TaskResult]]:
        """Tasks whose results may be used now: this one, but in a barrier stage none before all have succeeded."""
        barrier = task_set.barrier
        if barrier is None:
            return ((task, result),)
        if not self._stages.is_current(task_set):
            self._discard(task_set, task, result)
            return ()
        self._outbox.extend(barrier.keep(task, result))
        return barrier.take_results() if barrier.is_complete else ()

    def _tasks_succeeded(
        self, task_set: TaskSet, finished: Sequence[tuple[RunningTask, TaskResult]], now: float
    ) -> None:
        stage = self._stages.map_stages.latest(task_set.stage)
        for task, result in finished:
            accepted = self._accept(stage, task, result)
            current = self._stages.running.get(stage)
            if not accepted:
                self._discard(task_set, task, result)
            elif current is not None and current is not task_set:
                current.completed(task.position)
        if current is None or current.is_finished:
            self._outbox.extend(self._stages.go_on(stage, now))

    def _accept(self, stage: Stage, task: RunningTask, result: TaskResult) -> bool:
        """Use a result, unless nobody needs it."""
        if stage.shuffle_id is not None:
            return self._register_output(stage, stage.shuffle_id, task, result)
        try:
            return self._results.add(stage, task, result)
        except JobError as error:
            self._abort_stage(stage, error)
            return False

    def _register_output(self, stage: Stage, shuffle_id: int, task: RunningTask, result: TaskResult) -> bool:
        """Note a map output, unless the shuffle was cleaned or has it."""
        assert isinstance(result.output, MapOutput)
        status = MapStatus(task.executor_id, result.task_id, result.output.blocks)
        output = OutputReady(shuffle_id, stage.partitions[task.position], status)
        if not self._outputs.register_output(*output):
            return False
        self._outbox.append(output)
        if result.updates is not None:
            self._results.add_updates(stage, task, result.updates)
        return True

    # --- failures ---

    def _abort_unsendable(self, stage: Stage, error: Exception) -> None:
        failure = SerializationError(f"a partition of {stage.name} (stage {stage.id}) cannot be pickled: {error!r}")
        failure.__cause__ = error
        self._abort_stage(stage, failure)

    def _abort_stage(self, stage: Stage, error: BaseException, cause: bytes | None = None) -> None:
        for job in list(stage.jobs):
            self._end_job(job, error, cause)

    # --- ends ---

    def _end_job(self, job: Job, error: BaseException | None, cause: bytes | None = None) -> None:
        if self._jobs.pop(job.id, None) is None:
            return
        reason = f"job {job.id} ended" if error is None else str(error).partition("\n")[0]
        self._outbox.extend(self._stages.leave(job, reason))
        self.history.job_ended(job, succeeded=error is None)
        deliver(job, JobEnd(error, cause))

    def _discard(self, task_set: TaskSet, task: RunningTask, result: TaskResult) -> None:
        self._record(TaskDiscarded(time.time(), task_set.ref(task), task.executor_id))
        self._outbox.extend(discards(task.executor_id, result, task_set.stage))

    # --- audit ---

    def statistics(self) -> DAGStatistics:
        ended = self.history.jobs_ended
        return DAGStatistics(
            JobStatistics(len(self._jobs), ended["SUCCEEDED"], ended["FAILED"]),
            self._stages.statistics(),
            self._tasks.statistics(),
            shuffles=len(self._outputs.shuffles()),
        )

    def check(self) -> None:
        """Audit the invariants, after `take`. Raises AssertionError."""
        for part in (self._tasks, self._outputs, self._results, self.history):
            part.check()
        self._stages.check(self._jobs.values())
        assert not self._outbox, "an instruction was not taken"


def _lost_with_executor(task: RunningTask, reason: str) -> TaskFailed:
    text = f"{LOST} ({reason}): Python worker exited unexpectedly (crashed)"  # the latter as in PySpark
    return TaskFailed(task.task_id, None, "executor_lost", text)
