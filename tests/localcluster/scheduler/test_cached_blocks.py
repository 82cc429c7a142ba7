"""A missing block of a cached RDD is computed by one task at a time; the others wait without a core."""

from __future__ import annotations

import pytest

from localcluster.scheduler.stage import Job
from localcluster.scheduler.task_scheduler import QUEUE_SECONDS
from storage.block_id import RDDBlockId
from tests.localcluster.scheduler.harness import FakeDriver, assert_succeeded
from tests.localcluster.scheduler.lineage import Lineage

FIRST, SECOND = RDDBlockId(7, 0), RDDBlockId(7, 1)


def job_that_keeps(driver: FakeDriver, lineage: Lineage, *of_positions: list[RDDBlockId]) -> Job:
    """Each of its tasks computes some blocks, if they are missing, and has more to do then."""
    rdd = lineage.source(len(of_positions))
    rdd.missing = driver.missing_of(dict(enumerate(of_positions)))
    return lineage.job(rdd)


def test_a_task_waits_for_the_one_that_computes_its_block_and_the_cores_go_on(
    driver: FakeDriver, lineage: Lineage
) -> None:
    driver.add("c")
    one = job_that_keeps(driver, lineage, [FIRST])
    other = job_that_keeps(driver, lineage, [FIRST], [SECOND])
    third = lineage.job(lineage.source(1))
    driver.submit(one, other, third)
    assert [driver.partition(task_id) for task_id in driver.running(other)] == [1]
    assert len(driver.running(third)) == 1
    driver.finish(driver.task(0, third))
    assert len(driver.running(other)) == 1, "a free core does not help"
    assert driver.store(FIRST), "it is worth another look at the tasks"
    assert len(driver.running(other)) == 2
    driver.finish_all()
    for job in (one, other, third):
        assert_succeeded(job)


def test_a_block_that_nobody_waits_for_needs_no_look_at_the_tasks(driver: FakeDriver, lineage: Lineage) -> None:
    driver.submit(job_that_keeps(driver, lineage, [FIRST], [SECOND]))
    assert not driver.store(FIRST)
    assert not driver.store(RDDBlockId(8, 0))


def test_tasks_of_one_stage_wait_for_each_other_too(driver: FakeDriver, lineage: Lineage) -> None:
    job = job_that_keeps(driver, lineage, [FIRST], [FIRST], [SECOND], [FIRST, SECOND])
    driver.submit(job)
    assert [driver.partition(task_id) for task_id in driver.running()] == [0, 2]
    driver.store(FIRST)
    driver.store(SECOND)
    driver.finish_all()
    assert_succeeded(job)


@pytest.mark.parametrize("end", ["fails", "dies", "is recalled", "is killed"])
def test_when_the_first_one_does_not_get_there_the_next_one_computes(
    driver: FakeDriver, lineage: Lineage, end: str
) -> None:
    one, other = (job_that_keeps(driver, lineage, [FIRST]) for _ in range(2))
    driver.submit(one, other)
    (first,) = driver.running()
    if end == "fails":
        driver.fail(first, kind="fatal")
    elif end == "dies":
        driver.lose(driver.where(first))
    elif end == "is recalled":
        driver.give_back(first)
    else:
        driver.cancel(one)  # and the task takes its time
    assert len(driver.computing(FIRST)) == 1
    driver.finish_all()
    assert_succeeded(other)


def test_a_block_that_was_not_kept_is_waited_for_once(lineage: Lineage) -> None:
    driver = FakeDriver(4)
    job = job_that_keeps(driver, lineage, *[[FIRST]] * 6)
    driver.submit(job)
    assert len(driver.running()) == 1
    driver.finish(driver.task(0))  # and nothing was stored
    assert len(driver.running()) == 4
    driver.finish_all()
    assert_succeeded(job)


def test_what_is_there_already_is_not_waited_for(driver: FakeDriver, lineage: Lineage) -> None:
    driver.store(FIRST)
    driver.submit(*(job_that_keeps(driver, lineage, [FIRST]) for _ in range(2)))
    assert len(driver.running()) == 2


def test_a_block_that_is_evicted_is_computed_again_by_one_task(driver: FakeDriver, lineage: Lineage) -> None:
    driver.submit(job_that_keeps(driver, lineage, [FIRST]))
    driver.store(FIRST)
    driver.stored.remove(FIRST)
    driver.submit(*(job_that_keeps(driver, lineage, [FIRST]) for _ in range(2)))
    assert len(driver.computing(FIRST)) == 1


def test_a_cancelled_job_waits_for_nothing(driver: FakeDriver, lineage: Lineage) -> None:
    one, other = (job_that_keeps(driver, lineage, [FIRST]) for _ in range(2))
    driver.submit(one, other)
    driver.cancel(other)
    driver.store(FIRST)
    assert driver.finish_all() == 1


def test_tasks_that_wait_for_a_queued_one_get_the_core_that_it_waits_for(driver: FakeDriver, lineage: Lineage) -> None:
    """Tasks were queued ahead at an executor that then takes its time with the first of them."""
    short = job_that_keeps(driver, lineage, *[[RDDBlockId(7, index)] for index in range(12)])
    driver.submit(short)
    driver.finish(driver.running()[0], run_time=QUEUE_SECONDS / 20)
    busy = max(driver.queues, key=lambda executor_id: len(driver.queues[executor_id]))
    idle = next(executor_id for executor_id in driver.queues if executor_id != busy)
    queued = list(driver.queues[busy])[1:]
    for task_id in list(driver.queues[idle]):
        driver.finish(task_id, run_time=QUEUE_SECONDS / 20)
    waiting = job_that_keeps(driver, lineage, [RDDBlockId(7, driver.partition(queued[0]))])
    driver.submit(waiting)
    assert not driver.running(waiting)
    driver.wait(1.0)
    assert driver.recall() == queued
    driver.give_back(*queued)
    driver.finish_all(run_time=QUEUE_SECONDS / 20)
    assert_succeeded(waiting)


def test_barrier_stages_do_not_wait_and_are_waited_for(driver: FakeDriver, lineage: Lineage) -> None:
    rdd = lineage.barrier(lineage.source(2))
    rdd.missing = driver.missing_of({0: [FIRST], 1: [FIRST]})
    barrier = lineage.job(rdd)
    driver.submit(barrier)
    assert len(driver.running(barrier)) == 2
    driver.add("c")
    other = job_that_keeps(driver, lineage, [FIRST])
    driver.submit(other)
    assert not driver.running(other)
    driver.store(FIRST)
    assert driver.running(other)
