"""Numbers of the scheduler's state and of what it has done so far."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class JobStatistics:
    running: int
    succeeded: int  # so far, as is the next
    failed: int


@dataclass(frozen=True, slots=True)
class StageStatistics:
    running: int
    waiting: int
    map_stages: int  # that some job may need
    retired: int  # attempts of live stages that may still have tasks
    completed: int  # attempts so far, as is the next
    failed: int
    skipped: int  # so far


@dataclass(frozen=True, slots=True)
class TaskStatistics:
    """Numbers of tasks, but for the last two."""

    pending: int
    at_executors: int  # running or queued there
    launched: int  # so far, as are the next; all of them are at executors, or one of these became of them
    finished: int
    failed: int
    returned: int  # not done, and nobody's fault: killed, recalled
    lost: int  # with their executor
    task_sets: int
    binaries: int  # of stages, at executors


@dataclass(frozen=True, slots=True)
class DAGStatistics:
    jobs: JobStatistics
    stages: StageStatistics
    tasks: TaskStatistics
    shuffles: int  # whose outputs are registered
