"""The limit on what the results of a job may take in the driver."""

from __future__ import annotations

from protocol.cluster_messages import TaskResult
from protocol.errors import JobError
from protocol.locations import FileLocation
from protocol.task_output import InBlock
from tests.localcluster.scheduler.harness import FakeDriver, Outcome, assert_succeeded, events
from tests.localcluster.scheduler.lineage import Lineage

RESULT = len(b"result")  # bytes of each of the fake driver's results


def test_results_up_to_the_limit_are_delivered(lineage: Lineage) -> None:
    driver = FakeDriver(2, max_result_size=4 * RESULT)
    job = lineage.job(lineage.source(4))
    driver.submit(job)
    driver.finish_all()
    assert_succeeded(job)


def test_one_byte_more_ends_the_job_with_sparks_words_and_kills_the_rest(lineage: Lineage) -> None:
    driver = FakeDriver({"a": 4}, max_result_size=3 * RESULT - 1)
    job, other = lineage.job(lineage.source(4)), lineage.job(lineage.source(1))
    driver.submit(job, other)
    driver.finish(*driver.running(job)[:3])
    outcome = Outcome(job)
    assert isinstance(outcome.error, JobError)
    assert str(outcome.error) == (
        "Job aborted due to stage failure: Total size of serialized results of 3 tasks (18.0 B) is bigger than "
        "spark.driver.maxResultSize (17.0 B)"
    )
    assert len(driver.killed) == 1
    driver.finish_all()
    assert_succeeded(other)
    driver.assert_idle()


def test_results_that_came_before_are_seen_before_the_end(lineage: Lineage) -> None:
    """Nobody looks for results after a job's end: the blocks of large ones would stay."""
    driver = FakeDriver({"a": 3}, max_result_size=2 * RESULT)
    job = lineage.job(lineage.source(3))
    driver.submit(job)
    driver.finish(*driver.running())
    outcomes, end = events(job)
    assert [outcome.position for outcome in outcomes] == [0, 1]
    assert end.error is not None


def test_the_block_of_the_result_that_is_too_large_is_discarded(lineage: Lineage) -> None:
    driver = FakeDriver({"a": 1}, max_result_size=1000)
    job = lineage.job(lineage.source(1))
    driver.submit(job)
    (task_id,) = driver.running()
    del driver.queues["a"][task_id]
    block = FileLocation("/result", 0, 1001)
    driver.dag.tasks_finished("a", [TaskResult(task_id, InBlock(block), None, 1.0)], driver.now)
    driver.step()
    assert Outcome(job).error is not None
    assert [(discard.task_id, discard.blocks) for discard in driver.discarded] == [(task_id, (block,))]


def test_map_outputs_do_not_count(lineage: Lineage) -> None:
    driver = FakeDriver(2, max_result_size=RESULT)
    job = lineage.job(lineage.shuffled(lineage.source(8), partitions=1))
    driver.submit(job)
    driver.finish_all()
    assert_succeeded(job)
