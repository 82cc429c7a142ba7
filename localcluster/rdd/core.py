"""What an RDD is: partitions, dependencies, a way to compute one partition, and whether it is kept once computed.

`RDDCore` is what the groups of API methods (`narrow`, `actions`, `by_key`, …) build on and what every kind of RDD fills
in. Does not cover any transformation or action.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast

from localcluster.base.arguments import check_type, wrong_type
from localcluster.base.call_site import call_site
from localcluster.base.no_jvm import NoJVM
from localcluster.base.storage_level import StorageLevel
from localcluster.rdd.dependency import Dependency, OneToOneDependency
from localcluster.rdd.lineage import require_lineage_pickling
from localcluster.rdd.partition import Partition
from localcluster.shuffle.partitioner import Partitioner
from protocol.errors import NotAnRDDError, SparkException
from storage.block_id import RDDBlockId

if TYPE_CHECKING:
    from localcluster.rdd.checkpoint import Checkpoint
    from localcluster.rdd.job_service import JobService, PlannedJob
    from localcluster.rdd.rdd import RDD
    from localcluster.serializers.framing import Serializer
    from localcluster.task.task_context import TaskContext

T = TypeVar("T")
Self = TypeVar("Self", bound="RDDCore[Any]")
_OF_CHECKPOINTED = ("_id", "_storage_level", "_checkpoint_rdd")  # all that an executor needs of a checkpointed RDD


class RDDCore(Generic[T]):
    """An immutable, partitioned collection, computed when an action needs it. Made in the driver; executors hold copies
    that can do no more than `iterator`.

    ``dependencies`` may only be read after construction. ``partitioner`` says how keys are placed, where that is known.
    ``is_cached`` and ``is_checkpointed`` are PySpark's: whether the program has asked for it.
    """

    kind: ClassVar[str | None] = None
    """What Spark calls RDDs of this class in texts; None: the same as the class."""

    _travels: ClassVar[tuple[str, ...]] = ("_id", "dependencies", "_storage_level", "_checkpoint_rdd")
    """Names of the attributes that executors get: those that `compute` reads. All others stay in the driver."""

    _jrdd = NoJVM()

    def __init__(
        self, ctx: JobService, dependencies: tuple[Dependency, ...] = (), partitioner: Partitioner | None = None
    ) -> None:
        self.ctx = ctx
        self.dependencies = dependencies
        self.partitioner = partitioner
        self.is_cached = False
        self.is_checkpointed = False
        self.call_site = call_site()
        self._id: int = ctx._next_rdd_id()
        self._name: str | None = None
        self._storage_level = StorageLevel.NONE
        self._partition_list: list[Partition] | None = None
        self._checkpoint: Checkpoint | None = None  # the mark that asks for a checkpoint
        self._checkpoint_rdd: RDDCore[T] | None = None  # what the records are read from, once it is written
        self._keeps_disk = False  # once the lineage is cut, blocks are all there is: `localCheckpoint`

    starts_barrier = False
    """Whether the stage that computes this RDD must be a barrier stage."""

    # --- to be filled in by each kind of RDD ---------------------------------------------------------------------

    def _make_partitions(self) -> list[Partition]:
        """The partitions, index i at position i. Runs in the driver, at most once or so."""
        raise NotImplementedError

    def compute(self, partition: Partition, task_context: TaskContext) -> Iterator[T]:
        """The records of one partition. Runs in a task; reads parents by their `iterator`. Lazy wherever it can be."""
        raise NotImplementedError

    def preferred_locations(self, partition: Partition) -> list[str]:
        """Executors that this RDD itself would like for the partition. Where cached blocks are is the scheduler's
        business.
        """
        return []

    def _functions(self) -> tuple[Callable[..., Any], ...]:
        """User functions that this RDD holds, for pickling."""
        return ()

    # --- what all share ------------------------------------------------------------------------------------------

    def _partitions(self) -> list[Partition]:
        if self._partition_list is None:
            self._partition_list = self._make_partitions()
        return self._partition_list

    def iterator(self, partition: Partition, task_context: TaskContext) -> Iterator[T]:
        """The records of one partition: from the cache when this RDD is persisted (and into it when missing there)."""
        if not self._storage_level.is_valid:
            return self._compute_or_read(partition, task_context)
        block, values = task_context.env.block_manager.get_or_else_update(
            RDDBlockId(self._id, partition.index),
            self._storage_level,
            lambda: self._compute_or_read(partition, task_context),
        )
        return cast("Iterator[T]", values if block is None else block.values)

    def _compute_or_read(self, partition: Partition, task_context: TaskContext) -> Iterator[T]:
        source = self if self._checkpoint_rdd is None else self._checkpoint_rdd
        return source.compute(partition, task_context)

    def _is_computed_in_place(self) -> bool:
        """Whether `iterator` is nothing but `compute`."""
        return not self._storage_level.is_valid and self._checkpoint_rdd is None

    def _cut_lineage(self, checkpoint: RDDCore[T]) -> None:
        """From now on the records are read from ``checkpoint``, and what they were computed from is forgotten.

        Other threads may be planning jobs on this RDD. They see it before or after: `__getstate__` takes a snapshot in
        which ``_checkpoint_rdd`` decides, and a plan takes partitions before it pickles, for older partitions fit a
        newer lineage (only their index is used then) and not the other way round.
        """
        self._checkpoint_rdd = checkpoint
        self.dependencies = (OneToOneDependency(checkpoint),)
        self._partition_list = checkpoint._partitions()
        self.starts_barrier = False

    def __getstate__(self) -> dict[str, Any]:
        require_lineage_pickling()
        state = self.__dict__.copy()
        names = self._travels if state["_checkpoint_rdd"] is None else _OF_CHECKPOINTED
        return {name: state[name] for name in names}

    def __repr__(self) -> str:
        name = f"{self._name} " if getattr(self, "_name", None) else ""
        return f"{name}{self.kind or type(self).__name__}[{self._id}] at {getattr(self, 'call_site', 'executor')}"

    @property
    def context(self) -> Any:  # a `SparkContext`, of which RDDs know no more than a `JobService`
        """The context that this RDD was made by."""
        return self.ctx

    @property
    def _jrdd_deserializer(self) -> Serializer:
        """The context's serializer, for programs that pass it on as PySpark's own do."""
        return self.ctx.serializer

    def _reserialize(self: Self, serializer: Serializer | None = None) -> Self:
        """The RDD itself. In PySpark one whose records are encoded by ``serializer`` between Python and the JVM."""
        return self

    def _pickled(self: Self) -> Self:
        """As `_reserialize`."""
        return self

    def id(self) -> int:
        """A number unique within the context."""
        return self._id

    def name(self) -> str | None:
        """The name given with `setName`, if any."""
        return self._name

    def setName(self: Self, name: str) -> Self:
        """Name this RDD, for progress bars and debug strings. Returns the RDD itself."""
        check_type(name, (str, type(None)), "name", "a str")
        self._name = name
        return self

    def getNumPartitions(self) -> int:
        """Number of partitions.

        >>> sc.parallelize([1, 2, 3, 4], 2).getNumPartitions()
        2
        """
        return len(self._partitions())

    def persist(self: Self, storageLevel: StorageLevel = StorageLevel.MEMORY_ONLY) -> Self:
        """Keep the partitions, once computed, at this level. Returns the RDD itself.

        Raises SparkException when the RDD has another level already (`unpersist` it first), TypeError when that is no
        level.
        """
        if not isinstance(storageLevel, StorageLevel):
            raise TypeError(f"storageLevel must be of type StorageLevel, not {type(storageLevel).__name__}")
        if self._keeps_disk:
            storageLevel = _with_disk(storageLevel)
        elif self._storage_level.is_valid and storageLevel != self._storage_level:
            raise SparkException("Cannot change storage level of an RDD after it was already assigned a level")
        self.is_cached = True
        self._storage_level = storageLevel
        self.ctx._kept.persist(cast("RDD[Any]", self))
        return self

    def cache(self: Self) -> Self:
        """Persist at the default level, MEMORY_ONLY."""
        return self.persist(StorageLevel.MEMORY_ONLY)

    def unpersist(self: Self, blocking: bool = False) -> Self:
        """Drop the kept partitions, from all executors; wait until they are gone if ``blocking``. Returns the RDD
        itself.
        """
        self.is_cached = False
        self._storage_level = StorageLevel.NONE
        self.ctx._kept.unpersist(self._id, blocking)
        return self

    def getStorageLevel(self) -> StorageLevel:
        """The level set with `persist`, else ``StorageLevel.NONE``."""
        return self._storage_level

    def toDebugString(self) -> bytes:
        """The RDD and what it is computed from, one RDD a line, one step of indentation per shuffle."""
        from localcluster.rdd.debug_string import debug_string  # which knows kinds of RDD, that derive from this class

        return debug_string(self).encode("utf-8")

    def _defaultReducePartitions(self) -> int:
        """How many partitions a shuffle makes when the user does not say."""
        if self.ctx.conf.get("spark.default.parallelism") is not None:
            return self.ctx.defaultParallelism
        return self.getNumPartitions()

    def _per_partition(self, func: Callable[[Iterator[T]], Any], partitions: Sequence[int] | None = None) -> list[Any]:
        """Run a job: what ``func`` makes of each partition, in the order of the partitions."""
        chosen = range(self.getNumPartitions()) if partitions is None else partitions
        return self.ctx._jobs.run(cast("RDD[Any]", self), _OnIterator(func), chosen)

    def _plan_job(
        self, func: Callable[[Iterator[T]], Any], partitions: Sequence[int], on_result: Callable[[int, Any], None]
    ) -> PlannedJob:
        """As `_per_partition`, but the job is the caller's to start; ``on_result(position, value)`` gets what ``func``
        makes of ``partitions[position]``.
        """
        return self.ctx._jobs.plan(cast("RDD[Any]", self), _OnIterator(func), partitions, on_result)


def check_rdd(rdd: object, parameter: str) -> None:
    """Raises NotAnRDDError unless it is one."""
    if not isinstance(rdd, RDDCore):
        raise wrong_type(rdd, parameter, "an RDD", NotAnRDDError)


def _with_disk(level: StorageLevel) -> StorageLevel:
    return type(level)(True, level.use_memory, level.use_off_heap, level.deserialized, level.replication)


class _OnIterator:
    """Adapts a function of an iterator to what the scheduler runs, a function of task context and iterator."""

    __slots__ = ("func",)

    def __init__(self, func: Callable[[Iterator[Any]], Any]) -> None:
        self.func = func

    def __call__(self, task_context: TaskContext, iterator: Any) -> Any:
        return self.func(iterator)

    def __repr__(self) -> str:  # seen when the function cannot be pickled
        return repr(self.func)
