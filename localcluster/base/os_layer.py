"""The one door to the operating system for processes, pipes between them and descriptors that travel.

Each call that may find the system short of something is a plain function of this module. Tests replace one
(``monkeypatch.setattr(os_layer, "fork", …)``) to inject EAGAIN or EMFILE, so users must call ``os_layer.fork()``,
never ``from … import fork``. Does not cover policy: an OSError passes unchanged, ``shortage`` says what it means. The
door for files and shared memory is ``storage.os_layer``.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from multiprocess.connection import Pipe

if TYPE_CHECKING:
    import subprocess

    from multiprocess.connection import Connection


def fork() -> int:
    """Raises OSError: EAGAIN without a free process, ENOMEM without memory."""
    return os.fork()


def start_program(command: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
    """``subprocess.Popen``. Raises OSError also when there is no such program."""
    import subprocess  # not with the module, which every process imports

    return subprocess.Popen(command, **options)


def pipe() -> tuple[Connection, Connection]:
    """The two ends of a duplex pipe. Raises OSError EMFILE, ENFILE."""
    ours, theirs = Pipe()
    return ours, theirs


def wakeup_pipe() -> tuple[int, int]:
    """A reading and a writing end that never block: what a signal or a thread wakes a loop by. Raises OSError EMFILE,
    ENFILE.
    """
    ends = os.pipe()
    for end in ends:
        os.set_blocking(end, False)
    return ends


def socket_pair() -> tuple[socket.socket, socket.socket]:
    """Two connected sockets that descriptors can be sent through. Raises OSError EMFILE, ENFILE."""
    return socket.socketpair(type=socket.SOCK_DGRAM)


def send_fds(sock: socket.socket, name: str, fds: list[int]) -> None:
    """Send descriptors under a name. Raises OSError: ETOOMANYREFS, ENOBUFS; EPIPE and the like when nobody reads."""
    socket.send_fds(sock, [name.encode()], fds)


def receive_fds(sock: socket.socket, most: int) -> tuple[str, list[int], bool]:
    """The name, the descriptors, and whether some were lost because this process cannot have more. Raises OSError."""
    name, fds, flags, _ = socket.recv_fds(sock, 64, most)
    return name.decode(), fds, bool(flags & socket.MSG_CTRUNC)


def listen_at(path: str) -> socket.socket:
    """A socket that others reach by this path, mode 0600. Raises OSError, also for a path of more bytes than the
    system takes (108).
    """
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listening.bind(path)
        os.chmod(path, 0o600)
        listening.listen(128)
    except BaseException:
        listening.close()
        raise
    return listening


def connect_to(path: str, timeout: float) -> socket.socket:
    """A connection to whoever listens at the path. Raises OSError: ENOENT or ECONNREFUSED when nobody does, EAGAIN or
    TimeoutError when it takes no connection in so many seconds.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout)
        connection.connect(path)
    except BaseException:
        connection.close()
        raise
    return connection


def peer_of(connection: socket.socket) -> tuple[int, int]:
    """(pid, uid) of the process at the other end, as the kernel says."""
    if hasattr(socket, "SO_PEERCRED"):
        pid, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return pid, uid
    # macOS: LOCAL_PEERCRED gives a version and the uid, LOCAL_PEERPID the pid; Python has no names for them.
    _, uid = struct.unpack("2i", connection.getsockopt(0, 0x001, 76)[:8])
    return struct.unpack("i", connection.getsockopt(0, 0x002, 4))[0], uid
