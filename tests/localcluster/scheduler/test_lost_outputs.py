"""What follows when map outputs are lost: stages run again, for what is missing only."""

from __future__ import annotations

from tests.localcluster.scheduler.harness import FakeDriver, Outcome, assert_succeeded
from tests.localcluster.scheduler.lineage import Dataset, Lineage


def shuffle_job(lineage: Lineage, maps: int, reducers: int) -> tuple[Dataset, int]:
    rdd = lineage.shuffled(lineage.source(maps), partitions=reducers)
    return rdd, rdd.shuffle_ids[0]


def run_maps(driver: FakeDriver, count: int) -> None:
    for _ in range(count):
        driver.finish(driver.running()[0])


def test_only_the_missing_outputs_are_computed_again(driver: FakeDriver, lineage: Lineage) -> None:
    rdd, shuffle = shuffle_job(lineage, maps=5, reducers=4)
    job = lineage.job(rdd)
    driver.submit(job)
    run_maps(driver, 5)
    driver.finish(driver.task(0, of=job))
    reader = driver.task(1, of=job)
    other = driver.task(2, of=job)
    driver.fail(reader, "fetch", fetch=(shuffle, (3,)))
    assert driver.recalled == [other]
    driver.finish(other)  # it had started and was not hurt
    (again,) = driver.running()
    assert driver.stage(again).shuffle_id is not None
    assert driver.partition(again) == 3
    driver.finish(again)
    assert sorted(driver.partition(task_id) for task_id in driver.running()) == [1, 3]
    driver.finish_all()
    assert_succeeded(job)


def test_lost_outputs_reported_late_by_other_readers_are_computed_again_too(lineage: Lineage) -> None:
    driver = FakeDriver(3)
    rdd, shuffle = shuffle_job(lineage, maps=3, reducers=3)
    job = lineage.job(rdd)
    driver.submit(job)
    run_maps(driver, 3)
    readers = driver.running(job)
    for index, reader in enumerate(readers):
        driver.fail(reader, "fetch", fetch=(shuffle, (index,)))
    assert job.final_stage.fetch_failures == 1, "one attempt failed, however many tasks say so"
    driver.finish_all()
    assert_succeeded(job)
    assert driver.outputs.epoch == 3


def test_a_late_report_does_not_lose_what_was_computed_since(lineage: Lineage) -> None:
    driver = FakeDriver(3)
    rdd, shuffle = shuffle_job(lineage, maps=1, reducers=2)
    job = lineage.job(rdd)
    driver.submit(job)
    run_maps(driver, 1)
    early, late = driver.running(job)
    driver.fail(early, "fetch", fetch=(shuffle, (0,)))
    run = [task_id for task_id in driver.running() if driver.stage(task_id).shuffle_id is not None]
    driver.finish(*run)
    assert driver.outputs.is_complete(shuffle)
    driver.fail(late, "fetch", fetch=(shuffle, (0,)))
    assert driver.outputs.is_complete(shuffle)
    assert job.final_stage.fetch_failures == 1, "the current attempt did not fail"
    driver.finish_all()
    assert_succeeded(job)


def test_a_late_result_of_a_retired_attempt_spares_the_current_one(driver: FakeDriver, lineage: Lineage) -> None:
    rdd, shuffle = shuffle_job(lineage, maps=2, reducers=2)
    job = lineage.job(rdd)
    driver.submit(job)
    run_maps(driver, 2)
    failing, late = driver.task(0, of=job), driver.task(1, of=job)
    driver.fail(failing, "fetch", fetch=(shuffle, (0,)))
    driver.finish(driver.task(0))  # the map task again; attempt 1 starts
    (current,) = [task_id for task_id in driver.running(job) if task_id != late]
    assert driver.partition(current) == 0
    driver.finish(late)
    driver.finish(current)
    assert driver.running() == []
    assert_succeeded(job)


def test_of_two_attempts_at_a_position_the_first_to_end_counts(lineage: Lineage) -> None:
    driver = FakeDriver(3)
    rdd, shuffle = shuffle_job(lineage, maps=1, reducers=2)
    for late_first in (True, False):
        job = lineage.job(lineage.narrow(rdd))
        driver.submit(job)
        if late_first:
            run_maps(driver, 1)
        failing, late = driver.running(job)
        driver.fail(failing, "fetch", fetch=(shuffle, (0,)))
        run_maps(driver, 1) if driver.running()[0] != late else driver.finish(driver.running()[1])
        twins = [task_id for task_id in driver.running(job) if driver.partition(task_id) == 1]
        assert len(twins) == 2
        for task_id in twins if late_first else reversed(twins):
            driver.finish(task_id)
        driver.finish_all()
        assert_succeeded(job)
    driver.assert_idle()


