"""What follows when tasks fail, or are reported twice or too late."""

from __future__ import annotations

from protocol.errors import JobError
from tests.localcluster.scheduler.harness import FakeDriver, Outcome, assert_succeeded
from tests.localcluster.scheduler.lineage import Lineage


def test_a_failed_task_is_tried_again(driver: FakeDriver, lineage: Lineage) -> None:
    job = lineage.job(lineage.source(3))
    driver.submit(job)
    for attempt in range(3):
        assert driver.queues[driver.where(driver.task(0))][driver.task(0)][1].attempt == attempt
        driver.fail(driver.task(0))
    driver.finish_all()
    assert_succeeded(job)


def test_a_task_that_fails_too_often_ends_its_job(driver: FakeDriver, lineage: Lineage) -> None:
    job = lineage.job(lineage.source(3))
    driver.submit(job)
    for _ in range(4):
        driver.fail(driver.task(0))
    assert str(Outcome(job).error) == "partition 0 failed 4 times: exception"


def test_failures_are_counted_per_task(driver: FakeDriver, lineage: Lineage) -> None:
    job = lineage.job(lineage.source(2))
    driver.submit(job)
    for partition in (0, 1) * 3:
        driver.fail(driver.task(partition))
    driver.finish_all()
    assert_succeeded(job)


def test_a_failed_task_is_tried_before_new_ones(driver: FakeDriver, lineage: Lineage) -> None:
    driver.submit(lineage.job(lineage.source(10)))
    driver.fail(driver.task(1))
    assert sorted(driver.partition(task_id) for task_id in driver.running()) == [0, 1]


def test_a_fatal_failure_is_not_tried_again(driver: FakeDriver, lineage: Lineage) -> None:
    job = lineage.job(lineage.source(3))
    driver.submit(job)
    driver.fail(driver.task(0), kind="fatal")
    assert str(Outcome(job).error) == "partition 0 failed 1 times: fatal"


def test_a_failing_job_leaves_others_alone(driver: FakeDriver, lineage: Lineage) -> None:
    failing, other = lineage.job(lineage.shuffled(lineage.source(1))), lineage.job(lineage.shuffled(lineage.source(4)))
    driver.submit(failing, other)
    (task_id,) = [t for t in driver.running() if driver.stage(t).jobs == {failing}]
    driver.fail(task_id, kind="fatal")
    driver.finish_all()
    assert Outcome(failing).error
    assert_succeeded(other)


def test_a_failing_shared_stage_ends_all_its_jobs(driver: FakeDriver, lineage: Lineage) -> None:
    shared = lineage.shuffled(lineage.source(2))
    jobs = [lineage.job(shared), lineage.job(shared)]
    driver.submit(*jobs)
    driver.fail(driver.running()[0], kind="fatal", pickled=b"not to be looked at")
    ends = [Outcome(job).end for job in jobs]
    assert all(end is not None and end.error is not None for end in ends)
    assert [end.cause for end in ends if end is not None] == [b"not to be looked at"] * 2


def test_a_failure_reported_after_the_job_ended_does_nothing(driver: FakeDriver, lineage: Lineage) -> None:
    job = lineage.job(lineage.source(2))
    driver.submit(job)
    late = driver.running()[1]
    driver.cancel(job)
    driver.fail(late, kind="fatal")
    assert isinstance(Outcome(job).error, JobError)


def test_a_result_reported_twice_counts_once(driver: FakeDriver, lineage: Lineage) -> None:
    job = lineage.job(lineage.source(2))
    driver.submit(job)
    result = driver.result("a", driver.task(0))
    driver.finish(driver.task(0))
    driver.dag.tasks_finished("a", [result, result], driver.now)
    driver.step()
    driver.finish_all()
    assert_succeeded(job)


def test_reports_of_unknown_executors_do_nothing(driver: FakeDriver, lineage: Lineage) -> None:
    job = lineage.job(lineage.source(1))
    driver.submit(job)
    result = driver.result("a", 0)
    driver.dag.tasks_finished("x", [result], driver.now)
    driver.dag.task_given_back("x", [0], driver.now)
    driver.dag.executor_lost("x", "?", driver.now)
    driver.step()
    driver.finish_all()
    assert_succeeded(job)
