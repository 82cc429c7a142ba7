"""Barrier stages without processes: launched together, waiting for each other, failing and counting together."""

from __future__ import annotations

from itertools import count

import pytest

from localcluster.scheduler.barrier_attempt import MAX_GATHERED, BarrierAnswer
from localcluster.scheduler.stage import Job
from protocol.cluster_messages import BarrierCall
from protocol.errors import JobError
from tests.localcluster.scheduler.harness import FakeDriver, Outcome, assert_succeeded
from tests.localcluster.scheduler.lineage import Lineage


def barrier_job(lineage: Lineage, tasks: int = 2) -> Job:
    return lineage.job(lineage.barrier(lineage.source(tasks)))


CALL_IDS = count()


def call(driver: FakeDriver, task_id: int, function: str = "barrier", message: str = "") -> list[BarrierAnswer]:
    """A task reaches a barrier; the answers that follow."""
    before = len(driver.answers)
    driver.dag.barrier_called(
        driver.where(task_id), BarrierCall(task_id, next(CALL_IDS), function, message), driver.now
    )
    driver.step()
    return driver.answers[before:]


def errors(answers: list[BarrierAnswer]) -> list[str | None]:
    return [answer.release.error for answer in answers]


# --- launching ---


def test_all_tasks_are_launched_together_or_none(driver: FakeDriver, lineage: Lineage) -> None:
    driver.submit(lineage.job(lineage.source(1)))
    job = barrier_job(lineage)
    driver.submit(job)
    assert driver.running(job) == []
    driver.finish(driver.running()[0])
    assert len(driver.running(job)) == 2
    assert driver.loads() == [1, 1]


def test_executors_of_several_cores_take_several_tasks(lineage: Lineage) -> None:
    driver = FakeDriver({"a": 2, "b": 1})
    job = barrier_job(lineage, 3)
    driver.submit(job)
    assert driver.loads() == [2, 1]


def test_a_stage_that_needs_more_slots_than_there_will_be_ends_its_job(driver: FakeDriver, lineage: Lineage) -> None:
    driver.submit(running := barrier_job(lineage))
    driver.submit(waiting := barrier_job(lineage))
    driver.dag.end_hopeless_barriers(2)
    assert Outcome(waiting).end is None
    driver.dag.end_hopeless_barriers(1)
    driver.step()
    assert isinstance(Outcome(waiting).error, JobError)
    assert "needs 2 slots at once, and the cluster has only 1" in str(Outcome(waiting).error)
    driver.finish_all()
    assert_succeeded(running)
    driver.assert_idle()


def test_later_jobs_do_not_take_the_cores_that_a_barrier_stage_waits_for(driver: FakeDriver, lineage: Lineage) -> None:
    driver.submit(lineage.job(lineage.source(1)))
    barrier, later = barrier_job(lineage), lineage.job(lineage.source(5))
    driver.submit(barrier, later)
    assert driver.running(later) == []
    driver.finish(driver.running()[0])
    assert (len(driver.running(barrier)), driver.running(later)) == (2, [])


def test_tasks_go_home_if_their_home_is_free_and_elsewhere_at_once_if_not(lineage: Lineage) -> None:
    driver = FakeDriver({"a": 1, "b": 1, "c": 1})
    rdd = lineage.barrier(lineage.source(2))
    rdd.wishes = {0: ["c"], 1: ["c"]}
    job = lineage.job(rdd)
    driver.submit(job)
    assert "c" in [driver.where(task_id) for task_id in driver.running()]
    assert len(driver.running()) == 2


def test_queued_tasks_come_back_while_a_barrier_stage_waits(driver: FakeDriver, lineage: Lineage) -> None:
    """An executor sits on tasks that seemed short, and the barrier stage could have its core."""
    short = lineage.job(lineage.source(12))
    driver.submit(short)
    driver.finish(driver.running()[0], run_time=0.001)
    busy = max(driver.queues, key=lambda executor_id: len(driver.queues[executor_id]))
    assert len(driver.queues[busy]) > 1
    other = next(executor_id for executor_id in driver.queues if executor_id != busy)
    for task_id in list(driver.queues[other]):
        driver.finish(task_id, run_time=0.001)
    driver.submit(barrier_job(lineage))
    driver.wait(1.0)
    assert driver.recall() == list(driver.queues[busy])[1:]


