"""The block protocol: what block managers (slaves) and the block master say to each other.

Spark's ``BlockManagerMessages`` (1.x to 2.0) under their own names, and what shared memory adds: leases, extents,
segments, sharing and replication through locations. Each docstring says what in a run triggers the message and what
answers it.

The removals are one class for both directions: asked of the master, it carries them out and passes them on to whoever
holds blocks. ``GetBlockStatus`` and ``GetMatchingBlockIds`` have no ``askSlaves``, which Spark has for its own tests.

Does not cover tasks and processes: see `protocol.cluster_messages`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from protocol.locations import BlockManagerId, Location, SharedLocation, ShmLocation
from protocol.message import BlockIdLike, Order, Report, StorageLevelLike

# --- both directions: asked of the master by anyone, passed on by the master to the slaves ---------------------------


@dataclass(frozen=True, slots=True)
class RemoveBlock(Order, Report):
    """Drop one block. Triggered by whoever knows that it is needed no more: a task's result that the driver has read or
    that nobody wants, a map output that came too late (told to its executor), an old table of map outputs, a block
    that `DropUnusedBlocks` found. Answer: bool, was here.
    """

    block_id: BlockIdLike


@dataclass(frozen=True, slots=True)
class RemoveRdd(Order, Report):
    """Drop every block of an RDD. Triggered by ``unpersist``, or by the cleaner when the RDD was collected. Answer:
    int, blocks dropped.
    """

    rdd_id: int


@dataclass(frozen=True, slots=True)
class RemoveShuffle(Order, Report):
    """Drop a shuffle's map outputs. Triggered by ``cleanShuffleDependencies``, or by the cleaner when the shuffle is
    unreachable. Answer: bool, had any.
    """

    shuffle_id: int


@dataclass(frozen=True, slots=True)
class RemoveBroadcast(Order, Report):
    """Drop the blocks of a broadcast variable. Triggered by ``Broadcast.unpersist`` (``remove_from_driver=False``: the
    driver keeps its own), by ``destroy``, by `DropUnusedBlocks` or by the cleaner. Answer: int, blocks dropped.
    """

    broadcast_id: int
    remove_from_driver: bool = True


# --- master -> slave -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TakeUses(Order):
    """Which blocks, of any process, the slave used since it was last asked, or uses now. Triggered by
    `DropUnusedBlocks`. Answer: a tuple of block ids.
    """


@dataclass(frozen=True, slots=True)
class ShareBlock(Order):
    """Serialise a block of the slave's heap into shared memory, or move one whose segment's file was removed. Triggered
    by another process's `FetchBlock`. Answer: SharedLocation, or None when the block is gone.
    """

    block_id: BlockIdLike


@dataclass(frozen=True, slots=True)
class ReplicateBlock(Order):
    """Copy the bytes at ``location`` into the slave's own stores. Triggered by `ReplicateTo`. Answer: bool, stored."""

    block_id: BlockIdLike
    level: StorageLevelLike
    location: SharedLocation


@dataclass(frozen=True, slots=True)
class AdoptBlocks(Order):
    """Look after these blocks in the external store from now on. Triggered by the death of the executor that put them.
    Told to the driver, not asked.
    """

    block_ids: tuple[BlockIdLike, ...]


@dataclass(frozen=True, slots=True)
class StopBlockManager(Order):
    """End as soon as no task runs, and remove what the slave made; without it an executor that ends leaves that to the
    master. Triggered by `StopBlockManagerMaster`. Told to all but the master's own, which its owner ends last.
    """


@dataclass(frozen=True, slots=True)
class ExtentReleased(Order):
    """No other process reads these extents any more: the owner may reuse them. Triggered by the last lease of an extent
    in limbo: given back, or of a reader that died. Told, not asked.
    """

    locations: tuple[ShmLocation, ...]


