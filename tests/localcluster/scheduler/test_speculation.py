"""Copies of stragglers: which tasks get one, and that whichever ends first counts, once."""

from __future__ import annotations

import pytest

from localcluster.scheduler.speculation import Speculation
from localcluster.scheduler.stage import Job
from protocol.events import TaskKilled, TaskRef, TaskSpeculated, TaskStarted
from storage.block_id import RDDBlockId
from tests.localcluster.scheduler.harness import FakeDriver, Outcome, assert_succeeded
from tests.localcluster.scheduler.lineage import Lineage

SHORT = 0.001  # seconds that tasks run of which several are queued at an executor


def start(lineage: Lineage, partitions: int = 4, shuffle: bool = False, **settings: float | None) -> FakeDriver:
    """Two executors, one job; all tasks but that of partition 0 took a second each, and it runs at executor a."""
    driver = FakeDriver(2, speculation=Speculation(**{"quantile": 0.5, **settings}))  # type: ignore[arg-type]
    source = lineage.source(partitions)
    driver.submit(lineage.job(lineage.shuffled(source) if shuffle else source))
    driver.now += 1.0
    while others := [task_id for task_id in driver.running() if driver.partition(task_id) != 0]:
        driver.finish(others[0], run_time=1.0)
    assert driver.where(driver.task(0)) == "a"
    return driver


def only_job(driver: FakeDriver) -> Job:
    (job,) = driver.dag.jobs.values()
    return job


def test_a_straggler_gets_a_copy_at_another_executor_with_an_attempt_of_its_own(lineage: Lineage) -> None:
    driver = start(lineage)
    (straggler,) = driver.running()
    driver.speculate(2.0)
    assert driver.running() == [straggler], "it runs for three times the median, not longer"
    driver.speculate(0.1)
    _, copy = driver.running()
    assert driver.where(copy) == "b"
    assert driver.queues["b"][copy][1].attempt == 1
    assert driver.dag.history.stage(0).numActiveTasks == 2  # type: ignore[union-attr]
    (event,) = driver.history.events(TaskSpeculated)
    assert event[1:] == (TaskRef(0, 0, 0, 0), "a")
    assert driver.history.counts().tasks_speculated == 1
    assert [start[1:] for start in driver.history.events() if isinstance(start, TaskStarted) and start.speculative] == [
        (TaskRef(0, 0, 0, 1), "b", True)
    ]


@pytest.mark.parametrize("faster", ["straggler", "copy"])
@pytest.mark.parametrize("shuffle", [False, True])
def test_whichever_ends_first_counts_and_the_other_one_is_ended(lineage: Lineage, faster: str, shuffle: bool) -> None:
    driver = start(lineage, shuffle=shuffle)
    job = only_job(driver)
    driver.speculate(10.0)
    straggler, copy = driver.running()
    first, second = (straggler, copy) if faster == "straggler" else (copy, straggler)
    updates = driver.result(driver.where(second), second)
    where = driver.where(second)
    driver.finish(first)
    assert driver.killed == [second], "told once, also when the stage ends by the same result"
    (killed,) = driver.history.events(TaskKilled)
    assert isinstance(killed, TaskKilled)
    assert killed.executor_id == where
    driver.give_back(second)
    driver.finish_all()
    assert_succeeded(job)
    assert Outcome(job).updates == 4 + (4 if shuffle else 0)
    driver.dag.tasks_finished(where, [updates], driver.now)  # a report that nobody knows what to do with
    driver.step()
    driver.assert_idle()


def test_what_the_slower_one_made_is_discarded(lineage: Lineage) -> None:
    """It was done before it was told to end."""
    driver = start(lineage, shuffle=True)
    job = only_job(driver)
    driver.speculate(10.0)
    straggler, copy = driver.running()
    driver.finish(copy)
    driver.finish(straggler)
    assert [discard.task_id for discard in driver.discarded] == [straggler]
    assert [output.status.map_id for output in driver.ready].count(copy) == 1
    driver.finish_all()
    assert_succeeded(job)
    assert Outcome(job).updates == 8
    driver.assert_idle()


