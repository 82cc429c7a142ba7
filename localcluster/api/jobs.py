"""`Jobs`: the part of a context that runs jobs and cancels them.

Covers what a job takes from its thread and from the context's settings. How it is planned and run is in
``driver.job_runner``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from localcluster.base.call_site import call_site
from localcluster.conf.job_properties import JOB_GROUP, JobProperties, check_tag, tags_of
from localcluster.rdd.cached_as import look_at_entries
from localcluster.serializers.record_encoding import EncodedResult
from protocol.sql_errors import IllegalArgumentException

if TYPE_CHECKING:
    from localcluster.driver.cluster import Cluster
    from localcluster.driver.job_runner import JobRunner
    from localcluster.driver.running_job import RunningJob
    from localcluster.rdd.checkpoint import Checkpoints
    from localcluster.rdd.job_service import PlannedJob
    from localcluster.rdd.rdd import RDD
    from localcluster.serializers.framing import Serializer
    from localcluster.task.task_context import TaskContext

T = TypeVar("T")
U = TypeVar("U")


class Jobs:
    """How RDDs run jobs in a context.

    See `rdd.job_service.RunsJobs`. ``encoding`` is what results go through, if the program has chosen one.
    """

    def __init__(
        self, cluster: Cluster, runner: JobRunner, checkpoints: Checkpoints, encoding: Serializer | None
    ) -> None:
        self.properties = JobProperties()
        self._cluster = cluster
        self._runner = runner
        self._checkpoints = checkpoints
        self._encoding = encoding

    def run(
        self, rdd: RDD[T], func: Callable[[TaskContext, Iterable[T]], U], partitions: Sequence[int] | None = None
    ) -> list[U]:
        chosen = range(rdd.getNumPartitions()) if partitions is None else list(partitions)
        results: list[Any] = [None] * len(chosen)
        self.plan(rdd, func, chosen, results.__setitem__).run()
        self._checkpoints.write(rdd)
        return results

    def plan(
        self,
        rdd: RDD[T],
        func: Callable[[TaskContext, Iterable[T]], U],
        partitions: Sequence[int],
        on_result: Callable[[int, U], None],
    ) -> RunningJob:
        known = rdd.getNumPartitions()
        for index in partitions:
            if not 0 <= index < known:
                raise IllegalArgumentException(
                    f"Attempting to access a non-existent partition: {index}. Total number of partitions: {known}"
                )
        look_at_entries(rdd)
        if self._encoding is not None:
            func = EncodedResult(func, self._encoding)
        return self._runner.plan(rdd, func, partitions, self.properties.copy(), call_site(), on_result)

    def plan_calls(
        self,
        rdd: RDD[T],
        func: Callable[[TaskContext, Iterable[T]], U],
        name: str,
        on_result: Callable[[int, U], None],
        told: Callable[[], object],
    ) -> RunningJob:
        """A job on all partitions whose results are not records of the program's: nothing encodes them. ``told()`` is
        called whenever there is something for ``collect(0)``, under the driver's lock.
        """
        partitions = range(rdd.getNumPartitions())
        return self._runner.plan(rdd, func, partitions, self.properties.copy(), name, on_result, told=told)

    def finish_in_background(self, job: PlannedJob) -> None:
        self._runner.finish_in_background(job)

    def cancel_group(self, group: str) -> None:
        self._cluster.cancel_where(
            lambda job: job.properties.get(JOB_GROUP) == group, f"part of cancelled job group {group}"
        )

    def cancel_tagged(self, tag: str) -> None:
        check_tag(tag)
        self._cluster.cancel_where(lambda job: tag in tags_of(job.properties), f"part of cancelled job tags {tag}")

    def cancel_all(self) -> None:
        self._cluster.cancel_where(lambda job: True, "as part of cancellation of all jobs")

    def stop(self) -> None:
        """After the cluster's stop."""
        self._runner.stop()
