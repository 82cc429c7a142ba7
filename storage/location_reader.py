"""Bytes at a location: mapped by this process itself, whoever wrote them.

Covers shared memory (this process's own and others') and files, and giving leases back when a view died. Does not cover
finding locations (`storage.remote_blocks`).
"""

from __future__ import annotations

from collections.abc import Callable

from protocol.errors import StorageError
from protocol.locations import FileLocation, SharedLocation, ShmLocation
from storage import os_layer
from storage.arena import Arena
from storage.file_reads import copy_out
from storage.lease import LeaseBook
from storage.managed_buffer import FileSegmentBuffer, HeapBuffer, ManagedBuffer, ShmBuffer
from storage.segment import SegmentReader


class LocationReader:
    """Reads the bytes at a location, of any process.

    Thread-safe. ``enclosing(location)`` gives the extent of `arena` that a location is a part of.
    """

    def __init__(self, arena: Arena, enclosing: Callable[[ShmLocation], ShmLocation]) -> None:
        self._arena = arena
        self._enclosing = enclosing
        self._segments = SegmentReader()
        self._leases = LeaseBook()

    def read(self, location: SharedLocation, *, leased: bool) -> ManagedBuffer:
        """The bytes, read-only and without a copy; what was made from them stays good after a release of the buffer.

        `leased`: the master granted a lease with this location. It goes back when the last view or array over the
        bytes is dead, and at once when this raises. Without a lease the caller knows that the extent is not given up
        meanwhile. Raises StaleLocationError when the segment or file is gone or too short, StorageError when it cannot
        be mapped now.
        """
        if isinstance(location, FileLocation):
            if self._arena.by_calls:
                return HeapBuffer(copy_out(location))
            return FileSegmentBuffer(location.path, location.offset, location.length)
        if self._arena.by_calls:
            return self._copy(location, leased=leased)
        if self._arena.owns(location):
            return ShmBuffer(self._own(location), location)
        if not leased:
            return ShmBuffer(self._segments.view(location), location)
        self._leases.acquire(location)
        try:
            return ShmBuffer(self._segments.view(location, self._leases.release), location)
        except StorageError:
            self._leases.release(location)
            raise

    def _copy(self, location: ShmLocation, *, leased: bool) -> ManagedBuffer:
        pin = self._own(location) if self._arena.owns(location) else None
        try:
            if pin is not None and not os_layer.exists(location.segment):
                return ShmBuffer(pin, location)  # all there is of it, and nobody can cut a file without a name
            return HeapBuffer(copy_out(location))
        finally:
            if leased:
                self.give_back(location)

    def _own(self, location: ShmLocation) -> memoryview:
        extent = self._enclosing(location)
        start = location.offset - extent.offset
        return self._arena.view(extent)[start : start + location.length]

    def give_back(self, location: ShmLocation) -> None:
        """A lease on `location` was granted and is not needed."""
        if not self._arena.owns(location):
            self._leases.acquire(location)
            self._leases.release(location)

    def take_releases(self) -> tuple[tuple[ShmLocation, int], ...]:
        """(extent, leases to give back) since the last call: for `ReleaseLeases`."""
        return self._leases.take_releases()

    @property
    def leases_held(self) -> int:
        return sum(self._leases.held.values())

    def drop_segment(self, path: str) -> None:
        """A segment of another process was given up: unmap it as soon as no view lives."""
        self._segments.drop(path)

    def close(self) -> None:
        """Forget all mappings; views that live stay good."""
        self._segments.close()