def test_a_copy_that_fails_leaves_the_straggler_alone_and_counts(lineage: Lineage) -> None:
    driver = start(lineage)
    job = only_job(driver)
    for _ in range(3):
        driver.speculate(10.0)
        straggler, copy = driver.running()
        driver.fail(copy)
        assert driver.running() == [straggler], "no new attempt while it runs"
    driver.speculate(10.0)
    driver.fail(driver.running()[1])
    assert str(Outcome(job).error) == "partition 0 failed 4 times: exception"


def test_a_straggler_that_fails_leaves_the_copy_alone(lineage: Lineage) -> None:
    driver = start(lineage)
    job = only_job(driver)
    driver.speculate(10.0)
    straggler, copy = driver.running()
    driver.fail(straggler)
    assert driver.running() == [copy]
    driver.fail(copy)
    assert len(driver.running()) == 1, "then it is tried again"
    driver.finish_all()
    assert_succeeded(job)


@pytest.mark.parametrize("dies", ["a", "b"])
def test_the_other_one_goes_on_when_an_executor_is_lost(lineage: Lineage, dies: str) -> None:
    driver = start(lineage)
    job = only_job(driver)
    driver.speculate(10.0)
    driver.lose(dies)
    (left,) = driver.running()
    assert driver.partition(left) == 0
    driver.add("c")
    assert driver.running() == [left]
    driver.finish(left)
    assert_succeeded(job)
    driver.assert_idle()


def test_a_straggler_whose_executor_is_lost_before_there_was_room_for_a_copy_is_tried_again(lineage: Lineage) -> None:
    driver = start(lineage)
    job = only_job(driver)
    driver.submit(lineage.job(lineage.source(1)))  # takes the only core
    driver.speculate(10.0)
    driver.lose("a")
    driver.finish_all()
    assert_succeeded(job)
    driver.assert_idle()


def test_a_copy_waits_for_a_free_core_of_another_executor(lineage: Lineage) -> None:
    driver = FakeDriver({"a": 2, "b": 1}, speculation=Speculation(quantile=0.3))
    driver.submit(lineage.job(lineage.source(3)))
    driver.finish(*[task for task in driver.running() if driver.where(task) == "a"][:1])
    stragglers = driver.running()
    driver.speculate(10.0)
    (copy,) = set(driver.running()).difference(stragglers)
    assert driver.where(copy) == "a", "it has a core free and b has none, though both stragglers want a copy"
    assert driver.partition(copy) == driver.partition(next(t for t in stragglers if driver.where(t) == "b"))


# --- which tasks are stragglers ---


def test_nothing_is_copied_unless_it_was_asked_for(lineage: Lineage) -> None:
    driver = FakeDriver(2)
    driver.submit(lineage.job(lineage.source(2)))
    driver.finish(driver.task(1))
    driver.speculate(1000.0)
    assert len(driver.running()) == 1


def test_enough_tasks_must_have_ended_to_compare_with(lineage: Lineage) -> None:
    driver = start(lineage, partitions=10, quantile=0.95)  # 9 of 10 have: as many as 0.95 of them, rounded down
    driver.speculate(10.0)
    assert len(driver.running()) == 2
    driver = start(lineage, partitions=10, quantile=1.0)
    driver.speculate(10.0)
    assert len(driver.running()) == 1


@pytest.mark.parametrize(("settings", "seconds"), [({"multiplier": 5.0}, 5.0), ({"min_task_runtime": 7.0}, 7.0)])
def test_a_straggler_has_run_for_as_long_as_the_settings_say(
    lineage: Lineage, settings: dict[str, float], seconds: float
) -> None:
    driver = start(lineage, **settings)
    driver.speculate(seconds - 1.0)  # and the second that the others took
    assert len(driver.running()) == 1
    driver.speculate(0.1)
    assert len(driver.running()) == 2


@pytest.mark.parametrize(("threshold", "slots", "copied"), [(5.0, 1, True), (None, 1, False), (5.0, 0, False)])
def test_a_stage_of_few_tasks_has_a_threshold_of_its_own(
    lineage: Lineage, threshold: float | None, slots: int, copied: bool
) -> None:
    driver = FakeDriver(2, speculation=Speculation(task_duration_threshold=threshold, slots=slots))
    driver.submit(lineage.job(lineage.source(1)))
    driver.speculate(5.0)
    assert len(driver.running()) == 1
    driver.speculate(0.1)
    assert len(driver.running()) == 1 + copied


