"""Unions, set operations, pairings and repartitionings against plain Python."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import RDDError
from tests.localcluster.rdd.local_context import LocalContext
from tests.localcluster.rdd.models import counts, flat, jobs, keys, make, pairs, partitions, same_bag


@jobs
@given(partitions(pairs), partitions(keys))
def test_union_is_one_after_the_other(a: list[Any], b: list[Any]) -> None:
    sc = LocalContext()
    assert sc.parts(a).union(sc.parts(b)).glom().collect() == a + b
    assert (sc.parts(a) + sc.parts(b)).collect() == flat(a) + flat(b)
    assert sc.union([sc.parts(a), sc.parts(b), sc.emptyRDD(), sc.parts(a)]).glom().collect() == a + b + a


@jobs
@given(partitions(pairs), partitions(pairs))
def test_union_of_rdds_placed_alike_stays_placed(a: list[Any], b: list[Any]) -> None:
    sc = LocalContext()
    left, right = sc.parts(a).partitionBy(3), sc.parts(b).partitionBy(3)
    both = [x + y for x, y in zip(left.glom().collect(), right.glom().collect(), strict=True)]
    assert left.union(right).glom().collect() == both
    assert left.union(right).partitioner == left.partitioner


@jobs
@given(partitions(keys), counts)
def test_distinct(parts: list[Any], n: int | None) -> None:
    rdd = make(parts).distinct(n)
    assert same_bag(rdd.collect(), list(dict.fromkeys(flat(parts))))
    assert rdd.getNumPartitions() == (n or len(parts))


@jobs
@given(partitions(keys), partitions(keys))
def test_intersection_and_subtract(a: list[Any], b: list[Any]) -> None:
    sc = LocalContext()
    both = [x for x in dict.fromkeys(flat(a)) if x in flat(b)]
    assert same_bag(sc.parts(a).intersection(sc.parts(b)).collect(), both)
    assert same_bag(sc.parts(a).subtract(sc.parts(b)).collect(), [x for x in flat(a) if x not in flat(b)])


@jobs
@given(partitions(pairs), partitions(pairs), counts)
def test_subtract_by_key(a: list[Any], b: list[Any], n: int | None) -> None:
    sc = LocalContext()
    expected = [(k, v) for k, v in flat(a) if k not in dict(flat(b))]
    assert same_bag(sc.parts(a).subtractByKey(sc.parts(b), n).collect(), expected)


@jobs
@given(partitions(keys, 3), partitions(keys, 3))
def test_cartesian(a: list[Any], b: list[Any]) -> None:
    sc = LocalContext()
    expected = [list(itertools.product(x, y)) for x, y in itertools.product(a, b)]
    assert sc.parts(a).cartesian(sc.parts(b)).glom().collect() == expected


@jobs
@given(partitions(pairs))
def test_zip(parts: list[Any]) -> None:
    rdd = make(parts)
    assert rdd.zip(rdd.map(repr)).glom().collect() == [[(x, repr(x)) for x in part] for part in parts]


@pytest.mark.parametrize("other", [[[1], [2, 3]], [[1, 2], [3, 4]], [[], [3]]])
def test_zip_of_partitions_of_different_length_fails(sc: LocalContext, other: list[Any]) -> None:
    with pytest.raises(RDDError, match="same number of elements in each partition"):
        sc.parts([[1, 2], [3]]).zip(sc.parts(other)).collect()


def test_zip_of_different_numbers_of_partitions_is_refused(sc: LocalContext) -> None:
    with pytest.raises(ValueError, match="same number of partitions"):
        sc.parallelize([1], 1).zip(sc.parallelize([1], 2))


def test_only_rdds_can_be_added(sc: LocalContext) -> None:
    with pytest.raises(TypeError):
        sc.parallelize([1]).__add__([2])


@jobs
@given(partitions(pairs, most=7), st.integers(1, 9))
def test_coalesce_joins_neighbours(parts: list[Any], n: int) -> None:
    groups = make(parts).coalesce(n).glom().collect()
    assert flat(groups) == flat(parts)
    assert len(groups) == min(n, len(parts))


@jobs
@given(st.lists(st.lists(st.integers(), max_size=60), min_size=1, max_size=4), st.integers(1, 9))
def test_repartition_moves_everything_and_evenly(parts: list[Any], n: int) -> None:
    groups = make(parts).repartition(n).glom().collect()
    assert len(groups) == n
    assert sorted(flat(groups)) == sorted(flat(parts))
    assert max(map(len, groups)) - min(map(len, groups)) <= 10 * len(parts)


@pytest.mark.parametrize("n", [0, -1])
def test_coalesce_to_nothing_is_refused(sc: LocalContext, n: int) -> None:
    with pytest.raises(ValueError, match="Number of partitions must be positive"):
        sc.parallelize([1]).coalesce(n)


def test_coalesce_of_nothing(sc: LocalContext) -> None:
    assert sc.emptyRDD().coalesce(2).glom().collect() == []
