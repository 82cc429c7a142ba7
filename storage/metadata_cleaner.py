"""Cleans again and again, as often as a time to live asks for: Spark 1.x's ``MetadataCleaner`` (``spark.cleaner.ttl``).

Covers the timer. Does not cover what is dropped (`DropUnusedBlocks`), nor the cleaning of what the driver no longer
references, which is the context cleaner's.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)

_MIN_PERIOD = 10.0  # seconds between two runs at least, as in Spark
_STOP_DEADLINE = 10.0  # seconds that `stop` waits for a run that is under way


class MetadataCleaner:
    """Calls ``clean()`` every tenth of the time to live, in seconds, in a thread of its own. An exception of `clean` is
    logged and ends that round only.
    """

    def __init__(self, ttl: float, clean: Callable[[], object]) -> None:
        self._period = max(_MIN_PERIOD, ttl / 10)
        self._clean = clean
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="localcluster-metadata-cleaner", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; a run under way is waited for. Raises TimeoutError when it does not end within 10 seconds."""
        self._stopped.set()
        self._thread.join(_STOP_DEADLINE)
        if self._thread.is_alive():
            raise TimeoutError(f"the metadata cleaner is still busy after {_STOP_DEADLINE:.0f} s")

    def _run(self) -> None:
        while not self._stopped.wait(self._period):
            try:
                self._clean()
            except Exception:
                log.exception("a round of the metadata cleaner failed; the next one follows")
