"""What a task knows of itself, and what runs at its end."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from localcluster.task.barrier_task_context import BarrierTaskContext
from localcluster.task.task_context import TaskContext
from protocol.errors import PySparkRuntimeError
from tests.localcluster.task.contexts import task_context


def test_a_task_is_told_who_it_is() -> None:
    context = TaskContext.of_task(None, 3, 5, 1, 77, {"pool": "fast"})  # type: ignore[arg-type]
    assert (context.stageId(), context.partitionId(), context.attemptNumber(), context.taskAttemptId()) == (3, 5, 1, 77)
    assert (context.cpus(), context.resources()) == (1, {})
    assert (context.getLocalProperty("pool"), context.getLocalProperty("other")) == ("fast", None)


def in_another_thread(func: Callable[[], Any]) -> Any:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(func()))
    thread.start()
    thread.join(20)
    return found[0]


def numbered(task_id: int) -> TaskContext:
    return TaskContext.of_task(None, 0, 0, 0, task_id, {})  # type: ignore[arg-type]


def test_the_context_is_found_from_enter_to_leave() -> None:
    assert TaskContext.get() is None
    context = task_context()
    context.enter()
    assert TaskContext.get() is context
    context.leave()
    assert TaskContext.get() is None


def test_a_tasks_threads_find_its_context_unless_another_task_runs_too() -> None:
    first, second = numbered(1), numbered(2)
    first.enter()
    assert in_another_thread(TaskContext.get) is first
    in_another_thread(second.enter)
    assert TaskContext.get() is first
    assert in_another_thread(TaskContext.get) is None
    second.leave()
    first.leave()
    assert in_another_thread(TaskContext.get) is None


def test_calling_the_class_gives_the_running_tasks_context() -> None:
    context = numbered(3)
    context.enter()
    assert TaskContext() is context
    assert TaskContext._getOrCreate() is context
    context.leave()


def test_where_no_task_runs_calling_the_class_gives_an_empty_context() -> None:
    empty = TaskContext()
    assert (empty.stageId(), empty.cpus(), empty.resources(), empty.getLocalProperty("a")) == (None,) * 4
    assert TaskContext.get() is None


def test_a_context_can_be_set_by_hand() -> None:
    context = numbered(4)
    TaskContext._setTaskContext(context)
    assert TaskContext.get() is context
    TaskContext._setTaskContext(None)
    assert TaskContext.get() is None


def test_a_pickled_context_keeps_what_it_was_and_is_nobodys() -> None:
    context = TaskContext.of_task(object(), 3, 5, 1, 77, {"pool": "fast"}, 2)  # type: ignore[arg-type]
    context.on_completion(print)
    copy = pickle.loads(pickle.dumps(context))
    assert (copy.stageId(), copy.partitionId(), copy.attemptNumber(), copy.taskAttemptId()) == (3, 5, 1, 77)
    assert (copy.cpus(), copy.cpuAmount(), copy.getLocalProperty("pool")) == (2, Decimal(2), "fast")
    assert TaskContext.get() is None


def test_a_plain_task_is_in_no_barrier_stage() -> None:
    context = numbered(5)
    context.enter()
    with pytest.raises(PySparkRuntimeError) as caught:
        BarrierTaskContext.get()
    context.leave()
    assert caught.value.getCondition() == "NOT_IN_BARRIER_STAGE"
    with pytest.raises(PySparkRuntimeError, match="NOT_IN_BARRIER_STAGE"):
        BarrierTaskContext.get()


@pytest.mark.parametrize("method", ["barrier", "allGather", "getTaskInfos"])
def test_an_empty_barrier_context_can_wait_for_nobody(method: str) -> None:
    with pytest.raises(PySparkRuntimeError, match="before initializing BarrierTaskContext"):
        getattr(BarrierTaskContext._getOrCreate(), method)()


def test_a_barrier_context_is_its_tasks_context_and_passes_calls_on() -> None:
    context = BarrierTaskContext.of_task(None, 0, 0, 0, 6, {})  # type: ignore[arg-type]
    assert isinstance(context, BarrierTaskContext)
    calls = []
    context.attach(("here:1", "here:2"), lambda *call: calls.append(call) or ["a", "b"])  # type: ignore[func-returns-value]
    context.enter()
    assert TaskContext.get() is BarrierTaskContext.get() is BarrierTaskContext._getOrCreate() is context
    context.leave()
    assert [info.address for info in context.getTaskInfos()] == ["here:1", "here:2"]
    context.barrier()
    assert context.allGather("a") == ["a", "b"]
    assert calls == [("barrier", ""), ("allGather", "a")]
    with pytest.raises(TypeError, match="must be of type `str`"):
        context.allGather(1)  # type: ignore[arg-type]
    with pytest.raises(PySparkRuntimeError):
        pickle.loads(pickle.dumps(context)).barrier()


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
