"""What the final stage of a job does with its partitions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from localcluster.task.task_context import TaskContext


class ResultAction:
    """``func(task_context, iterator)`` on each partition gives one object, the task's result."""

    __slots__ = ("func",)

    def __init__(self, func: Callable[[TaskContext, Any], Any]) -> None:
        self.func = func

    def __repr__(self) -> str:
        return repr(self.func)
