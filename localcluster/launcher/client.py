"""The driver's side of the launcher: start one or use the one that forked us, order executors, receive their pipes.

Orders are given under the driver's lock or from its event loop. Light on imports: it starts the launcher while the
driver still imports the rest.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from concurrent.futures import Future
from typing import Any, NamedTuple

from multiprocess.connection import Connection, Pipe

from localcluster.launcher.standard_streams import fill_standard_descriptors
from protocol.channel import Channel
from protocol.endpoint import Endpoint
from protocol.errors import ClusterError
from protocol.message import Order

FD_DEADLINE = 10.0  # seconds for descriptors that were sent before the message that announces them
EXIT_DEADLINE = 10.0  # seconds for a launcher to end once the control pipe is closed

_START = """import json, sys
sys.path[:] = json.loads(sys.argv[1])
from localcluster.launcher.launcher import main
sys.exit(main(*map(int, sys.argv[2:])))"""


class DriverEnds(NamedTuple):
    """What connects a driver to its launcher."""

    control: Connection
    fd_socket: socket.socket


_inherited: LauncherClient | None = None


def inherit(ends: DriverEnds) -> None:
    """`run` mode: contexts of this process use the launcher that forked it, one after the other."""
    global _inherited
    _inherited = LauncherClient(ends, None)


def _forget_inherited() -> None:
    """In a fork of the driver: orders of its own contexts would reach the launcher among the driver's."""
    global _inherited
    _inherited = None


os.register_at_fork(after_in_child=_forget_inherited)


def connect() -> LauncherClient:
    """The launcher of this process: the one that forked it, else a fresh interpreter."""
    return _inherited or _spawn()


def _spawn() -> LauncherClient:
    fill_standard_descriptors()
    control, theirs = Pipe()
    fd_socket, their_socket = socket.socketpair(type=socket.SOCK_DGRAM)
    fds = (theirs.fileno(), their_socket.fileno())
    # Not PYTHONPATH, which every program that a task starts would inherit.
    search = json.dumps([os.path.abspath(path) for path in sys.path])
    command = [sys.executable, "-c", _START, search, *map(str, fds)]
    seed = os.environ.get("PYTHONHASHSEED", "random")
    environment = os.environ | {"PYTHONHASHSEED": "0" if seed == "random" else seed}
    try:
        process = subprocess.Popen(command, pass_fds=fds, env=environment, stdin=subprocess.DEVNULL)
    except OSError as error:
        control.close()
        fd_socket.close()
        raise ClusterError(f"cannot start the launcher with {sys.executable}: {error}") from error
    finally:
        theirs.close()
        their_socket.close()
    return LauncherClient(DriverEnds(control, fd_socket), process)


class LauncherClient:
    """``process`` is the launcher when this process started it, None when it forked us."""

    def __init__(self, ends: DriverEnds, process: subprocess.Popen[bytes] | None) -> None:
        self.endpoint = Endpoint(Channel(ends.control, name="launcher", buffered=True))
        self._fd_socket = ends.fd_socket
        self._fd_socket.settimeout(FD_DEADLINE)
        self._process = process

    def tell(self, order: Order) -> None:
        self.endpoint.tell(order)

    def ask(self, order: Order, timeout: float) -> Future[Any]:
        return self.endpoint.ask_async(order, timeout)

    def receive_pipes(self, executor_id: str) -> tuple[Connection, Connection]:
        """The driver's ends (orders, reports) of the executor just announced. Raises ClusterError."""
        try:
            name, fds, flags, _ = socket.recv_fds(self._fd_socket, 64, 2)
        except OSError as error:
            raise ClusterError(f"the launcher sent no pipes for executor {executor_id}: {error}") from error
        if name.decode() != executor_id or len(fds) != 2:
            for fd in fds:
                os.close(fd)
            if flags & socket.MSG_CTRUNC:  # so says the kernel when there are no descriptors left
                raise ClusterError(f"too many open files: none are left for the pipes of executor {executor_id}")
            raise ClusterError(
                f"the launcher sent the pipes of {name!r} where those of executor {executor_id} were due"
            )
        return Connection(fds[0]), Connection(fds[1])

    def close(self) -> None:
        """Let go of the launcher. One that this process started ends now; one that forked us stays. Idempotent."""
        if self._process is None:
            return
        self.endpoint.abort()
        self._fd_socket.close()
        try:
            self._process.wait(EXIT_DEADLINE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
