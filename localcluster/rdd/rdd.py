"""`RDD`, the class that users see: every group of methods in one, and `PipelinedRDD`, what most of them make.

The methods are where their concept is: see the base classes. Kinds of RDD other than `PipelinedRDD` have files of
their own.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from localcluster.base.no_data_frames import ToDataFrame
from localcluster.rdd.approximate import Approximate
from localcluster.rdd.cached_as import CachedAs
from localcluster.rdd.checkpoint import Checkpointing
from localcluster.rdd.core import RDDCore
from localcluster.rdd.dependency import OneToOneDependency
from localcluster.rdd.joins import Joins
from localcluster.rdd.output import Output
from localcluster.rdd.partition import Partition
from localcluster.rdd.set_operations import SetOperations
from localcluster.rdd.sorting import Sorting
from localcluster.rdd.stage_demands import StageDemands
from localcluster.rdd.statistics import Statistics
from localcluster.rdd.tree import Tree

if TYPE_CHECKING:
    from localcluster.task.task_context import TaskContext

T = TypeVar("T")
USUAL_RECURSION = 1000  # Python's own limit: what users' functions may count on
MAX_RECURSION = 10_000  # 8 MiB of stack hold 12,000 generators that read from each other, on all Pythons supported


class RDD(
    SetOperations[T],
    Sorting[T],
    Joins[T],
    Tree[T],
    Statistics[T],
    Approximate[T],
    Output[T],
    StageDemands[T],
    Checkpointing[T],
    CachedAs[T],
    ToDataFrame,
):
    """A resilient distributed dataset: PySpark's ``RDD``."""


class PipelinedRDD(RDD[T]):
    """What ``func(index, iterator)`` makes of each partition of ``prev``.

    ``preservesPartitioning`` says that ``func`` leaves keys alone, so the parent's partitioner still holds.
    """

    kind = "PythonRDD"

    _travels = (*RDD._travels, "func")

    def __init__(
        self,
        prev: RDDCore[Any],
        func: Callable[[int, Iterator[Any]], Iterable[T]],
        preservesPartitioning: bool = False,
    ) -> None:
        super().__init__(prev.ctx, (OneToOneDependency(prev),), prev.partitioner if preservesPartitioning else None)
        self.func = func

    def _make_partitions(self) -> list[Partition]:
        # The parent's own, and without recursion: iterative programs build chains of many thousands.
        source: RDDCore[Any] = self
        while isinstance(source, PipelinedRDD) and source._partition_list is None:
            source = source.dependencies[0].rdd
        return source._partitions()

    def compute(self, partition: Partition, task_context: TaskContext) -> Iterator[T]:
        functions = [self.func]
        source: RDDCore[Any] = self.dependencies[0].rdd
        while isinstance(source, PipelinedRDD) and source._is_computed_in_place():
            functions.append(source.func)
            source = source.dependencies[0].rdd
        _allow_generators(len(functions))
        records = source.iterator(partition, task_context)
        for func in reversed(functions):
            records = iter(func(partition.index, records))
        return records

    def _functions(self) -> tuple[Callable[..., Any], ...]:
        return (self.func,)

    def _is_pipelinable(self) -> bool:
        """Whether an RDD made of this one counts as one with it, since nothing of this one is kept."""
        return not (self._storage_level.is_valid or self.is_checkpointed)


def _allow_generators(number: int) -> None:
    """Let so many generators read from each other, as long chains of functions do: each takes a level of recursion."""
    limit = min(USUAL_RECURSION + number, MAX_RECURSION)
    if limit > sys.getrecursionlimit():
        sys.setrecursionlimit(limit)
