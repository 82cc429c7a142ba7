"""What the scheduler remembers of jobs and stages."""

from __future__ import annotations

from localcluster.conf.job_properties import JOB_GROUP
from localcluster.scheduler.job_history import JobHistory
from localcluster.scheduler.job_records import SparkJobInfo, SparkStageInfo
from localcluster.scheduler.task_scheduler import QUEUE_SECONDS
from tests.localcluster.scheduler.harness import FakeDriver
from tests.localcluster.scheduler.lineage import Lineage


def counts(info: SparkStageInfo | None) -> tuple[int, ...]:
    """Attempt, tasks, active, completed, failed."""
    assert info is not None
    return info.currentAttemptId, *info[3:]


def test_a_job_runs_and_succeeds(driver: FakeDriver, lineage: Lineage) -> None:
    job = lineage.job(lineage.source(3))
    driver.submit(job)
    history, stage = driver.dag.history, job.final_stage.id
    assert history.job(job.id) == SparkJobInfo(job.id, [stage], "RUNNING")
    assert counts(history.stage(stage)) == (0, 3, 2, 0, 0)
    driver.finish(driver.running()[0])
    assert counts(history.stage(stage)) == (0, 3, 2, 1, 0)
    driver.finish_all()
    assert history.job(job.id) == SparkJobInfo(job.id, [stage], "SUCCEEDED")
    assert counts(history.stage(stage)) == (0, 3, 0, 3, 0)


def test_stages_are_known_before_they_start_and_also_when_they_are_skipped(
    driver: FakeDriver, lineage: Lineage
) -> None:
    rdd = lineage.shuffled(lineage.source(3), partitions=2)
    first = lineage.job(rdd)
    driver.submit(first)
    stages = driver.dag.history.job(first.id).stageIds
    assert [counts(driver.dag.history.stage(stage)) for stage in stages] == [(0, 3, 2, 0, 0), (0, 2, 0, 0, 0)]
    driver.finish_all()
    second = lineage.job(rdd)
    driver.submit(second)
    driver.finish_all()
    stages = driver.dag.history.job(second.id).stageIds
    assert [counts(driver.dag.history.stage(stage)) for stage in stages] == [(0, 3, 0, 0, 0), (0, 2, 0, 2, 0)]


def test_failed_tasks_and_failed_jobs_are_told(lineage: Lineage) -> None:
    driver = FakeDriver(1, max_failures=2)
    job = lineage.job(lineage.source(2))
    driver.submit(job)
    driver.fail(driver.task(0))
    assert counts(driver.dag.history.stage(job.final_stage.id)) == (0, 2, 1, 0, 1)
    driver.fail(driver.task(0))
    assert driver.dag.history.job(job.id).status == "FAILED"
    assert counts(driver.dag.history.stage(job.final_stage.id)) == (0, 2, 0, 0, 2)


def test_tasks_that_ran_at_a_lost_executor_have_failed_and_those_queued_there_have_not(lineage: Lineage) -> None:
    driver = FakeDriver({"a": 2})
    job = lineage.job(lineage.source(30))
    driver.submit(job)
    driver.finish(driver.running()[0], run_time=QUEUE_SECONDS / 20)
    assert driver.loads() == [22]
    driver.lose("a")
    assert counts(driver.dag.history.stage(job.final_stage.id)) == (0, 30, 0, 1, 2)
    driver.add("b", 2)
    driver.finish_all()
    assert counts(driver.dag.history.stage(job.final_stage.id)) == (0, 30, 0, 30, 2)


def test_killed_and_recalled_tasks_have_not_failed(driver: FakeDriver, lineage: Lineage) -> None:
    job = lineage.job(lineage.source(2))
    driver.submit(job)
    driver.give_back(driver.task(0))
    driver.finish_all()
    assert counts(driver.dag.history.stage(job.final_stage.id)) == (0, 2, 0, 2, 0)


def test_a_cancelled_job_has_failed(driver: FakeDriver, lineage: Lineage) -> None:
    job = lineage.job(lineage.source(2))
    driver.submit(job)
    driver.cancel(job)
    assert driver.dag.history.job(job.id).status == "FAILED"


