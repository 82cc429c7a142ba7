"""Which task goes where and when: order of jobs, locality, queueing ahead, recall."""

from __future__ import annotations

import pytest

from localcluster.scheduler.task_scheduler import MAX_QUEUED, QUEUE_SECONDS
from tests.localcluster.scheduler.harness import FakeDriver, assert_succeeded
from tests.localcluster.scheduler.lineage import Lineage

SHORT = QUEUE_SECONDS / 20  # run time of a task of which 20 are queued ahead


@pytest.fixture
def lineage() -> Lineage:
    return Lineage()


def measured(driver: FakeDriver, lineage: Lineage, tasks: int, run_time: float) -> None:
    """Start a job of which one task has ended, so that the task time is known."""
    driver.submit(lineage.job(lineage.source(tasks + 1)))
    driver.finish(driver.running()[0], run_time=run_time)


# --- order ---


def test_fifo_serves_the_oldest_job_first(lineage: Lineage) -> None:
    driver = FakeDriver(2)
    first, second = lineage.job(lineage.source(3)), lineage.job(lineage.source(3))
    driver.submit(first, second)
    order = []
    while running := driver.running():
        order.append(driver.stage(running[0]))
        driver.finish(running[0])
    assert order == [first.final_stage] * 3 + [second.final_stage] * 3


def test_fifo_gives_what_the_oldest_job_cannot_use_to_the_next(lineage: Lineage) -> None:
    driver = FakeDriver(3)
    first, second = lineage.job(lineage.source(1)), lineage.job(lineage.source(5))
    driver.submit(first, second)
    assert len(driver.running(first)) == 1
    assert len(driver.running(second)) == 2


def test_fair_gives_a_freed_core_to_the_pool_with_least_tasks(lineage: Lineage) -> None:
    driver = FakeDriver(4, fair=True)
    long = lineage.job(lineage.source(20), pool="long")
    short = lineage.job(lineage.source(20), pool="short")
    driver.submit(long)
    driver.submit(short)
    assert len(driver.running(long)) == 4
    driver.finish(driver.running(long)[0])
    driver.finish(driver.running(long)[0])
    assert len(driver.running(long)) == len(driver.running(short)) == 2
    driver.finish(driver.running(short)[0])
    assert len(driver.running(short)) == 2


def test_fair_is_fifo_within_a_pool(lineage: Lineage) -> None:
    driver = FakeDriver(1, fair=True)
    jobs = [lineage.job(lineage.source(2)) for _ in range(3)]
    driver.submit(*jobs)
    order = []
    while running := driver.running():
        order.append(driver.stage(running[0]))
        driver.finish(running[0])
    assert order == [job.final_stage for job in jobs for _ in range(2)]


# --- locality ---


def test_tasks_run_where_they_prefer(lineage: Lineage) -> None:
    driver = FakeDriver(2)
    rdd = lineage.source(6)
    rdd.wishes = {i: ["ab"[i % 2]] for i in range(6)}
    driver.submit(lineage.job(rdd))
    while running := driver.running():
        for task_id in running:
            assert driver.where(task_id) == "ab"[driver.partition(task_id) % 2]
        driver.finish(running[0])


def test_tasks_wait_for_a_busy_home_and_then_go_anywhere(lineage: Lineage) -> None:
    driver = FakeDriver(2, locality_wait=3.0)
    rdd = lineage.source(3)
    rdd.wishes = {i: ["a"] for i in range(3)}
    driver.submit(lineage.job(rdd))
    assert driver.loads() == [1, 0]
    driver.wait(2.9)
    assert driver.loads() == [1, 0]
    driver.wait(0.2)
    assert driver.loads() == [1, 1]


def test_a_launch_at_home_starts_the_wait_anew(lineage: Lineage) -> None:
    driver = FakeDriver(2, locality_wait=3.0)
    rdd = lineage.source(4)
    rdd.wishes = {i: ["a"] for i in range(4)}
    driver.submit(lineage.job(rdd))
    driver.wait(2.0)
    driver.finish(driver.running()[0])
    driver.wait(2.0)
    assert driver.loads() == [1, 0]


def test_tasks_without_a_wish_do_not_wait(lineage: Lineage) -> None:
    driver = FakeDriver(2)
    rdd = lineage.source(2)
    rdd.wishes = {0: ["a"]}
    driver.submit(lineage.job(rdd))
    assert driver.loads() == [1, 1]
    assert driver.partition(next(iter(driver.queues["a"]))) == 0


def test_a_task_whose_homes_are_all_dead_does_not_wait(lineage: Lineage) -> None:
    driver = FakeDriver(2)
    rdd = lineage.source(2)
    rdd.wishes = {0: ["dead"], 1: ["dead", "gone"]}
    driver.submit(lineage.job(rdd))
    assert driver.loads() == [1, 1]


def test_tasks_stop_waiting_when_their_last_home_dies(lineage: Lineage) -> None:
    driver = FakeDriver(3)
    rdd = lineage.source(4)
    rdd.wishes = {i: ["a", "b"] for i in range(4)}
    job = lineage.job(rdd)
    driver.submit(job)
    assert driver.loads() == [1, 1, 0]
    driver.lose("a")
    assert driver.loads() == [1, 0]
    driver.lose("b")
    assert driver.loads() == [1]
    driver.finish_all()
    assert_succeeded(job)


