"""`JobControl`: the part of a context that runs jobs, labels them and cancels them.

Covers `runJob`, local properties, job groups. How a job is run is in ``driver.job_runner``; what a thread's properties
lead to in ``scheduler``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from localcluster.rdd.call_site import call_site

if TYPE_CHECKING:
    from localcluster.driver.cluster import Cluster
    from localcluster.driver.job_runner import JobRunner
    from localcluster.rdd.rdd import RDD
    from localcluster.task_context import TaskContext

T = TypeVar("T")
U = TypeVar("U")


class JobControl:
    """A part of `SparkContext`."""

    _cluster: Cluster
    _jobs: JobRunner
    _properties: threading.local

    def runJob(
        self,
        rdd: RDD[T],
        partitionFunc: Callable[[Iterable[T]], Iterable[U]],
        partitions: Sequence[int] | None = None,
        allowLocal: bool = False,
    ) -> list[U]:
        """Run ``partitionFunc`` on the iterator of each partition; all their results in one list.

        ``allowLocal`` has no meaning any more, as in PySpark.
        """
        parts = self.run_tasks(rdd, lambda _, records: list(partitionFunc(records)), partitions)
        return [record for part in parts for record in part]

    def run_tasks(
        self, rdd: RDD[T], func: Callable[[TaskContext, Iterable[T]], U], partitions: Sequence[int] | None = None
    ) -> list[U]:
        """``func(task_context, iterator)`` of each partition, in the order of ``partitions``."""
        chosen = range(rdd.getNumPartitions()) if partitions is None else list(partitions)
        known = rdd.getNumPartitions()
        if any(not 0 <= index < known for index in chosen):
            raise IndexError(f"partitions must be from 0 to {known - 1}, not {list(chosen)}")
        results: list[Any] = [None] * len(chosen)
        self._jobs.run(rdd, func, chosen, self._job_properties(), call_site(), results.__setitem__)
        return results

    def setLocalProperty(self, key: str, value: str | None) -> None:
        """Set a property of the jobs that this thread starts; None removes it."""
        properties = self._job_properties()
        if value is None:
            properties.pop(key, None)
        else:
            properties[key] = str(value)
        self._properties.values = properties

    def getLocalProperty(self, key: str) -> str | None:
        return self._job_properties().get(key)

    def setJobGroup(self, groupId: str, description: str, interruptOnCancel: bool = False) -> None:
        """Put the jobs that this thread starts into a group, for `cancelJobGroup`. Tasks are always interrupted."""
        self.setLocalProperty("spark.jobGroup.id", groupId)
        self.setLocalProperty("spark.job.description", description)
        self.setLocalProperty("spark.job.interruptOnCancel", str(interruptOnCancel).lower())

    def setJobDescription(self, value: str | None) -> None:
        self.setLocalProperty("spark.job.description", value)

    def cancelJobGroup(self, groupId: str) -> None:
        """Cancel the group's jobs; they end with JobCancelledError."""
        self._cluster.cancel_where(
            lambda job: job.properties.get("spark.jobGroup.id") == groupId, f"part of cancelled job group {groupId}"
        )

    def cancelAllJobs(self) -> None:
        self._cluster.cancel_where(lambda job: True, "as part of cancellation of all jobs")

    def _job_properties(self) -> dict[str, str]:
        return dict(getattr(self._properties, "values", {}))
