"""A task's context without a task."""

from __future__ import annotations

from localcluster.task.task_context import TaskContext


def task_context() -> TaskContext:
    return TaskContext.of_task(None, 0, 0, 0, 0, {})  # type: ignore[arg-type]
