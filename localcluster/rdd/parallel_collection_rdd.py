"""RDDs made of data in the driver: ``parallelize`` and ``range``.

A collection is serialised when the RDD is made, so what happens to it later does not show. A range stays a range: as in
PySpark, a function makes the numbers out of empty slices.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar

from localcluster.rdd.partition import Partition
from localcluster.rdd.rdd import RDD

if TYPE_CHECKING:
    from localcluster.rdd.job_service import JobService
    from localcluster.task.task_context import TaskContext

T = TypeVar("T")
MAX_BATCH = 1024  # PySpark's; data is sliced at batches of records, so it shows in where slices end


class CollectionPartition(Partition):
    """``data``: a ``PartitionData`` of the context."""

    __slots__ = ("data",)

    def __init__(self, index: int, data: Any) -> None:
        super().__init__(index)
        self.data = data


class ParallelCollectionRDD(RDD[T]):
    """Slices of a collection: ``data``, one ``PartitionData`` each."""

    def __init__(self, ctx: JobService, data: Iterable[Any]) -> None:
        super().__init__(ctx)
        self._partition_list = [CollectionPartition(index, part) for index, part in enumerate(data)]

    def compute(self, partition: Partition, task_context: TaskContext) -> Iterator[T]:
        assert isinstance(partition, CollectionPartition)
        return iter(partition.data.read(task_context))


class EmptyRDD(ParallelCollectionRDD[T]):
    """No slices."""


def parallelize(ctx: JobService, c: Iterable[T], numSlices: int | None = None) -> RDD[T]:
    """``SparkContext.parallelize``: an RDD of the items of ``c``, in ``numSlices`` partitions (default parallelism's).

    Raises ValueError when ``numSlices`` is negative (zero is a ZeroDivisionError, as in PySpark), SerializationError
    when an item cannot be pickled.
    """
    slices = int(numSlices) if numSlices is not None else ctx.defaultParallelism
    items: Sequence[T] = c if isinstance(c, (list, tuple, range)) else list(c)
    batch = max(1, min(len(items) // slices, ctx._batchSize or MAX_BATCH))
    if slices < 0:
        raise ValueError("Positive number of partitions required")
    if isinstance(items, range):
        nothing = ParallelCollectionRDD[T](ctx, [ctx._kept.put_partition([])] * slices)
        return nothing.mapPartitionsWithIndex(partial(_numbers, items, slices))
    batches = -(-len(items) // batch)
    bounds = [i * batches // slices * batch for i in range(slices + 1)]
    return ParallelCollectionRDD(ctx, (ctx._kept.put_partition(list(items[a:b])) for a, b in pairwise(bounds)))


def parallelize_range(
    ctx: JobService, start: int, end: int | None = None, step: int = 1, numSlices: int | None = None
) -> RDD[int]:
    """``SparkContext.range``: the numbers of ``range(start, end, step)``, or of ``range(start)``."""
    first, last = (0, start) if end is None else (start, end)
    return parallelize(ctx, range(first, last, step), numSlices)


def empty(ctx: JobService) -> RDD[Any]:
    """``SparkContext.emptyRDD``: no records, no partitions."""
    return EmptyRDD(ctx, ())


def _numbers(numbers: range, slices: int, index: int, nothing: Iterator[Any]) -> Iterator[Any]:
    """Slice ``index`` of ``slices``. The bounds are computed in floats, as PySpark does."""
    first, last = (int(i * len(numbers) / slices) for i in (index, index + 1))
    return iter(numbers[first:last])
