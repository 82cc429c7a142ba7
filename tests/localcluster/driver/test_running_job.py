"""A job in the thread that takes its results: what it gets, how it ends, and that nothing is left of it."""

from __future__ import annotations

import gc
import os
import pickle
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any
from weakref import ref

import pytest

from localcluster.driver import running_job
from localcluster.driver.running_job import RunningJob
from localcluster.scheduler.stage import Job, JobEvent, TaskOutcome
from localcluster.task.accumulators import Accumulator, param_for
from protocol.errors import ClusterError, ContextError, JobCancelledError, JobError, SerializationError, TaskError
from protocol.locations import FileLocation
from protocol.task_output import InBlock
from storage import os_layer, serializer
from storage.block_id import TaskResultBlockId
from tests.localcluster.driver.fake_cluster import FakeCluster, outcome
from tests.localcluster.scheduler.lineage import Lineage
from tests.protocol.support import LONG
from tests.storage.clusters import ClusterMaker
from tests.storage.damage import CHANGES, Change, damage_at


class Results(list[tuple[int, Any]]):
    """(position, value), as they came."""

    def __call__(self, position: int, value: Any) -> None:
        self.append((position, value))


def again(position: int) -> Any:
    return f"result {position}, again"


class Case:
    """A job of two tasks with a large binary, and who takes its results."""

    def __init__(self, cluster: FakeCluster, on_result: Any = None) -> None:
        events: SimpleQueue[JobEvent] = SimpleQueue()
        lineage = Lineage()
        self.results = Results()
        self.cluster = cluster
        self.job: Job = lineage.job(lineage.source(2), deliver=events.put)
        self.job.final_stage.binary = cluster.blocks.put_broadcast("stage", b"binary")
        self.running = RunningJob(self.job, events, cluster, on_result or self.results, [lineage], again)  # type: ignore[arg-type]

    def assert_nothing_is_left(self) -> None:
        assert self.cluster.jobs == {}
        assert self.cluster.broadcasts == {}


@pytest.fixture
def case() -> Case:
    return Case(FakeCluster())


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[FakeCluster]:
    """With blocks."""
    maker = ClusterMaker(tmp_path)
    yield FakeCluster(maker("1"))
    maker.close()


class Unloadable:
    def __reduce__(self) -> Any:
        return int, ("not a number",)


def blocks_left(cluster: FakeCluster, *task_ids: int) -> list[int]:
    """Which of these tasks' results the block master still knows."""
    known = cluster.env.block_manager.master.get_block_status
    return [task_id for task_id in task_ids if known(TaskResultBlockId(task_id))]


# --- results ---


def test_results_are_given_on_with_their_positions_until_the_end(case: Case) -> None:
    case.cluster.on_submit = lambda job: case.cluster.run(job, "a", "b")
    case.running.run()
    assert case.results == [(0, "a"), (1, "b")]
    case.assert_nothing_is_left()


def test_results_are_given_on_while_others_are_computed_in_the_thread_that_waits() -> None:
    cluster, threads, came = FakeCluster(), [], threading.Event()

    def on_result(position: int, value: Any) -> None:
        threads.append(threading.current_thread())
        came.set()

    def deliver() -> None:
        case.job.deliver([outcome(0, "a")])
        if came.wait(LONG):
            case.job.deliver([outcome(1, "b")])
        cluster.end(case.job)

    case = Case(cluster, on_result)
    executor = threading.Thread(target=deliver)
    cluster.on_submit = lambda job: executor.start()
    case.running.run()
    executor.join(LONG)
    assert threads == [threading.current_thread()] * 2


def test_updates_of_accumulators_are_merged_those_of_map_tasks_too(case: Case) -> None:
    total = Accumulator(-1, 0, param_for(0))
    updates = b"".join(serializer.dumps({-1: 3}))
    case.running.start()
    case.job.deliver([TaskOutcome(None, 7, None, updates), outcome(0, "a", updates)])
    case.cluster.end(case.job)
    assert case.running.collect()
    assert total.value == 6
    assert case.results == [(0, "a")]


