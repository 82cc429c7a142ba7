"""Running one task: unpickle, compute, serialise the outcome, say what went wrong.

Covers the task's whole life inside an executor and how its failure is told. Queues and threads are the executor's
business.
"""

from __future__ import annotations

import os
import pickle
import time
import traceback
from collections.abc import Callable
from typing import Any

import cloudpickle

from localcluster.accumulators import collect_updates
from localcluster.env import Env
from localcluster.executor.stage_code import StageCode
from localcluster.rdd.dependency import ShuffleDependency
from localcluster.task_context import TaskContext
from protocol.cluster_messages import TaskDescription, TaskFailed, TaskResult
from protocol.errors import FetchFailedError, SerializationError
from protocol.locations import SharedLocation
from storage import serializer
from storage.block_id import TaskResultBlockId

MAX_DIRECT_RESULT = 48 * 1024  # bytes; larger results become blocks

_OWN_PACKAGES = tuple(
    os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), package) + os.sep
    for package in ("localcluster", "storage", "protocol")
)


class ResultAction:
    """What the final stage of a job does with each partition: ``func(task_context, iterator)`` gives one object."""

    __slots__ = ("func",)

    def __init__(self, func: Callable[[TaskContext, Any], Any]) -> None:
        self.func = func

    def __repr__(self) -> str:
        return repr(self.func)


def run_task(env: Env, code: StageCode, task: TaskDescription) -> TaskResult:
    """Compute one partition. Raises whatever the user's code raises; `describe` turns that into a report."""
    started = time.perf_counter()
    stage = code.description
    context = TaskContext(env, stage.stage_id, task.partition_index, task.attempt, task.task_id, stage.properties)
    context.enter()
    try:
        rdd, action = code.load()
        partition = pickle.loads(task.partition)
        result = _perform(env, rdd, action, partition, context)
        updates = collect_updates(context)
    finally:
        try:
            context.leave()
        finally:
            env.block_manager.release_all_locks_for_task()
    return TaskResult(task.task_id, result, updates, time.perf_counter() - started)


def _perform(
    env: Env, rdd: Any, action: ResultAction | ShuffleDependency, partition: Any, context: TaskContext
) -> bytes | SharedLocation | tuple[SharedLocation | None, ...]:
    values = rdd.iterator(partition, context)
    if isinstance(action, ShuffleDependency):
        return env.shuffle_manager.write(action, context.taskAttemptId(), values)
    chunks = serializer.dumps(action.func(context, values))
    if sum(map(len, chunks)) <= MAX_DIRECT_RESULT:
        return b"".join(chunks)
    return env.block_manager.put_shared(TaskResultBlockId(context.taskAttemptId()), chunks, tell_master=False)


# --- failures ------------------------------------------------------------------------------------------------------


def describe(task: TaskDescription, error: BaseException) -> TaskFailed:
    """The report of a task that raised."""
    text = _own_frames_left_out(error)
    if isinstance(error, FetchFailedError):
        return TaskFailed(task.task_id, None, "fetch", str(error), (error.shuffle_id, error.map_index))
    kind = "fatal" if isinstance(error, SerializationError) else "exception"
    return TaskFailed(task.task_id, _pickled(error), kind, text)


def _pickled(error: BaseException) -> bytes | None:
    """The exception for the driver to raise from; None when it would not survive the journey."""
    try:
        data: bytes = cloudpickle.dumps(error)
        pickle.loads(data)  # many exceptions pickle well and then cannot be built again
    except Exception:
        return None
    return data


def _own_frames_left_out(error: BaseException) -> str:
    """The traceback as the user should see it: without our own frames, unless there are no others."""
    described = traceback.TracebackException.from_exception(error)
    link: traceback.TracebackException | None = described
    while link is not None:
        users = [frame for frame in link.stack if not frame.filename.startswith(_OWN_PACKAGES)]
        if users:
            link.stack = traceback.StackSummary.from_list(users)
        link = link.__cause__ or link.__context__
    return "".join(described.format())
