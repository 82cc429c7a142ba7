"""Whether there will ever be as many slots as a barrier stage that waits needs, and its end if not.

A plain state machine: no clock (``now`` in seconds is passed in). All tasks of such a stage are launched at once, so it
waits while executors are missing; when they do not come, it fails. Follows Spark's check when a job is submitted, with
its settings ``spark.scheduler.barrier.maxConcurrentTasksCheck.*``.
"""

from __future__ import annotations

from collections.abc import Iterable

from localcluster.scheduler.task_set import TaskSet
from protocol.errors import JobError


class BarrierSlotChecks:
    """``interval`` between two checks is in seconds; after more than ``max_failures`` in a row a stage is given up."""

    def __init__(self, interval: float, max_failures: int) -> None:
        self._interval = interval
        self._max_failures = max_failures
        self._failed: dict[int, tuple[int, float]] = {}  # {stage key: checks that failed, when the next one is due}

    def check(self, task_sets: Iterable[TaskSet], slots: int, now: float) -> list[tuple[TaskSet, JobError]]:
        """The barrier stages to be given up, with their errors. ``slots`` is how many there are, taken or not."""
        waiting = {s.key: s for s in task_sets if s.barrier is not None and s.pending > slots}
        self._failed = {key: failed for key, failed in self._failed.items() if key in waiting}
        hopeless = []
        for key, task_set in waiting.items():
            failures, due = self._failed.get(key, (0, now))
            if now >= due:
                failures, due = failures + 1, now + self._interval
            self._failed[key] = failures, due
            if failures > self._max_failures:
                hopeless.append((task_set, too_few_slots(task_set.pending, slots)))
        return hopeless


def too_few_slots(partitions: int, slots: int) -> JobError:
    """Spark's wording."""
    return JobError(
        "[SPARK-24819]: Barrier execution mode does not allow run a barrier stage that requires more slots than "
        "the total number of slots in the cluster currently. Please init a new cluster with more resources(e.g. "
        "CPU, GPU) or repartition the input RDD(s) to reduce the number of slots required to run this barrier "
        f"stage. (It has {partitions} partitions, the cluster {slots} slots.)"
    )
