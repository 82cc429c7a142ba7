"""Executors where tasks failed: what they get no more, and what becomes of tasks that may run nowhere."""

from __future__ import annotations

import pytest

from localcluster.scheduler.speculation import Speculation
from localcluster.scheduler.stage import Job
from localcluster.scheduler.task_set_excludelist import ExcludeOnFailure
from protocol.errors import JobError
from protocol.events import ExecutorExcluded, TaskRetried
from tests.localcluster.scheduler.harness import FakeDriver, Outcome, assert_succeeded
from tests.localcluster.scheduler.lineage import Lineage

SHORT = 0.001  # seconds that tasks run of which several are queued at an executor
HOUR = 3600.0


def excluding(executors: int | dict[str, int] = 2, **settings: float) -> FakeDriver:
    return FakeDriver(executors, exclude_on_failure=ExcludeOnFailure(**settings))  # type: ignore[arg-type]


def exclusions(driver: FakeDriver) -> list[tuple[str, int | None, int]]:
    """(executor, stage or None, failures) of each, in order."""
    events = [event for event in driver.history.events(ExecutorExcluded) if isinstance(event, ExecutorExcluded)]
    return [(event.executor_id, event.stage_id, event.failures) for event in events]


def fail_at(driver: FakeDriver, executor_id: str, tasks: int = 2) -> None:
    """Have the tasks of some partitions fail at this executor."""
    failed: set[int] = set()
    while len(failed) < tasks:
        task = next(iter(driver.queues[executor_id]))
        if driver.partition(task) in failed:
            driver.finish(task)
        else:
            failed.add(driver.partition(task))
            driver.fail(task)


def exclude_from_all(driver: FakeDriver, lineage: Lineage, executor_id: str = "a") -> Job:
    """A job whose tasks fail there, and which succeeds all the same."""
    job = lineage.job(lineage.source(4))
    driver.submit(job)
    fail_at(driver, executor_id)
    driver.finish_all()
    return job


# --- tasks ---


def test_a_task_that_failed_may_be_tried_again_where_it_failed_unless_that_was_asked_for(lineage: Lineage) -> None:
    for driver, where in ((FakeDriver({"a": 1, "b": 1}), "a"), (excluding({"a": 1, "b": 1}), "b")):
        driver.submit(lineage.job(lineage.source(2)))
        driver.finish(next(iter(driver.queues["b"])))
        driver.fail(next(iter(driver.queues["a"])))
        assert driver.where(driver.running()[0]) == where
        driver.finish_all()
        driver.assert_idle()


def test_a_task_may_fail_at_an_executor_as_often_as_the_settings_say(lineage: Lineage) -> None:
    driver = excluding(attempts_per_executor=2)
    driver.submit(lineage.job(lineage.source(2)))
    driver.finish(next(iter(driver.queues["b"])))
    for where in ("a", "b"):
        driver.fail(driver.running()[0])
        assert driver.where(driver.running()[0]) == where


def test_others_run_where_a_task_has_failed_and_it_waits_for_another_executor(lineage: Lineage) -> None:
    driver = excluding(stage_failures_per_executor=9)
    driver.submit(lineage.job(lineage.source(4)))
    failed = next(iter(driver.queues["a"]))
    partition = driver.partition(failed)
    driver.fail(failed)
    assert driver.loads() == [1, 1]
    driver.finish(next(iter(driver.queues["a"])))
    driver.finish(next(iter(driver.queues["a"])))
    assert driver.loads() == [0, 1], "the one that failed there waits"
    driver.finish(next(iter(driver.queues["b"])))
    assert driver.where(driver.task(partition)) == "b"
    driver.finish_all()
    driver.assert_idle()


def test_copies_of_stragglers_are_not_started_where_the_task_has_failed(lineage: Lineage) -> None:
    driver = FakeDriver(3, exclude_on_failure=ExcludeOnFailure(), speculation=Speculation(quantile=0.3))
    driver.submit(lineage.job(lineage.source(3)))
    driver.finish(next(iter(driver.queues["c"])))
    driver.fail(next(iter(driver.queues["a"])))
    (again,) = driver.queues["c"]
    driver.finish(next(iter(driver.queues["b"])))
    driver.speculate(100.0)
    assert [driver.where(task) for task in driver.running()] == ["c", "b"]
    assert again in driver.running()


# --- stages ---


def test_an_executor_where_two_tasks_failed_gets_no_more_of_the_stage(lineage: Lineage) -> None:
    driver = excluding()
    job, other = lineage.job(lineage.source(5)), lineage.job(lineage.source(1))
    driver.submit(job)
    fail_at(driver, "a")
    assert driver.loads() == [0, 1]
    assert exclusions(driver) == [("a", 0, 2)]
    assert driver.dag.exclusions_of("a") == (False, (0,))
    assert driver.dag.exclusions_of("b") == (False, ())
    driver.submit(other)
    assert driver.loads() == [1, 1], "of other stages it does"
    driver.finish_all()
    assert_succeeded(job)
    assert_succeeded(other)
    assert driver.dag.exclusions_of("a")[1] == ()
    driver.assert_idle()


