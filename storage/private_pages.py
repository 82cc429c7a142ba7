"""Views that their reader may write to, of bytes that others read too: pages are copied when they are written to.

Covers mapping a part of a file privately, and how many such mappings one process has. What hangs on such a view is kept
until the view and all arrays over it are dead. Which bytes are read so is `own_values`'s business.
"""

from __future__ import annotations

import ctypes
import mmap
import resource
import weakref
from collections.abc import Callable
from itertools import count

from storage import os_layer

PRIVATE_FROM = 1 << 20  # bytes; less is copied sooner than mapped


def share_of_descriptors(part: int, most: int) -> int:
    """A part of those that this process may have: before Python 3.13 each mapping takes one."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return most if limit == resource.RLIM_INFINITY else min(most, limit // part)


MAX_LIVE = share_of_descriptors(4, 256)  # mappings

_living: set[int] = set()  # keys of the mappings that are in use
_keys = count()


def are_too_many() -> bool:
    """Whether so many mappings live that what is read next should be copied."""
    return len(_living) >= MAX_LIVE


def map_part(path: str, offset: int, length: int, hold: object) -> memoryview | None:
    """A writable view of `length` bytes of a file, where nobody else sees what is written.

    `hold` is kept as long as the view and what was made from it. None when the bytes have to be copied: too many
    mappings live, or the system maps no more, or the file has lost its name. The caller knows that it is long enough.
    """
    if are_too_many():
        return None
    skip = offset % mmap.ALLOCATIONGRANULARITY
    try:
        fd = os_layer.open_existing(path)
        try:
            mapping = os_layer.map_privately(fd, skip + length, offset=offset - skip)
        finally:
            os_layer.let_go(fd)
    except (OSError, ValueError):  # ValueError: it was cut short meanwhile
        return None
    return view_of(mapping, hold=hold)[skip:]


def view_of(mapping: mmap.mmap, on_release: Callable[[], object] | None = None, hold: object = None) -> memoryview:
    """A writable view of a private mapping, which counts as long as the view and what was made from it live.

    Then `on_release` is called, by the garbage collector: in any thread and at any point, so it takes no lock. Objects
    of a cycle that are finalised together with the view may look at it once more, after the call.
    """
    exporter = (ctypes.c_char * len(mapping)).from_buffer(mapping)
    key = next(_keys)
    _living.add(key)
    weakref.finalize(exporter, _died, key, on_release, hold).atexit = False
    return memoryview(exporter).cast("B")


def _died(key: int, on_release: Callable[[], object] | None, hold: object) -> None:
    _living.discard(key)
    if on_release is not None:
        on_release()
