"""The store on this process's heap: values as they are, or their serialised bytes.

Covers what is kept, what must go to make room, and the books on both. Follows Spark's ``MemoryStore`` with the static
memory manager of 1.x. How a block is unrolled is `unroll`'s business. What becomes of an evicted block (a file, or
nothing) and which blocks are in use is the block manager's, asked through two callbacks.

Memory is *storage memory* (blocks that are here) plus *unroll memory* (puts under way, and what did not fit and is
still being used); their sum never passes the limit. Both are estimates for Python objects.

Guarantees:
- A block is evicted whole or not at all, and stays until its drop has succeeded, so it is never in neither place.
- Nothing is evicted for a put unless what may go makes enough room for it.
- A block never drives out another of its own RDD (`lru_blocks`).
- No lock is held while a callback, an iterator or the serializer runs, except that evictions happen one at a time.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from protocol.errors import BlockNotFoundError, BlockPutError, TaskKilledError
from protocol.forks import free_in_forks
from storage.anonymous_pages import AnonymousPages, in_pages
from storage.block_id import BlockId
from storage.block_store import BlockStore, PutResult
from storage.conf import StorageConf
from storage.lru_blocks import LruBlocks
from storage.managed_buffer import HeapBuffer, ManagedBuffer, PagesBuffer
from storage.own_values import own_values
from storage.private_pages import PRIVATE_FROM
from storage.serializer import deserialize, has_buffers, serialize
from storage.storage_level import StorageLevel
from storage.unroll import Leftover, Reservation, Unrolled, unroll_bytes, unroll_values

log = logging.getLogger(__name__)

CanEvict = Callable[[BlockId], bool]
"""Whether a block may go now: nobody reads or writes it. Must not wait."""
Drop = Callable[[BlockId, "list[Any] | ManagedBuffer"], "bool | None"]
"""Store an evicted block elsewhere, or let it go. Returns False if it came into use meanwhile: another is chosen. When
it raises, the block stays. Must not change the list, nor wait for whoever uses the block: that thread may be waiting
for room itself."""


@dataclass(frozen=True, slots=True)
class MemoryStatistics:
    """Bytes, and the number of blocks."""

    max_memory: int
    storage_memory: int
    unroll_memory: int
    blocks: int


_Data: TypeAlias = "list[Any] | bytes | bytearray | memoryview | AnonymousPages"


@dataclass(frozen=True, slots=True, eq=False)
class _Entry:
    data: _Data
    size: int  # bytes


class MemoryStore(BlockStore):
    """Holds up to ``conf.max_memory`` bytes; evicts the blocks that were not used for longest."""

    def __init__(
        self,
        conf: StorageConf,
        *,
        can_evict: CanEvict = lambda block_id: True,
        drop: Drop = lambda block_id, data: None,
    ) -> None:
        self._conf = conf
        self._max_unroll = int(conf.max_memory * conf.unroll_fraction)  # bytes that unrolling may have by eviction
        self._can_evict = can_evict
        self._drop = drop
        self._eviction = free_in_forks(threading.Lock())  # held by the one thread that evicts; taken before `_lock`
        self._lock = free_in_forks(threading.Lock())  # guards all below, for a few lines at a time
        self._entries: LruBlocks[_Entry] = LruBlocks()
        self._being_put: dict[BlockId, Reservation] = {}
        self._storage_memory = 0
        self._reservations: set[Reservation] = set()
        self._unroll_memory = 0  # what the reservations hold in all
        self._given_back: deque[Reservation] = deque()  # by finalizers, which may not lock

    # --- putting ---------------------------------------------------------------------------------------------------

    def put_bytes(self, block_id: BlockId, data: ManagedBuffer, level: StorageLevel) -> PutResult:
        """As in `BlockStore`. A deserialised level stores the values. Bytes that are not on the heap are copied."""
        if level.deserialized:
            # The values own their buffers: a view would keep the file or the shared memory that `data` lies in.
            return self.put_iterator(block_id, deserialize(data.memoryview(), copy=True), level)
        with self._putting(block_id) as memory:
            if not memory.cover(data.size):
                return PutResult(stored=False, size=data.size, dropped=memory.dropped)
            self._store(memory, _held(data), data.size)
            return PutResult(stored=True, size=data.size, dropped=memory.dropped)

    def put_iterator(self, block_id: BlockId, values: Iterator[Any], level: StorageLevel) -> PutResult:
        """As in `BlockStore`. The memory of what did not fit stays reserved until the leftover is used or dropped."""
        values = iter(values)
        with self._putting(block_id) as memory:
            unrolled = self._unroll(values, memory, level)
            if unrolled.complete and memory.cover(unrolled.size):
                self._store(memory, unrolled.data, unrolled.size)
                return PutResult(stored=True, size=unrolled.size, dropped=memory.dropped)
            grade = logging.INFO if level.use_disk else logging.WARNING  # without a disk it will be computed again
            log.log(grade, "block %s does not fit in memory: %d bytes so far", block_id, unrolled.size)
            leftover = Leftover(unrolled.values(), values, lambda: self._given_back.append(memory))
            memory.kept = True
            return PutResult(stored=False, size=unrolled.size, leftover=leftover, dropped=memory.dropped)

    def _unroll(self, values: Iterator[Any], memory: Reservation, level: StorageLevel) -> Unrolled:
        if level.deserialized:
            return unroll_values(values, memory, self._conf.unroll_threshold)
        return unroll_bytes(values, memory, self._conf.unroll_threshold)

    @contextlib.contextmanager
    def _putting(self, block_id: BlockId) -> Iterator[Reservation]:
        """Keep other puts of the block away, and give its memory back in the end unless a leftover keeps it.

        Raises BlockPutError when the block is here or another thread is putting it.
        """
        memory = Reservation(block_id, self._conf.unroll_growth, self._take)
        with self._lock:
            if block_id in self._entries or block_id in self._being_put:
                raise BlockPutError(f"block {block_id} is in memory already, or being put there")
            self._being_put[block_id] = memory
            self._reservations.add(memory)
        try:
            yield memory
        finally:
            with self._lock:
                if self._being_put.get(block_id) is memory:  # else it is stored, and may be put anew by now
                    del self._being_put[block_id]
                if not memory.kept:
                    self._release(memory)

    def _store(self, memory: Reservation, data: _Data, size: int) -> None:
        with self._lock:
            self._release(memory)
            self._storage_memory += size
            del self._being_put[memory.block_id]
            self._entries[memory.block_id] = _Entry(data, size)

    # --- memory ----------------------------------------------------------------------------------------------------

    def _take(self, memory: Reservation, least: int, most: int, unrolling: bool) -> bool:
        """Add bytes to a put's memory: those that are free, if they are enough, else what evictions make free.

        False, and nothing evicted, if what may be evicted is not enough.
        """
        with self._lock:
            if self._take_free(memory, least, most):
                return True
        refused: set[BlockId] = set()
        with self._eviction:
            while True:
                with self._lock:
                    # Again in each round: others take and free memory meanwhile.
                    if self._take_free(memory, least, most):
                        return True
                    victims = self._victims(memory, most, unrolling, refused)
                    victims = victims or self._victims(memory, least, unrolling, refused)
                if not victims:
                    return False
                in_use = {block_id for block_id in victims if not self._can_evict(block_id)}
                if not in_use:
                    in_use = {block_id for block_id in victims if not self._evict(block_id, victims[block_id], memory)}
                refused |= in_use

    def _take_free(self, memory: Reservation, least: int, most: int) -> bool:
        size = min(most, self._free())
        if size < least:
            return False
        memory.held += size
        self._unroll_memory += size
        return True

    def _free(self) -> int:
        while self._given_back:
            self._release(self._given_back.popleft())
        return self._conf.max_memory - self._storage_memory - self._unroll_memory

    def _release(self, memory: Reservation) -> None:
        if memory in self._reservations:  # it may have been released with all of its thread's
            self._reservations.remove(memory)
            self._unroll_memory -= memory.held
            memory.held = 0

    def _victims(self, memory: Reservation, size: int, unrolling: bool, refused: set[BlockId]) -> dict[BlockId, _Entry]:
        """The oldest blocks whose eviction makes room for `size` bytes; none when there are not enough of them."""
        free = self._free()
        needed = size - free
        if unrolling and needed > self._max_unroll - self._unroll_memory - free:
            return {}
        victims: dict[BlockId, _Entry] = {}
        for candidate, entry in self._entries.may_go_for(memory.block_id):
            if candidate not in refused:
                victims[candidate] = entry
                needed -= entry.size
                if needed <= 0:
                    return victims
        return {}

    def _evict(self, block_id: BlockId, entry: _Entry, memory: Reservation) -> bool:
        data = entry.data if isinstance(entry.data, list) else _buffer(entry.data)
        try:
            dropped = self._drop(block_id, data) is not False
        except TaskKilledError:
            raise
        except Exception as error:
            raise BlockPutError(
                f"no room for block {memory.block_id}: cannot evict block {block_id}: {error}"
            ) from error
        if dropped:
            with self._lock:
                if self._entries.get(block_id) is entry:  # it may have been removed, and put again, meanwhile
                    self._forget(block_id)
            memory.dropped.append(block_id)
        return dropped

    def _forget(self, block_id: BlockId) -> None:
        self._storage_memory -= self._entries.pop(block_id).size

    def release_unroll_memory(self) -> None:
        """Give back what puts of the calling thread still hold, for the end of a task: no leftover is used after it."""
        with self._lock:
            for memory in [memory for memory in self._reservations if memory.thread == threading.get_ident()]:
                self._release(memory)

    # --- reading and removing --------------------------------------------------------------------------------------

    def get_size(self, block_id: BlockId) -> int:
        with self._lock:
            if block_id not in self._entries:
                raise BlockNotFoundError(f"block {block_id} is not in memory")
            return self._entries[block_id].size

    def get_bytes(self, block_id: BlockId) -> ManagedBuffer | None:
        """As in `BlockStore`. Values are serialised anew each time."""
        data = self._use(block_id)
        if data is None:
            return None
        return HeapBuffer(b"".join(serialize(data))) if isinstance(data, list) else _buffer(data)

    def get_values(self, block_id: BlockId) -> Iterator[Any] | None:
        """As in `BlockStore`. The values of a deserialised block are shared by all who read it."""
        data = self._use(block_id)
        if data is None:
            return None
        return iter(data) if isinstance(data, list) else own_values(_buffer(data))

    def damage(self, block_id: BlockId, change: Callable[[bytearray], object]) -> bool:
        """Change a block's bytes, for faults on purpose; False when the store has no bytes of it."""
        with self._lock:
            entry = self._entries.get(block_id)
            if entry is None or isinstance(entry.data, list):
                return False
            data = bytearray(_buffer(entry.data).memoryview())
            change(data)
            self._entries[block_id] = _Entry(bytes(data), entry.size)
            return True

    def _use(self, block_id: BlockId) -> _Data | None:
        with self._lock:
            entry = self._entries.use(block_id)
            return None if entry is None else entry.data

    def remove(self, block_id: BlockId) -> bool:
        with self._lock:
            if block_id not in self._entries:
                return False
            self._forget(block_id)
            return True

    def contains(self, block_id: BlockId) -> bool:
        return block_id in self._entries

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()
            self._storage_memory = 0

    def statistics(self) -> MemoryStatistics:
        with self._lock:
            self._free()
            return MemoryStatistics(
                self._conf.max_memory, self._storage_memory, self._unroll_memory, len(self._entries)
            )

    def check(self) -> None:
        with self._lock:
            free = self._free()
            blocks = sum(entry.size for entry in self._entries.values())
            held = sum(memory.held for memory in self._reservations)
            assert blocks == self._storage_memory, f"blocks hold {blocks} bytes, the books say {self._storage_memory}"
            assert held == self._unroll_memory, f"puts hold {held} bytes, the books say {self._unroll_memory}"
            assert free >= 0, f"{-free} bytes more than the limit are in use"
            both = self._being_put.keys() & self._entries.keys()
            assert not both, f"blocks both stored and being put: {both}"


def _held(data: ManagedBuffer) -> _Data:
    """The bytes, on the heap and not anybody's to change."""
    view = data.memoryview()
    pages = in_pages(view) if data.size >= PRIVATE_FROM and has_buffers(view) else None
    if pages is None:
        return view if isinstance(data, HeapBuffer) else bytes(view)
    pages.seal(data.size)
    return pages


def _buffer(data: bytes | bytearray | memoryview | AnonymousPages) -> ManagedBuffer:
    return PagesBuffer(data) if isinstance(data, AnonymousPages) else HeapBuffer(data)
