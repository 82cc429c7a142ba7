"""``treeReduce`` and ``treeAggregate``: executors combine the results of partitions before the driver does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from math import ceil
from typing import TYPE_CHECKING, Any, TypeVar

from localcluster.base.arguments import check_function, check_optional_function
from localcluster.rdd.actions import fold_left
from localcluster.rdd.by_key import ByKey

if TYPE_CHECKING:
    from localcluster.rdd.rdd import RDD

T = TypeVar("T")
U = TypeVar("U")


class Tree(ByKey[T]):
    """Aggregations for many partitions with large results. ``depth`` is that of the tree, 1 for none in between."""

    def treeAggregate(self, zeroValue: U, seqOp: Callable[[U, T], U], combOp: Callable[[U, U], U], depth: int = 2) -> U:
        """`aggregate`, but that ``zeroValue`` is used once in each partition and not again over their results.

        Raises ValueError for a depth below 1.

        >>> sc.parallelize([-5, -4, -3, 1, 2], 10).treeAggregate(0, lambda a, b: a + b, lambda a, b: a + b)
        -9
        """
        check_function(seqOp, "seqOp")
        check_function(combOp, "combOp")
        if depth < 1:
            raise ValueError(f"Depth cannot be smaller than 1 but got {depth}.")
        if self.getNumPartitions() == 0:
            return zeroValue
        results: RDD[Any] = self.mapPartitionsWithIndex(partial(_aggregate, zeroValue, seqOp))
        partitions: float = results.getNumPartitions()
        scale = max(ceil(partitions ** (1.0 / depth)), 2)
        while partitions > scale + partitions / scale:  # else one more level would not spare the driver anything
            partitions /= scale
            results = results.mapPartitionsWithIndex(partial(_deal, int(partitions)))
            results = results.reduceByKey(combOp, int(partitions)).values()
        result: U = results.reduce(combOp)
        return result

    def treeReduce(self, f: Callable[[T, T], T], depth: int = 2) -> T:
        """`reduce` by a tree. Raises ValueError for a depth below 1 and where there is no record.

        >>> sc.parallelize([-5, -4, -3, 1, 2], 10).treeReduce(lambda a, b: a + b)
        -9
        """
        check_optional_function(f, "f")
        if depth < 1:
            raise ValueError(f"Depth cannot be smaller than 1 but got {depth}.")
        found: list[T] = self.treeAggregate([], partial(_add, f), partial(_merge, f), depth)
        if not found:
            raise ValueError("Cannot reduce empty RDD.")
        return found[0]


def _aggregate(zero: Any, op: Callable[[Any, Any], Any], index: int, iterator: Iterator[Any]) -> list[Any]:
    return [fold_left(op, iterator, zero)]


def _deal(partitions: int, index: int, results: Iterator[Any]) -> Iterator[tuple[int, Any]]:
    return ((index % partitions, result) for result in results)


def _add(f: Callable[[Any, Any], Any], found: list[Any], record: Any) -> list[Any]:
    """``found`` holds the result so far, or nothing."""
    return [f(found[0], record)] if found else [record]


def _merge(f: Callable[[Any, Any], Any], found: list[Any], other: list[Any]) -> list[Any]:
    return _add(f, found, other[0]) if other else found
