"""When jobs run and how much of a partition is computed: nothing before an action, and no more than it needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.localcluster.rdd.local_context import LocalContext

PAIRS = [(i % 3, i) for i in range(12)]

LAZY: dict[str, Callable[[Any, Any], Any]] = {
    "map": lambda r, o: r.map(str),
    "flatMap": lambda r, o: r.flatMap(list),
    "filter": lambda r, o: r.filter(bool),
    "mapPartitions": lambda r, o: r.mapPartitions(list),
    "mapPartitionsWithIndex": lambda r, o: r.mapPartitionsWithIndex(lambda i, records: records),
    "glom": lambda r, o: r.glom(),
    "keyBy": lambda r, o: r.keyBy(str),
    "keys": lambda r, o: r.keys(),
    "values": lambda r, o: r.values(),
    "mapValues": lambda r, o: r.mapValues(str),
    "flatMapValues": lambda r, o: r.flatMapValues(range),
    "zipWithUniqueId": lambda r, o: r.zipWithUniqueId(),
    "pipe": lambda r, o: r.pipe("cat"),
    "sample": lambda r, o: r.sample(False, 0.5, 1),
    "sampleByKey": lambda r, o: r.sampleByKey(False, {0: 1.0}),
    "randomSplit": lambda r, o: r.randomSplit([1, 1])[0],
    "distinct": lambda r, o: r.distinct(),
    "union": lambda r, o: r.union(o),
    "intersection": lambda r, o: r.intersection(o),
    "subtract": lambda r, o: r.subtract(o),
    "subtractByKey": lambda r, o: r.subtractByKey(o),
    "cartesian": lambda r, o: r.cartesian(o),
    "zip": lambda r, o: r.zip(o),
    "groupBy": lambda r, o: r.groupBy(str),
    "groupByKey": lambda r, o: r.groupByKey(),
    "reduceByKey": lambda r, o: r.reduceByKey(max),
    "foldByKey": lambda r, o: r.foldByKey(0, max),
    "aggregateByKey": lambda r, o: r.aggregateByKey(0, max, max),
    "combineByKey": lambda r, o: r.combineByKey(str, max, max),
    "partitionBy": lambda r, o: r.partitionBy(2),
    "repartition": lambda r, o: r.repartition(2),
    "coalesce": lambda r, o: r.coalesce(2),
    "repartitionAndSortWithinPartitions": lambda r, o: r.repartitionAndSortWithinPartitions(2),
    "sortByKey to one": lambda r, o: r.sortByKey(True, 1),
    "join": lambda r, o: r.join(o),
    "leftOuterJoin": lambda r, o: r.leftOuterJoin(o),
    "rightOuterJoin": lambda r, o: r.rightOuterJoin(o),
    "fullOuterJoin": lambda r, o: r.fullOuterJoin(o),
    "cogroup": lambda r, o: r.cogroup(o),
    "groupWith": lambda r, o: r.groupWith(o, o),
    "cache": lambda r, o: r.cache(),
    "toLocalIterator": lambda r, o: r.toLocalIterator(),
}

# As in PySpark: what has to know sizes or bounds runs jobs at once.
EAGER: dict[str, tuple[Callable[[Any], Any], int]] = {
    "sortByKey": (lambda r: r.sortByKey(), 2),
    "sortBy": (lambda r: r.sortBy(str), 2),
    "zipWithIndex": (lambda r: r.zipWithIndex(), 1),
    "zipWithIndex of one partition": (lambda r: r.coalesce(1).zipWithIndex(), 0),
}


@pytest.mark.parametrize("name", LAZY)
def test_no_job_runs_before_an_action(sc: LocalContext, name: str) -> None:
    rdd, other = sc.parallelize(PAIRS, 3), sc.parallelize(PAIRS, 3)
    LAZY[name](rdd, other)
    assert sc.jobs == []


@pytest.mark.parametrize("name", EAGER)
def test_jobs_that_run_at_once(sc: LocalContext, name: str) -> None:
    make, jobs = EAGER[name]
    make(sc.parallelize(PAIRS, 3))
    assert len(sc.jobs) == jobs


class Seen:
    """Passes records on and writes down in a file which."""

    def __init__(self, path: Any) -> None:
        self.path = str(path)

    def __call__(self, record: Any) -> Any:
        with open(self.path, "a") as file:
            file.write(f"{record} ")
        return record

    def records(self) -> list[int]:
        with open(self.path) as file:
            return [int(word) for word in file.read().split()]


@pytest.fixture
def seen(tmp_path: Any) -> Seen:
    (tmp_path / "seen").touch()
    return Seen(tmp_path / "seen")


@pytest.mark.parametrize(
    ("action", "computed"),
    [
        (lambda r: r.first(), [0]),
        (lambda r: r.take(2), [0, 1]),
        (lambda r: r.isEmpty(), [0]),
        (lambda r: next(r.toLocalIterator()), [0, 1, 2]),
        (lambda r: r.filter(lambda x: x > 0).first(), [0, 1]),
        (lambda r: r.flatMap(range).first(), [0, 1]),
        (lambda r: r.mapPartitions(lambda records: [next(records)]).collect(), [0, 3]),
        (lambda r: r.map(lambda x: (x, x)).mapValues(str).values().take(1), [0]),
        (lambda r: r.union(r).first(), [0]),
        (lambda r: r.coalesce(1).take(4), [0, 1, 2, 3]),
        (lambda r: r.glom().first(), [0, 1, 2]),
    ],
)
def test_a_partition_is_computed_as_far_as_is_asked(
    sc: LocalContext, seen: Seen, action: Callable[[Any], Any], computed: list[int]
) -> None:
    action(sc.parallelize(range(6), 2).map(seen))
    assert seen.records() == computed


def test_what_is_cached_in_the_middle_is_computed_once(sc: LocalContext, seen: Seen) -> None:
    middle = sc.parallelize(range(6), 2).map(seen).cache()
    doubled = middle.map(lambda x: x * 2)
    assert middle.union(doubled).count() == 12
    assert doubled.keyBy(bool).join(middle.keyBy(bool)).count() == 26
    assert sorted(seen.records()) == [0, 1, 2, 3, 4, 5]
    middle.unpersist()
    assert doubled.sum() == 30
    assert len(seen.records()) == 12


def test_a_shuffle_runs_once_for_all_its_readers(sc: LocalContext, seen: Seen) -> None:
    grouped = sc.parallelize(range(6), 2).map(seen).keyBy(bool).groupByKey(2)
    assert grouped.count() == 2
    assert grouped.mapValues(len).collectAsMap() == {False: 1, True: 5}
    assert len(seen.records()) == 6


def test_records_are_passed_on_one_by_one(sc: LocalContext, tmp_path: Any) -> None:
    first, second = Seen(tmp_path / "both"), Seen(tmp_path / "both")
    sc.parallelize([1, 2], 1).map(first).map(second).collect()
    assert first.records() == [1, 1, 2, 2]


def test_records_that_functions_change_are_whole_again_next_time(sc: LocalContext) -> None:
    rdd = sc.parallelize([[1], [2]], 1)

    def spoil(record: list[int]) -> list[int]:
        record.append(9)
        return record

    assert rdd.map(spoil).collect() == rdd.map(spoil).collect() == [[1, 9], [2, 9]]
    assert rdd.union(rdd.map(spoil)).collect() == [[1], [2], [1, 9], [2, 9]]


def test_a_list_given_away_may_change_later(sc: LocalContext) -> None:
    given = [[1], [2]]
    rdd = sc.parallelize(given, 2)
    given[0].append(5)
    given.append([3])
    assert rdd.collect() == [[1], [2]]


def test_functions_may_yield_nothing_from_endless_partitions(sc: LocalContext) -> None:
    def endless(records: Iterator[int]) -> Iterator[int]:
        while True:
            yield 1

    assert sc.parallelize([0], 1).mapPartitions(endless).take(3) == [1, 1, 1]
