"""Barrier stages in real processes: all tasks at once, waiting for each other, in one thread or several."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from operator import add
from pathlib import Path

import pytest

from localcluster import SparkConf, SparkContext, TaskContext
from localcluster.errors import JobCancelledError, JobError, PySparkRuntimeError, SparkException, TaskError
from localcluster.task.barrier_task_context import BarrierTaskContext
from tests.support import InThread, wait_until


@pytest.fixture(scope="module", params=["local[2, 2]", "local-cluster[1,2,512]"])
def sc(request: pytest.FixtureRequest) -> Iterator[SparkContext]:
    """Two processes of one core, and one process of two."""
    conf = SparkConf().setMaster(request.param).set("spark.barrier.sync.timeout", "60s")
    with SparkContext(conf=conf) as context:
        context.parallelize(range(8), 8).map(lambda x: x).collect()
        yield context


def meet(records: Iterable[int]) -> Iterable[int]:
    BarrierTaskContext.get().barrier()
    return records


def gather(records: Iterable[int]) -> list[list[str]]:
    return [BarrierTaskContext.get().allGather(str(sum(records)))]


def test_all_tasks_meet_again_and_again(sc: SparkContext) -> None:
    def ten_times(records: Iterable[int]) -> Iterator[int]:
        context = BarrierTaskContext.get()
        for turn in range(10):
            context.barrier()
            assert context.allGather(f"{turn}-{context.partitionId()}") == [f"{turn}-0", f"{turn}-1"]
        yield from records

    assert sc.parallelize(range(4), 2).barrier().mapPartitions(ten_times).collect() == [0, 1, 2, 3]


def test_nobody_passes_before_all_have_come(sc: SparkContext, tmp_path: Path) -> None:
    def come_and_look(index: int, records: Iterable[int]) -> Iterator[list[str]]:
        (tmp_path / str(index)).touch()
        BarrierTaskContext.get().barrier()
        yield sorted(os.listdir(tmp_path))

    rdd = sc.parallelize(range(2), 2).barrier().mapPartitionsWithIndex(come_and_look)
    assert rdd.collect() == [["0", "1"]] * 2


def test_messages_are_gathered_by_partition(sc: SparkContext) -> None:
    assert sc.parallelize([1, 2, 3, 4], 2).barrier().mapPartitions(gather).collect() == [["3", "7"]] * 2


def test_steps_after_the_barrier_run_in_its_stage(sc: SparkContext) -> None:
    rdd = sc.parallelize(range(4), 2).barrier().mapPartitions(lambda records: records).map(lambda x: x + 1)
    assert rdd._is_barrier()
    assert rdd.mapPartitions(gather).collect() == [["3", "7"]] * 2


def test_a_map_stage_can_be_a_barrier_stage(sc: SparkContext) -> None:
    pairs = sc.parallelize(range(10), 2).barrier().mapPartitions(meet).map(lambda x: (x % 2, x))
    assert sorted(pairs.reduceByKey(add, 3).collect()) == [(0, 20), (1, 25)]


def test_a_barrier_stage_can_read_a_shuffle(sc: SparkContext) -> None:
    sums = sc.parallelize(range(10), 4).map(lambda x: (x % 2, x)).reduceByKey(add, 2)
    assert sorted(sums.barrier().mapPartitions(meet).collect()) == [(0, 20), (1, 25)]  # type: ignore[arg-type]


def test_tasks_know_where_the_others_are(sc: SparkContext) -> None:
    def addresses(records: Iterable[int]) -> list[list[str]]:
        return [[info.address for info in BarrierTaskContext.get().getTaskInfos()]]

    first, second = sc.parallelize(range(2), 2).barrier().mapPartitions(addresses).collect()
    assert first == second
    assert len(first) == 2
    assert all(address.startswith("127.0.0.1:") for address in first)


def test_a_barrier_task_has_the_context_of_any_task(sc: SparkContext) -> None:
    def identity(records: Iterable[int]) -> list[object]:
        context = TaskContext.get()
        assert isinstance(context, BarrierTaskContext)
        return [(context.partitionId(), context.attemptNumber(), context.getLocalProperty("colour"), context.cpus())]

    sc.setLocalProperty("colour", "green")
    found = sc.parallelize(range(2), 2).barrier().mapPartitions(identity).collect()
    sc.setLocalProperty("colour", None)
    assert found == [(0, 0, "green", 1), (1, 0, "green", 1)]


def test_the_next_stage_on_the_same_executors_is_a_plain_one(sc: SparkContext) -> None:
    sc.parallelize(range(2), 2).barrier().mapPartitions(meet).collect()
    with pytest.raises(TaskError, match="NOT_IN_BARRIER_STAGE") as caught:
        sc.parallelize([1], 1).map(lambda _: BarrierTaskContext.get()).collect()
    assert isinstance(caught.value.cause, PySparkRuntimeError)
    with pytest.raises(PySparkRuntimeError, match="NOT_IN_BARRIER_STAGE"):
        BarrierTaskContext.get()


def test_more_tasks_than_cores_fail_at_once(sc: SparkContext) -> None:
    with pytest.raises(JobError, match="SPARK-24819"):
        sc.parallelize(range(3), 3).barrier().mapPartitions(meet).collect()


def test_part_of_a_barrier_stage_cannot_be_run(sc: SparkContext) -> None:
    rdd = sc.parallelize(range(2), 2).barrier().mapPartitions(meet)
    for action in (rdd.first, rdd.coalesce(1).collect, rdd.zip(rdd).collect):
        with pytest.raises(JobError, match=r"\[SPARK-24820\]\[SPARK-24821\]"):
            action()


def test_when_one_task_fails_all_run_again_and_count_once(sc: SparkContext, tmp_path: Path) -> None:
    ended = sc.accumulator(0)

    def fail_once(index: int, records: Iterable[int]) -> Iterator[int]:
        context = BarrierTaskContext.get()
        ended.add(1)
        with open(tmp_path / "attempts", "a") as file:
            file.write(f"{index}")
        context.barrier()
        if index == 1 and not (tmp_path / "failed").exists():
            (tmp_path / "failed").touch()
            raise ValueError("the first time")
        context.barrier()
        yield index

    rdd = sc.parallelize(range(2), 2).barrier().mapPartitionsWithIndex(fail_once)
    if sc.master.startswith("local["):  # two attempts of a task, so of a result stage
        assert rdd.collect() == [0, 1]
    else:
        assert sorted(rdd.map(lambda x: (x, x)).reduceByKey(add, 2).values().collect()) == [0, 1]
    assert sorted((tmp_path / "attempts").read_text()) == ["0", "0", "1", "1"]
    assert ended.value == 2


def test_a_stage_that_keeps_failing_ends_with_the_tasks_own_error(sc: SparkContext) -> None:
    def fail(index: int, records: Iterable[int]) -> Iterable[int]:
        if index == 1:
            raise ValueError("boom")
        BarrierTaskContext.get().barrier()
        return records

    rdd = sc.parallelize(range(2), 2).barrier().mapPartitionsWithIndex(fail)
    with pytest.raises(TaskError, match="Could not recover from a failed barrier ResultStage") as caught:
        rdd.collect()
    assert isinstance(caught.value.cause, ValueError)
    with pytest.raises(
        TaskError, match=r"maximum allowable number of times: 4.*ShuffleMapTask.*finished unsuccessfully"
    ):
        rdd.map(lambda x: (x, x)).groupByKey().collect()


@pytest.mark.parametrize("others", ["end", "gather"])
def test_nobody_waits_for_tasks_that_will_not_come(sc: SparkContext, others: str) -> None:
    def part(index: int, records: Iterable[int]) -> Iterable[int]:
        context = BarrierTaskContext.get()
        if index == 0:
            context.barrier()
        elif others == "gather":
            context.allGather()
        return records

    with pytest.raises(TaskError, match=r"ended without calling it|different functions") as caught:
        sc.parallelize(range(2), 2).barrier().mapPartitionsWithIndex(part).collect()
    assert isinstance(caught.value.cause, SparkException)


def test_only_text_is_gathered(sc: SparkContext) -> None:
    with pytest.raises(TaskError, match="must be of type `str`") as caught:
        sc.parallelize(range(2), 2).barrier().mapPartitions(
            lambda _: [BarrierTaskContext.get().allGather(3)]  # type: ignore[arg-type]
        ).collect()
    assert isinstance(caught.value.cause, TypeError)


def test_a_cancelled_job_ends_while_its_tasks_wait(sc: SparkContext, tmp_path: Path) -> None:
    def wait_in_vain(index: int, records: Iterable[int]) -> Iterable[int]:
        (tmp_path / str(index)).touch()
        if index == 0:
            BarrierTaskContext.get().barrier()
        else:
            for _ in range(6000):  # bounded: records are looked at for kills where a signal does not reach
                time.sleep(0.01)
                yield 0
        yield from records

    job = InThread(sc.parallelize(range(2), 2).barrier().mapPartitionsWithIndex(wait_in_vain).collect)
    wait_until(lambda: len(os.listdir(tmp_path)) == 2)
    sc.cancelAllJobs()
    assert isinstance(job.outcome(), JobCancelledError)
    assert sc.parallelize([1, 2], 2).barrier().mapPartitions(gather).collect() == [["1", "2"]] * 2


def test_jobs_of_other_threads_go_on_beside_barrier_stages(sc: SparkContext) -> None:
    plain = InThread(lambda: [sc.parallelize(range(100), 20).sum() for _ in range(10)])
    for _ in range(10):
        assert sc.parallelize([1, 2], 2).barrier().mapPartitions(gather).collect() == [["1", "2"]] * 2
    assert plain.outcome() == [4950] * 10
