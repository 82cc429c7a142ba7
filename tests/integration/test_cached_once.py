"""A cached partition is computed once in the run, though several executors ask for it while it is missing."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from localcluster import RDD, Accumulator, SparkConf, SparkContext, StorageLevel
from tests.support import InThread, wait_for_executors


@pytest.fixture(scope="module")
def sc() -> Iterator[SparkContext]:
    conf = SparkConf().set("spark.scheduler.mode", "FAIR").set("localcluster.sharedMemory", "64m")
    with SparkContext("local[2]", conf=conf.set("spark.executor.memory", "32m")) as shared:
        wait_for_executors(shared, 2)
        yield shared


LEVELS = [StorageLevel.MEMORY_ONLY, StorageLevel.OFF_HEAP, StorageLevel.DISK_ONLY]


def counted(sc: SparkContext, level: StorageLevel, partitions: int) -> tuple[RDD[int], Accumulator[int]]:
    """A cached RDD, and how many partitions of it were computed so far."""
    computed = sc.accumulator(0)

    def work(records: Iterator[int]) -> Iterator[int]:
        computed.add(1)
        time.sleep(0.05)  # time for another executor to begin with the same one, which it must not
        return records

    return sc.parallelize(range(8), partitions).mapPartitions(work).persist(level), computed


@pytest.mark.parametrize("level", LEVELS, ids=str)
@pytest.mark.parametrize(
    ("partitions", "count"),
    [
        (4, lambda rdd: rdd.cartesian(rdd).count()),
        (1, lambda rdd: rdd.union(rdd).count()),
        (1, lambda rdd: rdd.map(str).union(rdd.map(float)).repartition(2).count()),
    ],
    ids=["cartesian", "union", "shuffled"],
)
def test_by_the_tasks_of_one_job(
    sc: SparkContext, partitions: int, count: Callable[[Any], int], level: StorageLevel
) -> None:
    rdd, computed = counted(sc, level, partitions)
    assert count(rdd) in (16, 64)
    assert computed.value == partitions
    rdd.unpersist()


def test_by_jobs_that_run_side_by_side(sc: SparkContext) -> None:
    rdd, computed = counted(sc, StorageLevel.MEMORY_ONLY, 1)
    jobs = [InThread(rdd.map(str).count) for _ in range(3)]
    assert [job.outcome() for job in jobs] == [8, 8, 8]
    assert computed.value == 1
    rdd.unpersist()


def test_but_tasks_do_not_stand_in_line_for_what_is_too_large_to_be_kept(sc: SparkContext) -> None:
    def make(_: int) -> Iterator[bytes]:
        return (bytes(1 << 20) for _ in range(40))

    def count(records: Iterator[Any]) -> Iterator[tuple[int, int]]:
        yield os.getpid(), sum(1 for _ in records)

    large = sc.parallelize([0], 1).flatMap(make).persist()
    counts = large.cartesian(sc.parallelize(range(8), 8)).mapPartitions(count).collect()
    assert [number for _, number in counts] == [40] * 8
    assert len({pid for pid, _ in counts}) == 2
    large.unpersist()
