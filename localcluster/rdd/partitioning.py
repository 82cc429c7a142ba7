"""Changing the number of partitions: ``coalesce`` and ``repartition``."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, TypeVar

from localcluster.base.arguments import whole_number
from localcluster.rdd.narrow import Narrow
from localcluster.rdd.xor_shift_random import XorShiftRandom
from localcluster.shuffle.partitioner import Partitioner

if TYPE_CHECKING:
    from localcluster.rdd.rdd import RDD

T = TypeVar("T")
BATCH = 10  # records that `repartition` moves together: PySpark's number, so records land where they do there


class Partitioning(Narrow[T]):
    """``coalesce`` and ``repartition``."""

    def coalesce(self, numPartitions: int, shuffle: bool = False) -> RDD[T]:
        """Fewer partitions, made of neighbours without moving records; with ``shuffle``, any number, evenly filled.

        Without a shuffle, asking for more than there are gives as many as there are. Raises ValueError for a number
        below 1.

        >>> sc.parallelize([1, 2, 3, 4, 5], 3).coalesce(1).glom().collect()
        [[1, 2, 3, 4, 5]]
        """
        from localcluster.rdd.coalesced_rdd import CoalescedRDD  # kinds of RDD derive from this class
        from localcluster.rdd.shuffled_rdd import ShuffledRDD

        if not numPartitions > 0:
            raise ValueError("Number of partitions must be positive.")
        numPartitions = whole_number(numPartitions, "numPartitions")
        if not shuffle:
            return CoalescedRDD(self, numPartitions)
        batch = min(BATCH, self.ctx._batchSize or BATCH)
        dealt = self.mapPartitionsWithIndex(partial(_deal, numPartitions, batch))
        return ShuffledRDD(dealt, Partitioner(numPartitions, operator.index)).mapPartitionsWithIndex(_open_batches)

    def repartition(self, numPartitions: int) -> RDD[T]:
        """Exactly this number of partitions, evenly filled: a shuffle. To have fewer, `coalesce` is cheaper."""
        return self.coalesce(numPartitions, shuffle=True)


def _deal(partitions: int, size: int, index: int, iterator: Iterator[Any]) -> Iterator[tuple[int, list[Any]]]:
    """Batches dealt out in turn, from a random partition on, lest all tasks begin with the first."""
    position = XorShiftRandom(index).next_int(partitions)
    while batch := list(islice(iterator, size)):
        position = (position + 1) % partitions
        yield position, batch


def _open_batches(index: int, iterator: Iterator[tuple[int, list[Any]]]) -> Iterator[Any]:
    return chain.from_iterable(map(operator.itemgetter(1), iterator))
