"""Which results wait for others, and what is reported then."""

from __future__ import annotations

from localcluster.executor.report_batch import BATCH_BYTES, ReportBatch
from protocol.cluster_messages import TaskResult, TasksFinished
from protocol.task_output import Inline

SMALL = TaskResult(0, Inline(b"1"), None, 0.0)


def test_results_wait_while_tasks_are_queued() -> None:
    batch = ReportBatch()
    assert batch.add(SMALL, more_queued=True)
    assert not batch.add(SMALL, more_queued=False)
    assert batch.take() == TasksFinished((SMALL, SMALL))


def test_a_batch_does_not_grow_beyond_its_limit() -> None:
    batch = ReportBatch()
    half = bytes(BATCH_BYTES // 2)
    assert batch.add(TaskResult(0, Inline(half), None, 0.0), more_queued=True)
    assert not batch.add(TaskResult(1, Inline(b""), half, 0.0), more_queued=True)
    batch.take()
    assert batch.add(SMALL, more_queued=True)


def test_nothing_is_no_report() -> None:
    batch = ReportBatch()
    assert batch.take() is None
    batch.add(SMALL, more_queued=False)
    batch.take()
    assert batch.take() is None
