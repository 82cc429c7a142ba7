"""How often the parts of a job are tried, and how long or large they may get."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    task_failures: int = 4  # attempts of a task that may end by an error of its own
    task_losses: int = 4  # attempts of a task that may end with their executor
    stage_attempts: int = 4  # consecutive ones that may end in a fetch failure
    barrier_timeout: float = 365 * 86400.0  # seconds
    result_size: int = 0  # bytes of the results of one job; 0: any
    barrier_check_interval: float = 15.0  # seconds between two looks for enough slots
    barrier_check_failures: int = 40  # looks in a row that may find too few

    def barrier_attempts(self, result_stage: bool, executor_lost: bool) -> int:
        """How many attempts of a barrier stage in a row may end because a task failed.

        As Spark's for map stages. Spark never repeats a result stage, of which a part may have been used; ours has not
        been, so it gets the attempts that a task would get.
        """
        if not result_stage:
            return self.stage_attempts
        return self.task_losses if executor_lost else self.task_failures