def test_the_failure_of_a_retired_attempt_is_not_counted(lineage: Lineage) -> None:
    driver = FakeDriver(3, max_failures=1)
    rdd, shuffle = shuffle_job(lineage, maps=1, reducers=3)
    job = lineage.job(rdd)
    driver.submit(job)
    run_maps(driver, 1)
    first, second, third = driver.running(job)
    driver.fail(first, "fetch", fetch=(shuffle, (0,)))
    driver.fail(second)  # its binary was dropped, say
    driver.finish_all()
    assert_succeeded(job)
    assert third in driver.recalled


def test_late_outputs_complete_a_stage_that_waits_for_its_parent(lineage: Lineage) -> None:
    """All that a waiting stage still had to do is done by its retired attempts."""
    driver = FakeDriver(4)
    top, top_shuffle = shuffle_job(lineage, maps=1, reducers=2)
    bottom = lineage.shuffled(top)
    job = lineage.job(bottom)
    driver.submit(job)
    run_maps(driver, 1)
    failing, late = driver.running()
    driver.fail(failing, "fetch", fetch=(top_shuffle, (0,)))
    (parent,) = [t for t in driver.running() if t != late]
    driver.finish(parent)
    attempts = [t for t in driver.running() if t != late]
    winner, loser = sorted(attempts, key=driver.partition)
    driver.finish(winner)
    driver.fail(loser, "fetch", fetch=(top_shuffle, (0,)))  # waits for its parent again
    driver.finish(late)
    assert driver.running(job), "the reducers do not wait for a parent that nobody needs"
    driver.finish_all()
    assert_succeeded(job)
    driver.assert_idle()


def test_a_stage_whose_inputs_get_lost_again_and_again_ends_its_job(driver: FakeDriver, lineage: Lineage) -> None:
    rdd, shuffle = shuffle_job(lineage, maps=1, reducers=1)
    job = lineage.job(rdd)
    driver.submit(job)
    for _ in range(4):
        run_maps(driver, 1)
        driver.fail(driver.running(job)[0], "fetch", fetch=(shuffle, (0,)))
    assert "has failed the maximum allowable number of times: 4. it failed" in str(Outcome(job).error)


def test_a_map_stage_that_completes_starts_its_count_anew(driver: FakeDriver, lineage: Lineage) -> None:
    top, top_shuffle = shuffle_job(lineage, maps=1, reducers=1)
    bottom = lineage.shuffled(top, partitions=1)
    job = lineage.job(bottom)
    driver.submit(job)
    run_maps(driver, 1)
    for _ in range(3):
        for _ in range(3):
            driver.fail(driver.running()[0], "fetch", fetch=(top_shuffle, (0,)))
            run_maps(driver, 1)
        run_maps(driver, 1)
        driver.fail(driver.running(job)[0], "fetch", fetch=(bottom.shuffle_ids[0], (0,)))
    driver.finish_all()
    assert_succeeded(job)


def test_an_output_lost_while_the_others_are_computed_is_computed_again(driver: FakeDriver, lineage: Lineage) -> None:
    rdd, shuffle = shuffle_job(lineage, maps=3, reducers=1)
    job = lineage.job(rdd)
    driver.submit(job)
    driver.finish(driver.task(0))
    driver.dag.output_lost(shuffle, 0)
    assert driver.finish_all() == 2 + 1 + 1
    assert_succeeded(job)


def test_a_parent_lost_while_another_is_computed_is_computed_again(driver: FakeDriver, lineage: Lineage) -> None:
    left, right = lineage.source(1), lineage.source(1)
    rdd = lineage.shuffled(left, right)
    job = lineage.job(rdd)
    driver.submit(job)
    driver.finish(driver.running()[0])
    driver.dag.output_lost(rdd.shuffle_ids[0], 0)
    driver.finish(driver.running()[0])
    (again,) = driver.running()
    assert driver.stage(again).inputs is left
    driver.finish_all()
    assert_succeeded(job)


def test_a_lost_shared_shuffle_is_computed_once_for_both_jobs(lineage: Lineage) -> None:
    driver = FakeDriver(2)
    rdd, shuffle = shuffle_job(lineage, maps=2, reducers=1)
    jobs = [lineage.job(rdd), lineage.job(rdd)]
    driver.submit(*jobs)
    run_maps(driver, 2)
    for job in jobs:
        driver.fail(driver.running(job)[0], "fetch", fetch=(shuffle, (1,)))
    assert driver.finish_all() == 1 + 2
    for job in jobs:
        assert_succeeded(job)