def test_what_is_queued_at_an_executor_that_is_excluded_comes_back(lineage: Lineage) -> None:
    driver = excluding()
    job = lineage.job(lineage.source(40))
    driver.submit(job)
    for executor_id in ("a", "b"):
        driver.finish(next(iter(driver.queues[executor_id])), run_time=SHORT)
    fail_at(driver, "a")
    running, *queued = driver.queues["a"]
    assert driver.recalled == queued
    driver.give_back(*queued)
    driver.fail(running)
    assert driver.loads()[0] == 0
    driver.finish_all()
    assert_succeeded(job)
    driver.assert_idle()


@pytest.mark.parametrize("kind", ["fetch", "killed", "lost"])
def test_what_is_not_the_tasks_fault_is_not_the_executors_either(lineage: Lineage, kind: str) -> None:
    driver = excluding(stage_failures_per_executor=1)
    job = lineage.job(lineage.shuffled(lineage.source(2)))
    driver.submit(job)
    while driver.outputs.missing(0):
        driver.finish(driver.running()[0])
    if kind == "fetch":
        driver.fail(driver.running()[0], "fetch", fetch=(0, (0,)))
    elif kind == "killed":
        driver.give_back(driver.running()[0])
    else:
        driver.lose("a")
    assert exclusions(driver) == []
    driver.finish_all()
    assert_succeeded(job)


# --- all stages ---


def test_failures_of_stages_that_succeed_exclude_an_executor_from_all_for_a_time(lineage: Lineage) -> None:
    driver = excluding()
    exclude_from_all(driver, lineage)
    assert exclusions(driver) == [("a", 0, 2), ("a", None, 2)]
    assert driver.dag.exclusions_of("a") == (True, ())
    job = lineage.job(lineage.source(2))
    driver.submit(job)
    assert driver.loads() == [0, 1]
    driver.wait(HOUR)
    assert driver.loads() == [1, 1]
    assert driver.dag.exclusions_of("a") == (False, ())
    driver.finish_all()
    assert_succeeded(job)
    assert driver.ended == []


def test_failures_of_stages_that_fail_are_the_programs(lineage: Lineage) -> None:
    driver = excluding(attempts_per_executor=9)
    job = lineage.job(lineage.source(1))
    driver.submit(job)
    for _ in range(4):
        driver.fail(driver.running()[0])
    assert isinstance(Outcome(job).error, JobError)
    assert exclusions(driver) == []


def test_failures_of_several_stages_add_up_until_they_are_forgotten(lineage: Lineage) -> None:
    for pause, excluded in ((HOUR - 1, True), (HOUR, False)):
        driver = excluding(stage_failures_per_executor=9)
        for _ in range(2):
            driver.submit(lineage.job(lineage.source(2)))
            fail_at(driver, "a", 1)
            driver.finish_all()
            driver.wait(pause)
        assert (exclusions(driver) == [("a", None, 2)]) == excluded


@pytest.mark.parametrize(("settings", "kinds"), [({"application": False}, [0]), ({"task_and_stage": False}, [None])])
def test_either_kind_is_there_without_the_other(
    lineage: Lineage, settings: dict[str, bool], kinds: list[int | None]
) -> None:
    driver = excluding(**settings)
    exclude_from_all(driver, lineage)
    assert [stage for _, stage, _ in exclusions(driver)] == kinds


def test_an_excluded_executor_is_ended_where_the_settings_say_so(lineage: Lineage) -> None:
    driver = excluding(kills=True)
    busy = lineage.job(lineage.source(1))
    exclude_from_all(driver, lineage)
    assert driver.ended == ["a"]
    driver.submit(busy)
    assert driver.loads() == [0, 1], "it gets nothing meanwhile"
    driver.lose("a")
    driver.add("c")
    assert driver.dag.exclusions_of("a") == (False, ())
    driver.finish_all()
    assert_succeeded(busy)
    driver.assert_idle()


def test_tasks_of_an_executor_that_is_ended_for_others_are_not_to_blame(lineage: Lineage) -> None:
    driver = excluding({"a": 2, "b": 1}, kills=True)
    job, other = lineage.job(lineage.source(6)), lineage.job(lineage.source(1))
    driver.submit(other)
    (its_task,) = driver.running()
    assert driver.where(its_task) == "a"
    driver.submit(job)
    for _ in range(2):
        driver.fail(next(task for task in driver.queues["a"] if task != its_task))
    while running := driver.running(job):
        driver.finish(running[0])
    assert driver.ended == ["a"]
    driver.lose("a")
    retried = driver.history.events(TaskRetried)[-1]
    assert isinstance(retried, TaskRetried)
    assert retried.task.stage_id == other.final_stage.id
    assert not retried.blamed
    driver.finish_all()
    assert_succeeded(other)
    assert_succeeded(job)


# --- tasks that may run nowhere ---


