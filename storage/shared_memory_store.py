"""The store of OFF_HEAP blocks: serialised bytes in this process's arena, which every process can map.

Covers the books of the blocks, their order of use, and eviction. Does not cover the extents (`storage.arena`) nor what
other processes read: the block manager asks the master and passes the answers in, as callbacks. Follows Spark's
off-heap store and the rules of its ``MemoryStore``: the least recently used block goes first, never one of the RDD
being written, and nothing is evicted for a block that would not fit anyway.

Locks: `_lock` guards the books. The callbacks run without it: they may ask the master, write to disk, or call back.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from protocol.errors import BlockNotFoundError, BlockPutError, OutOfSharedMemoryError
from protocol.forks import free_in_forks
from protocol.locations import ShmLocation
from storage.arena import Arena, Extent
from storage.block_id import BlockId
from storage.block_store import PutResult
from storage.extent_writer import ExtentUnroll, ExtentWriter
from storage.lru_blocks import LruBlocks
from storage.managed_buffer import ManagedBuffer, ShmBuffer
from storage.off_heap_store import OffHeapStore
from storage.serializer import FIRST_BATCH
from storage.storage_level import StorageLevel

ASK_AHEAD = 8  # blocks that the master is asked about at once, at least: it may say that some are being read


def _all_of(places: Mapping[BlockId, ShmLocation]) -> Collection[BlockId]:
    return places


def _nobody_reads(block_id: BlockId, location: ShmLocation) -> bool:
    return True


def _lose(block_id: BlockId, buffer: ManagedBuffer) -> None:
    return None


class SharedMemoryStore(OffHeapStore):
    """Blocks in the extents of `arena`. Thread-safe.

    `max_bytes` is what the arena can have at the most: nothing is evicted for a larger block. `batch_size` is as for
    `serialize_stream`. ``can_evict({block: extent})`` gives those of the blocks that no other process reads: evicting
    others would free nothing. ``drop(block_id, buffer)`` keeps an evicted block elsewhere, or not; the store removes it
    after it returned, and keeps it when it raises. ``release(block_id, location)`` is called when a block was removed,
    and tells whether no other process reads its extent; if one does, the extent waits until `Arena.released`.
    """

    def __init__(
        self,
        arena: Arena,
        max_bytes: int,
        *,
        batch_size: int = FIRST_BATCH,
        can_evict: Callable[[Mapping[BlockId, ShmLocation]], Collection[BlockId]] = _all_of,
        drop: Callable[[BlockId, ManagedBuffer], object] = _lose,
        release: Callable[[BlockId, ShmLocation], bool] = _nobody_reads,
    ) -> None:
        self._arena = arena
        self._max_bytes = max_bytes
        self._batch_size = batch_size
        self._can_evict = can_evict
        self._drop = drop
        self._release = release
        self._lock = free_in_forks(threading.Lock())
        self._blocks: LruBlocks[ShmLocation] = LruBlocks()
        self._writing: set[BlockId] = set()
        self._evicting: set[BlockId] = set()

    # --- putting ---------------------------------------------------------------------------------------------------

    def put_bytes(self, block_id: BlockId, data: ManagedBuffer, level: StorageLevel) -> PutResult:
        dropped: list[BlockId] = []
        with self._put_of(block_id):
            try:
                location = self._copy(data.memoryview(), block_id, dropped)
            except OutOfSharedMemoryError:
                return PutResult(False, dropped=dropped)
            self._add(block_id, location)
        return PutResult(True, data.size, dropped=dropped)

    def put_iterator(self, block_id: BlockId, values: Iterator[Any], level: StorageLevel) -> PutResult:
        dropped: list[BlockId] = []
        with self._put_of(block_id):
            writer = ExtentWriter(self._arena, lambda size: self._allocate(size, block_id, dropped))
            unroll = ExtentUnroll(writer, values)
            location = unroll.run(self._batch_size)
            if location is None:
                return PutResult(False, leftover=unroll.leftover(), dropped=dropped)
            self._add(block_id, location)
        return PutResult(True, location.length, dropped=dropped)

    @contextmanager
    def _put_of(self, block_id: BlockId) -> Iterator[None]:
        with self._lock:
            if block_id in self._blocks or block_id in self._writing:
                raise BlockPutError(f"{block_id} is in shared memory already, or is being put")
            self._writing.add(block_id)
        try:
            yield
        finally:
            with self._lock:
                self._writing.discard(block_id)

    def _copy(self, data: memoryview, block_id: BlockId, dropped: list[BlockId]) -> ShmLocation:
        writer = ExtentWriter(self._arena, lambda size: self._allocate(size, block_id, dropped))
        try:
            writer.reserve(len(data))
            writer.write(data)
            return writer.finish()
        except BaseException:
            writer.abort()
            raise

    def _add(self, block_id: BlockId, location: ShmLocation) -> None:
        with self._lock:
            self._blocks[block_id] = location

    # --- eviction --------------------------------------------------------------------------------------------------

    def _allocate(self, size: int, block_id: BlockId, dropped: list[BlockId]) -> Extent:
        """An extent for `block_id`, after evicting others where needed; their ids are appended to `dropped`."""
        while True:
            try:
                # Not from files: the caller's own disk store is a better place for a block that has no room here.
                return self._arena.allocate(size, allow_fallback=False)
            except OutOfSharedMemoryError:
                victims = self._take_victims(size, block_id)
                if not victims:
                    raise
                self._evict(victims, dropped)

    def _take_victims(self, size: int, writing: BlockId) -> list[BlockId]:
        """Blocks that together with the free bytes make `size`, and at least one; none when all would not be enough.

        They are booked as being evicted. One is taken even where enough is free: then the free bytes lie scattered.
        """
        if size > self._max_bytes:
            return []
        missing = max(1, size - self._arena.free_bytes)
        victims: list[BlockId] = []
        asked: set[BlockId] = set()
        while missing > 0 and (candidates := self._candidates(missing, writing, asked)):
            asked.update(candidates)
            allowed = self._can_evict(candidates)
            for block_id, location in candidates.items():
                if missing > 0 and block_id in allowed:
                    victims.append(block_id)
                    missing -= location.length
        if missing > 0:
            return []
        with self._lock:
            victims = [block_id for block_id in victims if block_id not in self._evicting]
            self._evicting.update(victims)
        return victims

    def _candidates(self, missing: int, writing: BlockId, asked: set[BlockId]) -> dict[BlockId, ShmLocation]:
        """{block: extent} in the order in which they may go, as many as are missing and a few to choose from."""
        found: dict[BlockId, ShmLocation] = {}
        with self._lock:
            for block_id, location in self._blocks.may_go_for(writing):
                if missing <= 0 and len(found) >= ASK_AHEAD:
                    break
                if block_id not in asked and block_id not in self._evicting and not self._arena.pinned(location):
                    found[block_id] = location
                    missing -= location.length
        return found

    def _evict(self, victims: list[BlockId], dropped: list[BlockId]) -> None:
        try:
            for block_id in victims:
                data = self._buffer(block_id, touch=False)
                if data is not None:  # else it was removed meanwhile, which is as good
                    self._drop(block_id, data)
                    del data  # it would pin the extent
                    self.remove(block_id)
                    dropped.append(block_id)
        finally:
            with self._lock:
                self._evicting.difference_update(victims)

    # --- getting and removing --------------------------------------------------------------------------------------

    def get_size(self, block_id: BlockId) -> int:
        location = self.location(block_id)
        if location is None:
            raise BlockNotFoundError(f"{block_id} is not in shared memory")
        return location.length

    def location(self, block_id: BlockId) -> ShmLocation | None:
        return self._blocks.get(block_id)

    def location_to_find(self, block_id: BlockId) -> ShmLocation | None:
        with self._lock:
            old = self._blocks.get(block_id)
            if old is None or self._arena.can_be_found(old):
                return old
            view = self._arena.view(old)
        new = self._copy(view, block_id, [])
        del view  # it pins the old extent
        with self._lock:
            moved = self._blocks.get(block_id) == old
            if moved:
                self._blocks[block_id] = new
        if not moved:  # by another thread, or removed
            self._arena.free(new)
            return self._blocks.get(block_id)
        self._give_up(block_id, old)
        return new

    def get_bytes(self, block_id: BlockId) -> ManagedBuffer | None:
        return self._buffer(block_id)

    def _buffer(self, block_id: BlockId, *, touch: bool = True) -> ShmBuffer | None:
        # Under the lock, so that the extent cannot be given up, and used for another block, before the view pins it.
        with self._lock:
            location = self._blocks.use(block_id) if touch else self._blocks.get(block_id)
            return None if location is None else ShmBuffer(self._arena.view(location), location)

    def remove(self, block_id: BlockId) -> bool:
        with self._lock:
            location = self._blocks.pop(block_id, None)
        if location is None:
            return False
        self._give_up(block_id, location)
        return True

    def _give_up(self, block_id: BlockId, location: ShmLocation) -> None:
        unread = False  # also when the master could not be asked
        try:
            unread = self._release(block_id, location)
        finally:
            if unread:
                self._arena.free(location)
            else:
                self._arena.retire(location)

    def contains(self, block_id: BlockId) -> bool:
        with self._lock:
            return block_id in self._blocks

    def clear(self) -> None:
        with self._lock:
            block_ids = list(self._blocks)
        for block_id in block_ids:
            self.remove(block_id)

    def check(self) -> None:
        """Audit the books: every block has an extent of its own, no put or eviction is left. Raises AssertionError."""
        self._arena.check()
        with self._lock:
            places = {(location.segment, location.offset) for location in self._blocks.values()}
            assert len(places) == len(self._blocks), "two blocks share an extent"
            for location in self._blocks.values():
                self._arena.pinned(location)  # raises StaleLocationError for an extent that the arena does not have
            assert not self._writing, f"puts that never ended: {self._writing}"
            assert not self._evicting, f"evictions that never ended: {self._evicting}"
