"""Executors that are stopped, hang, or are merely busy: who is lost, when, and what becomes of their blocks."""

from __future__ import annotations

import ctypes
import gc
import os
import re
import signal
import time
from pathlib import Path

import psutil
import pytest

from localcluster import Accumulator, SparkConf, SparkContext, StorageLevel, TaskContext
from localcluster.events import ExecutorLost
from localcluster.faults import stop
from tests.support import executor_pids, executors, status_of, wait_for_executors, wait_until


def conf(**settings: str) -> SparkConf:
    """Heartbeats each 100 ms; the timeout is the default, two minutes, unless it is given."""
    conf = SparkConf().setMaster("local[2]").set("spark.executor.heartbeatInterval", "100ms")
    for key, value in settings.items():
        conf.set(key.replace("_", "."), value)
    return conf


def losses(sc: SparkContext) -> list[ExecutorLost]:
    return [event for event in sc.events() if isinstance(event, ExecutorLost)]


def test_a_stopped_executor_is_lost_by_its_missing_heartbeats_and_a_later_sigcont_finds_nothing() -> None:
    with SparkContext(conf=conf()) as sc:
        stopped = executors(sc)[0] if executor_pids(sc) else None
        assert stopped is not None
        os.kill(stopped.pid, signal.SIGSTOP)
        assert sc.parallelize(range(8), 8).sum() == 28
        wait_until(lambda: losses(sc), "the stopped executor was not noticed")
        (lost,) = losses(sc)
        assert lost.executor_id == stopped.executor_id
        assert "it sent no heartbeat and its process is stopped" in lost.reason
        assert lost.signal == signal.SIGKILL
        with pytest.raises(ProcessLookupError):
            os.kill(stopped.pid, signal.SIGCONT)


def test_its_tasks_run_again_and_nothing_that_it_says_later_counts(tmp_path: Path) -> None:
    """It stops in a task, between two records; the other attempt's result is the one that counts, once."""

    def stop_once(x: int) -> tuple[int, int]:
        if x == 5 and TaskContext.get().attemptNumber() == 0:
            os.kill(os.getpid(), signal.SIGSTOP)
        return x, TaskContext.get().attemptNumber()

    with SparkContext(conf=conf()) as sc:
        results = sc.parallelize(range(8), 8).map(stop_once).collect()
    assert [x for x, _ in results] == list(range(8))
    assert results[5] == (5, 1)


def hold_the_gil(seconds: float) -> None:
    """At least so long in one call of C code that never lets go, on a processor."""
    held, size = 0.0, 20
    while held < seconds:
        size += 1  # which doubles the time
        start = time.monotonic()
        re.match(r"(a+)+$", "a" * size + "b")
        held = time.monotonic() - start


