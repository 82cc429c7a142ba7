"""What an arena writes down about its segments: extents, their pins and their states. See `storage.arena`.

Not thread-safe: the arena holds its lock around every call.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from storage.extent_allocator import ExtentAllocator, align
from storage.segment import Segment


class State(Enum):
    """Where an extent is in its life. A DYING one is reused as soon as it has no pins."""

    LIVE = "live"
    RELEASED = "released"  # live here, and "no other process reads it" came before this process gave it up
    LIMBO = "limbo"  # given up, other processes still read it
    DYING = "dying"  # given up, only views of this process are left


@dataclass(slots=True)
class Entry:
    length: int  # bytes
    pins: int = 0  # views of this process that live, or whose death was not counted yet
    state: State = State.LIVE


@dataclass(frozen=True, slots=True)
class ArenaStatistics:
    """Bytes, except for the counts. ``used`` includes the padding of extents; ``reserved`` is used plus free."""

    segments: int
    extents: int
    reserved: int
    used: int
    free: int
    idle: int  # of free: in segments without any extent
    pinned: int  # of used: local views live
    limbo: int  # of used: given up, other processes read them
    file_backed: int  # of reserved: in files, because shared memory had no room


@dataclass(slots=True)
class Room:
    """One segment of an arena and the extents in it."""

    segment: Segment
    shared: bool  # False: file-backed, outside the budget
    dedicated: bool  # made for one large block
    # Its file was removed or cut by others: who has mapped it reads on.
    nameless: bool = field(default=False, init=False)
    space: ExtentAllocator = field(init=False)
    entries: dict[int, Entry] = field(default_factory=dict)  # {offset: extent}

    def __post_init__(self) -> None:
        self.space = ExtentAllocator(self.segment.size)

    def add(self, length: int) -> int | None:
        """The offset of a new extent; None when there is no room."""
        offset = self.space.allocate(length)
        if offset is not None:
            self.entries[offset] = Entry(length)
        return offset

    def unpin(self, offset: int) -> None:
        self.entries[offset].pins -= 1
        self.remove_if_dead(offset)

    def remove_if_dead(self, offset: int) -> None:
        entry = self.entries[offset]
        if entry.state is State.DYING and entry.pins == 0:
            del self.entries[offset]
            self.space.free(offset)

    def check(self) -> None:
        self.space.check()
        assert self.space.used == sum(align(entry.length) for entry in self.entries.values()), (
            "extents and space differ"
        )
        for offset, entry in self.entries.items():
            assert entry.pins >= 0, f"negative pins at {offset} of {self.segment.path}"
            assert entry.pins or entry.state is not State.DYING, f"a dead extent at {offset} of {self.segment.path}"


def statistics_of(rooms: Iterable[Room]) -> ArenaStatistics:
    rooms = list(rooms)
    entries = [entry for room in rooms for entry in room.entries.values()]
    return ArenaStatistics(
        segments=len(rooms),
        extents=len(entries),
        reserved=sum(room.segment.size for room in rooms),
        used=sum(room.space.used for room in rooms),
        free=sum(room.space.free_bytes for room in rooms),
        idle=sum(room.segment.size for room in rooms if room.space.empty),
        pinned=sum(align(entry.length) for entry in entries if entry.pins),
        limbo=sum(align(entry.length) for entry in entries if entry.state is State.LIMBO),
        file_backed=sum(room.segment.size for room in rooms if not room.shared),
    )


def surplus_of(idle: list[Room], keep: int) -> list[Room]:
    """Which empty segments to return: the file-backed, the nameless, and the rest beyond the largest and `keep` bytes.

    The largest stays whatever its size: a block of that size put and removed again and again finds warm pages.
    """
    surplus = [room for room in idle if room.nameless or not room.shared]
    shared = sorted((room for room in idle if room.shared and not room.nameless), key=lambda room: room.segment.size)
    for room in shared[:-1]:
        keep -= room.segment.size
        if keep < 0:
            surplus.append(room)
    return surplus
