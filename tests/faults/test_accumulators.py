"""Accumulators over failures: what the tasks of a result stage add counts once for each partition."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from localcluster import SparkConf, SparkContext, TaskContext
from localcluster.events import ExecutorLost, TaskRetried, TaskSpeculated
from tests.support import status_of, wait_until

PARTITIONS = 12


def kill_one_that_has_reported(sc: SparkContext, died: Path) -> None:
    """When all but the straggler is done, and that gets a copy, end the executor that did most."""
    status = status_of(sc)
    wait_until(lambda: any(stage.done == PARTITIONS - 1 for stage in status.running_stages()))
    wait_until(lambda: sc.events(TaskSpeculated))
    victim = max(status.executors(), key=lambda executor: executor.tasks.completed)
    os.kill(victim.memory.block_manager_id.pid, signal.SIGKILL)
    died.touch()


@pytest.mark.parametrize("shuffled", [False, True])
def test_a_result_stage_counts_each_partition_once_over_deaths_retries_and_copies(
    shuffled: bool, tmp_path: Path
) -> None:
    """One task raises, one ends its executor, one straggles; the executor that did most dies after its reports."""
    conf = SparkConf().set("spark.executor.instances", "3").set("spark.speculation", "true")
    with SparkContext(conf=conf.set("spark.speculation.quantile", "0.5")) as sc:
        counted = sc.accumulator(0)
        died = tmp_path / "died"

        def add(index: int, records: Iterator[tuple[int, int]]) -> Iterator[int]:
            task = TaskContext.get()
            assert task is not None
            counted.add(1 << (4 * index))  # a hexadecimal digit for each partition
            if index == 1 and task.attemptNumber() == 0:
                raise ValueError("once")
            if index == 2 and task.attemptNumber() == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            if index == 3:
                wait_until(lambda: died.exists() and task.attemptNumber() > 0)
            yield sum(1 for _ in records)

        pairs = sc.parallelize([(n, n) for n in range(10 * PARTITIONS)], PARTITIONS)
        job = pairs.partitionBy(PARTITIONS) if shuffled else pairs
        killer = threading.Thread(target=kill_one_that_has_reported, args=(sc, died))
        killer.start()
        try:
            assert job.mapPartitionsWithIndex(add).collect() == [10] * PARTITIONS
        finally:
            killer.join()
        assert hex(counted.value) == hex(int("1" * PARTITIONS, 16))
        assert sc.events(TaskRetried)
        wait_until(lambda: len(sc.events(ExecutorLost)) >= 2)  # the job may end before the second loss is noticed
        assert len(sc.events(TaskSpeculated)) >= 1