def test_a_result_in_a_block_is_read_and_its_block_removed(cluster: FakeCluster) -> None:
    case = Case(cluster)
    case.running.start()
    case.job.deliver([TaskOutcome(0, 7, cluster.stored(7, ["large"]), None)])
    assert blocks_left(cluster, 7) == [7]
    cluster.end(case.job)
    assert case.running.collect()
    assert case.results == [(0, ["large"])]
    assert blocks_left(cluster, 7) == []


def test_a_result_whose_file_is_gone_is_read_from_its_writer(cluster: FakeCluster) -> None:
    case = Case(cluster)
    stored = cluster.stored(7, "large")
    os_layer.unlink(stored.location.path)
    case.running.start()
    case.job.deliver([TaskOutcome(0, 7, stored, None)])
    cluster.end(case.job)
    assert case.running.collect()
    assert case.results == [(0, "large")]
    assert blocks_left(cluster, 7) == []


def test_a_result_that_cannot_be_unpickled_ends_the_job_and_leaves_no_block(cluster: FakeCluster) -> None:
    case = Case(cluster)
    case.running.start()
    case.job.deliver([TaskOutcome(0, 7, cluster.stored(7, Unloadable()), None)])
    with pytest.raises(SerializationError):
        case.running.collect()
    assert blocks_left(cluster, 7) == []
    case.assert_nothing_is_left()


def test_a_result_that_nobody_has_any_more_is_computed_again(cluster: FakeCluster) -> None:
    case = Case(cluster)
    case.running.start()
    case.job.deliver([TaskOutcome(0, 7, InBlock(FileLocation("/nowhere", 0, 10)), None)])
    cluster.end(case.job)
    assert case.running.collect()
    assert case.results == [(0, "result 0, again")]
    case.assert_nothing_is_left()


@pytest.mark.parametrize("change", CHANGES)
def test_a_damaged_result_is_computed_again_and_its_block_removed(cluster: FakeCluster, change: Change) -> None:
    case = Case(cluster)
    stored = cluster.stored(7, bytearray(100_000))
    damage_at(stored.location, change)
    case.running.start()
    case.job.deliver([TaskOutcome(1, 7, stored, None)])
    cluster.end(case.job)
    assert case.running.collect()
    assert case.results == [(1, "result 1, again")]
    assert blocks_left(cluster, 7) == []


def test_a_result_that_was_cut_short_is_computed_again(cluster: FakeCluster) -> None:
    case = Case(cluster)
    stored = cluster.stored(7, bytearray(100_000))
    os.truncate(stored.location.path, 4096)
    case.running.start()
    case.job.deliver([TaskOutcome(0, 7, stored, None)])
    cluster.end(case.job)
    assert case.running.collect()
    assert case.results == [(0, "result 0, again")]


def test_what_is_only_computed_again_adds_nothing_to_accumulators(case: Case) -> None:
    total = Accumulator(-2, 0, param_for(0))
    running = RunningJob(case.job, case.running._events, case.cluster, case.results, [], again, merges=False)  # type: ignore[arg-type]
    running.start()
    case.job.deliver([outcome(0, "a", b"".join(serializer.dumps({-2: 3})))])
    case.cluster.end(case.job)
    assert running.collect()
    assert (total.value, case.results) == (0, [(0, "a")])


# --- ends ---


def test_the_error_of_a_job_is_raised(case: Case) -> None:
    case.cluster.on_submit = lambda job: case.cluster.end(job, JobError("it failed"))
    with pytest.raises(JobError, match="it failed"):
        case.running.run()
    case.assert_nothing_is_left()


def test_the_exception_of_the_task_is_the_cause(case: Case) -> None:
    case.cluster.on_submit = lambda job: case.cluster.end(job, TaskError("it failed"), pickle.dumps(KeyError("k")))
    with pytest.raises(TaskError, match="it failed") as raised:
        case.running.run()
    assert repr(raised.value.__cause__) == "KeyError('k')"


def test_a_caught_error_keeps_nothing_of_its_job_alive() -> None:
    """Only the collector of cycles would free what jobs used."""
    gc.disable()
    try:
        case = Case(cluster := FakeCluster())
        cluster.on_submit = lambda job: cluster.end(job, JobError("it failed"))
        results = ref(case.results)
        with pytest.raises(JobError) as raised:
            case.running.run()
        del case, raised
        assert results() is None
    finally:
        gc.enable()


