"""What happens in a run, as frozen records: executors, tasks, stages, blocks, faults.

Covers the kinds of events only. Whoever sees one makes the record and gives it to a `Recorder`; the driver keeps them
(``localcluster.driver.event_history``), programs read them as ``sc.events()`` and find their names in
``localcluster.events``. ``at`` is in seconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias


class TaskRef(NamedTuple):
    """One attempt at one partition of a stage."""

    stage_id: int
    stage_attempt: int
    partition: int
    attempt: int


# --- executors -------------------------------------------------------------------------------------------------------


class ExecutorAdded(NamedTuple):
    """It has registered and gets tasks."""

    at: float
    executor_id: str
    pid: int


class ExecutorLost(NamedTuple):
    """It is gone, or was declared so; none of its reports counts from here on."""

    at: float
    executor_id: str
    reason: str
    signal: int | None  # that ended it, if one did
    exit_code: int | None  # if it exited
    running: tuple[TaskRef, ...]  # what ran there; they are queued again


class ExecutorReplaced(NamedTuple):
    """Another one was ordered in its place."""

    at: float
    executor_id: str  # the lost one
    by: str


class ExecutorExcluded(NamedTuple):
    """It gets no tasks (of the stage, or at all) since too many failed there."""

    at: float
    executor_id: str
    stage_id: int | None  # None: no tasks of any stage
    failures: int


# --- tasks and stages ------------------------------------------------------------------------------------------------


class TaskStarted(NamedTuple):
    """It was given to an executor."""

    at: float
    task: TaskRef
    executor_id: str
    speculative: bool


class TasksLaunched(NamedTuple):
    """Tasks of one stage attempt were given to an executor. Read as a `TaskStarted` for each."""

    at: float
    executor_id: str
    stage_id: int
    stage_attempt: int
    tasks: tuple[tuple[int, int], ...]  # partition, attempt
    speculative: bool

    def starts(self) -> Iterator[TaskStarted]:
        for partition, attempt in self.tasks:
            task = TaskRef(self.stage_id, self.stage_attempt, partition, attempt)
            yield TaskStarted(self.at, task, self.executor_id, self.speculative)


class TaskRetried(NamedTuple):
    """The attempt failed and another one is queued."""

    at: float
    task: TaskRef
    executor_id: str
    reason: str
    blamed: bool  # it counts against ``spark.task.maxFailures``


class TaskSpeculated(NamedTuple):
    """A copy of a straggler is queued."""

    at: float
    task: TaskRef  # the straggler
    executor_id: str  # where that runs


class TaskKilled(NamedTuple):
    """Told to stop: its job or stage ended, or its copy was faster."""

    at: float
    task: TaskRef
    executor_id: str
    reason: str


class TaskDiscarded(NamedTuple):
    """It succeeded when its result was wanted no more."""

    at: float
    task: TaskRef
    executor_id: str


class StageResubmitted(NamedTuple):
    """Run again for what is missing."""

    at: float
    stage_id: int
    attempt: int  # the new one
    reason: str
    partitions: tuple[int, ...]  # that are computed again


# --- blocks ----------------------------------------------------------------------------------------------------------


class BlockRecomputed(NamedTuple):
    """A block that was lost was computed again."""

    at: float
    block_id: str
    executor_id: str


class BlockAdopted(NamedTuple):
    """Its executor is gone, and its bytes stay."""

    at: float
    block_id: str
    executor_id: str  # that wrote it


class BlockReadFromReplica(NamedTuple):
    """A copy could not be read, another one was."""

    at: float
    block_id: str
    executor_id: str  # the reader


class BlockLost(NamedTuple):
    """The last copy is gone, and nobody removed it."""

    at: float
    block_id: str
    executor_id: str  # that had it


class BlockCorrupt(NamedTuple):
    """Bytes that are not those that were written; this copy is not used again."""

    at: float
    block_id: str
    executor_id: str  # whose copy it is
    found_by: str  # executor id of the reader


# --- faults ----------------------------------------------------------------------------------------------------------


class FaultFired(NamedTuple):
    """A rule of the plan did what it says."""

    at: float
    fault: str  # the rule as text
    process: str  # "driver", "launcher", or an executor id
    where: str  # what it happened to: a task, a message, a block, a call


Event: TypeAlias = (
    ExecutorAdded
    | ExecutorLost
    | ExecutorReplaced
    | ExecutorExcluded
    | TaskStarted
    | TaskRetried
    | TaskSpeculated
    | TaskKilled
    | TaskDiscarded
    | StageResubmitted
    | BlockRecomputed
    | BlockAdopted
    | BlockReadFromReplica
    | BlockLost
    | BlockCorrupt
    | FaultFired
)

Recorder: TypeAlias = Callable[[Event | TasksLaunched], None]
"""Takes what happened; quick, raises nothing."""


def nobody(event: Event | TasksLaunched) -> None:
    """A recorder for those whom nobody asks."""
