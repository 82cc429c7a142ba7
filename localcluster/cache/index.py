"""What the server knows of the entries: sizes, tiers, what goes first. A state machine: no files, no clock, no threads.

The files are the truth, and this is made of them anew whenever a server starts. Covers the budgets of both tiers and
the order in which entries leave them, least recently used first. Sizes are in bytes, times in seconds since the epoch.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from localcluster.cache.home import Tier
from storage.block_id import CacheBlockId

PAGE = 4096  # bytes; what a file takes is a multiple of it
STALE = 1000  # items of a heap, beside as many as there are entries, that may be of entries which have gone


@dataclass(slots=True)
class Entry:
    tier: Tier
    size: int
    used_at: float
    expires: float = 0.0  # 0: never
    pinned: bool = False

    @property
    def stays(self) -> bool:
        """Until it is removed, or no more pinned: see `CacheIndex.touch`."""
        return self.pinned and self.tier is Tier.DISK


class CacheIndex:
    """``limits``: bytes of each tier."""

    def __init__(self, limits: dict[Tier, int]) -> None:
        self.limits = limits
        self.used = dict.fromkeys(Tier, 0)  # with what is reserved
        self._entries: dict[CacheBlockId, Entry] = {}
        self._counts = dict.fromkeys(Tier, 0)
        # Those whose entry has gone or changed since stay in the heaps until they come up.
        self._cold: dict[Tier, list[tuple[float, CacheBlockId]]] = {tier: [] for tier in Tier}
        self._expiring: list[tuple[float, CacheBlockId]] = []

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, block_id: object) -> bool:
        return block_id in self._entries

    def get(self, block_id: CacheBlockId) -> Entry | None:
        return self._entries.get(block_id)

    def count(self, tier: Tier) -> int:
        return self._counts[tier]

    def of_namespace(self, namespace: str | None) -> list[CacheBlockId]:
        """All of them, if it is None."""
        return [block_id for block_id in self._entries if namespace in (None, block_id.namespace)]

    def staying(self) -> list[tuple[CacheBlockId, Entry]]:
        """Those on the disk that are pinned, as far as was told."""
        return [(block_id, entry) for block_id, entry in self._entries.items() if entry.stays]

    # --- room ---------------------------------------------------------------------------------------------------------

    def has_room(self, tier: Tier, size: int) -> bool:
        return self.used[tier] + on_disk(size) <= self.limits[tier]

    def can_have_room(self, tier: Tier, size: int) -> bool:
        """Whether there would be, if all entries went."""
        return on_disk(size) <= self.limits[tier]

    def reserve(self, tier: Tier, size: int) -> None:
        """Count these bytes, whether there is room or not, until `release`."""
        self.used[tier] += on_disk(size)

    def release(self, tier: Tier, size: int) -> None:
        self.used[tier] -= on_disk(size)

    def take_coldest(self, tier: Tier) -> CacheBlockId | None:
        """The entry of a tier that was used longest ago, as far as was told. It stays, and is given again after
        `put_back` or `touch`. On the disk those pinned do not count.
        """
        heap = self._cold[tier]
        while heap:
            used_at, block_id = heapq.heappop(heap)
            entry = self._entries.get(block_id)
            if entry is not None and entry.tier is tier and entry.used_at == used_at and not entry.stays:
                return block_id
        return None

    def put_back(self, block_ids: Iterable[CacheBlockId]) -> None:
        """Those that were taken and are still there may be given again."""
        for block_id in block_ids:
            entry = self._entries.get(block_id)
            if entry is not None:
                self._list(block_id, entry)

    # --- entries come and go --------------------------------------------------------------------------------------

    def put(self, block_id: CacheBlockId, entry: Entry) -> Entry | None:
        """From now on this is the entry; the one that it takes the place of."""
        before = self.remove(block_id)
        self._entries[block_id] = entry
        self._counts[entry.tier] += 1
        self.used[entry.tier] += on_disk(entry.size)
        self._list(block_id, entry)
        if entry.expires:
            heapq.heappush(self._expiring, (entry.expires, block_id))
            if len(self._expiring) > 2 * len(self._entries) + STALE:
                self._expiring = [(e.expires, each) for each, e in self._entries.items() if e.expires]
                heapq.heapify(self._expiring)
        return before

    def _list(self, block_id: CacheBlockId, entry: Entry) -> None:
        cold = self._cold[entry.tier]
        heapq.heappush(cold, (entry.used_at, block_id))
        if len(cold) > 2 * self._counts[entry.tier] + STALE:
            cold[:] = [(each.used_at, key) for key, each in self._entries.items() if each.tier is entry.tier]
            heapq.heapify(cold)

    def touch(self, block_id: CacheBlockId, used_at: float, pinned: bool) -> None:
        """What a look at the file told."""
        entry = self._entries[block_id]
        is_listed = entry.used_at == used_at and not entry.stays
        entry.used_at, entry.pinned = used_at, pinned
        if not is_listed:
            self._list(block_id, entry)

    def remove(self, block_id: CacheBlockId) -> Entry | None:
        entry = self._entries.pop(block_id, None)
        if entry is not None:
            self._counts[entry.tier] -= 1
            self.used[entry.tier] -= on_disk(entry.size)
        return entry

    def take_expired(self, now: float) -> Iterator[CacheBlockId]:
        """Entries whose time is over. They stay until they are removed, but are not given again."""
        while self._expiring and self._expiring[0][0] <= now:
            expires, block_id = heapq.heappop(self._expiring)
            entry = self._entries.get(block_id)
            if entry is not None and entry.expires == expires:
                yield block_id

    def check(self, reserved: dict[Tier, int]) -> None:
        """Audit the sums; ``reserved`` is what is reserved now. Raises AssertionError."""
        for tier in Tier:
            entries = [entry for entry in self._entries.values() if entry.tier is tier]
            assert self._counts[tier] == len(entries), f"{tier}: {self._counts[tier]} entries, not {len(entries)}"
            used = sum(on_disk(entry.size) for entry in entries) + reserved.get(tier, 0)
            assert self.used[tier] == used, f"{tier}: {self.used[tier]} bytes counted, {used} there"
            listed = set(self._cold[tier])
            may_go = ((e.used_at, each) for each, e in self._entries.items() if e.tier is tier and not e.stays)
            assert all(item in listed for item in may_go), "one never goes"


def on_disk(size: int) -> int:
    """Bytes that a file of this size takes."""
    return size + -size % PAGE
