"""What the launcher has for one context: the scratch space, the janitor, the executors as processes.

Does not wait for executors to end (``launcher`` does, for all its children), does not know what they work on.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress

import psutil
from multiprocess.connection import Connection

from localcluster.base import os_layer, pyspark_alias
from localcluster.base.own_stacks import OwnStacks, make_stack_file
from localcluster.base.standard_streams import print_to_standard_error, print_whole_lines, read_nothing
from localcluster.executor.crash_report import crash_report, reported_error
from localcluster.executor.executor import executor_main
from localcluster.faults.process_faults import ProcessFaults
from localcluster.launcher.forking import die_with_parent, fork, kill, run_child
from localcluster.launcher.janitor import DIRECTORY, EXECUTOR, GONE, MADE, Janitor, start_janitor
from localcluster.launcher.process_title import name_process
from localcluster.launcher.sessions import end_sessions
from localcluster.rdd import parallel_collection_rdd, rdd  # noqa: F401 - loaded once, for all executors
from protocol import sites
from protocol.cluster_messages import LaunchExecutor
from storage.scratch import Scratch

log = logging.getLogger(__name__)


class ClusterProcesses:
    """The executors and the scratch directory of one context, in the launcher.

    ``close_inherited`` lets go, in a child, of what must be the launcher's alone; ``driver`` is a process id, ``run``
    what titles say.
    """

    def __init__(
        self,
        local_dirs: Sequence[str],
        fd_socket: socket.socket,
        close_inherited: Callable[[], None],
        driver: int,
        run: str,
    ) -> None:
        """Raises OSError when there is no process for the janitor, and what `Scratch.create` raises."""
        self._fd_socket = fd_socket
        self._close_inherited = close_inherited
        self._run = run
        self._executors: dict[int, str] = {}  # {pid: executor id}
        janitor = start_janitor(run)
        self._janitor: Janitor | None = janitor
        try:
            self.scratch = Scratch.create(local_dirs, announce=lambda primary: self._tell_janitor(DIRECTORY, primary))
        except BaseException:
            self._end_janitor()
            raise
        for role, pid in (("driver", driver), ("janitor", janitor.pid)):
            make_stack_file(self.scratch.primary, role, pid)
        self._tell_janitor(MADE, self.scratch.primary)
        self._stacks = OwnStacks(self.scratch.primary, "launcher")
        self.faults = ProcessFaults("launcher", "launcher", self.scratch.primary)

    @property
    def executors(self) -> list[int]:
        """Pids of those that live, as far as is known."""
        return list(self._executors)

    def launch(self, order: LaunchExecutor) -> int:
        """Fork an executor and send the driver its ends of the pipes; its pid. Raises OSError with nothing left
        behind.
        """
        with ExitStack() as open_pipes:
            orders, driver_orders = _pipe(open_pipes)
            reports, driver_reports = _pipe(open_pipes)
            parent = os.getpid()
            if sites.armed is not None:
                sites.armed("fork", executor=order.executor_id)
            pid = fork()
            if pid == 0:
                driver_orders.close()
                driver_reports.close()
                run_child(lambda: self._be_executor(order, orders, reports, parent))
            self._executors[pid] = order.executor_id
            self._tell_janitor(EXECUTOR, pid)
            try:
                fds = [driver_orders.fileno(), driver_reports.fileno()]
                os_layer.send_fds(self._fd_socket, order.executor_id, fds)
            except OSError:
                kill(pid, signal.SIGKILL)  # nobody could give it work
                raise
            return pid

    def kill(self, executor_id: str) -> None:
        for pid, known in self._executors.items():
            if known == executor_id:
                kill(pid, signal.SIGKILL)

    def kill_stopped(self) -> None:
        """End those that SIGSTOP has stopped, which do nothing that they are told."""
        for pid in self._executors:
            with suppress(psutil.Error, OSError):  # it ended meanwhile; there is no descriptor to look at it with
                if psutil.Process(pid).status() == psutil.STATUS_STOPPED:
                    kill(pid, signal.SIGKILL)

    def ended(self, pid: int) -> str | None:
        """A child of the launcher was reaped: the id if it was an executor. What its tasks started ends now."""
        if self._janitor is not None and pid == self._janitor.pid:
            self._janitor.close()
            self._janitor = None
        executor_id = self._executors.pop(pid, None)
        if executor_id is not None:
            with _left_to_the_janitor():
                end_sessions([pid])
                self._tell_janitor(GONE, pid)
        return executor_id

    def last_words(self, executor_id: str, pid: int, code: int) -> str:
        """Where an executor that a signal ended was in the user's code, or for which error one exited, if known."""
        return (crash_report if code < 0 else reported_error)(self.scratch, executor_id, pid)

    def end(self) -> None:
        """End what still lives, by force, and remove the scratch space."""
        for pid in self._executors:
            kill(pid, signal.SIGKILL)
        for pid in list(self._executors):
            os.waitpid(pid, 0)  # a killed child always ends
            self.ended(pid)
        self._stacks.close()
        self.faults.disarm_all()
        with _left_to_the_janitor():
            self.scratch.remove()
        self._end_janitor()

    def _tell_janitor(self, what: str, value: str | int) -> None:
        if self._janitor is not None:
            self._janitor.tell(what, value)

    def _end_janitor(self) -> None:
        if self._janitor is not None:
            self._janitor.end()
            os.waitpid(self._janitor.pid, 0)
            self.ended(self._janitor.pid)

    def _be_executor(self, order: LaunchExecutor, orders: Connection, reports: Connection, parent: int) -> int:
        self._close_inherited()
        self._stacks.close()
        if self._janitor is not None:
            self._janitor.close()
        # Ctrl-C is the driver's, which stops us; a terminal stops nobody who has none; and what tasks start can be
        # ended with us (``sessions``).
        os.setsid()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        # From a terminal that a task opened, which becomes ours. Not ignored: what tasks start would inherit that.
        signal.signal(signal.SIGHUP, lambda *_: None)
        read_nothing()  # the terminal's input is the driver's
        print_whole_lines()
        if pyspark_alias.is_active():
            print_to_standard_error()  # as with a local master of Spark: a PySpark program's output is its driver's
        die_with_parent(parent)
        name_process(f"executor {order.executor_id}", self._run)
        # What a task forks may live on if we are killed all at once; it must not hold the lock that the janitor awaits.
        os.register_at_fork(after_in_child=self.scratch.disown)
        return executor_main(order, orders, reports, self.scratch, self.faults.armed)


@contextmanager
def _left_to_the_janitor() -> Iterator[None]:
    """Who is short of descriptors cannot look at processes or directories. The janitor has its own."""
    try:
        yield
    except OSError as error:
        log.debug("the janitor will do it: %s", error)


def _pipe(stack: ExitStack) -> tuple[Connection, Connection]:
    """Both ends close with the stack."""
    ours, theirs = os_layer.pipe()
    return stack.enter_context(ours), stack.enter_context(theirs)
