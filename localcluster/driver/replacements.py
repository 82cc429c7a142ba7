"""When another executor is ordered in the place of a lost one: at once, after a pause, or never more.

Most are replaced at once. Pauses that grow come before those that the system has no room for, and from the second
executor in a row on that died early: before it was ready, or soon after without having been given a task. What goes on
failing is hopeless in the end. Deaths of executors that had tasks never are: the tasks' own limits end their jobs.

A state machine without a clock. Does not order (``executor_pool``).
"""

from __future__ import annotations

from localcluster.driver.backoff import PATIENCE, Backoff
from localcluster.driver.known_executor import Executor

MAX_EARLY_DEATHS = 5  # in a row: forking more is pointless
SOON = 5.0  # seconds after it was ready


class Replacements:
    """The lost executors that are still to be replaced. Times are seconds, monotonic."""

    def __init__(self) -> None:
        self._at_once: list[str] = []  # ids of the lost
        self._put_off: list[tuple[str, Backoff]] = []
        self._shortage, self._early = Backoff(), Backoff()
        self._before_ready = self._soon_after = 0  # early deaths in a row

    def __len__(self) -> int:
        """How many are still to be ordered."""
        return len(self._at_once) + len(self._put_off)

    @property
    def is_short(self) -> bool:
        """Whether the system had no room for the last one."""
        return self._shortage.is_failing

    def registered(self) -> None:
        """An executor got ready."""
        self._shortage.succeeded()
        self._before_ready = 0
        if not self._soon_after:
            self._early.succeeded()

    def settled(self) -> None:
        """An executor was given a task, or has been ready for longer than `SOON`."""
        self._soon_after = 0
        if not self._before_ready:
            self._early.succeeded()

    def lost(self, executor: Executor, reason: str, others_work: bool, now: float) -> str | None:
        """Note one to be replaced. Returns why there is no hope, or None."""
        if executor.short_of is not None:
            self._pause(executor, self._shortage, now)
            if self._shortage.is_over(now) and not others_work:  # as Spark's master does
                return f"no executor could be started for {PATIENCE:g} s: {executor.short_of}"
            return None
        if not executor.was_ready:
            self._before_ready += 1
            if self._before_ready >= MAX_EARLY_DEATHS:
                return f"{self._before_ready} executors in a row died before they were ready; the last: {reason}"
        elif not executor.was_used and now - executor.ready_at < SOON:
            self._soon_after += 1
            if self._soon_after >= MAX_EARLY_DEATHS and not others_work:
                died = f"died within {SOON:g} s of being ready, without a task"
                return f"{self._soon_after} executors in a row {died}; the last: {reason}"
        else:
            self._at_once.append(executor.executor_id)
            return None
        if self._before_ready + self._soon_after > 1:
            self._pause(executor, self._early, now)
        else:
            self._at_once.append(executor.executor_id)
        return None

    def _pause(self, executor: Executor, backoff: Backoff, now: float) -> None:
        self._put_off.append((executor.executor_id, backoff))
        backoff.failed(now)

    def due(self, now: float) -> list[str]:
        """The lost ones to be replaced now."""
        due, self._at_once = self._at_once, []
        due += [lost for lost, backoff in self._put_off if backoff.is_due(now)]
        self._put_off = [(lost, backoff) for lost, backoff in self._put_off if not backoff.is_due(now)]
        return due

    def give_up(self, number: int) -> None:
        """So many fewer are wanted."""
        self._put_off = self._put_off[: max(0, len(self._put_off) - number)]

    def clear(self) -> None:
        self._at_once, self._put_off = [], []
