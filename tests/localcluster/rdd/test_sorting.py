"""Sorts against `sorted`."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.localcluster.rdd.local_context import LocalContext
from tests.localcluster.rdd.models import counts, flat, jobs, make, partitions

number_pairs = partitions(st.tuples(st.integers(-5, 5), st.integers()))


@jobs
@given(number_pairs, counts, st.booleans())
def test_sort_by_key_is_a_stable_sort(parts: list[list[Any]], n: int | None, ascending: bool) -> None:
    rdd = make(parts).sortByKey(ascending, n)
    assert rdd.collect() == sorted(flat(parts), key=lambda pair: pair[0], reverse=not ascending)
    if flat(parts):
        assert rdd.getNumPartitions() == (n or len(parts))


@jobs
@given(number_pairs, counts, st.booleans())
def test_sort_by_a_function_of_the_key(parts: list[list[Any]], n: int | None, ascending: bool) -> None:
    rdd = make(parts).sortByKey(ascending, n, keyfunc=lambda key: -key)
    assert rdd.collect() == sorted(flat(parts), key=lambda pair: -pair[0], reverse=not ascending)


@jobs
@given(partitions(st.text(max_size=3)), counts, st.booleans())
def test_sort_by(parts: list[list[Any]], n: int | None, ascending: bool) -> None:
    assert make(parts).sortBy(len, ascending, n).collect() == sorted(flat(parts), key=len, reverse=not ascending)


@jobs
@given(number_pairs, counts, st.booleans())
def test_repartition_and_sort(parts: list[list[Any]], n: int | None, ascending: bool) -> None:
    rdd = make(parts).repartitionAndSortWithinPartitions(n, lambda key: key, ascending, lambda key: -key)
    size = n or len(parts)
    expected = [[pair for pair in flat(parts) if pair[0] % size == i] for i in range(size)]
    for part in expected:
        part.sort(key=lambda pair: -pair[0], reverse=not ascending)
    assert rdd.glom().collect() == expected


def test_large_sorts_are_spread_over_all_partitions(sc: LocalContext) -> None:
    records = [(i * 7919 % 10007, None) for i in range(10000)]
    sizes = [len(part) for part in sc.parallelize(records, 3).sortByKey(numPartitions=4).glom().collect()]
    assert sum(sizes) == 10000
    assert min(sizes) > 1000


def test_sorting_nothing_gives_the_same_rdd(sc: LocalContext) -> None:
    rdd = sc.parallelize([], 3)
    assert rdd.sortByKey() is rdd
