"""The store of OFF_HEAP blocks as the block manager sees it: shared memory, or one of the program's own in its place.

Covers what is asked of such a store beyond a `BlockStore`, with the answers of one that has nothing to say. Both keep
whoever made them informed of removals, since the master has to hear of these at the right moment.
"""

from __future__ import annotations

from protocol.locations import ShmLocation
from storage.block_id import BlockId
from storage.block_store import BlockStore
from storage.managed_buffer import ManagedBuffer


class OffHeapStore(BlockStore):
    """A `BlockStore` for OFF_HEAP levels. Each kind of it overrides what it has an answer to."""

    def location_to_find(self, block_id: BlockId) -> ShmLocation | None:
        """Where other processes can map the block, which moves if its segment's file was removed. None: nowhere.

        Raises OutOfSharedMemoryError.
        """
        return None

    def get_of_others(self, block_id: BlockId) -> ManagedBuffer | None:
        """The bytes of a block that any process may have put here; None where each process has a store of its own."""
        return None

    def adopt(self, block_id: BlockId) -> bool:
        """Look after a block that a process put here and died. False when it is not here."""
        return False
