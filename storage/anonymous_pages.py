"""A large block on this process's heap, kept so that each reader can have its arrays for itself without a copy.

Covers one block: writing it, and the private mappings that its readers get. The bytes lie in a file of memory that has
no name, so it is nobody else's and goes with the process; once written it is sealed. A mapping that no reader needs any
more is kept for the next one, with the pages that were read, without those that were written to.
"""

from __future__ import annotations

import mmap
import weakref
from collections import deque
from functools import partial

from storage import os_layer
from storage.private_pages import view_of
from storage.serializer import BytesLike, check

MAX_FILES = 128  # blocks of one process; each costs two file descriptors

_files: weakref.WeakSet[AnonymousPages] = weakref.WeakSet()


class AnonymousPages:
    """Bytes that grow at their end until they are sealed. Thread-safe from then on."""

    def __init__(self, data: BytesLike) -> None:
        """Raises OSError: there are too many, or the system has no such files, or no room for another."""
        if len(_files) >= MAX_FILES:
            raise OSError(f"this process has {MAX_FILES} anonymous files already")
        self._fd = os_layer.anonymous_file()
        weakref.finalize(self, os_layer.let_go, self._fd)
        _files.add(self)
        self._size = 0
        self._is_checked = False
        self._idle: deque[mmap.mmap] = deque(maxlen=1)
        self.extend(data)

    def __len__(self) -> int:
        return self._size

    def extend(self, piece: BytesLike) -> None:
        """Write behind what there is. Raises OSError when there is no room; what was written before is still good."""
        os_layer.write_at(self._fd, piece, self._size)
        self._size += len(piece)

    def seal(self, size: int) -> None:
        """Of what was written these first bytes are the block."""
        self._size = size
        os_layer.seal(self._fd)

    def view(self) -> memoryview:
        """A writable view of the bytes, where nobody else sees what is written."""
        try:
            mapping = self._idle.pop() if self._idle else os_layer.map_privately(self._fd, self._size)
        except IndexError:  # another thread was faster
            return self.view()
        except OSError:  # there is no descriptor left, say
            return memoryview(os_layer.read_at(self._fd, self._size, 0))
        return view_of(mapping, partial(_keep, self._idle, mapping))

    def check(self, view: memoryview) -> None:
        """Of a view that nobody wrote to. Once: nobody can change sealed bytes. Raises CorruptBlockError."""
        if not self._is_checked:
            check(view)
            self._is_checked = True


def _keep(idle: deque[mmap.mmap], mapping: mmap.mmap, address: int) -> None:
    os_layer.take_back(mapping, address)
    idle.append(mapping)


def in_pages(data: BytesLike) -> AnonymousPages | None:
    """New pages that begin with these bytes, to be sealed. None where there can be no more."""
    try:
        return AnonymousPages(data)
    except OSError:
        return None
