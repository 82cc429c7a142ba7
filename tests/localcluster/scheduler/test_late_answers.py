"""Reports that come too late: whatever they say, and why ever they are late, the job ends as if they had not come.

A table: each kind of report, three times, in each situation. What late results left in shared memory or files is freed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest

from localcluster.scheduler.speculation import Speculation
from localcluster.scheduler.stage import Job
from protocol.cluster_messages import BarrierCall, TaskFailed, TaskResult
from protocol.errors import JobCancelledError
from protocol.locations import FileLocation
from protocol.task_output import InBlock, Inline, MapOutput
from tests.localcluster.scheduler.harness import FakeDriver, Outcome, assert_succeeded
from tests.localcluster.scheduler.lineage import Lineage

BLOCK = FileLocation("/late", 0, 1)


class Late(NamedTuple):
    """A task that nobody waits for, and its job."""

    driver: FakeDriver
    job: Job
    executor_id: str
    task_id: int
    writes_shuffle: bool


# --- why it is late ---


def of_a_lost_executor(lineage: Lineage, shuffle: bool) -> Late:
    driver, job, task_id = _started(lineage, shuffle)
    executor_id = driver.where(task_id)
    driver.lose(executor_id)
    driver.add("c")
    return Late(driver, job, executor_id, task_id, shuffle)


def of_a_cancelled_job(lineage: Lineage, shuffle: bool) -> Late:
    driver, job, task_id = _started(lineage, shuffle)
    driver.cancel(job)
    return _reported(driver, job, task_id, shuffle)


def of_a_task_whose_copy_was_faster(lineage: Lineage, shuffle: bool) -> Late:
    driver, job, task_id = _started(lineage, shuffle)
    driver.finish(next(task for task in driver.running() if task != task_id))
    driver.speculate(100.0)
    driver.finish(next(task for task in driver.running() if driver.partition(task) == 0 and task != task_id))
    assert driver.killed == [task_id]
    return _reported(driver, job, task_id, shuffle)


def of_an_attempt_that_was_superseded(lineage: Lineage, shuffle: bool) -> Late:
    """A stage lost an input and runs again; the task of the new attempt was faster."""
    driver = FakeDriver(3, max_failures=2)
    read = lineage.shuffled(lineage.source(2), partitions=2)
    job = lineage.job(lineage.shuffled(read) if shuffle else read)
    driver.submit(job)
    first_shuffle = read.shuffle_ids[0]
    while driver.outputs.missing(first_shuffle):
        driver.finish(driver.running()[0])
    task_id, other = driver.running()
    driver.fail(other, "fetch", fetch=(first_shuffle, (0,)))
    driver.finish(next(task for task in driver.running() if task != task_id))
    driver.finish(next(task for task in driver.running() if driver.partition(task) == 0 and task != task_id))
    return _reported(driver, job, task_id, shuffle)


def _started(lineage: Lineage, shuffle: bool) -> tuple[FakeDriver, Job, int]:
    driver = FakeDriver(2, max_failures=2, speculation=Speculation(quantile=0.5))
    source = lineage.source(2)
    job = lineage.job(lineage.shuffled(source) if shuffle else source)
    driver.submit(job)
    return driver, job, driver.task(0)


def _reported(driver: FakeDriver, job: Job, task_id: int, shuffle: bool) -> Late:
    """The task is about to be reported."""
    executor_id = driver.where(task_id)
    del driver.queues[executor_id][task_id]
    return Late(driver, job, executor_id, task_id, shuffle)


# --- what is said ---


def success(late: Late) -> None:
    output = MapOutput((BLOCK,)) if late.writes_shuffle else Inline(b"late")
    result = TaskResult(late.task_id, output, b"updates", 1.0)
    late.driver.dag.tasks_finished(late.executor_id, [result], late.driver.now)


def success_with_a_block(late: Late) -> None:
    output = MapOutput((BLOCK,)) if late.writes_shuffle else InBlock(BLOCK)
    result = TaskResult(late.task_id, output, None, 1.0)
    late.driver.dag.tasks_finished(late.executor_id, [result], late.driver.now)


def failure(late: Late) -> None:
    late.driver.dag.task_failed(late.executor_id, _failed(late, "exception"), late.driver.now)


def fatal_failure(late: Late) -> None:
    late.driver.dag.task_failed(late.executor_id, _failed(late, "fatal"), late.driver.now)


def killed(late: Late) -> None:
    late.driver.dag.task_given_back(late.executor_id, [late.task_id], late.driver.now)


def barrier(late: Late) -> None:
    late.driver.dag.task_given_back(late.executor_id, [late.task_id], late.driver.now)
    late.driver.dag.barrier_called(late.executor_id, BarrierCall(late.task_id, 0, "barrier", ""), late.driver.now)


def _failed(late: Late, kind: str) -> TaskFailed:
    return TaskFailed(late.task_id, None, kind, "too late")


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("report", [success, success_with_a_block, failure, fatal_failure, killed, barrier])
@pytest.mark.parametrize(
    "why",
    [
        of_a_lost_executor,
        of_a_cancelled_job,
        of_a_task_whose_copy_was_faster,
        of_an_attempt_that_was_superseded,
    ],
)
def test_a_late_report_changes_nothing(
    lineage: Lineage, why: Callable[[Lineage, bool], Late], report: Callable[[Late], None], shuffle: bool
) -> None:
    late = why(lineage, shuffle)
    driver, job = late.driver, late.job
    stages = len(job.map_stages) + 1
    for _ in range(3):
        report(late)
        driver.step()
    driver.finish_all()
    if why is of_a_cancelled_job:
        assert isinstance(Outcome(job).error, JobCancelledError)
        assert Outcome(job).updates == 0
    else:
        assert_succeeded(job)
        assert Outcome(job).updates == 2 * stages + (why is of_an_attempt_that_was_superseded), "one output again"
    is_known = why is not of_a_lost_executor  # what that wrote and did not tell of goes with it, but for results
    freed = [discard for discard in driver.discarded if discard.task_id == late.task_id]
    leaves_a_block = report is success_with_a_block or (report is success and shuffle)
    if leaves_a_block and shuffle and why is of_a_cancelled_job:
        assert not freed, "the shuffle is there still, and another job may read it"
        assert late.task_id in [output.status.map_id for output in driver.ready]
    elif leaves_a_block and (is_known or not shuffle):
        assert {block for discard in freed for block in discard.blocks} == {BLOCK}
    else:
        assert not freed
    driver.assert_idle()


def test_a_late_fetch_failure_of_a_lost_executor_loses_no_output(lineage: Lineage) -> None:
    driver = FakeDriver(2)
    job = lineage.job(lineage.shuffled(lineage.source(2)))
    driver.submit(job)
    while driver.outputs.missing(0):
        driver.finish(driver.running()[0])
    task_id = driver.running()[0]
    executor_id = driver.where(task_id)
    driver.lose(executor_id)
    driver.dag.task_failed(executor_id, TaskFailed(task_id, None, "fetch", "", (0, (0, 1))), driver.now)
    driver.step()
    assert driver.outputs.missing(0) == []
    driver.finish_all()
    assert_succeeded(job)


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_late_success_counts_when_nothing_else_has_come_of_its_position(lineage: Lineage, shuffle: bool) -> None:
    """Of an attempt that was superseded: the new attempt's task at the same position is not waited for."""
    driver = FakeDriver(3)
    read = lineage.shuffled(lineage.source(2), partitions=2)
    job = lineage.job(lineage.shuffled(read) if shuffle else read)
    driver.submit(job)
    while driver.outputs.missing(read.shuffle_ids[0]):
        driver.finish(driver.running()[0])
    task_id, other = driver.running()
    driver.fail(other, "fetch", fetch=(read.shuffle_ids[0], (0,)))
    driver.finish(task_id)
    driver.finish(driver.running()[0])  # the map output
    assert [driver.partition(task) for task in driver.running()] == [1], "only what is missing"
    driver.finish_all()
    assert_succeeded(job)
    assert Outcome(job).updates == 2 * (len(job.map_stages) + 1) + 1
    driver.assert_idle()