@dataclass(frozen=True, slots=True)
class ReleaseSegment(Order):
    """Unmap a segment or file that its owner has removed, as soon as no view over it lives: its memory is free when all
    have. Triggered by `ReturnSegment`; of a dead process by the death when no block is in it, else when the last one
    was removed. Told, not asked.
    """

    segment: str  # path of the file
    remove: bool = False  # the file, too: told to the block manager in the master's own process


# --- slave -> master: Spark's ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RegisterBlockManager(Report):
    """A block manager exists. Triggered by its start, or because the master did not know it. Answer: None."""

    block_manager_id: BlockManagerId
    max_memory: int  # bytes of storage memory


class UpdateReply(NamedTuple):
    """The master's answer to `UpdateBlockInfo`.

    ``known`` False: the master does not know this block manager, which must register again and report all its blocks
    (Spark's plain bool). ``released`` False: another process still holds a lease on the extent that this update gave
    up; it may be reused only after `ExtentReleased`.
    """

    known: bool
    released: bool = True


@dataclass(frozen=True, slots=True)
class UpdateBlockInfo(Report):
    """Where and how a slave holds a block now. Triggered by every put, move between tiers, eviction and removal; an
    invalid level (NONE) means the slave holds it no more. Answer: `UpdateReply`.
    """

    block_manager_id: BlockManagerId
    block_id: BlockIdLike
    storage_level: StorageLevelLike
    memory_size: int  # bytes, as are the next two
    disk_size: int
    off_heap_size: int
    location: Location | None  # None when the slave holds the block no more


@dataclass(frozen=True, slots=True)
class GetLocations(Report):
    """Who holds a block, and where. Triggered by a remote read. Answer: a tuple of (BlockManagerId, Location); each
    ShmLocation in it comes with a lease.
    """

    block_id: BlockIdLike


@dataclass(frozen=True, slots=True)
class GetLocationsMultipleBlockIds(Report):
    """Who holds each of several blocks, and where. Triggered by the scheduler's look for cached partitions, and by a
    local checkpoint's. Answer: a tuple of tuples as `GetLocations` gives, in the order asked. They come without leases,
    so they are not for reading.
    """

    block_ids: tuple[BlockIdLike, ...]


@dataclass(frozen=True, slots=True)
class GetPeers(Report):
    """The other block managers, the driver's excepted. Triggered by replication. Answer: a tuple of BlockManagerId."""

    block_manager_id: BlockManagerId


@dataclass(frozen=True, slots=True)
class RemoveExecutor(Report):
    """Forget an executor's block manager. Triggered by the death of the executor's process. Answer: None."""

    executor_id: str


@dataclass(frozen=True, slots=True)
class StopBlockManagerMaster(Report):
    """The run ends, and all block managers: see `StopBlockManager`. Triggered by the context's stop. Answer: None, when
    they have been told; the master answers nothing after it.
    """


@dataclass(frozen=True, slots=True)
class GetMemoryStatus(Report):
    """What the blocks of every block manager take. Triggered by ``StatusTracker.getExecutorInfos``, and by the status
    page's executors. Answer: a tuple of memory statuses.
    """


@dataclass(frozen=True, slots=True)
class GetStorageStatus(Report):
    """Every block of every block manager with its status, also of dead ones whose blocks live on. Triggered by the
    status page's cached RDDs. Answer: a tuple of storage statuses.
    """


@dataclass(frozen=True, slots=True)
class GetBlockStatus(Report):
    """Status of a block at each holder. Triggered by ``toDebugString``, and by a broadcast that cannot be read. Answer:
    {BlockManagerId: block status}.
    """

    block_id: BlockIdLike


@dataclass(frozen=True, slots=True)
class GetMatchingBlockIds(Report):
    """Ids of all blocks that pass the filter. Triggered by ``toDebugString``. Answer: a tuple of block ids."""

    filter: Callable[[Any], bool]  # {block id: wanted}; called in the master, so it must be quick, and our own


