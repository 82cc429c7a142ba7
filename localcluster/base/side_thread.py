"""A thread beside an event loop for work that may wait: block orders to its process's own block manager, large replies.

The event loop must not do these itself: they may wait for a block that another thread is writing, and that thread may
be waiting for the event loop.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue

log = logging.getLogger(__name__)


class SideThread:
    """A thread for work that may wait, in the order submitted. ``name`` is the thread's."""

    def __init__(self, name: str = "localcluster-side") -> None:
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def submit(self, work: Callable[[], None]) -> None:
        """Run ``work`` soon. What it raises is logged."""
        self._work.put(work)

    def stop(self, timeout: float) -> None:
        """End after the work submitted so far, or after ``timeout`` seconds, if it was started."""
        self._work.put(None)
        if self._thread.ident is not None:
            self._thread.join(timeout)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            try:
                work()
            except Exception:
                log.exception("work in the thread %s failed", self._thread.name)
