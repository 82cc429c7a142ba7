"""Running one task: unpickle, compute, serialise the outcome, say what went wrong.

Covers the task's whole life inside an executor and how its failure is told. Queues and threads are the executor's
business.
"""

from __future__ import annotations

import pickle
import time
import traceback
from collections.abc import Iterator
from functools import partial
from typing import Any

from localcluster.base.own_frames import OWN_PACKAGES
from localcluster.executor.barrier_calls import BarrierCalls
from localcluster.executor.kills import Kills
from localcluster.executor.stage_code import StageCode
from localcluster.rdd.core import RDDCore
from localcluster.shuffle.payload import IN_MESSAGE, inline
from localcluster.shuffle.shuffle import Shuffle
from localcluster.task.accumulators import collect_updates
from localcluster.task.barrier_task_context import BarrierTaskContext
from localcluster.task.env import Env
from localcluster.task.profiled_action import ProfiledAction
from localcluster.task.task_context import TaskContext
from localcluster.task.task_forks import ForksEndHere
from protocol import by_value, sites
from protocol.cluster_messages import StageDescription, TaskDescription, TaskFailed, TaskResult
from protocol.errors import DeserializationError, FetchFailedError, LocalClusterError, SerializationError
from protocol.task_output import InBlock, Inline, MapOutput, TaskOutput
from storage import serializer
from storage.block_id import TaskResultBlockId

MAX_REPORTED = 4 << 20  # bytes of an error's text, its pickled exception or accumulator updates in one report


def run_task(env: Env, code: StageCode, task: TaskDescription, kills: Kills, barriers: BarrierCalls) -> TaskResult:
    """Compute one partition. Raises whatever the user's code raises; `describe` turns that into a report."""
    started = time.perf_counter()
    context = _context(env, code.description, task, barriers)
    context.enter()
    try:
        with ForksEndHere():  # before the callbacks: they remove what the parent still uses
            if sites.armed is not None:
                at_task("task.start", code.description, task)
                at_task("task.unpickle", code.description, task)
            rdd, action = code.load()
            output = _compute(rdd, action, code.description, task, context, kills)
            updates = collect_updates(context)
        if updates is not None and len(updates) > MAX_REPORTED:
            raise SerializationError(
                f"what the task added to accumulators takes {len(updates)} bytes; return it instead"
            )
    finally:
        try:
            context.leave()
        finally:
            env.block_manager.release_all_locks_for_task()
    return TaskResult(task.task_id, output, updates, time.perf_counter() - started)


def _context(env: Env, stage: StageDescription, task: TaskDescription, barriers: BarrierCalls) -> TaskContext:
    kind = BarrierTaskContext if stage.barrier else TaskContext
    identity = stage.stage_id, task.partition_index, task.attempt, task.task_id
    context = kind.of_task(env, *identity, stage.properties, env.settings.task_cpus)
    if isinstance(context, BarrierTaskContext):
        context.attach(stage.barrier, partial(barriers.call, task.task_id))
    return context


def _compute(
    rdd: RDDCore[Any], action: Any, stage: StageDescription, task: TaskDescription, context: TaskContext, kills: Kills
) -> TaskOutput:
    if isinstance(action, ProfiledAction):
        return action.run(lambda: _compute(rdd, action.action, stage, task, context, kills))
    values = kills.check(task.task_id, rdd.iterator(pickle.loads(task.partition), context))
    if sites.armed is not None:
        values = _with_sites(values, stage, task)
    if isinstance(action, Shuffle):
        output = MapOutput(context.env.shuffle_manager.write(action, context.taskAttemptId(), values))
        if sites.armed is not None:
            at_task("task.end", stage, task)
        return output
    result = action.func(context, values)
    if sites.armed is not None:
        at_task("task.end", stage, task)
        at_task("task.pickle", stage, task)
    return _result(context.env, result, context)


