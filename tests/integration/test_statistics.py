"""`sc.statistics()` of a real context."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from localcluster import SparkContext, StorageLevel
from localcluster.errors import PySparkTypeError
from localcluster.events import ExecutorLost, TaskRef, TaskStarted
from tests.support import wait_until


def test_statistics_tell_what_a_job_did_and_left(sc: SparkContext) -> None:
    sc.parallelize([0]).count()
    gc.collect()
    wait_until(lambda: sc.statistics().blocks.blocks == 0, "what the fixture left is not cleaned")
    before = sc.statistics()
    cached = sc.parallelize([b"x" * 10_000] * 4, 4).persist(StorageLevel.OFF_HEAP)
    variable = sc.broadcast(list(range(100_000)))
    shuffled = cached.map(lambda data: (len(data), variable.value[1])).reduceByKey(max, 3)
    assert shuffled.count() == 1
    after = sc.statistics()
    assert after.executors.alive == 2
    assert after.jobs.succeeded - before.jobs.succeeded == 1
    assert after.stages.completed - before.stages.completed == 2
    assert after.tasks.finished - before.tasks.finished == 7
    assert after.tasks.at_executors == after.tasks.pending == 0
    assert after.shuffles - before.shuffles == 1
    assert (after.blocks.rdd_blocks, after.blocks.broadcasts) == (4, 1)
    assert after.blocks.off_heap_used > 40_000
    assert after.messages.frames_received > before.messages.frames_received
    del shuffled
    cached.unpersist(blocking=True)
    variable.destroy(blocking=True)
    gc.collect()
    wait_until(lambda: sc.statistics().blocks.blocks == 0)


def test_the_example_in_its_docstring_is_true(sc: SparkContext) -> None:
    before = sc.statistics()
    assert sc.parallelize(range(10), 4).sum() == 45
    assert sc.statistics().tasks.finished - before.tasks.finished == 4


def test_the_starts_of_tasks_are_told_one_by_one(sc: SparkContext) -> None:
    before = len(sc.events(TaskStarted))
    sc.parallelize(range(100), 100).count()
    started = sc.events(TaskStarted)[before:]
    assert sorted(event.task.partition for event in started) == list(range(100))
    assert len({(event.task.stage_id, event.task.stage_attempt) for event in started}) == 1
    assert {event.executor_id for event in started} <= {"0", "1"}
    assert [event.at for event in started] == sorted(event.at for event in started)


@pytest.mark.parametrize("kind", [TaskRef, "TaskStarted", ExecutorLost(0.0, "0", "", None, None, ())])
def test_only_types_of_events_can_be_asked_for(sc: SparkContext, kind: Any) -> None:
    with pytest.raises(PySparkTypeError, match=r"types of events must be classes of localcluster\.events, not "):
        sc.events(kind)


def test_a_context_that_is_stopped_tells_what_it_did(sc: SparkContext) -> None:
    """The last here: it ends the module's context."""
    done = sc.statistics().tasks.finished
    sc.stop()
    stopped = sc.statistics()
    assert (stopped.tasks.finished, stopped.executors.alive, stopped.blocks.blocks) == (done, 0, 0)
    assert stopped.messages.bytes_sent > 0
    assert len(sc.events(TaskStarted)) == stopped.events.tasks_started == stopped.tasks.launched
