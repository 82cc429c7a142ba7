"""Planning jobs and letting them end in the background, on a cluster that is the test's own hand."""

from __future__ import annotations

import gc
import logging
import pickle
from collections.abc import Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any
from weakref import ref

import pytest

from localcluster.driver import job_runner
from localcluster.driver.context_cleaner import ContextCleaner
from localcluster.driver.job_runner import JobRunner
from localcluster.driver.running_job import RunningJob
from localcluster.rdd.lineage import load_lineage
from localcluster.scheduler.stage import Job
from localcluster.shuffle.payload import IN_MESSAGE
from protocol.errors import ContextError, JobError
from storage.block_id import BroadcastBlockId
from storage.serializer import unwrap
from tests.localcluster.driver.fake_cluster import FakeCluster, outcome
from tests.localcluster.rdd.local_context import LocalContext

BALLAST = bytes(2 * IN_MESSAGE)  # in a stage's code: more than travels inline


def with_ballast(ballast: bytes, x: int) -> int:
    return x + len(ballast)


def total(task_context: Any, records: Iterator[int]) -> int:
    return sum(records)


class Bench:
    """A runner, a cluster that runs result stages when they are submitted, and what came of them."""

    def __init__(self) -> None:
        self.context = LocalContext()
        self.cluster = FakeCluster()
        self.cleaner = ContextCleaner(lambda: None)
        self.profiled: list[tuple[int, Any]] = []  # (RDD's id, action)
        self.runner = JobRunner(self.cluster, self.cleaner, self._note_profiled)  # type: ignore[arg-type]
        self.results: dict[int, Any] = {}
        self.jobs: list[Job] = []
        self.cluster.on_submit = self._run

    def plan(self, rdd: Any, func: Any = total, partitions: Any = (0, 1), properties: Any = ()) -> RunningJob:
        return self.runner.plan(rdd, func, partitions, dict(properties), "sum at job.py:1", self.results.__setitem__)

    def _note_profiled(self, rdd: Any, action: Any) -> Any:
        self.profiled.append((rdd.id(), action))
        return action

    def _run(self, job: Job) -> None:
        self.jobs.append(job)
        stage = job.final_stage
        if not stage.parent_shuffles:
            rdd, action = load_lineage(self.binary(stage.binary))
            context = SimpleNamespace()
            inputs = [pickle.loads(stage.inputs.encode(position)) for position in range(len(stage.partitions))]
            self.cluster.run(job, *(action.func(context, rdd.iterator(part, context)) for part in inputs))
        else:
            self.cluster.end(job)

    def binary(self, payload: Any) -> bytes | memoryview:
        return payload if isinstance(payload, bytes) else unwrap(self.cluster.broadcasts[payload.broadcast_id])


@pytest.fixture
def bench() -> Bench:
    return Bench()


# --- plans ---


def test_a_planned_job_has_all_that_its_tasks_need(bench: Bench) -> None:
    rdd = bench.context.parallelize([1, 2, 3, 4, 5], 3)
    bench.plan(rdd.map(lambda x: x * 10), partitions=[2, 0], properties={"spark.job.description": "d"}).run()
    assert bench.results == {0: 40 + 50, 1: 10}
    (job,) = bench.jobs
    assert (job.final_stage.name, job.properties) == ("sum at job.py:1", {"spark.job.description": "d"})


def test_jobs_and_stages_are_numbered_in_the_order_of_their_plans_parents_first(bench: Bench) -> None:
    source = bench.context.parallelize([1, 2], 2)
    bench.plan(source).run()
    bench.plan(source.map(lambda x: (x, x)).groupByKey(2)).run()
    first, second = bench.jobs
    assert [job.id for job in bench.jobs] == [0, 1]
    assert first.final_stage.id == 0
    assert [stage.id for stage in second.map_stages.values()] == [1]
    assert second.final_stage.id == 2


def test_the_action_of_each_stage_may_get_a_profiler(bench: Bench) -> None:
    pairs = bench.context.parallelize([1, 2], 2).map(lambda x: (x, x))
    grouped = pairs.groupByKey(2)
    bench.plan(grouped)
    assert [rdd_id for rdd_id, _ in bench.profiled] == [pairs.id(), grouped.id()]


