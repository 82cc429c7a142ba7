"""A thread that tells the stacks of its process to processes that ask, with the interpreter's lock held.

So no thread runs Python meanwhile. (faulthandler can write stacks on a signal, too, but threads that run go on then: a
busy process that was asked so was killed by SIGSEGV after some 20 to 1,000 questions. That is for processes with one
thread that sleeps nearly always, and for those that do not answer here, since C code holds the lock.) Linux only.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import socket
import struct
import threading
import time

from protocol.forks import disown_in_forks

PATIENCE = 1.0  # seconds for who asks to take the answer
RETRY = 0.1  # seconds until there may be a descriptor for who asks
_CREDENTIALS = struct.Struct("iII")  # of SO_PEERCRED: process, user, group


def address(directory: str, pid: int) -> str:
    """Where a process of the run with that primary directory listens: a name, no file."""
    return f"\0{os.path.basename(directory)}-{pid}"


class StackServer:
    """Serves from the start on. Raises OSError or RuntimeError where there is no descriptor or thread for it."""

    def __init__(self, directory: str) -> None:
        self._closed = False
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._listener.settimeout(None)
            self._listener.bind(address(directory, os.getpid()))
            self._listener.listen()
            self._thread = threading.Thread(target=self._serve, name="localcluster-stacks", daemon=True)
            self._thread.start()
        except BaseException:
            self._listener.close()
            raise
        disown_in_forks(self)

    def close(self) -> None:
        self._closed = True
        self._listener.shutdown(socket.SHUT_RDWR)  # which wakes the thread
        self._thread.join(2 * PATIENCE)
        self._listener.close()

    def disown(self) -> None:
        """In a fork, which has no such thread."""
        self._listener.close()

    def _serve(self) -> None:
        while not self._closed:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                time.sleep(0 if self._closed else RETRY)
                continue
            with connection, contextlib.suppress(OSError):
                connection.settimeout(PATIENCE)
                if _may_ask(connection):
                    connection.sendall(_stacks().encode(errors="replace"))


def _may_ask(connection: socket.socket) -> bool:
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return _CREDENTIALS.unpack(credentials)[1] in (0, os.getuid())


def _stacks() -> str:
    """Of all threads but this one, by name."""
    fd = os.memfd_create("stacks")  # not the connection: who does not read it would keep us from the lock
    try:
        faulthandler.dump_traceback(fd, all_threads=True)
        text = os.pread(fd, os.fstat(fd).st_size, 0).decode(errors="replace")
    finally:
        os.close(fd)
    for thread in threading.enumerate():
        text = text.replace(f"Thread 0x{thread.ident or 0:016x}", f"Thread {thread.name}")
    return "\n\n".join(part for part in text.strip().split("\n\n") if not part.startswith("Current thread"))
