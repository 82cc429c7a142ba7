"""Segments: files of shared pages, mapped into memory, and the views over them.

Covers one segment (`Segment`) and a process's cache of the segments that other processes own (`SegmentReader`). Does
not cover which bytes are in use (`storage.extent_allocator`) nor when they may be used again (`storage.arena`).

How a view keeps its pages: each view gets an exporter of its own, a ctypes array over the whole mapping; the view, its
slices and every array over them keep the exporter alive, and the exporter keeps the mapping. So a mapping is never
closed, only forgotten: it goes with its last view, whatever became of the file, and no view touches unmapped pages.
The array spans the whole segment because there is a ctypes type per length: a view costs 1 µs with one type per segment
and 20 µs with one per view. A `weakref.finalize` on the exporter tells that the view and all that came from it are
gone; on the memoryview it would fire too early, because numpy keeps the exporter and lets the memoryview go.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from protocol.errors import OutOfSharedMemoryError, StaleLocationError, StorageError
from protocol.forks import free_in_forks
from protocol.locations import ShmLocation
from storage import fork_readers, os_layer

BytesLike: TypeAlias = bytes | bytearray | memoryview

PAGE = mmap.PAGESIZE
STRIDE = (
    1 << 20
)  # bytes populated and then written in turn: small enough that fresh zeroes are still in the CPU's cache
MAX_MAPPED = 256  # segments that a reader keeps mapped; before Python 3.13 each costs a file descriptor


class Segment:
    """One mapped segment file. Thread-safe. Make one with `create` or `open`."""

    def __init__(self, path: str, mapping: mmap.mmap, *, warm: int) -> None:
        self.path = path
        self.size = len(mapping)  # bytes
        self._mapping: mmap.mmap | None = mapping
        self._exporter_type = ctypes.c_char * self.size
        self._warm = warm  # bytes from the start whose pages were touched by this process

    @classmethod
    def create(cls, directory: str, name: str, size: int) -> Segment:
        """Make a new segment with every page reserved, mode 0600. `size` in bytes is rounded up to whole pages.

        Raises OutOfSharedMemoryError, whose cause is the system's error, and leaves no file.
        """
        path = os.path.join(directory, name)
        size = max(PAGE, (size + PAGE - 1) // PAGE * PAGE)
        try:
            fd = os_layer.create(path)
            try:
                os_layer.reserve(fd, size)
                mapping = os_layer.map_file(fd, size, writable=True)
            except BaseException:
                os_layer.unlink(path)
                raise
            finally:
                os_layer.let_go(fd)
        except OSError as error:
            raise OutOfSharedMemoryError(f"cannot make a segment of {size} bytes at {path}: {error}") from error
        return cls(path, mapping, warm=0)

    @classmethod
    def open(cls, path: str) -> Segment:
        """Map a segment that another process made. Raises StaleLocationError when it is gone or was never finished,
        StorageError when this process cannot map it now.
        """
        try:
            # ctypes takes no read-only mapping; the views are read-only.
            fd = os_layer.open_existing(path, writable=True)
            try:
                mapping = os_layer.map_file(fd, os_layer.file_size(fd), writable=True)
            finally:
                os_layer.let_go(fd)
        except (FileNotFoundError, NotADirectoryError, ValueError) as error:  # ValueError: empty, or cut meanwhile
            raise StaleLocationError(f"segment {path} cannot be mapped: {error}") from error
        except OSError as error:  # not stale: the block would be taken for lost when descriptors are short here
            raise StorageError(f"segment {path} cannot be mapped now: {error}") from error
        return cls(path, mapping, warm=len(mapping))

    def view(self, offset: int, length: int, on_release: Callable[[], object] | None = None) -> memoryview:
        """A writable view of the bytes. `on_release` is called once, when the view and all made from it are dead, and
        the forks that have copies of them have ended. In a fork it does not come.

        The call comes from the garbage collector, in any thread and at any point, also while that thread holds locks:
        it must do no more than append to a deque. Or it comes from `fork_readers.settle`.
        Raises StaleLocationError when the segment is closed or too short.
        """
        mapping = self._mapping
        if mapping is None or offset < 0 or length < 0 or offset + length > self.size:
            raise StaleLocationError(f"no {length} bytes at {offset} of segment {self.path}")
        exporter = self._exporter_type.from_buffer(mapping)
        if on_release is not None:
            # atexit=False: views that live at the end of the interpreter are given back by the process's death.
            weakref.finalize(exporter, fork_readers.died, *fork_readers.born(), on_release).atexit = False
        return memoryview(exporter).cast("B")[offset : offset + length]

    def write(self, view: memoryview, offset: int, data: BytesLike) -> None:
        """Copy `data` to the start of `view`, this segment's from `offset` on, populating fresh pages just ahead.

        Raises OutOfSharedMemoryError when the system has no memory for the pages.
        """
        warm = min(len(data), max(0, self._warm - offset))
        if warm:
            view[:warm] = data[:warm]
        for start in range(warm, len(data), STRIDE):
            stop = min(len(data), start + STRIDE)
            self._populate(offset + stop)
            view[start:stop] = data[start:stop]

    def write_by_call(self, offset: int, data: BytesLike) -> None:
        """Copy `data` to byte `offset`; never a SIGBUS, whatever becomes of the file. Raises OutOfSharedMemoryError."""
        try:
            fd = os_layer.open_existing(self.path, writable=True)
            try:
                os_layer.write_at(fd, data, offset)
            finally:
                os_layer.close(fd)
        except OSError as error:
            raise OutOfSharedMemoryError(f"cannot write {len(data)} bytes to {self.path}: {error}") from error

    def _populate(self, end: int) -> None:
        """Fault in whole strides, up to byte `end` at least. Threads that race do some twice, which is harmless."""
        mapping = self._mapping
        start, stop = self._warm, min(self.size, (end + STRIDE - 1) // STRIDE * STRIDE)
        if mapping is None or start >= stop:
            return
        try:
            os_layer.populate(mapping, start, stop - start)
        except OSError as error:
            raise OutOfSharedMemoryError(f"no memory for the pages of segment {self.path}: {error}") from error
        self._warm = max(self._warm, stop)

    @property
    def can_be_found(self) -> bool:
        """Whether other processes can still find the file, and all of it. No, if the system does not say."""
        try:
            size = os_layer.size_of(self.path)
        except OSError:
            return False
        return size is not None and size >= self.size

    def require(self, end: int) -> None:
        """Raises StaleLocationError when the file was cut short before byte `end`: to touch what is mapped behind the
        end of a file is a SIGBUS. One that has lost its name cannot be cut. StorageError when the system does not say.
        """
        try:
            size = os_layer.size_of(self.path)
        except OSError as error:
            raise StorageError(f"segment {self.path} cannot be read now: {error}") from error
        if size is not None and size < end:
            raise StaleLocationError(f"segment {self.path} was cut short to {size} bytes")

    def close(self) -> None:
        """Let the mapping go; its pages stay mapped as long as views over them live. May be called again."""
        self._mapping = None

    def unlink(self) -> None:
        """Remove the file's name, so that the pages are free once no process maps them."""
        os_layer.unlink(self.path)


