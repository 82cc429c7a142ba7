"""Whole jobs on a real cluster: what only shows with processes. What each RDD method means is tested without any."""

from __future__ import annotations

import os
import pickle
import random
import threading
import time
from collections.abc import Iterator
from functools import partial
from operator import add
from pathlib import Path
from typing import Any

import pytest

from localcluster import SparkContext, StorageLevel, TaskContext
from localcluster.errors import (
    ContextError,
    JobCancelledError,
    SerializationError,
    SparkException,
    TaskError,
)
from storage.block_id import RDDBlockId
from tests.support import InThread, executor_pids, status_of, wait_until


class Unpicklable:
    """Travels nowhere."""

    def __reduce__(self) -> Any:
        raise TypeError("this one stays at home")


def test_results_come_in_the_order_of_partitions(sc: SparkContext) -> None:
    assert sc.parallelize(range(1000), 37).map(lambda x: x * x).collect() == [x * x for x in range(1000)]


def test_ten_thousand_tiny_tasks(sc: SparkContext) -> None:
    assert sc.parallelize(range(10_000), 10_000).map(lambda x: x + 1).sum() == sum(range(10_001))


def test_tasks_run_in_several_processes_other_than_the_driver(sc: SparkContext) -> None:
    pids = executor_pids(sc)
    assert len(pids) == 2
    assert os.getpid() not in pids


def test_strings_hash_alike_in_every_executor_and_for_lookup_in_the_driver(sc: SparkContext) -> None:
    pairs = sc.parallelize([(f"key{i}", i) for i in range(200)], 7).partitionBy(5).cache()
    assert [pairs.lookup(f"key{i}") for i in range(0, 200, 17)] == [[i] for i in range(0, 200, 17)]
    again = sc.parallelize([(f"key{i}", -i) for i in range(200)], 3).partitionBy(5)
    assert all(a == -b for _, (a, b) in pairs.join(again).collect())


def test_a_large_result_comes_as_a_block_and_the_block_goes(sc: SparkContext) -> None:
    before = sc.statistics().blocks.blocks
    big = sc.parallelize(range(4), 4).map(lambda i: bytes([i]) * 1_000_000).collect()
    assert [(part[0], len(part)) for part in big] == [(i, 1_000_000) for i in range(4)]
    wait_until(lambda: sc.statistics().blocks.blocks <= before)


def test_a_large_collection_and_a_large_closure_travel_as_blocks(sc: SparkContext) -> None:
    table = list(range(100_000))
    rdd = sc.parallelize([b"x" * 100_000] * 4, 4).map(lambda data: len(data) + table[-1])
    assert rdd.collect() == [199_999] * 4


# --- shared variables ----------------------------------------------------------------------------------------------


def test_a_broadcast_is_read_by_all_until_it_is_destroyed(sc: SparkContext) -> None:
    table = sc.broadcast({i: i * i for i in range(1000)})
    assert sc.parallelize(range(100), 8).map(lambda x: table.value[x]).sum() == sum(x * x for x in range(100))
    table.unpersist(blocking=True)
    assert sc.parallelize([5], 1).map(lambda x: table.value[x]).collect() == [25]
    table.destroy(blocking=True)
    with pytest.raises(SparkException, match="after it was destroyed"):
        table.value  # noqa: B018
    with pytest.raises(SparkException, match="after it was destroyed"):
        sc.parallelize([5], 1).map(lambda x: table.value[x]).collect()


def test_accumulators_count_each_partition_once_even_when_tasks_are_retried(sc: SparkContext, tmp_path: Path) -> None:
    seen = sc.accumulator(0)
    marker = tmp_path / "failed once"

    def count(x: int) -> int:
        seen.add(1)
        if x == 13 and not marker.exists():
            marker.touch()
            raise ValueError("try again")
        return x

    assert sc.parallelize(range(20), 4).map(count).sum() == 190
    assert seen.value == 20
    with pytest.raises(TaskError, match="cannot be accessed inside tasks"):
        sc.parallelize([1], 1).map(lambda _: seen.value).collect()