def test_a_task_that_computes_with_the_gil_held_for_twice_the_timeout_is_kept_with_its_blocks(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with SparkContext(conf=conf(spark_network_timeout="500ms")) as sc:
        cached = sc.parallelize(range(100), 4).persist(StorageLevel.MEMORY_ONLY)
        assert cached.sum() == 4950
        pids = executor_pids(sc)

        def hold(_: int) -> int:
            hold_the_gil(1.0)
            return os.getpid()

        assert set(sc.parallelize(range(2), 2).map(hold).collect()) <= pids
        assert losses(sc) == []
        assert "its heap is not asked" in caplog.text, "the block master did not take it for silent"
        wait_until(lambda: status_of(sc).statistics().blocks.rdd_blocks == 4, "its blocks are not told of again")
        assert cached.sum() == 4950


def test_a_task_that_waits_for_ever_with_the_gil_held_is_lost(tmp_path: Path) -> None:
    """Its other threads ask for the lock two hundred times a second meanwhile."""

    def wait_once(x: int) -> int:
        if x == 1 and TaskContext.get().attemptNumber() == 0:
            ctypes.PyDLL(None).pause()
        return x

    with SparkContext(conf=conf(spark_network_timeout="2s")) as sc:
        assert sc.parallelize(range(4), 4).map(wait_once).collect() == [0, 1, 2, 3]
        (lost,) = losses(sc)
    assert "it sent no heartbeat and its process does nothing" in lost.reason


def test_executors_that_are_stopped_for_a_moment_are_kept() -> None:
    with SparkContext(conf=conf(spark_executor_heartbeatInterval="1s")) as sc:
        pids = executor_pids(sc)
        for pid in pids:
            psutil.Process(pid).suspend()
            psutil.Process(pid).resume()
        assert sc.parallelize(range(8), 8).sum() == 28
        assert executor_pids(sc) == pids


@pytest.mark.parametrize("what", ["shuffle", "off heap"])
def test_what_is_removed_while_its_holder_is_stopped_and_killed_does_not_stay(what: str) -> None:
    """Its answer never comes; what was adopted would have nobody who could remove it."""
    with SparkContext(conf=conf(spark_executor_heartbeatInterval="10s")) as sc:
        pairs = sc.parallelize(range(1000), 4).map(lambda x: (x % 7, x))
        kept = pairs.reduceByKey(lambda x, y: x + y, 3) if what == "shuffle" else pairs.persist(StorageLevel.OFF_HEAP)
        assert kept.count() == (7 if what == "shuffle" else 1000)
        before = sc.statistics().blocks
        assert before.blocks > 0
        stopped = executors(sc)
        for executor in stopped:
            os.kill(executor.pid, signal.SIGSTOP)
        kept.unpersist()
        del kept, pairs
        gc.collect()
        for executor in stopped:
            os.kill(executor.pid, signal.SIGKILL)
        wait_until(lambda: len(losses(sc)) == 2, "the executors live")
        wait_until(lambda: sc.statistics().blocks.blocks == 0, "blocks stay", lambda: sc.statistics().blocks)
        assert sc.statistics().blocks.adopted_paths == 0


def test_second_copies_are_restored_and_nothing_is_computed_again(tmp_path: Path) -> None:
    log = tmp_path / "computed"

    def note(x: int) -> int:
        with open(log, "a") as file:
            file.write("x")
        return x

    with SparkContext(conf=conf().setMaster("local[3]")) as sc:
        wait_for_executors(sc, 3)
        cached = sc.parallelize(range(60), 6).map(note).persist(StorageLevel.MEMORY_ONLY_2)
        assert cached.sum() == 1770
        for _ in range(2):
            wait_until(lambda: copies(sc, cached.id()) == [2] * 6, "copies lack", lambda: copies(sc, cached.id()))
            os.kill(executors(sc)[0].pid, signal.SIGKILL)
            assert cached.sum() == 1770
            wait_for_executors(sc, 3)
        wait_until(lambda: copies(sc, cached.id()) == [2] * 6, "copies lack", lambda: copies(sc, cached.id()))
        assert len(log.read_text()) == 60


def copies(sc: SparkContext, rdd_id: int) -> list[int]:
    """How many living executors have each block."""
    living = set(executors(sc))
    return [len(living & statuses.keys()) for statuses in status_of(sc).stored_blocks(rdd_id).values()]


@pytest.mark.parametrize("moment", ["start", "before_report"])
def test_whether_a_stopped_executor_is_continued_before_or_after_it_is_taken_for_lost_each_task_counts_once(
    moment: str,
) -> None:
    """With heartbeats of 100 ms it is lost 150 to 300 ms later; what it says when it is continued may count or not."""
    with SparkContext(conf=conf()) as sc:
        for seconds in (0.1, 0.2, 0.3, 0.4):
            wait_for_executors(sc, 2)
            counted = sc.accumulator(0)

            def count(x: int, counted: Accumulator[int] = counted) -> int:
                counted.add(1 << (4 * x))  # a hexadecimal digit for each partition
                return x

            with sc.faults(stop(seconds, partition=1, attempt=0).at(moment), strict=True):
                assert sc.parallelize(range(4), 4).map(count).collect() == [0, 1, 2, 3]
            assert hex(counted.value) == "0x1111"
        assert {lost.signal for lost in losses(sc)} <= {signal.SIGKILL}
        wait_until(lambda: sc.statistics().tasks.at_executors == 0, "tasks are left")
