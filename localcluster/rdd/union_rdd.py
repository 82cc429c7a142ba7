"""Unions: partitions laid one after the other, or, where all sides are placed by one partitioner, side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar

from localcluster.rdd.core import RDDCore, check_rdd
from localcluster.rdd.dependency import OneToOneDependency, RangeDependency
from localcluster.rdd.partition import Partition
from localcluster.rdd.rdd import RDD

if TYPE_CHECKING:
    from localcluster.rdd.job_service import JobService
    from localcluster.task.task_context import TaskContext

T = TypeVar("T")


class UnionPartition(Partition):
    """Partition ``parent`` of the united RDD number ``side``."""

    __slots__ = ("parent", "side")

    def __init__(self, index: int, side: int, parent: Partition) -> None:
        super().__init__(index)
        self.side = side
        self.parent = parent


class UnionRDD(RDD[T]):
    """All partitions of all ``rdds``."""

    def __init__(self, ctx: JobService, rdds: Sequence[RDDCore[Any]]) -> None:
        dependencies = []
        start = 0
        for rdd in rdds:
            dependencies.append(RangeDependency(rdd, 0, start, rdd.getNumPartitions()))
            start += rdd.getNumPartitions()
        super().__init__(ctx, tuple(dependencies))

    def _make_partitions(self) -> list[Partition]:
        parents = [(side, part) for side, dep in enumerate(self.dependencies) for part in dep.rdd._partitions()]
        return [UnionPartition(index, side, parent) for index, (side, parent) in enumerate(parents)]

    def compute(self, partition: Partition, task_context: TaskContext) -> Iterator[T]:
        assert isinstance(partition, UnionPartition)
        return self.dependencies[partition.side].rdd.iterator(partition.parent, task_context)


class AlignedPartition(Partition):
    """One partition of each of the united RDDs."""

    __slots__ = ("parents",)

    def __init__(self, index: int, parents: tuple[Partition, ...]) -> None:
        super().__init__(index)
        self.parents = parents


class PartitionerAwareUnionRDD(RDD[T]):
    """Partition i holds partition i of each of ``rdds``; all are placed by one partitioner, which still holds."""

    def __init__(self, ctx: JobService, rdds: Sequence[RDDCore[Any]]) -> None:
        super().__init__(ctx, tuple(OneToOneDependency(rdd) for rdd in rdds), rdds[0].partitioner)

    def _make_partitions(self) -> list[Partition]:
        sides = [dependency.rdd._partitions() for dependency in self.dependencies]
        return [AlignedPartition(index, parents) for index, parents in enumerate(zip(*sides, strict=True))]

    def compute(self, partition: Partition, task_context: TaskContext) -> Iterator[T]:
        assert isinstance(partition, AlignedPartition)
        sides = zip(self.dependencies, partition.parents, strict=True)
        return chain.from_iterable(dependency.rdd.iterator(parent, task_context) for dependency, parent in sides)


def union(ctx: JobService, rdds: Sequence[RDDCore[Any]]) -> RDD[Any]:
    """``SparkContext.union``. RDDs without partitions do not count."""
    for rdd in rdds:
        check_rdd(rdd, "rdds")
    rdds = [rdd for rdd in rdds if rdd.getNumPartitions()] or rdds[:1]
    partitioner = rdds[0].partitioner
    if partitioner is not None and all(rdd.partitioner == partitioner for rdd in rdds):
        return PartitionerAwareUnionRDD(ctx, rdds)
    return UnionRDD(ctx, rdds)
