"""`ForkedDriver`: the driver of `run`, as the launcher sees it that forked it. Its end is the run's.

Covers the signals that are passed on to it, and what its exit status says. Does not fork it, nor wait for its end:
``launcher`` does, which reaps all its children.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress

from localcluster.launcher.forking import kill
from localcluster.launcher.interrupts import INTERRUPTED

TERM_GRACE = 10.0  # seconds for a driver to end after a SIGTERM was passed on


class ForkedDriver:
    """``pid`` is its process id, for as long as it has not ended."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._status: int | None = None  # as `os.waitpid` tells it
        self._terminate_by = float("inf")  # seconds, monotonic
        self._was_interrupted = False  # a SIGINT was passed on
        # Signals to it that are no news; nor is a Ctrl-C, which it tells of itself.
        self._sent: set[int] = {signal.SIGINT}

    @property
    def has_ended(self) -> bool:
        return self._status is not None

    def ended(self, status: int) -> None:
        self._status = status

    def pass_on(self, signum: int) -> None:
        """A signal came. A Ctrl-C may have reached it already, as it reaches the whole process group: it is passed on
        as SIGUSR2, and the driver counts it only if it has seen none (``interrupts``).
        """
        self._send(signal.SIGUSR2 if signum == signal.SIGINT else signum)
        self._was_interrupted |= signum == signal.SIGINT
        if signum == signal.SIGTERM:
            self._terminate_by = time.monotonic() + TERM_GRACE

    def expire(self) -> None:
        """End it by force if it did not end in time."""
        if time.monotonic() > self._terminate_by:
            self._send(signal.SIGKILL)

    def end(self) -> None:
        """By force, and wait for it."""
        if not self.has_ended:
            self._send(signal.SIGKILL)
            self._status = os.waitpid(self.pid, 0)[1]

    def _send(self, signum: int) -> None:
        if not self.has_ended:
            self._sent.add(signum)
            kill(self.pid, signum)

    @property
    def exit_code(self) -> int:
        """The run's: 128 + n when signal n ended it."""
        code = self._code
        if code == -signal.SIGUSR2 and self._was_interrupted:  # near its end, when Python has put back the defaults
            return INTERRUPTED
        return code if code >= 0 else 128 - code

    def tell_of_signal(self) -> None:
        """Of one that ended it, which says nothing then, and that did not come from us."""
        if self._code < 0 and -self._code not in self._sent:
            with suppress(OSError):  # whoever read it may be gone as well
                print(f"localcluster: the driver was killed by signal {-self._code}", file=sys.stderr)

    @property
    def _code(self) -> int:
        assert self._status is not None
        return os.waitstatus_to_exitcode(self._status)
