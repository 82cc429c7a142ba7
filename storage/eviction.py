"""Making room: what becomes of a block that memory or shared memory has to let go.

Covers the callbacks of `MemoryStore` and of the off-heap store: which blocks may go, writing them to disk when their
level has disk, and telling the master. Follows Spark's ``BlockManager.dropFromMemory``.

A block goes only under its write lock, which is never waited for: whoever has it may be waiting for the room. The store
removes the block before the lock is given back, so nobody can put it anew in between.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from protocol.errors import OutOfSharedMemoryError
from protocol.locations import ShmLocation
from storage.block_id import BlockId
from storage.block_info import BlockInfo, BlockInfoManager
from storage.block_manager_master import BlockManagerMaster
from storage.managed_buffer import ManagedBuffer
from storage.tiers import Tiers


class Eviction:
    """Drops a store's blocks for others: to disk, where their level says so.

    Thread-safe. ``report(block_id)`` as for `StatusReporter.report`, ``unlock(block_id)`` gives the write lock
    back.
    """

    def __init__(
        self,
        infos: BlockInfoManager,
        tiers: Tiers,
        master: BlockManagerMaster,
        report: Callable[[BlockId], bool],
        unlock: Callable[[BlockId], None],
    ) -> None:
        self._infos = infos
        self._tiers = tiers
        self._master = master
        self._report = report
        self._unlock = unlock
        self._leaving: set[BlockId] = set()  # evicted from shared memory, their write locks held until they have left

    # --- the heap -----------------------------------------------------------------------------------------------------

    def may_go(self, block_id: BlockId) -> bool:
        """Whether nobody reads or writes the block now."""
        info = self._infos.get(block_id)
        return info is not None and info.writer is None and info.reader_count == 0

    def drop_from_memory(self, block_id: BlockId, data: list[Any] | ManagedBuffer) -> bool:
        """False: somebody uses the block. Raises BlockPutError when it cannot be written to disk; it stays then."""
        info = self._infos.lock_for_writing(block_id, blocking=False)
        if info is None:
            return False
        try:
            self._tiers.spill(block_id, data, info.level)
        except BaseException:
            self._unlock(block_id)
            raise
        self._tiers.memory.remove(block_id)
        try:
            if info.tell_master:
                self._report(block_id)
        finally:
            self._finish(block_id, info)
        return True

    def _finish(self, block_id: BlockId, info: BlockInfo) -> None:
        if self._tiers.contains(block_id, info.level):
            self._unlock(block_id)
        else:
            self._infos.remove_block(block_id)

    # --- off the heap -------------------------------------------------------------------------------------------------

    def unread(self, places: Mapping[BlockId, ShmLocation]) -> Collection[BlockId]:
        """Those of the blocks that nobody uses, here or in another process."""
        locations = {location: block_id for block_id, location in places.items() if self.may_go(block_id)}
        read = self._master.get_pinned(tuple(locations)) if locations else frozenset()
        return {block_id for location, block_id in locations.items() if location not in read}

    def spill_off_heap(self, block_id: BlockId, data: ManagedBuffer) -> None:
        """Raises OutOfSharedMemoryError when the block came into use meanwhile: then no room can be made this time."""
        info = self._infos.lock_for_writing(block_id, blocking=False)
        if info is None:
            raise OutOfSharedMemoryError(f"block {block_id} came into use when it was to make room")
        try:
            self._tiers.spill(block_id, data, info.level)
        except BaseException:
            self._unlock(block_id)
            raise
        self._leaving.add(block_id)

    def left_off_heap(self, block_id: BlockId) -> bool:
        """The block is out of the off-heap store, by eviction or removal; whether nobody reads its extent."""
        info: BlockInfo | None = self._infos.get(block_id)
        try:
            return self._report(block_id) if info is not None and info.tell_master else True
        finally:
            if block_id in self._leaving:
                self._leaving.discard(block_id)
                assert info is not None, "the write lock keeps it in the books"
                self._finish(block_id, info)
