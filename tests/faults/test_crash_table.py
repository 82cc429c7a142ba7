"""The crash table: where a process ends, and how, against what becomes of the job.

*Where* is a moment of a task (`PLACES`); *how* is an exception, an exit, a crash in C code, SIGKILL, SIGSTOP (`WAYS`).
Each cell is tried twice. Once: the job goes on with the right answer, and the history tells what was lost and tried
again, and nothing else. Every time: the job ends with an error that names the cause, the task and where it ran; where
the task's work is done and safe by then, it goes on.

Registration and the driver are in ``test_crash_table_elsewhere``, users' objects in ``test_crash_table_of_objects``.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Collection, Iterator
from operator import add
from typing import Any, NamedTuple

import pytest

from localcluster import SparkConf, SparkContext, StorageLevel, faults
from localcluster.errors import TaskError
from localcluster.events import BlockLost, BlockRecomputed, ExecutorLost, ExecutorReplaced, FaultFired, TaskRetried
from localcluster.faults import Rule
from tests.support import wait_for_executors, wait_until

ATTEMPTS = 2
CRASHED = r"Python worker exited unexpectedly \(crashed\)"
MAP, RESULT = "reduceByKey", "collect"  # the stages of the job, by what they end in
EXPECTED = [(key, sum(range(key, 100, 5))) for key in range(5)]


class Place(NamedTuple):
    """The moment, and at which task the fault is. ``raised``: what an exception there ends. ``survived``: the ways in
    which it comes once only, since what was to be done is done by then, and is still there.
    """

    at: str
    stage: str
    raised: str = "the task"
    survived: Collection[str] = ()
    level: StorageLevel = StorageLevel.OFF_HEAP


ALL = ("raise", "exit", "segfault", "kill", "stop")


PLACES = {
    "unpickling the stage": Place("unpickle", RESULT),
    "starting": Place("start", MAP),
    "running": Place("middle", MAP),
    "having written to the heap": Place("block_put", MAP, survived=["raise"], level=StorageLevel.MEMORY_ONLY),
    "having written a shared block": Place("block_put", MAP, survived=ALL),
    "writing a shuffle": Place("shuffle_write", MAP),
    "having computed": Place("end", RESULT),
    "reading a shuffle": Place("shuffle_read", RESULT),
    "pickling the result": Place("pickle", RESULT),
    "reporting": Place("before_report", RESULT, raised="the executor"),
    "having reported": Place("after_report", RESULT, raised="the executor", survived=ALL),
}


class Way(NamedTuple):
    """``text`` is a pattern of how the end is told."""

    rule: Rule
    text: str
    signal: int | None = None
    exit_code: int | None = None


WAYS = {
    "raise": Way(
        faults.raising(ValueError), r"exited with code 1: ValueError: a fault on purpose \(raise .*\)", None, 1
    ),
    "exit": Way(faults.exiting(7), "exited with code 7, by the fault 'exit .*'", None, 7),
    "segfault": Way(
        faults.segfault(), r"was killed by signal 11, by the fault 'segfault .*' in\n.* in string_at", signal.SIGSEGV
    ),
    "kill": Way(faults.kill(), "was killed by signal 9, by the fault 'kill .*'", signal.SIGKILL),
    "stop": Way(faults.stop(), "was ended: it sent no heartbeat and its process is stopped", signal.SIGKILL),
}

CELLS = pytest.mark.parametrize(("place", "way"), [(place, way) for place in PLACES for way in WAYS])


@pytest.fixture(scope="module")
def sc() -> Iterator[SparkContext]:
    conf = SparkConf().setMaster("local-cluster[2,1,1024]").set("spark.task.maxFailures", str(ATTEMPTS))
    with SparkContext(conf=conf.set("spark.executor.heartbeatInterval", "100ms")) as context:
        yield context


def rule_of(place: Place, way: Way) -> Rule:
    """Fires at the task of partition 1."""
    rule = way.rule._replace(where=way.rule.where._replace(stage=place.stage, partition=1))
    if place.at == "block_put":
        rule = rule._replace(where=rule.where._replace(block="rdd_*_1"))
    return rule.at(place.at, records=3) if place.at == "middle" else rule.at(place.at)


def job(sc: SparkContext, level: StorageLevel) -> tuple[list[tuple[int, int]], int]:
    """Two stages of two tasks, one for each executor, a cached RDD, and an accumulator in the result stage. The answer,
    and how many keys the accumulator has counted.
    """
    seen = sc.accumulator(0)

    def see(pair: tuple[int, int]) -> tuple[int, int]:
        seen.add(1)
        return pair

    pairs = sc.parallelize(range(100), 2).map(lambda x: (x % 5, x)).persist(level)
    try:
        return sorted(pairs.reduceByKey(add, 2).map(see).collect()), seen.value
    finally:
        pairs.unpersist()


class History:
    """What happens from here on."""

    def __init__(self, sc: SparkContext) -> None:
        self._sc = sc
        self._before = len(sc.events())

    def of(self, kind: type) -> list[Any]:
        return [event for event in self._sc.events()[self._before :] if isinstance(event, kind)]

    def settle(self, losses: int) -> None:
        """Until all that was lost is replaced, and nothing of the job is left; then the books are right."""
        wait_until(lambda: len(self.of(ExecutorLost)) >= losses, "the loss is not told", lambda: self.of(ExecutorLost))
        wait_for_executors(self._sc, 2)
        wait_until(lambda: self._left() == (0, 0, 0), "jobs, tasks or cached blocks are left", self._left)
        self._sc._cluster.master.endpoint.check()
        assert len(self.of(ExecutorReplaced)) == len(self.of(ExecutorLost))

    def _left(self) -> tuple[int, int, int]:
        now = self._sc.statistics()
        return now.jobs.running, now.tasks.at_executors, now.blocks.rdd_blocks


@CELLS
def test_once(sc: SparkContext, place: str, way: str) -> None:
    where, how = PLACES[place], WAYS[way]
    ends_executor = way != "raise" or where.raised == "the executor"
    wait_for_executors(sc, 2)
    history = History(sc)
    with sc.faults(rule_of(where, how), strict=True):
        assert job(sc, where.level) == (EXPECTED, 5)
        history.settle(losses=ends_executor)
    (fired,) = history.of(FaultFired)
    assert f"({where.stage} at " in fired.where
    assert fired.where.endswith("partition 1, attempt 0")
    retried = history.of(TaskRetried)
    if where.at == "after_report":
        assert retried == []
    else:
        (task,) = retried
        assert (task.task.partition, task.task.attempt, task.executor_id, task.blamed) == (1, 0, fired.process, True)
        assert re.search(brief(where, way), task.reason)
    lost = history.of(ExecutorLost)
    if ends_executor:
        (loss,) = lost
        assert (loss.executor_id, loss.signal, loss.exit_code) == (fired.process, how.signal, how.exit_code)
        assert re.search(rf"^executor {loss.executor_id} \(pid \d+\) {how.text}$", loss.reason)
        assert loss.running == tuple(task.task for task in retried)
    else:
        assert lost == []
    on_heap = ends_executor and where.level == StorageLevel.MEMORY_ONLY
    for kind in (BlockLost, BlockRecomputed):
        names = [event.block_id for event in history.of(kind)]
        assert len(names) == on_heap
        assert all(re.fullmatch(r"rdd_\d+_1", name) for name in names)


def brief(where: Place, way: str) -> str:
    if way == "raise" and where.raised == "the task":
        return r"^ValueError: a fault on purpose \(raise .*\)$"
    told = WAYS[way].text.replace("\\n.*", ".*")
    return rf"^ExecutorLostFailure \(executor \d+ \(pid \d+\) {told}\): {CRASHED}$"


@CELLS
def test_every_time(sc: SparkContext, place: str, way: str) -> None:
    where, how = PLACES[place], WAYS[way]
    ends_executor = way != "raise" or where.raised == "the executor"
    wait_for_executors(sc, 2)
    history = History(sc)
    with sc.faults(rule_of(where, how).times(faults.UNLIMITED), strict=True):
        if way in where.survived:
            assert job(sc, where.level) == (EXPECTED, 5)
            history.settle(losses=ends_executor)
            assert len(history.of(FaultFired)) == 1
            return
        with pytest.raises(TaskError) as raised:
            job(sc, where.level)
        history.settle(losses=ATTEMPTS * ends_executor)
    told = (
        r"Job aborted due to stage failure: Task 1 in stage \d+\.0 failed 2 times, most recent failure: "
        r"Lost task 1\.\d in stage \d+\.0 \(TID \d+\) "
        rf"\(executor \d+, partition 1, {where.stage} at \S+test_crash_table.py:\d+\): "
    )
    if ends_executor:
        told += rf"ExecutorLostFailure \(executor \d+ \(pid \d+\) {how.text}\): {CRASHED}"
    else:
        told += r"org.apache.spark.api.python.PythonException: Traceback \(most recent call last\):\n"
        told += r'  File "<a fault>", line 1, in <module>\nValueError: a fault on purpose \(raise .*\)\n'
        assert isinstance(raised.value.cause, ValueError)
    assert re.fullmatch(told, str(raised.value)), str(raised.value)
    assert {event.task.partition for event in history.of(TaskRetried) if event.blamed} == {1}
    assert len(history.of(ExecutorLost)) == len(history.of(FaultFired)) * ends_executor
    assert job(sc, where.level) == (EXPECTED, 5)
