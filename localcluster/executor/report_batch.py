"""`ReportBatch`: results of tasks that wait to be reported together, and what is too much to wait.

A plain state machine, for one thread at a time. When waiting results are reported at last is up to ``reporter``, which
keeps time.
"""

from __future__ import annotations

from protocol.cluster_messages import TaskResult, TasksFinished
from protocol.task_output import Inline

BATCH_BYTES = 256 * 1024  # of results and accumulator updates in one report


class ReportBatch:
    def __init__(self) -> None:
        self._results: list[TaskResult] = []
        self._bytes = 0

    def add(self, result: TaskResult, *, more_queued: bool) -> bool:
        """Whether it may wait for the results of tasks that are queued; else all are to be reported now."""
        self._results.append(result)
        if isinstance(result.output, Inline):
            self._bytes += result.output.size
        if result.updates is not None:
            self._bytes += len(result.updates)
        return more_queued and self._bytes < BATCH_BYTES

    def take(self) -> TasksFinished | None:
        """The report, if there is anything to report."""
        if not self._results:
            return None
        report = TasksFinished(tuple(self._results))
        self._results = []
        self._bytes = 0
        return report
