"""The stores of one process, put together as a storage level says.

Covers where a block goes, where it is found and what its status is. A level is an order of stores: memory (heap or
shared memory) first, then disk; a put goes to the first that takes the block, a read to the fastest that has it. Does
not cover locks, the master or eviction: see `storage.block_manager` and `storage.eviction`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from protocol.errors import BlockNotFoundError, BlockPutError, CorruptBlockError, StaleLocationError, StorageError
from protocol.locations import HeapLocation, Location
from storage.block_id import BlockId
from storage.block_result import ReadMethod
from storage.block_status import NOT_HERE, BlockStatus
from storage.block_store import BlockStore
from storage.disk_store import DiskStore
from storage.managed_buffer import ManagedBuffer
from storage.memory_store import MemoryStore
from storage.off_heap_store import OffHeapStore
from storage.own_values import own_values
from storage.serializer import check
from storage.storage_level import StorageLevel

log = logging.getLogger(__name__)

_METHOD = {False: ReadMethod.MEMORY, True: ReadMethod.OFF_HEAP}


@dataclass(slots=True)
class Found:
    """A block's values. ``moved``: the read brought the block back into memory."""

    values: Iterator[Any]
    size: int  # bytes
    method: ReadMethod
    moved: bool = False


class Tiers:
    """The stores of one process in the order in which a level uses them.

    `off_heap` is the shared-memory store, or the user's own in its place, which is asked for blocks of its levels
    only: each question may be a round trip. ``on_damage(block_id, location, error)`` is called before a store drops a
    block that a read found damaged or gone. Thread-safe as the stores are.
    """

    def __init__(
        self,
        executor_id: str,
        memory: MemoryStore,
        off_heap: OffHeapStore,
        disk: DiskStore,
        on_damage: Callable[[BlockId, Location, StorageError], object] = lambda block_id, location, error: None,
    ) -> None:
        self._executor_id = executor_id
        self._on_damage = on_damage
        self.memory = memory
        self.off_heap = off_heap
        self.disk = disk

    def _of(self, level: StorageLevel) -> list[BlockStore]:
        stores: list[BlockStore] = []
        if level.use_memory:
            stores.append(self._memory_of(level))
        if level.use_disk:
            stores.append(self.disk)
        return stores

    def _memory_of(self, level: StorageLevel) -> BlockStore:
        return self.off_heap if level.use_off_heap else self.memory

    def last_location(self, block_id: BlockId, level: StorageLevel, holder: str) -> Location | None:
        """Where the bytes of a block were that no store has any more."""
        return self.off_heap.location(block_id) if level.use_off_heap else HeapLocation(holder)

    # --- writing ------------------------------------------------------------------------------------------------------

    def put_values(self, block_id: BlockId, values: Iterator[Any], level: StorageLevel) -> Iterator[Any] | None:
        """None when the block is stored; else all its values, for no tier of the level has room. Raises as the
        stores do.
        """
        for store in self._of(level):
            result = store.put_iterator(block_id, values, level)
            if result.stored:
                return None
            assert result.leftover is not None, f"{type(store).__name__} neither stored {block_id} nor gave it back"
            values = result.leftover
        return values

    def put_bytes(self, block_id: BlockId, data: ManagedBuffer, level: StorageLevel) -> bool:
        """False when no tier of the level has room."""
        return any(store.put_bytes(block_id, data, level).stored for store in self._of(level))

    def spill(self, block_id: BlockId, data: list[Any] | ManagedBuffer, level: StorageLevel) -> None:
        """Write an evicted block to disk, if its level has disk and it is not there already. Raises BlockPutError."""
        if not level.use_disk or self.disk.contains(block_id):
            return
        if isinstance(data, ManagedBuffer):
            self.disk.put_bytes(block_id, data, StorageLevel.DISK_ONLY)
        else:
            self.disk.put_iterator(block_id, iter(data), StorageLevel.DISK_ONLY)

    # --- reading ------------------------------------------------------------------------------------------------------

    def get_values(self, block_id: BlockId, level: StorageLevel) -> Found | None:
        """From the fastest tier that has the block undamaged; from disk, they are brought back into memory if level and
        room allow it.

        None when no tier has it. A store whose bytes turn out to be damaged or gone drops the block.
        """
        found = self._get_from_memory(block_id, level)
        if found is not None:
            return found
        data = self._get_bytes(self.disk, block_id)
        if data is None:
            return None
        moved, leftover = self._bring_back(block_id, data, level)
        found = self._get_from_memory(block_id, level) if moved else None
        if found is not None:
            return Found(found.values, data.size, ReadMethod.DISK, moved)
        values = leftover or own_values(data, checked=True)
        return Found(values, data.size, ReadMethod.DISK, moved)

    def _get_from_memory(self, block_id: BlockId, level: StorageLevel) -> Found | None:
        store = self._memory_of(level)
        try:
            values = store.get_values(block_id)
        except (CorruptBlockError, StaleLocationError) as error:
            self._drop_damaged(store, block_id, error)
            return None
        if values is None:
            return None
        # An external store may lose a block between two questions.
        return Found(values, _size(store, block_id) or 0, _METHOD[level.use_off_heap])

    def _get_bytes(self, store: BlockStore, block_id: BlockId) -> ManagedBuffer | None:
        """None also when the bytes were damaged or gone; the store has dropped the block then."""
        try:
            data = store.get_bytes(block_id)
            if data is not None:
                check(data.memoryview())
        except (CorruptBlockError, StaleLocationError) as error:
            self._drop_damaged(store, block_id, error)
            return None
        return data

    def _drop_damaged(self, store: BlockStore, block_id: BlockId, error: StorageError) -> None:
        # The text alone: the error's frames may keep views.
        log.warning("block %s in the %s is lost: %s", block_id, type(store).__name__, str(error))
        self._on_damage(block_id, store.location(block_id) or HeapLocation(self._executor_id), error)
        store.remove(block_id)

    def get_bytes(self, block_id: BlockId, level: StorageLevel) -> tuple[ManagedBuffer, bool] | None:
        """(serialised bytes, whether the read brought them back into memory). Otherwise as `get_values`."""
        memory = self._memory_of(level)
        # Of objects on the heap the disk's bytes come first: the heap's would have to be serialised.
        for store in (self.disk, memory) if level.deserialized else (memory, self.disk):
            data = self._get_bytes(store, block_id)
            if data is not None:
                moved = store is self.disk and not level.deserialized and self._bring_back(block_id, data, level)[0]
                return data, moved
        return None

    def _bring_back(
        self, block_id: BlockId, data: ManagedBuffer, level: StorageLevel
    ) -> tuple[bool, Iterator[Any] | None]:
        """(whether the block is in memory now by this call, values already read that found no room)."""
        if not level.use_memory:
            return False, None
        try:
            result = self._memory_of(level).put_bytes(block_id, data, level)
        except BlockPutError:
            return False, None  # another reader is doing the same
        return result.stored, result.leftover

    # --- what there is ------------------------------------------------------------------------------------------------

    def contains(self, block_id: BlockId, level: StorageLevel) -> bool:
        return self._memory_of(level).contains(block_id) or self.disk.contains(block_id)

    def status(self, block_id: BlockId, level: StorageLevel) -> BlockStatus:
        """Where the block is now, which may be less than `level` asks for. Needs no lock on the block."""
        memory = self._memory_of(level)
        in_memory, on_disk = _size(memory, block_id), _size(self.disk, block_id)
        if in_memory is None and on_disk is None:
            return NOT_HERE
        off_heap = level.use_off_heap and in_memory is not None
        now = StorageLevel(
            use_disk=on_disk is not None,
            use_memory=in_memory is not None,
            use_off_heap=off_heap,
            deserialized=level.deserialized and in_memory is not None,
            replication=level.replication,
        )
        sizes = (0, on_disk or 0, in_memory or 0) if off_heap else (in_memory or 0, on_disk or 0, 0)
        return BlockStatus(now, *sizes, self._location(block_id, memory if in_memory is not None else self.disk))

    def _location(self, block_id: BlockId, fastest: BlockStore) -> Location:
        """The best for other processes: what they read without asking this one, and what outlives it."""
        return fastest.location(block_id) or self.disk.location(block_id) or HeapLocation(self._executor_id)

    def remove(self, block_id: BlockId, level: StorageLevel) -> bool:
        """Drop the block from all stores; whether the off-heap store had it, which has told the master then."""
        self.memory.remove(block_id)
        self.disk.remove(block_id)
        return level.use_off_heap and self.off_heap.remove(block_id)

    def check(self) -> None:
        """Audit all stores. Raises AssertionError."""
        for store in (self.memory, self.off_heap, self.disk):
            store.check()


def _size(store: BlockStore, block_id: BlockId) -> int | None:
    try:
        return store.get_size(block_id)
    except BlockNotFoundError:
        return None
