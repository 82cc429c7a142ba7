"""The stub of the block master that every process holds: each method is one message.

Covers what block managers, observers and tests say to the master; the rest the driver says without a stub. The answers
are made in `storage.block_manager_master_endpoint`; how a message gets there is the transport's business. Every method
raises what the transport raises: a ChannelError when the master is gone or does not answer in time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, cast

from protocol import block_messages as m
from protocol.locations import BlockManagerId, Location, SharedLocation, ShmLocation
from protocol.message import Report
from storage.block_id import BlockId
from storage.block_status import BlockStatus, MemoryStatus, StorageStatus
from storage.storage_level import StorageLevel

ASK_TIMEOUT = 120.0  # seconds: spark.rpc.askTimeout


class Transport(Protocol):
    """A way to the block master. `ask` waits for the answer, `tell` only sends."""

    def ask(self, message: Report, timeout: float = ASK_TIMEOUT) -> Any: ...

    def tell(self, *messages: Report) -> None: ...


class BlockManagerMaster:
    """The stub by which one process asks the block master.

    Spark's ``BlockManagerMaster``. Thread-safe as far as the transport is.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    # --- block managers ---------------------------------------------------------------------------------------------

    def register_block_manager(self, block_manager_id: BlockManagerId, max_memory: int) -> None:
        self._transport.ask(m.RegisterBlockManager(block_manager_id, max_memory))

    def heartbeat(self, block_manager_id: BlockManagerId) -> bool:
        """False: the master does not know this block manager, which should register again."""
        return cast(bool, self._transport.ask(m.BlockManagerHeartbeat(block_manager_id)))

    def get_peers(self, block_manager_id: BlockManagerId) -> tuple[BlockManagerId, ...]:
        return cast("tuple[BlockManagerId, ...]", self._transport.ask(m.GetPeers(block_manager_id)))

    # --- blocks -----------------------------------------------------------------------------------------------------

    def update_block_info(
        self, block_manager_id: BlockManagerId, block_id: BlockId, status: BlockStatus
    ) -> m.UpdateReply:
        sizes = (status.memory_size, status.disk_size, status.off_heap_size)
        message = m.UpdateBlockInfo(block_manager_id, block_id, status.storage_level, *sizes, status.location)
        return cast(m.UpdateReply, self._transport.ask(message))

    def get_locations(self, block_id: BlockId) -> tuple[tuple[BlockManagerId, Location], ...]:
        """Each ShmLocation in another process's segment comes with a lease, which the caller has to give back."""
        return cast("tuple[tuple[BlockManagerId, Location], ...]", self._transport.ask(m.GetLocations(block_id)))

    def get_locations_multiple(
        self, block_ids: Sequence[BlockId]
    ) -> tuple[tuple[tuple[BlockManagerId, Location], ...], ...]:
        """Who holds each block, in order; not for reading, since no lease comes with it."""
        answer = self._transport.ask(m.GetLocationsMultipleBlockIds(tuple(block_ids)))
        return cast("tuple[tuple[tuple[BlockManagerId, Location], ...], ...]", answer)

    def report_stale_location(self, block_id: BlockId, holder: BlockManagerId, location: Location) -> None:
        self._transport.tell(m.ReportStaleLocation(block_id, holder, location))

    def report_corrupt_block(self, block_id: BlockId, holder: str, location: Location) -> None:
        """The bytes that executor `holder` has, or left, at `location` are damaged."""
        self._transport.tell(m.ReportCorruptBlock(block_id, holder, location))

    def report_replica_read(self, block_id: BlockId) -> None:
        self._transport.tell(m.ReportReplicaRead(block_id))

    def fetch_block(self, block_id: BlockId, holder: str) -> SharedLocation | None:
        """Have executor `holder` copy a block of its heap to where this process can read it; with a lease."""
        return cast("SharedLocation | None", self._transport.ask(m.FetchBlock(block_id, holder)))

    def replicate_to(
        self, block_id: BlockId, level: StorageLevel, location: SharedLocation, peers: Sequence[BlockManagerId]
    ) -> tuple[BlockManagerId, ...]:
        """Have the peers copy the bytes; those that stored them."""
        answer = self._transport.ask(m.ReplicateTo(block_id, level, location, tuple(peers)))
        return cast("tuple[BlockManagerId, ...]", answer)

    # --- removals: with blocking=False they are only sent off ---------------------------------------------------------

    def remove_block(self, block_id: BlockId, blocking: bool = True) -> None:
        self._remove(m.RemoveBlock(block_id), blocking)

    def remove_rdd(self, rdd_id: int, blocking: bool = True) -> None:
        self._remove(m.RemoveRdd(rdd_id), blocking)

    def remove_shuffle(self, shuffle_id: int, blocking: bool = True) -> None:
        self._remove(m.RemoveShuffle(shuffle_id), blocking)

    def remove_broadcast(self, broadcast_id: int, remove_from_driver: bool = True, blocking: bool = True) -> None:
        self._remove(m.RemoveBroadcast(broadcast_id, remove_from_driver), blocking)

    def _remove(self, message: Report, blocking: bool) -> None:
        if blocking:
            self._transport.ask(message)
        else:
            self._transport.tell(message)

    # --- queries ----------------------------------------------------------------------------------------------------

    def get_memory_status(self) -> tuple[MemoryStatus, ...]:
        """Of every block manager that lives."""
        return cast("tuple[MemoryStatus, ...]", self._transport.ask(m.GetMemoryStatus()))

    def get_storage_status(self) -> tuple[StorageStatus, ...]:
        """Of every block manager that lives, and of those that left blocks."""
        return cast("tuple[StorageStatus, ...]", self._transport.ask(m.GetStorageStatus()))

    def get_block_status(self, block_id: BlockId) -> dict[BlockManagerId, BlockStatus]:
        """As its holders have reported it."""
        return cast("dict[BlockManagerId, BlockStatus]", self._transport.ask(m.GetBlockStatus(block_id)))

    def get_matching_block_ids(self, wanted: Callable[[BlockId], bool]) -> tuple[BlockId, ...]:
        """Those of the blocks that the master was told of."""
        return cast("tuple[BlockId, ...]", self._transport.ask(m.GetMatchingBlockIds(wanted)))

    # --- shared memory ------------------------------------------------------------------------------------------------

    def reserve_segment(self, segment: str, size: int) -> bool:
        """Whether an arena may make a segment of `size` bytes at this path."""
        return cast(bool, self._transport.ask(m.ReserveSegment(segment, size)))

    def return_segment(self, segment: str) -> None:
        self._transport.tell(m.ReturnSegment(segment))

    def release_leases(self, releases: Sequence[tuple[ShmLocation, int]]) -> None:
        self._transport.tell(m.ReleaseLeases(tuple(releases)))

    def get_pinned(self, locations: Sequence[ShmLocation]) -> frozenset[ShmLocation]:
        """Those of the extents that other processes read."""
        return cast("frozenset[ShmLocation]", self._transport.ask(m.GetPinned(tuple(locations))))
