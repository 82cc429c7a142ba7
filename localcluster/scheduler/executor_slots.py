"""What the scheduler knows of one executor: its cores, and the tasks that it has."""

from __future__ import annotations

from dataclasses import dataclass, field

from localcluster.scheduler.task_set import TaskSet


@dataclass
class ExecutorSlots:
    cores: int
    tasks: dict[int, TaskSet] = field(default_factory=dict)  # {task id: its set}, in launch order
    stages: set[int] = field(default_factory=set)  # keys of stage attempts whose binary it has
    heard_at: float = 0.0  # seconds; when a task of it ended, or was sent to it
    launched: int = 0  # tasks so far, as are the next
    failed: int = 0
    returned: int = 0
    excluded: bool = False  # it gets no tasks: see `exclusions`
    stuck: bool = False  # its queue was recalled, and it has not ended a task since: it gets no other queue

    @property
    def completed(self) -> int:
        """Tasks that succeeded so far."""
        return self.launched - self.failed - self.returned - len(self.tasks)  # not counted, which would take time
