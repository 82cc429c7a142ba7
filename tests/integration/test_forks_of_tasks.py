"""Processes that a task forks: what they can use, that they disturb nobody, and how they end when they come back."""

from __future__ import annotations

import multiprocessing
import os
import pathlib
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from localcluster import BarrierTaskContext, SparkContext, StorageLevel, TaskContext
from localcluster.errors import ForkedChannelError
from tests.support import DEADLINE, status_of, wait_until

FORK = multiprocessing.get_context("fork")


def in_forks(number: int, work: Callable[[], Any]) -> list[Any]:
    """What ``work`` gives in each of some forks, an exception as its text."""
    answers = FORK.Queue()

    def child() -> None:
        try:
            answers.put(work())
        except Exception as error:
            answers.put(f"{type(error).__name__}: {error}")

    children = [FORK.Process(target=child) for _ in range(number)]
    for process in children:
        process.start()
    found = [answers.get(timeout=DEADLINE) for _ in children]
    for process in children:
        process.join(DEADLINE)
    return found


for_pools: dict[str, Any] = {}  # what functions that travel to a pool by name find in forks


def look_up(word: str) -> int:
    return for_pools["words"].value[word]  # type: ignore[no-any-return]


def test_forks_read_broadcasts_that_the_task_has_not_read(sc: SparkContext) -> None:
    small, large = sc.broadcast([1, 2, 3]), sc.broadcast(list(range(100_000)))
    found = sc.parallelize([0, 1], 2).flatMap(
        lambda _: in_forks(4, lambda: (sum(small.value), sum(large.value), TaskContext.get().partitionId()))
    )
    total = sum(range(100_000))
    assert sorted(found.collect()) == [(6, total, 0)] * 4 + [(6, total, 1)] * 4


def test_a_pool_of_forks_reads_broadcasts(sc: SparkContext) -> None:
    words = sc.broadcast({"a": 1, "b": 2})

    def task(records: Iterator[str]) -> list[int]:
        look_up.__globals__["for_pools"]["words"] = words  # this function is pickled with globals of its own
        with FORK.Pool(2) as pool:
            return pool.map_async(look_up, records).get(DEADLINE)

    assert sc.parallelize(["a", "b", "a", "b"], 2).mapPartitions(task).collect() == [1, 2, 1, 2]


def test_what_a_fork_adds_to_an_accumulator_is_its_own(sc: SparkContext) -> None:
    count = sc.accumulator(0)

    def task(x: int) -> list[Any]:
        count.add(1)
        return in_forks(2, lambda: count.add(10))

    assert sc.parallelize([0, 1], 2).flatMap(task).collect() == [None] * 4
    assert count.value == 2


def test_a_fork_that_would_have_to_ask_the_driver_is_told_so_at_once(sc: SparkContext) -> None:
    variable = sc.broadcast([1])

    def task(records: Iterator[int]) -> list[str]:
        from localcluster.task import broadcast

        broadcast._in_tasks.clear()  # as if it had come to the fork by a pipe
        return in_forks(2, lambda: variable.value) + in_forks(1, lambda: BarrierTaskContext.get().barrier())

    answers = sc.parallelize([0, 1], 2).barrier().mapPartitions(task).collect()
    assert len(answers) == 6
    for answer in answers[:2]:
        assert answer.startswith("ContextError: Broadcast(")
        assert "was not known to the task when this process was forked" in answer
    assert answers[2].startswith(ForkedChannelError.__name__)


# --- forks that come back ---------------------------------------------------------------------------------------------


def fork_and(end: Callable[[], Any]) -> Callable[[Any], int]:
    """A function that forks a process, which does ``end`` and so may come back, and gives that process's exit code."""

    def function(_: Any) -> int:
        child = os.fork()
        if child == 0:
            return end()
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    return function


def fail() -> None:
    raise ValueError("in a fork")


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (lambda: None, 0),
        (lambda: sys.exit(), 0),
        (lambda: sys.exit(3), 3),
        (lambda: sys.exit("a message"), 1),
        (fail, 1),
    ],
)
def test_a_fork_that_comes_back_ends_as_a_program_does(sc: SparkContext, end: Callable[[], Any], code: int) -> None:
    assert sc.parallelize([0, 1], 2).map(fork_and(end)).collect() == [code, code]
    assert sc.parallelize(range(4), 4).count() == 4


