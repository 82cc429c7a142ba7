"""The driver's side of the launcher: start one or use the one that forked us, order executors, receive their pipes.

Orders are given under the driver's lock or from its event loop. Light on imports: it starts the launcher while the
driver still imports the rest.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import Future
from typing import Any, NamedTuple

from multiprocess.connection import Connection

from localcluster.base import os_layer
from localcluster.base.shortage import shortage
from localcluster.base.standard_streams import fill_standard_descriptors
from localcluster.launcher.interrupts import SIGNALS
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


class Ends(NamedTuple):
    """One side of what connects a driver and its launcher."""

    control: Connection
    fd_socket: socket.socket

    def close(self) -> None:
        self.control.close()
        self.fd_socket.close()


def pair_of_ends() -> tuple[Ends, Ends]:
    """Ours and theirs. Raises OSError with nothing left open."""
    control, theirs = os_layer.pipe()
    try:
        fd_socket, their_socket = os_layer.socket_pair()
    except OSError:
        control.close()
        theirs.close()
        raise
    return Ends(control, fd_socket), Ends(theirs, their_socket)


_inherited: LauncherClient | None = None


def inherit(ends: Ends) -> None:
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
    try:
        ours, theirs = pair_of_ends()
    except OSError as error:
        raise ClusterError(f"cannot start the launcher: {shortage(error) or error}") from error
    fds = tuple(end.fileno() for end in theirs)
    # Not PYTHONPATH, which every program that a task starts would inherit.
    search = json.dumps([os.path.abspath(path) for path in sys.path])
    command = [sys.executable, "-c", _START, search, *map(str, fds)]
    seed = os.environ.get("PYTHONHASHSEED", "random")
    environment = os.environ | {"PYTHONHASHSEED": "0" if seed == "random" else seed}
    # A child inherits what is blocked, and it will block these: a Ctrl-C in its start would show a traceback of ours.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        process = os_layer.start_program(command, pass_fds=fds, env=environment, stdin=subprocess.DEVNULL)
    except OSError as error:
        ours.close()
        reason = shortage(error) or error
        raise ClusterError(f"cannot start the launcher with {sys.executable}: {reason}") from error
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
    return LauncherClient(ours, process)


class LauncherClient:
    """The driver's way to its launcher.

    ``process`` is the launcher when this process started it, None when it forked us.
    """

    def __init__(self, ends: Ends, process: subprocess.Popen[bytes] | None) -> None:
        self.endpoint = Endpoint(Channel(ends.control, name="launcher", buffered=True, resends=True))
        self._fd_socket = ends.fd_socket
        self._fd_socket.settimeout(FD_DEADLINE)
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid if self._process is not None else os.getppid()

    @property
    def has_forked_us(self) -> bool:
        """Whether this is the driver of `run`."""
        return self._process is None

    def tell(self, order: Order) -> None:
        self.endpoint.tell(order)

    def ask(self, order: Order, timeout: float) -> Future[Any]:
        return self.endpoint.ask_async(order, timeout)

    def receive_pipes(self, executor_id: str) -> tuple[Endpoint, Endpoint]:
        """The driver's ends (orders, reports) of the executor just announced.

        Raises OSError when the system refuses them now (EMFILE: there are no descriptors left for them, which are lost
        then); ClusterError when none came.
        """
        while True:
            try:
                name, fds, truncated = os_layer.receive_fds(self._fd_socket, 2)
            except TimeoutError as error:
                raise ClusterError(f"the launcher sent no pipes for executor {executor_id}: {error}") from error
            if name == executor_id and len(fds) == 2:
                break
            for fd in fds:
                os.close(fd)
            if name != executor_id:
                continue  # of one whose pipes were refused when they were due
            if truncated:
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            raise ClusterError(f"the launcher sent {len(fds)} pipes for executor {executor_id}, not 2")
        orders, reports = Connection(fds[0]), Connection(fds[1])
        return (
            Endpoint(Channel(orders, name=f"orders of executor {executor_id}", buffered=True)),
            Endpoint(Channel(reports, name=f"reports of executor {executor_id}", buffered=True)),
        )

    def drop_pipes(self) -> None:
        """Let go of pipes of executors of an earlier context, which had the same names and took them not."""
        self._fd_socket.setblocking(False)
        try:
            while True:
                for fd in os_layer.receive_fds(self._fd_socket, 2)[1]:
                    os.close(fd)
        except BlockingIOError:
            self._fd_socket.settimeout(FD_DEADLINE)

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