def test_a_closures_state_does_not_leak_from_task_to_task(sc: SparkContext) -> None:
    calls: list[int] = []
    rng = random.Random(3)
    assert sc.parallelize(range(6), 6).map(lambda x: (calls.append(x), len(calls))[1]).collect() == [1] * 6
    assert len(set(sc.parallelize(range(6), 6).map(lambda _: rng.random()).collect())) == 1


# --- failures ------------------------------------------------------------------------------------------------------


def test_a_failing_task_shows_the_users_traceback_the_executor_and_the_partition(sc: SparkContext) -> None:
    def divide(x: int) -> float:
        return 1 / (x - 5)

    with pytest.raises(TaskError) as caught:
        sc.parallelize(range(10), 5).map(divide).collect()
    text = str(caught.value)
    assert isinstance(caught.value.cause, ZeroDivisionError)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert "failed 4 times" in text
    assert "partition 2" in text
    assert "executor " in text
    assert "in divide\n" in text
    assert f"{os.sep}localcluster{os.sep}executor" not in text
    assert sc.parallelize([1]).count() == 1


def test_an_exception_travels_whatever_its_init_takes_and_else_its_text_does(sc: SparkContext) -> None:
    class Picky(Exception):
        def __init__(self, a: int, b: int) -> None:
            super().__init__(f"{a} and {b}")

    def fail(x: int) -> None:
        raise Picky(x, 2)

    with pytest.raises(TaskError, match="Picky: 1 and 2") as caught:
        sc.parallelize([1], 1).foreach(fail)
    assert str(caught.value.cause) == "1 and 2"
    assert type(caught.value.cause).__name__ == "Picky"

    def fail_with_a_lock(x: int) -> None:
        raise ValueError(threading.Lock())

    with pytest.raises(TaskError, match="ValueError: <unlocked") as caught:
        sc.parallelize([1], 1).foreach(fail_with_a_lock)
    assert caught.value.cause is None


def test_what_cannot_be_pickled_is_named(sc: SparkContext) -> None:
    lock = threading.Lock()
    with pytest.raises(SerializationError, match="lock"):
        sc.parallelize([1], 1).map(lambda x: lock.locked()).collect()
    with pytest.raises(TaskError, match="Unpicklable"):
        sc.parallelize([1], 1).map(lambda x: Unpicklable()).collect()
    with pytest.raises(SerializationError, match="Unpicklable"):
        sc.parallelize([Unpicklable()], 1)
    with pytest.raises(SerializationError, match="Unpicklable"):
        sc.broadcast(Unpicklable())


def test_rdds_and_contexts_are_refused_in_closures(sc: SparkContext) -> None:
    other = sc.parallelize([1])
    with pytest.raises(SerializationError, match="SPARK-5063"):
        sc.parallelize([1]).map(lambda x: other.count()).collect()
    with pytest.raises(SerializationError, match=r"CONTEXT_ONLY_VALID_ON_DRIVER.*SPARK-5063"):
        sc.parallelize([1]).map(lambda x: sc.parallelize([x]).count()).collect()


def test_a_generator_that_raises_part_way_fails_the_job(sc: SparkContext) -> None:
    def three(records: Iterator[int]) -> Iterator[int]:
        for count, record in enumerate(records):
            if count == 3:
                raise KeyError("the fourth")
            yield record

    with pytest.raises(TaskError, match="the fourth"):
        sc.parallelize(range(10), 2).mapPartitions(three).collect()
    cached = sc.parallelize(range(10), 2).mapPartitions(three).cache()
    for _ in range(2):
        with pytest.raises(TaskError, match="the fourth"):
            cached.count()


# --- caching -------------------------------------------------------------------------------------------------------

