"""`RDD`, the class that users see: every group of methods in one, and `MapPartitionsRDD`, what most of them make.

The methods are where their concept is: see the base classes. Kinds of RDD other than `MapPartitionsRDD` have files of
their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from localcluster.rdd.core import RDDCore
from localcluster.rdd.dependency import OneToOneDependency
from localcluster.rdd.joins import Joins
from localcluster.rdd.output import Output
from localcluster.rdd.partition import Partition
from localcluster.rdd.set_operations import SetOperations
from localcluster.rdd.sorting import Sorting
from localcluster.rdd.statistics import Statistics
from localcluster.rdd.tree import Tree
from localcluster.sql.no_data_frames import ToDataFrame

if TYPE_CHECKING:
    from localcluster.task_context import TaskContext

T = TypeVar("T")


class RDD(SetOperations[T], Sorting[T], Joins[T], Tree[T], Statistics[T], Output[T], ToDataFrame):
    """A resilient distributed dataset: PySpark's ``RDD``."""


class MapPartitionsRDD(RDD[T]):
    """What ``f(index, iterator)`` makes of each partition of the parent.

    ``preservesPartitioning`` says that ``f`` leaves keys alone, so the parent's partitioner still holds.
    """

    def __init__(
        self,
        parent: RDDCore[Any],
        f: Callable[[int, Iterator[Any]], Iterable[T]],
        preservesPartitioning: bool = False,
    ) -> None:
        super().__init__(
            parent.ctx, (OneToOneDependency(parent),), parent.partitioner if preservesPartitioning else None
        )
        self.f = f

    def _make_partitions(self) -> list[Partition]:
        # The parent's own, and without recursion: iterative programs build chains of many thousands.
        source: RDDCore[Any] = self
        while isinstance(source, MapPartitionsRDD) and source._partition_list is None:
            source = source.dependencies[0].rdd
        return source._partitions()

    def compute(self, partition: Partition, task_context: TaskContext) -> Iterator[T]:
        return iter(self.f(partition.index, self.dependencies[0].rdd.iterator(partition, task_context)))

    def _functions(self) -> tuple[Callable[..., Any], ...]:
        return (self.f,)
