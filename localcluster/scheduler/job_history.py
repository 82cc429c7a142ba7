"""What is remembered of jobs and stages, for `StatusTracker`: numbers only, nothing that keeps an RDD alive.

A plain record, kept by the DAG scheduler under the driver's lock. Bounded: of what has ended, the oldest is forgotten.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from localcluster.scheduler.stage import Job, Stage
from localcluster.scheduler.task_set import TaskSet
from localcluster.status import SparkJobInfo, SparkStageInfo


class JobHistory:
    """``retained_jobs`` and ``retained_stages`` bound what is kept of jobs that have ended."""

    def __init__(self, retained_jobs: int = 1000, retained_stages: int = 1000) -> None:
        self._retained_jobs = retained_jobs
        self._retained_stages = retained_stages
        self._jobs: dict[int, SparkJobInfo] = {}
        self._groups: dict[int, str | None] = {}  # {job id: its group}
        self._stages: dict[int, SparkStageInfo | TaskSet] = {}  # the current attempt itself while it runs
        self._ended_jobs: deque[int] = deque()
        self._idle_stages: deque[int] = deque()  # that no job needs any more

    # --- queries ---

    def job(self, job_id: int) -> SparkJobInfo | None:
        return self._jobs.get(job_id)

    def stage(self, stage_id: int) -> SparkStageInfo | None:
        known = self._stages.get(stage_id)
        return _summary(known) if isinstance(known, TaskSet) else known

    def jobs_of_group(self, group: str | None) -> list[int]:
        """Newest first."""
        return [job_id for job_id in reversed(self._groups) if self._groups[job_id] == group]

    # --- events ---

    def job_started(self, job: Job, group: str | None, stages: Iterable[Stage]) -> None:
        ids = []
        for stage in stages:
            ids.append(stage.id)
            if stage.id not in self._stages:
                self._stages[stage.id] = SparkStageInfo(stage.id, 0, stage.name, len(stage.partitions), 0, 0, 0)
        self._jobs[job.id] = SparkJobInfo(job.id, sorted(ids), "RUNNING")
        self._groups[job.id] = group

    def job_ended(self, job: Job, succeeded: bool) -> None:
        self._jobs[job.id] = self._jobs[job.id]._replace(status="SUCCEEDED" if succeeded else "FAILED")
        self._ended_jobs.append(job.id)
        while len(self._ended_jobs) > self._retained_jobs:
            oldest = self._ended_jobs.popleft()
            del self._jobs[oldest], self._groups[oldest]

    def attempt_started(self, task_set: TaskSet) -> None:
        self._stages[task_set.stage.id] = task_set

    def attempt_ended(self, task_set: TaskSet) -> None:
        self._stages[task_set.stage.id] = _summary(task_set)._replace(numActiveTasks=0)

    def stage_left(self, stage: Stage) -> None:
        """No job needs the stage any more."""
        self._idle_stages.append(stage.id)
        while len(self._idle_stages) > self._retained_stages:
            self._stages.pop(self._idle_stages.popleft(), None)

    def check(self) -> None:
        """Audit the invariants. Raises AssertionError."""
        assert len(self._ended_jobs) <= self._retained_jobs
        assert len(self._idle_stages) <= self._retained_stages
        assert self._jobs.keys() == self._groups.keys()


def _summary(task_set: TaskSet) -> SparkStageInfo:
    stage = task_set.stage
    return SparkStageInfo(
        stageId=stage.id,
        currentAttemptId=task_set.attempt,
        name=stage.name,
        numTasks=task_set.tasks,
        numActiveTasks=len(task_set.running),
        numCompletedTasks=task_set.tasks - task_set.unfinished,
        numFailedTasks=sum(task_set.failures.values()),
    )
