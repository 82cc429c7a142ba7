"""Operations by key, joins and sorts against plain dictionaries and sorts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcluster.shuffle.hashing import portable_hash
from localcluster.shuffle.partitioner import Partitioner
from tests.localcluster.rdd.local_context import LocalContext
from tests.localcluster.rdd.models import counts, flat, grouped, jobs, keys, make, pairs, partitions, placed, same_bag

number_pairs = partitions(st.tuples(keys, st.integers(-9, 9)))


@jobs
@given(partitions(pairs), counts)
def test_group_by_key(parts: list[list[Any]], n: int | None) -> None:
    rdd = make(parts).groupByKey(n)
    assert rdd.mapValues(list).collectAsMap() == grouped(flat(parts))
    assert rdd.getNumPartitions() == (n or len(parts))
    assert rdd.count() == len(grouped(flat(parts)))
    assert placed(rdd)


@jobs
@given(number_pairs, counts)
def test_reductions_by_key(parts: list[list[Any]], n: int | None) -> None:
    rdd, groups = make(parts), grouped(flat(parts))
    assert rdd.reduceByKey(lambda a, b: a + b, n).collectAsMap() == {k: sum(v) for k, v in groups.items()}
    assert rdd.reduceByKeyLocally(lambda a, b: a + b) == {k: sum(v) for k, v in groups.items()}
    assert rdd.foldByKey(0, lambda a, b: a + b, n).collectAsMap() == {k: sum(v) for k, v in groups.items()}
    lists = rdd.combineByKey(lambda v: [v], lambda c, v: [*c, v], lambda c, d: c + d, n)
    assert lists.collectAsMap() == groups
    assert placed(lists)


@jobs
@given(partitions(pairs), counts)
def test_aggregate_by_key_gives_each_key_a_zero_of_its_own(parts: list[list[Any]], n: int | None) -> None:
    def add(values: list[Any], value: Any) -> list[Any]:
        values.append(value)
        return values

    assert make(parts).aggregateByKey([], add, lambda a, b: a + b, n).collectAsMap() == grouped(flat(parts))


@jobs
@given(partitions(pairs), counts)
def test_partition_by_moves_each_pair_to_its_place_in_order(parts: list[list[Any]], n: int | None) -> None:
    rdd = make(parts).partitionBy(n)
    size = n or len(parts)
    expected = [[pair for pair in flat(parts) if portable_hash(pair[0]) % size == i] for i in range(size)]
    assert rdd.glom().collect() == expected
    assert rdd.partitioner == Partitioner(size, portable_hash)
    assert rdd.partitionBy(size) is rdd


@jobs
@given(partitions(pairs))
def test_values_can_change_under_their_keys(parts: list[list[Any]]) -> None:
    assert make(parts).mapValues(repr).collect() == [(k, repr(v)) for k, v in flat(parts)]
    assert make(parts).flatMapValues(repr).collect() == [(k, c) for k, v in flat(parts) for c in repr(v)]
    assert make(parts).keys().collect() == [k for k, _ in flat(parts)]
    assert make(parts).values().collect() == [v for _, v in flat(parts)]


@jobs
@given(partitions(pairs), keys)
def test_lookup(parts: list[list[Any]], key: Any) -> None:
    expected = [v for k, v in flat(parts) if k == key]
    assert make(parts).lookup(key) == expected
    assert make(parts).partitionBy(3).lookup(key) == expected


@jobs
@given(partitions(st.integers(0, 20)), counts)
def test_group_by(parts: list[list[Any]], n: int | None) -> None:
    rdd = make(parts).groupBy(lambda x: x % 3, n).mapValues(list)
    assert rdd.collectAsMap() == grouped([(x % 3, x) for x in flat(parts)])


def joined(left: list[Any], right: list[Any], keep_left: bool, keep_right: bool) -> list[Any]:
    result = [(k, (v, w)) for k, v in left for j, w in right if k == j]
    if keep_left:
        result += [(k, (v, None)) for k, v in left if k not in dict(right)]
    if keep_right:
        result += [(k, (None, w)) for k, w in right if k not in dict(left)]
    return result


JOINS = [
    ("join", False, False),
    ("leftOuterJoin", True, False),
    ("rightOuterJoin", False, True),
    ("fullOuterJoin", True, True),
]


@pytest.mark.parametrize(("name", "keep_left", "keep_right"), JOINS)
@jobs
@given(lefts=partitions(pairs), rights=partitions(pairs), n=counts, alike=st.sampled_from(["", "l", "r", "lr"]))
def test_joins(
    name: str, keep_left: bool, keep_right: bool, lefts: list[Any], rights: list[Any], n: int | None, alike: str
) -> None:
    sc = LocalContext()
    left, right = sc.parts(lefts), sc.parts(rights)
    left = left.partitionBy(3) if "l" in alike else left
    right = right.partitionBy(3) if "r" in alike else right
    rdd = getattr(left, name)(right, n)
    assert same_bag(rdd.collect(), joined(flat(lefts), flat(rights), keep_left, keep_right))
    sides = left.getNumPartitions() + (0 if alike == "lr" else right.getNumPartitions())
    assert rdd.getNumPartitions() == (n or sides)
    assert placed(rdd)


@jobs
@given(partitions(pairs), partitions(pairs), partitions(pairs), counts)
def test_cogroup(a: list[Any], b: list[Any], c: list[Any], n: int | None) -> None:
    sc = LocalContext()
    sides = [grouped(flat(parts)) for parts in (a, b, c)]
    two = sc.parts(a).cogroup(sc.parts(b), n).mapValues(lambda vs: [list(v) for v in vs])
    assert two.collectAsMap() == {k: [s.get(k, []) for s in sides[:2]] for k in {**sides[0], **sides[1]}}
    three = sc.parts(a).groupWith(sc.parts(b), sc.parts(c)).mapValues(lambda vs: [list(v) for v in vs])
    assert three.collectAsMap() == {k: [s.get(k, []) for s in sides] for k in {**sides[0], **sides[1], **sides[2]}}
    assert three.getNumPartitions() == len(a) + len(b) + len(c)


def test_inputs_placed_alike_join_without_a_shuffle(sc: LocalContext) -> None:
    left, right = sc.parallelize([(1, "a"), (2, "b")], 2).partitionBy(4), sc.parallelize([(1, "c")], 2).partitionBy(4)
    before = sc._next_shuffle_id()
    assert left.join(right).collect() == [(1, ("a", "c"))]
    assert left.cogroup(right).count() == 2
    assert left.reduceByKey(min).groupByKey().mapValues(list).join(left.union(right)).count() == 3
    assert sc._next_shuffle_id() == before + 1
    assert left.join(right, 2).collect() == [(1, ("a", "c"))]
    assert sc._next_shuffle_id() == before + 3  # sides that move share a shuffle


def test_a_side_placed_like_the_result_is_not_shuffled(sc: LocalContext) -> None:
    left = sc.parallelize([(1, "a"), (2, "b")], 2).partitionBy(4)
    before = sc._next_shuffle_id()
    assert left.join(sc.parallelize([(2, "c")]), 4).collect() == [(2, ("b", "c"))]
    assert sc._next_shuffle_id() == before + 2


def test_default_parallelism_decides_when_it_is_configured() -> None:
    sc = LocalContext(5, {"spark.default.parallelism": "5"})
    pairs = sc.parallelize([(1, 2)], 2)
    shuffled = [pairs.groupByKey(), pairs.distinct(), pairs.join(pairs), pairs.cogroup(pairs), pairs.partitionBy(None)]
    assert [rdd.getNumPartitions() for rdd in shuffled] == [5] * 5


def test_an_rdd_joins_itself(sc: LocalContext) -> None:
    rdd = sc.parallelize([(1, 2), (1, 3)])
    assert rdd.join(rdd).count() == 4
    placed = rdd.partitionBy(2)
    assert placed.join(placed).count() == 4


def test_unhashable_keys_are_a_type_error(sc: LocalContext) -> None:
    with pytest.raises(TypeError, match="unhashable"):
        sc.parallelize([([1], 2)]).reduceByKey(max).collect()


def test_keys_equal_across_types_are_one_key(sc: LocalContext) -> None:
    assert sc.parallelize([(1, "a"), (1.0, "b"), (True, "c")], 3).groupByKey().mapValues(list).collect() == [
        (1, ["a", "b", "c"])
    ]


def test_zero_partitions_give_none(sc: LocalContext) -> None:
    rdd = sc.parallelize([(1, 2)])
    assert rdd.partitionBy(0).collect() == rdd.reduceByKey(max, 0).collect() == rdd.sortByKey(True, 0).collect() == []


def test_partition_functions_of_ones_own(sc: LocalContext) -> None:
    rdd = sc.parallelize([("a", 1), ("bb", 2), ("ccc", 3)]).reduceByKey(max, 2, len)
    assert rdd.glom().collect() == [[("bb", 2)], [("a", 1), ("ccc", 3)]]
    assert rdd.lookup("bb") == [2]


def test_grouped_values_can_be_read_twice(sc: LocalContext) -> None:
    values = sc.parallelize([(1, 2), (1, 3)]).groupByKey().first()[1]
    assert (list(values), list(values), len(values), values.maxindex) == ([2, 3], [2, 3], 2, 2)


def test_lookup_of_a_known_place_reads_one_partition(sc: LocalContext) -> None:
    rdd = sc.parallelize([(i, i) for i in range(10)]).partitionBy(5)
    sc.jobs.clear()
    assert rdd.lookup(7) == [7]
    assert sc.jobs == [[2]]


def test_the_memory_limit_is_in_mebibytes() -> None:
    assert LocalContext().parallelize([1])._memory_limit() == 512
    assert LocalContext(conf={"spark.python.worker.memory": "2g"}).parallelize([1])._memory_limit() == 2048
