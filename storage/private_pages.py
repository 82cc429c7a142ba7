"""Views that their reader may write to, of bytes that others read too: pages are copied when they are written to.

Covers mapping a part of a file privately, and how many such mappings one process has. What hangs on such a view is kept
until the view and all arrays over it are dead. Which bytes are read so is `own_values`'s business.
"""

from __future__ import annotations

import ctypes
import mmap
import weakref
from collections.abc import Callable
from functools import partial
from itertools import count

from storage import os_layer

PRIVATE_FROM = 1 << 20  # bytes; less is copied sooner than mapped
MAX_LIVE = 256  # mappings; before Python 3.13 each costs a file descriptor

_living: set[int] = set()  # keys of the mappings that are in use
_keys = count()


def map_part(path: str, offset: int, length: int, hold: object) -> memoryview | None:
    """A writable view of `length` bytes of a file, where nobody else sees what is written.

    `hold` is kept as long as the view and what was made from it. None when the bytes have to be copied: too many
    mappings live, or the system maps no more, or the file has lost its name. The caller knows that it is long enough.
    """
    if len(_living) >= MAX_LIVE:
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
    return view_of(mapping, partial(_let_go, hold))[skip:]


def view_of(mapping: mmap.mmap, on_release: Callable[[int], object]) -> memoryview:
    """A writable view of a private mapping. `on_release(address)` is called when the view and what was made from it are
    dead, by the garbage collector: in any thread and at any point, so it takes no lock. It is kept until then.
    """
    exporter = (ctypes.c_char * len(mapping)).from_buffer(mapping)
    key = next(_keys)
    _living.add(key)
    weakref.finalize(exporter, _died, key, ctypes.addressof(exporter), on_release).atexit = False
    return memoryview(exporter).cast("B")


def _let_go(hold: object, address: int) -> None:
    """To have held it was all."""


def _died(key: int, address: int, on_release: Callable[[int], object]) -> None:
    _living.discard(key)
    on_release(address)
