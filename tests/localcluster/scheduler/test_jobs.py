"""Jobs and their stages when nothing fails: order, sharing, cancellation, and that nothing is left."""

from __future__ import annotations

from localcluster.scheduler.statistics import JobStatistics
from protocol.errors import ClusterError, JobCancelledError
from tests.localcluster.scheduler.harness import FakeDriver, Outcome, assert_succeeded, events
from tests.localcluster.scheduler.lineage import Lineage


def test_a_job_ends_when_every_position_was_delivered(driver: FakeDriver, lineage: Lineage) -> None:
    job = lineage.job(lineage.source(5))
    driver.submit(job)
    for done in range(5):
        assert Outcome(job).end is None
        driver.finish(driver.running()[0])
        if done < 4:
            assert driver.dag.jobs
    assert not driver.dag.jobs


def test_results_come_before_the_end_with_their_updates(driver: FakeDriver, lineage: Lineage) -> None:
    job = lineage.job(lineage.shuffled(lineage.source(3), partitions=2))
    driver.submit(job)
    driver.finish_all()
    assert assert_succeeded(job).updates == 5


def test_several_results_come_in_one_event(lineage: Lineage) -> None:
    driver = FakeDriver({"a": 4})
    job = lineage.job(lineage.source(4))
    driver.submit(job)
    driver.finish(*driver.running())
    assert [outcome.position for outcome in events(job)[0]] == [0, 1, 2, 3]


def test_a_job_without_partitions_ends_at_once(driver: FakeDriver, lineage: Lineage) -> None:
    job = lineage.job(lineage.source(0))
    driver.submit(job)
    assert Outcome(job).succeeded


def test_a_job_without_partitions_runs_no_parent(driver: FakeDriver, lineage: Lineage) -> None:
    job = lineage.job(lineage.shuffled(lineage.source(3)), partitions=[])
    driver.submit(job)
    assert driver.running() == []
    assert Outcome(job).succeeded


def test_a_shuffle_of_nothing_feeds_its_readers(driver: FakeDriver, lineage: Lineage) -> None:
    job = lineage.job(lineage.shuffled(lineage.source(0), partitions=2))
    driver.submit(job)
    driver.finish_all()
    assert_succeeded(job)


def test_a_job_may_need_only_some_partitions_in_any_order(driver: FakeDriver, lineage: Lineage) -> None:
    job = lineage.job(lineage.source(10), partitions=[7, 2, 7])
    driver.submit(job)
    assert [driver.partition(task_id) for task_id in driver.running()] == [7, 2]
    driver.finish_all()
    assert_succeeded(job)


def test_take_runs_few_partitions_then_more_and_the_shuffle_once(driver: FakeDriver, lineage: Lineage) -> None:
    rdd = lineage.shuffled(lineage.source(4))
    first = lineage.job(rdd, partitions=[0])
    driver.submit(first)
    assert driver.finish_all() == 5
    second = lineage.job(rdd, partitions=[1, 2, 3])
    driver.submit(second)
    assert driver.finish_all() == 3
    assert_succeeded(first)
    assert_succeeded(second)


def test_children_start_when_all_parents_are_complete(driver: FakeDriver, lineage: Lineage) -> None:
    left, right = lineage.source(1), lineage.source(1)
    job = lineage.job(lineage.shuffled(left, right))
    driver.submit(job)
    assert {driver.stage(task_id).inputs for task_id in driver.running()} == {left, right}
    driver.finish(driver.running()[0])
    assert driver.running(job) == []
    driver.finish(driver.running()[0])
    assert len(driver.running(job)) == 1
    driver.finish_all()
    assert_succeeded(job)


def test_the_top_of_a_diamond_runs_once(driver: FakeDriver, lineage: Lineage) -> None:
    top = lineage.shuffled(lineage.source(2))
    job = lineage.job(lineage.shuffled(lineage.narrow(top), lineage.narrow(top)))
    driver.submit(job)
    assert driver.finish_all() == 2 + 2 + 2 + 2
    assert_succeeded(job)


def test_complete_ancestors_are_not_looked_at(driver: FakeDriver, lineage: Lineage) -> None:
    middle = lineage.shuffled(lineage.shuffled(lineage.source(3)))
    driver.submit(lineage.job(middle))
    driver.finish_all()
    driver.submit(lineage.job(lineage.narrow(middle)))
    assert driver.finish_all() == 3


