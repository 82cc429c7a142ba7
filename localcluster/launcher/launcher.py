"""The launcher: the one process that forks. A zygote with a single thread.

It preloads what executors need, forks the driver (`run` mode) and executors, watches every child, tells the driver
who ended, and cleans up whatever way the run ends. It takes its orders over one control pipe and passes the driver's
ends of an executor's two pipes as file descriptors over a socket beside it. It does not know what the executors work
on.

Ends when: the driver's process is gone (library mode: or closes the control pipe), or SIGTERM comes in library mode. In
`run` mode SIGTERM, SIGINT, SIGHUP and SIGQUIT are passed on to the driver, whose end is the run's end.
"""

from __future__ import annotations

import gc
import logging
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

from multiprocess.connection import Connection

from localcluster.base import os_layer
from localcluster.base.shortage import shortage
from localcluster.base.standard_streams import fill_standard_descriptors
from localcluster.conf.logs import set_up_logging
from localcluster.conf.settings import Settings
from localcluster.faults.job_plans import JobPlans, never_fired_text
from localcluster.launcher.bottom_lines import release_terminal, terminal_name
from localcluster.launcher.client import Ends, pair_of_ends
from localcluster.launcher.cluster_processes import ClusterProcesses
from localcluster.launcher.forked_driver import ForkedDriver
from localcluster.launcher.forking import die_with_parent, fork
from localcluster.launcher.interrupts import SIGNALS
from localcluster.launcher.process_title import name_process
from protocol import sites
from protocol.channel import Channel
from protocol.cluster_messages import (
    ArmFaults,
    DisarmFaults,
    ExecutorExited,
    ExecutorLaunched,
    KillExecutor,
    LaunchExecutor,
    LaunchFailed,
    StartCluster,
    StopCluster,
)
from protocol.endpoint import Endpoint, Incoming
from protocol.errors import ChannelError, ClusterError
from protocol.message import Report
from protocol.message_table import MessageTable

log = logging.getLogger(__name__)

TICK = 0.2  # seconds between looks at signals and at the parent
NEVER_FIRED = 3  # exit code of a job that went well, but a fault did not fire that had to
STOP_GRACE = 3.0  # seconds for executors to end in good order once they were told


def fork_driver() -> Launcher | Ends:
    """Start `run` mode by forking: the launcher in the parent, the driver's ends in the child.

    The child goes on as if it were the only process and ends as any Python program does. Raises ClusterError.
    """
    fill_standard_descriptors()
    parent = os.getpid()
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # until the driver takes it (``interrupts``)
    try:
        ours, theirs = pair_of_ends()
        wakeup: tuple[int, int] | tuple[()] = ()
        try:
            wakeup = os_layer.wakeup_pipe()
            signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # they wait for `serve`; the child has none blocked
            pid = fork()
        except OSError:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            ours.close()
            theirs.close()
            _close_all(wakeup)
            raise
    except OSError as error:
        raise ClusterError(f"cannot start the driver: {shortage(error) or error}") from error
    if pid == 0:
        ours.close()
        _close_all(wakeup)
        die_with_parent(parent)
        return theirs
    theirs.close()
    return Launcher(*ours, wakeup, ForkedDriver(pid))


