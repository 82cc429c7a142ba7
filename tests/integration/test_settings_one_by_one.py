"""Settings whose effect shows only in a context of their own; see `test_settings`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from localcluster import SparkConf, SparkContext, StorageLevel
from localcluster.errors import JobError
from tests.faults.runs import Run
from tests.support import status_of, wait_until
from tests.terminal import Terminal


def context(settings: dict[str, Any]) -> SparkContext:
    return SparkContext(conf=SparkConf().setAll([(key, str(value)) for key, value in settings.items()]))


@pytest.mark.parametrize(
    ("settings", "executors", "slots"),
    [
        ({"spark.executor.instances": 1}, 1, 1),
        ({"spark.executor.instances": 1, "spark.executor.cores": 2}, 1, 2),
        ({"spark.executor.cores": 2, "spark.cores.max": 4}, 2, 4),
    ],
)
def test_as_many_executors_and_tasks_at_once_as_the_settings_say(
    settings: dict[str, Any], executors: int, slots: int
) -> None:
    with context(settings) as sc:
        # All tasks of a barrier stage run at once.
        meet = sc.parallelize(range(slots), slots).barrier().mapPartitions(lambda _: [os.getpid()])
        assert len(set(meet.collect())) == executors
        with pytest.raises(JobError, match="slots"):
            sc.parallelize(range(slots), slots + 1).barrier().mapPartitions(lambda _: [os.getpid()]).collect()


BLOCK = 4_000_000  # bytes


def cache_blocks(sc: SparkContext, blocks: int) -> Any:
    return sc.parallelize(range(blocks), blocks).map(lambda _: os.urandom(BLOCK)).persist(StorageLevel.MEMORY_ONLY)


@pytest.mark.parametrize(
    ("settings", "blocks"),
    [
        ({}, 2),  # 16 MiB * 0.6 * 0.9 = 8.6 MiB
        ({"spark.executor.memory": "32m"}, 4),
        ({"spark.storage.memoryFraction": 0.3}, 1),
        ({"spark.storage.safetyFraction": 0.45}, 1),
    ],
)
def test_as_many_blocks_are_cached_as_the_settings_leave_room_for(settings: dict[str, Any], blocks: int) -> None:
    with context({"spark.executor.instances": 1, "spark.executor.memory": "16m"} | settings) as sc:
        cached = cache_blocks(sc, 5)
        assert cached.count() == 5
        assert len(status_of(sc).stored_blocks(cached.id())) == blocks


@pytest.mark.parametrize(("fraction", "old", "new"), [(0, 2, 0), (1, 0, 1)])
def test_a_new_block_takes_as_much_by_eviction_as_the_settings_say(fraction: int, old: int, new: int) -> None:
    """Both old ones go, since a block that is unrolled asks for half as much again as it needs."""
    settings = {"spark.executor.instances": 1, "spark.executor.memory": "16m"}
    with context(settings | {"spark.storage.unrollFraction": fraction}) as sc:
        first, second = cache_blocks(sc, 2), cache_blocks(sc, 1)
        assert first.count() + second.count() == 3
        assert len(status_of(sc).stored_blocks(first.id())) == old
        assert len(status_of(sc).stored_blocks(second.id())) == new


@pytest.mark.parametrize(
    ("settings", "stored"),
    [
        ({}, {0, 1}),
        ({"spark.storage.unrollMemoryThreshold": "9m"}, {0}),
        ({"spark.storage.unrollMemoryGrowthFactor": 1000}, {0}),
    ],
)
def test_a_block_that_is_unrolled_holds_as_much_memory_as_the_settings_say(
    settings: dict[str, Any], stored: set[int], tmp_path: Path
) -> None:
    """The second of two tasks of one executor finds what the first leaves, which is in the middle of its block."""
    begun, release = tmp_path / "begun", tmp_path / "release"

    def values(index: int, _: Iterable[int]) -> Iterator[bytes]:
        if index == 1:
            wait_until(begun.exists)  # here, and not in a generator: memory is asked for before the first record is
        return records(index)

    def records(index: int) -> Iterator[bytes]:
        yield os.urandom(100_000)
        if index == 0:
            yield os.urandom(100_000)
            begun.touch()
            wait_until(release.exists)

    def count(index: int, values: Iterable[bytes]) -> Iterator[int]:
        yield len(list(values))
        if index == 1:
            release.touch()

    usual = {"spark.executor.instances": 1, "spark.executor.cores": 2, "spark.executor.memory": "16m"}
    usual["spark.storage.unrollMemoryThreshold"] = "50k"
    with context(usual | settings) as sc:
        cached = sc.parallelize(range(2), 2).mapPartitionsWithIndex(values).persist(StorageLevel.MEMORY_ONLY)
        assert cached.mapPartitionsWithIndex(count).collect() == [2, 1]
        assert {block_id.split_index for block_id in status_of(sc).stored_blocks(cached.id())} == stored


@pytest.mark.parametrize(
    ("environment", "used"),
    [
        ({}, "configured"),
        ({"SPARK_LOCAL_DIRS": "sparks"}, "sparks"),
        ({"SPARK_LOCAL_DIRS": "sparks", "LOCALCLUSTER_LOCAL_DIRS": "ours"}, "ours"),
    ],
)
def test_blocks_lie_in_the_directories_that_settings_or_environment_say(
    environment: dict[str, str], used: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, name in environment.items():
        monkeypatch.setenv(variable, f"{tmp_path / name}, {tmp_path / name}2")
    configured = ",".join(str(tmp_path / name) for name in ("configured", "configured2"))
    with context({"spark.executor.instances": 1, "spark.local.dir": configured}) as sc:
        cached = sc.parallelize(range(20), 20).persist(StorageLevel.DISK_ONLY)
        assert cached.count() == 20
        files = {file.relative_to(tmp_path).parts[0] for file in tmp_path.rglob("rdd_*")}
        assert files == {used, f"{used}2"}
    assert not any(os.listdir(directory) for directory in tmp_path.iterdir())


LOGS = """
import logging
from localcluster import SparkContext

