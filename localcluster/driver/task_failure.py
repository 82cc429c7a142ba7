"""The error that a job ends with when one of its tasks failed for good: its text, and the task's own exception."""

from __future__ import annotations

import logging
import pickle

from localcluster.scheduler.running_task import RunningTask
from localcluster.scheduler.stage import Stage
from protocol.cluster_messages import TaskFailed
from protocol.errors import TaskError

log = logging.getLogger(__name__)


def task_failure(stage: Stage, task: RunningTask, failure: TaskFailed, failures: int) -> TaskError:
    """Spark's wording, then the user's own traceback."""
    headline = _barrier_headline if stage.is_barrier else _headline
    thrown = "" if failure.kind == "executor_lost" else f"{TaskError.java_class}: "
    return TaskError(f"Job aborted due to stage failure: {headline(stage, task, failures)} {thrown}{failure.text}")


def with_cause(error: BaseException, pickled: bytes) -> TaskError:
    """The same error, with the task's exception as ``cause`` and ``__cause__``. In the thread that waits for the job:
    unpickling runs the user's code, which may take its time, import modules, or raise anything. A KeyboardInterrupt is
    the user's own.
    """
    own = TaskError(*error.args)  # jobs that end together share the error
    try:
        cause = pickle.loads(pickled)
    except KeyboardInterrupt:
        raise
    except BaseException:
        log.debug("the task's exception cannot be unpickled here", exc_info=True)
        return own
    if isinstance(cause, BaseException):
        own.cause = own.__cause__ = cause
    return own


def _headline(stage: Stage, task: RunningTask, failures: int) -> str:
    index = stage.partitions[task.position]
    attempt = f"{index} in stage {stage.id}.{stage.attempt}"
    return (
        f"Task {attempt} failed {failures} times, most recent failure: "
        f"Lost task {index}.{task.attempt} in stage {stage.id}.{stage.attempt} (TID {task.task_id}) "
        f"(executor {task.executor_id}, partition {index}, {stage.name}):"
    )


def _barrier_headline(stage: Stage, task: RunningTask, failures: int) -> str:
    kind = "ResultTask" if stage.shuffle_id is None else "ShuffleMapTask"
    reason = f"Stage failed because barrier task {kind}({stage.id}, {stage.partitions[task.position]})"
    if stage.shuffle_id is None:
        what = "Could not recover from a failed barrier ResultStage"
    else:
        what = f"ShuffleMapStage {stage.id} ({stage.name}) has failed the maximum allowable number of times: {failures}"
    return f"{what}. Most recent failure reason: {reason} finished unsuccessfully."
