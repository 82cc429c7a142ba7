"""Messages that are lost, late, doubled, swapped or garbled in a whole cluster: the job ends right, and soon.

How each type of message fares on one channel is `tests/localcluster/faults/test_messages.py`.
"""

from __future__ import annotations

import re
import time
from operator import add
from typing import Any

import pytest

from localcluster import BarrierTaskContext, SparkConf, SparkContext, StorageLevel, TaskContext
from localcluster.errors import ClusterError, JobCancelledError
from localcluster.events import ExecutorLost, FaultFired, TaskStarted
from localcluster.faults.keys import messages
from tests.support import DEADLINE, InThread, wait_for_executors, wait_until

EXPECTED = [(key, sum(x for x in range(100) if x % 5 == key) + 1000) for key in range(5)]


def small_jobs(sc: SparkContext) -> None:
    """With all that executors talk about: shuffle, broadcast, blocks, leases, barriers, failures."""
    wait_for_executors(sc, 2)
    table = sc.broadcast(list(range(1000)))
    pairs = sc.parallelize(range(100), 4).map(lambda x: (x % 5, x)).persist(StorageLevel.OFF_HEAP)
    assert pairs.count() == 100
    sums = pairs.reduceByKey(add, 3).mapValues(lambda total: total + len(table.value))
    assert sorted(sums.collect()) == EXPECTED
    on_heap = sc.parallelize(range(10), 2).map(lambda x: [x]).persist(StorageLevel.MEMORY_ONLY)
    assert on_heap.count() == 10
    assert on_heap.coalesce(1).map(len).sum() == 10
    assert sc.parallelize(range(100), 2).barrier().mapPartitions(meet).sum() == 4950
    assert sc.parallelize(range(4), 4).map(fail_once).sum() == 6
    pairs.unpersist(blocking=True)
    on_heap.unpersist(blocking=True)
    table.destroy()


def meet(numbers: Any) -> list[int]:
    BarrierTaskContext.get().barrier()
    return [sum(numbers)]


def fail_once(number: int) -> int:
    context = TaskContext.get()
    assert context is not None
    if number == 1 and context.attemptNumber() == 0:
        raise ValueError("the first time")
    time.sleep(0.3)  # so that there is a heartbeat
    return number


def context(plan: str) -> SparkContext:
    conf = SparkConf().setMaster("local[2, 4]").set("spark.executor.heartbeatInterval", "100ms")
    return SparkContext(conf=conf.set("localcluster.faults", plan).set("localcluster.faults.strict", "true"))


def run(*rules: str, losses: int = 0) -> list[str]:
    """Why executors were lost, so many. The plan is strict: the stop fails when a rule has never fired."""
    begun = time.monotonic()
    with context("; ".join(rules)) as sc:
        small_jobs(sc)
        wait_until(lambda: len(sc.events(ExecutorLost)) >= losses)
    assert time.monotonic() < begun + DEADLINE, "it waited for what could not come"
    assert len(sc.events(FaultFired)) >= len(rules)
    return [lost.reason for lost in sc.events(ExecutorLost)]


FROM_EXECUTORS = (
    "RegisterBlockManager",
    "RegisterExecutor",
    "TasksFinished",
    "TaskFailed",
    "BarrierCall",
    "UpdateBlockInfo",
    "GetLocations",
    "GetMapOutputs",
    "ReleaseLeases",
    "ExecutorHeartbeat",
    "RemoveRdd.answer",
)
TO_EXECUTORS = (
    "LaunchTasks",
    "BarrierRelease",
    "ExtentReleased",
    "RemoveRdd",
    "RegisterBlockManager.answer",
    "UpdateBlockInfo.answer",
    "GetLocations.answer",
    "GetMapOutputs.answer",
)
OF_THE_LAUNCHER = ("LaunchExecutor", "ExecutorLaunched")
AT_THE_END = ("StopExecutor", "StopCluster", "ExecutorExited")
HARMLESS = ("duplicate", "reorder", "delay seconds=0.5")


QUICK = {"RegisterExecutor", "TasksFinished", "UpdateBlockInfo", "LaunchTasks", "GetMapOutputs.answer"}
LOST = [
    pytest.param(message, marks=() if message in QUICK else pytest.mark.stress)  # each takes some seconds
    for message in (*FROM_EXECUTORS, *TO_EXECUTORS)
]


@pytest.mark.parametrize("message", LOST)
def test_an_executor_that_a_message_was_lost_of_is_replaced(message: str) -> None:
    (reason,) = run(f"drop message={message}", losses=1)
    assert re.search(r"frame \d+ was lost", reason)


@pytest.mark.parametrize("message", ["LaunchTasks", "TasksFinished", "UpdateBlockInfo.answer", "BarrierCall"])
def test_an_executor_that_a_message_was_garbled_of_is_replaced(message: str) -> None:
    (reason,) = run(f"garble message={message}", losses=1)
    assert "frame" in reason


@pytest.mark.parametrize("action", ["drop", *HARMLESS])
def test_what_is_lost_on_the_way_to_or_from_the_launcher_is_sent_again(action: str) -> None:
    assert run(*(f"{action} message={message}" for message in OF_THE_LAUNCHER)) == []


@pytest.mark.parametrize("action", HARMLESS)
def test_nobody_is_lost_when_no_message_is(action: str) -> None:
    some = ("LaunchTasks", "TasksFinished", "GetMapOutputs.answer", "BarrierRelease", "UpdateBlockInfo")
    assert run(*(f"{action} message={message}" for message in some)) == []


def test_many_faults_of_messages_at_once() -> None:
    shares = ("duplicate probability=0.1", "reorder probability=0.1", "delay seconds=0.05 probability=0.05")
    assert run(*shares) == []


@pytest.mark.parametrize("message", AT_THE_END)
@pytest.mark.parametrize("action", ["drop", "duplicate"])
def test_a_context_stops_though_a_message_of_its_end_is_lost(message: str, action: str) -> None:
    begun = time.monotonic()
    with context(f"{action} message={message}") as sc:
        assert sc.parallelize(range(4), 2).sum() == 6
    assert time.monotonic() < begun + DEADLINE


@pytest.mark.parametrize("message", ["KillTask", "TaskKilled"])
def test_a_killed_task_whose_kill_or_end_is_lost_leaves_its_core(message: str) -> None:
    with context(f"drop message={message}") as sc:
        wait_for_executors(sc, 2)
        job = InThread(lambda: sc.parallelize(range(2), 2).map(lambda x: time.sleep(x + 5 * DEADLINE)).count())
        wait_until(lambda: len(sc.events(TaskStarted)) == 2)
        sc.cancelAllJobs()
        assert isinstance(job.outcome(), JobCancelledError)
        assert sc.parallelize(range(20), 4).sum() == 190
        wait_until(lambda: sc.events(ExecutorLost))


@pytest.mark.stress
@pytest.mark.parametrize("message", messages())
@pytest.mark.parametrize("action", ["drop", "duplicate", "reorder", "delay seconds=0.5", "garble"])
@pytest.mark.parametrize("nth", [1, 3])
def test_any_message(message: str, action: str, nth: int) -> None:
    """Also those that these jobs do not send."""
    begun = time.monotonic()
    conf = SparkConf().setMaster("local[2, 4]").set("localcluster.faults", f"{action} message={message} nth={nth}")
    with SparkContext(conf=conf) as sc:
        try:
            small_jobs(sc)
        except ClusterError as error:
            if action != "garble" or "the launcher is gone (channel launcher: garbled frame" not in str(error):
                raise
    assert time.monotonic() < begun + 2 * DEADLINE
