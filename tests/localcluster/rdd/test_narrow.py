"""Transformations of single partitions mean what their plain-Python counterparts mean, partition by partition."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import RDDError
from tests.localcluster.rdd.local_context import LocalContext
from tests.localcluster.rdd.models import flat, jobs, make, partitions, values

numbers = partitions(st.integers(-9, 9))


@jobs
@given(partitions(values))
def test_map_is_map(parts: list[list[Any]]) -> None:
    assert make(parts).map(repr).glom().collect() == [[repr(x) for x in part] for part in parts]


@jobs
@given(numbers)
def test_flat_map_is_a_nested_loop(parts: list[list[int]]) -> None:
    expected = [[y for x in part for y in range(x)] for part in parts]
    assert make(parts).flatMap(range).glom().collect() == expected


@jobs
@given(numbers)
def test_filter_is_filter_and_takes_any_truth(parts: list[list[int]]) -> None:
    assert make(parts).filter(lambda x: x % 3).glom().collect() == [[x for x in part if x % 3] for part in parts]


@jobs
@given(numbers)
def test_partitions_are_mapped_whole_and_know_their_number(parts: list[list[int]]) -> None:
    assert make(parts).mapPartitions(lambda xs: [sum(xs)]).collect() == [sum(part) for part in parts]
    indexed = make(parts).mapPartitionsWithIndex(lambda i, xs: ((i, x) for x in xs))
    assert indexed.collect() == [(i, x) for i, part in enumerate(parts) for x in part]


@jobs
@given(numbers)
def test_numbering(parts: list[list[int]]) -> None:
    assert make(parts).zipWithIndex().collect() == [(x, i) for i, x in enumerate(flat(parts))]
    unique = make(parts).zipWithUniqueId()
    assert unique.collect() == [(x, j * len(parts) + i) for i, part in enumerate(parts) for j, x in enumerate(part)]


@jobs
@given(numbers)
def test_key_by(parts: list[list[int]]) -> None:
    assert make(parts).keyBy(lambda x: x % 3).collect() == [(x % 3, x) for x in flat(parts)]


def test_zip_with_index_of_one_partition_needs_no_job(sc: LocalContext) -> None:
    sc.parallelize([1, 2], 1).zipWithIndex()
    assert sc.jobs == []


def test_nothing_is_computed_before_an_action(sc: LocalContext) -> None:
    sc.parallelize([0]).map(lambda x: 1 / x).filter(bool).glom()
    assert sc.jobs == []


def test_partitions_stream(sc: LocalContext) -> None:
    endless = sc.parallelize([0], 1).flatMap(lambda x: itertools.count()).map(lambda x: x + 1).filter(lambda x: x % 2)
    assert endless.keyBy(str).mapValues(float).zipWithUniqueId().take(2) == [(("1", 1.0), 0), (("3", 3.0), 1)]


def test_functions_see_an_iterator_that_is_read_once(sc: LocalContext) -> None:
    def first_and_rest(records: Iterator[int]) -> Any:
        yield next(records)
        yield list(records)
        yield list(records)

    assert sc.parallelize([1, 2, 3], 1).mapPartitions(first_and_rest).collect() == [1, [2, 3], []]


def test_a_generator_that_raises_part_way_fails_the_job_with_its_error(sc: LocalContext) -> None:
    def some(records: Iterator[int]) -> Any:
        yield 1
        raise KeyError("midway")

    for action in ("collect", "count", "sum"):
        with pytest.raises(KeyError, match="midway"):
            getattr(sc.parallelize([1, 2], 2).mapPartitions(some), action)()
    assert sc.parallelize([1, 2], 2).mapPartitions(some).take(1) == [1]


def stop(*_: Any) -> Any:
    raise StopIteration("mine")


@pytest.mark.parametrize(
    "job",
    [
        lambda rdd: rdd.map(stop).collect(),
        lambda rdd: rdd.flatMap(stop).collect(),
        lambda rdd: rdd.filter(stop).collect(),
        lambda rdd: rdd.keyBy(stop).collect(),
        lambda rdd: rdd.keyBy(str).mapValues(stop).collect(),
        lambda rdd: rdd.keyBy(str).flatMapValues(stop).collect(),
        lambda rdd: rdd.foreach(stop),
        lambda rdd: rdd.reduce(stop),
        lambda rdd: rdd.fold(0, stop),
        lambda rdd: rdd.aggregate(0, stop, stop),
        lambda rdd: rdd.keyBy(bool).reduceByKey(stop).collect(),
        lambda rdd: rdd.keyBy(bool).reduceByKeyLocally(stop),
        lambda rdd: rdd.keyBy(bool).partitionBy(1).reduceByKey(stop, 1).collect(),
    ],
)
def test_stop_iteration_out_of_a_users_function_is_an_error_not_an_end(sc: LocalContext, job: Any) -> None:
    with pytest.raises(RDDError, match=r"STOP_ITERATION_OCCURRED.*mine"):
        job(sc.parallelize([1, 2, 3], 1))


def test_a_function_that_gives_no_iterable_is_a_type_error(sc: LocalContext) -> None:
    with pytest.raises(TypeError):
        sc.parallelize([1]).mapPartitions(lambda records: None).collect()
    with pytest.raises(TypeError):
        sc.parallelize([1]).flatMap(lambda x: x).collect()


def test_the_old_name_warns(sc: LocalContext) -> None:
    with pytest.warns(FutureWarning, match="mapPartitionsWithIndex"):
        old = sc.parallelize([1], 1).mapPartitionsWithSplit(lambda i, xs: [i])
    assert old.collect() == [0]


def test_partitioning_survives_what_leaves_keys_alone_only(sc: LocalContext) -> None:
    placed = sc.parallelize([(1, 2)]).partitionBy(3)
    kept = [placed.filter(bool), placed.mapValues(str), placed.flatMapValues(str), placed.map(tuple, True)]
    assert all(rdd.partitioner == placed.partitioner for rdd in kept)
    lost = [placed.map(tuple), placed.keys(), placed.flatMap(list), placed.mapPartitions(list), placed.coalesce(1)]
    assert all(rdd.partitioner is None for rdd in lost)


def test_long_chains_need_no_recursion_to_be_planned_and_pickled(sc: LocalContext) -> None:
    rdd = sc.parallelize([1], 1)
    for _ in range(300):
        rdd = rdd.map(abs)
    assert rdd.getNumPartitions() == 1
    assert rdd.collect() == [1]
    assert len(rdd.toDebugString().splitlines()) == 2  # one pipeline, as in PySpark
