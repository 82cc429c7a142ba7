"""What running tasks find in their contexts."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from localcluster import SparkConf, SparkContext, TaskContext
from localcluster.errors import JobError
from localcluster.resource import ResourceProfileBuilder, TaskResourceRequests


@pytest.fixture(scope="module")
def sc() -> Iterator[SparkContext]:
    """Two attempts of each task, which takes both cores of its executor."""
    conf = (
        SparkConf().setMaster("local-cluster[2,2,512]").set("spark.task.cpus", "2").set("spark.task.maxFailures", "2")
    )
    with SparkContext(conf=conf) as context:
        context.parallelize(range(8), 8).map(lambda x: x).collect()
        yield context


def test_there_is_none_in_the_driver(sc: SparkContext) -> None:
    sc.parallelize([1], 1).map(lambda x: x).collect()
    assert TaskContext.get() is None


def test_stages_are_numbered_in_the_order_of_jobs(sc: SparkContext) -> None:
    rdd = sc.parallelize(range(4), 2)
    first = rdd.map(lambda _: TaskContext.get().stageId()).first()  # type: ignore[union-attr]
    second = rdd.map(lambda _: TaskContext().stageId()).first()
    assert second == first + 1


def test_partitions_and_tasks_have_numbers(sc: SparkContext) -> None:
    def numbers(records: Iterable[int]) -> Iterator[tuple[int, int]]:
        context = TaskContext.get()
        assert context is not None
        yield context.partitionId(), context.taskAttemptId()

    found = sc.parallelize(range(8), 4).mapPartitions(numbers).collect()
    assert [partition for partition, _ in found] == [0, 1, 2, 3]
    assert len({task for _, task in found}) == 4


def test_a_retried_task_sees_its_attempt_and_another_task_does_not(sc: SparkContext) -> None:
    def fail_at_first(x: int) -> tuple[int, int]:
        context = TaskContext.get()
        assert context is not None
        if context.attemptNumber() == 0 and context.partitionId() == 1:
            raise ValueError("the first time")
        return context.partitionId(), context.attemptNumber()

    assert sc.parallelize(range(3), 3).map(fail_at_first).collect() == [(0, 0), (1, 1), (2, 0)]


def test_actions_without_a_result_have_a_context(sc: SparkContext, tmp_path: Path) -> None:
    def note(records: Iterable[int]) -> None:
        context = TaskContext.get()
        assert context is not None
        if context.attemptNumber() == 0 and context.partitionId() == 0:
            raise ValueError("the first time")
        (tmp_path / f"{context.partitionId()}-{context.attemptNumber()}").touch()

    sc.parallelize(range(4), 2).foreachPartition(note)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0-1", "1-0"]


def test_map_tasks_have_a_context_in_lazy_generators(sc: SparkContext) -> None:
    def tag(records: Iterable[int]) -> Iterator[tuple[int, int]]:
        for record in records:
            context = TaskContext.get()
            assert context is not None
            yield record, context.partitionId()

    pairs = sc.parallelize(range(4), 2).mapPartitions(tag).groupByKey(2).mapValues(list)
    assert sorted(pairs.collect()) == [(0, [0]), (1, [0]), (2, [1]), (3, [1])]


def test_a_thread_of_a_task_finds_its_context(sc: SparkContext) -> None:
    def in_a_thread(x: int) -> int:
        found: list[int] = []
        thread = threading.Thread(target=lambda: found.append(TaskContext.get().partitionId()))  # type: ignore[union-attr]
        thread.start()
        thread.join(20)
        return found[0]

    assert sc.parallelize(range(2), 2).map(in_a_thread).collect() == [0, 1]


def test_local_properties_reach_tasks(sc: SparkContext) -> None:
    sc.setLocalProperty("colour", "green")
    rdd = sc.parallelize([1], 1).map(lambda _: [TaskContext.get().getLocalProperty(k) for k in ("colour", "size")])  # type: ignore[union-attr]
    assert rdd.collect() == [["green", None]]
    sc.setLocalProperty("colour", None)
    assert rdd.collect() == [[None, None]]


def test_a_context_that_a_task_returns_is_a_record(sc: SparkContext) -> None:
    context = sc.parallelize([1, 2], 2).map(lambda _: TaskContext.get()).collect()[1]
    assert context is not None
    assert (context.partitionId(), context.attemptNumber(), context.resources()) == (1, 0, {})
    assert TaskContext.get() is None


def test_a_profile_has_no_effect_on_tasks(sc: SparkContext) -> None:
    profile = ResourceProfileBuilder().require(TaskResourceRequests().cpus(1)).build
    rdd = sc.parallelize(range(4), 2).withResources(profile)
    assert rdd.map(lambda _: TaskContext.get().cpus()).collect() == [2] * 4  # type: ignore[union-attr]
    assert profile.id > 0


def test_a_task_knows_its_cpus(sc: SparkContext) -> None:
    found = sc.parallelize(range(2), 2).map(lambda _: (TaskContext.get().cpus(), TaskContext.get().cpuAmount()))  # type: ignore[union-attr]
    assert found.collect() == [(2, Decimal(2))] * 2


def test_cpus_of_tasks_count_when_a_barrier_stage_looks_for_room(sc: SparkContext) -> None:
    rdd = sc.parallelize(range(3), 3).barrier().mapPartitions(lambda records: records)
    with pytest.raises(JobError, match="3 partitions, the cluster 2 slots"):
        rdd.collect()