# --- queueing ahead ---


def test_tasks_of_unknown_length_go_one_per_core(lineage: Lineage) -> None:
    driver = FakeDriver({"a": 1, "b": 2})
    driver.submit(lineage.job(lineage.source(10)))
    assert driver.loads() == [1, 2]


def test_long_tasks_go_one_per_core_for_ever(lineage: Lineage) -> None:
    driver = FakeDriver({"a": 1, "b": 2})
    driver.submit(lineage.job(lineage.source(20)))
    for _ in range(10):
        driver.finish(driver.running()[0], run_time=2 * QUEUE_SECONDS)
        assert driver.loads() == [1, 2]


def test_short_tasks_are_queued_ahead_by_their_measured_time(lineage: Lineage) -> None:
    driver = FakeDriver(2)
    measured(driver, lineage, 1000, SHORT)
    assert driver.loads() == [21, 21]


def test_no_executor_gets_more_than_the_limit(lineage: Lineage) -> None:
    driver = FakeDriver(2)
    measured(driver, lineage, 10_000, 0.0)
    assert driver.loads() == [1 + MAX_QUEUED] * 2


def test_a_queue_is_refilled_in_one_batch_when_half_of_it_is_gone(lineage: Lineage) -> None:
    driver = FakeDriver(1)
    measured(driver, lineage, 1000, SHORT)
    launches = len(driver.launches)
    for _ in range(10):
        driver.finish(driver.running()[0], run_time=SHORT)
    assert len(driver.launches) == launches
    driver.finish(driver.running()[0], run_time=SHORT)
    assert len(driver.launches) == launches + 1
    assert len(driver.launches[-1].tasks) == 11


@pytest.mark.parametrize("tasks", [22, 23, 30, 42])
def test_the_last_short_tasks_are_shared_evenly(lineage: Lineage, tasks: int) -> None:
    driver = FakeDriver(4)
    measured(driver, lineage, tasks, SHORT)
    assert sum(driver.loads()) == tasks
    assert max(driver.loads()) - min(driver.loads()) <= 1


def test_the_last_tasks_level_queues_of_different_length(lineage: Lineage) -> None:
    driver = FakeDriver(2)
    driver.submit(lineage.job(lineage.source(30)))
    driver.finish(driver.running()[0], run_time=SHORT)  # fills both: 15 and 14
    assert sorted(driver.loads()) == [14, 15]
    driver.submit(lineage.job(lineage.source(1)))
    driver.finish(*driver.queues["a"], run_time=SHORT)
    assert driver.loads()[0] == 1, "the idle one gets the last task"


def test_the_share_of_one_that_must_not_have_it_goes_to_others(lineage: Lineage) -> None:
    driver = FakeDriver(2)
    rdd = lineage.source(12)
    rdd.wishes = {i: ["a"] for i in range(12)}
    driver.submit(lineage.job(rdd))
    driver.finish(driver.running()[0], run_time=SHORT)
    assert driver.loads() == [11, 0]


# --- recall ---


def stuck(lineage: Lineage) -> FakeDriver:
    """`a` sits on 9 queued tasks while `b` has nothing to do."""
    driver = FakeDriver(2)
    measured(driver, lineage, 20, SHORT)
    assert driver.loads() == [10, 10]
    driver.now += 1.0
    driver.finish(*driver.queues["b"], run_time=SHORT)
    return driver


def test_queued_tasks_are_recalled_from_a_stuck_executor(lineage: Lineage) -> None:
    driver = stuck(lineage)
    queued = list(driver.queues["a"])
    assert driver.recall() == queued[1:]
    driver.give_back(*queued[1:])
    assert driver.loads() == [1, 9], "the stuck one gets no queue again"
    assert driver.finish_all() == 10
    driver.assert_idle()


def test_nothing_is_recalled_twice(lineage: Lineage) -> None:
    driver = stuck(lineage)
    assert driver.recall()
    driver.now += 10
    assert driver.recall() == []


def test_nothing_is_recalled_before_patience_ends(lineage: Lineage) -> None:
    driver = stuck(lineage)
    assert driver.recall(patience=1.5) == []
    driver.now += 1.0
    assert driver.recall(patience=1.5)


def test_nothing_is_recalled_while_all_are_busy(lineage: Lineage) -> None:
    driver = FakeDriver(2)
    measured(driver, lineage, 22, SHORT)
    driver.now += 10
    assert driver.recall() == []


def test_an_executor_that_gets_on_again_gets_queues_and_may_get_stuck_again(lineage: Lineage) -> None:
    driver = stuck(lineage)
    driver.give_back(*driver.recall())
    driver.finish_all(run_time=SHORT)
    measured(driver, lineage, 20, SHORT)
    assert driver.loads() == [10, 10]
    driver.now += 1.0
    driver.finish(*driver.queues["b"], run_time=SHORT)
    assert len(driver.recall()) == 9


def test_a_recalled_task_carries_no_blame(lineage: Lineage) -> None:
    driver = FakeDriver(1, max_failures=1)
    measured(driver, lineage, 5, SHORT)
    for _ in range(5):
        driver.give_back(*driver.running()[1:])
    driver.finish_all()
    driver.assert_idle()
