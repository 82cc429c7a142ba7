"""What is remembered of jobs and stages, for `StatusTracker` and the status page: numbers and text, nothing that keeps
an RDD alive.

A plain record, kept by the DAG scheduler under the driver's lock. Bounded: of what has ended, the oldest is forgotten.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable

from localcluster.conf.job_properties import JOB_GROUP
from localcluster.scheduler.job_records import JobRecord, SparkJobInfo, SparkStageInfo, StageRecord
from localcluster.scheduler.stage import Job, Stage
from localcluster.scheduler.task_set import TaskSet


class JobHistory:
    """What is told of jobs and stages, also of those that have ended.

    ``retained_jobs`` and ``retained_stages`` bound what is kept of jobs that have ended. ``clock`` tells the seconds
    since the epoch.
    """

    def __init__(
        self, retained_jobs: int = 1000, retained_stages: int = 1000, clock: Callable[[], float] = time.time
    ) -> None:
        self._retained_jobs = retained_jobs
        self._retained_stages = retained_stages
        self._clock = clock
        self.jobs_ended: Counter[str] = Counter()
        """{status: how many so far}, those that are forgotten as well."""
        self.stages_ended: Counter[str] = Counter()
        """{status: how many attempts so far}, and SKIPPED ones."""
        self._jobs: dict[int, JobRecord] = {}
        self._stages: dict[int, StageRecord] = {}
        self._running: dict[int, TaskSet] = {}  # {stage id: its current attempt}, which has the numbers of the moment
        self._ended_jobs: deque[int] = deque()
        self._idle_stages: deque[int] = deque()  # that no job needs any more

    # --- queries ---

    def job(self, job_id: int) -> SparkJobInfo | None:
        record = self._jobs.get(job_id)
        return None if record is None else record.info

    def stage(self, stage_id: int) -> SparkStageInfo | None:
        record = self._stages.get(stage_id)
        return None if record is None else self._now(record).info

    def jobs_of_group(self, group: str | None) -> list[int]:
        """Newest first."""
        jobs = reversed(self._jobs.items())
        return [job_id for job_id, record in jobs if record.properties.get(JOB_GROUP) == group]

    def jobs(self) -> list[JobRecord]:
        """All that are remembered, oldest first."""
        return list(self._jobs.values())

    def stages(self) -> list[StageRecord]:
        """All that are remembered, by id, roughly."""
        return [self._now(record) for record in self._stages.values()]

    def _now(self, record: StageRecord) -> StageRecord:
        task_set = self._running.get(record.info.stageId)
        return record if task_set is None else record._replace(info=_summary(task_set))

    # --- events ---

    def job_started(self, job: Job, stages: Iterable[Stage]) -> None:
        ids = []
        for stage in stages:
            ids.append(stage.id)
            if stage.id not in self._stages:
                info = SparkStageInfo(stage.id, 0, stage.name, len(stage.partitions), 0, 0, 0)
                self._stages[stage.id] = StageRecord(info, job.properties, len(stage.partitions))
        info_of_job = SparkJobInfo(job.id, sorted(ids), "RUNNING")
        self._jobs[job.id] = JobRecord(info_of_job, job.final_stage.name, job.properties, self._clock())

    def job_ended(self, job: Job, succeeded: bool) -> None:
        record = self._jobs[job.id]
        info = record.info._replace(status="SUCCEEDED" if succeeded else "FAILED")
        self.jobs_ended[info.status] += 1
        self._jobs[job.id] = record._replace(info=info, completed=self._clock())
        self._ended_jobs.append(job.id)
        while len(self._ended_jobs) > self._retained_jobs:
            del self._jobs[self._ended_jobs.popleft()]

    def attempt_started(self, task_set: TaskSet) -> None:
        stage_id = task_set.stage.id
        self._running[stage_id] = task_set
        before = self._stages[stage_id]
        self._change(
            stage_id,
            status="ACTIVE",
            submitted=self._clock(),
            completed=None,
            earlier_completed=before.earlier_completed + before.info.numCompletedTasks,
            earlier_failed=before.earlier_failed + before.info.numFailedTasks,
        )

    def attempt_ended(self, task_set: TaskSet) -> None:
        stage_id = task_set.stage.id
        del self._running[stage_id]
        status = "COMPLETE" if task_set.is_finished else "FAILED"
        self.stages_ended[status] += 1
        info = _summary(task_set)._replace(numActiveTasks=0)
        self._change(stage_id, info=info, status=status, completed=self._clock())

    def stage_left(self, stage: Stage) -> None:
        """No job needs the stage any more."""
        record = self._stages.get(stage.id)  # none of a job without partitions
        if record is not None and record.status == "PENDING":
            self._change(stage.id, status="SKIPPED")
            self.stages_ended["SKIPPED"] += 1
        self._idle_stages.append(stage.id)
        while len(self._idle_stages) > self._retained_stages:
            self._stages.pop(self._idle_stages.popleft(), None)

    def _change(self, stage_id: int, **values: object) -> None:
        self._stages[stage_id] = self._stages[stage_id]._replace(**values)  # type: ignore[arg-type]

    def check(self) -> None:
        """Audit the invariants. Raises AssertionError."""
        assert len(self._ended_jobs) <= self._retained_jobs
        assert len(self._idle_stages) <= self._retained_stages
        assert self._running.keys() <= self._stages.keys()


def _summary(task_set: TaskSet) -> SparkStageInfo:
    stage = task_set.stage
    return SparkStageInfo(
        stageId=stage.id,
        currentAttemptId=task_set.attempt,
        name=stage.name,
        numTasks=task_set.tasks,
        numActiveTasks=len(task_set.running),
        numCompletedTasks=task_set.tasks - task_set.unfinished,
        numFailedTasks=task_set.failed_tasks,
    )
