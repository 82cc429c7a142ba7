"""Actions: what starts a job and brings something back to the driver. Statistics and files have modules of their
own.
"""

from __future__ import annotations

import heapq
import warnings
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial, reduce
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, TypeVar, cast

from localcluster.base.arguments import check_function, check_optional_function
from localcluster.rdd.narrow import Narrow, count_records
from localcluster.shuffle.aggregator import stop_iteration_error

if TYPE_CHECKING:
    from localcluster.rdd.job_service import PlannedJob

T = TypeVar("T")
U = TypeVar("U")


class Actions(Narrow[T]):
    """``collect``, ``reduce``, ``take`` and their family."""

    def collect(self) -> list[T]:
        """All records, in the order of the partitions."""
        return list(chain.from_iterable(self._per_partition(list)))

    def toLocalIterator(self, prefetchPartitions: bool = False) -> Iterator[T]:
        """All records, one partition at a time: a job for each, started when the one before is used up.

        With ``prefetchPartitions`` the next partition is computed while one is read. Closing or dropping the iterator
        cancels that.
        """
        ahead = 1 if prefetchPartitions else 0
        started: deque[tuple[PlannedJob, list[list[T]]]] = deque()
        try:
            for partition in range(self.getNumPartitions()):
                started.append(self._start_collecting(partition))
                if len(started) > ahead:
                    yield from self._finished(*started.popleft())
            while started:
                yield from self._finished(*started.popleft())
        finally:
            for job, _ in started:
                job.abandon_later()

    def _start_collecting(self, partition: int) -> tuple[PlannedJob, list[list[T]]]:
        """A job for one partition, and the list to which its records will be added, as one list."""
        parts: list[list[T]] = []
        job = self._plan_job(list, [partition], lambda _, records: parts.append(records))
        job.start()
        return job, parts

    def _finished(self, job: PlannedJob, parts: list[list[T]]) -> list[T]:
        job.collect()
        self.ctx._checkpoints.write(self)
        return parts[0]

    def collectWithJobGroup(self, groupId: str, description: str, interruptOnCancel: bool = False) -> list[T]:
        """`collect`, after ``setJobGroup`` with these arguments. Deprecated in PySpark."""
        warnings.warn(
            "Deprecated in 3.1: set the job group and collect; threads take it over as pyspark.InheritableThread.",
            FutureWarning,
            stacklevel=2,
        )
        self.ctx.setJobGroup(groupId, description, interruptOnCancel)
        return self.collect()

    def count(self) -> int:
        """Number of records.

        >>> sc.parallelize([2, 3, 4]).count()
        3
        """
        return sum(self._per_partition(count_records))

    def isEmpty(self) -> bool:
        """Whether there is no record at all. Partitions are looked at only until a record is found."""
        return not self.take(1)

    def first(self) -> T:
        """The first record. Raises ValueError when there is none."""
        records = self.take(1)
        if records:
            return records[0]
        raise ValueError("RDD is empty")

    def take(self, num: int) -> list[T]:
        """The first ``num`` records, from as few partitions as that takes: one, then up to four times as many each
        time.

        >>> sc.parallelize([2, 3, 4, 5, 6]).take(2)
        [2, 3]
        """
        records: list[T] = []
        total = self.getNumPartitions()
        scanned = 0
        while len(records) < num and scanned < total:
            attempt = range(scanned, min(scanned + _partitions_to_try(scanned, len(records), num), total))
            for found in self._per_partition(partial(_head, num - len(records)), attempt):
                records += found
            scanned = attempt.stop
        return records[: max(num, 0)]

    def top(self, num: int, key: Callable[[T], Any] | None = None) -> list[T]:
        """The ``num`` largest records, largest first.

        >>> sc.parallelize([10, 4, 2, 12, 3]).top(2)
        [12, 10]
        """
        check_optional_function(key, "key")
        largest = self._per_partition(partial(heapq.nlargest, num, key=key))
        return heapq.nlargest(num, chain.from_iterable(_not_empty(largest)), key=key)

    def takeOrdered(self, num: int, key: Callable[[T], Any] | None = None) -> list[T]:
        """The ``num`` smallest records, smallest first.

        >>> sc.parallelize([10, 1, 2, 9, 3]).takeOrdered(3)
        [1, 2, 3]
        """
        check_optional_function(key, "key")
        if num < 0:
            raise ValueError("top N cannot be negative.")
        if num == 0:
            return []
        return heapq.nsmallest(
            num, chain.from_iterable(self._per_partition(partial(heapq.nsmallest, num, key=key))), key
        )

    def reduce(self, f: Callable[[T, T], T]) -> T:
        """Combine all records two by two: within partitions, then their results in order.

        Raises ValueError when there is no record.

        >>> sc.parallelize([1, 2, 3, 4, 5]).reduce(lambda a, b: a + b)
        15
        """
        check_optional_function(f, "f")
        results = list(chain.from_iterable(self._per_partition(partial(_reduce_partition, f))))
        if not results:
            raise ValueError("Can not reduce() empty RDD")
        return cast(T, fold_left(f, results[1:], results[0]))

    def fold(self, zeroValue: T, op: Callable[[T, T], T]) -> T:
        """Like `reduce`, starting from ``zeroValue`` in each partition and once more over their results.

        ``op`` may change and return its first argument; each task has a copy of ``zeroValue``.
        """
        check_function(op, "op")
        return self.aggregate(zeroValue, op, op)

    def aggregate(self, zeroValue: U, seqOp: Callable[[U, T], U], combOp: Callable[[U, U], U]) -> U:
        """Fold each partition's records into ``zeroValue`` with ``seqOp``, then their results with ``combOp``.

        >>> sc.parallelize([1, 2, 3, 4]).aggregate((0, 0), lambda a, x: (a[0] + x, a[1] + 1),
        ...                                        lambda a, b: (a[0] + b[0], a[1] + b[1]))
        (10, 4)
        """
        check_function(seqOp, "seqOp")
        check_function(combOp, "combOp")
        results = self._per_partition(partial(_aggregate_partition, seqOp, zeroValue))
        return cast(U, fold_left(combOp, results, zeroValue))

    def countByValue(self) -> dict[T, int]:
        """How often each record occurs.

        >>> sorted(sc.parallelize([1, 2, 1, 2, 2], 2).countByValue().items())
        [(1, 2), (2, 3)]
        """
        counts, *others = _not_empty(self._per_partition(_count_values))
        for other in others:
            for value, number in other.items():
                counts[value] += number
        return counts  # type: ignore[no-any-return]

    def foreach(self, f: Callable[[T], Any]) -> None:
        """Call ``f`` on each record, for its side effects."""
        check_function(f, "f")
        self._per_partition(partial(_for_each, f))

    def foreachPartition(self, f: Callable[[Iterator[T]], Any]) -> None:
        """Call ``f`` on each partition's iterator, for its side effects. What it returns is run through if it is
        iterable.
        """
        check_function(f, "f")
        self._per_partition(partial(_for_partition, f))


