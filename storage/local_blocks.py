"""The blocks of one process: its stores, the locks on its blocks, and the master kept informed.

Covers putting, reading and removing here; what involves other processes is `storage.block_manager`'s, and what a read
here finds damaged or gone `storage.local_damage`'s.

Every block with a level is put under its write lock, read under a read lock, and removed under its write lock. A
removal never waits for a lock, since orders to remove come in a thread that must not wait for tasks: a block in use is
marked, and whoever gives back the last lock on it removes it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial

from protocol import sites
from protocol.errors import (
    RUN_IS_OVER,
    ChannelError,
    LocalClusterError,
    StorageError,
    TaskKilledError,
)
from protocol.locations import BlockManagerId, ShmLocation
from storage.arena import Arena
from storage.block_id import BlockId
from storage.block_info import BlockInfo, BlockInfoManager
from storage.block_manager_master import BlockManagerMaster
from storage.block_result import BlockResult, ReadMethod
from storage.block_status import NOT_HERE, BlockStatus
from storage.block_store import BytesLike
from storage.block_table import IN_SHARED_MEMORY, shared_status
from storage.block_uses import BlockUses
from storage.conf import StorageConf
from storage.disk_block_manager import DiskBlockManager
from storage.disk_store import DiskStore
from storage.eviction import Eviction
from storage.external_store import ExternalStore, load_external_store
from storage.local_damage import LocalDamage, warn_of_removed_files
from storage.managed_buffer import ManagedBuffer
from storage.memory_store import MemoryStore
from storage.off_heap_store import OffHeapStore
from storage.own_values import own_values
from storage.scratch import SHARED_MEMORY, Scratch
from storage.shared_blocks import SharedBlocks
from storage.shared_memory_store import SharedMemoryStore
from storage.status_reporter import StatusReporter
from storage.storage_level import StorageLevel
from storage.tiers import Tiers

log = logging.getLogger(__name__)


class Put(Enum):
    """How a put ended. The caller holds a read lock after the first two."""

    STORED = "stored"
    HERE = "here already"
    NO_ROOM = "no room"


@dataclass(frozen=True, slots=True)
class BlockManagerStatistics:
    """Counts of one moment; memory is in bytes."""

    blocks: int  # with a storage level
    shared_blocks: int  # the runtime's: shuffle outputs, results, broadcasts
    storage_memory: int
    unroll_memory: int
    extents: int  # in the arena: in use, or given up and still read
    limbo: int  # bytes of extents that were given up and that other processes still read
    leases_held: int  # on other processes' extents


class LocalBlocks:
    """The blocks of one process, with their locks. Thread-safe. Locks belong to the calling thread."""

    def __init__(self, me: BlockManagerId, master: BlockManagerMaster, conf: StorageConf, scratch: Scratch) -> None:
        self._me = me
        self._master = master
        # A name of its own: what an executor of the same name left behind may still be in use.
        name = f"{me.executor_id}-{os.urandom(4).hex()}"
        self.arena = Arena(
            SHARED_MEMORY,
            f"{scratch.name}-{name}",
            scratch.directories,
            master.reserve_segment,
            self._return_segment,
            partial(warn_of_removed_files, scratch),
            by_calls=conf.by_calls,
        )
        self.disk_block_manager = DiskBlockManager(scratch.directories, name, conf.sub_directories)
        self.infos = BlockInfoManager()
        self.reporter = StatusReporter(me, master, conf.max_memory, self.status, self._told)
        self.shared = SharedBlocks(self.arena, self.reporter.report)
        self.damage = LocalDamage(me, master, self.shared)
        self.memory_store = MemoryStore(
            conf,
            can_evict=lambda block_id: self._eviction.may_go(block_id),
            drop=lambda block_id, data: self._eviction.drop_from_memory(block_id, data),
        )
        self.disk_store = DiskStore(self.disk_block_manager)
        self.off_heap_store = self._make_off_heap_store(me.executor_id, conf, scratch.name)
        self._tiers = Tiers(me.executor_id, self.memory_store, self.off_heap_store, self.disk_store, self.damage.found)
        self._eviction = Eviction(self.infos, self._tiers, master, self.reporter.report, self.release_lock)
        self._doomed: dict[BlockId, bool] = {}  # {block to be removed when its locks are given back: tell the master}
        self.uses = BlockUses(wanted=conf.cleaner_ttl is not None)

    def _make_off_heap_store(self, executor_id: str, conf: StorageConf, run: str) -> OffHeapStore:
        if conf.external_store is not None:
            options = {**conf.external_store_options, "executor_id": executor_id}
            store = load_external_store(conf.external_store, options)
            return ExternalStore(store, run, lambda block_id: self._eviction.left_off_heap(block_id))
        return SharedMemoryStore(
            self.arena,
            conf.shared_memory,
            can_evict=lambda places: self._eviction.unread(places),
            drop=lambda block_id, data: self._eviction.spill_off_heap(block_id, data),
            release=lambda block_id, location: self._eviction.left_off_heap(block_id),
        )

    def _return_segment(self, path: str) -> None:
        try:
            self._master.return_segment(path)
        except (ChannelError, StorageError) as error:  # a master that is gone keeps no budget either
            level = logging.DEBUG if isinstance(error, RUN_IS_OVER) else logging.WARNING
            log.log(level, "the master was not told that segment %s is gone: %s", path, error)

    # --- putting ------------------------------------------------------------------------------------------------------

    def put_shared(self, block_id: BlockId, chunks: Sequence[BytesLike], tell_master: bool, keep: bool) -> ShmLocation:
        """See `SharedBlocks.put`."""
        return self.shared.put(block_id, chunks, tell_master, keep)

    def put(self, block_id: BlockId, level: StorageLevel, tell_master: bool, store: Callable[[Tiers], bool]) -> Put:
        """Put a block by `store`, which says whether it found room, unless it is here or another thread puts it now.

        What `store` raises propagates; then, and without room, nothing of the block is left and the master knows.
        """
        if not self.infos.lock_new_block_for_writing(block_id, BlockInfo(level, tell_master)):
            return Put.HERE
        self._doomed.pop(block_id, None)  # that was an earlier block of this id
        self.damage.is_back(block_id)
        try:
            stored = store(self._tiers)
            if stored:
                self._note_stored(block_id)
        except BaseException as error:
            self._take_back(block_id, error)
            raise
        if not stored:
            self.infos.remove_block(block_id)
            return Put.NO_ROOM
        self.infos.downgrade_lock(block_id)
        return Put.STORED

    def adopt(self, block_id: BlockId) -> None:
        """Hold a block of the external store whose holder died, or tell the master that the store does not have it."""
        if self.put(block_id, IN_SHARED_MEMORY, True, lambda tiers: tiers.off_heap.adopt(block_id)) is not Put.STORED:
            self.reporter.report(block_id)  # the master takes it for this process's already
        self.release_lock(block_id)

    def _note_stored(self, block_id: BlockId) -> None:
        info = self.infos.assert_locked_for_writing(block_id)
        info.size = self._tiers.status(block_id, info.level).size
        if info.tell_master:
            self.reporter.report(block_id)

    def _take_back(self, block_id: BlockId, reason: BaseException) -> None:
        """Undo a put that raised. An error on the way is logged, so that the put's own is the one seen; at a run's end
        neither is news, nor is a put of a task that was killed.
        """
        info = self.infos.assert_locked_for_writing(block_id)
        failure: Exception | None = None
        try:
            self._remove_everywhere(block_id, info.level, info.tell_master)
        except Exception as error:  # an external store may raise anything
            failure = error
        finally:
            self.infos.remove_block(block_id)
        is_the_end = isinstance(reason, RUN_IS_OVER) or isinstance(failure, RUN_IS_OVER)
        level = logging.DEBUG if is_the_end else logging.WARNING
        is_no_news = is_the_end or isinstance(reason, TaskKilledError)
        log.log(logging.DEBUG if is_no_news else logging.WARNING, "putting block %s failed", block_id)
        if failure is not None:
            traced = None if isinstance(failure, LocalClusterError) else failure
            log.log(level, "cannot undo the put of block %s: %s", block_id, failure, exc_info=traced)

    # --- reading ------------------------------------------------------------------------------------------------------

    def get_values(self, block_id: BlockId) -> BlockResult | None:
        """The block's values, read-locked until they are exhausted. None when the block is not here, its file is lost,
        or its bytes are damaged: what is left of it is dropped then.
        """
        info = self.infos.lock_for_reading(block_id)
        if sites.armed is not None:
            self.at_site("block.read", block_id)
        if info is None:
            data = self._get_shared(block_id)
            return None if data is None else BlockResult(own_values(data, checked=True), data.size, ReadMethod.OFF_HEAP)
        try:
            found = self._tiers.get_values(block_id, info.level)
            if found is not None:
                self._note_read(block_id, info, found.moved)
                return BlockResult(found.values, found.size, found.method, lambda: self.release_lock(block_id))
        except BaseException:
            self.release_lock(block_id)
            raise
        self.release_lock(block_id)
        self._forget_lost(block_id, info.level)
        return None

    def get_bytes(self, block_id: BlockId) -> ManagedBuffer | None:
        """The block's serialised bytes, which stay good without a lock. None as for `get_values`."""
        info = self.infos.lock_for_reading(block_id)
        if sites.armed is not None:
            self.at_site("block.read", block_id)
        if info is None:
            return self._get_shared(block_id)
        try:
            found = self._tiers.get_bytes(block_id, info.level)
            if found is not None:
                self._note_read(block_id, info, found[1])
        finally:
            self.release_lock(block_id)
        if found is None:
            self._forget_lost(block_id, info.level)
            return None
        return found[0]

    def location_to_find(self, block_id: BlockId) -> ShmLocation | None:
        """Where other processes can map a block of shared memory, which moves if its segment's file was removed.

        None when it is not there. Raises OutOfSharedMemoryError.
        """
        return self.shared.location_to_find(block_id) or self.off_heap_store.location_to_find(block_id)

    def at_site(self, site: str, block_id: BlockId) -> None:
        """Where faults may do something to the block's bytes; called where ``sites.armed`` is set."""
        if sites.armed is not None:
            location = self.status(block_id).location
            if location is not None:
                facts = {"block": block_id.name, "block_id": block_id, "location": location}
                sites.armed(site, memory=self.memory_store, **facts)

    def _get_shared(self, block_id: BlockId) -> ManagedBuffer | None:
        data = self.damage.get_shared(block_id)
        if data is not None:
            self.uses.note(block_id)
        return data

    def _note_read(self, block_id: BlockId, info: BlockInfo, moved: bool) -> None:
        self.uses.note(block_id)
        if moved and info.tell_master:
            self.reporter.report(block_id)

    def _forget_lost(self, block_id: BlockId, level: StorageLevel) -> None:
        """Drop a block whose bytes no store has, now or when nobody uses it."""
        self.damage.nowhere(block_id, self._tiers.last_location(block_id, level, self._me.executor_id))
        self._doomed[block_id] = True
        self._remove_if_doomed(block_id)

    def release_lock(self, block_id: BlockId) -> None:
        """Give back a lock of the calling thread, if it has one."""
        self.infos.unlock(block_id)
        self._remove_if_doomed(block_id)

    def release_all_locks(self) -> list[BlockId]:
        """Give back all locks of the calling thread; the blocks that were locked."""
        block_ids = self.infos.release_all_locks_for_task()
        for block_id in block_ids:
            self._remove_if_doomed(block_id)
        return block_ids

    # --- removing -----------------------------------------------------------------------------------------------------

    def remove(self, block_id: BlockId, tell_master: bool = True) -> bool:
        """Drop the block from all stores, now or as soon as nobody uses it; whether it was here.

        Raises StorageError when its file cannot be removed; the block stays then.
        """
        if self.shared.remove(block_id, tell_master):
            return True
        if self.infos.get(block_id) is None:
            return False
        self._doomed[block_id] = tell_master  # before the look at the lock: who has it looks here after giving it back
        self._remove_if_doomed(block_id)
        return True

    def _remove_if_doomed(self, block_id: BlockId) -> None:
        tell_master = self._doomed.get(block_id)
        if tell_master is None:
            return
        info = self.infos.lock_for_writing(block_id, blocking=False)
        if info is not None:
            self._doomed.pop(block_id, None)
            self._remove_locked(block_id, info.level, tell_master and info.tell_master)
        elif self.infos.get(block_id) is None:
            self._doomed.pop(block_id, None)

    def _remove_locked(self, block_id: BlockId, level: StorageLevel, tell_master: bool) -> None:
        try:
            self._remove_everywhere(block_id, level, tell_master)
        except BaseException:
            self.infos.unlock(block_id)  # without another attempt, which would raise the same
            raise
        self.infos.remove_block(block_id)

    def _remove_everywhere(self, block_id: BlockId, level: StorageLevel, tell_master: bool) -> None:
        is_told = self._tiers.remove(block_id, level)  # by `Eviction.left_off_heap`, which needs the master's answer
        if tell_master and not is_told:
            self.reporter.report(block_id)

    # --- what there is ------------------------------------------------------------------------------------------------

    def block_ids(self) -> list[BlockId]:
        return [*self.infos.block_ids(), *self.shared.block_ids()]

    def take_uses(self) -> tuple[BlockId, ...]:
        """The blocks that this process used since the last call, and those that it uses now."""
        for block_id in self.infos.locked():
            self.uses.note(block_id)
        return self.uses.take()

    def status(self, block_id: BlockId) -> BlockStatus:
        location = self.shared.location(block_id)
        if location is not None:
            return shared_status(location)
        info = self.infos.get(block_id)
        return NOT_HERE if info is None else self._tiers.status(block_id, info.level)

    def _told(self) -> list[BlockId]:
        """Ids of the blocks that the master was told of."""
        with_level = [(block_id, self.infos.get(block_id)) for block_id in self.infos.block_ids()]
        return [block_id for block_id, info in with_level if info is not None and info.tell_master] + self.shared.told()

    def is_told(self, block_id: BlockId) -> bool:
        info = self.infos.get(block_id)
        return info is not None and info.tell_master

    def statistics(self, leases_held: int) -> BlockManagerStatistics:
        memory, arena = self.memory_store.statistics(), self.arena.statistics()
        return BlockManagerStatistics(
            blocks=len(self.infos),
            shared_blocks=len(self.shared.block_ids()),
            storage_memory=memory.storage_memory,
            unroll_memory=memory.unroll_memory,
            extents=arena.extents,
            limbo=arena.limbo,
            leases_held=leases_held,
        )

    def clear(self, *, unlink: bool) -> None:
        """Let go of everything. `unlink` False leaves segments and files to whoever adopts them."""
        self.infos.clear()
        self.shared.clear()
        self.memory_store.clear()
        if unlink:
            self.disk_store.clear()
            self.off_heap_store.close()
        self.arena.close(unlink=unlink)

    def check(self) -> None:
        """Audit locks and stores; nobody may be using a block. Raises AssertionError."""
        self.infos.check()
        self._tiers.check()
        self.shared.check()
        for block_id in self.infos.block_ids():
            assert block_id not in self._doomed, f"nobody uses block {block_id}, and it was not removed"
            info = self.infos.get(block_id)
            assert info is None or self._tiers.contains(block_id, info.level), (
                f"{block_id} is in the books and no store"
            )
