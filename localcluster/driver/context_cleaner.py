"""Cleaning what the driver's program can no longer reach: RDDs, broadcasts, shuffles, accumulators.

A finalizer hangs on each object. Finalizers run wherever the garbage collector happens to, also while locks are held,
so they only append to a deque and wake the event loop, whose next round removes the blocks everywhere. Follows
Spark's ``ContextCleaner``.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable
from typing import Any


class ContextCleaner:
    """Cleans up after objects of the program that are gone. ``wake`` must be safe to call from a finalizer."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._dead: deque[Callable[[], None]] = deque()
        self._stopped = False

    def register(self, owner: object, clean: Callable[[], None]) -> weakref.finalize[Any, Any]:
        """Call ``clean()`` in a round after ``owner`` was collected; ``clean`` must not refer to it."""
        finalizer = weakref.finalize(owner, self._collected, clean)
        finalizer.atexit = False
        return finalizer

    def run(self) -> None:
        """Clean up for what was collected since the last time. Called by the event loop."""
        while self._dead and not self._stopped:
            self._dead.popleft()()

    def stop(self) -> None:
        self._stopped = True  # no clear: only `run` takes from the deque, maybe at this moment

    def _collected(self, clean: Callable[[], None]) -> None:
        if not self._stopped:
            self._dead.append(clean)
            self._wake()
