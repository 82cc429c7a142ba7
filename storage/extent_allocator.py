"""Which bytes of one segment are taken: extents handed out of ``[0, size)``, best fit, neighbours joined on return.

Covers the arithmetic only: it touches no memory, knows no processes and is not thread-safe. See `storage.arena`.

Invariants (`check`): extents and holes are 64-byte aligned, cover the segment without overlap, and no two holes touch.
"""

from __future__ import annotations

from bisect import bisect_left, insort

ALIGNMENT = 64  # bytes: a cache line, and what numpy and Arrow like their buffers to start at


def align(length: int) -> int:
    """The bytes that an extent of `length` bytes takes; an empty one takes a place of its own, too."""
    return max(ALIGNMENT, (length + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT)


class ExtentAllocator:
    """Hands out extents of one segment of `size` bytes, a multiple of 64.

    Best fit, at the lowest address among equals: it goes back to holes that were used before, whose pages are warm, and
    leaves the untouched end of the segment for last. All steps but the shift of a list of pointers are O(log holes).
    """

    def __init__(self, size: int) -> None:
        assert size == align(size), f"{size} bytes are not a multiple of {ALIGNMENT}"
        self.size = size
        self.used = 0  # bytes in extents, padding included
        self._extents: dict[int, int] = {}  # {offset: bytes}
        self._holes: dict[int, int] = {}  # {offset: bytes}
        self._hole_ending_at: dict[int, int] = {}  # {end: offset}
        self._by_size: list[tuple[int, int]] = []  # sorted (bytes, offset) of every hole
        self._add_hole(0, size)

    @property
    def free_bytes(self) -> int:
        return self.size - self.used

    @property
    def empty(self) -> bool:
        return not self._extents

    @property
    def largest_hole(self) -> int:
        """Bytes of the largest extent that could be had now."""
        return self._by_size[-1][0] if self._by_size else 0

    def allocate(self, length: int) -> int | None:
        """The offset of a new extent of at least `length` bytes; None when no hole is large enough."""
        taken = align(length)
        index = bisect_left(self._by_size, (taken, 0))
        if index == len(self._by_size):
            return None
        hole, offset = self._by_size[index]
        self._remove_hole(offset)
        if hole > taken:
            self._add_hole(offset + taken, hole - taken)
        self._extents[offset] = taken
        self.used += taken
        return offset

    def free(self, offset: int) -> None:
        """Take an extent back. Raises KeyError when there is none at `offset`."""
        length = self._extents.pop(offset)
        self.used -= length
        self._join_hole(offset, length)

    def resize(self, offset: int, length: int) -> bool:
        """Make an extent longer or shorter in its place; False, and no change, when what follows it is taken.

        Raises KeyError when there is no extent at `offset`.
        """
        before, after = self._extents[offset], align(length)
        if after > before + self._holes.get(offset + before, 0):
            return False
        if after > before:
            hole = self._remove_hole(offset + before)
            if before + hole > after:
                self._add_hole(offset + after, before + hole - after)
        elif after < before:
            self._join_hole(offset + after, before - after)
        self._extents[offset] = after
        self.used += after - before
        return True

    def _join_hole(self, offset: int, length: int) -> None:
        end = offset + length
        if end in self._holes:
            length += self._remove_hole(end)
        if offset in self._hole_ending_at:
            previous = self._hole_ending_at[offset]
            length += self._remove_hole(previous)
            offset = previous
        self._add_hole(offset, length)

    def _add_hole(self, offset: int, length: int) -> None:
        self._holes[offset] = length
        self._hole_ending_at[offset + length] = offset
        insort(self._by_size, (length, offset))

    def _remove_hole(self, offset: int) -> int:
        length = self._holes.pop(offset)
        del self._hole_ending_at[offset + length]
        del self._by_size[bisect_left(self._by_size, (length, offset))]
        return length

    def check(self) -> None:
        """Audit the invariants. Raises AssertionError."""
        position, after_hole = 0, False
        for offset, length, is_hole in sorted(
            [(offset, length, False) for offset, length in self._extents.items()]
            + [(offset, length, True) for offset, length in self._holes.items()]
        ):
            assert offset == position, f"bytes {position} to {offset} are neither taken nor free, or both"
            assert length == align(length), f"{length} bytes at {offset} are not aligned"
            assert not is_hole or not after_hole, f"two holes touch at {offset}"
            position, after_hole = offset + length, is_hole
        assert position == self.size, f"the books end at {position} of {self.size}"
        assert self.used == sum(self._extents.values()), "the count of used bytes is wrong"
        assert self._by_size == sorted((length, offset) for offset, length in self._holes.items()), "holes by size"
        assert self._hole_ending_at == {offset + length: offset for offset, length in self._holes.items()}, "hole ends"
