"""Where tasks of one stage attempt have failed, and so are not tried again (``spark.excludeOnFailure.*``).

A plain record: no clock. Covers one task set; what several of them say about an executor is in ``health_tracker``.
Each executor stands for a node of its own, so what Spark counts by node is counted by executor. Follows Spark's
``TaskSetExcludelist``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple


class ExcludeOnFailure(NamedTuple):
    """The settings ``spark.excludeOnFailure.*``. Times are in seconds, the next three numbers of failures."""

    attempts_per_executor: int = 1
    stage_failures_per_executor: int = 2
    application_failures_per_executor: int = 2
    timeout: float = 3600.0
    kills: bool = False  # executors that are excluded from the application
    unschedulable_timeout: float = 120.0
    task_and_stage: bool = True
    application: bool = True


class TaskSetExcludelist:
    def __init__(self, settings: ExcludeOnFailure) -> None:
        self._settings = settings
        self.failures: dict[str, dict[int, list[float]]] = {}
        """{executor id: {position: when its tasks failed there, in seconds}}"""
        self.executors: set[str] = set()
        """Ids of those that get no task of the set any more."""
        self.latest_reason = ""

    def task_failed(self, executor_id: str, position: int, reason: str, now: float) -> int | None:
        """Note a failure that counts. If that excludes the executor from the stage: how many positions failed there."""
        self.latest_reason = reason
        of_executor = self.failures.setdefault(executor_id, {})
        of_executor.setdefault(position, []).append(now)
        most = self._settings.stage_failures_per_executor
        if not self._settings.task_and_stage or len(of_executor) < most or executor_id in self.executors:
            return None
        self.executors.add(executor_id)
        return len(of_executor)

    def barred_from(self, executor_id: str) -> Collection[int]:
        """Positions that must not run on an executor that may have tasks of the set."""
        if not self._settings.task_and_stage:
            return ()
        most = self._settings.attempts_per_executor
        return [position for position, times in self.failures.get(executor_id, {}).items() if len(times) >= most]

    def stranded(self, waiting: Collection[int], usable: Iterable[str]) -> int | None:
        """A waiting position that may run on none of the executors that get tasks at all; None: there is no such."""
        allowed = [set(self.barred_from(id)) for id in usable if id not in self.executors]
        if not allowed:
            return min(waiting, default=None)
        return min(set.intersection(*allowed).intersection(waiting), default=None)
