"""The RDD behind ``coalesce``: neighbouring partitions of the parent read as one, without a shuffle."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar

from localcluster.rdd.core import RDDCore
from localcluster.rdd.dependency import GroupDependency
from localcluster.rdd.partition import Partition
from localcluster.rdd.rdd import RDD

if TYPE_CHECKING:
    from localcluster.task.task_context import TaskContext

T = TypeVar("T")


class CoalescedPartition(Partition):
    """The parent's partitions that are read, in order."""

    __slots__ = ("parents",)

    def __init__(self, index: int, parents: list[Partition]) -> None:
        super().__init__(index)
        self.parents = parents


class CoalescedRDD(RDD[T]):
    """At most ``num_partitions`` partitions, as even in number as positions allow (Spark's rule where locality has no
    say).
    """

    def __init__(self, parent: RDDCore[T], num_partitions: int) -> None:
        parts = parent.getNumPartitions()
        groups = min(num_partitions, parts)
        self.groups = [range(i * parts // groups, (i + 1) * parts // groups) for i in range(groups)]
        super().__init__(parent.ctx, (GroupDependency(parent, self.groups),))

    def _make_partitions(self) -> list[Partition]:
        parents = self.dependencies[0].rdd._partitions()
        return [CoalescedPartition(i, parents[group.start : group.stop]) for i, group in enumerate(self.groups)]

    def compute(self, partition: Partition, task_context: TaskContext) -> Iterator[T]:
        assert isinstance(partition, CoalescedPartition)
        parent: RDDCore[Any] = self.dependencies[0].rdd
        return chain.from_iterable(parent.iterator(part, task_context) for part in partition.parents)
