"""What the failure of a task means for its stage: tried again, run again with what it misses, or given up.

Covers that decision. The task itself is queued again by its ``task_set``; how a job ends is ``dag_scheduler``'s.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeAlias

from localcluster.scheduler.instruction import Instruction
from localcluster.scheduler.limits import Limits
from localcluster.scheduler.map_output_tracker import MapOutputTracker
from localcluster.scheduler.running_task import RunningTask
from localcluster.scheduler.stage import Stage
from localcluster.scheduler.stages import Stages
from localcluster.scheduler.task_set import TaskSet
from protocol.cluster_messages import TaskFailed
from protocol.errors import JobError
from protocol.events import Recorder, TaskRetried

log = logging.getLogger(__name__)

ABORTED = "Job aborted due to stage failure: "
LOST = "ExecutorLostFailure"

TaskFailure: TypeAlias = Callable[[Stage, RunningTask, TaskFailed, int], BaseException]
AbortStage: TypeAlias = Callable[[Stage, BaseException, "bytes | None"], None]


class StageFailures:
    """``describe_failure`` makes the error that ``abort`` ends the stage's jobs with."""

    def __init__(
        self,
        stages: Stages,
        outputs: MapOutputTracker,
        limits: Limits,
        describe_failure: TaskFailure,
        abort: AbortStage,
        record: Recorder,
    ) -> None:
        self._stages = stages
        self._outputs = outputs
        self._limits = limits
        self._describe_failure = describe_failure
        self._abort = abort
        self._record = record

    def retry_or_give_up(self, task_set: TaskSet, task: RunningTask, failure: TaskFailed, blamed: bool = True) -> None:
        """The task is queued again already: leave it at that, unless it was one time too many."""
        stage = task_set.stage
        if not self._stages.is_current(task_set):  # the failure of a retired attempt: the current one runs it again
            self._retried(task_set, task, failure, blamed=False)
        elif failure.kind != "fatal" and not task_set.exhausted(task.position):
            self._retried(task_set, task, failure, blamed)
        else:
            error = self._describe_failure(stage, task, failure, task_set.failures[task.position])
            self._abort(stage, error, failure.error)

    def _retried(self, task_set: TaskSet, task: RunningTask, failure: TaskFailed, blamed: bool) -> None:
        """Nothing is told of what nobody waits for."""
        if self._stages.map_stages.latest(task_set.stage).jobs:
            ref, reason = task_set.ref(task), _in_brief(failure.text)
            self._record(TaskRetried(time.time(), ref, task.executor_id, reason, blamed))

    def fetch_failed(
        self, task_set: TaskSet, task: RunningTask | None, failure: TaskFailed, now: float
    ) -> list[Instruction]:
        """A reducer could not read map outputs: compute them again, then the rest of this stage."""
        stage = task_set.stage
        assert failure.fetch is not None
        shuffle_id, missed = failure.fetch
        lost = {map_index: map_id for map_index, map_id in missed.items() if map_id is not None}
        for map_index, map_id in lost.items():
            self._outputs.lose_output(shuffle_id, map_index, map_id)
        if not self._stages.is_current(task_set):  # another task of the same attempt reported first
            if task is not None:
                self._retried(task_set, task, failure, blamed=False)
            return []
        if lost or not missed:  # else it only met what is computed again for the failure of another stage
            stage.fetch_failures += 1
        if stage.fetch_failures >= self._limits.stage_attempts:
            text = f"{stage.name} (stage {stage.id}) has failed the maximum allowable number of times"
            times = f"{text}: {stage.fetch_failures}. {failure.text}"
            self._abort(stage, JobError(f"{ABORTED}{times}"), None)
            return []
        log.info("stage %d lost an input (%s); computing it again", stage.id, failure.text)
        if task is not None:
            self._retried(task_set, task, failure, blamed=False)
        return self._stages.resume(stage, failure.text, now)

    def barrier_failed(
        self, task_set: TaskSet, task: RunningTask, failure: TaskFailed, now: float
    ) -> list[Instruction]:
        """One task of a barrier stage failed: stop the others, and run all of them again."""
        stage = task_set.stage
        if not self._stages.is_current(task_set):  # another task of the same attempt failed first
            self._retried(task_set, task, failure, blamed=False)
            return []
        stage.barrier_failures += 1
        most = self._limits.barrier_attempts(stage.shuffle_id is None, failure.kind == "executor_lost")
        if failure.kind == "fatal" or stage.barrier_failures >= most:
            error = self._describe_failure(stage, task, failure, stage.barrier_failures)
            self._abort(stage, error, failure.error)
            return []
        log.info("a task of barrier stage %d failed; running all of them again", stage.id)
        self._retried(task_set, task, failure, blamed=True)
        return self._stages.restart(stage, f"another task of barrier stage {stage.id} failed", now)


def _in_brief(text: str) -> str:
    """On one line. Of a traceback the last line, what was raised; of a crash also the frame in which it was."""
    first, *others = text.strip().splitlines() or [""]
    if others and text.startswith(LOST):
        return f"{first} {others[-1].strip()}"
    return others[-1] if others and text.startswith("Traceback") else first
