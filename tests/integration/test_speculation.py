"""Stragglers in a whole cluster: a copy is started at another executor, and whichever ends first counts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from localcluster import SparkConf, SparkContext, TaskContext
from localcluster.events import TaskKilled, TaskSpeculated, TaskStarted
from tests.support import executors, wait_until


def context(executors: int, **settings: Any) -> SparkContext:
    """Keys of ``settings`` are those after ``spark.speculation.``, with underscores."""
    conf = SparkConf().setMaster(f"local[{executors}]").set("spark.speculation", "true")
    for name, text in settings.items():
        conf.set(f"spark.speculation.{name.replace('_', '.')}", str(text))
    return SparkContext(conf=conf)


def task() -> TaskContext:
    found = TaskContext.get()
    assert found is not None
    return found


def straggling(others: Callable[[], object] = lambda: None) -> Callable[[int, Iterable[Any]], Iterator[Any]]:
    """The first attempt at partition 0 never ends by itself."""

    def run(index: int, records: Iterable[Any]) -> Iterator[Any]:
        if index != 0:
            others()
        elif task().attemptNumber() == 0:
            wait_until(lambda: False)
        return iter(records)

    return run


def seconds_until_the_copy(sc: SparkContext) -> float:
    """Between the launches of the straggler and its copy."""
    starts = [start for start in sc.events(TaskStarted) if isinstance(start, TaskStarted)]
    (copy,) = [start for start in starts if start.speculative]
    (straggler,) = [start for start in starts if start.task == copy.task._replace(attempt=0)]
    assert copy.executor_id != straggler.executor_id
    return copy.at - straggler.at


def test_a_straggler_is_copied_and_ended_and_counts_once() -> None:
    with context(2) as sc:
        counted = sc.accumulator(0)
        run = straggling()

        def count(record: int) -> int:
            counted.add(1)
            return record

        def run_and_count(index: int, records: Iterable[int]) -> Iterator[int]:
            counted.add(1000)  # once for each partition, though one of them has two tasks
            return run(index, map(count, records))

        mapped = sc.parallelize(range(8), 4).mapPartitionsWithIndex(run_and_count)
        assert sorted(mapped.map(lambda record: (record, 1)).groupByKey().keys().collect()) == list(range(8))
        assert counted.value == 4008
        (speculated,) = sc.events(TaskSpeculated)
        wait_until(lambda: sc.statistics().tasks.at_executors == 0, "the straggler was not ended")
        (killed,) = sc.events(TaskKilled)
        assert isinstance(speculated, TaskSpeculated)
        assert isinstance(killed, TaskKilled)
        assert (killed.task, killed.executor_id) == (speculated.task, speculated.executor_id)
        assert killed.reason == "another attempt succeeded"
        assert sc.statistics().executors.lost == 0
        assert len(executors(sc)) == 2


@pytest.mark.parametrize(
    ("settings", "seconds"),
    [
        ({"minTaskRuntime": "1s"}, 1.0),
        ({"multiplier": 10.0}, 1.0),  # the others take 0.1 s
        (
            {"interval": "2s", "minTaskRuntime": "600ms"},
            1.4,
        ),  # it is too early at the first look, 0.5 s after its start
    ],
)
def test_a_straggler_is_copied_after_as_long_as_the_settings_say(settings: dict[str, Any], seconds: float) -> None:
    with context(2, **settings) as sc:
        run = straggling(lambda: time.sleep(0.1))
        assert sc.parallelize(range(4), 4).mapPartitionsWithIndex(run).collect() == [0, 1, 2, 3]
        assert seconds_until_the_copy(sc) >= seconds


def test_a_straggler_is_copied_when_as_many_others_have_ended_as_the_settings_say(tmp_path: Path) -> None:
    """Two of four; one more waits until the copy has begun."""
    copied = tmp_path / "copied"

    def wait_for_the_copy(index: int, records: Iterable[int]) -> Iterator[int]:
        if index == 0 and task().attemptNumber() == 1:
            copied.touch()
        if index == 1 or (index == 0 and task().attemptNumber() == 0):
            wait_until(copied.exists)
        return iter(records)

    with context(3, quantile=0.5) as sc:
        assert sc.parallelize(range(4), 4).mapPartitionsWithIndex(wait_for_the_copy).collect() == [0, 1, 2, 3]


def test_a_single_task_is_copied_after_as_long_as_the_settings_say() -> None:
    with context(2, task_duration_threshold="500ms") as sc:
        assert sc.parallelize([7], 1).mapPartitionsWithIndex(straggling()).collect() == [7]
        assert seconds_until_the_copy(sc) >= 0.5
