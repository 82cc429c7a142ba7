"""Whether the bytes of a block are where its holder said, as far as a look at the file tells.

Covers what is looked at before the master takes over what a dead process left. Does not read the bytes: who reads them
checks them (`storage.serializer`).
"""

from __future__ import annotations

from protocol.locations import FileLocation, ShmLocation
from storage import os_layer


def is_whole(location: ShmLocation | FileLocation) -> bool:
    """Whether the segment or file is there and long enough."""
    path = location.path
    try:
        status = os_layer.own_status(path)
    except OSError:
        return False
    return status is not None and status.st_size >= location.offset + location.length
