"""Writing into an extent what has no known length: the pieces that a serialiser yields.

Covers growing (`ExtentWriter`) and what to do with a stream of values that turns out not to fit (`ExtentUnroll`). Does
not cover making room by eviction: that is in the `allocate` that the store passes in.

Rejected: collecting the pieces on the heap and copying them once. It saves the rare move of a half-written extent, and
holds a second copy of the partition on the heap, which the process's memory limit may not allow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

from protocol.errors import OutOfSharedMemoryError
from protocol.locations import ShmLocation
from storage.arena import Arena, Extent
from storage.segment import BytesLike
from storage.serializer import deserialize_stream, serialize_stream

MAX_FIRST_SLACK = 64 << 10  # bytes kept free behind a large first piece, for the small ones that end its batch


class ExtentWriter:
    """Appends pieces to one extent, which grows in its place where it can, else moves. Not thread-safe.

    ``allocate(size)`` gives an extent of `arena` or raises OutOfSharedMemoryError. End with `finish` or `abort`.
    """

    def __init__(self, arena: Arena, allocate: Callable[[int], Extent]) -> None:
        self._arena = arena
        self._allocate = allocate
        self._extent: Extent | None = None
        self.length = 0  # bytes written

    def reserve(self, size: int) -> None:
        """Take exactly the bytes that will come, before the first write. Raises OutOfSharedMemoryError."""
        self._extent = self._allocate(size)

    def write(self, piece: BytesLike) -> None:
        """Copy a piece behind the others. Raises OutOfSharedMemoryError; what was written before is still good then."""
        end = self.length + len(piece)
        extent = self._extent
        if extent is None or end > extent.location.length:
            extent = self._grow(end)
        extent.write(self.length, piece)
        self.length = end

    def finish(self) -> ShmLocation:
        """Give back what the extent has too much; where the bytes are. Raises OutOfSharedMemoryError."""
        extent = self._extent or self._grow(0)
        self._extent = None
        if extent.location.length == self.length:
            return extent.location
        shrunk = self._arena.resize(extent, self.length)
        assert shrunk is not None, "an extent can always become shorter"
        return shrunk.location

    def abort(self) -> None:
        """Give the extent back. Views over it stay good. May be called again."""
        if self._extent is not None:
            location, self._extent = self._extent.location, None
            self._arena.free(location)

    def view(self, length: int) -> memoryview:
        """A read-only view of the first `length` bytes written."""
        return memoryview(b"") if self._extent is None else self._extent.view[:length].toreadonly()

    def _grow(self, needed: int) -> Extent:
        # In proportion to what would have to move again: all moves of a stream together copy at most twice its length.
        roomy = needed + max(self.length // 2, min(MAX_FIRST_SLACK, needed // 8))
        old = self._extent
        grown = old and (self._arena.resize(old, roomy) or self._arena.resize(old, needed))
        if grown is None:
            try:
                grown = self._allocate(roomy)
            except OutOfSharedMemoryError:
                grown = self._allocate(needed)
            if old is not None:
                grown.write(0, old.view[: self.length])
                self._arena.free(old.location)
        self._extent = grown
        return grown


class ExtentUnroll:
    """Serialises values into an extent until they end or no room is left; nothing is lost in either case."""

    def __init__(self, writer: ExtentWriter, values: Iterator[Any]) -> None:
        self._writer = writer
        self._values = values
        self._batch: list[Any] = []  # values of the batch that is not written in full yet
        self._whole = 0  # bytes of the batches that are
        self._overflowed = False

    def run(self, batch_size: int) -> ShmLocation | None:
        """Where the values are; None when they did not fit, see `leftover`.

        What iterator or serialiser raise passes through, and the extent is given back.
        """
        try:
            serialize_stream(self._until_overflow(), self._write, batch_size)
            return None if self._overflowed else self._writer.finish()
        except BaseException:
            self._writer.abort()
            raise

    def leftover(self) -> Iterator[Any]:
        """All values from the first on, after `run` gave None. What was written is given back when it was read."""
        written = deserialize_stream(self._writer.view(self._whole))
        self._writer.abort()
        return chain(written, self._batch, self._values)

    def _until_overflow(self) -> Iterator[Any]:
        for value in self._values:
            if self._writer.length > self._whole:  # the serialiser asks for more only when a batch is written in full
                self._whole = self._writer.length
                self._batch = []
            self._batch.append(value)
            yield value
            if self._overflowed:
                return

    def _write(self, piece: BytesLike) -> None:
        # An error here would end the serialiser in mid-batch: instead, the rest is dropped and its input ends early.
        if not self._overflowed:
            try:
                self._writer.write(piece)
            except OutOfSharedMemoryError:
                self._overflowed = True
