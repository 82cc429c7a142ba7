"""The executors of one launcher as processes: forked with their pipes, killed, ended.

Does not wait for them (``launcher`` does, for all its children), does not know what they work on.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
from collections.abc import Callable
from contextlib import ExitStack

from multiprocess.connection import Connection

from localcluster import pyspark_alias
from localcluster.executor.executor import executor_main
from localcluster.launcher import os_layer
from localcluster.launcher.forking import die_with_parent, fork, kill, name_process, run_child
from localcluster.launcher.standard_streams import print_to_standard_error, print_whole_lines, read_nothing
from protocol.cluster_messages import LaunchExecutor
from storage.scratch import Scratch

log = logging.getLogger(__name__)


class ExecutorProcesses:
    """``close_inherited`` lets go, in a child, of what must be the launcher's alone."""

    def __init__(self, fd_socket: socket.socket, close_inherited: Callable[[], None]) -> None:
        self._fd_socket = fd_socket
        self._close_inherited = close_inherited
        self._ids: dict[int, str] = {}  # {pid: executor id}

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def pids(self) -> list[int]:
        return list(self._ids)

    def launch(self, order: LaunchExecutor, scratch: Scratch) -> int:
        """Fork one and send the driver its ends of the pipes; its pid. Raises OSError with nothing left behind."""
        with ExitStack() as open_pipes:
            orders, driver_orders = _pipe(open_pipes)
            reports, driver_reports = _pipe(open_pipes)
            parent = os.getpid()
            pid = fork()
            if pid == 0:
                driver_orders.close()
                driver_reports.close()
                run_child(lambda: self._be_executor(order, orders, reports, scratch, parent))
            self._ids[pid] = order.executor_id
            try:
                fds = [driver_orders.fileno(), driver_reports.fileno()]
                os_layer.send_fds(self._fd_socket, order.executor_id, fds)
            except OSError:
                kill(pid, signal.SIGKILL)  # nobody could give it work
                raise
            return pid

    def _be_executor(
        self, order: LaunchExecutor, orders: Connection, reports: Connection, scratch: Scratch, parent: int
    ) -> int:
        self._close_inherited()
        os.setpgid(0, 0)  # Ctrl-C is the driver's, which stops us; and what tasks fork can be ended with us
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        read_nothing()  # the terminal's input is the driver's, and reading it would stop us, a group in the background
        print_whole_lines()
        if pyspark_alias.is_active():
            print_to_standard_error()  # as with a local master of Spark: a PySpark program's output is its driver's
        die_with_parent(parent)
        name_process(f"lc-executor-{order.executor_id}")
        # What a task forks may live on if we are killed all at once; it must not hold the lock that the janitor awaits.
        os.register_at_fork(after_in_child=scratch.disown)
        return executor_main(order, orders, reports, scratch)

    def kill(self, executor_id: str) -> None:
        for pid, known in self._ids.items():
            if known == executor_id:
                kill(pid, signal.SIGKILL)

    def ended(self, pid: int) -> str | None:
        """A child of the launcher was reaped: the id if it was an executor. What its tasks started ends now."""
        executor_id = self._ids.pop(pid, None)
        if executor_id is not None:
            _kill_group(pid)
        return executor_id


def _pipe(stack: ExitStack) -> tuple[Connection, Connection]:
    """Both ends close with the stack."""
    ours, theirs = os_layer.pipe()
    return stack.enter_context(ours), stack.enter_context(theirs)


def _kill_group(pid: int) -> None:
    """End what the tasks of a dead executor started and left behind."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # there is none; macOS says the latter of zombies
        log.debug("executor process %d left nobody", pid)