def test_tasks_of_a_barrier_stage_are_waited_for(lineage: Lineage) -> None:
    driver = FakeDriver(3, speculation=Speculation(quantile=0.5))
    job = lineage.job(lineage.barrier(lineage.source(2)))
    driver.submit(job)
    driver.finish(driver.task(1))
    driver.speculate(100.0)
    assert len(driver.running()) == 1


def test_a_task_that_is_queued_behind_others_does_not_run(lineage: Lineage) -> None:
    """Neither the time before it began counts, nor that it is still there."""
    driver = FakeDriver(1, speculation=Speculation(quantile=0.05))
    driver.submit(lineage.job(lineage.source(20)))
    driver.finish(driver.running()[0], run_time=SHORT)
    first, _, third, *_ = driver.running()  # of a queue
    driver.add("b", 1)
    while driver.queues["b"]:
        driver.finish(*driver.queues["b"], run_time=SHORT)
    driver.speculate(10.0)
    assert driver.history.counts().tasks_speculated == 1, "the first one"
    assert driver.partition(first) in [driver.partition(task) for task in driver.queues["b"]]
    driver.finish(first, run_time=SHORT)
    driver.speculate(0.05)
    assert driver.history.counts().tasks_speculated == 1, "the second one has run for 50 ms at most"
    driver.speculate(0.1)
    assert driver.history.counts().tasks_speculated == 2
    assert third in driver.running()


def test_what_waits_behind_a_task_that_does_not_end_is_copied_as_well(lineage: Lineage) -> None:
    """Its executor was told to give it back and does not answer: perhaps the task has begun there, unheard."""
    driver = FakeDriver(1, speculation=Speculation(quantile=0.05))
    job = lineage.job(lineage.source(4))
    driver.submit(job)
    driver.finish(driver.running()[0], run_time=SHORT)
    driver.add("b", 1)
    for _ in range(4):
        driver.speculate(10.0)
        while driver.queues["b"]:
            driver.finish(*driver.queues["b"], run_time=SHORT)
    assert_succeeded(job)


def test_a_copy_does_not_wait_for_a_block_that_the_straggler_computes(lineage: Lineage) -> None:
    driver = FakeDriver(2, speculation=Speculation(quantile=0.5))
    source = lineage.source(2)
    block_id = RDDBlockId(0, 0)
    source.missing = driver.missing_of({0: [block_id]})
    job = lineage.job(source)
    driver.submit(job)
    driver.finish(driver.task(1))
    driver.speculate(10.0)
    straggler, copy = driver.running()
    driver.finish(copy)
    assert driver.killed == [straggler]
    driver.give_back(straggler)
    assert_succeeded(job)
    driver.assert_idle()


def test_a_block_is_the_copys_to_compute_when_the_straggler_is_lost(lineage: Lineage) -> None:
    driver = FakeDriver(3, speculation=Speculation(quantile=0.5))
    source, block_id = lineage.source(2), RDDBlockId(0, 0)
    source.missing = driver.missing_of({0: [block_id]})
    driver.submit(lineage.job(source))
    driver.finish(driver.task(1))
    driver.speculate(10.0)
    straggler, copy = driver.running()
    driver.submit(lineage.job(source))
    driver.finish(driver.running()[-1])
    driver.lose(driver.where(straggler))
    driver.add("d")
    assert driver.computing(block_id) == [copy], "the other job's task waits for it"
    driver.finish_all()
    driver.assert_idle()


def test_a_retired_attempt_gets_no_copies(lineage: Lineage) -> None:
    driver = FakeDriver(3, speculation=Speculation(quantile=0.3))
    job = lineage.job(lineage.shuffled(lineage.source(3)))
    driver.submit(job)
    while driver.outputs.missing(0):
        driver.finish(driver.running()[0])
    first, second, third = driver.running()
    driver.finish(first)
    driver.fail(second, "fetch", fetch=(0, (0,)))
    driver.finish(driver.running()[-1])  # the map output
    driver.finish(next(task for task in driver.running() if task != third))
    driver.speculate(100.0)
    (event,) = driver.history.events(TaskSpeculated)
    assert isinstance(event, TaskSpeculated)
    assert event.task.stage_attempt == 1, "the straggler of the attempt before has a second one already"
    assert third in driver.running()
    driver.finish_all()
    assert_succeeded(job)
