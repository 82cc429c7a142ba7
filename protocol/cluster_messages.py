"""The cluster protocol: driver and executors about tasks, driver and launcher about processes.

Follows Spark's ``CoarseGrainedClusterMessages``, in batches because short tasks come by the ten thousand a second. Each
docstring says what triggers the message. All are told, not asked, except where an answer is given. Does not cover
blocks: see `protocol.block_messages`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from protocol.message import BlockIdLike, Order, Report
from protocol.task_output import TaskOutput, bare, from_bare

# --- driver -> executor ----------------------------------------------------------------------------------------------


class TaskDescription(NamedTuple):
    """One task of a launch. Light: see `LaunchTasks`."""

    task_id: int
    partition_index: int
    attempt: int
    partition: bytes  # the partition, pickled


@dataclass(frozen=True, slots=True)
class StageDescription(Order):
    """What the tasks of one stage attempt have in common; sent once to each executor, with its first tasks.

    ``binary`` is the pickled lineage and action, or the block that holds it. ``epoch`` is the map output tracker's:
    tables of map outputs that the executor fetched at an older one are out of date. ``name`` is the RDD's method that
    the stage ends in, and where it was called. ``barrier`` has the addresses of a barrier stage's tasks by position; it
    is empty for other stages. ``import_paths`` is the driver's ``sys.path``, with what it had before, and then an entry
    for each file that was added for import so far: the directory or archive for it. ``log_levels`` are the levels of
    the driver's loggers by name.
    """

    stage_id: int
    attempt: int
    binary: bytes | BlockIdLike
    properties: Mapping[str, str]
    epoch: int
    name: str = ""
    barrier: tuple[str, ...] = ()
    import_paths: tuple[str, ...] = ()
    log_levels: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LaunchTasks(Order):
    """Run these tasks of one stage. Triggered by free cores, or to keep a little work queued at the executor.

    ``stage`` is None when the executor has had it already.
    """

    stage_key: int
    stage: StageDescription | None
    tasks: tuple[TaskDescription, ...]

    def __reduce__(self) -> tuple[Any, ...]:
        # Plain tuples pickle in C; a named tuple costs a call into Python each (2.6 against 0.3 µs, measured).
        return _launch_tasks, (self.stage_key, self.stage, [tuple(task) for task in self.tasks])


def _launch_tasks(stage_key: int, stage: StageDescription | None, rows: Iterable[tuple[Any, ...]]) -> LaunchTasks:
    return LaunchTasks(stage_key, stage, tuple(map(TaskDescription._make, rows)))


@dataclass(frozen=True, slots=True)
class ReturnTasks(Order):
    """Give back those of these tasks that were not started. Triggered by an idle core elsewhere. Answered by a later
    `TasksReturned`.
    """

    task_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class KillTask(Order):
    """Stop a task. Triggered by the end of its job before its own, or by a failure in its barrier stage. Answered by a
    later `TaskKilled` if the task had not ended.
    """

    task_id: int
    reason: str


@dataclass(frozen=True, slots=True)
class DropStage(Order):
    """Forget a stage's closure. Triggered by the end of the stage."""

    stage_key: int


@dataclass(frozen=True, slots=True)
class ImportLibrary(Order):
    """Import a library while there is time. Triggered by the broadcast of what needs it, before that is written."""

    name: str
    path: str  # the file that the driver has it from


@dataclass(frozen=True, slots=True)
class BarrierRelease(Order):
    """A task need not wait at its barrier any more. Triggered by the last task's `BarrierCall`, or by what makes
    waiting useless.

    ``messages`` are those of all tasks, by position; ``error`` says why there are none.
    """

    task_id: int
    call_id: int
    messages: tuple[str, ...]
    error: str | None


@dataclass(frozen=True, slots=True)
class StopExecutor(Order):
    """End in good order. Triggered by the context's stop, and when the executor has drained. What it stored in shared
    memory and files stays, for the master to adopt, unless a `StopBlockManager` came before.
    """


# --- driver -> executor and launcher ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ArmFaults(Order):
    """Let the rules of a plan of faults fire from now on. Triggered by ``sc.faults``. Those of the settings come with
    `StartCluster`, and executors are born with those that the launcher has.
    """

    number: int  # of the plan in the run; 0: the one of the settings
    rules: str
    seed: int


@dataclass(frozen=True, slots=True)
class DisarmFaults(Order):
    """A plan is over. Triggered by the end of ``sc.faults``."""

    number: int


