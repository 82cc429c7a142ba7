"""Records on their way: namedtuples arrive, and tasks that change what they read from the cache change nothing else."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable
from operator import add
from typing import Any

import numpy as np
import pytest

from localcluster import RDD, SparkContext, StorageLevel
from localcluster.errors import NotAPairError, TaskError
from localcluster.serializers import AutoBatchedSerializer, CPickleSerializer


class Thing:
    """Nothing that marshal knows."""


def test_without_one_pickle_takes_nearly_everything(sc: SparkContext) -> None:
    assert sc.serializer == AutoBatchedSerializer(CPickleSerializer())
    assert isinstance(sc.parallelize([Thing()], 1).collect()[0], Thing)


def test_namedtuples_travel_wherever_they_are_defined(sc: SparkContext) -> None:
    inner = namedtuple("inner", "a b")
    rdd = sc.parallelize([inner(1, 2), inner(3, 4)], 2).map(lambda t: t._replace(a=t.a + t.b))
    assert [(t.a, t.b, type(t).__name__) for t in rdd.collect()] == [(3, 2, "inner"), (7, 4, "inner")]

    def made_in_the_task(x: int) -> Any:
        return namedtuple("late", "value")(x)

    keyed = sc.parallelize([1, 1, 2], 2).map(made_in_the_task).map(lambda t: (t.value, t)).groupByKey(2)
    assert sorted((key, [t.value for t in group]) for key, group in keyed.collect()) == [(1, [1, 1]), (2, [2])]


# --- what tasks may change -----------------------------------------------------------------------------------------

CACHED = [StorageLevel.MEMORY_ONLY, StorageLevel.MEMORY_AND_DISK, StorageLevel.DISK_ONLY, StorageLevel.MEMORY_ONLY_2]


@pytest.mark.parametrize("level", CACHED, ids=str)
def test_a_task_that_changes_cached_records_does_not_change_the_cache(sc: SparkContext, level: StorageLevel) -> None:
    def grow(record: Any) -> Any:
        array, numbers = record
        array += 1
        numbers.append(0)
        return array.tolist(), numbers

    cached = sc.parallelize([0, 1], 2).map(lambda i: (np.full(3, float(i)), [i])).persist(level)
    for _ in range(3):
        assert cached.map(grow).collect() == [([1.0] * 3, [0, 0]), ([2.0] * 3, [1, 0])]
    cached.unpersist()


BRINGERS: list[Callable[[RDD[Any]], list[Any]]] = [
    lambda rdd: rdd.collect(),
    lambda rdd: [rdd.first(), *rdd.take(1), *rdd.top(1, key=len)],
    lambda rdd: list(rdd.toLocalIterator()),
    lambda rdd: [array for part in rdd.glom().collect() for array in part],
    lambda rdd: [rdd.reduce(lambda one, other: one)],
    lambda rdd: rdd.aggregate([], lambda found, array: [*found, array], add),
    lambda rdd: [array for _, group in rdd.keyBy(len).groupByKey().collect() for array in group],
]


@pytest.mark.parametrize("bring", BRINGERS)
@pytest.mark.parametrize("size", [10, 100_000], ids=["small", "large"])
def test_arrays_from_shared_memory_are_the_drivers_own_when_they_arrive(
    sc: SparkContext, size: int, bring: Callable[[RDD[Any]], list[Any]]
) -> None:
    shared = sc.parallelize([0, 1], 2).map(lambda i: np.full(size, i)).persist(StorageLevel.OFF_HEAP)
    for array in bring(shared):
        array += 5
    assert [array.max() for array in shared.collect()] == [0, 1]
    shared.unpersist()


def write(array: Any) -> float:
    array += 1
    return float(array[0])


LEVELS = ["MEMORY_ONLY", "MEMORY_AND_DISK", "DISK_ONLY", "OFF_HEAP", "MEMORY_ONLY_2"]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("size", [10, 1_000_000], ids=["small", "large"])
def test_a_task_may_write_into_cached_arrays_and_nobody_else_sees_it(sc: SparkContext, level: str, size: int) -> None:
    cached = sc.parallelize([0, 1], 2).map(lambda i: np.full(size, float(i))).persist(getattr(StorageLevel, level))
    for _ in range(3):
        assert cached.map(write).collect() == [1, 2]
    everywhere = sc.parallelize(range(4), 4).cartesian(cached).coalesce(4).map(lambda pair: write(pair[1]))
    assert sorted(everywhere.collect()) == [1] * 4 + [2] * 4
    assert [array.min() for array in cached.collect()] == [0, 1]
    cached.unpersist()


@pytest.mark.parametrize("size", [10, 1_000_000], ids=["small", "large"])
def test_a_task_may_write_into_a_broadcast_array(sc: SparkContext, size: int) -> None:
    variable = sc.broadcast(np.zeros(size))

    def write_one(i: int) -> float:
        variable.value[i] = i
        return float(variable.value[i])

    assert sc.parallelize(range(8), 8).map(write_one).collect() == [*range(8)]
    assert variable.value[0] == 0
    variable.destroy()


def test_objects_are_shared_where_that_is_asked_for(sc: SparkContext) -> None:
    cached = sc.parallelize([1], 1).map(lambda x: [x]).persist(StorageLevel.MEMORY_AND_DISK_DESER)
    assert [cached.map(lambda numbers: (numbers.append(0), len(numbers))[1]).collect() for _ in range(2)] == [[2], [3]]
    cached.unpersist()


BY_KEY: dict[str, Callable[[RDD[Any], RDD[Any]], Any]] = {
    "reduceByKey": lambda rdd, pairs: rdd.reduceByKey(add).count(),
    "groupByKey": lambda rdd, pairs: rdd.groupByKey().count(),
    "partitionBy": lambda rdd, pairs: rdd.partitionBy(2).count(),
    "combineByKey where the keys are": lambda rdd, pairs: (
        rdd.mapPartitions(list, preservesPartitioning=True).reduceByKey(add, 2).count()
    ),
    "reduceByKeyLocally": lambda rdd, pairs: rdd.reduceByKeyLocally(add),
    "join": lambda rdd, pairs: pairs.join(rdd).count(),
    "cogroup": lambda rdd, pairs: rdd.cogroup(pairs).count(),
    "sortByKey": lambda rdd, pairs: rdd.sortByKey(True, 2).count(),
    "mapValues": lambda rdd, pairs: rdd.mapValues(str).count(),
    "flatMapValues": lambda rdd, pairs: rdd.flatMapValues(str).count(),
    "values": lambda rdd, pairs: rdd.values().count(),
    "countByKey": lambda rdd, pairs: rdd.countByKey(),
    "lookup": lambda rdd, pairs: rdd.lookup("k"),
    "sampleByKey": lambda rdd, pairs: rdd.sampleByKey(False, {"k": 1.0}, 1).count(),
    "collectAsMap": lambda rdd, pairs: rdd.collectAsMap(),
}


@pytest.mark.parametrize("wrong", [5, ()], ids=repr)
@pytest.mark.parametrize("method", BY_KEY)
def test_a_record_that_is_no_pair_is_named(sc: SparkContext, method: str, wrong: Any) -> None:
    pairs = sc.parallelize([("k", 1)], 1)
    with pytest.raises((TaskError, NotAPairError)) as caught:
        BY_KEY[method](sc.parallelize([("k", 1), wrong], 2), pairs)
    error = getattr(caught.value, "cause", None) or caught.value
    assert isinstance(error, NotAPairError)
    assert str(error).endswith(f": a record is no pair of key and value, but {wrong!r}")


def test_an_error_of_the_function_is_not_taken_for_one_of_the_record(sc: SparkContext) -> None:
    rdd = sc.parallelize([("k", 1), ("k", None)], 1)
    for run in (lambda: rdd.reduceByKey(add).count(), lambda: rdd.mapValues(lambda value: value[0]).count()):
        with pytest.raises(TaskError) as caught:
            run()
        assert type(caught.value.cause) is TypeError
