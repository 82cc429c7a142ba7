"""The block master: where every block of the run is, who reads what, and what follows from each message.

A pure state machine: `receive` takes a message and returns an `Outcome` (a reply, and messages to send). It has no
pipes, no threads and no clock; whoever owns it calls it from one thread at a time and carries the outcomes out with
`storage.outcome.settle`. Follows Spark's ``BlockManagerMasterEndpoint``, with three differences that shared memory
makes: locations are data, every location in another process's segment comes with a lease, and blocks in shared memory
or files outlive the process that wrote them (`storage.block_table`, "adopted").

Covers block managers that come and go, what they report, and segments. What they read of each other is in
`storage.master_sharing`, what of it is damaged in `storage.master_damage`, removals in `storage.master_removals`,
read-only answers in `storage.master_queries`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from protocol import block_messages as m
from protocol.errors import BlockMasterStoppedError, StorageError
from protocol.events import Recorder, nobody
from protocol.locations import DRIVER, BlockManagerId, FileLocation, Location, SharedLocation, ShmLocation
from protocol.message import Message, Order
from storage.audit import is_whole
from storage.block_fates import BlockFates
from storage.block_id import BlockId
from storage.block_status import BlockStatus
from storage.block_table import BlockTable, shared_status
from storage.lease_table import LeaseTable
from storage.master_damage import MasterDamage
from storage.master_queries import QUERIES
from storage.master_removals import MasterRemovals
from storage.master_replicas import MasterReplicas
from storage.master_sharing import MasterSharing, extents_released
from storage.outcome import Handlers, Outcome, Tells
from storage.segment_budget import SegmentBudget
from storage.storage_level import StorageLevel

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class MasterStatistics:
    """Counts of one moment, sizes in bytes."""

    managers: int
    blocks: int
    rdd_blocks: int
    broadcasts: int
    memory_used: int  # of all heaps, as blocks are there
    off_heap_used: int  # of shared memory, without what is free in its segments
    disk_used: int
    leases: int
    extents_in_limbo: int
    segments: int
    shared_memory_used: int
    shared_memory_limit: int
    adopted_paths: int


class BlockManagerMasterEndpoint:
    """The block master: the tables of all blocks of a run, and the answers to messages about them.

    No endpoint of a channel. `shared_memory` is the budget of all arenas together, in bytes; `slave_timeout` is in
    seconds; `own_id` is the executor id of the block manager in this process, which removes what dead ones left.
    ``is_whole(location)``: whether the bytes are there that a dead process left.
    """

    def __init__(
        self,
        shared_memory: int,
        slave_timeout: float = 120.0,
        own_id: str = DRIVER,
        record: Recorder = nobody,
        is_whole: Callable[[ShmLocation | FileLocation], bool] = is_whole,
    ) -> None:
        self.own_id = own_id
        self._table = BlockTable(own_id)
        self._leases = LeaseTable()
        self._budget = SegmentBudget(shared_memory)
        self._slave_timeout = slave_timeout
        self._fates = BlockFates(self._table, record)
        self._replicas = MasterReplicas(self._table, self._leases)
        self._damage = MasterDamage(self._table, self._fates, self._drop, self._replicas.begin, record)
        self._is_whole = is_whole
        # Executors that fell silent but may live: their views and arenas may be in use until `RemoveExecutor` says
        # dead.
        self._expired: dict[str, frozenset[BlockId]] = {}  # {executor id: what it held}
        # Extents whose block was dropped here while its holder, which may live, still has it: readers' leases go on,
        # and the holder's next report of the block must hear of them.
        self._dropped: dict[tuple[BlockId, BlockManagerId], ShmLocation] = {}
        self._removals = MasterRemovals(
            self._table, self._leases, self._fates, self._replicas, self._expired, self._drop
        )
        self.stopped = False
        """No message is handled any more."""
        self.is_wanted: Callable[[int], bool] = lambda rdd_id: True
        """Whether blocks of an RDD are to be kept: a task may put one when the RDD was unpersisted, and all told so."""
        self._handlers: Handlers = {
            m.RegisterBlockManager: self._register,
            m.UpdateBlockInfo: self._update_block_info,
            m.BlockManagerHeartbeat: self._heartbeat,
            m.ExpireDeadHosts: self._expire_dead_hosts,
            m.RemoveExecutor: self._remove_executor,
            m.ReportStaleLocation: self._report_stale_location,
            m.ReportReplicaRead: self._report_replica_read,
            m.ReserveSegment: self._reserve_segment,
            m.ReturnSegment: self._return_segment,
            m.StopBlockManagerMaster: self._stop,
            **self._damage.handlers,
            **MasterSharing(self._table, self._leases, self._replicas, self._expired, self._drop).handlers,
            **self._removals.handlers,
        }

    def receive(self, sender: str, message: Message, now: float) -> Outcome:
        """What follows from a message of the executor `sender` at `now`, seconds on any steady clock.

        Raises StorageError for a message that is none of the block master's, BlockMasterStoppedError after the stop.
        """
        if self.stopped:
            what = f"{type(message).__name__} of {sender}"
            raise BlockMasterStoppedError(f"the block master has stopped; {what} comes too late")
        handler = self._handlers.get(type(message))
        if handler is not None:
            return handler(sender, message, now)
        query = QUERIES.get(type(message))
        if query is not None:
            return query(self._table, message)
        raise StorageError(f"{type(message).__name__} is no message to the block master")

    @property
    def messages(self) -> frozenset[type[Message]]:
        """What `receive` knows: its owner has other messages in the same pipes."""
        return frozenset([*self._handlers, *QUERIES])

    # --- what the driver asks without a message --------------------------------------------------------------------

    def is_stored(self, block_id: BlockId) -> bool:
        """Whether anybody holds the block."""
        return bool(self._table.statuses(block_id))

    def register_shared(self, block_id: BlockId, holder: BlockManagerId, location: SharedLocation) -> bool:
        """Note a block whose location came with a task's result. False when it died with its writer meanwhile."""
        if self._table.manager(holder) is None:
            lives = holder.executor_id in self._expired
            is_adopted = self._table.adopt(block_id, holder, location, lives=lives)
            if lives:  # to be asked to remove it, too, when it comes back
                self._expired[holder.executor_id] |= {block_id}
            if is_adopted:
                self._fates.adopted(block_id, holder.executor_id)
            return is_adopted
        self._table.put(block_id, holder, shared_status(location))
        return True

    def statistics(self) -> MasterStatistics:
        copies = self._table.copies()
        return MasterStatistics(
            managers=len(self._table.managers),
            blocks=self._table.blocks,
            rdd_blocks=len(self._table.matching(lambda block_id: block_id.is_rdd)),
            broadcasts=len({block_id.of_broadcast for block_id in self._table.matching(lambda b: b.is_broadcast)}),
            memory_used=sum(status.memory_size for status in copies),
            off_heap_used=sum(status.off_heap_size for status in copies),
            disk_used=sum(status.disk_size for status in copies),
            leases=self._leases.leases,
            extents_in_limbo=self._leases.in_limbo,
            segments=len(self._budget),
            shared_memory_used=self._budget.used,
            shared_memory_limit=self._budget.limit,
            adopted_paths=self._table.adopted_paths,
        )

    def check(self) -> None:
        """Audit all tables. Raises AssertionError."""
        self._table.check()
        self._fates.check()
        self._leases.check()
        self._budget.check()

    # --- block managers come and go ----------------------------------------------------------------------------------

    def _register(self, sender: str, message: m.RegisterBlockManager, now: float) -> Outcome:
        manager_id = message.block_manager_id
        outcome = Outcome()
        known = self._table.manager_of(manager_id.executor_id)
        if known is not None and known != manager_id:
            log.error("%s takes the place of %s, which is taken for dead", manager_id, known)
            outcome = self._remove_executor(sender, m.RemoveExecutor(known.executor_id), now)
        self._table.register(manager_id, message.max_memory, now)
        held = self._expired.pop(manager_id.executor_id, None)
        if held is not None:
            self._fates.came_back(held)
            outcome.background = self._removals.came_back(manager_id.executor_id)
        elif outcome.background is None:
            outcome.background = self._replicas.begin()  # there may have been no peer for a copy before
        return outcome

    def _heartbeat(self, sender: str, message: m.BlockManagerHeartbeat, now: float) -> Outcome:
        return Outcome(self._table.seen(message.block_manager_id, now))

    def _expire_dead_hosts(self, sender: str, message: m.ExpireDeadHosts, now: float) -> Outcome:
        outcome = Outcome()
        for executor_id in self._table.silent_since(now - self._slave_timeout):
            log.warning(
                "no heartbeat of %s for %g s: its heap is not asked until the next", executor_id, self._slave_timeout
            )
            self._expired[executor_id] = self._table.blocks_of(executor_id)
            outcome.tells += self._remove_manager(executor_id)
        return outcome

    def _remove_manager(self, executor_id: str) -> Tells:
        manager_id, held = self._table.manager_of(executor_id), self._table.blocks_of(executor_id)
        if manager_id is None:
            return []
        external = self._table.remove_manager(executor_id)
        self._fates.manager_gone(manager_id, held, external)
        return [(self.own_id, m.AdoptBlocks(external))] if external else []

    def _remove_executor(self, sender: str, message: m.RemoveExecutor, now: float) -> Outcome:
        """Precondition: the process is dead. Its leases end here, so views that it still used would change under it."""
        executor_id = message.executor_id
        self._expired.pop(executor_id, None)
        tells = self._drop_damaged(executor_id)
        tells += self._remove_manager(executor_id)
        tells += self._removals.executor_lost(executor_id)
        self._leases.owner_lost(executor_id)
        self._dropped = {key: place for key, place in self._dropped.items() if key[1].executor_id != executor_id}
        tells += extents_released(self._leases.reader_lost(executor_id))
        for segment in self._budget.owned_by(executor_id):
            if not self._table.is_adopted(segment):
                tells += self._give_up(segment)
        return Outcome(tells=tells, background=self._replicas.begin())

    def _drop_damaged(self, executor_id: str) -> Tells:
        """What it left is adopted if its bytes are there: somebody may have removed the file, or cut it."""
        tells = []
        for block_id, holder, location in self._table.shared_copies_of(executor_id):
            if not self._is_whole(location):
                log.warning("%s is not at %s, where the lost executor %s had it", block_id, location, executor_id)
                tells += self._drop(block_id, holder)
                self._fates.copy_gone(block_id, executor_id)
        return tells

    def _give_up(self, path: str) -> Tells:
        """Nobody needs a dead process's segment or file: the master's own removes it, all others unmap it."""
        self._budget.give_back(path)
        self._leases.segment_gone(path)
        return [(self.own_id, m.ReleaseSegment(path, remove=True)), *self._all_but(self.own_id, m.ReleaseSegment(path))]

    def _all_but(self, executor_id: str, order: Order) -> Tells:
        return [(each.executor_id, order) for each in self._table.managers if each.executor_id != executor_id]

    def _stop(self, sender: str, message: m.StopBlockManagerMaster, now: float) -> Outcome:
        self.stopped = True
        tells = self._all_but(self.own_id, m.StopBlockManager())
        self._table.clear()
        self._fates.clear()
        self._replicas.clear()
        self._removals.clear()
        self._leases.clear()
        self._dropped.clear()
        return Outcome(tells=tells)

    # --- blocks are reported and looked up ---------------------------------------------------------------------------

    def _update_block_info(self, sender: str, message: m.UpdateBlockInfo, now: float) -> Outcome:
        block_id, holder = cast(BlockId, message.block_id), message.block_manager_id
        previous = self._location_at(block_id, holder)
        known = self._table.seen(holder, now)
        tells: Tells = []
        if known and message.storage_level.is_valid:
            self._table.put(block_id, holder, _status(message))
            self._replicas.want(block_id, cast(StorageLevel, message.storage_level))
            is_copy = self._replicas.is_copy(block_id, holder)
            self._fates.stored(block_id, holder.executor_id, is_copy=is_copy)
            if block_id.of_rdd is not None and not self.is_wanted(block_id.of_rdd):
                tells.append((holder.executor_id, m.RemoveBlock(block_id)))
        else:
            tells = self._drop(block_id, holder)
            self._removals.gone(block_id, holder.executor_id)
        restore = self._damage.reported(block_id, holder)
        self._dropped.pop((block_id, holder), None)
        released = True
        if isinstance(previous, ShmLocation) and previous != message.location:
            released = self._leases.retire(previous, holder.executor_id)
        return Outcome(m.UpdateReply(known, released), tells, background=restore)

    def _location_at(self, block_id: BlockId, holder: BlockManagerId) -> Location | None:
        """Where the holder has the block, as far as it has told."""
        status = self._table.status(block_id, holder)
        return self._dropped.get((block_id, holder)) if status is None else status.location

    def _report_stale_location(self, sender: str, message: m.ReportStaleLocation, now: float) -> Outcome:
        block_id = cast(BlockId, message.block_id)
        status = self._table.status(block_id, message.holder)
        if status is None or status.location != message.location:
            return Outcome()  # the block has moved since
        if sender == message.holder.executor_id and self._table.manager(message.holder) is not None:
            self._damage.found_gone(block_id, message.holder)  # and will report what it has of the block now
            return Outcome()
        if isinstance(message.location, ShmLocation) and self._table.manager(message.holder) is not None:
            return Outcome()  # the holder, which still has it, could not share it now; else it would have said so
        log.warning("%s is not at %s: the location is dropped", block_id, message.location)
        tells = self._drop(block_id, message.holder)
        self._fates.copy_gone(block_id, message.holder.executor_id)
        return Outcome(tells=tells)

    def _report_replica_read(self, sender: str, message: m.ReportReplicaRead, now: float) -> Outcome:
        self._fates.read_from_replica(cast(BlockId, message.block_id), sender)
        return Outcome()

    def _drop(self, block_id: BlockId, holder: BlockManagerId) -> Tells:
        status = self._table.status(block_id, holder)
        may_live = holder.executor_id in self._expired or self._table.manager(holder) is not None
        if may_live and status is not None and isinstance(status.location, ShmLocation):
            self._dropped[block_id, holder] = status.location
        path = self._table.drop(block_id, holder)
        self._replicas.dropped(block_id)
        if path is None or holder.executor_id in self._expired:
            return []  # an expired process may live and write to the segment; `_remove_executor` comes back to it
        return self._give_up(path)

    def _reserve_segment(self, sender: str, message: m.ReserveSegment, now: float) -> Outcome:
        return Outcome(self._budget.reserve(message.segment, sender, message.size))

    def _return_segment(self, sender: str, message: m.ReturnSegment, now: float) -> Outcome:
        self._budget.give_back(message.segment)
        self._leases.segment_gone(message.segment)
        return Outcome(tells=self._all_but(sender, m.ReleaseSegment(message.segment)))


def _status(message: m.UpdateBlockInfo) -> BlockStatus:
    sizes = (message.memory_size, message.disk_size, message.off_heap_size)
    return BlockStatus(cast(StorageLevel, message.storage_level), *sizes, message.location)
