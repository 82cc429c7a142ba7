"""A simulated executor's block manager: what it says to the real block master, and what it does when told.

The messages and their order are those of `storage.block_manager`; bytes are values in `Memory`, locks are a block's
``busy``. Each method that asks is a generator (``steps``). Covers an executor's own blocks; see ``reading`` for
those of others.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from protocol import block_messages as m
from protocol.errors import StaleLocationError
from protocol.locations import BlockManagerId, FileLocation, HeapLocation, Location, SharedLocation, ShmLocation
from protocol.message import Report
from storage.block_id import BlockId
from storage.block_table import IN_SHARED_MEMORY
from storage.replication import MAX_FAILURES, order_peers
from storage.storage_level import StorageLevel
from tests.simulation.faults import Faults
from tests.simulation.memory import EXTENT, SEGMENT, Arena, Memory, file_location
from tests.simulation.steps import Doing

MAX_MEMORY = 1 << 20  # bytes, for the books


@dataclass(eq=False)
class Block:
    """``level`` is None for what the runtime stores for itself: map outputs and results."""

    value: Any
    location: Location
    level: StorageLevel | None
    is_told: bool  # the master was, or the driver tells it
    busy: int = 0  # puts and reads that are under way
    is_doomed: bool = False  # it goes when they are done


class SimulatedBlocks:
    """``ask(message)`` is a future of the master's answer; ``tell`` sends reports with the next ones."""

    def __init__(
        self,
        me: BlockManagerId,
        memory: Memory,
        faults: Faults,
        ask: Callable[[Report], Future[Any]],
        tell: Callable[[Report], None],
    ) -> None:
        self.me = me
        self.memory = memory
        self.arena = Arena(memory, me.executor_id)
        self.blocks: dict[BlockId, Block] = {}
        self.releases: list[tuple[ShmLocation, int]] = []  # leases to be given back with the next report
        self.ask = ask
        self.tell = tell
        self._faults = faults

    # --- the master's knowledge ---

    def register(self) -> Doing[None]:
        yield self.ask(m.RegisterBlockManager(self.me, MAX_MEMORY))

    def reregister(self) -> Doing[None]:
        yield from self.register()
        for block_id, block in list(self.blocks.items()):
            if block.is_told and block.level is not None:
                yield self.ask(self._update(block_id))

    def heartbeat(self) -> Doing[None]:
        if not (yield self.ask(m.BlockManagerHeartbeat(self.me))):
            yield from self.reregister()

    def report(self, block_id: BlockId) -> Doing[bool]:
        """False: another process reads the extent that the block left."""
        reply: m.UpdateReply = yield self.ask(self._update(block_id))
        if not reply.known:
            yield from self.reregister()
            reply = yield self.ask(self._update(block_id))
        return reply.released

    def _update(self, block_id: BlockId) -> m.UpdateBlockInfo:
        """Of what there is at this moment: reports arrive in the order in which they are made."""
        block = self.blocks.get(block_id)
        if block is None or block.is_doomed:
            return m.UpdateBlockInfo(self.me, block_id, StorageLevel.NONE, 0, 0, 0, None)
        place, level = block.location, block.level or IN_SHARED_MEMORY
        memory, disk, off_heap = (
            EXTENT * isinstance(place, kind) for kind in (HeapLocation, FileLocation, ShmLocation)
        )
        return m.UpdateBlockInfo(self.me, block_id, level, memory, disk, off_heap, place)

    # --- putting ---

    def put(self, block_id: BlockId, value: Any, level: StorageLevel) -> Doing[None]:
        """A cached block, its copies too. Does nothing when it is here already."""
        if (yield from self._store(block_id, value, level)) and level.replication > 1:
            yield from self._replicate(block_id, level)
        self._done(block_id)

    def _store(self, block_id: BlockId, value: Any, level: StorageLevel) -> Doing[bool]:
        if block_id in self.blocks:
            self.blocks[block_id].busy += 1
            return False
        location: Location = HeapLocation(self.me.executor_id)
        if level.use_off_heap or not level.use_memory:
            location = yield from self.allocate(value, on_disk=not level.use_memory)
            if block_id in self.blocks:  # another thread was faster
                self.blocks[block_id].busy += 1
                yield from self._give_up_place(location)
                return False
        self.blocks[block_id] = Block(value, location, level, is_told=True, busy=1)
        yield self._faults.between(0.0, 0.002)  # it is written, and the master does not know
        yield from self.report(block_id)
        return True

    def put_shared(self, block_id: BlockId, value: Any) -> Doing[SharedLocation]:
        """A map output or a result, of which the driver tells the master."""
        location: SharedLocation = yield from self.allocate(value, on_disk=False)
        self.blocks[block_id] = Block(value, location, None, is_told=False)
        return location

    def allocate(self, value: Any, *, on_disk: bool) -> Doing[Any]:
        """A place with the value in it: in the arena when it has room, or the budget allows a segment, else a file."""
        if not on_disk and self.arena.is_full:
            path = self.arena.new_segment()
            allowed = yield self.ask(m.ReserveSegment(path, SEGMENT))
            if allowed and self._faults.happens("find no room"):
                self.tell(m.ReturnSegment(path))
                allowed = False
            if allowed:
                self.arena.add(path)
        if on_disk or self.arena.is_full:
            location = file_location(self.memory.path(self.me.executor_id, "disk"))
            self.memory.write(location, value)
            return location
        return self.arena.write(value)

    def _done(self, block_id: BlockId) -> None:
        block = self.blocks[block_id]
        block.busy -= 1

    # --- copies ---

    def _replicate(self, block_id: BlockId, level: StorageLevel) -> Doing[None]:
        """As `storage.replication.replicate`."""
        single = StorageLevel(level.use_disk, level.use_memory, level.use_off_heap, level.deserialized)
        peers = yield self.ask(m.GetPeers(self.me))
        waiting, placed, failures = order_peers(block_id.name, peers), 0, 0
        while waiting and placed < level.replication - 1 and failures <= MAX_FAILURES:
            missing = level.replication - 1 - placed
            chosen, waiting = tuple(waiting[:missing]), waiting[missing:]
            location = yield from self._to_read(block_id)
            stored = yield self.ask(m.ReplicateTo(block_id, single, location, chosen))
            placed += len(stored)
            failures += len(chosen) - len(stored)

    def _to_read(self, block_id: BlockId) -> Doing[SharedLocation]:
        """The block's own place, or a copy that is given up as soon as it is made."""
        block = self.blocks[block_id]
        if isinstance(block.location, ShmLocation) and not self.memory.exists(block.location.segment):
            yield from self._move(block_id, block)
        if isinstance(block.location, ShmLocation | FileLocation):
            return block.location
        location = yield from self.allocate(block.value, on_disk=False)
        if isinstance(location, ShmLocation):
            self.arena.retire(location)
        return location  # type: ignore[no-any-return]

    def _move(self, block_id: BlockId, block: Block) -> Doing[None]:
        """Out of a segment whose file was removed, where others cannot find it."""
        old = block.location
        new = yield from self.allocate(block.value, on_disk=False)
        if block.location is not old:  # another thread was faster
            yield from self._give_up_place(new)
            return
        block.location = new
        unread = yield from self.report(block_id)
        yield from self._give_up_place(old, unread=unread)

    def store_replica(self, order: m.ReplicateBlock) -> Doing[bool]:
        location, block_id = order.location, order.block_id
        assert isinstance(block_id, BlockId)
        assert isinstance(order.level, StorageLevel)
        try:
            value = self.memory.read(location)
        except StaleLocationError:
            value = None
        yield self._faults.between(0.0, 0.002)
        if value is not None:
            yield from self._store(block_id, value, order.level)
            self._done(block_id)
            yield from self.end_if_doomed(block_id)
        if isinstance(location, ShmLocation):
            self.releases.append((location, 1))
        return value is not None

    def share(self, block_id: BlockId) -> Doing[SharedLocation | None]:
        block = self.blocks.get(block_id)
        if block is None or block.is_doomed:
            return None
        block.busy += 1
        location = yield from self._to_read(block_id)
        block.busy -= 1
        yield from self.end_if_doomed(block_id)
        return location

    # --- removing ---

    def remove(self, block_id: BlockId) -> Doing[bool]:
        """Whether it was here. One that is in use goes when it is not."""
        block = self.blocks.get(block_id)
        if block is None or block.is_doomed:
            return False
        block.is_doomed = True
        yield from self.end_if_doomed(block_id)
        return True

    def end_if_doomed(self, block_id: BlockId) -> Doing[None]:
        """Let go of a block that was removed while it was in use."""
        block = self.blocks.get(block_id)
        if block is None or not block.is_doomed or block.busy:
            return
        del self.blocks[block_id]
        unread = yield from self.report(block_id)
        yield from self._give_up_place(block.location, unread=unread)

    def _give_up_place(self, location: Location, *, unread: bool = True) -> Doing[None]:
        if isinstance(location, ShmLocation) and unread:
            self.arena.free(location)
        elif isinstance(location, ShmLocation):
            self.arena.retire(location)
        elif isinstance(location, FileLocation):
            self.memory.unlink(location.path)
        yield 0.0

    def remove_all(self, wanted: Callable[[BlockId], bool]) -> Doing[int]:
        count = 0
        for block_id in [block_id for block_id in self.blocks if wanted(block_id)]:
            count += yield from self.remove(block_id)
        return count

    # --- orders ---

    def obey(self, order: Any) -> Doing[Any]:
        """Carry out one of the master's orders; the answer."""
        if isinstance(order, m.ExtentReleased):
            for location in order.locations:
                self.arena.released(location)
            return None
        if isinstance(order, m.ReleaseSegment):
            return None  # nothing is mapped in the simulation
        if isinstance(order, m.TakeUses):
            return ()
        yield self._faults.between(0.0, 0.003)
        if isinstance(order, m.ShareBlock):
            return (yield from self.share(order.block_id))  # type: ignore[arg-type]
        if isinstance(order, m.ReplicateBlock):
            return (yield from self.store_replica(order))
        if isinstance(order, m.RemoveBlock):
            return (yield from self.remove(order.block_id))  # type: ignore[arg-type]
        if isinstance(order, m.RemoveRdd):
            return (yield from self.remove_all(lambda block_id: block_id.of_rdd == order.rdd_id))
        if isinstance(order, m.RemoveShuffle):
            return bool((yield from self.remove_all(lambda block_id: block_id.of_shuffle == order.shuffle_id)))
        raise AssertionError(f"no simulated executor obeys {order}")

    def take_releases(self) -> list[Report]:
        """What is to be told of leases, with the next report."""
        releases, self.releases = self.releases, []
        return [m.ReleaseLeases(tuple(releases))] if releases else []

    def unlink_all(self) -> None:
        """At a stop in good order."""
        self.arena.unlink()
        for block in self.blocks.values():
            if isinstance(block.location, FileLocation):
                self.memory.unlink(block.location.path)
