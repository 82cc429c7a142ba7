"""Executors on which tasks fail, in a whole cluster: where else their tasks run, and when executors are replaced."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localcluster import SparkConf, SparkContext
from localcluster.errors import ConfigurationError, JobError
from localcluster.events import ExecutorExcluded
from tests.support import executors, in_each_executor, status_of, wait_for_executors, wait_until


def context(executors: int = 2, **settings: Any) -> SparkContext:
    """Keys of ``settings`` are those after ``spark.excludeOnFailure.``, with underscores for dots."""
    conf = SparkConf().set("spark.executor.instances", str(executors)).set("spark.excludeOnFailure.enabled", "true")
    for name, text in settings.items():
        conf.set(f"spark.excludeOnFailure.{name.replace('_', '.')}", str(text))
    return with_executors(SparkContext(conf=conf), executors)


def with_executors(sc: SparkContext, number: int) -> SparkContext:
    wait_for_executors(sc, number)
    return sc


def fail_at(sc: SparkContext, pid: int, failures: int, directory: Path) -> set[int]:
    """Run a job whose tasks fail in one process and succeed elsewhere, when as many have failed. Where they did."""

    def run(partition: int, _: Iterator[int]) -> Iterator[int]:
        if os.getpid() == pid:
            (directory / str(partition)).touch()
            raise ValueError("a bad machine")
        wait_until(lambda: len(os.listdir(directory)) >= failures)
        return iter([os.getpid()])

    return set(sc.parallelize(range(8), 8).mapPartitionsWithIndex(run).collect())


def exclusions(sc: SparkContext) -> list[tuple[bool, int]]:
    """(from one stage only, failures) of each."""
    found = [event for event in sc.events(ExecutorExcluded) if isinstance(event, ExecutorExcluded)]
    assert {event.executor_id for event in found} <= {"0"}
    return [(event.stage_id is not None, event.failures) for event in found]


@pytest.mark.parametrize(
    ("settings", "failures", "excluded"),
    [
        ({}, 2, [(True, 2), (False, 2)]),
        ({"stage_maxFailedTasksPerExecutor": 3}, 3, [(True, 3), (False, 3)]),
        ({"application_maxFailedTasksPerExecutor": 3}, 2, [(True, 2)]),
        ({"application_enabled": "false"}, 2, [(True, 2)]),
        ({"taskAndStage_enabled": "false"}, 0, []),  # no task is kept from failing there again
    ],
)
def test_an_executor_is_excluded_after_as_many_failures_as_the_settings_say(
    settings: dict[str, Any], failures: int, excluded: list[tuple[bool, int]], tmp_path: Path
) -> None:
    with context(**settings) as sc:
        bad, good = (executor.pid for executor in executors(sc))
        if failures:
            assert fail_at(sc, bad, failures, tmp_path) == {good}
            assert len(os.listdir(tmp_path)) == failures
        else:
            with pytest.raises(JobError, match="failed 4 times"):
                fail_at(sc, bad, 8, tmp_path)
        assert exclusions(sc) == excluded
        of_all = (False, failures) in excluded
        (record,) = [executor for executor in status_of(sc).executors() if executor.memory.block_manager_id.pid == bad]
        assert (record.is_excluded, record.excluded_in_stages) == (of_all, ())
        if of_all:
            where = sc.parallelize(range(8), 8).map(lambda _: os.getpid()).collect()
            assert set(where) == {good}


def test_an_excluded_executor_gets_tasks_again_after_as_long_as_the_settings_say(tmp_path: Path) -> None:
    with context(timeout="1s") as sc:
        bad, good = (executor.pid for executor in executors(sc))
        fail_at(sc, bad, 2, tmp_path)
        assert set(in_each_executor(sc, os.getpid)) == {bad, good}  # a barrier stage waits for it
        assert exclusions(sc) == [(True, 2), (False, 2)]


def test_an_excluded_executor_is_replaced_where_the_settings_say_so(tmp_path: Path) -> None:
    with context(killExcludedExecutors="true") as sc:
        bad, good = (executor.pid for executor in executors(sc))
        fail_at(sc, bad, 2, tmp_path)
        pids = set(in_each_executor(sc, os.getpid))  # waits for the replacement
        assert good in pids
        assert bad not in pids
        assert len(pids) == 2


@pytest.mark.parametrize(
    ("settings", "replaced"),
    [
        ({}, 3),
        ({"task_maxTaskAttemptsPerExecutor": 2}, 1),
        ({"task_maxTaskAttemptsPerExecutor": 2, "task_maxTaskAttemptsPerNode": 1}, 3),
    ],
)
def test_a_task_may_fail_at_an_executor_as_often_as_the_settings_say(settings: dict[str, Any], replaced: int) -> None:
    """The only one, so that it is replaced for the next attempt."""
    with context(1, **settings) as sc:
        with pytest.raises(JobError, match="failed 4 times"):
            sc.parallelize([0], 1).map(lambda _: 1 / 0).collect()
        assert sc.statistics().executors.lost == replaced


def test_a_task_that_may_run_nowhere_waits_for_another_executor_as_long_as_the_settings_say() -> None:
    conf = SparkConf().set("spark.excludeOnFailure.enabled", "true").set("spark.executor.instances", "2")
    conf.set("spark.scheduler.excludeOnFailure.unschedulableTaskSetTimeout", "1ms")
    with with_executors(SparkContext(conf=conf), 2) as sc, pytest.raises(JobError) as error:
        sc.parallelize([0], 1).map(lambda _: 1 / 0).collect()
    assert "cannot run anywhere due to node and executor excludeOnFailure" in str(error.value)
    assert "ZeroDivisionError" in str(error.value)


@pytest.mark.parametrize(("interval", "failures", "seconds"), [("1h", 0, 0.0), ("500ms", 2, 1.0)])
def test_a_barrier_stage_waits_for_slots_as_long_as_the_settings_say(
    interval: str, failures: int, seconds: float, tmp_path: Path
) -> None:
    """One of two executors is excluded, and so there is one slot too few for an hour."""
    checks = "spark.scheduler.barrier.maxConcurrentTasksCheck"
    conf = SparkConf().set("spark.excludeOnFailure.enabled", "true").set("spark.executor.instances", "2")
    conf.set(f"{checks}.interval", interval).set(f"{checks}.maxFailures", str(failures))
    with with_executors(SparkContext(conf=conf), 2) as sc:
        fail_at(sc, executors(sc)[0].pid, 2, tmp_path)
        begun = time.monotonic()
        with pytest.raises(JobError, match=r"requires more slots than .*the cluster 1 slots"):
            in_each_executor(sc, os.getpid)
        assert time.monotonic() - begun >= seconds


def test_settings_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"PerNode \(4\) must be less than spark\.task\.maxFailures"):
        context(task_maxTaskAttemptsPerNode=4)
