"""Transformations of each partition by itself: no record leaves its partition, so they all run in one stage.

User functions are wrapped with `functools.partial` over functions of this module, not in closures: those pickle by
reference, so all that travels is the user's own function. The loops are generators because a StopIteration that a
user's function raises is seen there; under the builtin `map` it would end the partition early without a word.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar

from localcluster.base.arguments import check_function, check_type
from localcluster.rdd.core import RDDCore
from localcluster.rdd.piped import pipe_through
from localcluster.shuffle.aggregator import stop_iteration_error

if TYPE_CHECKING:
    from localcluster.rdd.rdd import RDD

T = TypeVar("T")
U = TypeVar("U")
K = TypeVar("K")


class Narrow(RDDCore[T]):
    """``map`` and its family."""

    def mapPartitionsWithIndex(
        self, f: Callable[[int, Iterator[T]], Iterable[U]], preservesPartitioning: bool = False
    ) -> RDD[U]:
        """Replace each partition by what ``f(partition index, iterator of its records)`` yields.

        ``preservesPartitioning``: ``f`` leaves keys as they are, so that later joins and shuffles may rely on their
        places.

        >>> sc.parallelize([1, 2, 3, 4], 4).mapPartitionsWithIndex(lambda index, records: [index]).sum()
        6
        """
        check_function(f, "f")
        from localcluster.rdd.rdd import PipelinedRDD  # kinds of RDD derive from this class

        return PipelinedRDD(self, f, preservesPartitioning)

    def mapPartitionsWithSplit(
        self, f: Callable[[int, Iterator[T]], Iterable[U]], preservesPartitioning: bool = False
    ) -> RDD[U]:
        """The old name of `mapPartitionsWithIndex`."""
        warnings.warn(
            "mapPartitionsWithSplit is deprecated; use mapPartitionsWithIndex instead", FutureWarning, stacklevel=2
        )
        return self.mapPartitionsWithIndex(f, preservesPartitioning)

    def mapPartitions(self, f: Callable[[Iterator[T]], Iterable[U]], preservesPartitioning: bool = False) -> RDD[U]:
        """Replace each partition by what ``f(iterator of its records)`` yields.

        >>> sc.parallelize([1, 2, 3, 4], 2).mapPartitions(lambda records: [sum(records)]).collect()
        [3, 7]
        """
        check_function(f, "f")
        return self.mapPartitionsWithIndex(partial(without_index, f), preservesPartitioning)

    def map(self, f: Callable[[T], U], preservesPartitioning: bool = False) -> RDD[U]:
        """Apply ``f`` to each record.

        >>> sc.parallelize(["b", "a"]).map(lambda x: (x, 1)).collect()
        [('b', 1), ('a', 1)]
        """
        check_function(f, "f")
        return self.mapPartitionsWithIndex(partial(_map, f), preservesPartitioning)

    def flatMap(self, f: Callable[[T], Iterable[U]], preservesPartitioning: bool = False) -> RDD[U]:
        """Replace each record by the items of ``f(record)``.

        >>> sc.parallelize([2, 3]).flatMap(lambda x: range(1, x)).collect()
        [1, 1, 2]
        """
        check_function(f, "f")
        return self.mapPartitionsWithIndex(partial(_flat_map, f), preservesPartitioning)

    def filter(self, f: Callable[[T], Any]) -> RDD[T]:
        """Keep the records for which ``f`` is true.

        >>> sc.parallelize([1, 2, 3, 4]).filter(lambda x: x % 2 == 0).collect()
        [2, 4]
        """
        check_function(f, "f")
        return self.mapPartitionsWithIndex(partial(_filter, f), True)

    def glom(self) -> RDD[list[T]]:
        """Make one list of each partition.

        >>> sc.parallelize([1, 2, 3, 4], 2).glom().collect()
        [[1, 2], [3, 4]]
        """
        return self.mapPartitionsWithIndex(_glom)

    def keyBy(self, f: Callable[[T], K]) -> RDD[tuple[K, T]]:
        """Make each record ``x`` the pair ``(f(x), x)``."""
        check_function(f, "f")
        return self.mapPartitionsWithIndex(partial(_key_by, f))

    def zipWithIndex(self) -> RDD[tuple[T, int]]:
        """Pair each record with its position in the whole RDD. Runs a job that counts, if there are several partitions.

        >>> sc.parallelize(["a", "b", "c", "d"], 3).zipWithIndex().collect()
        [('a', 0), ('b', 1), ('c', 2), ('d', 3)]
        """
        starts = [0]
        if self.getNumPartitions() > 1:
            for length in self._per_partition(count_records)[:-1]:
                starts.append(starts[-1] + length)
        return self.mapPartitionsWithIndex(partial(_enumerate_from, tuple(starts)))

    def zipWithUniqueId(self) -> RDD[tuple[T, int]]:
        """Pair each record with a unique number, without a job: k, n + k, 2n + k, … in partition k of n.

        >>> sc.parallelize(["a", "b", "c", "d", "e"], 3).zipWithUniqueId().collect()
        [('a', 0), ('b', 1), ('c', 4), ('d', 2), ('e', 5)]
        """
        return self.mapPartitionsWithIndex(partial(_enumerate_by, self.getNumPartitions()))

    def pipe(self, command: str, env: dict[str, str] | None = None, checkCode: bool = False) -> RDD[str]:
        """Send each partition, one line a record, through a command of its own; the lines that it prints are the
        result.

        ``env`` is the command's whole environment (empty by default). With ``checkCode``, a command that does not exit
        with 0 fails the task.

        >>> sc.parallelize(["1", "2", "", "3"]).pipe("cat").collect()
        ['1', '2', '', '3']
        """
        check_type(command, str, "command", "a str")
        check_type(env, (Mapping, type(None)), "env", "a dict or None")
        return self.mapPartitions(partial(pipe_through, command, env or {}, checkCode))


def count_records(iterator: Iterable[Any]) -> int:
    return sum(1 for _ in iterator)


def without_index(f: Callable[[Iterator[Any]], Iterable[Any]], index: int, iterator: Iterator[Any]) -> Iterable[Any]:
    return f(iterator)


def _map(f: Callable[[Any], Any], index: int, iterator: Iterator[Any]) -> Iterator[Any]:
    try:
        for record in iterator:
            yield f(record)
    except StopIteration as error:
        raise stop_iteration_error(error) from error


def _flat_map(f: Callable[[Any], Iterable[Any]], index: int, iterator: Iterator[Any]) -> Iterator[Any]:
    return chain.from_iterable(_map(f, index, iterator))


def _filter(f: Callable[[Any], Any], index: int, iterator: Iterator[Any]) -> Iterator[Any]:
    try:
        for record in iterator:
            if f(record):
                yield record
    except StopIteration as error:
        raise stop_iteration_error(error) from error


def _glom(index: int, iterator: Iterator[Any]) -> Iterator[list[Any]]:
    yield list(iterator)


def _key_by(f: Callable[[Any], Any], index: int, iterator: Iterator[Any]) -> Iterator[tuple[Any, Any]]:
    try:
        for record in iterator:
            yield f(record), record
    except StopIteration as error:
        raise stop_iteration_error(error) from error


def _enumerate_from(starts: tuple[int, ...], index: int, iterator: Iterator[Any]) -> Iterator[tuple[Any, int]]:
    return ((record, position) for position, record in enumerate(iterator, starts[index]))


def _enumerate_by(step: int, index: int, iterator: Iterator[Any]) -> Iterator[tuple[Any, int]]:
    return ((record, position * step + index) for position, record in enumerate(iterator))
