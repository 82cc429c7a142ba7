"""Joins and cogroups of RDDs of pairs.

The result has, unless ``numPartitions`` says otherwise, as many partitions as in PySpark: those of the united inputs,
which is their sum, or the number they share when they are partitioned alike. Inputs partitioned like the result are not
shuffled.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

from localcluster.base.arguments import whole_number
from localcluster.rdd.by_key import ByKey
from localcluster.rdd.core import check_rdd
from localcluster.rdd.result_iterable import ResultIterable
from localcluster.shuffle.hashing import portable_hash
from localcluster.shuffle.partitioner import Partitioner

if TYPE_CHECKING:
    from localcluster.rdd.rdd import RDD

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")
W = TypeVar("W")
NOTHING = [None]  # what an outer join puts in place of no values


class Joins(ByKey[T]):
    """``join`` and its family."""

    def join(
        self: Joins[tuple[K, V]], other: RDD[tuple[K, W]], numPartitions: int | None = None
    ) -> RDD[tuple[K, tuple[V, W]]]:
        """``(key, (v, w))`` for every pair of values that this and ``other`` have for the key.

        >>> left, right = sc.parallelize([("a", 1), ("b", 4)]), sc.parallelize([("a", 2), ("a", 3)])
        >>> sorted(left.join(right).collect())
        [('a', (1, 2)), ('a', (1, 3))]
        """
        return self._joined(other, numPartitions, keep_left=False, keep_right=False)

    def leftOuterJoin(
        self: Joins[tuple[K, V]], other: RDD[tuple[K, W]], numPartitions: int | None = None
    ) -> RDD[tuple[K, tuple[V, W | None]]]:
        """`join`, and ``(key, (v, None))`` for keys that ``other`` has not."""
        return self._joined(other, numPartitions, keep_left=True, keep_right=False)

    def rightOuterJoin(
        self: Joins[tuple[K, V]], other: RDD[tuple[K, W]], numPartitions: int | None = None
    ) -> RDD[tuple[K, tuple[V | None, W]]]:
        """`join`, and ``(key, (None, w))`` for keys that only ``other`` has."""
        return self._joined(other, numPartitions, keep_left=False, keep_right=True)

    def fullOuterJoin(
        self: Joins[tuple[K, V]], other: RDD[tuple[K, W]], numPartitions: int | None = None
    ) -> RDD[tuple[K, tuple[V | None, W | None]]]:
        """`leftOuterJoin` and `rightOuterJoin` in one."""
        return self._joined(other, numPartitions, keep_left=True, keep_right=True)

    def cogroup(
        self: Joins[tuple[K, V]], other: RDD[tuple[K, W]], numPartitions: int | None = None
    ) -> RDD[tuple[K, tuple[ResultIterable[V], ResultIterable[W]]]]:
        """For each key in this or ``other``, the values in this and those in ``other``.

        >>> left, right = sc.parallelize([("a", 1), ("b", 4)]), sc.parallelize([("a", 2)])
        >>> [(k, list(v), list(w)) for k, (v, w) in sorted(left.cogroup(right).collect())]
        [('a', [1], [2]), ('b', [4], [])]
        """
        return cast("RDD[Any]", self._cogrouped([other], numPartitions).mapValues(_iterables))

    def groupWith(
        self: Joins[tuple[K, Any]], other: RDD[tuple[K, Any]], *others: RDD[tuple[K, Any]]
    ) -> RDD[tuple[K, tuple[ResultIterable[Any], ...]]]:
        """`cogroup` of any number of RDDs."""
        return self._cogrouped([other, *others], None).mapValues(_iterables)

    def _joined(self, other: RDD[Any], numPartitions: int | None, keep_left: bool, keep_right: bool) -> RDD[Any]:
        dispatch = partial(_pairs, keep_left, keep_right)
        return self._cogrouped([other], numPartitions).mapPartitionsWithIndex(dispatch, preservesPartitioning=True)

    def _cogrouped(
        self, others: Sequence[RDD[Any]], numPartitions: int | None
    ) -> RDD[tuple[Any, tuple[list[Any], ...]]]:
        from localcluster.rdd.cogrouped_rdd import CoGroupedRDD  # kinds of RDD derive from this class

        for other in others:
            check_rdd(other, "other")
        if numPartitions is None:
            numPartitions = self._partitions_of_union(others)
        numPartitions = whole_number(numPartitions, "numPartitions")
        return CoGroupedRDD([cast("RDD[Any]", self), *others], Partitioner(numPartitions, portable_hash))

    def _partitions_of_union(self, others: Sequence[RDD[Any]]) -> int:
        if self.ctx.conf.get("spark.default.parallelism") is not None:
            return self.ctx.defaultParallelism
        placed_by, count = self.partitioner, self.getNumPartitions()
        for other in others:
            added = other.getNumPartitions()
            if count == 0:
                placed_by, count = other.partitioner, added
            elif added and (placed_by is None or placed_by != other.partitioner):
                placed_by, count = None, count + added
        return count


def _iterables(groups: tuple[list[Any], ...]) -> tuple[ResultIterable[Any], ...]:
    return tuple(map(ResultIterable, groups))


def _pairs(
    keep_left: bool, keep_right: bool, index: int, groups: Iterator[tuple[Any, tuple[list[Any], list[Any]]]]
) -> Iterator[tuple[Any, tuple[Any, Any]]]:
    """Every left with every right value of a key. ``keep_left``: lefts without a right stay, with None; the other
    alike.
    """
    for key, (lefts, rights) in groups:
        if not rights and keep_left:
            rights = NOTHING
        if not lefts and keep_right:
            lefts = NOTHING
        for left in lefts:
            for right in rights:
                yield key, (left, right)
