"""`NamedRDD`: partitions that are entries of the machine's cache, and what computes them when they are not there.

Covers what `cached_as` promises. Whether anything is to be computed is looked at before each job
(`cached_as.look_at_entries`): an RDD whose partitions are all there has no dependencies in that job, so that nothing is
computed that leads to it.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from localcluster.cache.cache import Cache
from localcluster.rdd.cached_as import named
from localcluster.rdd.core import RDDCore
from localcluster.rdd.dependency import Dependency, OneToOneDependency
from localcluster.rdd.lineage import walk
from localcluster.rdd.partition import Partition
from localcluster.rdd.rdd import RDD
from protocol.errors import CacheError

if TYPE_CHECKING:
    from localcluster.rdd.job_service import JobService
    from localcluster.task.task_context import TaskContext

T = TypeVar("T")
Self = TypeVar("Self", bound="NamedRDD[Any]")


class NamedPartition(Partition):
    """``parent`` is the partition that it is computed from, None while that is not known."""

    __slots__ = ("parent",)

    def __init__(self, index: int) -> None:
        super().__init__(index)
        self.parent: Partition | None = None


class NamedRDD(RDD[T]):
    """``cache`` is the namespace of the name, ``count`` how many partitions are there, all of them; None: not all.
    ``origin`` is what they are computed from, None when only the cache has them.
    """

    kind = "CachedAsRDD"

    _travels = (*RDD._travels, "entries", "partition_count", "ttl")

    def __init__(
        self, ctx: JobService, cache: Cache, count: int | None, origin: RDD[T] | None, ttl: float | None
    ) -> None:
        self._origin: tuple[Dependency, ...] = () if origin is None else (OneToOneDependency(origin),)
        # No partitioner: another program may have placed the keys by another function.
        super().__init__(ctx, self._origin if count is None else ())
        self.entries = cache
        self.partition_count = count  # None: as many as the origin has, until somebody asks
        self.ttl = ttl
        named.add(self)

    def _make_partitions(self) -> list[Partition]:
        if self.partition_count is None:
            self.partition_count = len(self._origin[0].rdd._partitions())
        return [NamedPartition(index) for index in range(self.partition_count)]

    def compute(self, partition: Partition, task_context: TaskContext) -> Iterator[T]:
        assert isinstance(partition, NamedPartition)
        parent = partition.parent
        key = (self.partition_count, partition.index)
        if not self.dependencies or parent is None:
            return self._read(key)
        origin = self.dependencies[0].rdd
        return self.entries.get_or_compute_records(key, lambda: origin.iterator(parent, task_context), ttl=self.ttl)

    def _read(self, key: tuple[Any, ...]) -> Iterator[T]:
        try:
            records: Iterator[T] = self.entries[key]
        except KeyError:
            raise CacheError(
                f"partition {key[1]} of {key[0]} in {self.entries} went away since the job began: run the action again "
                "to have it computed; if it comes again, the cache is too small for it"
            ) from None
        return records

    def unpersist(self: Self, blocking: bool = False) -> Self:
        """As of any RDD, what `persist` keeps for this run. What the name keeps for other runs stays, with a warning
        when there is nothing else.
        """
        if not self.is_cached:
            namespace = self.entries.namespace
            warnings.warn(
                f"unpersist removes nothing of what cacheAs keeps for other runs: Cache({namespace!r}).clear() or "
                f"`localcluster cache rm {namespace}` does",
                stacklevel=2,
            )
        return super().unpersist(blocking)

    def look(self) -> None:
        """Depend on the origin if an entry is missing, and on nothing otherwise. Raises CacheError when there is no
        origin, or one of other partitions.
        """
        partitions = self._partitions()
        if all((self.partition_count, partition.index) in self.entries for partition in partitions):
            self.dependencies = ()
            return
        if not self._origin:
            raise CacheError(f"partitions of {self.entries} are gone, and nothing is known that computes them")
        parents = self._origin[0].rdd._partitions()
        if len(parents) != len(partitions):
            raise CacheError(
                f"some of the {len(partitions)} partitions of {self.entries} are gone, and what computes them has "
                f"{len(parents)} now: call cacheAs again to keep these"
            )
        for partition, parent in zip(partitions, parents, strict=True):
            assert isinstance(partition, NamedPartition)
            partition.parent = parent
        self.dependencies = self._origin


def look_behind(rdd: RDDCore[Any]) -> None:
    """See which named RDDs that ``rdd`` is computed from are in the cache. Raises CacheError."""
    for _ in walk(rdd, _behind):
        pass


def _behind(rdd: RDDCore[Any]) -> list[RDDCore[Any]]:
    if isinstance(rdd, NamedRDD):
        rdd.look()
    return [dependency.rdd for dependency in rdd.dependencies]


def whole_count(cache: Cache) -> int | None:
    """Of how many partitions all are there; None when of no number all are. The larger one of several."""
    found: dict[int, set[int]] = defaultdict(set)
    for key in cache:
        match key:
            case (int(count), int(index)):  # anything else was put there by hand
                found[count].add(index)
    whole = [count for count, indexes in found.items() if indexes >= set(range(count))]
    return max(whole, default=None)