class Launcher:
    """The launcher's process: one thread that forks, watches and cleans up.

    ``wakeup`` are the ends of a `wakeup_pipe`. ``driver`` is the one that this process forked; None: the driver is our
    parent (library mode).
    """

    def __init__(
        self, control: Connection, fd_socket: socket.socket, wakeup: tuple[int, int], driver: ForkedDriver | None
    ) -> None:
        self._connection = control
        self._control = Endpoint(Channel(control, name="control", buffered=True, resends=True))
        self._fd_socket = fd_socket
        self._driver = driver
        self._parent = os.getppid() if driver is None else None
        self._cluster: ClusterProcesses | None = None  # of the context that is active
        self._handlers: MessageTable[Callable[[Any], str | None]] = MessageTable("the launcher")
        self._handlers.register(
            {
                StartCluster: self._start_cluster,
                LaunchExecutor: self._launch_executor,
                KillExecutor: self._kill_executor,
                ArmFaults: self._arm_faults,
                DisarmFaults: self._disarm_faults,
                StopCluster: lambda order: self._stop_cluster(STOP_GRACE),
            }
        )
        self._plans = JobPlans()
        self._stopping = False
        self._wakeup_read, self._wakeup_write = wakeup

    # --- life ---

    def serve(self) -> int:
        """Run until the driver is gone; its exit code (128 + n when signal n ended it)."""
        signal.signal(signal.SIGCHLD, lambda *_: None)  # a handler, so that the wakeup pipe is written
        signal.set_wakeup_fd(self._wakeup_write, warn_on_full_buffer=False)
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        gc.freeze()  # keeps the collector from touching, and so copying, pages shared with the children
        try:
            while not self._stopping:
                self._step()
        finally:
            self._stop_cluster(grace=0.0)
            if self._driver is not None:
                self._driver.end()  # only after an error of our own it lives still
        if self._driver is None:
            return 0
        self._driver.tell_of_signal()
        return self._driver.exit_code or self._tell_of_faults()

    def _tell_of_faults(self) -> int:
        """At the end of a job: its faults that never fired, and the exit code for that."""
        rules = self._plans.never_fired
        if not rules:
            return 0
        grade = "error" if self._plans.is_strict else "warning"
        print(f"localcluster: {grade}: {never_fired_text(rules)}", file=sys.stderr)
        return NEVER_FIRED if self._plans.is_strict else 0

    def _step(self) -> None:
        if sites.armed is not None:
            sites.armed("launcher.tick")
        poll = select.poll()
        poll.register(self._wakeup_read, select.POLLIN)
        poll.register(self._control.fileno(), select.POLLIN | (select.POLLOUT if self._control.wants_write else 0))
        ready = dict(poll.poll(TICK * 1000))
        if self._wakeup_read in ready:
            _drain(self._wakeup_read)
        self._take_signals()
        if self._control.fileno() in ready:
            self._serve_control()
        self._control.expire(time.monotonic())
        self._reap()
        if self._parent is not None and os.getppid() != self._parent:
            self._stopping = True  # the control pipe alone would not tell: a fork of the driver may hold its other end
        if self._driver is not None:
            self._driver.expire()

    # --- signals ---

    def _take_signals(self) -> None:
        """A driver that we forked gets them; the one of library mode gets its own."""
        while (info := signal.sigtimedwait(SIGNALS, 0)) is not None:
            if self._driver is not None:
                self._driver.pass_on(info.si_signo)
            elif info.si_signo == signal.SIGTERM:
                self._stopping = True

    # --- control ---

    def _serve_control(self) -> None:
        try:
            if self._control.wants_write:
                self._control.flush()
            for incoming in self._control.receive_ready():
                self._handle(incoming)
        except ChannelError as end:
            log.debug("control pipe ended: %s", end)
            if self._driver is None:
                self._stopping = True
            else:
                self._await(self._driver)

    def _handle(self, incoming: Incoming) -> None:
        order, reply = incoming
        handler = self._handlers.get(type(order))
        if handler is None:
            self._handlers.refuse(incoming)
        elif reply is None:
            handler(order)
        else:
            try:
                reply(handler(order))
            except Exception as error:  # the driver raises it
                reply.error(error)

    def _start_cluster(self, order: StartCluster) -> str:
        self._stop_cluster(grace=0.0)
        driver = os.getppid() if self._driver is None else self._driver.pid
        run = f"{Settings(order.conf).app_name} [{driver}]"
        name_process("launcher", run)
        set_up_logging(order.conf, "launcher")
        try:
            self._cluster = ClusterProcesses(order.local_dirs, self._fd_socket, self._close_inherited, driver, run)
        except OSError as error:
            raise ClusterError(f"cannot start the cluster: {shortage(error) or error}") from error
        self._plans.context_starts(order.conf, self._cluster.faults)
        return self._cluster.scratch.primary

    def _launch_executor(self, order: LaunchExecutor) -> None:
        """A shortage of processes or descriptors is no reason to end: the driver hears of it and orders again."""
        assert self._cluster is not None
        try:
            pid = self._cluster.launch(order)
        except OSError as error:
            self._tell_driver(LaunchFailed(order.executor_id, shortage(error) or str(error)))
        else:
            self._tell_driver(ExecutorLaunched(order.executor_id, pid))

    def _arm_faults(self, order: ArmFaults) -> None:
        if self._cluster is not None:
            self._cluster.faults.follow(order)

    def _disarm_faults(self, order: DisarmFaults) -> None:
        if self._cluster is not None:
            self._cluster.faults.disarm(order.number)

    def _kill_executor(self, order: KillExecutor) -> None:
        if self._cluster is not None:
            self._cluster.kill(order.executor_id)

    def _tell_driver(self, report: Report) -> None:
        try:
            self._control.tell(report)
        except ChannelError as error:
            log.debug("the driver is gone: %s", error)

    # --- children ---

    def _wait_for_children(self, timeout: float) -> None:
        """Until one has ended, or another signal came, or for so many seconds."""
        select.select([self._wakeup_read], [], [], timeout)
        _drain(self._wakeup_read)
        self._reap()

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._child_ended(pid, status)

    def _child_ended(self, pid: int, status: int) -> None:
        if self._driver is not None and pid == self._driver.pid:
            self._driver.ended(status)
            self._stopping = True
        elif self._cluster is not None and (executor_id := self._cluster.ended(pid)) is not None:
            code = os.waitstatus_to_exitcode(status)
            last_words = self._cluster.last_words(executor_id, pid, code) if code else ""
            self._tell_driver(
                ExecutorExited(executor_id, code if code >= 0 else None, -code if code < 0 else None, last_words)
            )

    def _await(self, driver: ForkedDriver) -> None:
        """It closed its pipe: it is ending, or a context ended badly. Only its exit status is awaited."""
        self._stop_cluster(grace=0.0)
        self._control.abort()
        while not driver.has_ended:
            self._wait_for_children(TICK)
            self._take_signals()
            driver.expire()

    def _stop_cluster(self, grace: float) -> None:
        """End the executors, by force after ``grace`` seconds or if they are stopped, and remove the scratch space."""
        deadline = time.monotonic() + grace
        if self._cluster is None:
            return
        while self._cluster.executors and time.monotonic() < deadline:
            self._cluster.kill_stopped()
            self._wait_for_children(min(TICK, max(0.0, deadline - time.monotonic())))
        self._plans.context_ends()
        self._cluster.end()
        self._cluster = None
        if not grace:  # the driver has died, perhaps with progress bars
            release_terminal(terminal_name(2))

    def _close_inherited(self) -> None:
        """In a forked child: let go of the launcher's pipes, whose ends must be held by nobody else."""
        self._connection.close()  # not through the channel, which would shut the socket down for the parent too
        self._fd_socket.close()
        _close_all((self._wakeup_read, self._wakeup_write))


def _close_all(fds: tuple[int, ...]) -> None:
    for fd in fds:
        os.close(fd)


def _drain(fd: int) -> None:
    try:
        while os.read(fd, 4096):
            pass
    except BlockingIOError:
        return


def main(control_fd: int, socket_fd: int) -> int:
    """Library mode: the whole life of a launcher that the driver started as a fresh interpreter."""
    name_process("launcher", f"[{os.getppid()}]")
    control, fd_socket = Connection(control_fd), socket.socket(fileno=socket_fd)
    try:
        wakeup = os_layer.wakeup_pipe()
    except OSError as error:
        _refuse(control, ClusterError(f"cannot start the launcher: {shortage(error) or error}"))
        fd_socket.close()
        return 1
    return Launcher(control, fd_socket, wakeup, driver=None).serve()


def _refuse(control: Connection, error: ClusterError) -> None:
    """The answer to the driver's first ask is an error."""
    driver = Endpoint(Channel(control, name="control"))
    try:
        while (reply := driver.receive().reply) is None:
            pass
        reply.error(error)
    except ChannelError as end:
        log.debug("the driver is gone: %s", end)
    driver.close()