def strand(driver: FakeDriver, lineage: Lineage) -> Job:
    """A task that failed at every executor; nothing else runs."""
    job = lineage.job(lineage.source(1))
    driver.submit(job)
    for _ in range(2):
        driver.fail(driver.running()[0])
    return job


def test_an_idle_executor_is_ended_for_another_to_come(lineage: Lineage) -> None:
    driver = excluding()
    job = strand(driver, lineage)
    (ended,) = driver.ended
    driver.wait(60.0)
    assert driver.ended == [ended]
    driver.lose(ended)
    driver.add("c")
    assert [driver.where(task) for task in driver.running()] == ["c"]
    driver.finish_all()
    assert_succeeded(job)
    driver.assert_idle()


def test_a_job_fails_when_no_other_executor_comes_in_time(lineage: Lineage) -> None:
    driver = excluding(unschedulable_timeout=50.0)
    job = strand(driver, lineage)
    driver.wait(49.9)
    assert not Outcome(job).end
    driver.wait(0.1)
    assert str(Outcome(job).error) == (
        "Job aborted due to stage failure: \nAborting TaskSet 0.0 because task 0 (partition 0)\n"
        "cannot run anywhere due to node and executor excludeOnFailure.\nMost recent failure:\nit failed\n\n"
        "ExcludeOnFailure behavior can be configured via spark.excludeOnFailure.*.\n"
    )
    driver.assert_idle()


def test_a_job_fails_at_once_when_no_executor_is_idle(lineage: Lineage) -> None:
    """As in Spark, though a busy one might be ended as well."""
    driver = excluding()
    job = lineage.job(lineage.source(1))
    driver.submit(job, lineage.job(lineage.source(4)))
    driver.fail(driver.running(job)[0])  # where it ran, a task of the other job runs now
    driver.finish(next(iter(driver.queues["b"])))
    driver.fail(driver.running(job)[0])
    assert driver.loads() == [1, 1]
    assert "cannot run anywhere" in str(Outcome(job).error)
    assert driver.ended == []


def test_the_time_is_longer_while_others_get_on(lineage: Lineage) -> None:
    driver = excluding(unschedulable_timeout=50.0)
    job = strand(driver, lineage)
    driver.wait(40.0)
    driver.submit(lineage.job(lineage.source(1)))
    driver.wait(40.0)
    assert not Outcome(job).end
    driver.wait(50.0)
    assert Outcome(job).end


def test_nobody_is_given_up_while_there_is_no_executor_at_all(lineage: Lineage) -> None:
    driver = excluding(1)
    job = lineage.job(lineage.source(1))
    driver.submit(job)
    driver.fail(driver.running()[0])
    assert driver.ended == ["a"]
    driver.lose("a")
    driver.wait(1000.0)
    assert not Outcome(job).end
    driver.add("b")
    driver.finish_all()
    assert_succeeded(job)


def test_a_stage_waits_when_the_only_executor_is_being_ended(lineage: Lineage) -> None:
    driver = excluding(1)
    driver.submit(lineage.job(lineage.source(1)))
    driver.fail(driver.running()[0])
    assert driver.ended == ["a"]
    job = lineage.job(lineage.source(1))
    driver.submit(job)
    driver.lose("a")
    driver.add("b")
    driver.finish_all()
    assert_succeeded(job)


def test_a_stage_gets_an_executor_when_all_that_there_are_get_no_tasks_at_all(lineage: Lineage) -> None:
    driver = excluding()
    exclude_from_all(driver, lineage)
    driver.lose("b")
    job = lineage.job(lineage.source(1))
    driver.submit(job)
    assert driver.ended == ["a"]
    driver.lose("a")
    driver.add("c")
    driver.finish_all()
    assert_succeeded(job)
    driver.assert_idle()


# --- barrier stages ---


def test_a_barrier_stage_fails_when_there_are_too_few_slots_for_too_long(lineage: Lineage) -> None:
    driver = FakeDriver(1, barrier_checks=(15.0, 2))
    job = lineage.job(lineage.barrier(lineage.source(2)))
    driver.submit(job)
    for seconds, over in ((0.0, False), (15.0, False), (14.9, False), (0.1, True)):
        driver.now += seconds
        driver.dag.expire_barriers(driver.now)
        driver.step()
        assert (Outcome(job).end is not None) == over
    assert "(It has 2 partitions, the cluster 1 slots.)" in str(Outcome(job).error)
    driver.assert_idle()


def test_looks_for_slots_count_anew_when_there_were_enough(lineage: Lineage) -> None:
    driver = FakeDriver({"a": 1}, barrier_checks=(15.0, 1))
    job = lineage.job(lineage.barrier(lineage.source(2)))
    driver.submit(lineage.job(lineage.source(1)), job)
    for lost in (False, True):
        driver.now += 15.0
        driver.dag.expire_barriers(driver.now)
        driver.add("b")
        driver.dag.expire_barriers(driver.now)
        assert not Outcome(job).end, "they are there, though one is taken"
        if not lost:
            driver.lose("b")
    driver.finish_all()
    assert_succeeded(job)
