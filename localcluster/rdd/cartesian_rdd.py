"""The RDD behind ``cartesian``: every record of one RDD with every record of another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from localcluster.rdd.core import RDDCore
from localcluster.rdd.dependency import NarrowDependency
from localcluster.rdd.partition import Partition
from localcluster.rdd.rdd import RDD

if TYPE_CHECKING:
    from localcluster.task.task_context import TaskContext

T = TypeVar("T")
U = TypeVar("U")


class PairPartition(Partition):
    """A partition of each of the two RDDs."""

    __slots__ = ("left", "right")

    def __init__(self, index: int, left: Partition, right: Partition) -> None:
        super().__init__(index)
        self.left = left
        self.right = right


class CartesianDependency(NarrowDependency):
    """Partition i reads partition ``i // divisor % count`` of the parent."""

    __slots__ = ("count", "divisor")

    def __init__(self, rdd: RDDCore[Any], divisor: int) -> None:
        super().__init__(rdd)
        self.divisor = divisor
        self.count = rdd.getNumPartitions()

    def parents(self, index: int) -> list[int]:
        return [index // self.divisor % self.count]


class CartesianRDD(RDD[tuple[T, U]]):
    """Every pair of a record of ``left`` and one of ``right``; a partition for every pair of partitions, the left's
    first.
    """

    def __init__(self, left: RDDCore[T], right: RDDCore[U]) -> None:
        dependencies = (CartesianDependency(left, right.getNumPartitions()), CartesianDependency(right, 1))
        super().__init__(left.ctx, dependencies)

    def _make_partitions(self) -> list[Partition]:
        lefts, rights = (dependency.rdd._partitions() for dependency in self.dependencies)
        pairs = [(left, right) for left in lefts for right in rights]
        return [PairPartition(index, left, right) for index, (left, right) in enumerate(pairs)]

    def compute(self, partition: Partition, task_context: TaskContext) -> Iterator[tuple[T, U]]:
        assert isinstance(partition, PairPartition)
        left, right = (dependency.rdd for dependency in self.dependencies)
        # The right side is computed once for each record of the left: no side needs to fit in memory, as in Spark.
        for record in left.iterator(partition.left, task_context):
            for other in right.iterator(partition.right, task_context):
                yield record, other