def test_very_long_lineages_run_without_recursion(lineage: Lineage) -> None:
    driver = FakeDriver(1)
    driver.dag.check = lambda: None  # type: ignore[method-assign]  # the audit looks at all stages at every step
    rdd = lineage.source(1)
    for _ in range(3000):
        rdd = lineage.shuffled(rdd)
    job = lineage.job(rdd)
    driver.submit(job)
    assert driver.finish_all() == 3001
    assert_succeeded(job)


def test_jobs_that_share_a_shuffle_compute_it_once(driver: FakeDriver, lineage: Lineage) -> None:
    shared = lineage.shuffled(lineage.source(4))
    jobs = [lineage.job(shared), lineage.job(lineage.narrow(shared))]
    driver.submit(*jobs)
    assert driver.finish_all() == 4 + 4 + 4
    for job in jobs:
        assert_succeeded(job)


def test_a_shared_stage_survives_the_job_that_started_it(driver: FakeDriver, lineage: Lineage) -> None:
    shared = lineage.shuffled(lineage.source(4))
    first, second = lineage.job(shared), lineage.job(shared)
    driver.submit(first, second)
    driver.finish(driver.running()[0])
    driver.cancel(first)
    assert driver.killed == []
    assert driver.finish_all() == 3 + 4
    assert isinstance(Outcome(first).error, JobCancelledError)
    assert_succeeded(second)


def test_a_cancelled_job_kills_its_tasks_and_frees_its_stages(driver: FakeDriver, lineage: Lineage) -> None:
    job = lineage.job(lineage.shuffled(lineage.source(6)))
    driver.submit(job)
    running = driver.running()
    driver.cancel(job)
    assert sorted(driver.killed) == running
    assert str(Outcome(job).error) == "[SPARK_JOB_CANCELLED] Job 0 cancelled for a test"
    driver.assert_idle()
    for task_id in running:
        driver.give_back(task_id)
    assert driver.running() == []


def test_cancelling_twice_or_too_late_does_nothing(driver: FakeDriver, lineage: Lineage) -> None:
    job = lineage.job(lineage.source(1))
    driver.submit(job)
    driver.finish_all()
    driver.cancel(job)
    assert_succeeded(job)


def test_cores_of_killed_tasks_are_free_only_when_those_have_ended(driver: FakeDriver, lineage: Lineage) -> None:
    first, second = lineage.job(lineage.source(2)), lineage.job(lineage.source(2))
    driver.submit(first, second)
    victims = driver.running()
    driver.cancel(first)
    assert driver.running(second) == []
    driver.give_back(victims[0])
    assert len(driver.running(second)) == 1
    driver.finish_all()
    assert_succeeded(second)


def test_results_of_a_cancelled_job_are_discarded(driver: FakeDriver, lineage: Lineage) -> None:
    rdd = lineage.shuffled(lineage.source(1))
    job = lineage.job(rdd)
    driver.submit(job)
    driver.cancel(job)
    (task_id,) = driver.running()
    driver.finish(task_id)
    (ready,) = driver.ready
    assert ready.shuffle_id == rdd.shuffle_ids[0], "but a map output is as good for the next job"
    again = lineage.job(rdd)
    driver.submit(again)
    assert driver.finish_all() == 1
    assert_succeeded(again)


def test_outputs_of_a_cancelled_job_spare_the_next_job_its_tasks(lineage: Lineage) -> None:
    driver = FakeDriver({"a": 2})
    rdd = lineage.shuffled(lineage.source(2))
    first, second = lineage.job(rdd), lineage.job(rdd)
    driver.submit(first)
    late = driver.running()
    driver.cancel(first)
    driver.submit(second)
    driver.finish(*late)
    assert driver.finish_all() == 2
    assert_succeeded(second)
    driver.assert_idle()


def test_an_output_of_a_cleaned_shuffle_is_discarded(driver: FakeDriver, lineage: Lineage) -> None:
    rdd = lineage.shuffled(lineage.source(1))
    job = lineage.job(rdd)
    driver.submit(job)
    driver.cancel(job)
    driver.outputs.unregister_shuffle(rdd.shuffle_ids[0])
    (task_id,) = driver.running()
    driver.finish(task_id)
    (discard,) = driver.discarded
    assert (discard.task_id, discard.shuffle_id) == (task_id, rdd.shuffle_ids[0])


