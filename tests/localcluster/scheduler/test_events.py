"""What the scheduler records of tasks, stages and map outputs."""

from __future__ import annotations

from typing import Any

from localcluster.scheduler.stage import Job
from localcluster.scheduler.statistics import ExecutorTasks
from localcluster.scheduler.task_scheduler import QUEUE_SECONDS
from protocol.events import (
    BlockLost,
    BlockRecomputed,
    StageResubmitted,
    TaskDiscarded,
    TaskKilled,
    TaskRef,
    TaskRetried,
    TaskStarted,
)
from tests.localcluster.scheduler.harness import FakeDriver, assert_succeeded
from tests.localcluster.scheduler.lineage import Lineage

SHORT = QUEUE_SECONDS / 20
LOST = "ExecutorLostFailure (killed): Python worker exited unexpectedly (crashed)"


def told(driver: FakeDriver, *types: Any) -> list[Any]:
    """But for when."""
    return [event._replace(at=0.0) for event in driver.history.events(*types)]


def ref(job: Job, partition: int, attempt: int = 0, stage_attempt: int = 0) -> TaskRef:
    return TaskRef(job.final_stage.id, stage_attempt, partition, attempt)


def test_each_task_is_told_when_it_is_given_to_an_executor(driver: FakeDriver, lineage: Lineage) -> None:
    job = lineage.job(lineage.source(5), partitions=[4, 2, 3])
    driver.submit(job)
    started = [TaskStarted(0.0, ref(job, 4), "a", False), TaskStarted(0.0, ref(job, 2), "b", False)]
    assert told(driver) == started
    driver.finish_all()
    assert told(driver) == [*started, TaskStarted(0.0, ref(job, 3), "a", False)]


def test_tasks_that_run_undisturbed_are_told_of_by_their_starts_alone(driver: FakeDriver, lineage: Lineage) -> None:
    driver.submit(lineage.job(lineage.shuffled(lineage.source(3))))
    driver.finish_all()
    assert {type(event) for event in driver.history.events()} == {TaskStarted}


def test_a_task_that_failed_and_runs_again_is_told_with_its_reason_in_brief(
    driver: FakeDriver, lineage: Lineage
) -> None:
    job = lineage.job(lineage.source(1))
    driver.submit(job)
    driver.fail(driver.task(0), text='Traceback (most recent call last):\n  File "x"\nValueError: no\n\n')
    driver.fail(driver.task(0), text="first\nsecond")
    assert told(driver, TaskRetried) == [
        TaskRetried(0.0, ref(job, 0), "a", "ValueError: no", True),
        TaskRetried(0.0, ref(job, 0, 1), "a", "first", True),
    ]


def test_a_crash_in_c_code_is_told_in_brief_by_its_signal_and_the_innermost_frame(lineage: Lineage) -> None:
    driver = FakeDriver(1)
    driver.submit(lineage.job(lineage.source(1)))
    driver.lose("a", 'it was killed by signal 11 in\n  File "a.py", line 1 in outer\n  File "b.py", line 2 in inner')
    (retried,) = told(driver, TaskRetried)
    crashed = "Python worker exited unexpectedly (crashed)"
    where = 'it was killed by signal 11 in File "b.py", line 2 in inner'
    assert retried.reason == f"ExecutorLostFailure ({where}): {crashed}"


def test_the_failure_that_ends_a_job_is_no_retry(lineage: Lineage) -> None:
    driver = FakeDriver(2, max_failures=2)
    driver.submit(lineage.job(lineage.source(2)))
    driver.fail(driver.task(0))
    driver.fail(driver.task(0))
    assert [event.task.attempt for event in driver.history.events(TaskRetried)] == [0]  # type: ignore[union-attr]


def test_what_ran_on_a_lost_executor_is_told_as_retried_what_was_queued_there_is_not(lineage: Lineage) -> None:
    driver = FakeDriver(1)
    job = lineage.job(lineage.source(30))
    driver.submit(job)
    driver.finish(driver.running()[0], run_time=SHORT)
    assert driver.dag.tasks_of("a") == ExecutorTasks((ref(job, 1),), completed=1)
    driver.lose("a")
    assert told(driver, TaskRetried) == [TaskRetried(0.0, ref(job, 1), "a", LOST, False)]
    assert driver.dag.tasks_of("a") == ExecutorTasks()
    driver.add("b")
    alone = driver.partition(driver.running()[0])
    driver.lose("b")
    assert told(driver, TaskRetried)[1:] == [TaskRetried(0.0, ref(job, alone, 1), "b", LOST, True)]


def test_tasks_of_a_job_that_is_cancelled_are_told_as_killed(driver: FakeDriver, lineage: Lineage) -> None:
    job = lineage.job(lineage.source(2))
    driver.submit(job)
    driver.cancel(job)
    reason = f"[SPARK_JOB_CANCELLED] Job {job.id} cancelled for a test"
    assert told(driver, TaskKilled) == [TaskKilled(0.0, ref(job, n), "ab"[n], reason) for n in range(2)]
    driver.fail(driver.task(0))
    assert told(driver, TaskRetried) == [], "nobody waits for it"


def test_a_result_that_comes_after_its_job_was_cancelled_is_told_as_discarded(
    driver: FakeDriver, lineage: Lineage
) -> None:
    job = lineage.job(lineage.source(2))
    driver.submit(job)
    driver.cancel(job)
    driver.finish(driver.task(1))
    assert told(driver, TaskDiscarded) == [TaskDiscarded(0.0, ref(job, 1), "b")]


