"""Results of tasks on their way to their jobs: each position once, and together what one report brought.

Covers ``spark.driver.maxResultSize``. Does not know when a job ends (``dag_scheduler``) or what its own thread makes of
the results (``driver.running_job``).
"""

from __future__ import annotations

import logging

from localcluster.conf.settings import bytes_text
from localcluster.scheduler.running_task import RunningTask
from localcluster.scheduler.stage import Job, JobEvent, Stage, TaskOutcome
from protocol.cluster_messages import TaskResult
from protocol.errors import JobError
from protocol.task_output import MapOutput

log = logging.getLogger(__name__)


class JobResults:
    """Results on their way to their jobs. ``max_size``: bytes of the results of one job; 0: any."""

    def __init__(self, max_size: int) -> None:
        self._max_size = max_size
        self._outcomes: dict[Job, list[TaskOutcome]] = {}
        self.undelivered: list[TaskOutcome] = []
        """What jobs refused: whoever looks must take it away, and the blocks in which results are."""

    def add(self, stage: Stage, task: RunningTask, result: TaskResult) -> bool:
        """Take a result of a result stage. False when its job ended or has it. Raises JobError when the results get too
        large; what came before has been handed over then.
        """
        job = next(iter(stage.jobs), None)
        if job is None or task.position in stage.done:
            return False
        stage.done.add(task.position)
        assert not isinstance(result.output, MapOutput)
        stage.result_size += result.output.size
        if 0 < self._max_size < stage.result_size:
            # Before the job's end, after which nobody looks for results.
            self._deliver(job, self._outcomes.pop(job, []))
            raise _too_large(stage, self._max_size)
        self._append(job, TaskOutcome(task.position, task.task_id, result.output, result.updates))
        return True

    def add_updates(self, stage: Stage, task: RunningTask, updates: bytes) -> None:
        """Take the accumulator updates of a map task. The oldest of its jobs gets them."""
        if stage.jobs:
            self._append(min(stage.jobs, key=lambda j: j.id), TaskOutcome(None, task.task_id, None, updates))

    def hand_over(self) -> dict[Job, Exception | None]:
        """Deliver to the jobs what was taken. Returns those jobs, and what went wrong with that."""
        outcomes, self._outcomes = self._outcomes, {}
        return {job: self._deliver(job, of_job) for job, of_job in outcomes.items()}

    def _deliver(self, job: Job, outcomes: list[TaskOutcome]) -> Exception | None:
        error = deliver(job, outcomes)
        if error is not None:
            self.undelivered += outcomes
        return error

    def _append(self, job: Job, outcome: TaskOutcome) -> None:
        self._outcomes.setdefault(job, []).append(outcome)

    def check(self) -> None:
        """Audit the invariants, between events. Raises AssertionError."""
        assert not self._outcomes, "a result was not handed over"
        assert not self.undelivered, "what a job refused was not taken"


def deliver(job: Job, event: JobEvent) -> Exception | None:
    """Deliver an event; returns what that raised."""
    try:
        job.deliver(event)
    except Exception as error:
        log.exception("what job %d was to be told is lost", job.id)
        return error
    return None


def _too_large(stage: Stage, limit: int) -> JobError:
    return JobError(
        f"Job aborted due to stage failure: Total size of serialized results of {len(stage.done)} tasks "
        f"({bytes_text(stage.result_size)}) is bigger than spark.driver.maxResultSize ({bytes_text(limit)})"
    )