def test_a_second_attempt_has_the_tasks_that_were_left(driver: FakeDriver, lineage: Lineage) -> None:
    job = lineage.job(lineage.shuffled(lineage.source(1), partitions=3))
    driver.submit(job)
    driver.finish(driver.running()[0])
    driver.finish(driver.task(0))
    driver.fail(driver.task(1), "fetch", (next(iter(job.map_stages)), (0,)))
    driver.give_back(driver.task(2))
    driver.finish_all()
    assert counts(driver.dag.history.stage(job.final_stage.id)) == (1, 2, 0, 2, 0)
    (record,) = [record for record in driver.dag.history.stages() if record.info.stageId == job.final_stage.id]
    assert (record.partitions, record.earlier_completed, record.earlier_failed) == (3, 1, 1)


def test_a_job_without_partitions_has_no_stages(driver: FakeDriver, lineage: Lineage) -> None:
    job = lineage.job(lineage.source(2), partitions=[])
    driver.submit(job)
    assert driver.dag.history.job(job.id) == SparkJobInfo(job.id, [], "SUCCEEDED")


def test_jobs_of_a_group_come_newest_first(lineage: Lineage) -> None:
    history = JobHistory()
    for group in ("a", None, "a", "b"):
        job = lineage.job(lineage.source(1))
        job.properties = {} if group is None else {JOB_GROUP: group}
        history.job_started(job, [job.final_stage])
    assert history.jobs_of_group("a") == [2, 0]
    assert history.jobs_of_group(None) == [1]
    assert history.jobs_of_group("c") == []


def test_only_the_newest_of_what_ended_is_remembered(lineage: Lineage) -> None:
    history = JobHistory(retained_jobs=2, retained_stages=3)
    running = lineage.job(lineage.source(1))
    history.job_started(running, [running.final_stage])
    for _ in range(10):
        job = lineage.job(lineage.source(1))
        history.job_started(job, [job.final_stage])
        history.job_ended(job, succeeded=True)
        history.stage_left(job.final_stage)
        history.check()
    assert [number for number in range(11) if history.job(number)] == [running.id, 9, 10]
    assert [number for number in range(11) if history.stage(number)] == [running.final_stage.id, 8, 9, 10]


def test_unknown_jobs_and_stages_are_none() -> None:
    assert JobHistory().job(5) is None
    assert JobHistory().stage(5) is None


def statuses(driver: FakeDriver) -> list[str]:
    return [record.status for record in driver.dag.history.stages()]


def test_a_stage_waits_runs_and_is_complete(driver: FakeDriver, lineage: Lineage) -> None:
    rdd = lineage.shuffled(lineage.source(1), partitions=1)
    driver.submit(lineage.job(rdd))
    assert statuses(driver) == ["ACTIVE", "PENDING"]
    driver.finish(driver.running()[0])
    assert statuses(driver) == ["COMPLETE", "ACTIVE"]
    driver.finish_all()
    assert statuses(driver) == ["COMPLETE", "COMPLETE"]
    driver.submit(lineage.job(rdd))
    driver.finish_all()
    assert statuses(driver) == ["COMPLETE", "COMPLETE", "SKIPPED", "COMPLETE"]


def test_a_stage_whose_job_is_cancelled_has_failed_and_the_next_is_skipped(
    driver: FakeDriver, lineage: Lineage
) -> None:
    job = lineage.job(lineage.shuffled(lineage.source(1)))
    driver.submit(job)
    driver.cancel(job)
    assert statuses(driver) == ["FAILED", "SKIPPED"]


def test_times_are_told_by_the_clock(lineage: Lineage) -> None:
    times = iter([10.0, 20.0])
    history = JobHistory(clock=lambda: next(times))
    job = lineage.job(lineage.source(1))
    history.job_started(job, [job.final_stage])
    (running,) = history.jobs()
    history.job_ended(job, succeeded=True)
    (ended,) = history.jobs()
    assert (running.submitted, running.completed) == (10.0, None)
    assert (ended.submitted, ended.completed, ended.info.status) == (10.0, 20.0, "SUCCEEDED")
