"""`JobControl`: the methods of a context that run jobs, say what the jobs of a thread are, watch and cancel them.

How a job is run is in `jobs`; what a thread says of its jobs is kept by ``conf.job_properties``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, TypeVar, get_args, overload

from localcluster.base.arguments import check_function, wrong_type
from localcluster.conf.job_properties import INTERRUPT_ON_CANCEL, JOB_DESCRIPTION, JOB_GROUP, JOB_TAGS
from localcluster.rdd.core import check_rdd
from protocol.events import Event

if TYPE_CHECKING:
    from localcluster.api.jobs import Jobs
    from localcluster.api.status import StatusTracker
    from localcluster.driver.cluster import Cluster
    from localcluster.driver.status import Statistics
    from localcluster.faults.builders import Part
    from localcluster.rdd.rdd import RDD

T = TypeVar("T")
U = TypeVar("U")
E = TypeVar("E", bound=Event)


class JobControl:
    """Methods of `SparkContext`. What is set belongs to a thread: other threads start without any, see
    ``compat.threads`` for those that inherit.
    """

    _cluster: Cluster
    _jobs: Jobs

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
        parts = self._jobs.run(rdd, lambda _, records: list(partitionFunc(records)), partitions)
        return [record for part in parts for record in part]

    def faults(self, *plans: Part, seed: int | None = None, strict: bool = False) -> AbstractContextManager[None]:
        """Inject these faults on purpose while the ``with`` block runs: texts, rules of ``localcluster.faults``, plans,
        and lists of these. Without ``with`` nothing is armed, and a RuntimeWarning says so.

        Blocks may be nested. ``seed`` is that of the first plan, or 0, when it is not given. A rule that never fired is
        warned of at the end, or with ``strict`` raises FaultNeverFiredError. Raises FaultPlanError for what has no
        meaning; nothing is armed then.
        """
        from localcluster.api.fault_plans import Faults  # few programs have faults
        from localcluster.faults.builders import plan

        return Faults(self._cluster, plan(*plans, seed=seed), strict)

    def setLocalProperty(self, key: str, value: str | None) -> None:
        """Set a property of the jobs that this thread starts; None removes it.

        Raises PySparkTypeError for a key that is no string.
        """
        self._jobs.properties.set(key, value)

    def getLocalProperty(self, key: str) -> str | None:
        """A property of this thread's jobs, None when it is not set."""
        return self._jobs.properties.copy().get(key)

    def setJobGroup(self, groupId: str, description: str, interruptOnCancel: bool = False) -> None:
        """Put the jobs that this thread starts into a group, for `cancelJobGroup`.

        ``interruptOnCancel`` is noted, as in PySpark, and has no further meaning: tasks are always interrupted.
        """
        self.setLocalProperty(JOB_GROUP, groupId)
        self.setLocalProperty(JOB_DESCRIPTION, description)
        self.setInterruptOnCancel(interruptOnCancel)

    def setJobDescription(self, value: str | None) -> None:
        """Describe the jobs that this thread starts."""
        self.setLocalProperty(JOB_DESCRIPTION, value)

    def setInterruptOnCancel(self, interruptOnCancel: bool) -> None:
        """Noted as a local property, as in PySpark, and without further meaning: tasks are always interrupted."""
        self.setLocalProperty(INTERRUPT_ON_CANCEL, str(interruptOnCancel).lower())

    def addJobTag(self, tag: str) -> None:
        """Tag the jobs that this thread starts, for `cancelJobsWithTag`.

        Raises IllegalArgumentException for a tag that is empty, None or has a comma.

        >>> sc.addJobTag("nightly")
        >>> sc.getJobTags()
        {'nightly'}
        >>> sc.clearJobTags()
        """
        self._jobs.properties.add_tag(tag)

    def removeJobTag(self, tag: str) -> None:
        """Tag this thread's jobs so no longer. Nothing happens if they were not. Raises as `addJobTag`."""
        self._jobs.properties.remove_tag(tag)

    def getJobTags(self) -> set[str]:
        """The tags of the jobs that this thread starts."""
        return set(self._jobs.properties.tags())

    def clearJobTags(self) -> None:
        """Tag this thread's jobs no longer."""
        self.setLocalProperty(JOB_TAGS, None)

    def cancelJobGroup(self, groupId: str) -> None:
        """Cancel the group's jobs; they end with JobCancelledError."""
        self._jobs.cancel_group(str(groupId))  # as local properties are

    def cancelJobsWithTag(self, tag: str) -> None:
        """Cancel the jobs that have the tag; they end with JobCancelledError. Raises as `addJobTag`."""
        self._jobs.cancel_tagged(tag)

    def cancelAllJobs(self) -> None:
        """Cancel every job, queued or running."""
        self._jobs.cancel_all()

    def statusTracker(self) -> StatusTracker:
        """What jobs and stages are doing, also from other threads than theirs."""
        from localcluster.api.status import StatusTracker  # few programs need it

        return StatusTracker(self._cluster.status)

    def statistics(self) -> Statistics:
        """Numbers of what the context holds and did so far: executors, jobs, stages, tasks, blocks, messages, events. A
        frozen moment, from any thread, also of a context that is stopped. Not PySpark's.

        >>> before = sc.statistics()
        >>> sc.parallelize(range(10), 4).sum()
        45
        >>> sc.statistics().tasks.finished - before.tasks.finished
        4
        """
        return self._cluster.status.statistics()

    @overload
    def events(self) -> tuple[Event, ...]: ...
    @overload
    def events(self, kind: type[E], /) -> tuple[E, ...]: ...
    @overload
    def events(self, *types: type[Event]) -> tuple[Event, ...]: ...

    def events(self, *types: type[Any]) -> tuple[Any, ...]:
        """What has happened so far, in the order in which the driver heard of it: executors lost, tasks tried again,
        blocks computed again, faults that fired, and the like; only those of these ``types`` of `localcluster.events`,
        if any are given. Not PySpark's.

        From any thread, also of a context that is stopped. Of each type the newest 10,000 are kept; how many there were
        is in ``sc.statistics().events``. Raises PySparkTypeError for what is no type of events.

        >>> from localcluster.events import ExecutorLost, TaskStarted
        >>> sc.parallelize(range(10), 4).sum()
        45
        >>> [event.task.partition for event in sc.events(TaskStarted)][-4:]
        [0, 1, 2, 3]
        >>> sc.events(ExecutorLost)
        ()
        """
        for kind in types:
            if kind not in get_args(Event):
                raise wrong_type(kind, "types", "classes of localcluster.events")
        return self._cluster.status.events(*types)
