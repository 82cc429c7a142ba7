"""Sorts, groups and joins whose partitions are far larger than the memory that a task may gather."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from localcluster import SparkConf, SparkContext
from protocol.errors import SparkException

PAIRS = [(i * 7919 % 1009, i) for i in range(6000)]


@pytest.fixture(scope="module")
def local_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("local")


@pytest.fixture(scope="module")
def sc(local_dir: Path) -> Iterator[SparkContext]:
    conf = SparkConf().set("spark.python.worker.memory", "16k").set("spark.local.dir", str(local_dir))
    with SparkContext("local[2]", "spilling", conf=conf) as context:
        yield context


def spilled(_: object) -> int:
    from localcluster.shuffle import spill

    return spill.disk_bytes_spilled


def bytes_spilled(sc: SparkContext) -> int:
    """By executors so far."""
    return max(sc.parallelize(range(8), 8).map(spilled).collect())


def files(local_dir: Path) -> list[str]:
    return [path.name for path in local_dir.rglob("temp_*")]


def grouped(pairs: list[tuple[int, int]]) -> dict[int, list[int]]:
    groups: dict[int, list[int]] = defaultdict(list)
    for key, value in pairs:
        groups[key].append(value)
    return groups


def by_key(pair: tuple[int, int]) -> int:
    return pair[0]


@pytest.mark.parametrize("ascending", [True, False])
@pytest.mark.parametrize("partitions", [1, 3])
def test_sorts_that_spill_are_stable(sc: SparkContext, local_dir: Path, ascending: bool, partitions: int) -> None:
    before = bytes_spilled(sc)
    rdd = sc.parallelize(PAIRS, 2).sortByKey(ascending, partitions)
    assert rdd.collect() == sorted(PAIRS, key=by_key, reverse=not ascending)
    assert bytes_spilled(sc) > before
    assert files(local_dir) == []


def test_repartition_and_sort_that_spills(sc: SparkContext) -> None:
    parts = sc.parallelize(PAIRS, 2).repartitionAndSortWithinPartitions(2, lambda key: key % 2).glom().collect()
    assert parts == [sorted([pair for pair in PAIRS if pair[0] % 2 == i], key=by_key) for i in range(2)]


def test_a_cogroup_that_spills_keeps_the_order_of_values(sc: SparkContext, local_dir: Path) -> None:
    left, right = PAIRS, [(key, -value) for key, value in PAIRS[:2000]]
    before = bytes_spilled(sc)
    groups = sc.parallelize(left, 2).cogroup(sc.parallelize(right, 2), 2).collect()
    assert bytes_spilled(sc) > before
    lefts, rights = grouped(left), grouped(right)
    assert len(groups) == len(lefts)
    for key, (values, others) in groups:
        assert (list(values), list(others)) == (lefts[key], rights[key])
    assert files(local_dir) == []


def test_a_join_that_spills(sc: SparkContext) -> None:
    rights = grouped(PAIRS[:1000])
    joined = sc.parallelize(PAIRS, 2).leftOuterJoin(sc.parallelize(PAIRS[:1000], 2), 2).collect()
    assert Counter(joined) == Counter((k, (v, w)) for k, v in PAIRS for w in rights[k] or [None])


def test_combining_in_place_spills_too(sc: SparkContext, local_dir: Path) -> None:
    placed = sc.parallelize(PAIRS, 2).partitionBy(2).cache()
    placed.count()
    before = bytes_spilled(sc)
    combined = placed.groupByKey(2)
    assert {key: list(values) for key, values in combined.collect()} == grouped(PAIRS)
    assert bytes_spilled(sc) > before
    assert files(local_dir) == []


def test_a_result_that_is_only_begun_leaves_no_spills(sc: SparkContext, local_dir: Path) -> None:
    assert sc.parallelize(PAIRS, 2).sortByKey(True, 2).first() == (0, 0)
    assert len(sc.parallelize(PAIRS, 2).cogroup(sc.parallelize(PAIRS, 2), 2).take(1)) == 1
    assert files(local_dir) == []


def test_a_task_that_fails_after_it_spilled_leaves_no_spills(sc: SparkContext, local_dir: Path) -> None:
    def explode(values: object) -> None:
        raise ValueError("after the spills")

    rdd = sc.parallelize(PAIRS, 2)
    placed = rdd.partitionBy(1)
    for fine in (rdd.sortByKey(True, 1), rdd.cogroup(rdd, 1), placed.groupByKey(1)):  # one task, so none runs on
        broken = fine.mapValues(explode)
        with pytest.raises(SparkException, match="after the spills"):
            broken.collect()
    assert files(local_dir) == []