def test_a_lost_map_output_and_the_stages_that_run_again_are_told_in_order(
    driver: FakeDriver, lineage: Lineage
) -> None:
    job = lineage.job(lineage.shuffled(lineage.source(3), partitions=2))
    ((shuffle, map_stage),) = job.map_stages.items()
    driver.submit(job)
    for _ in range(3):
        driver.finish(driver.running()[0])
    driver.fail(driver.task(0), "fetch", (shuffle, (1,)))
    driver.finish_all()
    assert_succeeded(job)
    assert told(driver, BlockLost, BlockRecomputed, TaskRetried, StageResubmitted) == [
        BlockLost(0.0, f"shuffle_{shuffle}_1_0.data", "b"),
        TaskRetried(0.0, ref(job, 0), "a", "it failed", False),
        StageResubmitted(0.0, map_stage.id, 1, "outputs of it are lost", (1,)),
        BlockRecomputed(0.0, f"shuffle_{shuffle}_5_0.data", "a"),
        StageResubmitted(0.0, job.final_stage.id, 1, "it failed", (0,)),
    ]


def test_a_stage_of_an_earlier_job_that_runs_again_is_told(driver: FakeDriver, lineage: Lineage) -> None:
    shuffled = lineage.shuffled(lineage.source(2))
    driver.submit(lineage.job(shuffled))
    driver.finish_all()
    job = lineage.job(shuffled)
    ((shuffle, map_stage),) = job.map_stages.items()
    driver.submit(job)
    driver.fail(driver.task(0), "fetch", (shuffle, (1,)))
    driver.finish_all()
    assert told(driver, StageResubmitted) == [
        StageResubmitted(0.0, map_stage.id, 0, "outputs of it are lost", (1,)),
        StageResubmitted(0.0, job.final_stage.id, 1, "it failed", (0,)),
    ]


def test_a_result_that_another_attempt_overtook_is_told_as_discarded(driver: FakeDriver, lineage: Lineage) -> None:
    job = lineage.job(lineage.shuffled(lineage.source(2)))
    (shuffle,) = job.map_stages
    driver.submit(job)
    for _ in range(2):
        driver.finish(driver.running()[0])
    slow = driver.task(1)
    driver.fail(driver.task(0), "fetch", (shuffle, (0,)))
    for partition in (0, 0, 1):  # of the map stage, then of the other
        (task,) = {*driver.running()} - {slow}
        assert driver.partition(task) == partition
        driver.finish(task)
    assert_succeeded(job)
    driver.finish(slow)
    assert told(driver, TaskKilled, TaskDiscarded) == [
        TaskKilled(0.0, ref(job, 1), "b", f"job {job.id} ended"),
        TaskDiscarded(0.0, ref(job, 1), "b"),
    ]


def test_outputs_that_were_found_missing_at_once_are_told_each(driver: FakeDriver, lineage: Lineage) -> None:
    job = lineage.job(lineage.shuffled(lineage.source(2)))
    (shuffle,) = job.map_stages
    driver.submit(job)
    for _ in range(2):
        driver.finish(driver.running()[0])
    for map_index in (0, 1, 1):
        driver.dag.output_lost(shuffle, map_index)
    assert [event.block_id for event in told(driver, BlockLost)] == [f"shuffle_{shuffle}_{n}_0.data" for n in range(2)]


def test_of_a_shuffle_that_was_cleaned_nothing_is_told_as_recomputed(driver: FakeDriver, lineage: Lineage) -> None:
    shuffled = lineage.shuffled(lineage.source(2))
    for _ in range(2):
        job = lineage.job(shuffled)
        (shuffle,) = job.map_stages
        driver.submit(job)
        driver.finish_all()
        driver.dag.output_lost(shuffle, 0)
        driver.outputs.unregister_shuffle(shuffle)
    assert len(told(driver, BlockLost)) == 2
    assert told(driver, BlockRecomputed, StageResubmitted) == []


def test_a_barrier_stage_that_failed_is_told_as_killed_discarded_and_resubmitted(lineage: Lineage) -> None:
    driver = FakeDriver(3)
    job = lineage.job(lineage.shuffled(lineage.barrier(lineage.source(3))))
    (map_stage,) = job.map_stages.values()
    driver.submit(job)
    driver.finish(driver.task(2))
    driver.fail(driver.task(0))
    why = f"another task of barrier stage {map_stage.id} failed"
    assert told(driver, TaskRetried, TaskKilled, TaskDiscarded, StageResubmitted) == [
        TaskRetried(0.0, TaskRef(map_stage.id, 0, 0, 0), "a", "it failed", True),
        TaskKilled(0.0, TaskRef(map_stage.id, 0, 1, 0), "b", why),
        TaskDiscarded(0.0, TaskRef(map_stage.id, 0, 2, 0), "c"),
        StageResubmitted(0.0, map_stage.id, 1, why, (0, 1, 2)),
    ]


def test_all_tasks_of_a_barrier_stage_that_go_with_one_executor_are_told_as_retried(lineage: Lineage) -> None:
    driver = FakeDriver({"a": 2})
    driver.submit(lineage.job(lineage.barrier(lineage.source(2))))
    driver.lose("a")
    retried = driver.history.events(TaskRetried)
    assert [event.task.partition for event in retried] == [0, 1]  # type: ignore[union-attr]
