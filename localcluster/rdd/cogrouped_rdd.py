"""The RDD behind ``cogroup`` and all joins.

PySpark tags records with the side they come from, unites the sides and shuffles them as one. So does this RDD, in one
stage, but nothing is tagged: which map task an output is from tells the side. A side that is partitioned as the result
is read without a shuffle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from localcluster.rdd.core import RDDCore
from localcluster.rdd.dependency import Dependency, OneToOneDependency, ShuffleDependency
from localcluster.rdd.partition import Partition
from localcluster.rdd.rdd import RDD, PipelinedRDD
from localcluster.rdd.union_rdd import UnionRDD
from localcluster.shuffle.pairs import A_PAIR, check_key_and_value
from localcluster.shuffle.partitioner import Partitioner

if TYPE_CHECKING:
    from localcluster.task.task_context import TaskContext

K = TypeVar("K")


class CoGroupPartition(Partition):
    """``parents``: the partition to read of each side that is in place."""

    __slots__ = ("parents",)

    def __init__(self, index: int, parents: tuple[Partition, ...]) -> None:
        super().__init__(index)
        self.parents = parents


class CoGroupedRDD(RDD[tuple[K, tuple[list[Any], ...]]]):
    """For each key in any of ``rdds``, ``(key, (values in the first, values in the second, …))``.

    Keys come in the order in which they are first seen, unless they had to be spilled to disk; values in the order of
    their RDD. All values of one key must fit into memory.
    """

    _travels = (*RDD._travels, "_map_tasks")

    def __init__(self, rdds: Sequence[RDDCore[tuple[K, Any]]], partitioner: Partitioner) -> None:
        self.num_partitions = partitioner.numPartitions
        sides = [PipelinedRDD(rdd, _first_two, preservesPartitioning=True) for rdd in rdds]
        in_place = [side for side in sides if side.partitioner == partitioner]
        dependencies: list[Dependency] = [OneToOneDependency(side) for side in in_place]
        moved = [side for side in sides if side.partitioner != partitioner]
        if moved:
            united: RDD[Any] = UnionRDD(moved[0].ctx, moved) if len(moved) > 1 else moved[0]
            dependencies.append(ShuffleDependency(united, partitioner))
        super().__init__(rdds[0].ctx, tuple(dependencies), partitioner)
        self._map_tasks = _map_tasks(rdds, partitioner)

    def _make_partitions(self) -> list[Partition]:
        sides = [d.rdd._partitions() for d in self.dependencies if not isinstance(d, ShuffleDependency)]
        return [CoGroupPartition(index, tuple(side[index] for side in sides)) for index in range(self.num_partitions)]

    def compute(self, partition: Partition, task_context: TaskContext) -> Iterator[tuple[K, tuple[list[Any], ...]]]:
        assert isinstance(partition, CoGroupPartition)
        in_place = zip(self.dependencies, partition.parents)  # noqa: B905  # a shuffle comes after them
        sides = range(len(self._map_tasks))
        shuffles = task_context.env.shuffle_manager
        groups = shuffles.combiner(_merge_groups)
        task_context.on_completion(lambda _: groups.close())
        for side, map_tasks in enumerate(self._map_tasks):
            records: Iterator[tuple[K, Any]]
            if map_tasks is None:
                dependency, parent = next(in_place)
                records = dependency.rdd.iterator(parent, task_context)
            else:
                moved = self.dependencies[-1]
                assert isinstance(moved, ShuffleDependency)
                records = shuffles.read(moved.shuffle, partition.index, task_context.on_completion, map_tasks)
            groups.add(records, partial(_new_group, sides, side), partial(_add_to_group, side))
        return groups.items()

    def _functions(self) -> tuple[Callable[..., Any], ...]:
        moved = [dependency for dependency in self.dependencies if isinstance(dependency, ShuffleDependency)]
        return tuple(function for dependency in moved for function in dependency.shuffle.functions)


def _first_two(index: int, records: Iterator[Any]) -> Iterator[tuple[Any, Any]]:
    """Pairs of records that may be longer, as in PySpark."""
    record: Any = A_PAIR
    try:
        for record in records:
            yield record[0], record[1]
    except (TypeError, LookupError) as error:
        check_key_and_value(record, error)
        raise


def _map_tasks(rdds: Sequence[RDDCore[Any]], partitioner: Partitioner) -> list[range | None]:
    """For each side the map tasks of the shuffle that read it, None for a side that is in place."""
    tasks: list[range | None] = []
    start = 0
    for rdd in rdds:
        if rdd.partitioner == partitioner:
            tasks.append(None)
        else:
            tasks.append(range(start, start + rdd.getNumPartitions()))
            start += rdd.getNumPartitions()
    return tasks


def _new_group(sides: range, side: int, value: Any) -> tuple[list[Any], ...]:
    return tuple([value] if each == side else [] for each in sides)


def _add_to_group(side: int, group: tuple[list[Any], ...], value: Any) -> tuple[list[Any], ...]:
    group[side].append(value)
    return group


def _merge_groups(group: tuple[list[Any], ...], other: tuple[list[Any], ...]) -> tuple[list[Any], ...]:
    for values, others in zip(group, other, strict=True):
        values.extend(others)
    return group