def test_a_shuffle_cleaned_while_it_is_computed_is_computed_again(driver: FakeDriver, lineage: Lineage) -> None:
    rdd = lineage.shuffled(lineage.source(2))
    job = lineage.job(rdd)
    driver.submit(job)
    driver.finish(driver.running()[0])
    driver.outputs.unregister_shuffle(rdd.shuffle_ids[0])
    driver.finish_all()
    assert_succeeded(job)


def test_an_end_of_the_cluster_ends_every_job(driver: FakeDriver, lineage: Lineage) -> None:
    jobs = [lineage.job(lineage.shuffled(lineage.source(3))) for _ in range(3)]
    driver.submit(*jobs)
    error = ClusterError("the launcher is gone")
    driver.dag.fail_all(error)
    driver.step()
    assert [Outcome(job).error for job in jobs] == [error] * 3
    driver.assert_idle()


def test_a_job_submitted_before_there_are_executors_runs_when_they_come(lineage: Lineage) -> None:
    driver = FakeDriver(0)
    job = lineage.job(lineage.source(2))
    driver.submit(job)
    driver.add("a")
    driver.finish_all()
    assert_succeeded(job)


def test_a_partition_that_cannot_be_pickled_ends_its_job_only(driver: FakeDriver, lineage: Lineage) -> None:
    good, bad = lineage.source(3), lineage.source(3)
    bad.unsendable.add(1)
    failed, fine = lineage.job(bad), lineage.job(good)
    driver.submit(failed, fine)
    for task_id in list(driver.killed):
        driver.give_back(task_id)
    driver.finish_all()
    assert isinstance(Outcome(failed).error.__cause__, RecursionError)
    assert_succeeded(fine)


def test_statistics_count_what_there_is(driver: FakeDriver, lineage: Lineage) -> None:
    driver.submit(lineage.job(lineage.shuffled(lineage.source(5))))
    now = driver.dag.statistics()
    assert (now.jobs, now.shuffles) == (JobStatistics(running=1, succeeded=0, failed=0), 1)
    stages = now.stages
    assert (stages.map_stages, stages.running, stages.waiting, stages.retired) == (1, 1, 1, 0)
    tasks = now.tasks
    assert (tasks.task_sets, tasks.pending, tasks.at_executors, tasks.binaries) == (1, 3, 2, 2)


def test_statistics_count_what_became_of_tasks_stages_and_jobs(lineage: Lineage) -> None:
    driver = FakeDriver({"a": 2, "b": 1}, max_failures=2)
    rdd = lineage.shuffled(lineage.source(3), partitions=1)
    driver.submit(lineage.job(rdd))
    driver.lose("a")
    driver.give_back(driver.running()[0])
    driver.fail(driver.running()[0])
    driver.finish_all()
    driver.submit(lineage.job(rdd), lineage.job(lineage.source(1)))
    driver.finish(driver.running()[0])
    for _ in range(2):
        driver.fail(driver.running()[0])
    then = driver.dag.statistics()
    assert then.jobs == JobStatistics(running=0, succeeded=2, failed=1)
    assert (then.stages.completed, then.stages.failed, then.stages.skipped) == (3, 1, 1)
    tasks = then.tasks
    assert (tasks.launched, tasks.finished, tasks.failed, tasks.returned, tasks.lost) == (11, 5, 3, 1, 2)


def test_two_thousand_jobs_leave_nothing(lineage: Lineage) -> None:
    driver = FakeDriver(2)
    shared = lineage.shuffled(lineage.source(2))
    for number in range(2000):
        job = lineage.job(shared if number % 3 else lineage.source(3))
        driver.submit(job)
        if number % 5 == 0:
            driver.cancel(job)
            for task_id in driver.running():
                driver.give_back(task_id)
        elif number % 7 == 0:
            for _ in range(4):
                driver.fail(driver.running()[0])
            driver.finish_all()
        else:
            driver.finish_all()
        assert Outcome(job).end is not None
    driver.assert_idle()
