"""Blocks that the runtime lays into shared memory for others: shuffle outputs, task results, broadcasts.

Covers their extents and which block each belongs to. They have no storage level, are never evicted, and are written
once under an id of their own. `tell_master` False: the location travels with a task's result and the driver registers
it, or the task failed and removes it.
"""

from __future__ import annotations

import logging
import threading
from bisect import bisect_right, insort
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from protocol.errors import BlockPutError, CorruptBlockError, StaleLocationError
from protocol.forks import free_in_forks
from protocol.locations import ShmLocation
from storage import os_layer
from storage.arena import Arena
from storage.block_id import BlockId
from storage.block_store import BytesLike
from storage.file_reads import copy_out
from storage.managed_buffer import HeapBuffer, ManagedBuffer, ShmBuffer
from storage.serializer import check

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Shared:
    location: ShmLocation
    told: bool  # the master was told by this process
    chunks: Sequence[BytesLike] | None = field(repr=False)  # what was written, to be written again


class SharedBlocks:
    """What the runtime of this process has laid into shared memory for others.

    Thread-safe. ``report(block_id)`` tells the master and says whether nobody reads the extent that a block left.
    """

    def __init__(self, arena: Arena, report: Callable[[BlockId], bool]) -> None:
        self._arena = arena
        self._report = report
        self._lock = free_in_forks(threading.Lock())
        self._blocks: dict[BlockId, _Shared] = {}
        self._starts: dict[str, list[tuple[int, int]]] = {}  # {segment: sorted (offset, length) of the blocks in it}

    def put(self, block_id: BlockId, chunks: Sequence[BytesLike], tell_master: bool, keep: bool = False) -> ShmLocation:
        """Lay the chunks end to end into an extent; nothing is left when this raises. `keep` them for `restore`.

        Raises OutOfSharedMemoryError when neither shared memory nor the local directories have room, BlockPutError when
        the block is here already.
        """
        location = self._arena.write(chunks)
        try:
            self._enter(block_id, _Shared(location, tell_master, chunks if keep else None))
        except BlockPutError:
            self._arena.free(location)
            raise
        if tell_master:
            try:
                self._report(block_id)
            except BaseException:
                self._leave(block_id)
                self._arena.retire(location)  # the master may have heard of it, and readers from the master
                raise
        return location

    def get(self, block_id: BlockId) -> ManagedBuffer | None:
        """The bytes, without a copy unless the arena is used by system calls. Raises StaleLocationError when they were
        cut short.
        """
        with self._lock:  # so that the extent is not given up before the view pins it
            shared = self._blocks.get(block_id)
            if shared is None:
                return None
            pin = self._arena.view(shared.location)
            # Of a file that has lost its name the mapping is all there is, and nobody can cut it.
            by_calls = self._arena.by_calls and os_layer.exists(shared.location.segment)
        return HeapBuffer(copy_out(shared.location)) if by_calls else ShmBuffer(pin, shared.location)

    def restore(self, block_id: BlockId) -> ManagedBuffer | None:
        """Write a block that is damaged anew, from what was kept; its bytes. None when that cannot be done, or what was
        kept has changed. Raises OutOfSharedMemoryError.
        """
        old = self._blocks.get(block_id)
        if old is None or old.chunks is None:
            return None
        new = _Shared(self._arena.write(old.chunks), old.told, old.chunks)
        try:
            check(copy_out(new.location))
        except (CorruptBlockError, StaleLocationError) as error:
            log.warning("block %s cannot be restored, since what it was made of has changed: %s", block_id, str(error))
            self._arena.free(new.location)
            return None
        self._move(block_id, old, new)
        return self.get(block_id)

    def location(self, block_id: BlockId) -> ShmLocation | None:
        shared = self._blocks.get(block_id)
        return None if shared is None else shared.location

    def location_to_find(self, block_id: BlockId) -> ShmLocation | None:
        """Where other processes can map a block, which moves if its segment's file was removed; None: it is not here.

        Raises OutOfSharedMemoryError.
        """
        with self._lock:
            old = self._blocks.get(block_id)
            if old is None or self._arena.can_be_found(old.location):
                return None if old is None else old.location
            view = self._arena.view(old.location)
        new = _Shared(self._arena.write([view]), old.told, old.chunks)
        del view  # it pins the old extent
        return self._move(block_id, old, new)

    def _move(self, block_id: BlockId, old: _Shared, new: _Shared) -> ShmLocation | None:
        """The block is at a new place, and the old one given up; where it is, if another thread moved or removed it."""
        with self._lock:
            moved = self._blocks.get(block_id) is old
            if moved:
                self._strike(block_id)
                self._list(block_id, new)
        if not moved:  # by another thread, or removed
            self._arena.free(new.location)
            return self.location(block_id)
        self._give_up(block_id, old, tell_master=True)
        return new.location

    def enclosing(self, location: ShmLocation) -> ShmLocation:
        """The whole extent that `location` is a part of, if a block here has it; else `location` itself."""
        with self._lock:
            starts = self._starts.get(location.segment, [])
            index = bisect_right(starts, (location.offset, 1 << 62)) - 1
            if index >= 0:
                offset, length = starts[index]
                if location.offset + location.length <= offset + length:
                    return ShmLocation(location.segment, offset, length)
        return location

    def remove(self, block_id: BlockId, tell_master: bool = True) -> bool:
        """Drop a block; its extent is reused when the last reader is done. False when it is not here.

        The master is told in any case but `tell_master` False, since it may know the block from the driver.
        """
        shared = self._leave(block_id)
        if shared is None:
            return False
        self._give_up(block_id, shared, tell_master=tell_master or shared.told)
        return True

    def _give_up(self, block_id: BlockId, shared: _Shared, *, tell_master: bool) -> None:
        unread = False  # also when the master cannot be asked
        try:
            unread = self._report(block_id) if tell_master else True
        finally:
            if unread:
                self._arena.free(shared.location)
            else:
                self._arena.retire(shared.location)

    def block_ids(self) -> list[BlockId]:
        with self._lock:
            return list(self._blocks)

    def told(self) -> list[BlockId]:
        """Ids of the blocks that this process told the master of."""
        with self._lock:
            return [block_id for block_id, shared in self._blocks.items() if shared.told]

    def clear(self) -> None:
        """Forget all blocks; their extents go with the arena."""
        with self._lock:
            self._blocks.clear()
            self._starts.clear()

    def check(self) -> None:
        """Audit that every block has an extent of its own. Raises AssertionError, StaleLocationError."""
        with self._lock:
            entered = sorted((s.location.segment, s.location.offset, s.location.length) for s in self._blocks.values())
            for shared in self._blocks.values():
                self._arena.pinned(shared.location)
            listed = sorted((segment, *start) for segment, starts in self._starts.items() for start in starts)
            assert entered == listed, "the blocks and their extents disagree"

    def _enter(self, block_id: BlockId, shared: _Shared) -> None:
        with self._lock:
            if block_id in self._blocks:
                raise BlockPutError(f"block {block_id} is in shared memory already")
            self._list(block_id, shared)

    def _leave(self, block_id: BlockId) -> _Shared | None:
        with self._lock:
            return self._strike(block_id) if block_id in self._blocks else None

    def _list(self, block_id: BlockId, shared: _Shared) -> None:
        location = shared.location
        self._blocks[block_id] = shared
        insort(self._starts.setdefault(location.segment, []), (location.offset, location.length))

    def _strike(self, block_id: BlockId) -> _Shared:
        shared = self._blocks.pop(block_id)
        starts = self._starts[shared.location.segment]
        starts.remove((shared.location.offset, shared.location.length))
        if not starts:
            del self._starts[shared.location.segment]
        return shared
