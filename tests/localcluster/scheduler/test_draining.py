"""An executor that drains gets no new tasks, gives back its queue, finishes the rest and is missed by nobody."""

from __future__ import annotations

import pytest

from protocol.cluster_messages import BarrierCall
from tests.localcluster.scheduler.harness import FakeDriver, Outcome
from tests.localcluster.scheduler.lineage import Lineage


@pytest.fixture
def lineage() -> Lineage:
    return Lineage()


def test_what_runs_ends_there_and_nothing_new_comes(lineage: Lineage) -> None:
    driver = FakeDriver(2)
    job = lineage.job(lineage.source(4))
    driver.submit(job)
    first = next(iter(driver.queues["a"]))
    assert driver.drain("a") == []
    assert driver.dag.drained_executors() == []
    driver.finish(first)
    assert driver.loads() == [0, 1]
    assert driver.dag.drained_executors() == ["a"]
    driver.lose("a")
    driver.finish_all()
    assert Outcome(job).end.error is None  # type: ignore[union-attr]
    assert len(driver.launches) == 4
    driver.assert_idle()


def test_what_is_queued_is_given_back_and_runs_elsewhere(lineage: Lineage) -> None:
    driver = FakeDriver(1)
    driver.submit(lineage.job(lineage.source(8)))
    driver.finish(*driver.running(), run_time=0.0001)
    queue = list(driver.queues["a"])
    assert len(queue) == 7
    driver.add("b")
    assert driver.drain("a") == queue[1:]
    assert driver.drain("a") == [], "it drains already"
    driver.give_back(*queue[1:])
    assert driver.loads() == [1, 6]
    driver.finish(queue[0])
    assert driver.dag.drained_executors() == ["a"]


def test_its_death_counts_against_what_ran_and_not_against_what_it_gave_back(lineage: Lineage) -> None:
    driver = FakeDriver(1, max_failures=1)
    job = lineage.job(lineage.source(8))
    driver.submit(job)
    driver.finish(*driver.running(), run_time=0.0001)
    queue = list(driver.queues["a"])
    driver.drain("a")
    driver.give_back(*queue)
    driver.lose("a")
    driver.add("b")
    driver.finish_all()
    assert Outcome(job).end.error is None  # type: ignore[union-attr]


def test_one_that_dies_with_a_running_task_counts_as_ever(lineage: Lineage) -> None:
    driver = FakeDriver(1, max_failures=1)
    job = lineage.job(lineage.source(1))
    driver.submit(job)
    driver.drain("a")
    driver.lose("a")
    assert "executor_lost" in str(Outcome(job).end.error)  # type: ignore[union-attr]


def test_its_cores_count_neither_for_recalls_nor_for_barrier_stages(lineage: Lineage) -> None:
    driver = FakeDriver({"a": 1, "b": 2})
    driver.drain("b")
    job = lineage.job(lineage.barrier(lineage.source(2)))
    driver.submit(job)
    assert driver.running() == []
    driver.add("c")
    assert driver.loads() == [1, 0, 1]


def test_a_task_that_would_rather_run_there_does_not_wait(lineage: Lineage) -> None:
    driver = FakeDriver(2, locality_wait=1000.0)
    early, late = lineage.source(3), lineage.source(3)
    for rdd in (early, late):
        rdd.wishes = {position: ["a"] for position in range(3)}
    driver.submit(lineage.job(early))
    assert driver.loads() == [1, 0]
    driver.drain("a")
    assert driver.loads() == [1, 1], "of those that waited"
    driver.finish_all()
    driver.submit(lineage.job(late))
    assert driver.loads() == [0, 1], "of stages that start later"


def test_the_output_of_a_barrier_task_keeps_it_until_all_of_them_are_done(lineage: Lineage) -> None:
    driver = FakeDriver(2)
    job = lineage.job(lineage.barrier(lineage.source(2)))
    driver.submit(job)
    (first,) = driver.queues["a"]
    driver.dag.barrier_called("a", BarrierCall(first, 0, "barrier", ""), driver.now)
    driver.drain("a")
    (second,) = driver.queues["b"]
    driver.dag.barrier_called("b", BarrierCall(second, 0, "barrier", ""), driver.now)
    driver.step()
    driver.finish(first)
    assert driver.dag.drained_executors() == []
    driver.finish(second)
    assert driver.dag.drained_executors() == ["a"]
    assert Outcome(job).end.error is None  # type: ignore[union-attr]
