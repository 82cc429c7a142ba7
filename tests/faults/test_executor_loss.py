"""Executors that die, hang or fall silent in mid-job: answers stay right, or the error says what happened."""

from __future__ import annotations

import ctypes
import os
import re
import resource
import signal
from collections.abc import Iterator
from operator import add
from pathlib import Path

import psutil
import pytest

from localcluster import SparkConf, SparkContext, StorageLevel, TaskContext
from localcluster.errors import TaskError
from localcluster.events import BlockAdopted, BlockLost, BlockRecomputed, ExecutorLost, TaskRetried
from tests.support import executor_pids, status_of, wait_for_executors, wait_until

EXPECTED = [(key, sum(x for x in range(1000) if x % 5 == key)) for key in range(5)]


@pytest.fixture
def sc() -> Iterator[SparkContext]:
    with SparkContext("local[2]") as context:
        yield context


def once(marker: Path) -> bool:
    """True for the first caller in any process."""
    try:
        marker.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def die_at(number: int, marker: Path, how: str) -> object:
    """A function for `map` that ends its executor when it first meets a number."""

    def function(x: int) -> int:
        if x == number and once(marker):
            if how == "exit":
                os._exit(3)
            if how == "segfault":
                os.kill(os.getpid(), signal.SIGSEGV)
            os.kill(os.getpid(), signal.SIGKILL)
        return x

    return function


@pytest.mark.parametrize("how", ["exit", "segfault", "kill"])
def test_a_shuffle_survives_an_executor_that_dies_while_it_maps(sc: SparkContext, tmp_path: Path, how: str) -> None:
    pairs = sc.parallelize(range(1000), 8).map(die_at(700, tmp_path / "died", how)).map(lambda x: (x % 5, x))
    assert sorted(pairs.reduceByKey(add, 3).collect()) == EXPECTED


def test_a_shuffle_survives_an_executor_that_dies_while_it_reduces(sc: SparkContext, tmp_path: Path) -> None:
    sums = sc.parallelize(range(1000), 8).map(lambda x: (x % 5, x)).reduceByKey(add, 3)
    die = die_at(EXPECTED[2][1], tmp_path / "died", "kill")
    assert sorted(sums.mapValues(die).collect()) == EXPECTED


def test_map_outputs_and_shared_blocks_outlive_their_writer(sc: SparkContext, tmp_path: Path) -> None:
    """Nothing is computed again: every record was computed exactly once."""
    log = tmp_path / "computed"

    def note(x: int) -> tuple[int, int]:
        with open(log, "a") as file:
            file.write("x")
        return x % 5, x

    cached = sc.parallelize(range(1000), 4).map(note).persist(StorageLevel.OFF_HEAP)
    sums = cached.reduceByKey(add, 3)
    assert sorted(sums.collect()) == EXPECTED
    for pid in executor_pids(sc):
        os.kill(pid, signal.SIGKILL)
    assert sorted(sums.collect()) == EXPECTED
    assert cached.count() == 1000
    assert len(log.read_text()) == 1000
    counts = sc.statistics().events
    assert (counts.executors_lost, counts.blocks_lost, counts.blocks_recomputed) == (2, 0, 0)
    assert len([event for event in sc.events(BlockAdopted) if event.block_id.startswith("rdd_")]) == 4


@pytest.mark.parametrize("level", [StorageLevel.MEMORY_ONLY, StorageLevel.MEMORY_ONLY_SER], ids=str)
def test_blocks_on_a_lost_heap_are_computed_again(sc: SparkContext, level: StorageLevel) -> None:
    cached = sc.parallelize(range(1000), 4).map(lambda x: x + 1).persist(level)
    assert cached.sum() == 500500
    os.kill(cached.map(lambda _: os.getpid()).first(), signal.SIGKILL)
    assert cached.sum() == 500500
    lost = {event.block_id for event in sc.events(BlockLost)}
    assert lost
    assert {event.block_id for event in sc.events(BlockRecomputed)} == lost


def test_spills_of_a_killed_executor_go_with_the_run(tmp_path: Path) -> None:
    local = tmp_path / "local"
    local.mkdir()
    conf = SparkConf().set("spark.python.worker.memory", "16k").set("spark.local.dir", str(local))
    with SparkContext("local[2]", conf=conf) as context:
        pairs = context.parallelize(range(5000), 2).map(lambda x: (x, x))
        die = die_at(700, tmp_path / "died", "kill")
        assert sorted(pairs.cogroup(pairs, 2).keys().map(die).collect()) == list(range(5000))
        assert list(local.rglob("temp_*")), "no spill was there to be left"
    assert list(local.iterdir()) == []


def test_a_task_that_always_kills_its_executor_ends_the_job_and_blames_no_other(sc: SparkContext) -> None:
    def kill(x: int) -> int:
        if x == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        return x

    with pytest.raises(TaskError, match="killed by signal 9") as caught:
        sc.parallelize(range(50), 50).map(kill).collect()
    assert "partition 5" in str(caught.value)
    assert "Python worker exited unexpectedly (crashed)" in str(caught.value)
    assert {event.task.partition for event in sc.events(TaskRetried) if event.blamed} == {5}
    assert sc.parallelize(range(50), 50).sum() == sum(range(50))


