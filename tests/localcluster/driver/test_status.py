"""What observers are told, over state machines without processes."""

from __future__ import annotations

from typing import Any

import pytest

from localcluster.conf.job_properties import JOB_GROUP
from localcluster.driver.executor_history import FormerExecutor
from localcluster.driver.status import RunningStage
from localcluster.scheduler.statistics import ExecutorTasks
from protocol.block_messages import RemoveExecutor, StopBlockManagerMaster
from protocol.errors import ContextError
from protocol.events import BlockLost, ExecutorAdded, TaskRef
from protocol.locations import DRIVER, HeapLocation, ShmLocation
from storage.block_id import RDDBlockId
from tests.localcluster.driver.status_bench import THE_DRIVER, A, B, Rdd, StatusBench


@pytest.fixture
def bench() -> StatusBench:
    return StatusBench()


def test_jobs_and_stages_are_told_while_they_run_and_when_they_have_ended(bench: StatusBench) -> None:
    job = bench.lineage.job(bench.lineage.source(5))
    job.properties = {JOB_GROUP: "nightly"}
    bench.driver.submit(job)
    stage = job.final_stage.id
    assert bench.status.active_jobs() == bench.status.jobs_of_group("nightly") == (job.id,)
    assert bench.status.running_stages() == (RunningStage(stage, 0, "action", 5, 0, 4, 0.0),)
    bench.driver.finish_all()
    assert (bench.status.active_jobs(), bench.status.running_stages()) == ((), ())
    assert bench.status.job(job.id).status == "SUCCEEDED"
    assert bench.status.stage(stage).numCompletedTasks == 5
    jobs, stages = bench.status.history()
    assert ([record.info.jobId for record in jobs], [record.status for record in stages]) == ([job.id], ["COMPLETE"])
    assert (bench.status.job(7), bench.status.stage(7)) == (None, None)


def test_a_moment_stays_as_it_was(bench: StatusBench) -> None:
    bench.driver.submit(bench.lineage.job(bench.lineage.source(2)))
    running, (_, (stage,)), executors = bench.status.running_stages(), bench.status.history(), bench.status.executors()
    bench.driver.finish_all()
    bench.store(A, 1, 0, HeapLocation("a"), memory_size=10)
    assert (running[0].done, stage.status, executors[1].memory.memory_used) == (0, "ACTIVE", 0)


def test_executors_are_told_with_the_driver_which_runs_no_tasks(bench: StatusBench) -> None:
    bench.store(A, 1, 0, HeapLocation("a"), memory_size=10)
    bench.store(A, 1, 1, ShmLocation("/dev/shm/x", 0, 30), off_heap_size=30)
    bench.driver.submit(bench.lineage.job(bench.lineage.source(3)))
    executors = {executor.memory.block_manager_id: executor for executor in bench.status.executors()}
    assert list(executors) == [THE_DRIVER, A, B]
    assert [(e.cores, e.slots) for e in executors.values()] == [(0, 0), (2, 2), (2, 2)]
    assert len(executors[A].tasks.running + executors[B].tasks.running) == 3
    memory = executors[A].memory
    assert (memory.memory_used, memory.off_heap_used, memory.rdd_blocks, memory.max_memory) == (10, 30, 2, 500)
    assert {e.shared_memory for e in executors.values()} == {1000}


def test_executors_are_told_with_their_last_heartbeats(bench: StatusBench) -> None:
    bench.beat("a", 300, 100, 7)
    of_driver, of_a, of_b = (executor.heartbeat for executor in bench.status.executors())
    assert (of_driver, of_b) == (None, None)
    assert of_a is not None
    assert (of_a.own, of_a.running) == (200, (7,))


def test_a_lost_executor_is_not_told_but_the_blocks_that_it_left_are(bench: StatusBench) -> None:
    bench.store(A, 1, 0, HeapLocation("a"), memory_size=10)
    bench.store(A, 1, 1, ShmLocation("/dev/shm/x", 0, 30), off_heap_size=30)
    bench.master.receive(DRIVER, RemoveExecutor("a"), 1.0)
    assert [e.memory.block_manager_id for e in bench.status.executors()] == [THE_DRIVER, B]
    assert list(bench.status.stored_blocks(1)) == [RDDBlockId(1, 1)]


def test_executors_tell_their_tasks_and_since_when_they_are_there(bench: StatusBench) -> None:
    bench.pool.history.registered("a", 5.0)
    bench.driver.submit(bench.lineage.job(bench.lineage.source(4)))
    bench.driver.fail(bench.driver.task(0))
    bench.driver.finish(bench.driver.task(2))
    of_driver, of_a, of_b = bench.status.executors()
    assert [each.added for each in (of_driver, of_a, of_b)] == [None, 5.0, None]
    assert [len(each.tasks.running) for each in (of_driver, of_a, of_b)] == [0, 2, 1]
    assert [each.tasks[1:] for each in (of_driver, of_a, of_b)] == [(0, 0), (0, 1), (1, 0)]