# --- waiting for each other ---


def test_all_are_answered_when_the_last_one_calls(driver: FakeDriver, lineage: Lineage) -> None:
    driver.submit(barrier_job(lineage))
    first, second = driver.task(0), driver.task(1)
    for _ in range(3):
        assert call(driver, first) == []
        answers = call(driver, second)
        assert {(answer.executor_id, answer.release.task_id) for answer in answers} == {
            (driver.where(first), first),
            (driver.where(second), second),
        }
        assert errors(answers) == [None, None]


def test_messages_are_gathered_in_the_order_of_partitions(driver: FakeDriver, lineage: Lineage) -> None:
    driver.submit(barrier_job(lineage))
    call(driver, driver.task(1), "allGather", "one")
    answers = call(driver, driver.task(0), "allGather", "zero")
    assert [answer.release.messages for answer in answers] == [("zero", "one")] * 2


def test_different_functions_do_not_wait_for_each_other(driver: FakeDriver, lineage: Lineage) -> None:
    driver.submit(barrier_job(lineage))
    call(driver, driver.task(0), "allGather")
    answers = call(driver, driver.task(1))
    assert len(answers) == 2
    assert all("different functions: allGather, barrier" in str(error) for error in errors(answers))


def test_a_task_that_ends_leaves_nobody_waiting(driver: FakeDriver, lineage: Lineage) -> None:
    driver.submit(barrier_job(lineage))
    first, second = driver.task(0), driver.task(1)
    call(driver, first)
    driver.finish(second)
    assert "ended without calling it" in str(errors(driver.answers)[0])
    assert "ended without calling it" in str(errors(call(driver, first))[0])


def test_a_task_that_ends_while_a_thread_of_it_waits_gets_no_answer(driver: FakeDriver, lineage: Lineage) -> None:
    driver.submit(barrier_job(lineage))
    first = driver.task(0)
    call(driver, first)
    driver.finish(first)
    assert driver.answers == []
    assert "ended without calling it" in str(errors(call(driver, driver.task(1)))[0])


def test_a_task_that_fails_while_a_thread_of_it_waits_gets_no_answer(driver: FakeDriver, lineage: Lineage) -> None:
    driver.submit(barrier_job(lineage))
    first = driver.task(0)
    call(driver, first)
    driver.fail(first)
    assert driver.answers == []


def test_a_task_that_has_ended_is_not_waited_for(driver: FakeDriver, lineage: Lineage) -> None:
    driver.submit(barrier_job(lineage))
    driver.finish(driver.task(1))
    assert "ended without calling it" in str(errors(call(driver, driver.task(0)))[0])


def test_nobody_waits_longer_than_the_timeout(lineage: Lineage) -> None:
    driver = FakeDriver(2, barrier_timeout=10.0)
    driver.submit(barrier_job(lineage))
    call(driver, driver.task(0))
    for wait, answered in ((9.9, 0), (0.2, 1)):
        driver.wait(wait)
        driver.dag.expire_barriers(driver.now)
        driver.step()
        assert len(driver.answers) == answered
    text = "The coordinator didn't get all barrier sync requests for barrier epoch 0 from Stage 0 (Attempt 0) within 10"
    assert str(errors(driver.answers)[0]).startswith(text)


def test_the_timeout_starts_with_the_first_of_those_who_wait(lineage: Lineage) -> None:
    driver = FakeDriver(2, barrier_timeout=10.0)
    driver.submit(barrier_job(lineage))
    for partition in (0, 1):
        call(driver, driver.task(partition))
    driver.wait(9.0)
    call(driver, driver.task(1))
    driver.wait(9.0)
    driver.dag.expire_barriers(driver.now)
    driver.step()
    assert errors(driver.answers) == [None, None]


