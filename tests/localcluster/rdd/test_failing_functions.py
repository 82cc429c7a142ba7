"""Whatever a user's function raises, at whatever record, comes out of the action: no result is cut short in silence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import PySparkRuntimeError
from tests.localcluster.rdd.local_context import LocalContext
from tests.localcluster.rdd.models import jobs


class OfOnesOwn(Exception):
    """Not a builtin, and with two arguments."""

    def __init__(self, first: int, second: str) -> None:
        super().__init__(first, second)


def failing(error: Exception, calls: int, answer: Callable[..., Any]) -> Callable[..., Any]:
    """``answer``, but that the call after ``calls`` many raises."""
    made = [0]

    def function(*arguments: Any) -> Any:
        made[0] += 1
        if made[0] > calls:
            raise error
        return answer(*arguments)

    return function


def first(*arguments: Any) -> Any:
    return arguments[0]


# For each function that a method takes: a call of the method, and what the function answers when it does not raise.
CALLS: dict[str, tuple[Callable[[Any, Any], Any], Callable[..., Any]]] = {
    "map": (lambda r, f: r.map(f).collect(), first),
    "map, then count": (lambda r, f: r.map(f).count(), first),
    "flatMap": (lambda r, f: r.flatMap(f).collect(), list),
    "filter": (lambda r, f: r.filter(f).collect(), bool),
    "keyBy": (lambda r, f: r.keyBy(f).collect(), first),
    "mapValues": (lambda r, f: r.mapValues(f).collect(), first),
    "flatMapValues": (lambda r, f: r.flatMapValues(f).collect(), range),
    "foreach": (lambda r, f: r.foreach(f), first),
    "groupBy": (lambda r, f: r.groupBy(f).collect(), first),
    "groupBy's places": (lambda r, f: r.groupBy(str, 3, f).collect(), len),
    "sortBy": (lambda r, f: r.sortBy(f).collect(), first),
    "sortByKey": (lambda r, f: r.sortByKey(keyfunc=f).collect(), first),
    "sortByKey to one": (lambda r, f: r.sortByKey(True, 1, f).collect(), first),
    "partitionBy": (lambda r, f: r.partitionBy(2, f).collect(), first),
    "repartitionAndSortWithinPartitions": (
        lambda r, f: r.repartitionAndSortWithinPartitions(1, keyfunc=f).collect(),
        first,
    ),
    "combineByKey creates": (lambda r, f: r.combineByKey(f, max, max).collect(), first),
    "combineByKey merges values": (lambda r, f: r.coalesce(1).combineByKey(first, f, max).collect(), max),
    "combineByKey merges combiners": (lambda r, f: r.combineByKey(first, max, f).collect(), max),
    "combineByKey in place": (lambda r, f: r.partitionBy(2).combineByKey(first, f, max, 2).collect(), max),
    "reduceByKey": (lambda r, f: r.reduceByKey(f).collect(), max),
    "foldByKey": (lambda r, f: r.foldByKey(0, f).collect(), max),
    "aggregateByKey": (lambda r, f: r.aggregateByKey(0, f, max).collect(), max),
    "reduceByKeyLocally": (lambda r, f: r.reduceByKeyLocally(f), max),
    "reduce": (lambda r, f: r.reduce(f), max),
    "fold": (lambda r, f: r.fold((0, 0), f), max),
    "aggregate": (lambda r, f: r.aggregate((0, 0), f, max), max),
    "aggregate combines": (lambda r, f: r.aggregate((0, 0), max, f), max),
    "treeReduce": (lambda r, f: r.treeReduce(f, 2), max),
    "treeAggregate": (lambda r, f: r.treeAggregate((0, 0), f, max), max),
    "treeAggregate combines": (lambda r, f: r.treeAggregate((0, 0), max, f), max),
    "top": (lambda r, f: r.top(3, f), first),
    "takeOrdered": (lambda r, f: r.takeOrdered(3, f), first),
    "max": (lambda r, f: r.max(f), first),
    "min": (lambda r, f: r.min(f), first),
}

RECORDS = [(i % 2, i) for i in range(16)]  # in 8 partitions, and each key in each


@pytest.mark.parametrize("name", CALLS)
@jobs
@given(error=st.sampled_from([ValueError("a text"), KeyError("k"), OfOnesOwn(1, "b")]), calls=st.integers(0, 1))
def test_the_error_itself_comes_out(name: str, error: Exception, calls: int) -> None:
    call, answer = CALLS[name]
    with pytest.raises(type(error)) as raised:
        call(LocalContext().parallelize(RECORDS, 8), failing(error, calls, answer))
    assert raised.value.args == error.args


# A StopIteration of keys and places comes out as it is, in PySpark too.
AS_IT_IS = {
    *("groupBy's places", "partitionBy", "top", "takeOrdered"),
    *("sortByKey", "sortByKey to one", "repartitionAndSortWithinPartitions"),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("calls", [0, 1])
def test_stop_iteration_stops_nothing_in_silence(name: str, calls: int) -> None:
    call, answer = CALLS[name]
    expected = StopIteration if name in AS_IT_IS else PySparkRuntimeError
    with pytest.raises(expected, match=r"^of ours$|STOP_ITERATION_OCCURRED.*of ours"):
        call(LocalContext().parallelize(RECORDS, 8), failing(StopIteration("of ours"), calls, answer))


PARTITION_CALLS: dict[str, Callable[[Any, Any], Any]] = {
    "mapPartitions": lambda r, f: r.mapPartitions(f).collect(),
    "mapPartitions, then a shuffle": lambda r, f: r.mapPartitions(f).groupByKey().collect(),
    "mapPartitions under all": lambda r, f: r.mapPartitions(f).map(str).filter(bool).glom().count(),
    "mapPartitions of a union": lambda r, f: r.union(r.mapPartitions(f)).collect(),
    "mapPartitions of neighbours": lambda r, f: r.mapPartitions(f).coalesce(2).collect(),
    "mapPartitions of a product": lambda r, f: r.cartesian(r.mapPartitions(f)).collect(),
    "mapPartitions, cached": lambda r, f: r.mapPartitions(f).cache().collect(),
    "mapPartitionsWithIndex": lambda r, f: r.mapPartitionsWithIndex(lambda i, records: f(records)).collect(),
    "foreachPartition": lambda r, f: r.foreachPartition(f),
    "zip": lambda r, f: r.zip(r.mapPartitions(f)).collect(),
    "join": lambda r, f: r.join(r.mapPartitions(f)).collect(),
    "count": lambda r, f: r.mapPartitions(f).count(),
    "sum": lambda r, f: r.mapPartitions(f).values().sum(),
    "toLocalIterator": lambda r, f: list(r.mapPartitions(f).toLocalIterator()),
    "pipe": lambda r, f: r.mapPartitions(f).pipe("cat").collect(),
}


@pytest.mark.parametrize("name", PARTITION_CALLS)
@jobs
@given(where=st.integers(0, 15), stops=st.booleans())
def test_generators_that_fail_part_way(name: str, where: int, stops: bool) -> None:
    error = StopIteration("of ours") if stops else LookupError("of ours")

    def generate(records: Any) -> Any:
        for record in records:
            if record[1] == where:
                raise error  # Python makes a RuntimeError of a StopIteration
            yield record

    with pytest.raises(RuntimeError if stops else LookupError):
        PARTITION_CALLS[name](LocalContext().parallelize(RECORDS, 8), generate)


@pytest.mark.parametrize("name", PARTITION_CALLS)
def test_functions_of_partitions_that_stop_before_they_begin(name: str) -> None:
    def begin(records: Any) -> Any:
        raise StopIteration("of ours")

    with pytest.raises((StopIteration, RuntimeError)):
        PARTITION_CALLS[name](LocalContext().parallelize(RECORDS, 8), begin)


@pytest.mark.parametrize("name", PARTITION_CALLS)
@pytest.mark.parametrize("result", [None, 5])
def test_functions_of_partitions_must_give_something_iterable(name: str, result: Any) -> None:
    rdd = LocalContext().parallelize(RECORDS, 8)
    if name == "foreachPartition":
        PARTITION_CALLS[name](rdd, lambda records: result)
        return
    with pytest.raises(TypeError, match="object is not iterable"):
        PARTITION_CALLS[name](rdd, lambda records: result)
