"""The reader's half of the leases: which extents of other processes this process still reads.

Covers counting the views of leased extents and collecting those that died. Does not cover the master's half
(`storage.lease_table`) nor the views themselves (`storage.segment`).
"""

from __future__ import annotations

import threading
from collections import Counter, deque

from protocol.forks import free_in_forks
from protocol.locations import ShmLocation
from storage import fork_readers


class LeaseBook:
    """Counts one lease per grant of the master; each is given back once, when its view died or was never made.

    Thread-safe. `release` is what finalizers call: it may run at any point, also inside the other methods of this very
    thread, so it takes no lock and only appends to a deque, which is atomic.
    """

    def __init__(self) -> None:
        self._lock = free_in_forks(threading.Lock())
        self._held: Counter[ShmLocation] = Counter()  # {extent: leases that `take_releases` has not given back}
        self._released: deque[ShmLocation] = deque()

    def acquire(self, location: ShmLocation) -> None:
        """The master granted a lease on `location`. Call this before the view is made."""
        with self._lock:
            self._held[location] += 1

    def release(self, location: ShmLocation) -> None:
        """One lease on `location` is needed no more. Safe in a finalizer."""
        self._released.append(location)

    def take_releases(self) -> tuple[tuple[ShmLocation, int], ...]:
        """(extent, leases to give back) since the last call; the caller sends them as `ReleaseLeases`."""
        released: Counter[ShmLocation] = Counter()
        fork_readers.settle()
        with self._lock:
            # As many as there are now: finalizers may append while this loop runs; those wait for the next call.
            for _ in range(len(self._released)):
                released[self._released.popleft()] += 1
            self._held -= released
        return tuple(released.items())

    @property
    def held(self) -> dict[ShmLocation, int]:
        """Leases acquired and not given back yet, by extent."""
        with self._lock:
            return dict(self._held)
