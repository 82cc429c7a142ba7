"""The cluster protocol: driver and executors about tasks, driver and launcher about processes.

Follows Spark's ``CoarseGrainedClusterMessages``, in batches because short tasks come by the ten thousand a second. Each
docstring says what triggers the message. All are told, not asked, except where an answer is given. Does not cover
blocks: see `protocol.block_messages`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from protocol.locations import SharedLocation
from protocol.message import Order, Report

# --- driver -> executor ----------------------------------------------------------------------------------------------


class TaskDescription(NamedTuple):
    """One task of a launch. Light: see `LaunchTasks`."""

    task_id: int
    partition_index: int
    attempt: int
    partition: bytes  # the partition, pickled


@dataclass(frozen=True, slots=True)
class LaunchTasks(Order):
    """Run these tasks of one stage. Triggered by free cores, or to keep a little work queued at the executor.

    ``binary`` is the stage's pickled closure, or where it is; None when the executor has had it already.
    """

    stage_key: int
    binary: bytes | SharedLocation | None
    tasks: tuple[TaskDescription, ...]

    def __reduce__(self) -> tuple[Any, ...]:
        # Plain tuples pickle in C; a named tuple costs a call into Python each (2.6 against 0.3 µs, measured).
        return _launch_tasks, (self.stage_key, self.binary, [tuple(task) for task in self.tasks])


def _launch_tasks(
    stage_key: int, binary: bytes | SharedLocation | None, rows: Iterable[tuple[Any, ...]]
) -> LaunchTasks:
    return LaunchTasks(stage_key, binary, tuple(map(TaskDescription._make, rows)))


@dataclass(frozen=True, slots=True)
class ReturnTasks(Order):
    """Give back those of these tasks that were not started. Triggered by an idle core elsewhere. Answered by a later
    `TasksReturned`.
    """

    task_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class KillTask(Order):
    """Stop a task. Triggered by cancellation, or because another attempt won. Answered by a later `TaskKilled` if the
    task had not ended.
    """

    task_id: int
    reason: str


@dataclass(frozen=True, slots=True)
class DropStage(Order):
    """Forget a stage's closure. Triggered by the end of the stage."""

    stage_key: int


@dataclass(frozen=True, slots=True)
class StopExecutor(Order):
    """End in good order. Triggered by the context's stop."""


# --- executor -> driver ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RegisterExecutor(Report):
    """The executor is ready for tasks. Triggered by its start. Answer: None."""

    executor_id: str
    pid: int
    cores: int


class TaskResult(NamedTuple):
    """One task that succeeded. Light: see `TasksFinished`."""

    task_id: int
    result: bytes | SharedLocation  # pickled, or where the pickled bytes are
    updates: bytes | None  # accumulator updates, pickled; None: none
    run_time: float  # seconds


@dataclass(frozen=True, slots=True)
class TasksFinished(Report):
    """Tasks that succeeded since the last report. Triggered by their ends, several short ones together."""

    results: tuple[TaskResult, ...]

    def __reduce__(self) -> tuple[Any, ...]:
        return _tasks_finished, ([tuple(result) for result in self.results],)  # see LaunchTasks.__reduce__


def _tasks_finished(rows: Iterable[tuple[Any, ...]]) -> TasksFinished:
    return TasksFinished(tuple(map(TaskResult._make, rows)))


@dataclass(frozen=True, slots=True)
class TaskFailed(Report):
    """A task raised. ``kind`` is the exception's class name; ``text`` the traceback as the user would see it."""

    task_id: int
    error: bytes | None  # the exception, pickled; None: it could not be
    kind: str
    text: str
    run_time: float  # seconds


@dataclass(frozen=True, slots=True)
class TaskKilled(Report):
    """A task ended because it was told to. Triggered by `KillTask`."""

    task_id: int
    reason: str


@dataclass(frozen=True, slots=True)
class TasksReturned(Report):
    """These tasks were queued here and were not started; they are the driver's again. Triggered by `ReturnTasks`."""

    task_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ExecutorHeartbeat(Report):
    """The executor lives. Triggered by its timer."""

    executor_id: str
    running: tuple[int, ...]  # task ids
    rss: int  # bytes resident, shared pages included
    shared: int  # bytes of rss that are shared with other processes


# --- driver -> launcher ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LaunchExecutor(Order):
    """Fork an executor. Triggered by the context's start and by the loss of an executor. Answered by a later
    `ExecutorLaunched`.
    """

    executor_id: str
    cores: int
    conf: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class KillExecutor(Order):
    """End an executor by force. Triggered when it was declared lost or did not end in time. Answered by a later
    `ExecutorExited`.
    """

    executor_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class StopCluster(Order):
    """End every executor and then the launcher itself. Triggered by the context's stop."""


# --- launcher -> driver ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LauncherReady(Report):
    """The launcher takes orders. Triggered by its start. ``scratch`` is the run's scratch directory."""

    pid: int
    scratch: str


@dataclass(frozen=True, slots=True)
class ExecutorLaunched(Report):
    """An executor was forked. Triggered by `LaunchExecutor`."""

    executor_id: str
    pid: int


@dataclass(frozen=True, slots=True)
class ExecutorExited(Report):
    """An executor ended, however. Triggered by its sentinel. Exactly one of exit code and signal is given."""

    executor_id: str
    exit_code: int | None
    signal: int | None
