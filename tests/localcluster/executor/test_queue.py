"""Orders about a task that come in the moment in which it leaves the queue."""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, cast

import pytest

from localcluster.executor.executor import Executor
from localcluster.executor.kills import Kills
from localcluster.executor.stage_code import StageCode
from localcluster.executor.task_queue import TaskQueue
from protocol.cluster_messages import KillTask, TaskDescription, TaskKilled

CODE = cast(StageCode, "code")


class Reporter:
    def __init__(self) -> None:
        self.told: list[Any] = []

    def tell(self, *reports: Any) -> None:
        self.told += reports

    def wake(self) -> None:
        pass


class Leaving(dict[int, Any]):
    """A queue in which something happens just before or after the first task is taken out of it."""

    before: Callable[[], None] | None = None
    after: Callable[[], None] | None = None

    def pop(self, key: int, *default: Any) -> Any:
        before, after, self.before, self.after = self.before, self.after, None, None
        if before is not None:
            before()
        found = super().pop(key, *default)
        if after is not None:
            after()
        return found


class Bed(Executor):
    """An executor without pipes, whose tasks only say whether they were to end."""

    def __init__(self) -> None:
        self._queue = SimpleQueue()
        self._tasks = TaskQueue()
        self.leaving = self._tasks._waiting = Leaving()
        self._tasks.add_stage(1, CODE)
        self._tasks.add(1, [TaskDescription(7, 0, 0, b"")])
        self._kills = Kills()
        self._kills._main = None  # nobody is interrupted
        self._reporter = Reporter()  # type: ignore[assignment]
        self.reasons: list[str | None] = []
        for task_id in (7, None):
            self._queue.put(task_id)

    def _run_task(self, code: StageCode, task: TaskDescription) -> None:
        self.reasons.append(self._kills.end(task.task_id))


def test_a_kill_just_after_reaches_the_task() -> None:
    bed = Bed()
    bed.leaving.after = lambda: bed._kill(KillTask(7, "enough"))  # type: ignore[attr-defined]
    bed._run_tasks()
    assert (bed.reasons, bed._reporter.told) == (["enough"], [])  # type: ignore[attr-defined]


def test_a_kill_just_before_takes_the_task_away() -> None:
    bed = Bed()
    bed.leaving.before = lambda: bed._kill(KillTask(7, "enough"))  # type: ignore[attr-defined]
    bed._run_tasks()
    assert (bed.reasons, bed._reporter.told) == ([], [TaskKilled(7, "enough")])  # type: ignore[attr-defined]
    assert bed._kills.running == ()


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_recall_gets_it_back_or_lets_it_run(moment: str) -> None:
    bed = Bed()
    setattr(bed.leaving, moment, lambda: bed._return((7,)))
    bed._run_tasks()
    assert len(bed.reasons) + len(bed._reporter.told) == 1  # type: ignore[attr-defined]
    assert bed._kills.running == ()
