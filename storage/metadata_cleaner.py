"""Drops what is older than a time to live, again and again: Spark 1.x's ``MetadataCleaner`` (``spark.cleaner.ttl``).

Covers the timer. Does not cover what is dropped (`BlockManager.drop_old_broadcast_blocks` and such), nor the cleaning
of what the driver no longer references, which is the context cleaner's.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

logger = logging.getLogger(__name__)

_MIN_PERIOD = 10.0  # seconds between two runs at least, as in Spark
_STOP_DEADLINE = 10.0  # seconds that `stop` waits for a run that is under way


class MetadataCleaner:
    """Calls ``clean(cleanup_time)`` every tenth of the time to live; what was made before `cleanup_time` is to go.

    `clean_now` does one round in the caller's thread; `start` does them in a thread of its own. `clock` gives seconds
    and is the clock that the things to be cleaned were stamped with. An exception of `clean` is logged and ends that
    round only.
    """

    def __init__(
        self, name: str, ttl: float, clean: Callable[[float], object], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._name = name
        self._ttl = ttl  # seconds
        self._clean = clean
        self._clock = clock
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def clean_now(self) -> None:
        """One round, here and now. Whatever `clean` raises propagates."""
        self._clean(self._clock() - self._ttl)

    def start(self) -> None:
        """Clean in a daemon thread until `stop`."""
        self._thread = threading.Thread(target=self._run, name=f"metadata-cleaner-{self._name}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; a run under way is waited for. Raises TimeoutError when it does not end within 10 seconds."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(_STOP_DEADLINE)
            if self._thread.is_alive():
                raise TimeoutError(f"metadata cleaner {self._name} is still busy after {_STOP_DEADLINE:.0f} s")
            self._thread = None

    def _run(self) -> None:
        while not self._stopped.wait(max(_MIN_PERIOD, self._ttl / 10)):
            try:
                self.clean_now()
            except Exception:
                logger.exception("the round of metadata cleaner %s failed; the next one follows", self._name)
