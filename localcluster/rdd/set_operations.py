"""RDDs as sets and sequences: union, intersection, difference, distinct, and pairing the records of two RDDs."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeVar

from localcluster.rdd.core import RDDCore, check_rdd
from localcluster.rdd.joins import Joins

if TYPE_CHECKING:
    from localcluster.rdd.rdd import RDD

T = TypeVar("T")
U = TypeVar("U")
K = TypeVar("K")
V = TypeVar("V")


class SetOperations(Joins[T]):
    """``union`` and its family. Those that compare records need them hashable."""

    def union(self, other: RDD[U]) -> RDD[T | U]:
        """The records of both, duplicates and all.

        >>> sc.parallelize([1, 1]).union(sc.parallelize([2])).collect()
        [1, 1, 2]
        """
        check_rdd(other, "other")
        from localcluster.rdd.union_rdd import union  # kinds of RDD derive from this class

        return union(self.ctx, [self, other])

    def __add__(self, other: RDD[U]) -> RDD[T | U]:
        if not isinstance(other, RDDCore):
            raise TypeError(f"only an RDD can be added to an RDD, not {type(other).__name__}")
        return self.union(other)

    def distinct(self, numPartitions: int | None = None) -> RDD[T]:
        """Each record once.

        >>> sorted(sc.parallelize([1, 1, 2, 3]).distinct().collect())
        [1, 2, 3]
        """
        return self.map(_with_none).reduceByKey(_first, numPartitions).keys()

    def intersection(self, other: RDD[T]) -> RDD[T]:
        """The records that are in both, each once."""
        check_rdd(other, "other")
        return self.map(_with_none).cogroup(other.map(_with_none)).filter(_in_all).keys()

    def subtractByKey(
        self: SetOperations[tuple[K, V]], other: RDD[tuple[K, Any]], numPartitions: int | None = None
    ) -> RDD[tuple[K, V]]:
        """The pairs whose key ``other`` has not.

        >>> left, right = sc.parallelize([("a", 1), ("b", 4), ("b", 5)]), sc.parallelize([("a", 3)])
        >>> sorted(left.subtractByKey(right).collect())
        [('b', 4), ('b', 5)]
        """
        check_rdd(other, "other")
        return self.cogroup(other, numPartitions).filter(_only_in_first).flatMapValues(itemgetter(0))

    def subtract(self, other: RDD[T], numPartitions: int | None = None) -> RDD[T]:
        """The records that are not in ``other``, duplicates and all."""
        check_rdd(other, "other")
        return self.map(_with_none).subtractByKey(other.map(_with_none), numPartitions).keys()

    def cartesian(self, other: RDD[U]) -> RDD[tuple[T, U]]:
        """Every pair of a record of this and one of ``other``.

        >>> sc.parallelize([1, 2]).cartesian(sc.parallelize("ab")).count()
        4
        """
        check_rdd(other, "other")
        from localcluster.rdd.cartesian_rdd import CartesianRDD  # kinds of RDD derive from this class

        return CartesianRDD(self, other)

    def zip(self, other: RDD[U]) -> RDD[tuple[T, U]]:
        """The records of both paired by position: both must have the same number in each partition.

        Raises ValueError when the numbers of partitions differ.

        >>> sc.parallelize(range(3)).zip(sc.parallelize(range(1000, 1003))).collect()
        [(0, 1000), (1, 1001), (2, 1002)]
        """
        check_rdd(other, "other")
        from localcluster.rdd.zipped_rdd import ZippedRDD  # kinds of RDD derive from this class

        if self.getNumPartitions() != other.getNumPartitions():
            raise ValueError("Can only zip with RDD which has the same number of partitions")
        return ZippedRDD(self, other)


def _with_none(record: Any) -> tuple[Any, None]:
    return record, None


def _first(value: Any, other: Any) -> Any:
    return value


def _in_all(group: tuple[Any, tuple[Any, ...]]) -> bool:
    return all(map(len, group[1]))


def _only_in_first(group: tuple[Any, tuple[Any, Any]]) -> bool:
    return len(group[1][0]) > 0 and len(group[1][1]) == 0