with SparkContext("local[1]") as sc:
    logging.getLogger("localcluster").info("in the driver")
    sc.parallelize([1], 1).foreach(lambda _: logging.getLogger("localcluster").info("in a task"))
"""


@pytest.mark.parametrize("key", ["spark.log.level", "localcluster.log.level"])
def test_records_are_written_from_the_level_on_that_the_settings_say(key: str, tmp_path: Path) -> None:
    with Run(tmp_path, LOGS, options=["--conf", f"{key}=INFO"]) as run:
        assert run.wait() == 0, run.errors
    assert [run.errors.count(f"localcluster: in {where}") for where in ("the driver", "a task")] == [1, 1]


BARS = """
import time
from pathlib import Path
from localcluster import SparkConf, SparkContext

def wait_for_the_test(_):
    while not Path("seen").exists():
        time.sleep(0.01)  # a poll of what the test does

def take_longer_than_bars_need_to_come(_):
    time.sleep(1)

for enabled in ("false", "true"):
    conf = SparkConf().setMaster("local[1]").set("spark.ui.showConsoleProgress", enabled)
    with SparkContext(conf=conf) as sc:
        sc.parallelize([1], 1).foreach(wait_for_the_test if enabled == "true" else take_longer_than_bars_need_to_come)
    print("done with", enabled)
"""


def test_there_are_no_bars_on_a_terminal_where_the_settings_say_so(tmp_path: Path) -> None:
    (tmp_path / "job.py").write_text(BARS)
    with Terminal([sys.executable, "job.py"], cwd=tmp_path) as terminal:
        terminal.until("done with false")
        assert b"stage" not in terminal.written
        terminal.until("stage")
        (tmp_path / "seen").touch()
        terminal.until("done with true")
        assert terminal.wait() == 0