def test_a_job_that_cannot_be_submitted_leaves_nothing(case: Case) -> None:
    case.cluster.broken = ContextError("Cannot call methods on a stopped SparkContext.")
    for begin in (case.running.run, Case(case.cluster).running.start):
        with pytest.raises(ContextError, match="stopped"):
            begin()
    case.assert_nothing_is_left()


def test_who_waits_sees_that_the_driver_is_broken(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running_job, "LIVENESS_CHECK", 0.001)
    case.running.start()
    case.cluster.broken = ClusterError("the driver's event loop is not running")
    with pytest.raises(ClusterError, match="not running"):
        case.running.collect()
    case.assert_nothing_is_left()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_exception_while_results_are_taken_cancels_the_job_and_removes_the_rest(
    cluster: FakeCluster, error: type[BaseException]
) -> None:
    def on_result(position: int, value: Any) -> None:
        raise error

    case = Case(cluster, on_result)
    case.running.start()
    case.job.deliver([outcome(0, "a"), TaskOutcome(1, 6, cluster.stored(6, "large"), None)])
    case.job.deliver([TaskOutcome(1, 7, cluster.stored(7, "large"), None), TaskOutcome(None, 8, None, None)])
    with pytest.raises(error):
        case.running.collect()
    assert cluster.cancelled == [case.job.id]
    assert blocks_left(cluster, 6, 7) == []
    case.assert_nothing_is_left()


# --- deadlines ---


def test_a_deadline_leaves_the_job_to_be_collected_later(case: Case) -> None:
    case.running.start()
    case.job.deliver([outcome(1, "b")])
    assert not case.running.collect(0.0)
    assert case.results == [(1, "b")]
    assert case.cluster.broadcasts  # the code, which other tasks may need
    case.job.deliver([outcome(0, "a")])
    case.cluster.end(case.job)
    assert case.running.collect(0.0)
    assert case.results == [(1, "b"), (0, "a")]
    case.assert_nothing_is_left()


def test_a_deadline_is_waited_for_while_nothing_comes(case: Case) -> None:
    case.running.start()
    before = time.monotonic()
    assert not case.running.collect(0.02)
    assert time.monotonic() >= before + 0.02
    case.running.abandon()


# --- abandoned jobs ---


def test_an_abandoned_job_is_cancelled_and_its_results_removed(cluster: FakeCluster) -> None:
    case = Case(cluster)
    case.running.start()
    case.job.deliver([TaskOutcome(0, 7, cluster.stored(7, "large"), None), outcome(1, "b")])
    case.running.abandon()
    assert cluster.cancelled == [case.job.id]
    assert blocks_left(cluster, 7) == []
    assert case.results == []
    case.assert_nothing_is_left()


def test_a_job_that_has_ended_is_not_cancelled_but_its_results_are_removed(cluster: FakeCluster) -> None:
    case = Case(cluster)
    case.running.start()
    case.job.deliver([TaskOutcome(0, 7, cluster.stored(7, "large"), None)])
    cluster.end(case.job)
    case.running.abandon()
    assert cluster.cancelled == []
    assert blocks_left(cluster, 7) == []
    case.assert_nothing_is_left()


def test_a_job_may_be_abandoned_later_by_a_thread_that_gets_nothing_of_the_users() -> None:
    case = Case(cluster := FakeCluster())
    results = ref(case.results)
    case.running.start()
    case.running.abandon_later()
    assert cluster.cancelled == []
    del case
    assert results() is None
    cluster.deferred.pop()()
    assert cluster.cancelled == [0]
    assert cluster.broadcasts == {}


def test_a_closed_cluster_has_no_code_to_remove(case: Case) -> None:
    case.running.start()
    case.cluster.end(case.job, JobCancelledError("because SparkContext was shut down"))
    case.cluster.closed = True
    with pytest.raises(JobCancelledError, match="shut down"):
        case.running.collect()
    assert case.cluster.broadcasts  # nobody asked
