"""The RDD behind ``cogroup`` and all joins.

PySpark tags records with the side they come from, unites the sides and groups by key; this RDD reads each side by
itself, so nothing is tagged, and a side that is partitioned as the result is read without a shuffle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeVar

from localcluster.rdd.core import RDDCore
from localcluster.rdd.dependency import Dependency, OneToOneDependency, ShuffleDependency
from localcluster.rdd.partition import Partition
from localcluster.rdd.partitioner import Partitioner
from localcluster.rdd.rdd import RDD
from localcluster.rdd.shuffled_rdd import shuffle_functions

if TYPE_CHECKING:
    from localcluster.task_context import TaskContext

K = TypeVar("K")


class CoGroupPartition(Partition):
    """``parents[i]``: the partition to read of parent i, None where the parent is read through a shuffle."""

    __slots__ = ("parents",)

    def __init__(self, index: int, parents: tuple[Partition | None, ...]) -> None:
        super().__init__(index)
        self.parents = parents


class CoGroupedRDD(RDD[tuple[K, tuple[list[Any], ...]]]):
    """For each key in any of ``rdds``, ``(key, (values in the first, values in the second, …))``.

    Keys come in the order in which they are first seen, unless they had to be spilled to disk; values in the order of
    their RDD. All values of one key must fit into memory.
    """

    def __init__(self, rdds: Sequence[RDDCore[tuple[K, Any]]], partitioner: Partitioner) -> None:
        self.num_partitions = partitioner.numPartitions
        dependencies: tuple[Dependency, ...] = tuple(
            OneToOneDependency(rdd) if rdd.partitioner == partitioner else ShuffleDependency(rdd, partitioner)
            for rdd in rdds
        )
        super().__init__(rdds[0].ctx, dependencies, partitioner)

    def _make_partitions(self) -> list[Partition]:
        sides = [
            [None] * self.num_partitions if isinstance(dependency, ShuffleDependency) else dependency.rdd._partitions()
            for dependency in self.dependencies
        ]
        return [CoGroupPartition(index, parents) for index, parents in enumerate(zip(*sides, strict=True))]

    def compute(self, partition: Partition, task_context: TaskContext) -> Iterator[tuple[K, tuple[list[Any], ...]]]:
        assert isinstance(partition, CoGroupPartition)
        sides = range(len(self.dependencies))
        groups = task_context.env.shuffle_manager.combiner(_merge_groups)
        task_context.on_completion(lambda _: groups.close())
        for side, dependency, parent in zip(sides, self.dependencies, partition.parents, strict=True):
            records: Iterator[tuple[K, Any]]
            if isinstance(dependency, ShuffleDependency):
                records = task_context.env.shuffle_manager.read(dependency, partition.index, task_context)
            else:
                assert parent is not None
                records = dependency.rdd.iterator(parent, task_context)
            pairs = map(itemgetter(0, 1), records)  # PySpark, too, drops any further items
            groups.add(pairs, partial(_new_group, sides, side), partial(_add_to_group, side))
        return groups.items()

    def _functions(self) -> tuple[Callable[..., Any], ...]:
        shuffles = [dependency for dependency in self.dependencies if isinstance(dependency, ShuffleDependency)]
        return tuple(function for shuffle in shuffles for function in shuffle_functions(shuffle))


def _new_group(sides: range, side: int, value: Any) -> tuple[list[Any], ...]:
    return tuple([value] if each == side else [] for each in sides)


def _add_to_group(side: int, group: tuple[list[Any], ...], value: Any) -> tuple[list[Any], ...]:
    group[side].append(value)
    return group


def _merge_groups(group: tuple[list[Any], ...], other: tuple[list[Any], ...]) -> tuple[list[Any], ...]:
    for values, others in zip(group, other, strict=True):
        values.extend(others)
    return group
