"""When to try again what the system had no room for, and when it has been tried long enough."""

from __future__ import annotations

FIRST_PAUSE = 0.1  # seconds; each pause is twice the one before
LONGEST_PAUSE = 5.0  # seconds
PATIENCE = 30.0  # seconds of failures in a row


class Backoff:
    """When to try again to start an executor, and when to give up. Times are seconds, monotonic."""

    def __init__(self) -> None:
        self._since: float | None = None  # the first failure of the row
        self._pause = 0.0
        self._due = 0.0

    @property
    def is_failing(self) -> bool:
        return self._since is not None

    def failed(self, now: float) -> None:
        """Several failures of one try are one."""
        if self._since is None:
            self._since, self._pause = now, FIRST_PAUSE
        elif now < self._due:
            return
        else:
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
        self._due = now + self._pause

    def succeeded(self) -> None:
        self._since = None

    def is_due(self, now: float) -> bool:
        """Whether to try again."""
        return now >= self._due

    def is_over(self, now: float) -> bool:
        """Whether it has failed for so long that there is no point in going on."""
        return self._since is not None and now >= self._since + PATIENCE
