"""An executor that drains: its tasks end there, it leaves, and what it stored off its heap is still read."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from operator import add
from pathlib import Path

import psutil
import pytest

from localcluster import SparkContext, StorageLevel
from localcluster.errors import JobError
from tests.support import InThread, executors, status_of, wait_for_executors, wait_until

EXPECTED = [(key, sum(x for x in range(1000) if x % 5 == key)) for key in range(5)]


@pytest.fixture
def sc() -> Iterator[SparkContext]:
    with SparkContext("local[2]") as context:
        wait_for_executors(context, 2)
        yield context


def drain_to(context: SparkContext, wanted: int) -> None:
    context._cluster.set_executors(wanted)
    wait_until(lambda: number(context) == wanted)


def number(context: SparkContext) -> int:
    now = context.statistics().executors
    return now.alive + now.starting + now.draining


def test_blocks_and_map_outputs_of_one_that_left_are_read_and_not_computed_again(
    sc: SparkContext, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log, began = tmp_path / "computed", tmp_path / "began"
    began.mkdir()

    def note(records: Iterable[int]) -> Iterator[tuple[int, int]]:
        (began / str(os.getpid())).touch()
        wait_until(lambda: len(list(began.iterdir())) == 2)  # both executors compute a part
        with open(log, "a") as file:
            for x in records:
                file.write("x")
                yield x % 5, x

    cached = sc.parallelize(range(1000), 2).mapPartitions(note).persist(StorageLevel.OFF_HEAP)
    sums = cached.reduceByKey(add, 3)
    assert sorted(sums.collect()) == EXPECTED
    pids = [executor.pid for executor in executors(sc)]
    drain_to(sc, 1)
    wait_until(lambda: sum(map(psutil.pid_exists, pids)) == 1)
    assert sorted(sums.collect()) == EXPECTED
    assert cached.values().sum() == sum(range(1000))
    assert log.stat().st_size == 1000
    assert caplog.text == ""
    with pytest.raises(JobError, match="SPARK-24819"):
        sc.parallelize(range(2), 2).barrier().mapPartitions(iter).collect()
    assert sc.defaultParallelism == 2, "what was asked for, as in PySpark"

    drain_to(sc, 0)
    sc._cluster.set_executors(1)
    assert cached.values().sum() == sum(range(1000)), "also by one that never met those that wrote it"
    assert log.stat().st_size == 1000


def test_its_tasks_end_there_and_those_that_wait_run_elsewhere(
    sc: SparkContext, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    go = tmp_path / "go"

    def work(x: int) -> tuple[int, int]:
        (tmp_path / f"began {x}").touch()
        wait_until(go.exists)
        return x, os.getpid()

    job = InThread(sc.parallelize(range(6), 6).map(work).collect)
    wait_until(lambda: len(list(tmp_path.iterdir())) == 2)
    stays = executors(sc)[0]
    sc._cluster.set_executors(1)
    assert number(sc) == 2, "it works still"
    go.touch()
    results = dict(job.outcome())
    assert sorted(results) == list(range(6))
    leaver = [x for x, pid in results.items() if pid != stays.pid]
    assert len(leaver) == 1
    wait_until(lambda: executors(sc) == [stays])
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_those_that_have_cached_nothing_leave_first(sc: SparkContext) -> None:
    cached = sc.parallelize(range(10), 1).persist(StorageLevel.MEMORY_ONLY)
    assert cached.sum() == 45
    (holder,) = next(iter(status_of(sc).stored_blocks(cached.id()).values()))
    drain_to(sc, 1)
    wait_until(lambda: len(executors(sc)) == 1)
    assert executors(sc) == [holder]
