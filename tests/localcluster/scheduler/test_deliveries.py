"""To whom a job delivers its outcome: any callable, and one that raises is its own job's loss."""

from __future__ import annotations

import pytest

from localcluster.scheduler.stage import JobEnd, JobEvent
from protocol.cluster_messages import TaskResult
from protocol.locations import FileLocation
from protocol.task_output import InBlock
from tests.localcluster.scheduler.harness import FakeDriver, assert_succeeded
from tests.localcluster.scheduler.lineage import Lineage


def test_any_callable_gets_the_results_as_they_come_and_then_the_end(driver: FakeDriver, lineage: Lineage) -> None:
    told: list[JobEvent] = []
    driver.submit(lineage.job(lineage.source(2), deliver=told.append))
    driver.finish(driver.task(1))
    driver.finish(driver.task(0))
    *results, end = told
    assert [[outcome.position for outcome in event] for event in results] == [[1], [0]]
    assert end == JobEnd(None)


def test_a_job_whose_results_are_refused_ends_with_that_error(
    lineage: Lineage, caplog: pytest.LogCaptureFixture
) -> None:
    error, told = OSError("no room for results"), []

    def refuse(event: JobEvent) -> None:
        told.append(event)
        if not isinstance(event, JobEnd):
            raise error

    driver = FakeDriver({"a": 4})
    job, other = lineage.job(lineage.source(3), deliver=refuse), lineage.job(lineage.source(1))
    driver.submit(job, other)
    running = driver.running(job)
    driver.finish(running[0], *driver.running(other))  # one report, with what another job waits for
    assert told[1:] == [JobEnd(error)]
    assert driver.killed == running[1:]
    assert_succeeded(other)
    assert "what job 0 was to be told is lost" in caplog.text
    driver.finish_all()
    driver.assert_idle()


def test_results_in_blocks_that_are_refused_leave_no_blocks(lineage: Lineage) -> None:
    def refuse(event: JobEvent) -> None:
        if not isinstance(event, JobEnd):
            raise OSError("no room for results")

    driver = FakeDriver({"a": 4})
    job = lineage.job(lineage.source(3), deliver=refuse)
    driver.submit(job)
    first, second, third = driver.running(job)
    places = {task_id: FileLocation(f"/{task_id}", 0, 100) for task_id in (first, second, third)}

    def finish(*task_ids: int) -> None:
        results = [TaskResult(task_id, InBlock(places[task_id]), None, 1.0) for task_id in task_ids]
        driver.dag.tasks_finished("a", results, driver.now)
        driver.step()

    finish(first, second)
    finish(third)  # which was too late to be stopped
    assert {(discard.task_id, discard.blocks) for discard in driver.discarded} == {
        (task_id, (place,)) for task_id, place in places.items()
    }


def test_an_end_that_is_refused_is_an_end(
    driver: FakeDriver, lineage: Lineage, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(event: JobEvent) -> None:
        raise OSError("nobody listens")

    job = lineage.job(lineage.source(4), deliver=refuse)
    driver.submit(job)
    driver.cancel(job)
    assert not driver.dag.jobs
    assert "nobody listens" in caplog.text
