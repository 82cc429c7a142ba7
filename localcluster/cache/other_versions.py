"""Servers of a cache that speak another version of the messages, as another installation of this package does.

The version is in the name of a server's socket. So nothing need be said to learn of it, and what is said, and how, may
change. A cache has one server, whatever it speaks, and **the newer one wins**: it has an older one end in good order,
which every version does at a SIGTERM, while an older one does not start where a newer one serves. So two installations
that are used at once do not end each other's servers in turns; programs of the older one compute without a server.
"""

from __future__ import annotations

import errno
import os
import re
import signal
from contextlib import suppress
from typing import NamedTuple

from localcluster.base import os_layer as processes
from localcluster.cache.home import CacheHome
from protocol import cache_messages as m
from protocol.errors import CacheError
from storage import os_layer

CONNECT_TIMEOUT = 0.5  # seconds

_SOCKET = re.compile(r"socket(?:\.(\d+))?")  # without a number it is older than all that have one


class OtherServer(NamedTuple):
    version: int
    pid: int  # 0: not to be seen from here

    def end(self) -> None:
        """Ask it to end, in good order. Raises CacheError."""
        if not self.pid:
            raise CacheError("the cache has a server of another version of localcluster, in another container perhaps")
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)


def serving(home: CacheHome) -> list[OtherServer]:
    found = []
    for file in os_layer.scan(home.shared):
        match = _SOCKET.fullmatch(file.name)
        if match and file.path != home.socket:
            pid = _listener_at(file.path)
            if pid is not None:
                found.append(OtherServer(int(match[1] or 0), pid))
    return found


def make_way(home: CacheHome) -> None:
    """Have older servers end. Raises CacheError when there is a newer one, or one that cannot be told."""
    for other in serving(home):
        if other.version > m.VERSION:
            raise CacheError(f"process {other.pid} serves it, of a newer version of localcluster, which is not ended")
        other.end()


def _listener_at(socket: str) -> int | None:
    """The process; None when nobody listens there."""
    try:
        connection = processes.connect_to(socket, CONNECT_TIMEOUT)
    except OSError as error:
        return None if error.errno in (errno.ENOENT, errno.ECONNREFUSED) else 0
    with connection:
        pid, uid = processes.peer_of(connection)
    return pid if uid == os.getuid() else None