def _result(env: Env, result: Any, context: TaskContext) -> TaskOutput:
    chunks = serializer.dumps(result)
    data = inline(chunks, IN_MESSAGE)
    if data is not None:
        return Inline(data)
    block_id = TaskResultBlockId(context.taskAttemptId())
    return InBlock(env.block_manager.put_shared(block_id, chunks, tell_master=False))


# --- places for faults -----------------------------------------------------------------------------------------------


def at_task(site: str, stage: StageDescription, task: TaskDescription, **facts: Any) -> None:
    """A task comes to a site."""
    if sites.armed is not None:
        identity = {"partition": task.partition_index, "attempt": task.attempt}
        sites.armed(site, stage=stage.stage_id, stage_name=stage.name, **identity, **facts)


def _with_sites(records: Iterator[Any], stage: StageDescription, task: TaskDescription) -> Iterator[Any]:
    """The records of a task, with a site behind each."""
    for n, record in enumerate(records, 1):
        yield record
        at_task("task.record", stage, task, n=n)


# --- failures ------------------------------------------------------------------------------------------------------


def describe(task: TaskDescription, error: BaseException) -> TaskFailed:
    """The report of a task that raised."""
    text = users_traceback(error)
    if isinstance(error, FetchFailedError):
        return TaskFailed(task.task_id, None, "fetch", str(error), (error.shuffle_id, error.missed))
    # What one process cannot unpickle another one may; what cannot be pickled cannot be pickled anywhere.
    fatal = isinstance(error, SerializationError) and not isinstance(error, DeserializationError)
    kind = "fatal" if fatal else "exception"
    return TaskFailed(task.task_id, pickled_exception(error), kind, text)


def pickled_exception(error: BaseException) -> bytes | None:
    """The exception for the driver to raise from; None when it cannot travel.

    Many exceptions pickle well and cannot be built again, because their ``__init__`` takes something else than
    ``args``; those are built without it.
    """
    for candidate in (error, _Rebuilt(error)):
        try:
            data = by_value.dumps(candidate)
            pickle.loads(data)
        except BaseException:  # the user's code may raise anything, SystemExit too
            continue
        return data if len(data) <= MAX_REPORTED else None
    return None


class _Rebuilt:
    """Pickles as an exception that is built from its class, arguments and attributes."""

    def __init__(self, error: BaseException) -> None:
        self._parts = type(error), error.args, error.__dict__

    def __reduce__(self) -> Any:
        return rebuild_exception, self._parts


def rebuild_exception(kind: type[BaseException], args: tuple[Any, ...], attributes: dict[str, Any]) -> BaseException:
    """An exception as it was, without running its ``__init__``."""
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(attributes)
    return error


def users_traceback(error: BaseException) -> str:
    """The traceback as the user should see it."""
    try:
        return _own_frames_left_out(error)
    except BaseException as second:  # the user's exceptions may raise anything when they are looked at
        return f"{type(error).__qualname__} (and {type(second).__qualname__}, when it was to be described)"


def _own_frames_left_out(error: BaseException) -> str:
    """Our own frames stay where there are no others. An error of ours has none if another in its chain has the user's:
    it says itself what that led to.
    """
    described = traceback.TracebackException.from_exception(error)
    chain = list(_links(error, described))
    users = [[frame for frame in link.stack if not frame.filename.startswith(OWN_PACKAGES)] for _, link in chain]
    for (each, link), frames in zip(chain, users, strict=True):
        if frames or (any(users) and isinstance(each, LocalClusterError)):
            link.stack = traceback.StackSummary.from_list(frames)
    return "".join(described.format())[-MAX_REPORTED // 4 :]  # a character may take four bytes


def _links(
    error: BaseException | None, described: traceback.TracebackException | None
) -> Iterator[tuple[BaseException | None, traceback.TracebackException]]:
    """The error, and what it came of, as far as tracebacks show that."""
    while described is not None:
        yield error, described
        described = described.__cause__ or described.__context__
        error = error and (error.__cause__ or error.__context__)
