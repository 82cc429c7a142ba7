"""Reading bytes of a run from a process that has no part in it, such as a monitor or a debugger.

Covers mapping what a location names, read-only. Does not cover finding locations, which the block master knows, nor
keeping the bytes: a view holds no lease, so it shows the block only as long as that stays where it is, and what comes
after it then.

Not ``multiprocessing.shared_memory.SharedMemory(name)``: before Python 3.13 that registers the segment with the
process's resource tracker, which removes it when the process ends, from under the run.
"""

from __future__ import annotations

import os

from protocol.errors import StaleLocationError
from protocol.locations import FileLocation, SharedLocation, ShmLocation
from storage.managed_buffer import FileSegmentBuffer
from storage.scratch import SHARED_MEMORY


def attach(where: SharedLocation | str) -> memoryview:
    """A read-only view of the bytes at a location, or of a whole segment: the path of its file, or its name in
    ``/dev/shm``. They stay mapped as long as the view lives, or a slice or array of it, whatever becomes of the file.

    Of a block's bytes, `storage.serializer.deserialize` makes the values. Raises StaleLocationError when there are no
    such bytes, StorageError when they cannot be mapped.
    """
    if isinstance(where, ShmLocation):
        return FileSegmentBuffer(where.segment, where.offset, where.length).memoryview()
    if isinstance(where, FileLocation):
        return FileSegmentBuffer(where.path, where.offset, where.length).memoryview()
    path = os.path.join(SHARED_MEMORY, where)
    try:
        size = os.path.getsize(path)
    except OSError as error:
        raise StaleLocationError(f"{path} cannot be read: {error}") from error
    return FileSegmentBuffer(path, 0, size).memoryview()
