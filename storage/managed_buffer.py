"""The bytes of one block, wherever they are: on the heap, in a file, in shared memory.

Covers reading only; who writes the bytes and when they may go is the stores' business. Follows Spark's
``ManagedBuffer``. A buffer is used by one thread at a time; the views it gives may be used by any.
"""

from __future__ import annotations

import io
import mmap
from abc import ABC, abstractmethod
from typing import BinaryIO, TypeAlias, cast

from protocol.errors import StaleLocationError, StorageError
from protocol.locations import ShmLocation
from storage import os_layer
from storage.anonymous_pages import AnonymousPages
from storage.private_pages import are_too_many, map_part, view_of
from storage.serializer import check

_View: TypeAlias = memoryview  # for classes where this is a method


class ManagedBuffer(ABC):
    """Bytes of a block that can be read until `release`.

    Views and streams handed out before the release stay good: each keeps what it needs alive.
    """

    size: int  # bytes

    @abstractmethod
    def memoryview(self) -> memoryview:
        """All the bytes, read-only, one byte per item, without a copy: a new view each time, whose own ``release`` is
        the caller's affair. Raises StorageError after `release`.
        """

    def private(self) -> _View | None:
        """All the bytes again, once, and writable: nobody else sees what is written there, but for views of this very
        buffer. None when the bytes have to be copied for that. Keeps what it needs alive.
        """
        return None

    def check(self) -> None:
        """Raises CorruptBlockError unless the bytes are those of a block as they were written."""
        check(self.memoryview())

    @abstractmethod
    def release(self) -> None:
        """Say that this buffer is not needed any more. May be called again."""

    def open(self) -> BinaryIO:
        """A stream over the bytes; reads copy only what they return. Raises StorageError after `release`."""
        return cast(BinaryIO, io.BufferedReader(_ViewStream(self.memoryview())))


class _HeldView(ManagedBuffer):
    """A buffer whose bytes are one view that it holds until the release."""

    def __init__(self, view: memoryview) -> None:
        self._view: memoryview | None = view.cast("B")
        self.size = view.nbytes

    def memoryview(self) -> memoryview:
        return self._held().toreadonly()

    def _held(self) -> _View:
        if self._view is None:
            raise StorageError(f"{type(self).__name__} of {self.size} bytes is used after its release")
        return self._view

    def release(self) -> None:
        # Dropped, not memoryview.release(): that raises BufferError while arrays made over the view are alive.
        self._view = None


class HeapBuffer(_HeldView):
    """Bytes on this process's heap. They must not be changed or resized while the buffer lives."""

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        super().__init__(memoryview(data))


class ShmBuffer(_HeldView):
    """Bytes in shared memory, seen through a view that the arena or the lease table gave out: pins and leases hang on
    it. ``location``: where they lie.
    """

    def __init__(self, view: memoryview, location: ShmLocation) -> None:
        super().__init__(view)
        self._location = location

    def private(self) -> _View | None:
        """None also when the segment's file has lost its name."""
        return map_part(self._location.segment, self._location.offset, self.size, hold=self._held())


class PagesBuffer(_HeldView):
    """A block of the heap that each reader has for itself."""

    def __init__(self, pages: AnonymousPages) -> None:
        super().__init__(pages.view())
        self._pages = pages

    def private(self) -> _View:
        return self._held()

    def check(self) -> None:
        """Once in the life of the block, since nobody can change it."""
        self._pages.check(self._held())


class FileSegmentBuffer(_HeldView):
    """``length`` bytes of a file from ``offset`` on, mapped into memory; the offset need not lie on a page.

    Raises StaleLocationError when the file is gone or ends before the segment does. The mapping outlives an unlink or a
    rename of the file, but not a truncation: files of blocks are written aside and never shortened.
    """

    def __init__(self, path: str, offset: int, length: int) -> None:
        self._skip = offset % mmap.ALLOCATIONGRANULARITY
        self._mapping = _map_segment(path, offset, length)
        super().__init__(memoryview(b"" if self._mapping is None else self._mapping)[self._skip :])

    def private(self) -> _View | None:
        if self._mapping is None or are_too_many():
            return None
        return view_of(self._mapping)[self._skip :]

    def release(self) -> None:
        super().release()
        self._mapping = None


def open_located(path: str) -> int:
    """Open a file that has blocks; the descriptor. Raises StaleLocationError when it is gone, StorageError when it
    cannot be opened now.
    """
    try:
        return os_layer.open_to_read(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise StaleLocationError(f"{path} is gone") from error
    except OSError as error:
        raise StorageError(f"cannot open {path}: {error}") from error


def _map_segment(path: str, offset: int, length: int) -> mmap.mmap | None:
    """From the start of the page that the offset is in; None of no bytes."""
    fd = open_located(path)
    try:
        # Checked on the open file: touching a mapped page that lies behind the end of the file is a SIGBUS.
        file_size = os_layer.file_size(fd)
        if offset < 0 or length < 0 or offset + length > file_size:
            raise StaleLocationError(f"{path} has {file_size} bytes, too short for {length} bytes at {offset}")
        if length == 0:  # an empty mapping is an error to mmap
            return None
        skip = offset % mmap.ALLOCATIONGRANULARITY
        return os_layer.map_privately(fd, skip + length, offset=offset - skip)
    except OSError as error:
        raise StorageError(f"cannot map {length} bytes at {offset} of {path}: {error}") from error
    finally:
        os_layer.let_go(fd)


class _ViewStream(io.RawIOBase):
    """A readable, seekable raw stream over a view. (`io.BytesIO` would copy all of it.)"""

    def __init__(self, view: memoryview) -> None:
        self._view = view
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, target: bytearray) -> int:  # type: ignore[override]
        chunk = self._view[self._position : self._position + len(target)]
        target[: len(chunk)] = chunk
        self._position += len(chunk)
        return len(chunk)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: len(self._view)}[whence]
        if base + offset < 0:
            raise ValueError(f"cannot seek to {base + offset}")
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        return self._position
