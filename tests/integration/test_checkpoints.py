"""Checkpoints on a real cluster: lineages that are cut while jobs run, what goes with them, and what is told of it."""

from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from localcluster import SparkContext, StorageLevel
from tests.support import wait_until


def test_shuffles_behind_a_checkpoint_go(sc: SparkContext, tmp_path: Path) -> None:
    sc.setCheckpointDir(str(tmp_path))
    before = sc.statistics().shuffles
    rdd = sc.parallelize([(i % 3, 1) for i in range(100)], 4)
    for _ in range(12):
        rdd = rdd.reduceByKey(lambda a, b: a + b, 3).mapValues(lambda v: v + 1)
        rdd.checkpoint()
        rdd.count()
    gc.collect()
    wait_until(lambda: sc.statistics().shuffles <= before)
    assert dict(rdd.collect()) == {0: 46, 1: 45, 2: 45}
    assert len(rdd.toDebugString().splitlines()) == 2


def test_jobs_of_other_threads_go_on_while_lineages_are_cut(sc: SparkContext, tmp_path: Path) -> None:
    sc.setCheckpointDir(str(tmp_path))
    for _ in range(5):
        base = sc.parallelize([(i % 5, i) for i in range(200)], 4).reduceByKey(lambda a, b: a + b, 3).mapValues(abs)
        child = base.union(base).map(lambda pair: pair[1]).coalesce(2)
        expected = child.sum()
        base.checkpoint()
        with ThreadPoolExecutor(4) as pool:
            sums = [pool.submit(child.sum) for _ in range(4)]
            assert [s.result(60) for s in sums] == [expected] * 4
        assert base.isCheckpointed()
        assert child.sum() == expected


def test_debug_strings_say_what_is_stored(sc: SparkContext) -> None:
    rdd = sc.parallelize(range(10_000), 4).map(str).persist(StorageLevel.DISK_ONLY)
    rdd.foreachPartition(lambda _: None)
    rdd.count()
    lines = rdd.map(len).toDebugString().decode().splitlines()
    assert lines[2].startswith(" |      CachedPartitions: 4; MemorySize: 0.0 B; DiskSize: ")
    assert lines[2].endswith(" KiB")
    rdd.unpersist(blocking=True)
    assert b"CachedPartitions" not in rdd.toDebugString()


def test_shuffles_can_be_cleaned_by_hand(sc: SparkContext) -> None:
    runs = sc.accumulator(0)

    def counted(pair: Any) -> Any:
        runs.add(1)
        return pair

    kept = sc.parallelize([(1, 1)], 1).map(counted).reduceByKey(max).cache()
    rdd = kept.map(counted).groupByKey()
    assert (rdd.count(), runs.value) == (1, 2)
    assert (rdd.count(), runs.value) == (1, 2)
    rdd.cleanShuffleDependencies(blocking=True)
    assert (rdd.count(), runs.value) == (1, 3), "what is behind the persisted RDD is not computed again"


def test_chains_of_thousands_of_functions(sc: SparkContext) -> None:
    rdd = sc.parallelize([1, 2], 2)
    for _ in range(2000):
        rdd = rdd.map(lambda x: x + 1)
    assert rdd.collect() == [2001, 2002]
