"""`TaskQueue`: the tasks that an executor was given and has not started, and the code of the stages it knows.

A plain state machine: orders in, what is to be reported out; it does not wait, run tasks or report. Each method is safe
beside any other in another thread: whoever takes a task out of the queue has it, and nobody else.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

from protocol.cluster_messages import TaskDescription

Code = TypeVar("Code")


class TaskQueue(Generic[Code]):
    """``Code`` is what the tasks of one stage attempt have in common."""

    def __init__(self) -> None:
        self._stages: dict[int, Code] = {}  # {stage key: its code}
        self._waiting: dict[int, tuple[Code, TaskDescription]] = {}  # {task id: what it takes to run it}

    def add_stage(self, stage_key: int, code: Code) -> None:
        """The code came, with the first tasks of the stage."""
        self._stages[stage_key] = code

    def drop_stage(self, stage_key: int) -> None:
        """No further tasks of it will come. Those that are here keep the code."""
        self._stages.pop(stage_key, None)

    def add(self, stage_key: int, tasks: Iterable[TaskDescription]) -> None:
        """Precondition: the stage is known."""
        code = self._stages[stage_key]
        for task in tasks:
            self._waiting[task.task_id] = (code, task)

    def start(self, task_id: int) -> tuple[Code, TaskDescription] | None:
        """Take a task to run it. None when it was given back or given up."""
        return self._waiting.pop(task_id, None)

    def give_back(self, task_ids: Iterable[int]) -> tuple[int, ...]:
        """The driver asks for these; those of them that were not started are its again."""
        return tuple(task_id for task_id in task_ids if self._waiting.pop(task_id, None) is not None)

    def give_up(self, task_id: int) -> bool:
        """A task is to end. False when it was started: then whoever runs it must be told."""
        return self._waiting.pop(task_id, None) is not None

    @property
    def has_tasks(self) -> bool:
        """Whether more tasks wait."""
        return bool(self._waiting)