def fork_at_ten(end: Callable[[], Any]) -> Callable[[Any], Any]:
    """The identity; at its tenth call in a process, a fork comes back in one way or another."""
    calls = 0

    def function(record: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 10:
            child = os.fork()
            if child == 0:
                end()
                return record
            os.waitpid(child, 0)
        return record

    return function


@pytest.mark.parametrize("end", [lambda: None, lambda: sys.exit(3)], ids=["returns", "exits"])
class TestComingBackChangesNothing:
    @pytest.mark.parametrize("level", ["MEMORY_ONLY", "MEMORY_AND_DISK_DESER", "DISK_ONLY", "OFF_HEAP"])
    def test_of_cached_partitions(self, sc: SparkContext, end: Callable[[], Any], level: str) -> None:
        numbers = sc.range(20_000, numSlices=2).map(fork_at_ten(end)).persist(getattr(StorageLevel, level))
        assert numbers.collect() == list(range(20_000))
        assert numbers.sum() == sum(range(20_000))
        assert len(status_of(sc).stored_blocks(numbers.id())) == 2
        numbers.unpersist(True)

    def test_of_shuffles(self, sc: SparkContext, end: Callable[[], Any]) -> None:
        pairs = sc.range(20_000, numSlices=2).map(fork_at_ten(end)).map(lambda x: (x % 5, x))
        assert sorted(pairs.reduceByKey(max).collect()) == [(key, 19_995 + key) for key in range(5)]

    @pytest.mark.parametrize("codec", [None, "GzipCodec", "BZip2Codec", "DefaultCodec"])
    def test_of_written_files(
        self, sc: SparkContext, end: Callable[[], Any], codec: str | None, tmp_path: pathlib.Path
    ) -> None:
        path = str(tmp_path / "out")
        numbers = sc.range(20_000, numSlices=2).map(fork_at_ten(end))
        numbers.saveAsTextFile(path, codec and f"org.apache.hadoop.io.compress.{codec}")
        assert sc.textFile(path).map(int).collect() == list(range(20_000))

    def test_of_files_being_read(self, sc: SparkContext, end: Callable[[], Any], tmp_path: pathlib.Path) -> None:
        lines, records = [f"{number:063}" for number in range(30_000)], tmp_path / "records"
        records.write_text("\n".join([*lines, ""]))
        assert sc.textFile(str(records), 2).map(fork_at_ten(end)).collect() == lines
        read = sc.binaryRecords(str(records), 64).map(fork_at_ten(end))
        assert read.map(lambda record: record[:-1].decode()).collect() == lines
        sc.parallelize(lines, 2).saveAsPickleFile(str(tmp_path / "pickles"))
        assert sorted(sc.pickleFile(str(tmp_path / "pickles")).map(fork_at_ten(end)).collect()) == lines

    def test_of_checkpoints(self, sc: SparkContext, end: Callable[[], Any], tmp_path: pathlib.Path) -> None:
        sc.setCheckpointDir(str(tmp_path))
        numbers = sc.range(20_000, numSlices=2).map(fork_at_ten(end))
        numbers.checkpoint()
        assert numbers.sum() == sum(range(20_000))
        assert numbers.isCheckpointed()
        assert numbers.collect() == list(range(20_000))

    def test_of_commands(self, sc: SparkContext, end: Callable[[], Any]) -> None:
        numbers = sc.range(20_000, numSlices=2)
        expected = [str(number) for number in range(20_000)]
        assert numbers.map(fork_at_ten(end)).pipe("cat").collect() == expected
        assert numbers.pipe("cat").map(fork_at_ten(end)).collect() == expected


def test_a_child_that_subprocess_cannot_start_is_an_ordinary_error(sc: SparkContext) -> None:
    def task(_: int) -> str:
        try:
            subprocess.run(["true"], preexec_fn=fail)  # has Python fork
        except subprocess.SubprocessError as error:
            return str(error)
        return "it ran"

    assert sc.parallelize([0], 1).map(task).collect() == ["Exception occurred in preexec_fn."]


def test_a_task_that_forks_is_not_warned_of_our_threads(sc: SparkContext) -> None:
    def task(_: int) -> list[str]:
        with warnings.catch_warnings(record=True) as caught:
            if (pid := os.fork()) == 0:
                os._exit(0)
            os.waitpid(pid, 0)
        return [str(warning.message) for warning in caught]

    assert sc.parallelize([0], 1).map(task).collect() == [[]]


def test_a_fork_reads_what_its_task_and_the_driver_have_given_up(sc: SparkContext, tmp_path: pathlib.Path) -> None:
    """A process that outlives its task, as one that uploads what the task computed."""
    arrays = sc.parallelize([np.full(200_000, 7.0)], 1).persist(StorageLevel.OFF_HEAP)
    variable = sc.broadcast(np.full(200_000, 8.0))
    assert arrays.count() == 1
    go, done = tmp_path / "go", tmp_path / "done"

    def start(array: Any) -> int:
        if (pid := os.fork()) == 0:
            wait_until(go.exists)
            done.with_suffix(".new").write_text(repr((set(array.tolist()), set(variable.value.tolist()))))
            done.with_suffix(".new").rename(done)
            os._exit(0)
        return pid

    assert arrays.map(start).first() > 0
    arrays.unpersist(True)
    variable.destroy(True)
    others = [sc.broadcast(np.full(200_000, 9.0)) for _ in range(4)]
    more = sc.parallelize([np.full(200_000, 9.0)] * 4, 4).persist(StorageLevel.OFF_HEAP)
    assert more.count() == len(others)
    go.touch()
    wait_until(done.exists)
    assert done.read_text() == "({7.0}, {8.0})"
    more.unpersist(True)
