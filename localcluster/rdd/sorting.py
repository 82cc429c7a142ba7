"""Sorting: range partitions whose bounds come from a sample, then a sort of each partition, which spills to disk when
it needs more memory than a task may use.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeVar

from localcluster.base.arguments import check_function
from localcluster.rdd.by_key import ByKey, PartitionFunc
from localcluster.rdd.partitioning import Partitioning
from localcluster.rdd.sampling import Sampling
from localcluster.shuffle.hashing import portable_hash
from localcluster.task.env import get_env

if TYPE_CHECKING:
    from localcluster.rdd.rdd import RDD

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")

SAMPLES_PER_PARTITION = 20.0
SAMPLE_SEED = 1  # fixed, so that the same data always gets the same bounds


def _same(key: Any) -> Any:
    return key


class Sorting(ByKey[T], Sampling[T], Partitioning[T]):
    """``sortByKey`` and its family. Sorts are stable: records of equal keys keep their order, descending too."""

    def sortByKey(
        self: Sorting[tuple[K, V]],
        ascending: bool | None = True,
        numPartitions: int | None = None,
        keyfunc: Callable[[Any], Any] = _same,
    ) -> RDD[tuple[K, V]]:
        """Sort pairs by ``keyfunc(key)``, over all partitions. Runs two jobs that count and sample when there are
        several.

        >>> sc.parallelize([("b", 1), ("a", 2), ("1", 3)]).sortByKey().collect()
        [('1', 3), ('a', 2), ('b', 1)]
        """
        check_function(keyfunc, "keyfunc")
        partitions = self._reducers(numPartitions)
        sort = partial(_sort_partition, keyfunc, bool(ascending))
        if partitions == 1:
            source = self.coalesce(1) if self.getNumPartitions() > 1 else self
            return source.mapPartitionsWithIndex(sort, True)
        size = self.count()
        if size == 0:
            return self  # type: ignore[return-value]  # every RDDCore is an RDD
        fraction = min(partitions * SAMPLES_PER_PARTITION / size, 1.0)
        samples = sorted(self.sample(False, fraction, SAMPLE_SEED).keys().collect(), key=keyfunc)
        bounds = tuple(keyfunc(samples[int(len(samples) * i / partitions)]) for i in range(1, partitions))
        place = RangePartitionFunction(bounds, keyfunc, bool(ascending))
        return self.partitionBy(partitions, place).mapPartitionsWithIndex(sort, True)

    def sortBy(self, keyfunc: Callable[[T], Any], ascending: bool = True, numPartitions: int | None = None) -> RDD[T]:
        """Sort records by ``keyfunc(record)``.

        >>> sc.parallelize([("a", 2), ("b", 1)]).sortBy(lambda pair: pair[1]).collect()
        [('b', 1), ('a', 2)]
        """
        check_function(keyfunc, "keyfunc")
        keyed: RDD[Any] = self.keyBy(keyfunc)
        return keyed.sortByKey(ascending, numPartitions).values()

    def repartitionAndSortWithinPartitions(
        self: Sorting[tuple[K, V]],
        numPartitions: int | None = None,
        partitionFunc: PartitionFunc = portable_hash,
        ascending: bool = True,
        keyfunc: Callable[[Any], Any] = _same,
    ) -> RDD[tuple[K, V]]:
        """Place pairs by ``partitionFunc(key)``, and sort each partition by ``keyfunc(key)``.

        >>> pairs = sc.parallelize([(0, 5), (3, 8), (2, 6), (0, 8), (3, 8), (1, 3)])
        >>> pairs.repartitionAndSortWithinPartitions(2, lambda x: x % 2).glom().collect()
        [[(0, 5), (0, 8), (2, 6)], [(1, 3), (3, 8), (3, 8)]]
        """
        check_function(keyfunc, "keyfunc")
        placed = self.partitionBy(numPartitions, partitionFunc)
        return placed.mapPartitionsWithIndex(partial(_sort_partition, keyfunc, ascending), True)


class RangePartitionFunction:
    """Partition i holds keys above ``bounds[i - 1]``, up to and with ``bounds[i]``; descending, counted from the end.

    ``bounds`` are values of ``keyfunc``, ascending.
    """

    __slots__ = ("ascending", "bounds", "keyfunc")

    def __init__(self, bounds: tuple[Any, ...], keyfunc: Callable[[Any], Any], ascending: bool) -> None:
        self.bounds = bounds
        self.keyfunc = keyfunc
        self.ascending = ascending

    @property
    def compares_keys(self) -> bool:
        """Whether keys are placed by nothing but their order."""
        return self.keyfunc is _same

    def __call__(self, key: Any) -> int:
        position = bisect_left(self.bounds, self.keyfunc(key))
        return position if self.ascending else len(self.bounds) - position


def _sort_partition(
    keyfunc: Callable[[Any], Any], ascending: bool, index: int, iterator: Iterator[Any]
) -> Iterator[tuple[Any, Any]]:
    key = itemgetter(0) if keyfunc is _same else partial(_of_key, keyfunc)
    return get_env().shuffle_manager.sort(iterator, key, reverse=not ascending)


def _of_key(keyfunc: Callable[[Any], Any], pair: Any) -> Any:
    return keyfunc(pair[0])
