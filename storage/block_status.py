"""What is known of a block at one block manager, and of all blocks of one: values that answer the master's queries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from protocol.locations import BlockManagerId, Location
from storage.block_id import BlockId
from storage.storage_level import StorageLevel


@dataclass(frozen=True, slots=True)
class BlockStatus:
    """Spark's ``BlockStatus``: the level that the block has now (not the one asked for) and its sizes in bytes.

    ``memory_size`` counts this process's heap only; what lies in shared memory is ``off_heap_size``. ``location`` is
    where others can read the block, None when it is not here.
    """

    storage_level: StorageLevel
    memory_size: int = 0
    disk_size: int = 0
    off_heap_size: int = 0
    location: Location | None = None

    @property
    def is_cached(self) -> bool:
        return self.storage_level.is_valid

    @property
    def size(self) -> int:
        """Bytes in all tiers together."""
        return self.memory_size + self.disk_size + self.off_heap_size

    def __reduce__(self) -> tuple[object, ...]:
        sizes = (self.memory_size, self.disk_size, self.off_heap_size)
        return BlockStatus, (self.storage_level, *sizes, self.location)


NOT_HERE = BlockStatus(StorageLevel.NONE)
"""The status of a block that a block manager does not hold: Spark's ``BlockStatus.empty``."""


@dataclass(frozen=True, slots=True)
class MemoryStatus:
    """What the blocks of one block manager take, in bytes."""

    block_manager_id: BlockManagerId
    max_memory: int  # of the heap
    memory_used: int  # of the heap
    off_heap_used: int
    disk_used: int
    rdd_blocks: int  # number

    def __reduce__(self) -> tuple[object, ...]:
        sizes = (self.max_memory, self.memory_used, self.off_heap_used, self.disk_used)
        return MemoryStatus, (self.block_manager_id, *sizes, self.rdd_blocks)


@dataclass(frozen=True, slots=True)
class StorageStatus:
    """Spark's ``StorageStatus``: one block manager and all blocks that it reported."""

    block_manager_id: BlockManagerId
    max_memory: int  # bytes
    blocks: Mapping[BlockId, BlockStatus]

    def memory_status(self) -> MemoryStatus:
        blocks = self.blocks.values()
        return MemoryStatus(
            self.block_manager_id,
            self.max_memory,
            memory_used=sum(status.memory_size for status in blocks),
            off_heap_used=sum(status.off_heap_size for status in blocks),
            disk_used=sum(status.disk_size for status in blocks),
            rdd_blocks=sum(block_id.is_rdd for block_id in self.blocks),
        )

    def __reduce__(self) -> tuple[object, ...]:
        return StorageStatus, (self.block_manager_id, self.max_memory, dict(self.blocks))
