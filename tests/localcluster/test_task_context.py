"""What a task knows of itself, and what runs at its end."""

from __future__ import annotations

import threading

import pytest

from localcluster.task_context import TaskContext
from tests.localcluster.shuffle.bench import task_context


def test_a_task_is_told_who_it_is() -> None:
    context = TaskContext.of_task(None, 3, 5, 1, 77, {"pool": "fast"})  # type: ignore[arg-type]
    assert (context.stageId(), context.partitionId(), context.attemptNumber(), context.taskAttemptId()) == (3, 5, 1, 77)
    assert (context.cpus(), context.resources()) == (1, {})
    assert (context.getLocalProperty("pool"), context.getLocalProperty("other")) == ("fast", None)


def test_the_context_is_the_threads_own_from_enter_to_leave() -> None:
    assert TaskContext.get() is None
    context, others = task_context(), []
    context.enter()
    thread = threading.Thread(target=lambda: others.append(TaskContext.get()))
    thread.start()
    thread.join(20)
    assert (TaskContext.get(), others) == (context, [None])
    context.leave()
    assert TaskContext.get() is None


def test_callbacks_run_last_first_and_one_that_raises_stops_none(caplog: pytest.LogCaptureFixture) -> None:
    context, ran = task_context(), []
    context.on_completion(lambda c: ran.append("first"))
    context.on_completion(lambda c: 1 / 0)  # type: ignore[arg-type, return-value]
    context.on_completion(lambda c: c.on_completion(lambda _: ran.append("late")))
    context.leave()
    assert ran == ["late", "first"]
    assert "ZeroDivisionError" in caplog.text
    context.leave()
    assert ran == ["late", "first"]
