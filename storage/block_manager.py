"""The block manager: every executor and the driver has one, and puts and gets its blocks there.

Covers what applications of storage call, and everything that involves other processes: remote reads, replication,
sharing. The blocks here are `storage.local_blocks`'s. Follows Spark's ``BlockManager`` 2.x with its locks, and 1.x in
that a user's own store (`StorageConf.external_store`) may take the place of shared memory for blocks of an OFF_HEAP
level.

Differences from Spark: what a read gives stays good without its lock, since Python keeps values alive, views pin
shared pages and mappings keep files; the lock only keeps a block from being evicted for nothing. A block whose file
was lost counts as not there, where Spark raises first. And peers get their copies while this manager holds a read
lock, not the write lock: two that replicate the same block to each other cannot wait for each other.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from protocol import sites
from protocol.errors import BlockNotFoundError, BlockPutError, CorruptBlockError, StaleLocationError
from protocol.locations import BlockManagerId, SharedLocation, ShmLocation
from storage import os_layer
from storage.anonymous_pages import take_returned
from storage.block_id import BlockId
from storage.block_manager_master import BlockManagerMaster
from storage.block_result import BlockResult, ReadMethod
from storage.block_sharing import BlockSharing
from storage.block_store import BytesLike
from storage.conf import StorageConf
from storage.file_reads import load_out
from storage.local_blocks import BlockManagerStatistics, LocalBlocks, Put
from storage.location_reader import LocationReader
from storage.managed_buffer import ManagedBuffer
from storage.own_values import own_values
from storage.remote_blocks import RemoteBlocks
from storage.scratch import Scratch
from storage.serializer import check
from storage.storage_level import StorageLevel
from storage.tiers import Tiers

log = logging.getLogger(__name__)

PUTS = 2  # of one block by one caller, if what it puts is lost at once; then it does without


class BlockManager:
    """The blocks of one process, and its way to those of the others.

    Thread-safe. Locks belong to the thread that took them; a task's thread gives back what is left at its end.
    """

    def __init__(self, executor_id: str, master: BlockManagerMaster, conf: StorageConf, scratch: Scratch) -> None:
        self.id = BlockManagerId(executor_id, os.getpid())
        self.master = master
        self._local = LocalBlocks(self.id, master, conf, scratch)
        self._reader = LocationReader(self._local.arena, self._local.shared.enclosing)
        self._sharing = BlockSharing(self.id, master, self._local)
        self._remote = RemoteBlocks(self.id, master, self._reader, self._local.off_heap_store.get_of_others)
        self.disk_block_manager = self._local.disk_block_manager
        self.memory_store = self._local.memory_store
        self.off_heap_store = self._local.off_heap_store
        self.disk_store = self._local.disk_store

    # --- life ---------------------------------------------------------------------------------------------------------

    def register(self) -> None:
        """Make this manager known to the master."""
        self._local.reporter.register()

    def heartbeat(self) -> None:
        """Give the master a sign of life and the leases that are over; register again if it does not know us."""
        self.flush_lease_releases()
        if not self.master.heartbeat(self.id):
            self.reregister()

    def reregister(self) -> None:
        """Register and report every block: the master does not know this manager."""
        self._local.reporter.reregister()

    def stop(self) -> None:
        """Let go of everything and remove what this process made. The master is not told; views stay good."""
        self._end(unlink=True)

    def abandon(self) -> None:
        """As if the process had died: segments and files stay for the master to adopt."""
        self._end(unlink=False)

    def _end(self, *, unlink: bool) -> None:
        self._local.clear(unlink=unlink)
        self._reader.close()

    def check(self) -> None:
        """Audit locks and stores; nobody may be using a block. Raises AssertionError."""
        self._local.check()

    def statistics(self) -> BlockManagerStatistics:
        return self._local.statistics(leases_held=self._reader.leases_held)

    # --- getting ------------------------------------------------------------------------------------------------------

    def get(self, block_id: BlockId) -> BlockResult | None:
        """The block's values, from here or else from another process; None when nobody has it."""
        return self.get_local_values(block_id) or self.get_remote_values(block_id)

    def get_bytes(self, block_id: BlockId) -> ManagedBuffer | None:
        """The block's serialised bytes, checked, from here or else from another process; None when nobody has it."""
        return self.get_local_bytes(block_id) or self.get_remote_bytes(block_id)

    def get_local_values(self, block_id: BlockId) -> BlockResult | None:
        """Values kept as objects are those in the store, not copies; others are the caller's own, see `own_values`."""
        return self._local.get_values(block_id)

    def get_local_bytes(self, block_id: BlockId) -> ManagedBuffer | None:
        return self._local.get_bytes(block_id)

    def get_remote_values(self, block_id: BlockId) -> BlockResult | None:
        data = self.get_remote_bytes(block_id)
        return None if data is None else BlockResult(own_values(data, checked=True), data.size, ReadMethod.NETWORK)

    @property
    def why_unread(self) -> str:
        """Why a block of another process could not be read last; for messages."""
        return self._remote.problem

    def get_remote_bytes(self, block_id: BlockId) -> ManagedBuffer | None:
        """Checked. A location that leads nowhere, or to damaged bytes, is reported and the next one is tried."""
        self.flush_lease_releases()
        data = self._remote.get_bytes(block_id)
        if data is not None:
            self._local.uses.note(block_id)
            if self._local.damage.is_back(block_id):
                self.master.report_replica_read(block_id)
        return data

    def get_single(self, block_id: BlockId) -> Any:
        """The value of a block that holds one. Raises BlockNotFoundError when nobody has it."""
        result = self.get(block_id)
        if result is None:
            raise BlockNotFoundError(f"block {block_id} is nowhere")
        value = next(result.values)
        result.close()
        return value

    def get_or_else_update(
        self, block_id: BlockId, level: StorageLevel, make_iterator: Callable[[], Iterable[Any]]
    ) -> tuple[BlockResult | None, Iterator[Any] | None]:
        """The block, made and put by this call if nobody has it: (block, None), or (None, values) when there is no
        room, or when what was put is lost at once.

        Among the threads of this process one makes the block and the others wait for it. What `make_iterator` or its
        iterator raises propagates; nothing is left then, and the next one who waits makes the block.
        """
        result = self.get(block_id)
        if result is not None:
            return result, None
        for _ in range(PUTS):
            leftover = self._put_values(block_id, make_iterator, level, tell_master=True, keep_read_lock=True)
            if leftover is not None:
                return None, leftover
            result = self.get_local_values(block_id)
            self.release_lock(block_id)  # that of the put; the result has its own
            if result is not None:
                return result, None
            log.warning("block %s was lost right after it was put: its values are made again", block_id)
        return None, iter(make_iterator())

    # --- putting ------------------------------------------------------------------------------------------------------

    def put_iterator(
        self, block_id: BlockId, values: Iterable[Any], level: StorageLevel, tell_master: bool = True
    ) -> bool:
        """Store the values; True also when the block is here already, False when there is no room.

        Raises BlockPutError, and whatever the iterator raises. Then nothing is left here, and the master knows.
        """
        leftover = self._put_values(block_id, lambda: values, level, tell_master=tell_master, keep_read_lock=False)
        close = getattr(leftover, "close", None)
        if close is not None:
            close()  # gives back the memory of what was unrolled
        return leftover is None

    def put_single(self, block_id: BlockId, value: Any, level: StorageLevel, tell_master: bool = True) -> bool:
        """Store one value; otherwise as `put_iterator`."""
        return self.put_iterator(block_id, [value], level, tell_master)

    def put_bytes(self, block_id: BlockId, data: ManagedBuffer, level: StorageLevel, tell_master: bool = True) -> bool:
        """Store serialised bytes, which must not change afterwards; otherwise as `put_iterator`."""
        return self._put(block_id, level, tell_master, False, lambda tiers: tiers.put_bytes(block_id, data, level))

    def _put_values(
        self,
        block_id: BlockId,
        make_iterator: Callable[[], Iterable[Any]],
        level: StorageLevel,
        *,
        tell_master: bool,
        keep_read_lock: bool,
    ) -> Iterator[Any] | None:
        """All the values when there is no room for them, else None."""
        leftover: Iterator[Any] | None = None

        def store(tiers: Tiers) -> bool:
            nonlocal leftover
            leftover = tiers.put_values(block_id, iter(make_iterator()), level)
            return leftover is None

        self._put(block_id, level, tell_master, keep_read_lock, store)
        return leftover

    def _put(
        self,
        block_id: BlockId,
        level: StorageLevel,
        tell_master: bool,
        keep_read_lock: bool,
        store: Callable[[Tiers], bool],
    ) -> bool:
        if not level.is_valid:
            raise BlockPutError(f"block {block_id} cannot be put with storage level {level!r}")
        put = self._local.put(block_id, level, tell_master, store)
        if put is Put.NO_ROOM:
            return False
        if put is Put.STORED and level.replication > 1:
            try:
                self._sharing.replicate(block_id, level)
            except BaseException:
                self.release_lock(block_id)
                self.remove_block(block_id, tell_master)
                raise
        if sites.armed is not None and put is Put.STORED:
            self._local.at_site("block.put", block_id)
        if not keep_read_lock:
            self.release_lock(block_id)
        return True

    # --- replication and sharing --------------------------------------------------------------------------------------

    def share_block(self, block_id: BlockId) -> SharedLocation | None:
        """Make a block readable for one reader of another process; see `BlockSharing.share`."""
        return self._sharing.share(block_id)

    def store_replica(self, block_id: BlockId, level: StorageLevel, location: SharedLocation) -> bool:
        """Copy another process's bytes into the stores here; False when they are gone or there is no room."""
        try:
            data = self._reader.read(location, leased=True)
        except StaleLocationError as error:
            log.warning("no replica of block %s: %s", block_id, error)
            return False
        try:
            check(data.memoryview())
            return self.put_bytes(block_id, data, level)
        except CorruptBlockError as error:
            log.warning("no replica of block %s, which is damaged: %s", block_id, str(error))
            return False
        finally:
            data.release()
            del data  # the lease goes back with the view
            self.flush_lease_releases()

    def put_shared(
        self, block_id: BlockId, chunks: Sequence[BytesLike], tell_master: bool = True, keep: bool = False
    ) -> SharedLocation:
        """Lay bytes into shared memory, or into a file-backed arena when that is full, for others to read.

        With `tell_master` False the caller passes the location on, or removes the block. With `keep` the chunks are
        kept, to be laid there anew when the block is found damaged, if they have not changed by then. Raises
        BlockPutError when the block is here already, OutOfSharedMemoryError when there is no room anywhere.
        """
        location = self._local.put_shared(block_id, chunks, tell_master, keep)
        if sites.armed is not None:
            self._local.at_site("block.put", block_id)
        return location

    def read_location(
        self, location: SharedLocation, block_id: BlockId | None = None, lease: bool = False
    ) -> ManagedBuffer:
        """The bytes of the block at a location, or a part of one, without a copy. Raises StaleLocationError.

        `lease`: the location came from the master with a lease, which goes back when no view over the bytes lives any
        more. Else the caller knows that the block is not removed meanwhile. The bytes are not checked. `block_id`:
        faults may do something to them.
        """
        if sites.armed is not None and block_id is not None:
            sites.armed("block.read", block=block_id.name, block_id=block_id, location=location)
        return self._reader.read(location, leased=lease)

    def shared_location(self, block_id: BlockId) -> ShmLocation | None:
        """Where a block is that this process put by `put_shared`; None when it is not here."""
        return self._local.shared.location(block_id)

    def load_location(self, location: SharedLocation, block_id: BlockId) -> Any:
        """The object in the block at a location, read from the file and not mapped; arrays own their memory. Raises
        StaleLocationError, CorruptBlockError, SerializationError.
        """
        if sites.armed is not None:
            sites.armed("block.read", block=block_id.name, block_id=block_id, location=location)
        return load_out(location)

    def take_lease_releases(self) -> tuple[tuple[ShmLocation, int], ...]:
        """(extent, leases) to give back since the last call, for a `ReleaseLeases` that rides with another report. Also
        takes back what readers of large arrays had.
        """
        take_returned()
        return self._reader.take_releases()

    def flush_lease_releases(self) -> None:
        """Tell the master which leases are over, if any."""
        releases = self.take_lease_releases()
        if releases:
            self.master.release_leases(releases)

    def extents_released(self, locations: Iterable[ShmLocation]) -> None:
        """No other process reads these extents, which this one gave up: they may be reused."""
        for location in locations:
            self._local.arena.released(location)

    def adopt_blocks(self, block_ids: Iterable[BlockId]) -> None:
        """A dead process left these in the external store: look after them."""
        for block_id in block_ids:
            self._local.adopt(block_id)

    def release_segment(self, path: str, remove: bool) -> None:
        """A segment or file of another process is not needed any more: unmap it, and remove the file if told to."""
        self._reader.drop_segment(path)
        if remove:
            os_layer.unlink(path)

    # --- locks --------------------------------------------------------------------------------------------------------

    def release_lock(self, block_id: BlockId) -> None:
        """Give back a read lock of the calling thread, if it has one."""
        self._local.release_lock(block_id)

    def release_all_locks_for_task(self) -> list[BlockId]:
        """At the end of a task, in its thread: give back its locks and unroll memory; the blocks that were locked."""
        self.memory_store.release_unroll_memory()
        return self._local.release_all_locks()

    # --- removing -----------------------------------------------------------------------------------------------------

    def remove_block(self, block_id: BlockId, tell_master: bool = True) -> bool:
        """Drop a block here, now or as soon as nobody in this process uses it; whether it was here."""
        return self._local.remove(block_id, tell_master)

    def remove_rdd(self, rdd_id: int) -> int:
        """Drop an RDD's blocks here; how many there were."""
        return self._remove_all(lambda block_id: block_id.of_rdd == rdd_id)

    def remove_broadcast(self, broadcast_id: int) -> int:
        """Drop a broadcast's blocks here; how many there were."""
        return self._remove_all(lambda block_id: block_id.of_broadcast == broadcast_id)

    def remove_shuffle(self, shuffle_id: int) -> bool:
        """Drop a shuffle's map outputs here; whether there were any."""
        return self._remove_all(lambda block_id: block_id.of_shuffle == shuffle_id) > 0

    def block_ids(self) -> list[BlockId]:
        """Ids of the blocks here."""
        return self._local.block_ids()

    def _remove_all(self, wanted: Callable[[BlockId], bool]) -> int:
        return sum(self.remove_block(block_id) for block_id in self.block_ids() if wanted(block_id))

    # --- use, for the time to live of blocks --------------------------------------------------------------------------

    @property
    def drops_unused(self) -> bool:
        """Whether blocks that nobody uses are dropped."""
        return self._local.uses.wanted

    def note_use(self, block_id: BlockId) -> None:
        """The block is of use here without a look at it: this process has a copy of its values, or will look soon."""
        self._local.uses.note(block_id)

    def take_uses(self) -> tuple[BlockId, ...]:
        """The blocks, of any process, that this one used since the last call or uses now."""
        return self._local.take_uses()
