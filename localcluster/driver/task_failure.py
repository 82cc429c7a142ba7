"""The error that a job ends with when one of its tasks failed for good."""

from __future__ import annotations

import logging
import pickle

from localcluster.scheduler.stage import Stage
from localcluster.scheduler.task_set import RunningTask
from protocol.cluster_messages import TaskFailed
from protocol.errors import TaskError

log = logging.getLogger(__name__)


def task_failure(stage: Stage, task: RunningTask, failure: TaskFailed, failures: int) -> TaskError:
    """Spark's wording, then the user's own traceback. ``cause`` and ``__cause__`` are the original exception."""
    index = stage.partitions[task.position]
    attempt = f"{index} in stage {stage.id}.{stage.attempt}"
    error = TaskError(
        f"Job aborted due to stage failure: Task {attempt} failed {failures} times, most recent failure: "
        f"Lost task {index}.{task.attempt} in stage {stage.id}.{stage.attempt} (TID {task.task_id}) "
        f"(executor {task.executor_id}, partition {index}, {stage.name}):\n{failure.text}"
    )
    if failure.error is not None:
        try:
            cause = pickle.loads(failure.error)
        except Exception:
            log.debug("the task's exception cannot be unpickled here", exc_info=True)
        else:
            error.cause = error.__cause__ = cause
    return error
