"""`JobControl`: the part of a context that runs jobs, watches them and cancels them.

How a job is run is in ``driver.job_runner``, what a thread says of its jobs in ``job_properties``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from localcluster.api.checkpoints import Checkpoints
from localcluster.api.status import StatusTracker
from localcluster.base.arguments import check_function
from localcluster.base.call_site import call_site
from localcluster.conf.job_properties import JOB_GROUP, JobProperties, check_tag, tags_of
from localcluster.rdd.core import check_rdd
from localcluster.serializers.record_encoding import EncodedResult
from protocol.sql_errors import IllegalArgumentException

if TYPE_CHECKING:
    from localcluster.driver.cluster import Cluster
    from localcluster.driver.job_runner import JobRunner
    from localcluster.driver.running_job import RunningJob
    from localcluster.rdd.rdd import RDD
    from localcluster.serializers.framing import Serializer
    from localcluster.task.task_context import TaskContext

T = TypeVar("T")
U = TypeVar("U")


class JobControl(JobProperties, Checkpoints):
    """A part of `SparkContext`."""

    _cluster: Cluster
    _jobs: JobRunner
    _own_serializer: Serializer | None

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
        check_rdd(rdd, "rdd")
        check_function(partitionFunc, "partitionFunc")
        parts = self.run_tasks(rdd, lambda _, records: list(partitionFunc(records)), partitions)
        return [record for part in parts for record in part]

    def run_tasks(
        self, rdd: RDD[T], func: Callable[[TaskContext, Iterable[T]], U], partitions: Sequence[int] | None = None
    ) -> list[U]:
        """``func(task_context, iterator)`` of each partition, in the order of ``partitions``. Then write checkpoints of
        what was computed, where RDDs are marked for it.
        """
        chosen = range(rdd.getNumPartitions()) if partitions is None else list(partitions)
        results: list[Any] = [None] * len(chosen)
        self.plan_tasks(rdd, func, chosen, results.__setitem__).run()
        self.write_checkpoints(rdd)
        return results

    def plan_tasks(
        self,
        rdd: RDD[T],
        func: Callable[[TaskContext, Iterable[T]], U],
        partitions: Sequence[int],
        on_result: Callable[[int, U], None],
    ) -> RunningJob:
        """As `run_tasks`, but the job is the caller's to start; ``on_result(position, value)`` gets what ``func`` gives
        on ``partitions[position]``.
        """
        known = rdd.getNumPartitions()
        for index in partitions:
            if not 0 <= index < known:
                raise IllegalArgumentException(
                    f"Attempting to access a non-existent partition: {index}. Total number of partitions: {known}"
                )
        if self._own_serializer is not None:
            func = EncodedResult(func, self._own_serializer)
        return self._jobs.plan(rdd, func, partitions, self._job_properties(), call_site(), on_result)

    def finish_in_background(self, job: RunningJob) -> None:
        """Let a started job go on though nobody waits for its results."""
        self._jobs.finish_in_background(job)

    def cancelJobGroup(self, groupId: str) -> None:
        """Cancel the group's jobs; they end with JobCancelledError."""
        group = str(groupId)  # as local properties are
        self._cluster.cancel_where(
            lambda job: job.properties.get(JOB_GROUP) == group, f"part of cancelled job group {group}"
        )

    def cancelJobsWithTag(self, tag: str) -> None:
        """Cancel the jobs that have the tag; they end with JobCancelledError. Raises as `addJobTag`."""
        check_tag(tag)
        self._cluster.cancel_where(lambda job: tag in tags_of(job.properties), f"part of cancelled job tags {tag}")

    def cancelAllJobs(self) -> None:
        """Cancel every job, queued or running."""
        self._cluster.cancel_where(lambda job: True, "as part of cancellation of all jobs")

    def statusTracker(self) -> StatusTracker:
        """What jobs and stages are doing, also from other threads than theirs."""
        return StatusTracker(self._cluster.status)