LEVELS = [
    StorageLevel.MEMORY_ONLY,
    StorageLevel.MEMORY_ONLY_SER,
    StorageLevel.MEMORY_AND_DISK,
    StorageLevel.DISK_ONLY,
    StorageLevel.OFF_HEAP,
    StorageLevel.MEMORY_ONLY_2,
    StorageLevel.DISK_ONLY_2,
    StorageLevel(True, True, True, False, 2),
]


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_a_persisted_rdd_is_computed_once(sc: SparkContext, tmp_path: Path, level: StorageLevel) -> None:
    log = tmp_path / "computed"

    def compute(x: int) -> tuple[int, str]:
        with open(log, "a") as file:
            file.write("x")
        return x, str(x)

    rdd = sc.parallelize(range(40), 4).map(compute).persist(level)
    for _ in range(3):
        assert rdd.collect() == [(x, str(x)) for x in range(40)]
    assert len(log.read_text()) == 40
    assert len(status_of(sc).blocks()[RDDBlockId(rdd.id(), 0)]) == level.replication
    rdd.unpersist(blocking=True)
    assert rdd.count() == 40
    assert len(log.read_text()) == 80


def test_a_dropped_rdd_broadcast_and_shuffle_are_cleaned_everywhere(sc: SparkContext) -> None:
    sc.parallelize([0]).count()
    before = sc.statistics().blocks.blocks

    def make_garbage() -> None:
        cached = sc.parallelize(range(1000), 4).map(lambda x: (x % 5, x)).persist(StorageLevel.OFF_HEAP)
        variable = sc.broadcast(b"y" * 100_000)
        assert cached.groupByKey().map(lambda pair: len(variable.value)).count() == 5
        assert sc.statistics().blocks.blocks > before

    make_garbage()
    wait_until(lambda: sc.statistics().blocks.blocks <= before)


# --- threads and cancellation --------------------------------------------------------------------------------------


def test_jobs_of_several_threads_run_at_once(sc: SparkContext) -> None:
    def job(number: int) -> list[int]:
        rdd = sc.parallelize(range(50), 5).map(lambda x: (x % 3, x * number)).reduceByKey(add)
        return sorted(rdd.values().collect())

    jobs = [InThread(partial(job, number)) for number in range(8)]
    expected = [sum(x for x in range(50) if x % 3 == r) for r in range(3)]
    assert [job.outcome() for job in jobs] == [sorted(number * e for e in expected) for number in range(8)]


def test_a_cancelled_group_ends_at_once_and_leaves_the_context_usable(sc: SparkContext, tmp_path: Path) -> None:
    started = tmp_path / "started"

    def sleep(x: int) -> None:
        started.touch()
        time.sleep(600)  # until it is cancelled

    def job() -> None:
        sc.setJobGroup("sleepers", "to be cancelled")
        sc.parallelize(range(4), 4).foreach(sleep)

    sleepers = InThread(job)
    wait_until(started.exists)
    sc.cancelJobGroup("sleepers")
    error = sleepers.outcome()
    assert isinstance(error, JobCancelledError)
    assert "cancelled job group sleepers" in str(error)
    assert sc.parallelize(range(100), 4).sum() == 4950


def test_local_properties_reach_the_tasks_of_their_thread(sc: SparkContext) -> None:
    sc.setLocalProperty("tested", "yes")
    try:
        seen = sc.parallelize([0], 1).map(lambda _: TaskContext.get().getLocalProperty("tested")).collect()
    finally:
        sc.setLocalProperty("tested", None)
    assert seen == ["yes"]
    assert sc.parallelize([0], 1).map(lambda _: TaskContext.get().getLocalProperty("tested")).collect() == [None]


def test_a_terminal_that_a_task_opens_and_that_is_closed_does_not_end_its_executor(sc: SparkContext) -> None:
    def open_terminal(_: int) -> int:
        master, slave = os.openpty()
        terminal = os.open(os.ttyname(slave), os.O_RDWR)  # the executor's controlling terminal from now on
        for fd in (master, slave, terminal):
            os.close(fd)
        return TaskContext.get().attemptNumber()

    assert sc.parallelize(range(2), 2).map(open_terminal).collect() == [0, 0]


def test_the_context_itself(sc: SparkContext) -> None:
    assert SparkContext.getOrCreate() is sc
    assert sc.defaultParallelism == 2
    with pytest.raises(ContextError, match="Cannot run multiple SparkContexts at once"):
        SparkContext()
    with pytest.raises(ContextError, match="only be used on the driver"):
        pickle.dumps(sc)
