"""Arrays on mapped files (`numpy.memmap`) go to tasks as the file's name: nothing is copied, and what a process writes
into a file that was opened for writing, all see.

Covers contiguous arrays. Other slices of such arrays, and what was mapped copy-on-write, go as what is in them.
"""

from __future__ import annotations

import mmap
import os
import sys
from typing import Any

MODES = {"r": "r", "r+": "r+", "w+": "r+"}  # how another process opens what was opened so


def reopening(value: Any) -> tuple[Any, ...] | None:
    """How to make the array again in another process, as `object.__reduce__` says it; None: it is on no file."""
    numpy = sys.modules.get("numpy")
    if numpy is None or not isinstance(value, numpy.ndarray) or value.dtype.hasobject:
        return None
    file = _mapped_whole(value, numpy)
    if file is None or file.mode not in MODES or not file.filename or not os.path.exists(file.filename):
        return None
    order = "C" if value.flags.c_contiguous else "F"
    if not value.flags.forc or value.nbytes == 0:
        return None
    begin = value.__array_interface__["data"][0] - file.__array_interface__["data"][0]
    where = str(file.filename), value.dtype, MODES[file.mode], file.offset + begin, value.shape, order
    return open_mapped, where


def open_mapped(*where: Any) -> Any:
    import numpy

    return numpy.memmap(*where)


def _mapped_whole(value: Any, numpy: Any) -> Any:
    """The array that the program made by mapping the file, of which ``value`` is a part; None: there is none."""
    while isinstance(value, numpy.ndarray):
        if isinstance(value.base, mmap.mmap):
            return value if isinstance(value, numpy.memmap) else None
        value = value.base
    return None
