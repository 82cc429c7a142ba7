"""Where an arena's segments come from: shared memory within the machine's budget, else files in the local directories.

Covers names, sizes, the budget and the fall-back. Does not cover what is put into a segment (`storage.arena`) nor how
the budget is shared out (`storage.segment_budget`).
"""

from __future__ import annotations

import itertools
import logging
import os
import threading
from collections.abc import Callable, Iterable, Sequence

from protocol.errors import OutOfSharedMemoryError
from storage.segment import PAGE, Segment

log = logging.getLogger(__name__)

_warned_of_fallback = threading.Event()  # one warning per process, whatever number of arenas it has


class SegmentSupply:
    """Makes and removes segments. Thread-safe. Its calls may take long: the budget is the master's."""

    def __init__(
        self,
        directory: str,
        prefix: str,
        fallback_dirs: Sequence[str],
        request_budget: Callable[[str, int], bool],
        return_budget: Callable[[str], object],
    ) -> None:
        self._directory = directory
        self._fallback_dirs = tuple(fallback_dirs)
        self._request_budget = request_budget
        self._return_budget = return_budget
        # Never the name of an earlier segment: a reader may still map that one under its path.
        self._name = f"{prefix}-{os.urandom(4).hex()}"
        self._numbers = itertools.count()
        self.refusal = ""  # why the last segment that was wanted could not be had

    def shared(self, sizes: Iterable[int]) -> Segment | None:
        """A segment in shared memory, of the first of the sizes (bytes) that budget and system allow."""
        for size in sizes:
            segment = self._create(self._directory, size, budget=size)
            if segment is not None:
                return segment
        return None

    def fallback(self, sizes: Iterable[int]) -> Segment | None:
        """A segment in a file, in the first of the directories and of the first of the sizes (bytes) that it takes."""
        for directory, size in itertools.product(self._fallback_dirs, sizes):
            # No memory is taken from the budget, but the master must know the file, to remove it if this process dies.
            segment = self._create(directory, size, budget=0)
            if segment is None:
                continue
            if not _warned_of_fallback.is_set():
                _warned_of_fallback.set()
                log.warning("no room left in %s: going on in files in %s, slower", self._directory, directory)
            return segment
        return None

    def remove(self, segment: Segment) -> None:
        """Unlink a segment, now or with the run's other files, and return its budget. Views over it stay good."""
        try:
            segment.unlink()
        except OSError as error:
            log.warning("cannot remove segment %s: %s", segment.path, error)
        segment.close()
        self._return_budget(segment.path)

    def _create(self, directory: str, size: int, budget: int) -> Segment | None:
        name = f"{self._name}-{next(self._numbers)}"
        path = os.path.join(directory, name)
        if not self._request_budget(path, budget):
            self.refusal = f"{size} bytes more are not in the budget (localcluster.sharedMemory)"
            return None
        try:
            return Segment.create(directory, name, size)
        except OutOfSharedMemoryError as error:
            log.info("%s", error)
            self.refusal = str(error)
            self._return_budget(path)
            return None


def sizes_to_try(size: int, in_use: int, first: int, largest: int) -> tuple[int, ...]:
    """Bytes of a segment for an extent of `size` bytes, when `in_use` bytes are taken: the wish, then the least.

    The wish is half of what is in use, as a power of two between `first` and `largest`, so that there are few segments
    and little is reserved in vain; exactly what is needed when that is more.
    """
    least = (size + PAGE - 1) // PAGE * PAGE
    step = min(largest, max(first, 1 << max(0, (in_use // 2).bit_length() - 1)))
    if least > step:
        return (least,)
    return tuple(dict.fromkeys((step, max(least, first))))