class SegmentReader:
    """The segments of other processes that this process reads, each mapped once. Thread-safe."""

    def __init__(self) -> None:
        self._lock = free_in_forks(threading.Lock())
        self._segments: OrderedDict[str, Segment] = OrderedDict()  # {path: segment}, the least recently read first

    def view(self, location: ShmLocation, on_release: Callable[[ShmLocation], object] | None = None) -> memoryview:
        """A read-only view of the bytes at `location`; `on_release` as for `Segment.view`, with the location.

        Raises StaleLocationError when the segment is gone or too short; `on_release` is then never called.
        """
        with self._lock:
            segment = self._segments.get(location.segment) or Segment.open(location.segment)
            self._segments[location.segment] = segment
            self._segments.move_to_end(location.segment)
            if len(self._segments) > MAX_MAPPED:
                self._segments.popitem(last=False)
        segment.require(location.offset + location.length)
        release = None if on_release is None else partial(on_release, location)
        return segment.view(location.offset, location.length, release).toreadonly()

    def drop(self, segment: str) -> None:
        """Forget a segment (by path) that was unlinked: its pages are unmapped when the last view over it is dead."""
        with self._lock:
            self._segments.pop(segment, None)

    @property
    def mapped(self) -> tuple[str, ...]:
        """Paths of the segments that are kept mapped."""
        with self._lock:
            return tuple(self._segments)

    def close(self) -> None:
        """Forget all segments; the views that live stay good."""
        with self._lock:
            self._segments.clear()