@dataclass(frozen=True, slots=True)
class BlockManagerHeartbeat(Report):
    """The block manager lives. Triggered by the executor's heartbeat. Answer: bool, False: unknown, register again."""

    block_manager_id: BlockManagerId


@dataclass(frozen=True, slots=True)
class ExpireDeadHosts(Report):
    """Drop the block managers that have been silent for too long: nobody shall wait for their heaps. Triggered by the
    driver's timer, after it has looked at the processes of silent executors: one that is stopped or hung is ended,
    which `RemoveExecutor` tells later. One that is at work comes back by its next heartbeat and reports all its blocks
    again; what it has in shared memory or files was there all the time. Answer: None.
    """


@dataclass(frozen=True, slots=True)
class HasCachedBlocks(Report):
    """Whether an executor holds any cached data. Triggered by the choice of executors to drain, of which those without
    go first. Answer: bool.
    """

    executor_id: str


# --- slave -> master: ours -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DropUnusedBlocks(Report):
    """Drop the cached blocks and the broadcasts that no process has used for a time. Triggered by the cleaner of
    ``spark.cleaner.ttl``. Answer: int, blocks dropped.
    """

    unused_for: float  # seconds
    spared_rdds: frozenset[int]  # ids of RDDs whose blocks stay: they are all there is of them


@dataclass(frozen=True, slots=True)
class FetchBlock(Report):
    """Have the holder share a block. Triggered by a read whose only locations are heaps, cannot be mapped, or are
    damaged. Answer: SharedLocation with a lease, or None when the holder has it no more, found it damaged, or cannot
    share it now.
    """

    block_id: BlockIdLike
    holder: str  # executor id


@dataclass(frozen=True, slots=True)
class ReplicateTo(Report):
    """Have the peers copy a block. Triggered by a put whose level asks for more than one replica. Answer: a tuple of
    the peers that stored it.
    """

    block_id: BlockIdLike
    level: StorageLevelLike
    location: SharedLocation
    peers: tuple[BlockManagerId, ...]


@dataclass(frozen=True, slots=True)
class ReleaseLeases(Report):
    """The reporter's views over these extents died. Triggered by finalizers, flushed with the next report. Told, not
    asked.
    """

    releases: tuple[tuple[ShmLocation, int], ...]  # (location, leases given back)


@dataclass(frozen=True, slots=True)
class ReportStaleLocation(Report):
    """A location led to no block. Triggered by a reader, which then tries the next, or by the holder itself, which then
    reports what it has of the block. Told, not asked.
    """

    block_id: BlockIdLike
    holder: BlockManagerId
    location: Location


@dataclass(frozen=True, slots=True)
class ReportCorruptBlock(Report):
    """The bytes at a location are not those that were written. Triggered by whoever read them, the holder itself
    included; a reader then asks the holder by `FetchBlock`, which looks too, and tries the next location. Told, not
    asked.
    """

    block_id: BlockIdLike
    holder: str  # executor id, also of a dead one
    location: Location


@dataclass(frozen=True, slots=True)
class ReportReplicaRead(Report):
    """A copy could not be read, another one was, of the same answer to `GetLocations`. Triggered by the reader, for the
    history of events. Told, not asked.
    """

    block_id: BlockIdLike


@dataclass(frozen=True, slots=True)
class ReserveSegment(Report):
    """May an arena add a segment? Triggered before its creation. Answer: bool, False: the budget is used up."""

    segment: str  # path of the segment's file
    size: int  # bytes


@dataclass(frozen=True, slots=True)
class ReturnSegment(Report):
    """A segment's bytes go back to the budget. Triggered when its arena has unlinked it, or could not make it. Told,
    not asked.
    """

    segment: str  # path of the segment's file


@dataclass(frozen=True, slots=True)
class GetPinned(Report):
    """Which of these extents other processes lease. Triggered by eviction, to pick a victim that frees memory. Answer:
    the frozenset of those that are leased.
    """

    locations: tuple[ShmLocation, ...]