# --- accumulators ---


def test_a_result_stage_tells_the_updates_of_each_partition_once(lineage: Lineage) -> None:
    """Over a retry, a copy, an executor that dies after its report, and the stage's being run again."""
    driver = FakeDriver(3, speculation=Speculation(quantile=0.2))
    read = lineage.shuffled(lineage.source(1), partitions=5)
    job = lineage.job(read)
    driver.submit(job)
    driver.finish(driver.running()[0])
    driver.fail(driver.running()[0])  # retried
    reported = driver.running()[0]
    where = driver.where(reported)
    result = driver.result(where, reported)
    driver.finish(reported)
    driver.lose(where)  # after its report, which comes again
    driver.dag.tasks_finished(where, [result], driver.now)
    driver.add("d")
    driver.speculate(100.0)
    driver.fail(driver.running()[0], "fetch", fetch=(read.shuffle_ids[0], (0,)))  # run again
    driver.speculate(100.0)
    driver.finish_all()
    outcome = assert_succeeded(job)
    assert outcome.updates == 5 + 2, "the map output was computed twice, and counts as often, as in Spark"
    assert driver.history.counts().tasks_speculated
    driver.assert_idle()


def test_a_cancelled_job_tells_no_updates_after_its_end(lineage: Lineage) -> None:
    driver = FakeDriver(2)
    job = lineage.job(lineage.source(2))
    driver.submit(job)
    driver.finish(driver.running()[0])
    driver.cancel(job)
    driver.finish_all()
    assert Outcome(job).updates == 1
