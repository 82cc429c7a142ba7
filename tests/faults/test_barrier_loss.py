"""Executors that die or stop in a barrier stage: nobody waits for them, and all tasks run again."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator
from operator import add
from pathlib import Path

import pytest

from localcluster import SparkConf, SparkContext
from localcluster.errors import TaskError
from localcluster.task.barrier_task_context import BarrierTaskContext
from tests.faults.runs import BUSY_JOB, Run


@pytest.fixture(params=["local[2]", "local-cluster[2,2,512]"])
def sc(request: pytest.FixtureRequest) -> Iterator[SparkContext]:
    conf = SparkConf().setMaster(request.param).set("spark.barrier.sync.timeout", "60s")
    with SparkContext(conf=conf) as context:
        yield context


def die_once(marker: Path, when: str) -> object:
    """The task of partition 0 kills its executor in the first attempt, in the middle of the barriers or behind them."""

    def function(index: int, records: Iterable[int]) -> Iterator[str]:
        context = BarrierTaskContext.get()
        context.barrier()
        if index == 0 and when == "between" and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        messages = context.allGather(str(index))
        if index == 0 and when == "behind" and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        yield ",".join(messages)

    return function


@pytest.mark.parametrize("when", ["between", "behind"])
@pytest.mark.parametrize("map_stage", [True, False])
def test_a_barrier_stage_survives_an_executor(sc: SparkContext, tmp_path: Path, when: str, map_stage: bool) -> None:
    tasks = sc.defaultParallelism
    everyone = ",".join(map(str, range(tasks)))
    barrier = sc.parallelize(range(tasks), tasks).barrier()
    rdd = barrier.mapPartitionsWithIndex(die_once(tmp_path / "died", when))  # type: ignore[arg-type]
    if map_stage:
        assert rdd.map(lambda text: (text, 1)).reduceByKey(add, 2).collect() == [(everyone, tasks)]
    else:
        assert rdd.collect() == [everyone] * tasks
    assert (tmp_path / "died").exists()


def test_a_task_that_always_kills_its_executor_ends_the_job(sc: SparkContext) -> None:
    def die(index: int, records: Iterable[int]) -> Iterable[int]:
        if index == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        BarrierTaskContext.get().barrier()
        return records

    with pytest.raises(TaskError, match="Could not recover from a failed barrier ResultStage") as caught:
        sc.parallelize(range(2), 2).barrier().mapPartitionsWithIndex(die).collect()
    assert "killed by signal 9" in str(caught.value)
    assert sc.parallelize(range(50), 50).sum() == sum(range(50))


def test_a_task_that_does_not_stop_when_another_failed_is_ended_with_its_executor(tmp_path: Path) -> None:
    conf = SparkConf().setMaster("local[2, 2]").set("spark.task.reaper.killTimeout", "500ms")

    def stubborn(index: int, records: Iterable[int]) -> Iterator[int]:
        context = BarrierTaskContext.get()
        first = not (tmp_path / f"{index}").exists()
        (tmp_path / f"{index}").touch()
        context.barrier()
        if first and index == 1:
            raise ValueError("the first time")
        if first:
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])  # deaf to kills
            while True:
                signal.pause()
        context.barrier()
        yield index

    with SparkContext(conf=conf) as sc:
        assert sc.parallelize(range(2), 2).barrier().mapPartitionsWithIndex(stubborn).collect() == [0, 1]


WAIT_FOR_EVER = """
def wait(records):
    context = BarrierTaskContext.get()
    context.barrier()
    if context.partitionId() == 0:
        time.sleep(600)  # the other task waits for this one until the run ends
    context.barrier()
    return records

from localcluster.task.barrier_task_context import BarrierTaskContext
sc.parallelize(range(2), 2).barrier().mapPartitions(wait).collect()
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_waits_at_a_barrier_can_be_ended(tmp_path: Path, how: signal.Signals) -> None:
    with Run(tmp_path, BUSY_JOB.format(ending=WAIT_FOR_EVER)) as run:
        run.until_ready()
        os.killpg(run.process.pid, how) if how is signal.SIGINT else os.kill(run.process.pid, how)
        assert run.wait() != 0
        run.assert_nothing_left()
