"""The records of jobs, from what the scheduler remembers."""

from __future__ import annotations

from localcluster.ui.status_store import job_record
from tests.localcluster.scheduler.harness import FakeDriver
from tests.localcluster.scheduler.lineage import Lineage


def test_a_jobs_tasks_are_counted_over_all_attempts_of_its_stages() -> None:
    driver, lineage = FakeDriver(2), Lineage()
    job = lineage.job(lineage.shuffled(lineage.source(2), partitions=2))
    (shuffle,) = job.map_stages
    driver.submit(job)
    driver.lose("b")
    for _ in range(2):
        driver.finish(driver.running()[0])
    driver.fail(driver.running()[0], "fetch", (shuffle, 0))
    driver.finish_all()
    history = driver.dag.history
    record = job_record(history.jobs()[0], history.stages())
    counts = ("Tasks", "ActiveTasks", "CompletedTasks", "SkippedTasks", "FailedTasks", "CompletedIndices")
    assert [record[f"num{what}"] for what in counts] == [4, 0, 5, 0, 2, 4]