def test_what_another_stage_found_lost_counts_there_only(lineage: Lineage) -> None:
    """Two stages read one shuffle; one loses an output of it again and again, and the other meets that."""
    driver = FakeDriver(4)
    rdd, shuffle = shuffle_job(lineage, maps=1, reducers=1)
    finder, other = lineage.job(rdd), lineage.job(rdd)
    driver.submit(finder, other)
    run_maps(driver, 1)
    for _ in range(3):
        (reader,) = driver.running(other)
        driver.fail(driver.running(finder)[0], "fetch", fetch=(shuffle, (0,)))
        driver.tables[reader] = {shuffle: [None]}
        run_maps_again = [task_id for task_id in driver.running() if driver.stage(task_id).shuffle_id == shuffle]
        driver.finish(*run_maps_again)  # before the report, which loses nothing
        driver.fail(reader, "fetch", fetch=(shuffle, (0,)))
        assert driver.outputs.is_complete(shuffle)
    assert (finder.final_stage.fetch_failures, other.final_stage.fetch_failures) == (3, 0)
    driver.finish_all()
    assert_succeeded(finder)
    assert_succeeded(other)


def test_an_old_output_that_was_read_late_is_lost_all_the_same(lineage: Lineage) -> None:
    """A reader that was launched early may read what a younger task wrote."""
    driver = FakeDriver(3)
    rdd, shuffle = shuffle_job(lineage, maps=1, reducers=2)
    job = lineage.job(rdd)
    driver.submit(job)
    run_maps(driver, 1)
    early, late = driver.running(job)
    driver.fail(early, "fetch", fetch=(shuffle, (0,)))
    (again,) = [task_id for task_id in driver.running() if driver.stage(task_id).shuffle_id == shuffle]
    driver.finish(again)
    driver.tables[late] = {shuffle: [again]}
    driver.fail(late, "fetch", fetch=(shuffle, (0,)))
    assert driver.outputs.missing(shuffle) == [0]
    driver.finish_all()
    assert_succeeded(job)


def test_a_shuffle_cleaned_under_its_readers_is_computed_again(driver: FakeDriver, lineage: Lineage) -> None:
    rdd, shuffle = shuffle_job(lineage, maps=2, reducers=1)
    job = lineage.job(rdd)
    driver.submit(job)
    run_maps(driver, 2)
    driver.outputs.unregister_shuffle(shuffle)
    driver.fail(driver.running(job)[0], "fetch", fetch=(shuffle, (0,)))
    assert driver.finish_all() == 2 + 1
    assert_succeeded(job)


def test_cancelling_kills_the_tasks_of_retired_attempts_too(driver: FakeDriver, lineage: Lineage) -> None:
    rdd, shuffle = shuffle_job(lineage, maps=1, reducers=2)
    job = lineage.job(rdd)
    driver.submit(job)
    run_maps(driver, 1)
    failing, late = driver.running(job)
    driver.fail(failing, "fetch", fetch=(shuffle, (0,)))
    driver.cancel(job)
    assert late in driver.killed


def test_all_outputs_that_a_reader_misses_are_computed_again_by_one_attempt(lineage: Lineage) -> None:
    driver = FakeDriver(8)
    rdd, shuffle = shuffle_job(lineage, maps=6, reducers=2)
    job = lineage.job(rdd)
    driver.submit(job)
    run_maps(driver, 6)
    driver.fail(driver.task(0, of=job), "fetch", fetch=(shuffle, (0, 2, 3, 5)))
    again = [task_id for task_id in driver.running() if driver.stage(task_id).shuffle_id == shuffle]
    assert sorted(driver.partition(task_id) for task_id in again) == [0, 2, 3, 5]
    assert job.final_stage.fetch_failures == 1
    driver.finish_all()
    assert_succeeded(job)


def test_a_task_that_is_reported_with_what_makes_it_useless_is_not_stopped(lineage: Lineage) -> None:
    """Nobody would hear of its end, and its executor would be ended for it."""
    driver = FakeDriver({"a": 2, "b": 1})
    read = lineage.shuffled(lineage.source(2), partitions=3)
    job = lineage.job(lineage.shuffled(read))
    driver.submit(job)
    while driver.outputs.missing(0):
        driver.finish(driver.running()[0])
    tasks = driver.running()
    failed = next(task for task in tasks if driver.where(task) == "b")
    old, *others = [task for task in tasks if task != failed]
    for other in others:
        driver.finish(other)
    driver.fail(failed, "fetch", fetch=(0, (0,)))
    driver.finish(next(task for task in driver.running() if task != old))  # the map output
    driver.finish(*[task for task in driver.running() if task != old and driver.where(task) != "a"])
    new = next(task for task in driver.running() if task != old)
    driver.finish(new, old)
    assert driver.killed == []
    driver.finish_all()
    assert_succeeded(job)
    driver.assert_idle()
