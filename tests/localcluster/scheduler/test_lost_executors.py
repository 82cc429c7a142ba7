"""What follows when executors die: who is blamed, and that it ends."""

from __future__ import annotations

from localcluster.scheduler.task_scheduler import QUEUE_SECONDS
from tests.localcluster.scheduler.harness import FakeDriver, Outcome, assert_succeeded
from tests.localcluster.scheduler.lineage import Lineage

SHORT = QUEUE_SECONDS / 20


def test_tasks_of_a_lost_executor_run_elsewhere(driver: FakeDriver, lineage: Lineage) -> None:
    job = lineage.job(lineage.source(4))
    driver.submit(job)
    driver.lose("a")
    assert driver.loads() == [1]
    driver.finish_all()
    assert_succeeded(job)


def test_map_outputs_survive_their_executor(driver: FakeDriver, lineage: Lineage) -> None:
    job = lineage.job(lineage.shuffled(lineage.source(2)))
    driver.submit(job)
    for _ in range(2):
        driver.finish(driver.running()[0])
    driver.lose("a")
    assert driver.finish_all() == 2
    assert_succeeded(job)


def test_a_task_that_kills_its_executor_every_time_ends_its_job(lineage: Lineage) -> None:
    driver = FakeDriver(1)
    job = lineage.job(lineage.source(3))
    driver.submit(job)
    deaths = 0
    while driver.dag.jobs:
        driver.lose(driver.where(driver.task(0)))
        deaths += 1
        driver.add(f"replacement {deaths}")
    assert deaths == 4
    assert str(Outcome(job).error) == "partition 0 failed 4 times: executor_lost"
    driver.assert_idle()


def test_queued_tasks_are_not_blamed_for_the_death_of_their_executor(lineage: Lineage) -> None:
    driver = FakeDriver(1, max_failures=1)
    job = lineage.job(lineage.source(30))
    driver.submit(job)
    driver.finish(driver.running()[0], run_time=SHORT)
    assert driver.loads() == [21]
    driver.lose("a")
    driver.add("b")
    assert driver.loads() == [1], "one at a time from now on"
    driver.finish_all(run_time=SHORT)
    assert_succeeded(job)


def test_a_killer_among_short_tasks_is_found_and_no_other_is_blamed(lineage: Lineage) -> None:
    driver = FakeDriver(1)
    job = lineage.job(lineage.source(200))
    driver.submit(job)
    deaths = 0
    while driver.dag.jobs:
        task_id = next(iter(driver.queues[next(iter(driver.queues))]))
        if driver.partition(task_id) == 50:
            driver.lose(driver.where(task_id))
            deaths += 1
            driver.add(f"replacement {deaths}")
        else:
            driver.finish(task_id, run_time=SHORT)
    assert deaths == 1 + 4
    assert str(Outcome(job).error) == "partition 50 failed 4 times: executor_lost"
    driver.assert_idle()


def test_other_jobs_do_not_hide_a_killer_behind_their_queues(lineage: Lineage) -> None:
    driver = FakeDriver(1)
    fast = lineage.job(lineage.source(1000))
    driver.submit(fast)
    driver.finish(driver.running()[0], run_time=SHORT)
    killer = lineage.job(lineage.source(1))
    driver.submit(killer)
    deaths = 0
    while killer.id in driver.dag.jobs:
        executor_id = next(iter(driver.queues))
        task_id = next(iter(driver.queues[executor_id]))
        if driver.stage(task_id) is killer.final_stage:
            driver.lose(executor_id)
            deaths += 1
            driver.add(f"replacement {deaths}")
        else:
            driver.finish(task_id, run_time=SHORT)
    assert deaths <= 1 + 4
    driver.finish_all(run_time=SHORT)
    assert Outcome(killer).error
    assert_succeeded(fast)


def test_nothing_is_queued_behind_a_suspect(lineage: Lineage) -> None:
    driver = FakeDriver(2)
    suspect, fast = lineage.job(lineage.source(1)), lineage.job(lineage.source(1000))
    driver.submit(suspect)
    driver.lose("a")
    assert driver.loads() == [1]
    driver.add("c")
    driver.submit(fast)
    driver.finish(driver.running(fast)[0], run_time=SHORT)
    assert driver.loads() == [1, 1]
    driver.finish(driver.running(suspect)[0])
    assert min(driver.loads()) > 1


def test_queues_are_filled_again_when_all_suspects_have_succeeded(lineage: Lineage) -> None:
    driver = FakeDriver(1)
    job = lineage.job(lineage.source(200))
    driver.submit(job)
    driver.finish(driver.running()[0], run_time=SHORT)
    driver.lose("a")
    driver.add("b")
    for _ in range(21):
        assert driver.loads() == [1]
        driver.finish(driver.running()[0], run_time=SHORT)
    assert driver.loads()[0] > 1
    driver.finish_all(run_time=SHORT)
    assert_succeeded(job)


def test_tasks_beside_a_killed_one_are_not_blamed(lineage: Lineage) -> None:
    """It may be the killed task of a job that ended that took the executor with it."""
    driver = FakeDriver({"a": 2}, max_failures=1)
    cancelled, innocent = lineage.job(lineage.source(1)), lineage.job(lineage.source(1))
    driver.submit(cancelled, innocent)
    driver.cancel(cancelled)
    driver.lose("a")
    driver.add("b")
    driver.finish_all()
    assert_succeeded(innocent)


def test_all_cores_of_a_dead_executor_are_blamed(lineage: Lineage) -> None:
    driver = FakeDriver({"a": 2}, max_failures=1)
    job = lineage.job(lineage.source(2))
    driver.submit(job)
    driver.lose("a")
    assert str(Outcome(job).error) == "partition 0 failed 1 times: executor_lost"
    driver.assert_idle()


def test_an_executor_that_dies_idle_harms_nobody(driver: FakeDriver, lineage: Lineage) -> None:
    driver.lose("b")
    job = lineage.job(lineage.source(3))
    driver.submit(job)
    driver.finish_all()
    assert_succeeded(job)


def test_a_new_executor_gets_work_at_once(driver: FakeDriver, lineage: Lineage) -> None:
    job = lineage.job(lineage.source(9))
    driver.submit(job)
    driver.add("c")
    assert driver.loads() == [1, 1, 1]
    driver.finish_all()
    assert_succeeded(job)


def test_a_job_waits_while_all_executors_are_dead(lineage: Lineage) -> None:
    driver = FakeDriver(1)
    job = lineage.job(lineage.shuffled(lineage.source(2)))
    driver.submit(job)
    driver.lose("a")
    assert driver.dag.jobs
    driver.add("b")
    driver.finish_all()
    assert_succeeded(job)
