"""Virtual time: a clock that stands still while work is done, and jumps to the next thing that is due."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count

from tests.simulation.trace import Trace


class Clock:
    """Work that is due at one moment is done in the order in which it was put off."""

    def __init__(self, trace: Trace) -> None:
        self.now = 0.0  # seconds
        self.trace = trace
        trace.clock = self
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()

    def __call__(self) -> float:
        return self.now

    def later(self, delay: float, work: Callable[[], None]) -> None:
        """Do it in so many seconds."""
        heapq.heappush(self._due, (self.now + delay, next(self._numbers), work))

    def run(self, until: float, done: Callable[[], bool]) -> bool:
        """Let time pass until ``done()`` or the moment ``until``. Whether it was done in time."""
        while not done():
            if not self._due or self._due[0][0] > until:
                self.now = until
                return done()
            self.now, _, work = heapq.heappop(self._due)
            work()
        return True