def test_those_that_are_gone_are_told_with_reason_and_tasks_the_newest_ones(bench: StatusBench) -> None:
    history, running = bench.pool.history, (TaskRef(0, 0, 1, 0),)
    for number in range(3):
        history.registered(str(number), 10.0 + number)
    for number in range(4):  # the last was never there
        history.ended(str(number), 100 + number, 20.0 + number, f"reason {number}", ExecutorTasks(running, 6, 2))
    assert list(bench.status.former_executors()) == [
        FormerExecutor("1", 101, 11.0, 21.0, "reason 1", 6, 3),
        FormerExecutor("2", 102, 12.0, 22.0, "reason 2", 6, 3),
    ]
    assert history.added_at("1") is None


def test_statistics_have_the_numbers_of_all_parts(bench: StatusBench) -> None:
    bench.driver.submit(bench.lineage.job(bench.lineage.shuffled(bench.lineage.source(3))))
    bench.store(A, 1, 0, HeapLocation("a"), memory_size=10)
    bench.events.record(ExecutorAdded(0.0, "a", 2))
    statistics = bench.status.statistics()
    assert (statistics.executors.alive, statistics.messages.frames_sent) == (2, 7)
    assert (statistics.events.executors_added, statistics.events.tasks_started) == (1, 0)
    assert (statistics.jobs.running, statistics.stages.waiting, statistics.tasks.launched) == (1, 1, 3)
    assert (statistics.shuffles, statistics.blocks.rdd_blocks, statistics.blocks.memory_used) == (1, 1, 10)
    bench.driver.finish_all()
    assert statistics.jobs.running == 1, "they are of one moment"
    with pytest.raises(AttributeError):
        statistics.shuffles = 2  # type: ignore[misc]


def test_events_are_told_by_type_and_stay_as_they_were(bench: StatusBench) -> None:
    added, lost = ExecutorAdded(0.0, "a", 2), BlockLost(1.0, "rdd_0_0", "a")
    bench.events.record(added)
    before = bench.status.events()
    bench.events.record(lost)
    assert (before, bench.status.events(), bench.status.events(BlockLost)) == ((added,), (added, lost), (lost,))


def test_rdds_are_told_that_are_persisted_and_stored(bench: StatusBench) -> None:
    numbers, words, unstored = Rdd(5), Rdd(3, "words"), Rdd(4)
    bench.status.persisted.update({rdd.id(): rdd for rdd in (numbers, words, unstored)})  # type: ignore[misc]
    for rdd_id in (3, 5, 6):
        bench.store(A, rdd_id, 0, HeapLocation("a"), memory_size=10)
    bench.store(B, 5, 0, HeapLocation("b"), memory_size=10)
    bench.store(B, 5, 2, HeapLocation("b"), memory_size=20)
    first, second = bench.status.stored_rdds()
    assert [(rdd.rdd_id, rdd.name, rdd.partitions) for rdd in (first, second)] == [(3, "words", 3), (5, "PythonRDD", 3)]
    assert {block_id: set(copies) for block_id, copies in second.blocks.items()} == {
        RDDBlockId(5, 0): {A, B},
        RDDBlockId(5, 2): {B},
    }
    assert bench.status.stored_blocks(5) == second.blocks
    assert len(bench.status.blocks()) == 4
    assert bench.status.stored_blocks(4) == {}
    del numbers
    assert [rdd.rdd_id for rdd in bench.status.stored_rdds()] == [3], "an RDD that nobody holds is not shown"


def test_when_the_cluster_has_stopped_there_is_nobody(bench: StatusBench) -> None:
    bench.store(A, 1, 0, HeapLocation("a"), memory_size=10)
    bench.master.receive(DRIVER, StopBlockManagerMaster(), 1.0)
    assert (bench.status.executors(), bench.status.stored_rdds(), bench.status.stored_blocks(1)) == ((), (), {})


class CountedLock:
    def __init__(self) -> None:
        self.taken = 0

    def __enter__(self) -> None:
        self.taken += 1

    def __exit__(self, *error: object) -> None: ...


QUERIES = [
    lambda status: status.statistics(),
    lambda status: status.events(),
    lambda status: status.job(0),
    lambda status: status.stage(0),
    lambda status: status.history(),
    lambda status: status.jobs_of_group(None),
    lambda status: status.active_jobs(),
    lambda status: status.running_stages(),
    lambda status: status.executors(),
    lambda status: status.former_executors(),
    lambda status: status.blocks(),
    lambda status: status.stored_rdds(),
    lambda status: status.stored_blocks(0),
]


@pytest.mark.parametrize("query", QUERIES)
def test_every_answer_is_of_one_moment(bench: StatusBench, query: Any) -> None:
    lock = CountedLock()
    query(bench.make(lock))
    assert lock.taken == 1


@pytest.mark.parametrize("query", QUERIES)
def test_a_fork_of_the_driver_is_told_nothing(bench: StatusBench, query: Any) -> None:
    bench.status.disown()
    with pytest.raises(ContextError, match="forked"):
        query(bench.status)
