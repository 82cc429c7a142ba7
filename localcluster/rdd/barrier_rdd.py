"""`RDDBarrier`, what ``rdd.barrier()`` gives, and the kind of RDD that it makes.

An RDD made so marks its stage: all tasks of the stage are launched together or none (the conditions are in
``driver.barrier_stage``). What tasks do together is in `barrier_task_context`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from localcluster.base.arguments import check_function
from localcluster.rdd.narrow import without_index
from localcluster.rdd.rdd import PipelinedRDD

if TYPE_CHECKING:
    from localcluster.rdd.rdd import RDD

T = TypeVar("T")
U = TypeVar("U")


class BarrierRDD(PipelinedRDD[T]):
    """As its base, computed by tasks that run at the same time."""

    starts_barrier = True


class RDDBarrier(Generic[T]):
    """An RDD whose next step runs in a barrier stage; `RDD.barrier` makes it.

    >>> sc.parallelize([1, 2, 3, 4], 2).barrier().mapPartitions(lambda records: [sum(records)]).collect()
    [3, 7]
    """

    def __init__(self, rdd: RDD[T]) -> None:
        self.rdd = rdd

    def __repr__(self) -> str:
        return f"<pyspark.core.rdd.RDDBarrier object at {id(self):#x}>"  # as programs and examples know it

    def mapPartitions(self, f: Callable[[Iterator[T]], Iterable[U]], preservesPartitioning: bool = False) -> RDD[U]:
        """As `RDD.mapPartitions`, by tasks that are launched together."""
        check_function(f, "f")
        return self.mapPartitionsWithIndex(partial(without_index, f), preservesPartitioning)

    def mapPartitionsWithIndex(
        self, f: Callable[[int, Iterator[T]], Iterable[Any]], preservesPartitioning: bool = False
    ) -> RDD[Any]:
        """As `RDD.mapPartitionsWithIndex`, by tasks that are launched together."""
        check_function(f, "f")
        return BarrierRDD(self.rdd, f, preservesPartitioning)