def fold_left(op: Callable[[Any, Any], Any], values: Iterable[Any], initial: Any) -> Any:
    """`functools.reduce` in which a StopIteration out of ``op`` is an RDDError."""
    try:
        return reduce(op, values, initial)
    except StopIteration as error:
        raise stop_iteration_error(error) from error


def _partitions_to_try(scanned: int, found: int, wanted: int) -> int:
    """How many partitions `take` looks at next: by what was found per partition so far, half as many again to be
    safe.
    """
    if scanned == 0:
        return 1
    if found == 0:
        return scanned * 4
    return min(max(int(1.5 * wanted * scanned / found) - scanned, 1), scanned * 4)


def _not_empty(results: list[Any]) -> list[Any]:
    if not results:
        raise ValueError("Can not reduce() empty RDD")
    return results


def _head(num: int, iterator: Iterator[Any]) -> list[Any]:
    return list(islice(iterator, num))


def _reduce_partition(f: Callable[[Any, Any], Any], iterator: Iterator[Any]) -> list[Any]:
    for first in iterator:
        return [fold_left(f, iterator, first)]
    return []


def _aggregate_partition(op: Callable[[Any, Any], Any], zero: Any, iterator: Iterator[Any]) -> Any:
    return fold_left(op, iterator, zero)


def _count_values(iterator: Iterator[Any]) -> defaultdict[Any, int]:
    counts: defaultdict[Any, int] = defaultdict(int)
    for value in iterator:
        counts[value] += 1
    return counts


def _for_each(f: Callable[[Any], Any], iterator: Iterator[Any]) -> None:
    try:
        for record in iterator:
            f(record)
    except StopIteration as error:
        raise stop_iteration_error(error) from error


def _for_partition(f: Callable[[Iterator[Any]], Any], iterator: Iterator[Any]) -> None:
    result = f(iterator)
    try:
        results = iter(result)
    except TypeError:  # nothing to run through
        return
    for _ in results:
        pass
