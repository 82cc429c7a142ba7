"""`Stream`: bytes over one duplex ``multiprocess`` Pipe, without blocking but where somebody waits on purpose.

Covers the descriptor: reading, writing, waiting and its end. Does not know what the bytes are (`protocol.wire`), nor
which threads come when: `protocol.channel` has the locks. A duplex Pipe is a pair of connected stream sockets; it is
not used by the Connection's ``send_bytes``, so that one read takes in many frames, one write puts out many, and a write
can be left half done.
"""

from __future__ import annotations

import logging
import math
import os
import select
import socket
import time
from typing import Protocol

log = logging.getLogger(__name__)

READ_SIZE = 64 << 10  # bytes taken in by one read


class ConnectionLike(Protocol):
    """A ``multiprocess.connection.Connection`` of a duplex Pipe, or a connected stream socket."""

    def fileno(self) -> int: ...

    def close(self) -> None: ...


class Stream:
    """One end, which owns the connection. One thread at a time may read, and one write; any may shut it down.

    Deadlines are seconds, monotonic; None: there is none, but the peer's end.
    """

    def __init__(self, connection: ConnectionLike) -> None:
        self.fd = connection.fileno()
        self.bytes_received = self.bytes_sent = 0
        self._connection = connection
        os.set_blocking(self.fd, False)
        self._readable = select.poll()  # a poll object serves one thread at a time
        self._readable.register(self.fd, select.POLLIN)
        self._writable = select.poll()
        self._writable.register(self.fd, select.POLLOUT)

    def wait_readable(self, deadline: float | None) -> bool:
        """Whether there is something to read, the end included."""
        return bool(self._readable.poll(_milliseconds(deadline)))

    def wait_writable(self, deadline: float | None) -> bool:
        """Whether the socket takes something, or refuses it since the peer is gone."""
        return bool(self._writable.poll(_milliseconds(deadline)))

    def read(self) -> bytes | None:
        """What is here now, ``READ_SIZE`` at most; None: nothing; no bytes: the end. Raises OSError (ECONNRESET) when
        the peer went without reading all that was sent.
        """
        try:
            data = os.read(self.fd, READ_SIZE)
        except BlockingIOError:
            return None
        self.bytes_received += len(data)
        return data

    def write(self, data: bytearray) -> None:
        """Write what the socket takes now, and take it off ``data``. Raises OSError (EPIPE, ECONNRESET) when the peer
        is gone; what it sent before can still be read.
        """
        while data:
            try:
                written = os.write(self.fd, data)
            except BlockingIOError:
                return
            self.bytes_sent += written
            del data[:written]

    def shut_down(self) -> None:
        """End the stream both ways. Closing alone would not wake a thread that waits."""
        stream = socket.socket(fileno=self.fd)
        try:
            stream.shutdown(socket.SHUT_RDWR)
        except OSError as error:  # ENOTCONN, where the peer's end is closed already (macOS)
            log.debug("%s", error)
        finally:
            stream.detach()  # the descriptor stays the connection's

    def close(self) -> None:
        """When no thread is inside any more: the number of a closed descriptor may at once belong to another file. In a
        fork it does not disturb the parent's stream, which `shut_down` would end.
        """
        self._connection.close()


def deadline_in(timeout: float | None) -> float | None:
    return None if timeout is None else time.monotonic() + timeout


def _milliseconds(deadline: float | None) -> int | None:
    """Time left as ``poll`` wants it; rounded up, so that it does not return too early again and again."""
    return None if deadline is None else max(0, math.ceil((deadline - time.monotonic()) * 1000))
