"""A large block on this process's heap, kept so that each reader can have its arrays for itself without a copy.

Covers one block: writing it, and the private mappings that its readers get. The bytes lie in a file of memory that has
no name, so it is nobody else's and goes with the process; once written it is sealed. A mapping that no reader needs any
more is kept for the next one, with the pages that were read, without those that were written to.
"""

from __future__ import annotations

import contextlib
import mmap
import weakref
from collections import deque
from functools import partial

from storage import os_layer
from storage.private_pages import are_too_many, share_of_descriptors, view_of
from storage.serializer import BytesLike, check

MAX_FILES = share_of_descriptors(16, 128)  # blocks of one process; each takes one, and one for its idle mapping

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
        self._returned: deque[mmap.mmap] = deque()  # by finalizers: whose views are dead, or about to die
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
        self.take_returned()
        mapping = self._idle_mapping() or self._new_mapping()
        if mapping is None:
            return memoryview(os_layer.read_at(self._fd, self._size, 0))
        return view_of(mapping, partial(self._returned.append, mapping))

    def take_returned(self) -> None:
        """Free the pages that readers wrote to, and keep a mapping for the next one. Not in a finalizer: objects that
        are finalised together with an array may look at it once more. Then the mapping is not used again.
        """
        with contextlib.suppress(IndexError):
            while True:
                mapping = self._returned.popleft()
                if not os_layer.is_viewed(mapping):
                    os_layer.take_back(mapping)
                    self._idle.append(mapping)

    def _idle_mapping(self) -> mmap.mmap | None:
        with contextlib.suppress(IndexError):
            return self._idle.pop()
        return None

    def _new_mapping(self) -> mmap.mmap | None:
        if are_too_many() or not self._size:
            return None
        try:
            return os_layer.map_privately(self._fd, self._size)
        except OSError:  # there is no descriptor left, say
            return None

    def check(self, view: memoryview) -> None:
        """Of a view that nobody wrote to. Once: nobody can change sealed bytes. Raises CorruptBlockError."""
        if not self._is_checked:
            check(view)
            self._is_checked = True


def take_returned() -> None:
    """Of all blocks; to be called now and then."""
    for pages in list(_files):
        pages.take_returned()


def in_pages(data: BytesLike) -> AnonymousPages | None:
    """New pages that begin with these bytes, to be sealed. None where there can be no more."""
    try:
        return AnonymousPages(data)
    except OSError:
        return None
