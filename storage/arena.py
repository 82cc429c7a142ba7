"""An arena: the shared memory that one process owns, a few segments with extents in them.

Covers where a new extent goes, when segments are added and returned, and when an extent may be used again. Does not
cover the bytes of a segment (`storage.segment`), where segments come from (`storage.segment_supply`), the arithmetic
inside one (`storage.extent_allocator`), nor who else reads an extent: the master knows (`storage.lease_table`) and the
owner of the arena passes its answers on.

The life of an extent: `allocate` → filled → read here (`view`, a local pin) and elsewhere (leases) → given up, by
`free` when no other process holds a lease, else by `retire`, which leaves it in limbo until `released` → reused, as
soon as the last local pin is gone, too. So memory is never reused under a view, in any process.

The files of a run that lives may be removed by others: systemd does so when the user logs out (RemoveIPC). What this
process and others have mapped stays good, but nobody can map the segment any more. So an extent is given out only
where the file still has its name, and all its bytes; that costs 1 µs, a tenth of a small put. What lay behind the end
of a file that was cut short is lost, and is not viewed.

Locks: `_growing` is held while a segment is made, which asks the master and has the kernel reserve pages; `_lock`
guards the books and is never held over a call to the outside, so views and frees go on meanwhile. Order: `_growing`,
`_lock`.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

from protocol.errors import OutOfSharedMemoryError, StaleLocationError, StorageError
from protocol.forks import free_in_forks, stop_strays
from protocol.locations import ShmLocation
from storage import fork_readers
from storage.arena_books import ArenaStatistics, Room, State, statistics_of, surplus_of
from storage.segment import PAGE, BytesLike, Segment
from storage.segment_supply import SegmentSupply, sizes_to_try

FIRST_SEGMENT = 4 << 20  # bytes
MAX_SEGMENT = 256 << 20  # bytes; a larger extent gets a segment of its own size
KEEP_IDLE = 64 << 20  # bytes of empty segments kept warm besides the largest


@dataclass(frozen=True, slots=True)
class Extent:
    """Fresh bytes for one writer. While it lives the extent is pinned."""

    location: ShmLocation
    view: memoryview = field(repr=False)  # writable
    _segment: Segment = field(repr=False)
    _by_calls: bool = field(repr=False)

    def write(self, position: int, data: BytesLike) -> None:
        """Copy `data` to `position` bytes from the start; faster than by the view while pages are fresh.

        Raises OutOfSharedMemoryError when the system has no memory for the pages.
        """
        stop_strays()
        if self._by_calls:
            return self._segment.write_by_call(self.location.offset + position, data)
        self._segment.write(self.view[position : position + len(data)], self.location.offset + position, data)


class Arena:
    """The shared memory of one process. Thread-safe. Only the process that made it may change it.

    Segments lie in `directory`, named `prefix` and something unique. ``request_budget(path, bytes)`` is asked before a
    segment is made and may say no; ``return_budget(path)`` is told when it was removed. When there is no budget or no
    room, segments are made in the first of `fallback_dirs` that takes them; these ask for a budget of 0 bytes.
    ``on_nameless(path)`` is called when a segment's file was found to be removed by others. ``by_calls`` is as in
    `StorageConf`: who reads asks `file_reads` then, and looks at no view.
    """

    def __init__(
        self,
        directory: str,
        prefix: str,
        fallback_dirs: Sequence[str] = (),
        request_budget: Callable[[str, int], bool] = lambda path, size: True,
        return_budget: Callable[[str], object] = lambda path: None,
        on_nameless: Callable[[str], object] = lambda path: None,
        *,
        first_segment: int = FIRST_SEGMENT,
        max_segment: int = MAX_SEGMENT,
        by_calls: bool = False,
    ) -> None:
        self.by_calls = by_calls
        self._supply = SegmentSupply(directory, prefix, fallback_dirs, request_budget, return_budget)
        self._first_segment = first_segment
        self._max_segment = max_segment
        self._on_nameless = on_nameless
        self._pid = os.getpid()
        self._growing = free_in_forks(threading.Lock())
        self._lock = free_in_forks(threading.Lock())
        self._rooms: dict[str, Room] = {}  # {path of segment: room}, in the order in which they are searched
        self._dead_pins: deque[tuple[str, int]] = deque()  # (path of segment, offset), appended by finalizers
        self._nameless: deque[str] = deque()  # paths to be told of when no lock is held

    # --- room ------------------------------------------------------------------------------------------------------

    def allocate(self, size: int, *, allow_fallback: bool = True) -> Extent:
        """A new extent of `size` bytes, its contents undefined.

        Raises OutOfSharedMemoryError, also, with `allow_fallback` False, when there would be room in files.
        """
        self._check_process()
        try:
            extent = self._place(size, shared=True)
            if extent is None:
                with self._growing:
                    extent = self._grow_for(size, allow_fallback)
        finally:
            while self._nameless:
                self._on_nameless(self._nameless.popleft())
        return extent

    def write(self, chunks: Iterable[BytesLike]) -> ShmLocation:
        """Put chunks, each a flat sequence of bytes, end to end into a new extent. Raises OutOfSharedMemoryError."""
        chunks = list(chunks)
        try:
            return self._fill(self.allocate, chunks)
        except OutOfSharedMemoryError as error:  # perhaps of pages that the extent was promised
            self._supply.refusal = str(error)
            return self._fill(self._allocate_in_files, chunks)

    def _allocate_in_files(self, size: int) -> Extent:
        with self._growing:
            extent = self._place(size, shared=False) or self._add_fallback(size)
        if extent is None:
            raise self._no_room(size)
        return extent

    def _no_room(self, size: int) -> OutOfSharedMemoryError:
        return OutOfSharedMemoryError(
            f"no room for {size} bytes of shared memory, {self.free_bytes} are scattered; {self._supply.refusal}"
        )

    def _fill(self, allocate: Callable[[int], Extent], chunks: Sequence[BytesLike]) -> ShmLocation:
        extent = allocate(sum(len(chunk) for chunk in chunks))
        location = extent.location
        try:
            position = 0
            for chunk in chunks:
                extent.write(position, chunk)
                position += len(chunk)
        except BaseException:
            del extent  # its pin would keep the extent from being free at once
            self.free(location)
            raise
        return location

    def resize(self, extent: Extent, size: int) -> Extent | None:
        """Make an extent that nobody else knows yet longer or shorter in its place. The old one must be dropped.

        None, and no change, when what follows it is taken. A shorter one always succeeds.
        """
        self._check_process()
        location = extent.location
        with self._lock:
            room = self._room_of(location)
            if not room.space.resize(location.offset, size):
                return None
            room.entries[location.offset].length = size
            return self._extent(room, location.offset, size)

    def trim(self) -> int:
        """Return every empty segment; the bytes given back."""
        return self._give_back(self._take_idle(keep_warm=False))

    def _grow_for(self, size: int, allow_fallback: bool) -> Extent:
        extent = (
            self._place(size, shared=True)  # another thread may have grown the arena while this one waited
            or self._add_shared(size)
            or self._place(size, shared=True, sparing=False)
        )
        if extent is None and self.trim():
            extent = self._add_shared(size)
        if extent is None and allow_fallback:
            extent = self._place(size, shared=False) or self._add_fallback(size)
        if extent is None:
            raise self._no_room(size)
        return extent

    def _place(self, size: int, *, shared: bool, sparing: bool = True) -> Extent | None:
        """An extent in a segment there is. `sparing` keeps small blocks out of segments made for one large block."""
        with self._lock:
            self._bury_dead_pins()
            for room in self._rooms.values():
                if room.shared is shared and not (sparing and room.dedicated and size < room.segment.size // 4):
                    extent = self._place_in(room, size)
                    if extent is not None:
                        return extent
        return None

    def _place_in(self, room: Room, size: int) -> Extent | None:
        offset = None if room.nameless else room.add(size)
        if offset is None:
            return None
        if not self._has_name(room):  # only now, since it is a system call
            room.entries[offset].state = State.DYING
            room.remove_if_dead(offset)
            return None
        return self._extent(room, offset, size)

    def _has_name(self, room: Room) -> bool:
        if not room.nameless and not room.segment.can_be_found:
            room.nameless = True
            self._nameless.append(room.segment.path)
        return not room.nameless

    def _extent(self, room: Room, offset: int, size: int) -> Extent:
        return Extent(
            ShmLocation(room.segment.path, offset, size), self._pin(room, offset, size), room.segment, self.by_calls
        )

    def _add_shared(self, size: int) -> Extent | None:
        return self._place_in_new(self._supply.shared(self._sizes_to_try(size, shared=True)), size, shared=True)

    def _add_fallback(self, size: int) -> Extent | None:
        return self._place_in_new(self._supply.fallback(self._sizes_to_try(size, shared=False)), size, shared=False)

    def _sizes_to_try(self, size: int, *, shared: bool) -> tuple[int, ...]:
        with self._lock:
            in_use = sum(room.space.used for room in self._rooms.values() if room.shared is shared)
        return sizes_to_try(size, in_use, self._first_segment, self._max_segment)

    def _place_in_new(self, segment: Segment | None, size: int, *, shared: bool) -> Extent | None:
        if segment is None:
            return None
        dedicated = segment.size > self._first_segment and segment.size - size < PAGE
        room = Room(segment, shared=shared, dedicated=dedicated)
        with self._lock:
            # Smallest first, so that large segments stay empty and can serve large blocks or be returned.
            rooms = sorted([*self._rooms.values(), room], key=lambda room: room.segment.size)
            self._rooms = {room.segment.path: room for room in rooms}
            return self._place_in(room, size)

    # --- reading and giving up -------------------------------------------------------------------------------------

    def owns(self, location: ShmLocation) -> bool:
        """Whether the location lies in a segment of this arena."""
        return location.segment in self._rooms

    def can_be_found(self, location: ShmLocation) -> bool:
        """Whether processes that have not mapped its segment yet can read the extent. Raises StaleLocationError."""
        with self._lock:
            return self._has_name(self._room_of(location))

    def view(self, location: ShmLocation) -> memoryview:
        """A read-only view; the extent stays pinned until the view and all slices and arrays over it are dead.

        Raises StaleLocationError when this is not an extent of the arena, or one that was given up, or its segment was
        cut short.
        """
        with self._lock:
            room = self._room_of(location)
            room.segment.require(location.offset + location.length)
            if room.entries[location.offset].state in (State.LIMBO, State.DYING):
                raise StaleLocationError(f"{location} was given up")
            return self._pin(room, location.offset, location.length).toreadonly()

    def pinned(self, location: ShmLocation) -> bool:
        """Whether a view of this process over the extent lives. Raises StaleLocationError."""
        with self._lock:
            self._bury_dead_pins()
            return self._room_of(location).entries[location.offset].pins > 0

    def free(self, location: ShmLocation) -> None:
        """Give up an extent that no other process reads; it is reused once the local views are dead, too.

        Raises StaleLocationError when this is not an extent of the arena, or one that was given up.
        """
        self._give_up(location, State.DYING)

    def retire(self, location: ShmLocation) -> None:
        """Give up an extent that other processes still read: it waits for `released`. Raises StaleLocationError."""
        self._give_up(location, State.LIMBO)

    def _give_up(self, location: ShmLocation, state: State) -> None:
        self._check_process()
        with self._lock:
            self._bury_dead_pins()
            room = self._room_of(location)
            entry = room.entries[location.offset]
            if entry.state in (State.LIMBO, State.DYING):
                raise StaleLocationError(f"{location} was given up before")
            # The order that it is released may overtake the answer that it was not: they travel in different pipes.
            entry.state = State.DYING if entry.state is State.RELEASED else state
            room.remove_if_dead(location.offset)
        self._give_back(self._take_idle())

    def released(self, location: ShmLocation) -> None:
        """The master says that no process reads the retired extent any more. Raises StaleLocationError."""
        self._check_process()
        with self._lock:
            self._bury_dead_pins()
            room = self._room_of(location)
            entry = room.entries[location.offset]
            entry.state = State.DYING if entry.state in (State.LIMBO, State.DYING) else State.RELEASED
            room.remove_if_dead(location.offset)
        self._give_back(self._take_idle())

    def _room_of(self, location: ShmLocation) -> Room:
        room = self._rooms.get(location.segment)
        if room is None or location.offset not in room.entries:
            raise StaleLocationError(f"{location} is not an extent of this arena")
        if room.entries[location.offset].length != location.length:
            raise StaleLocationError(f"{location}: the extent has {room.entries[location.offset].length} bytes")
        return room

    def _pin(self, room: Room, offset: int, length: int) -> memoryview:
        view = room.segment.view(offset, length, partial(self._dead_pins.append, (room.segment.path, offset)))
        room.entries[offset].pins += 1
        return view

    def _bury_dead_pins(self) -> None:
        """Count off the views that died. Called with the lock held, and not by finalizers: they may run under it."""
        fork_readers.settle()
        while self._dead_pins:
            path, offset = self._dead_pins.popleft()
            if path in self._rooms:  # not after `close`
                self._rooms[path].unpin(offset)

    def _take_idle(self, *, keep_warm: bool = True) -> list[Room]:
        """Strike empty segments from the books; with `keep_warm` only those not worth keeping."""
        with self._lock:
            self._bury_dead_pins()
            idle = [room for room in self._rooms.values() if room.space.empty]
            surplus = surplus_of(idle, KEEP_IDLE) if keep_warm else idle
            for room in surplus:
                del self._rooms[room.segment.path]
        return surplus

    def _give_back(self, rooms: list[Room]) -> int:
        for room in rooms:
            self._supply.remove(room.segment)
        return sum(room.segment.size for room in rooms)

    # --- the whole -------------------------------------------------------------------------------------------------

    def close(self, *, unlink: bool) -> None:
        """Forget all segments. Views stay good. `unlink` False leaves the files to whoever adopts them.

        A forked child only drops its mappings: the files are its parent's.
        """
        fork_readers.close_ended()
        with self._lock:
            rooms, self._rooms = list(self._rooms.values()), {}
        if unlink and os.getpid() == self._pid:
            self._give_back(rooms)
        for room in rooms:
            room.segment.close()

    @property
    def free_bytes(self) -> int:
        """Bytes of shared memory in no extent, where new ones can be: not in files, nor in nameless segments."""
        with self._lock:
            self._bury_dead_pins()
            return sum(room.space.free_bytes for room in self._rooms.values() if room.shared and not room.nameless)

    def statistics(self) -> ArenaStatistics:
        with self._lock:
            self._bury_dead_pins()
            return statistics_of(self._rooms.values())

    def check(self) -> None:
        """Audit the books. Raises AssertionError."""
        with self._lock:
            self._bury_dead_pins()
            for path, room in self._rooms.items():
                assert path == room.segment.path, f"{room.segment.path} is booked as {path}"
                room.check()

    def _check_process(self) -> None:
        stop_strays()
        if os.getpid() != self._pid:
            raise StorageError(f"this arena belongs to process {self._pid}: a forked child must make its own")
