"""Actions give what the same loop over a list gives."""

from __future__ import annotations

import functools
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.localcluster.rdd.local_context import LocalContext
from tests.localcluster.rdd.models import flat, jobs, keys, make, partitions, values

numbers = partitions(st.integers(-9, 9))


@jobs
@given(partitions(values))
def test_collect_count_and_the_local_iterators(parts: list[list[Any]]) -> None:
    rdd = make(parts)
    assert rdd.collect() == flat(parts)
    assert rdd.count() == len(flat(parts))
    assert list(rdd.toLocalIterator()) == flat(parts)
    assert list(rdd.toLocalIterator(prefetchPartitions=True)) == flat(parts)
    assert rdd.isEmpty() == (not flat(parts))


@jobs
@given(partitions(values, most=12), st.integers(-1, 20))
def test_take_takes_from_the_front(parts: list[list[Any]], num: int) -> None:
    assert make(parts).take(num) == flat(parts)[: max(num, 0)]


@jobs
@given(numbers, st.integers(0, 12))
def test_top_and_take_ordered_are_sorts_cut_short(parts: list[list[int]], num: int) -> None:
    rdd, by = make(parts), lambda x: x % 4
    assert rdd.top(num) == sorted(flat(parts), reverse=True)[:num]
    assert rdd.top(num, key=by) == sorted(flat(parts), key=by, reverse=True)[:num]
    assert rdd.takeOrdered(num) == sorted(flat(parts))[:num]
    assert rdd.takeOrdered(num, key=by) == sorted(flat(parts), key=by)[:num]


@jobs
@given(numbers)
def test_reductions(parts: list[list[int]]) -> None:
    rdd, records = make(parts), flat(parts)
    join = lambda a, b: f"{a}{b}"  # noqa: E731 - associative, and shows the order
    if records:
        assert rdd.map(str).reduce(join) == "".join(map(str, records))
        assert rdd.max() == max(records)
        assert rdd.min(key=abs) == min(records, key=abs)
    else:
        with pytest.raises(ValueError, match="empty"):
            rdd.reduce(join)
    assert rdd.map(str).fold("", join) == "".join(map(str, records))
    assert rdd.aggregate((0, 0), lambda a, x: (a[0] + x, a[1] + 1), lambda a, b: (a[0] + b[0], a[1] + b[1])) == (
        sum(records),
        len(records),
    )
    assert rdd.sum() == sum(records)


@jobs
@given(numbers)
def test_mutable_zero_values_are_not_shared_by_partitions(parts: list[list[int]]) -> None:
    def add(a: list[Any], b: Any) -> list[Any]:
        a.append(b)
        return a

    zero: list[Any] = []
    assert make(parts).aggregate([], add, lambda a, b: a + b) == flat(parts)
    assert make(parts).fold(zero, add) == list(parts)


@jobs
@given(partitions(keys))
def test_count_by_value(parts: list[list[Any]]) -> None:
    assert make(parts).countByValue() == Counter(flat(parts))


@jobs
@given(partitions(st.tuples(keys, values)))
def test_pairs_in_the_driver(parts: list[list[Any]]) -> None:
    assert make(parts).collectAsMap() == dict(flat(parts))
    assert make(parts).countByKey() == Counter(key for key, _ in flat(parts))


def test_reduce_keeps_the_order_of_partitions(sc: LocalContext) -> None:
    subtract = lambda a, b: a - b  # noqa: E731
    parts = [[10, 3], [], [5], [2, 1]]
    assert sc.parts(parts).reduce(subtract) == functools.reduce(subtract, [7, 5, 1])


@pytest.mark.parametrize("action", ["max", "min", "mean", "countByValue", "reduceByKeyLocally", "top", "stats"])
def test_no_partitions_at_all_is_a_value_error(sc: LocalContext, action: str) -> None:
    arguments = {"reduceByKeyLocally": (max,), "top": (1,)}.get(action, ())
    with pytest.raises(ValueError, match=r"Can not reduce\(\) empty RDD"):
        getattr(sc.emptyRDD(), action)(*arguments)


def test_actions_of_no_partitions_that_have_an_answer(sc: LocalContext) -> None:
    empty = sc.emptyRDD()
    assert (empty.collect(), empty.count(), empty.sum(), empty.fold(5, max), empty.take(3)) == ([], 0, 0, 5, [])
    assert (empty.isEmpty(), empty.collectAsMap(), empty.takeOrdered(3), empty.getNumPartitions()) == (True, {}, [], 0)
    with pytest.raises(ValueError, match="RDD is empty"):
        empty.first()


def test_negative_numbers(sc: LocalContext) -> None:
    rdd = sc.parallelize([1, 2])
    assert rdd.top(-1) == []
    with pytest.raises(ValueError, match="top N cannot be negative"):
        rdd.takeOrdered(-1)


def test_take_looks_at_more_partitions_each_time(sc: LocalContext) -> None:
    rdd = sc.parallelize(range(100), 100)
    sc.jobs.clear()
    assert rdd.filter(lambda x: x >= 90).take(3) == [90, 91, 92]
    assert [len(job) for job in sc.jobs] == [1, 4, 20, 75]
    sc.jobs.clear()
    assert rdd.take(5) == [0, 1, 2, 3, 4]
    assert sc.jobs == [[0], [1, 2, 3, 4]]


def test_first_looks_at_one_partition(sc: LocalContext) -> None:
    assert sc.parallelize(range(10), 5).first() == 0
    assert sc.jobs == [[0]]


def test_local_iterator_runs_a_job_a_partition_when_it_gets_there(sc: LocalContext) -> None:
    records = sc.parallelize(range(4), 4).toLocalIterator()
    assert sc.jobs == []
    next(records)
    assert sc.jobs == [[0]]
    next(records)
    assert sc.jobs == [[0], [1]]


def test_prefetch_is_one_partition_ahead(sc: LocalContext) -> None:
    records = sc.parallelize(range(4), 4).toLocalIterator(prefetchPartitions=True)
    assert list(records) == [0, 1, 2, 3]
    assert sc.jobs == [[0], [1], [2], [3]]


def test_foreach_runs_on_every_record_and_runs_generators_through(sc: LocalContext, tmp_path: Any) -> None:
    path = str(tmp_path / "seen")

    def note(x: Any) -> None:
        with open(path, "a") as file:
            file.write(f"{x} ")

    def generate(records: Any) -> Any:
        for x in records:
            note(x)
            yield

    sc.parallelize([1, 2, 3], 2).foreach(note)
    sc.parallelize([1, 2, 3], 2).foreachPartition(lambda records: note(sum(records)))
    sc.parallelize([8, 9], 2).foreachPartition(generate)
    assert (tmp_path / "seen").read_text() == "1 2 3 1 5 8 9 "


def test_run_job_on_some_partitions(sc: LocalContext) -> None:
    assert sc.runJob(sc.parallelize(range(6), 3), lambda records: [sum(records)], [0, 2]) == [1, 9]