def crash(x: int) -> int:
    return ctypes.string_at(0)[0] if x == 1 else x


def test_a_crash_in_c_code_says_where_in_the_users_code(sc: SparkContext) -> None:
    with pytest.raises(TaskError, match="was killed by signal 11 in") as failed:
        sc.parallelize([0, 1], 2).map(crash).collect()
    line = crash.__code__.co_firstlineno + 1
    assert f'File "{__file__}", line {line} in crash\n' in str(failed.value)
    assert "narrow.py" not in str(failed.value)


def test_attempts_are_numbered(sc: SparkContext) -> None:
    def second_time_lucky(x: int) -> int:
        attempt = TaskContext.get().attemptNumber()
        if attempt == 0:
            os._exit(1)
        return attempt

    assert sc.parallelize([0], 1).map(second_time_lucky).collect() == [1]


def test_a_silent_executor_is_kept_while_it_is_busy_and_replaced_when_it_is_stopped() -> None:
    conf = SparkConf().setMaster("local[2]").set("spark.executor.heartbeatInterval", "100ms")
    conf.set("spark.network.timeout", "500ms")
    with SparkContext(conf=conf) as context:
        pids = executor_pids(context)

        def hold_the_gil(x: int) -> int:
            re.match(r"(a+)+$", "a" * 24 + "b")  # about a second in C code that never lets go
            return os.getpid()

        assert set(context.parallelize(range(2), 2).map(hold_the_gil).collect()) <= pids
        assert context.events(ExecutorLost) == ()
        os.kill(min(pids), signal.SIGSTOP)
        assert context.parallelize(range(8), 8).sum() == 28
        wait_until(lambda: context.events(ExecutorLost), "it is not taken for lost")
        assert [f"(pid {min(pids)}) was ended" in lost.reason for lost in context.events(ExecutorLost)] == [True]


def test_a_lost_map_output_is_computed_again(sc: SparkContext) -> None:
    """Its segment is gone, as when somebody cleans /dev/shm: the reducers say so, and the map tasks run again."""
    sums = sc.parallelize(range(1000), 4).map(lambda x: (x % 5, x)).reduceByKey(add, 3)
    assert sorted(sums.collect()) == EXPECTED
    for pid in executor_pids(sc):
        os.kill(pid, signal.SIGKILL)  # new executors have not mapped the segments yet
    wait_until(lambda: len(sc.events(ExecutorLost)) == 2, "their ends were not noticed")
    outputs = [copies for block, copies in status_of(sc).blocks().items() if block.of_shuffle is not None]
    for segment in {status.location.segment for copies in outputs for status in copies.values()}:
        os.unlink(segment)
    assert sorted(sums.collect()) == EXPECTED
    assert len(sc.events(BlockLost)) == len(sc.events(BlockRecomputed)) == 4


def test_a_launcher_that_is_short_of_descriptors_tries_again(caplog: pytest.LogCaptureFixture) -> None:
    with SparkContext("local[2]") as context:
        pids = executor_pids(context)
        launcher = psutil.Process(min(pids)).ppid()
        limits = resource.prlimit(launcher, resource.RLIMIT_NOFILE)
        resource.prlimit(launcher, resource.RLIMIT_NOFILE, (4, limits[1]))
        os.kill(min(pids), signal.SIGKILL)
        assert context.parallelize(range(8), 8).sum() == 28
        wait_until(lambda: "ulimit -n" in caplog.text, "nobody says that there are no descriptors")
        resource.prlimit(launcher, resource.RLIMIT_NOFILE, limits)
        wait_for_executors(context, 2)
        assert context.parallelize(range(8), 8).sum() == 28


STOPS_AT_START = """
import os, signal
from pathlib import Path
from storage.conf import StorageConf
from storage.memory_store import MemoryStore

class Store(MemoryStore):
    def __init__(self, options):
        super().__init__(StorageConf(max_memory=1 << 20, shared_memory=0))
        marker = Path(options["marker"])
        if os.getpid() != int(options["driver"]) and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGSTOP)
"""


def test_an_executor_that_stops_before_it_registered_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stops_at_start.py").write_text(STOPS_AT_START)
    monkeypatch.syspath_prepend(str(tmp_path))
    conf = SparkConf().setMaster("local[1]").set("localcluster.externalBlockStore.class", "stops_at_start.Store")
    conf.set("localcluster.externalBlockStore.driver", str(os.getpid()))
    conf.set("localcluster.externalBlockStore.marker", str(tmp_path / "marker"))
    conf.set("spark.executor.heartbeatInterval", "100ms").set("spark.network.timeout", "500ms")
    with SparkContext(conf=conf) as context:
        assert context.parallelize(range(8), 8).sum() == 28
        (lost,) = context.events(ExecutorLost)
    assert "it did not get ready and its process is stopped" in lost.reason
