"""The one door to the operating system for processes, pipes between them and descriptors that travel.

Each call that may find the system short of something is a plain function of this module. Tests replace one
(``monkeypatch.setattr(os_layer, "fork", …)``) to inject EAGAIN or EMFILE, so users must call ``os_layer.fork()``,
never ``from … import fork``. Does not cover policy: an OSError passes unchanged, ``shortage`` says what it means. The
door for files and shared memory is ``storage.os_layer``.
"""

from __future__ import annotations

import os
import socket
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
