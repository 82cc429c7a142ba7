"""Numbers of the scheduler's state and of what it has done so far.

Named tuples, which take a tenth of the time of frozen dataclasses to define: every driver's start pays for it.
"""

from __future__ import annotations

from typing import NamedTuple

from protocol.events import TaskRef


class JobStatistics(NamedTuple):
    running: int
    succeeded: int  # so far, as is the next
    failed: int


class StageStatistics(NamedTuple):
    running: int
    waiting: int
    map_stages: int  # that some job may need
    retired: int  # attempts of live stages that may still have tasks
    completed: int  # attempts so far, as is the next
    failed: int
    skipped: int  # so far


class TaskStatistics(NamedTuple):
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


class ExecutorTasks(NamedTuple):
    """The tasks of one executor."""

    running: tuple[TaskRef, ...] = ()  # as far as is known, the first of those that it was given
    completed: int = 0  # so far, as is the next
    failed: int = 0


class DAGStatistics(NamedTuple):
    jobs: JobStatistics
    stages: StageStatistics
    tasks: TaskStatistics
    shuffles: int  # whose outputs are registered
