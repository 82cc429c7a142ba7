"""What observers tell of an executor that was killed: events, counts, status tracker, REST API."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from operator import add
from typing import Any
from urllib.request import urlopen

import pytest

from localcluster import SparkConf, SparkContext, StorageLevel, TaskContext
from localcluster.events import (
    BlockAdopted,
    BlockLost,
    BlockRecomputed,
    ExecutorAdded,
    ExecutorLost,
    ExecutorReplaced,
    StageResubmitted,
    TaskRetried,
    TaskStarted,
)
from protocol.locations import FileLocation, ShmLocation
from tests.support import DEADLINE, executors, status_of, wait_for_executors, wait_until


@pytest.fixture
def sc() -> Iterator[SparkContext]:
    with SparkContext(conf=SparkConf().setMaster("local-cluster[2,1,1024]").set("spark.ui.port", "0")) as context:
        wait_for_executors(context, 2)
        yield context


def api(context: SparkContext, path: str) -> Any:
    url = f"{context.uiWebUrl}/api/v1/applications/{context.applicationId}/{path}"
    with urlopen(url, timeout=DEADLINE) as answer:
        return json.load(answer)


def die_once(number: int) -> int:
    context = TaskContext.get()
    if number == 3 and context is not None and context.attemptNumber() == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_the_loss_of_an_executor_is_told_by_all_observers(sc: SparkContext) -> None:
    pids = {executor.executor_id: executor.pid for executor in executors(sc)}
    assert sc.parallelize(range(8), 8).map(die_once).sum() == 28
    wait_for_executors(sc, 2)
    (lost,) = sc.events(ExecutorLost)
    (task,) = lost.running
    assert (lost.signal, lost.exit_code, task.partition, task.attempt) == (signal.SIGKILL, None, 3, 0)
    assert f"executor {lost.executor_id} (pid {pids[lost.executor_id]}) was killed by signal 9" in lost.reason
    (retried,) = sc.events(TaskRetried)
    assert (retried.task, retried.executor_id, retried.blamed) == (task, lost.executor_id, True)
    (replaced,) = sc.events(ExecutorReplaced)
    assert replaced.executor_id == lost.executor_id
    assert [added.executor_id for added in sc.events(ExecutorAdded)][-1] == replaced.by
    of_three = [started.task.attempt for started in sc.events(TaskStarted) if started.task.partition == 3]
    assert of_three == [0, 1]
    counts = sc.statistics().events
    assert (counts.executors_added, counts.executors_lost, counts.executors_replaced) == (3, 1, 1)
    stage = sc.statusTracker().getStageInfo(task.stage_id)
    assert stage is not None
    assert (stage.numFailedTasks, stage.numCompletedTasks) == (1, 8)  # as in Spark
    assert sc.statistics().tasks.lost == 1
    assert {each["id"] for each in api(sc, "executors")} == {"driver", *pids, replaced.by} - {lost.executor_id}
    (dead,) = (each for each in api(sc, "allexecutors") if not each["isActive"])
    assert (dead["id"], dead["removeReason"], dead["failedTasks"]) == (lost.executor_id, lost.reason, 1)
    assert dead["hostPort"] == f"localhost:{pids[lost.executor_id]}"
    told = {event["event"] for event in api(sc, "events")}
    assert told == {"ExecutorAdded", "ExecutorLost", "ExecutorReplaced", "TaskRetried"}
    sc.stop()
    assert sc.events(ExecutorLost) == (lost,)
    assert [former.reason for former in status_of(sc).former_executors()] == [lost.reason]


@pytest.mark.parametrize("level", [StorageLevel.MEMORY_ONLY, StorageLevel.OFF_HEAP, StorageLevel.DISK_ONLY])
def test_blocks_are_told_as_computed_again_where_they_lay_on_the_heap_only(
    sc: SparkContext, level: StorageLevel
) -> None:
    cached = sc.parallelize(range(400), 4).map(lambda x: x + 1).persist(level)
    assert cached.sum() == 80200
    victim = executors(sc)[0]
    here = {str(block) for block, copies in status_of(sc).stored_blocks(cached.id()).items() if victim in copies}
    os.kill(victim.pid, signal.SIGKILL)
    wait_until(lambda: sc.events(ExecutorLost), "nobody saw it die")
    assert cached.sum() == 80200
    told = {kind: {event.block_id for event in sc.events(kind)} for kind in (BlockAdopted, BlockLost, BlockRecomputed)}
    on_heap = level == StorageLevel.MEMORY_ONLY
    of_rdd = {block_id for block_id in told[BlockAdopted] if block_id.startswith("rdd_")}
    assert of_rdd == (set() if on_heap else here)
    assert told[BlockLost] == told[BlockRecomputed] == (here if on_heap else set())


def test_map_outputs_that_vanished_are_told_as_lost_and_computed_again(sc: SparkContext) -> None:
    sums = sc.parallelize(range(100), 2).map(lambda x: (x % 5, x)).reduceByKey(add, 3)
    assert sums.count() == 5
    for executor in executors(sc):
        os.kill(executor.pid, signal.SIGKILL)  # new ones have not mapped what follows
    wait_until(lambda: len(sc.events(ExecutorReplaced)) == 2, "nobody saw them die")
    for block, copies in status_of(sc).blocks().items():
        if block.of_shuffle is not None:
            (status,) = copies.values()
            assert isinstance(status.location, ShmLocation | FileLocation)
            with suppress(FileNotFoundError):
                os.unlink(status.location.path)
    assert sums.count() == 5
    names = {kind: {event.block_id for event in sc.events(kind)} for kind in (BlockLost, BlockRecomputed)}
    assert len(names[BlockLost]) == len(names[BlockRecomputed]) == 2
    assert all(name.startswith("shuffle_0_") for kind in names.values() for name in kind)
    assert {event.partitions for event in sc.events(StageResubmitted)} >= {(0, 1)}


def test_a_block_whose_file_vanishes_under_its_living_holder_is_told_as_lost_and_computed_again(
    sc: SparkContext,
) -> None:
    cached = sc.parallelize(range(400), 4).map(lambda x: x + 1).persist(StorageLevel.DISK_ONLY)
    assert cached.sum() == 80200
    block, copies = next(iter(status_of(sc).stored_blocks(cached.id()).items()))
    (status,) = copies.values()
    assert isinstance(status.location, FileLocation)
    os.unlink(status.location.path)
    assert cached.sum() == 80200
    assert [event.block_id for event in sc.events(BlockLost)] == [str(block)]
    assert [event.block_id for event in sc.events(BlockRecomputed)] == [str(block)]
    assert sc.events(ExecutorLost) == ()


def test_as_many_dead_executors_are_remembered_as_the_settings_say() -> None:
    conf = SparkConf().setMaster("local-cluster[1,1,1024]").set("spark.ui.port", "0")
    with SparkContext(conf=conf.set("spark.ui.retainedDeadExecutors", "1")) as context:
        for number in range(2):
            wait_for_executors(context, 1)  # one that has not registered is none to remember
            os.kill(executors(context)[0].pid, signal.SIGKILL)
            wait_until(lambda: len(context.events(ExecutorLost)) > number, "its loss was not noticed")  # noqa: B023
        dead = [each["id"] for each in api(context, "allexecutors") if not each["isActive"]]
        assert dead == [context.events(ExecutorLost)[-1].executor_id]