def test_a_job_keeps_what_it_is_computed_from(bench: Bench) -> None:
    """The scheduler does not: finalizers of the user's objects would run in its thread."""
    rdd = bench.context.parallelize([1, 2], 2)
    running, kept = bench.plan(rdd), ref(rdd)
    del rdd
    bench.profiled.clear()
    gc.collect()
    assert kept() is not None
    running.run()
    del running
    gc.collect()
    assert kept() is None
    assert bench.jobs


def test_nothing_is_planned_on_a_cluster_that_is_not_usable(bench: Bench) -> None:
    bench.cluster.broken = ContextError("Cannot call methods on a stopped SparkContext.")
    with pytest.raises(ContextError, match="stopped"):
        bench.plan(bench.context.parallelize([1, 2], 2))
    assert bench.profiled == []


def test_a_barrier_stage_that_cannot_start_at_once_is_not_planned(bench: Bench) -> None:
    numbers = bench.context.parallelize(range(5), FakeCluster.slots + 1)
    with pytest.raises(JobError, match="slots"):
        bench.plan(numbers.barrier().mapPartitions(list), partitions=range(FakeCluster.slots + 1))


# --- code as blocks ---


def test_large_code_of_a_result_stage_is_a_block_as_long_as_the_job_runs(bench: Bench) -> None:
    rdd = bench.context.parallelize([1, 2], 2).map(partial(with_ballast, BALLAST))
    job = bench.plan(rdd)
    assert [len(binary) > IN_MESSAGE for binary in bench.cluster.broadcasts.values()] == [True]
    job.run()
    assert bench.results == {0: 1 + len(BALLAST), 1: 2 + len(BALLAST)}
    assert bench.cluster.broadcasts == {}


def test_large_code_of_a_map_stage_is_pickled_once_and_a_block_as_long_as_its_shuffle_lives(bench: Bench) -> None:
    numbers = bench.context.parallelize([1, 2], 2).map(partial(with_ballast, BALLAST))
    grouped = numbers.map(lambda x: (x, x)).groupByKey(2)
    for _ in range(2):
        bench.plan(grouped).run()
    binaries = {stage.binary for job in bench.jobs for stage in job.map_stages.values()}
    assert binaries == {BroadcastBlockId(0, "stage")}
    del grouped
    gc.collect()
    bench.cleaner.run()
    assert bench.cluster.broadcasts == {}


# --- in the background ---


Started = tuple[Bench, RunningJob, Job]


@pytest.fixture
def started(bench: Bench) -> Started:
    """A job whose results nobody has delivered yet."""
    bench.cluster.on_submit = bench.jobs.append
    running = bench.plan(bench.context.parallelize([1, 2], 2))
    running.start()
    return bench, running, bench.jobs[0]


def test_a_job_in_the_background_takes_its_results_and_the_stop_waits_for_that(started: Started) -> None:
    bench, running, job = started
    bench.runner.finish_in_background(running)
    bench.cluster.run(job, "a", "b")
    bench.runner.stop()
    assert bench.results == {0: "a", 1: "b"}


def test_the_stop_does_not_wait_for_ever(started: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    bench, running, job = started
    bench.runner.finish_in_background(running)
    with monkeypatch.context() as patch:
        patch.setattr(job_runner, "STOP_DEADLINE", 0.01)
        bench.runner.stop()
    assert bench.results == {}
    bench.cluster.run(job, "a", "b")
    bench.runner.stop()


def test_the_error_of_a_job_in_the_background_is_logged(started: Started, caplog: pytest.LogCaptureFixture) -> None:
    bench, running, job = started
    with caplog.at_level(logging.INFO):
        bench.runner.finish_in_background(running)
        bench.cluster.end(job, JobError("it failed"))
        bench.runner.stop()
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", "a job in the background did not end well: it failed")
    ]


def test_what_taking_results_in_the_background_raises_is_logged_and_cancels_the_job(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(position: int, value: Any) -> None:
        raise ValueError("of an accumulator's own addition")

    running = bench.runner.plan(bench.context.parallelize([1, 2], 2), total, [0, 1], {}, "sum", refuse)
    bench.cluster.on_submit = bench.jobs.append
    running.start()
    bench.runner.finish_in_background(running)
    bench.jobs[0].deliver([outcome(0, "a")])
    bench.runner.stop()
    assert bench.cluster.cancelled == [0]
    assert "of an accumulator's own addition" in caplog.text
