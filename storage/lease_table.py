"""Which process still reads which extent of another's shared memory: the master's half of the leases.

Covers counting grants and releases, and the limbo in which an extent waits between "its owner wants it back" and
"nobody reads it any more". Does not cover readers (`storage.segment` notices when a view dies) nor owners
(`storage.arena`).

Invariants (`check`): every count is positive, no reader holds a lease on a segment of its own, and an extent is in
limbo only while somebody holds a lease on it.
"""

from __future__ import annotations

from collections import Counter

from protocol.locations import ShmLocation


class LeaseTable:
    """The leases that the block master granted.

    Counts per extent and reader. Not thread-safe: it belongs to the master endpoint.
    """

    def __init__(self) -> None:
        self._readers: dict[ShmLocation, Counter[str]] = {}  # {extent: {executor id: grants not yet released}}
        self._limbo: dict[ShmLocation, str] = {}  # {extent: executor id of the owner that waits for it}

    def grant(self, location: ShmLocation, reader: str) -> None:
        """Count one more lease of `reader`; each grant is answered by one release, or by the reader's death."""
        self._readers.setdefault(location, Counter())[reader] += 1

    def release(self, reader: str, location: ShmLocation, count: int) -> list[tuple[str, ShmLocation]]:
        """Take back `count` leases; [(owner, extent)] when the extent leaves limbo by it, else [].

        A release that was never granted is ignored: the reader was declared dead meanwhile and all its leases dropped.
        """
        readers = self._readers.get(location)
        if readers is None or reader not in readers:
            return []
        readers[reader] -= count
        if readers[reader] <= 0:
            del readers[reader]
        return self._leave_limbo_if_unread(location)

    def reader_lost(self, reader: str) -> list[tuple[str, ShmLocation]]:
        """A dead process has released all: (owner, extent) for each extent that leaves limbo by it."""
        freed = []
        for location in [location for location, readers in self._readers.items() if reader in readers]:
            del self._readers[location][reader]
            freed += self._leave_limbo_if_unread(location)
        return freed

    def retire(self, location: ShmLocation, owner: str) -> bool:
        """`owner` wants the extent back. True: nobody reads it. False: it waits in limbo until `release` names it."""
        if location not in self._readers:
            return True
        self._limbo[location] = owner
        return False

    def owner_lost(self, owner: str) -> None:
        """Nobody waits for the dead owner's extents; the leases on them go on counting."""
        self._limbo = {location: waiting for location, waiting in self._limbo.items() if waiting != owner}

    def segment_gone(self, segment: str) -> None:
        """The segment was unlinked: its extents will never be used again, so who reads them no longer matters."""
        self._readers = {
            location: readers for location, readers in self._readers.items() if location.segment != segment
        }
        self._limbo = {location: owner for location, owner in self._limbo.items() if location.segment != segment}

    def _leave_limbo_if_unread(self, location: ShmLocation) -> list[tuple[str, ShmLocation]]:
        if self._readers[location]:
            return []
        del self._readers[location]
        owner = self._limbo.pop(location, None)
        return [] if owner is None else [(owner, location)]

    def is_leased(self, location: ShmLocation) -> bool:
        return location in self._readers

    @property
    def leases(self) -> int:
        """Grants that were not released yet."""
        return sum(sum(readers.values()) for readers in self._readers.values())

    @property
    def in_limbo(self) -> int:
        """Extents that their owner wants back and somebody still reads."""
        return len(self._limbo)

    def clear(self) -> None:
        self._readers.clear()
        self._limbo.clear()

    def check(self) -> None:
        """Audit the invariants. Raises AssertionError."""
        for location, readers in self._readers.items():
            assert readers, f"{location} is listed and nobody reads it"
            assert min(readers.values()) > 0, f"lease counts of {location} below one: {readers}"
        for location, owner in self._limbo.items():
            assert location in self._readers, f"{location} waits in limbo and nobody reads it"
            assert owner not in self._readers[location], f"{owner} holds a lease on its own {location}"
