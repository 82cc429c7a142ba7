"""Giving other processes what is here: copies for peers, and blocks of the heap for a reader.

Covers choosing what the others read: the block's own bytes where they can map them, else a copy in the arena. A copy
is given up as soon as it is made: the master knows who reads it, and says when the extent may be reused. What peers
do with the bytes is `BlockManager.store_replica`; which peers get them is `storage.replication`.
"""

from __future__ import annotations

from collections.abc import Sequence

from protocol.errors import CorruptBlockError, OutOfSharedMemoryError
from protocol.locations import BlockManagerId, ExternalLocation, FileLocation, SharedLocation, ShmLocation
from storage.block_id import BlockId
from storage.block_manager_master import BlockManagerMaster
from storage.local_blocks import LocalBlocks
from storage.replication import replicate
from storage.storage_level import StorageLevel


class BlockSharing:
    """How a block manager gives its blocks to others: shares, replicates. Thread-safe."""

    def __init__(self, me: BlockManagerId, master: BlockManagerMaster, local: LocalBlocks) -> None:
        self._me = me
        self._master = master
        self._local = local

    def replicate(self, block_id: BlockId, level: StorageLevel) -> None:
        """Have peers copy the block. Fewer copies than the level asks for are a warning in the log.

        Not what is in an external store, which is one for all: whether it keeps copies is its own affair.
        """
        if isinstance(self._local.status(block_id).location, ExternalLocation):
            return

        def upload(peers: Sequence[BlockManagerId]) -> Sequence[BlockManagerId]:
            location = self._own_location(block_id) or self._copy(block_id)
            return () if location is None else self._master.replicate_to(block_id, level, location, peers)

        replicate(block_id.name, level.replication - 1, self._master.get_peers(self._me), upload)

    def share(self, block_id: BlockId) -> SharedLocation | None:
        """Where one reader of another process can read a block: a copy of one on the heap, the block's own place if it
        is in a file or in shared memory, where it moves if the segment's file was removed. None when it is not here,
        or found to be damaged, which drops it or has it written anew.

        Raises OutOfSharedMemoryError, CorruptBlockError.
        """
        if self._local.get_bytes(block_id) is None:
            if self._local.shared.location(block_id) is not None:
                raise CorruptBlockError(f"block {block_id} is damaged, and there is nothing to restore it from")
            return None
        location = self._local.status(block_id).location
        if isinstance(location, FileLocation):
            return location
        try:
            found = self._local.location_to_find(block_id)
        except OutOfSharedMemoryError:
            found = None  # a copy may lie in a file
        return found or self._copy(block_id)

    def _own_location(self, block_id: BlockId) -> SharedLocation | None:
        """Where the block's own bytes are, if others can map them.

        Not an extent that the master does not know: it would take it for a copy and say that it may be reused.
        """
        location = self._local.status(block_id).location
        if isinstance(location, FileLocation) or (isinstance(location, ShmLocation) and self._local.is_told(block_id)):
            return location
        return None

    def _copy(self, block_id: BlockId) -> ShmLocation | None:
        data = self._local.get_bytes(block_id)
        if data is None:
            return None
        location = self._local.arena.write([data.memoryview()])
        self._local.arena.retire(location)
        return location
