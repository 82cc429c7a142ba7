"""What a job and a stage are at one moment: as programs see them (PySpark's names), and what the status page adds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class SparkJobInfo(NamedTuple):
    """A job: ``status`` is RUNNING, SUCCEEDED or FAILED. Stages whose output was there already are listed, too."""

    jobId: int
    stageIds: list[int]
    status: str


class SparkStageInfo(NamedTuple):
    """The latest attempt of a stage; numbers of its tasks. A stage that never started has none of them done.
    Short tasks queued at an executor count as active.
    """

    stageId: int
    currentAttemptId: int
    name: str
    numTasks: int
    numActiveTasks: int
    numCompletedTasks: int
    numFailedTasks: int


class JobRecord(NamedTuple):
    """A job at one moment. Times are in seconds since the epoch."""

    info: SparkJobInfo
    name: str
    properties: Mapping[str, str]
    submitted: float
    completed: float | None = None


class StageRecord(NamedTuple):
    """A stage at one moment. ``status`` is PENDING, ACTIVE, COMPLETE, FAILED or, if it never started, SKIPPED; times
    are those of its latest attempt, in seconds since the epoch; ``properties`` are of the job that planned it.
    """

    info: SparkStageInfo
    properties: Mapping[str, str]
    partitions: int
    earlier_completed: int = 0  # tasks of attempts before the latest, as is the next
    earlier_failed: int = 0
    status: str = "PENDING"
    submitted: float | None = None
    completed: float | None = None
