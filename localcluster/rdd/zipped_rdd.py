"""The RDD behind ``zip``: the records of two RDDs, paired by position."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeVar

from localcluster.rdd.cartesian_rdd import PairPartition
from localcluster.rdd.core import RDDCore
from localcluster.rdd.dependency import OneToOneDependency
from localcluster.rdd.partition import Partition
from localcluster.rdd.rdd import RDD
from protocol.errors import RDDError

if TYPE_CHECKING:
    from localcluster.task.task_context import TaskContext

T = TypeVar("T")
U = TypeVar("U")
END = object()


class ZippedRDD(RDD[tuple[T, U]]):
    """Record i of partition j of ``left`` with record i of partition j of ``right``. A task whose sides differ in
    length fails.
    """

    kind = "ZippedPartitionsRDD2"

    def __init__(self, left: RDDCore[T], right: RDDCore[U]) -> None:
        super().__init__(left.ctx, (OneToOneDependency(left), OneToOneDependency(right)))

    def _make_partitions(self) -> list[Partition]:
        lefts, rights = (dependency.rdd._partitions() for dependency in self.dependencies)
        return [PairPartition(i, left, right) for i, (left, right) in enumerate(zip(lefts, rights, strict=True))]

    def compute(self, partition: Partition, task_context: TaskContext) -> Iterator[tuple[T, U]]:
        assert isinstance(partition, PairPartition)
        lefts, rights = (dependency.rdd for dependency in self.dependencies)
        others = rights.iterator(partition.right, task_context)
        for record in lefts.iterator(partition.left, task_context):
            other = next(others, END)
            if other is END:
                raise RDDError("Can only zip RDDs with same number of elements in each partition")
            yield record, other  # type: ignore[misc]  # not END
        if next(others, END) is not END:
            raise RDDError("Can only zip RDDs with same number of elements in each partition")
