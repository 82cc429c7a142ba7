"""`JobService`: all that RDDs ask of the context that they were made by. `SparkContext` is one.

Covers what it can do, not how: RDDs know no more of the driver than this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from localcluster.conf.setting import Texts
    from localcluster.rdd.checkpoint import Checkpoints
    from localcluster.rdd.core import RDDCore
    from localcluster.rdd.dependency import ShuffleDependency
    from localcluster.rdd.partition_data import PartitionData
    from localcluster.rdd.rdd import RDD
    from localcluster.serializers.framing import Serializer
    from localcluster.task.task_context import TaskContext

T = TypeVar("T")
U = TypeVar("U")


class PlannedJob(Protocol):
    """A job that is its caller's to start."""

    def start(self) -> None:
        """Submit the job; `collect` or `abandon_later` must follow."""

    def collect(self, seconds: float | None = None) -> bool:
        """Take the results of the started job until it has ended (True) or ``seconds`` are over (False). Raises what
        its tasks raise.
        """

    def abandon_later(self) -> None:
        """Cancel the job unless it has ended. Does not wait, so that finalizers may call it."""


class RunsJobs(Protocol):
    """``func(task_context, iterator)`` is what the tasks of a job do."""

    def run(
        self, rdd: RDD[T], func: Callable[[TaskContext, Iterable[T]], U], partitions: Sequence[int] | None = None
    ) -> list[U]:
        """What ``func`` gives for each partition, in the order of ``partitions``. Then write checkpoints of what was
        computed, where RDDs are marked for it.
        """

    def plan(
        self,
        rdd: RDD[T],
        func: Callable[[TaskContext, Iterable[T]], U],
        partitions: Sequence[int],
        on_result: Callable[[int, U], None],
    ) -> PlannedJob:
        """A job that was not started; ``on_result(position, value)`` gets what ``func`` gives for
        ``partitions[position]``. Raises IllegalArgumentException for a partition that does not exist.
        """

    def finish_in_background(self, job: PlannedJob) -> None:
        """Let a started job go on though nobody waits for its results."""


class KeepsData(Protocol):
    """What is kept for RDDs until they are collected: records, blocks, outputs of shuffles, checkpoints."""

    def put_partition(self, values: list[Any]) -> PartitionData:
        """Serialise the records of one partition of a collection. Raises what pickling them raises."""

    def persist(self, rdd: RDD[Any]) -> None:
        """Remove the RDD's blocks when it is collected."""

    def unpersist(self, rdd_id: int, blocking: bool) -> None:
        """Remove the RDD's blocks now; wait until they are gone if ``blocking``."""

    def stored_partitions(self, rdd_id: int) -> dict[int, tuple[int, int]]:
        """{partition index: (bytes in memory, bytes on disk)} of the RDD's blocks, all copies together."""

    def missing_partitions(self, rdd: RDDCore[Any]) -> list[int]:
        """The partitions of which nobody holds a block."""

    def register_shuffle(self, dependency: ShuffleDependency) -> None:
        """Remove the shuffle's outputs when the dependency is collected."""

    def remove_shuffle(self, shuffle_id: int, blocking: bool) -> None:
        """Remove the shuffle's outputs now; wait until they are gone if ``blocking``."""

    def register_checkpoint(self, checkpoint: RDDCore[Any], directory: str) -> None:
        """Remove the files when the RDD that reads them is collected, if the settings say so."""


class JobService(Protocol):
    """Names without an underscore are PySpark's, and mean what they mean on its ``SparkContext``."""

    @property
    def conf(self) -> Texts: ...

    @property
    def applicationId(self) -> str: ...

    @property
    def defaultParallelism(self) -> int: ...

    @property
    def defaultMinPartitions(self) -> int: ...

    @property
    def serializer(self) -> Serializer: ...

    @property
    def _batchSize(self) -> int: ...

    @property
    def _jobs(self) -> RunsJobs: ...

    @property
    def _kept(self) -> KeepsData: ...

    @property
    def _checkpoints(self) -> Checkpoints: ...

    def _next_rdd_id(self) -> int: ...

    def _next_shuffle_id(self) -> int: ...

    def parallelize(self, c: Iterable[T], numSlices: int | None = None) -> RDD[T]: ...

    def setJobGroup(self, groupId: str, description: str, interruptOnCancel: bool = False) -> None: ...
