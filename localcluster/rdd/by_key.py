"""Transformations and actions on RDDs of ``(key, value)`` pairs. Joins and sorting have modules of their own."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from localcluster.base.arguments import check_function, check_optional_function, whole_number
from localcluster.conf.settings import Settings
from localcluster.rdd.actions import Actions
from localcluster.rdd.result_iterable import ResultIterable
from localcluster.shuffle.aggregator import Aggregator, stop_iteration_error
from localcluster.shuffle.hashing import hashes_like_executors, portable_hash
from localcluster.shuffle.pairs import A_PAIR, check_key_and_value, check_pair
from localcluster.shuffle.partitioner import Partitioner
from localcluster.task.env import get_env
from localcluster.task.task_context import TaskContext

if TYPE_CHECKING:
    from localcluster.rdd.rdd import RDD

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")
U = TypeVar("U")
PartitionFunc = Callable[[Any], int]


class ByKey(Actions[T]):
    """``reduceByKey`` and its family.

    ``numPartitions`` is that of the result: by default ``spark.default.parallelism`` where it is set, else as many as
    this RDD has. ``partitionFunc`` places keys: ``partitionFunc(key) % numPartitions``. An RDD already placed like that
    is not shuffled.
    """

    def keys(self: ByKey[tuple[K, V]]) -> RDD[K]:
        """The key of each pair."""
        return self.mapPartitionsWithIndex(partial(_item, 0))

    def values(self: ByKey[tuple[K, V]]) -> RDD[V]:
        """The value of each pair."""
        return self.mapPartitionsWithIndex(partial(_item, 1))

    def mapValues(self: ByKey[tuple[K, V]], f: Callable[[V], U]) -> RDD[tuple[K, U]]:
        """Apply ``f`` to each value; keys stay, and stay where they are.

        >>> sc.parallelize([("a", ["x", "y"]), ("b", ["z"])]).mapValues(len).collect()
        [('a', 2), ('b', 1)]
        """
        check_function(f, "f")
        return self.mapPartitionsWithIndex(partial(_map_values, f), True)

    def flatMapValues(self: ByKey[tuple[K, V]], f: Callable[[V], Iterable[U]]) -> RDD[tuple[K, U]]:
        """A pair for each item of ``f(value)``; keys stay, and stay where they are."""
        check_function(f, "f")
        return self.mapPartitionsWithIndex(partial(_flat_map_values, f), True)

    def partitionBy(
        self: ByKey[tuple[K, V]], numPartitions: int | None, partitionFunc: PartitionFunc = portable_hash
    ) -> RDD[tuple[K, V]]:
        """The same pairs, placed by key. None as ``numPartitions`` means the default.

        >>> pairs = sc.parallelize([1, 2, 3, 4, 2, 4, 1]).map(lambda x: (x, x))
        >>> left, right = pairs.partitionBy(2).glom().collect()
        >>> set(left) & set(right)
        set()
        """
        check_function(partitionFunc, "partitionFunc")
        return self._shuffled(Partitioner(self._reducers(numPartitions), partitionFunc), None)

    def combineByKey(
        self: ByKey[tuple[K, V]],
        createCombiner: Callable[[V], U],
        mergeValue: Callable[[U, V], U],
        mergeCombiners: Callable[[U, U], U],
        numPartitions: int | None = None,
        partitionFunc: PartitionFunc = portable_hash,
    ) -> RDD[tuple[K, U]]:
        """Turn the values of each key into one combiner: from the first value, by adding values, by merging combiners.

        The merging functions may change and return their first argument.

        >>> pairs = sc.parallelize([("a", 1), ("b", 1), ("a", 2)])
        >>> sorted(pairs.combineByKey(lambda v: [v], lambda c, v: c + [v], lambda c, d: c + d).collect())
        [('a', [1, 2]), ('b', [1])]
        """
        check_function(createCombiner, "createCombiner")
        check_optional_function(mergeValue, "mergeValue")
        check_optional_function(mergeCombiners, "mergeCombiners")
        check_function(partitionFunc, "partitionFunc")
        aggregator = Aggregator(createCombiner, mergeValue, mergeCombiners)
        return self._shuffled(Partitioner(self._reducers(numPartitions), partitionFunc), aggregator)

    def reduceByKey(
        self: ByKey[tuple[K, V]],
        func: Callable[[V, V], V],
        numPartitions: int | None = None,
        partitionFunc: PartitionFunc = portable_hash,
    ) -> RDD[tuple[K, V]]:
        """Combine the values of each key two by two.

        >>> sorted(sc.parallelize([("a", 1), ("b", 1), ("a", 1)]).reduceByKey(lambda a, b: a + b).collect())
        [('a', 2), ('b', 1)]
        """
        check_optional_function(func, "func")
        return self.combineByKey(_same, func, func, numPartitions, partitionFunc)

    def aggregateByKey(
        self: ByKey[tuple[K, V]],
        zeroValue: U,
        seqFunc: Callable[[U, V], U],
        combFunc: Callable[[U, U], U],
        numPartitions: int | None = None,
        partitionFunc: PartitionFunc = portable_hash,
    ) -> RDD[tuple[K, U]]:
        """Fold the values of each key into a copy of ``zeroValue`` with ``seqFunc``, then merge the results with
        ``combFunc``.
        """
        check_function(seqFunc, "seqFunc")
        check_optional_function(combFunc, "combFunc")
        create = partial(_from_zero, seqFunc, zeroValue)
        return self.combineByKey(create, seqFunc, combFunc, numPartitions, partitionFunc)

    def foldByKey(
        self: ByKey[tuple[K, V]],
        zeroValue: V,
        func: Callable[[V, V], V],
        numPartitions: int | None = None,
        partitionFunc: PartitionFunc = portable_hash,
    ) -> RDD[tuple[K, V]]:
        """`aggregateByKey` with one function. ``zeroValue`` is used once per key and partition, so it should be
        neutral.
        """
        check_function(func, "func")
        return self.aggregateByKey(zeroValue, func, func, numPartitions, partitionFunc)

    def groupByKey(
        self: ByKey[tuple[K, V]], numPartitions: int | None = None, partitionFunc: PartitionFunc = portable_hash
    ) -> RDD[tuple[K, ResultIterable[V]]]:
        """All values of each key. To sum them up, `reduceByKey` or `aggregateByKey` move far less data.

        >>> pairs = sc.parallelize([("a", 1), ("b", 1), ("a", 2)])
        >>> sorted(pairs.groupByKey().mapValues(list).collect())
        [('a', [1, 2]), ('b', [1])]
        """
        grouped = self.combineByKey(_list_of, _append, _extend, numPartitions, partitionFunc)
        return grouped.mapValues(ResultIterable)

    def groupBy(
        self, f: Callable[[T], K], numPartitions: int | None = None, partitionFunc: PartitionFunc = portable_hash
    ) -> RDD[tuple[K, ResultIterable[T]]]:
        """All records for each value of ``f(record)``."""
        keyed: RDD[Any] = self.keyBy(f)
        return keyed.groupByKey(numPartitions, partitionFunc)

    def reduceByKeyLocally(self: ByKey[tuple[K, V]], func: Callable[[V, V], V]) -> dict[K, V]:
        """`reduceByKey` with the result as a dict in the driver. Raises ValueError for an RDD without partitions."""
        check_optional_function(func, "func")
        aggregator = Aggregator(_same, func, func)
        first, *others = self._per_partition(aggregator.combine_values) or [None]
        if first is None:
            raise ValueError("Can not reduce() empty RDD")
        merged: dict[K, V] = first
        for other in others:
            aggregator.merge_combiners(other.items(), merged)
        return merged

    def collectAsMap(self: ByKey[tuple[K, V]]) -> dict[K, V]:
        """The pairs as a dict in the driver; of several values of a key, the last."""
        pairs = self.collect()
        try:
            return dict(pairs)
        except (TypeError, ValueError) as error:
            for pair in pairs:
                check_pair(pair, error)
            raise

    def countByKey(self: ByKey[tuple[K, V]]) -> dict[K, int]:
        """How many pairs each key has."""
        return self.keys().countByValue()

    def lookup(self: ByKey[tuple[K, V]], key: K) -> list[V]:
        """The values of ``key``. Looks at one partition where it is known which that is: not for objects of a program's
        own classes, which may hash differently in each process, unless a partition function of its own places them.

        >>> sc.parallelize([(1, "a"), (2, "b"), (1, "c")]).lookup(1)
        ['a', 'c']
        """
        found = self.mapPartitionsWithIndex(partial(_values_of, key))
        if self.partitioner is None:
            return found.collect()
        place = self._place_of(key, self.partitioner)
        values: list[V] = found.collect() if place is None else found._per_partition(list, [place])[0]
        return values

    def _place_of(self, key: Any, partitioner: Partitioner) -> int | None:
        """The partition where executors put a key, None when the driver cannot know."""
        from localcluster.rdd.sorting import RangePartitionFunction  # which imports this module

        place, func = partitioner(key), partitioner.partitionFunc
        if func is portable_hash:
            return place if hashes_like_executors(key) else None
        if isinstance(func, RangePartitionFunction) and func.compares_keys:
            return place
        return self.ctx.parallelize([key], 1).map(partitioner).collect()[0]  # it may hash, too: one of them has to say

    def _reducers(self, numPartitions: int | None) -> int:
        if numPartitions is None:
            return self._defaultReducePartitions()
        return whole_number(numPartitions, "numPartitions")

    def _memory_limit(self) -> int:
        """Mebibytes that one task may gather while it shuffles and sorts."""
        limit = Settings(self.ctx.conf).python_worker_memory
        return limit >> 20

    def _shuffled(
        self: ByKey[tuple[K, V]], partitioner: Partitioner, aggregator: Aggregator | None
    ) -> RDD[tuple[K, Any]]:
        """This RDD placed by ``partitioner`` and combined: in place if it is placed so already, else through a
        shuffle.
        """
        from localcluster.rdd.shuffled_rdd import ShuffledRDD  # kinds of RDD derive from this class

        if self.partitioner != partitioner:
            return ShuffledRDD(self, partitioner, aggregator, map_side_combine=aggregator is not None)
        if aggregator is None:
            return self  # type: ignore[return-value]  # every RDDCore is an RDD
        return self.mapPartitionsWithIndex(partial(_combine_partition, aggregator), True)


def _same(value: Any) -> Any:
    return value


def _list_of(value: Any) -> list[Any]:
    return [value]


def _append(values: list[Any], value: Any) -> list[Any]:
    values.append(value)
    return values


def _extend(values: list[Any], others: list[Any]) -> list[Any]:
    values.extend(others)
    return values


def _from_zero(f: Callable[[Any, Any], Any], zero: Any, value: Any) -> Any:
    return f(copy.deepcopy(zero), value)


def _combine_partition(
    aggregator: Aggregator, index: int, iterator: Iterator[tuple[Any, Any]]
) -> Iterator[tuple[Any, Any]]:
    with get_env().shuffle_manager.combiner(aggregator.mergeCombiners) as combiner:
        task_context = TaskContext.get()
        if task_context is not None:  # None in some threads of tasks; else it closes also what a traceback keeps open
            task_context.on_completion(lambda _: combiner.close())
        combiner.add(iterator, aggregator.createCombiner, aggregator.mergeValue)
        yield from combiner.items()


def _item(position: int, index: int, iterator: Iterator[Any]) -> Iterator[Any]:
    pair: Any = A_PAIR
    try:
        for pair in iterator:
            yield pair[position]
    except (TypeError, LookupError) as error:
        check_key_and_value(pair, error)
        raise


def _map_values(f: Callable[[Any], Any], index: int, iterator: Iterator[Any]) -> Iterator[tuple[Any, Any]]:
    pair: Any = A_PAIR
    try:
        for pair in iterator:
            yield pair[0], f(pair[1])
    except StopIteration as error:
        raise stop_iteration_error(error) from error
    except (TypeError, LookupError) as error:
        check_key_and_value(pair, error)
        raise


def _flat_map_values(
    f: Callable[[Any], Iterable[Any]], index: int, iterator: Iterator[Any]
) -> Iterator[tuple[Any, Any]]:
    pair: Any = A_PAIR
    try:
        for pair in iterator:
            key = pair[0]
            for item in f(pair[1]):
                yield key, item
    except StopIteration as error:
        raise stop_iteration_error(error) from error
    except (TypeError, LookupError) as error:
        check_key_and_value(pair, error)
        raise


def _values_of(key: Any, index: int, iterator: Iterator[Any]) -> Iterator[Any]:
    pair: Any = A_PAIR
    try:
        for pair in iterator:
            if pair[0] == key:
                yield pair[1]
    except (TypeError, LookupError) as error:
        check_key_and_value(pair, error)
        raise
