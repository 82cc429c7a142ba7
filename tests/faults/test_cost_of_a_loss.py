"""What the death of an executor costs: blocks that are computed again, which is asserted, and time, which is told.

``-m stress -s`` shows the times, and caches half a gigabyte; small blocks are counted in each run.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from operator import add
from typing import Any

import numpy as np
import pytest

from localcluster import SparkConf, SparkContext, StorageLevel, TaskContext
from localcluster.events import BlockAdopted, BlockLost, BlockRecomputed, TaskRetried
from tests.support import executors, in_each_executor, status_of, wait_for_executors, wait_until

BLOCKS, DOUBLES = 32, 1 << 21  # 16 MiB each, 512 in all
TASKS, TASK = 200, 0.02  # seconds for each


def context() -> SparkContext:
    conf = SparkConf().setMaster("local[2]").set("spark.executor.memory", "2g")
    return SparkContext(conf=conf.set("localcluster.sharedMemory", "2g"))


def seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


@pytest.mark.parametrize("name", ["OFF_HEAP", "DISK_ONLY", "MEMORY_ONLY", "MEMORY_ONLY_2", "DISK_ONLY_2"])
def test_a_death_half_way_through_tasks_that_cache_computes_again_what_was_on_its_heap_alone(name: str) -> None:
    def record_or_die(x: int) -> int:
        if x == TASKS // 2 and TaskContext.get().attemptNumber() == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        computed.add(1)
        return x

    with SparkContext("local-cluster[2,1,1024]") as sc:
        wait_for_executors(sc, 2)
        computed = sc.accumulator(0)
        cached = sc.parallelize(range(TASKS), TASKS).map(record_or_die).persist(StorageLevel.from_string(name))
        assert cached.sum() == sum(range(TASKS))
        wait_for_executors(sc, 2)
        before, already = computed.value, len(sc.events(BlockRecomputed))  # by tasks that had not reported yet
        lost = {event.block_id for event in sc.events(BlockLost)}
        adopted = {event.block_id for event in sc.events(BlockAdopted) if event.block_id.startswith("rdd_")}
        assert bool(lost) == (name == "MEMORY_ONLY")
        assert bool(adopted) == (name in ("OFF_HEAP", "DISK_ONLY", "DISK_ONLY_2"))
        if name.endswith("_2"):
            # An adopted copy is one.
            wait_until(lambda: every_copy(sc, cached.id()) == {2}, "copies lack", lambda: every_copy(sc, cached.id()))
        assert cached.sum() == sum(range(TASKS))
        assert computed.value - before == len(lost) - already
        assert {event.block_id for event in sc.events(BlockRecomputed)} == lost
        counts = sc.statistics().events
        assert (counts.executors_lost, counts.executors_replaced, counts.stages_resubmitted) == (1, 1, 0)
        assert [event.task.partition for event in sc.events(TaskRetried) if event.blamed] in ([], [TASKS // 2])


@pytest.mark.stress
def test_a_death_half_way_through_two_hundred_tasks() -> None:
    def work(x: int) -> int:
        time.sleep(TASK)
        return x

    def work_or_die(x: int) -> int:
        if x == TASKS // 2 and TaskContext.get().attemptNumber() == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return work(x)

    with context() as sc:
        wait_for_executors(sc, 2)
        numbers = sc.parallelize(range(TASKS), TASKS)
        numbers.map(work).sum()
        undisturbed = seconds(lambda: numbers.map(work).sum())
        disturbed = seconds(lambda: numbers.map(work_or_die).reduce(add))
        events = sc.statistics().events
    assert (events.executors_lost, events.executors_replaced, events.stages_resubmitted) == (1, 1, 0)
    print(f"\n{TASKS} tasks of {TASK} s: {undisturbed:.2f} s; with a death half-way {disturbed:.2f} s")


@pytest.mark.stress
@pytest.mark.parametrize("name", ["OFF_HEAP", "DISK_ONLY", "MEMORY_ONLY", "MEMORY_ONLY_2"])
def test_a_death_with_half_a_gigabyte_cached(name: str) -> None:
    with context() as sc:
        wait_for_executors(sc, 2)
        computed = sc.accumulator(0)

        def make(index: int) -> Any:
            computed.add(1)
            return np.full(DOUBLES, float(index))

        cached = sc.parallelize(range(BLOCKS), BLOCKS).map(make).persist(StorageLevel.from_string(name))
        total = sum(range(BLOCKS)) * DOUBLES
        assert cached.map(np.sum).sum() == total
        undisturbed = seconds(lambda: cached.map(np.sum).sum())
        before = computed.value
        victim = executors(sc)[0]
        holders = status_of(sc).stored_blocks(cached.id()).values()
        only_there = sum(set(statuses) == {victim} for statuses in holders)
        os.kill(victim.pid, signal.SIGKILL)
        wait_until(lambda: sc.statistics().events.executors_lost == 1)
        assert cached.map(np.sum).sum() == total
        again = computed.value - before
        assert again == (only_there if name == "MEMORY_ONLY" else 0)
        assert sc.statistics().events.blocks_recomputed == again
        restored = seconds(lambda: wait_until(lambda: copies(sc, cached.id()) == {2})) if name.endswith("_2") else 0.0
        disturbed = seconds(lambda: cached.map(np.sum).sum())
        in_each_executor(sc, lambda: None)
    print(f"\n{name}: a sum of 512 MB {undisturbed:.2f} s, after a death {disturbed:.2f} s; {again} blocks again")
    if restored:
        print(f"second copies there after {restored:.2f} s more")


def copies(sc: SparkContext, rdd_id: int) -> set[int]:
    living = set(executors(sc))
    return {len(living & statuses.keys()) for statuses in status_of(sc).stored_blocks(rdd_id).values()}


def every_copy(sc: SparkContext, rdd_id: int) -> set[int]:
    return {len(statuses) for statuses in status_of(sc).stored_blocks(rdd_id).values()}
