"""A task that was sent to an executor, as the scheduler's parts pass it around."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class RunningTask:
    """A task that was sent to an executor and has not been heard of yet."""

    task_id: int
    position: int
    attempt: int
    executor_id: str
    started: float | None = None  # seconds, monotonic; None: it was queued there, and nobody has asked since
    killed: bool = False  # it was told to end
