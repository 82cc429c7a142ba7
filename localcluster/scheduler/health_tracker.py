"""Executors that get no tasks of any stage for a time, since too many failed there (``spark.excludeOnFailure.*``).

A plain state machine: no clock (``now`` in seconds is passed in). What counts are the failures in task sets that
succeeded in the end: there it was the executor and not the program. Follows Spark's ``HealthTracker``.
"""

from __future__ import annotations

from collections.abc import Container

from localcluster.scheduler.task_set import TaskSet
from localcluster.scheduler.task_set_excludelist import ExcludeOnFailure


class HealthTracker:
    def __init__(self, settings: ExcludeOnFailure) -> None:
        self._settings = settings
        self._failures: dict[str, list[float]] = {}  # {executor id: when each is forgotten, in seconds}
        self.excluded: dict[str, float] = {}
        """{executor id: until when, in seconds}"""

    def task_set_succeeded(self, task_set: TaskSet, alive: Container[str], now: float) -> list[tuple[str, int]]:
        """Count the failures of a task set, each position of it once. The executors that are excluded by that, and how
        many failures each has.
        """
        assert task_set.excludelist is not None
        found = []
        for executor_id, positions in task_set.excludelist.failures.items():
            if executor_id in alive and self._settings.application:
                of_executor = self._failures.setdefault(executor_id, [])
                of_executor += [max(times) + self._settings.timeout for times in positions.values()]
                of_executor[:] = [until for until in of_executor if until > now]
                failures = len(of_executor)
                if failures >= self._settings.application_failures_per_executor and executor_id not in self.excluded:
                    self.excluded[executor_id] = now + self._settings.timeout
                    found.append((executor_id, failures))
        return found

    def expire(self, now: float) -> None:
        """Executors whose time is over get tasks again, and nothing is held against them."""
        for executor_id in [id for id, until in self.excluded.items() if now >= until]:
            del self.excluded[executor_id]

    def forget(self, executor_id: str) -> None:
        """The executor is lost."""
        self.excluded.pop(executor_id, None)
        self._failures.pop(executor_id, None)
