"""The driver's lock: nobody's exception comes between the steps of a change that is made under it."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager

from localcluster.launcher.interrupts import deferred


class UninterruptedLock:
    """A re-entrant lock. While the main thread holds it, or waits for it, signals wait: a KeyboardInterrupt in the
    middle of a change would leave the scheduler with half a job.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        # Of the thread that holds the lock, inmost last; None where that is not the main thread.
        self._deferrals: list[AbstractContextManager[None] | None] = []

    def __enter__(self) -> None:
        is_main = threading.current_thread() is threading.main_thread()  # handlers run in no other
        deferral = deferred() if is_main else None
        if deferral is not None:
            deferral.__enter__()
        self._lock.acquire()
        self._deferrals.append(deferral)

    def __exit__(self, *error: object) -> None:
        deferral = self._deferrals.pop()
        self._lock.release()
        if deferral is not None:
            deferral.__exit__(None, None, None)