def test_a_task_waits_at_one_place_at_a_time(driver: FakeDriver, lineage: Lineage) -> None:
    driver.submit(barrier_job(lineage))
    call(driver, driver.task(0))
    assert "waits already" in str(errors(call(driver, driver.task(0)))[0])
    assert errors(call(driver, driver.task(1))) == [None, None]


def test_what_is_gathered_fits_a_message(driver: FakeDriver, lineage: Lineage) -> None:
    driver.submit(barrier_job(lineage))
    call(driver, driver.task(0), "allGather", "x" * (MAX_GATHERED // 2))
    answers = call(driver, driver.task(1), "allGather", "x" * (MAX_GATHERED // 2 + 1))
    assert all("more than" in str(error) for error in errors(answers))
    assert len(answers) == 2


def test_a_call_of_a_plain_task_or_an_ended_one_is_nobodys(driver: FakeDriver, lineage: Lineage) -> None:
    driver.submit(lineage.job(lineage.source(1)))
    assert call(driver, driver.running()[0]) == []
    driver.dag.barrier_called("a", BarrierCall(999, 0, "barrier", ""), driver.now)
    driver.dag.barrier_called("nobody", BarrierCall(0, 0, "barrier", ""), driver.now)
    driver.step()
    assert driver.answers == []


# --- failing together ---


def test_one_failure_stops_the_others_and_all_run_again(driver: FakeDriver, lineage: Lineage) -> None:
    job = barrier_job(lineage)
    driver.submit(job)
    first, second = driver.task(0), driver.task(1)
    call(driver, second)
    driver.fail(first)
    assert driver.killed == [second]
    assert errors(driver.answers) == ["another task of barrier stage 0 failed"]
    assert driver.running(job) == [second], "the other core is not free yet"
    driver.give_back(second)
    assert len(driver.running(job)) == 2
    assert job.final_stage.attempt == 1
    driver.finish_all()
    assert_succeeded(job)


def test_calls_of_an_old_attempt_do_not_meet_those_of_a_new_one(lineage: Lineage) -> None:
    driver = FakeDriver(4)
    job = barrier_job(lineage)
    driver.submit(job)
    old = driver.task(1)
    driver.fail(driver.task(0))
    new = [task_id for task_id in driver.running() if task_id != old]
    assert len(new) == 2
    assert call(driver, new[0]) == []
    assert "failed" in str(errors(call(driver, old))[0])
    assert errors(call(driver, new[1])) == [None, None]
    driver.finish(old)
    for task_id in new:
        driver.finish(task_id)
    assert_succeeded(job)
    assert len(driver.discarded) == 0, "an inline result leaves nothing"


@pytest.mark.parametrize("map_stage", [True, False])
def test_results_of_a_failed_attempt_do_not_count(driver: FakeDriver, lineage: Lineage, map_stage: bool) -> None:
    barrier = lineage.barrier(lineage.source(2))
    job = lineage.job(lineage.shuffled(barrier) if map_stage else barrier)
    driver.submit(job)
    driver.finish(driver.task(0))
    assert driver.ready == []
    assert Outcome(job).positions == []
    driver.fail(driver.task(1))
    assert len(driver.discarded) == int(map_stage)
    assert len(driver.running()) == 2
    done = driver.finish_all()
    assert done == 2 + 2 * map_stage
    outcome = assert_succeeded(job)
    assert outcome.updates == done, "updates of accumulators count once for each task"


def test_a_barrier_stage_is_run_as_often_as_its_kind_allows(lineage: Lineage) -> None:
    """As Spark: map stages by the limit of stages. Result stages by the limit of tasks."""
    for map_stage, attempts in ((True, 3), (False, 2)):
        driver = FakeDriver(2, max_failures=2, max_stage_attempts=3)
        barrier = lineage.barrier(lineage.source(1))
        job = lineage.job(lineage.shuffled(barrier) if map_stage else barrier)
        driver.submit(job)
        failures = 0
        while driver.running():
            driver.fail(driver.task(0))
            failures += 1
        assert failures == attempts
        assert f"partition 0 failed {attempts} times" in str(Outcome(job).error)
        driver.assert_idle()


def test_failures_of_different_tasks_count_together(lineage: Lineage) -> None:
    driver = FakeDriver(2, max_failures=2)
    job = barrier_job(lineage)
    driver.submit(job)
    for partition in (0, 1):
        other = driver.task(1 - partition)
        driver.fail(driver.task(partition))
        driver.give_back(other)
    assert Outcome(job).error
    driver.assert_idle()


def test_a_fatal_failure_ends_the_job(driver: FakeDriver, lineage: Lineage) -> None:
    job = barrier_job(lineage)
    driver.submit(job)
    driver.fail(driver.task(0), kind="fatal")
    assert Outcome(job).error
    assert len(driver.killed) == 1


def test_a_lost_executor_fails_the_attempt(driver: FakeDriver, lineage: Lineage) -> None:
    job = barrier_job(lineage)
    driver.submit(job)
    other = driver.task(1)
    call(driver, other)
    driver.lose(driver.where(driver.task(0)))
    assert driver.killed == [other]
    assert "failed" in str(errors(driver.answers)[0])
    driver.give_back(other)
    assert driver.running() == [], "one executor is not enough"
    driver.add("c")
    driver.finish_all()
    assert_succeeded(job)


def test_a_lost_executor_takes_the_output_of_its_finished_task_along(driver: FakeDriver, lineage: Lineage) -> None:
    """The output was not known to the block master yet, so nobody adopted it."""
    job = lineage.job(lineage.shuffled(lineage.barrier(lineage.source(2))))
    driver.submit(job)
    where = driver.where(driver.task(0))
    other = driver.task(1)
    driver.finish(driver.task(0))
    driver.lose(where)
    assert driver.killed == [other]
    driver.give_back(other)
    driver.add("c")
    assert len(driver.running()) == 2
    driver.finish_all()
    assert_succeeded(job)


def test_a_fetch_failure_stops_the_others_too(driver: FakeDriver, lineage: Lineage) -> None:
    source = lineage.shuffled(lineage.source(2))
    job = lineage.job(lineage.barrier(source))
    driver.submit(job)
    for task_id in driver.running():
        driver.finish(task_id)
    other = driver.task(1)
    call(driver, other)
    driver.fail(driver.task(0), "fetch", (source.shuffle_ids[0], (0,)))
    assert driver.killed == [other]
    assert len(driver.answers) == 1
    driver.give_back(other)
    driver.finish_all()
    assert_succeeded(job)


def test_a_lost_output_of_a_barrier_stage_has_all_computed_again(driver: FakeDriver, lineage: Lineage) -> None:
    shuffled = lineage.shuffled(lineage.barrier(lineage.source(2)))
    job = lineage.job(shuffled)
    driver.submit(job)
    for task_id in driver.running():
        driver.finish(task_id)
    driver.fail(driver.task(0), "fetch", (shuffled.shuffle_ids[0], (1,)))
    while driver.running(job):
        driver.finish(driver.running(job)[0])
    assert sorted(driver.partition(task_id) for task_id in driver.running()) == [0, 1]
    driver.finish_all()
    assert_succeeded(job)


def test_a_cancelled_job_leaves_nobody_waiting(driver: FakeDriver, lineage: Lineage) -> None:
    job = barrier_job(lineage)
    driver.submit(job)
    call(driver, driver.task(0))
    driver.cancel(job)
    assert len(driver.killed) == 2
    assert "cancel" in str(errors(driver.answers)[0])
    assert "cancel" in str(errors(call(driver, driver.task(1)))[0])


def test_a_partition_that_cannot_be_sent_fails_the_job_and_nobody_waits(driver: FakeDriver, lineage: Lineage) -> None:
    rdd = lineage.barrier(lineage.source(2))
    rdd.unsendable.add(1)
    job = lineage.job(rdd)
    driver.submit(job)
    assert Outcome(job).error