# --- executor -> driver ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RegisterExecutor(Report):
    """The executor is ready for tasks. Triggered by its start."""

    executor_id: str
    pid: int
    cores: int


class TaskResult(NamedTuple):
    """One task that succeeded. Light: see `TasksFinished`."""

    task_id: int
    output: TaskOutput
    updates: bytes | None  # accumulator updates, pickled; None: none
    run_time: float  # seconds


@dataclass(frozen=True, slots=True)
class TasksFinished(Report):
    """Tasks that succeeded since the last report. Triggered by their ends, several short ones together."""

    results: tuple[TaskResult, ...]

    def __reduce__(self) -> tuple[Any, ...]:
        # Plain tuples, as in LaunchTasks.__reduce__.
        return _tasks_finished, ([(id_, bare(output), updates, time) for id_, output, updates, time in self.results],)


def _tasks_finished(rows: Iterable[tuple[Any, ...]]) -> TasksFinished:
    make = TaskResult._make  # half the time of a call of the class
    return TasksFinished(tuple([make((id_, from_bare(output), updates, time)) for id_, output, updates, time in rows]))


@dataclass(frozen=True, slots=True)
class TaskFailed(Report):
    """A task did not succeed. ``kind`` says what follows from it:

    ``exception``: the user's code raised, try again; ``fatal``: trying again cannot help (the result cannot be
    pickled); ``fetch``: the map outputs named by ``fetch`` could not be read; ``executor_lost``: made by the driver
    itself. ``text`` is the traceback as the user should see it.
    """

    task_id: int
    error: bytes | None  # the exception, pickled; None: there is none or it could not be
    kind: str
    text: str
    fetch: tuple[int, Mapping[int, int | None]] | None = None  # shuffle id, `FetchFailedError.missed`


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
class BarrierCall(Report):
    """A task of a barrier stage waits for the others. Triggered by ``barrier()`` or ``allGather()``, which ``function``
    names. Answered by a later `BarrierRelease` with the same ids.
    """

    task_id: int
    call_id: int
    function: str
    message: str


@dataclass(frozen=True, slots=True)
class ExecutorHeartbeat(Report):
    """The executor lives. Triggered by its timer."""

    executor_id: str
    running: tuple[int, ...]  # task ids
    rss: int  # bytes resident, shared pages included
    shared: int  # bytes of rss that are shared with other processes


@dataclass(frozen=True, slots=True)
class GetMapOutputs(Report):
    """Where are the outputs of this shuffle? Triggered by an executor's first reducer of it. Asked.

    Answer: the pickled table (`MapStatus` by map index), or the id of the block that holds it; None when the shuffle is
    unknown.
    """

    shuffle_id: int


# --- driver -> launcher ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StartCluster(Order):
    """Make the scratch space of a context. Triggered by the context's start. Answer: path of the scratch's primary
    directory.
    """

    local_dirs: tuple[str, ...]
    conf: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class LaunchExecutor(Order):
    """Fork an executor. Triggered by the context's start and by the loss of an executor. Followed by
    `ExecutorLaunched`.
    """

    executor_id: str
    cores: int
    conf: Mapping[str, str]
    sys_path: tuple[str, ...]  # of the driver, so that what it can import the executor can too


@dataclass(frozen=True, slots=True)
class KillExecutor(Order):
    """End an executor by force. Triggered when it was declared lost. Followed by `ExecutorExited`."""

    executor_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class StopCluster(Order):
    """End every executor and remove what the context left. Triggered by the context's stop. Answer: None, when all is
    gone.
    """


# --- launcher -> driver ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ExecutorLaunched(Report):
    """An executor was forked; the driver's pipe ends follow as file descriptors. Triggered by `LaunchExecutor`."""

    executor_id: str
    pid: int


@dataclass(frozen=True, slots=True)
class LaunchFailed(Report):
    """The system is short of something that an executor needs to start; ``reason`` says of what.

    Triggered by `LaunchExecutor` when there is no process, pipe or descriptor for it; there is no such executor then.
    The executor itself tells it when it cannot start its threads, and ends.
    """

    executor_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class ExecutorExited(Report):
    """An executor ended, however. Triggered by its sentinel. Exactly one of exit code and signal is given."""

    executor_id: str
    exit_code: int | None
    signal: int | None
    last_words: str = ""  # of a signal: frames of the user's code, as in a traceback; of an exit: the error
