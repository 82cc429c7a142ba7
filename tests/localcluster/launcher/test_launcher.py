"""A launcher that finds the system short of processes or descriptors: it says so, keeps nothing and goes on."""

from __future__ import annotations

import errno
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from multiprocess.connection import Connection, Pipe

from localcluster.base import os_layer
from localcluster.launcher import launcher as launcher_module
from localcluster.launcher.janitor import DIRECTORY, END, EXECUTOR, MADE, Janitor
from localcluster.launcher.launcher import Launcher, fork_driver
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
    StopExecutor,
)
from protocol.endpoint import Endpoint, Incoming
from protocol.errors import ClusterError, ConfigurationError, NoHandlerError, RemoteAskError
from protocol.message import Order
from tests.support import DEADLINE, InThread


class Bed:
    """A launcher that is not served: the test gives it orders and reads what it tells the driver."""

    def __init__(self) -> None:
        control, driver_control = Pipe()
        self.fd_socket, self.driver_fd_socket = socket.socketpair(type=socket.SOCK_DGRAM)
        self.driver = Endpoint(Channel(driver_control))
        self.launcher = Launcher(control, self.fd_socket, os_layer.wakeup_pipe(), driver=None)
        self.forked: list[subprocess.Popen[bytes]] = []

    def fork(self) -> int:
        """As the system's, but the child is a program that waits: a test process is not for forking."""
        program = "import sys; sys.stdin.read()"
        child = subprocess.Popen([sys.executable, "-S", "-c", program], stdin=subprocess.PIPE, start_new_session=True)
        self.forked.append(child)
        return child.pid

    def start_cluster(self) -> str:
        return self.launcher._start_cluster(StartCluster((), {}))

    def order(self, executor_id: str) -> Any:
        """What the launcher tells when it is told to launch."""
        self.launcher._handle(Incoming(LaunchExecutor(executor_id, 1, {}, ())))
        return self.driver.receive(DEADLINE).message

    def ask(self, order: Order) -> Any:
        """What the launcher answers, or the error, by way of the control pipe."""
        asker = InThread(lambda: self.driver.ask(order, DEADLINE))
        assert select.select([self.launcher._control], [], [], DEADLINE)[0]
        self.launcher._serve_control()
        return asker.outcome()

    def close(self) -> None:
        self.launcher._stop_cluster(grace=0.0)
        self.launcher._close_inherited()
        self.driver.abort()
        self.driver_fd_socket.close()
        for child in self.forked:
            child.communicate()


@pytest.fixture
def bed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bed]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for name in ("name_process", "set_up_logging"):  # this process is pytest's
        monkeypatch.setattr(launcher_module, name, lambda *_: None)
    bed = Bed()
    monkeypatch.setattr(os_layer, "fork", bed.fork)
    yield bed
    bed.close()
    assert list(tmp_path.iterdir()) == []


def failing(number: int, *, after: int = 0) -> Callable[..., Any]:
    """A function in the place of a call that makes pipes: the first ``after`` of them come, then the error."""
    calls = [0]

    def fail(*_: object) -> tuple[Connection, Connection]:
        calls[0] += 1
        if calls[0] <= after:
            ours, theirs = Pipe()
            return ours, theirs
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize(
    ("call", "failure", "named"),
    [
        ("fork", failing(errno.EAGAIN), "ulimit -u"),
        ("fork", failing(errno.ENOMEM), "memory"),
        ("pipe", failing(errno.EMFILE), "ulimit -n"),
        ("pipe", failing(errno.ENFILE, after=1), "fs.file-max"),
        ("send_fds", failing(errno.ETOOMANYREFS), "ulimit -n"),
        ("fork", failing(errno.EPERM), "Operation not permitted"),
    ],
)
def test_a_shortage_is_told_and_the_next_order_is_carried_out(
    bed: Bed, monkeypatch: pytest.MonkeyPatch, call: str, failure: Callable[..., Any], named: str
) -> None:
    bed.start_cluster()
    with monkeypatch.context() as patched:
        patched.setattr(os_layer, call, failure)
        failed = bed.order("3")
    assert isinstance(failed, LaunchFailed)
    assert failed.executor_id == "3"
    assert named in failed.reason

    launched = bed.order("4")
    assert launched == ExecutorLaunched("4", bed.forked[-1].pid)
    name, fds, _ = os_layer.receive_fds(bed.driver_fd_socket, 2)
    assert (name, len(fds)) == ("4", 2)
    for fd in fds:
        os.close(fd)


def test_a_launcher_that_gets_no_pipe_of_its_own_answers_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launcher_module, "name_process", lambda *_: None)
    monkeypatch.setattr(os_layer, "wakeup_pipe", failing(errno.EMFILE))
    control, driver_control = Pipe()
    fd_socket, driver_fd_socket = socket.socketpair(type=socket.SOCK_DGRAM)
    driver = Endpoint(Channel(driver_control))
    asker = InThread(lambda: driver.ask(StartCluster((), {}), DEADLINE))
    assert launcher_module.main(os.dup(control.fileno()), fd_socket.detach()) == 1
    assert "cannot start the launcher: too many open files" in str(asker.outcome())
    driver.abort()
    control.close()
    driver_fd_socket.close()


def test_a_driver_that_cannot_be_forked_leaves_no_pipe_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launcher_module.signal, "signal", lambda *_: None)  # this process is pytest's
    for call in ("pipe", "socket_pair", "wakeup_pipe", "fork"):
        with monkeypatch.context() as patched:
            patched.setattr(os_layer, call, failing(errno.EMFILE))
            with pytest.raises(ClusterError, match=r"cannot start the driver: .*ulimit"):
                fork_driver()


def test_an_executor_whose_pipes_cannot_be_sent_is_killed(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    bed.start_cluster()
    monkeypatch.setattr(os_layer, "send_fds", failing(errno.ENOBUFS))
    assert isinstance(bed.order("3"), LaunchFailed)
    executor = bed.forked[-1]
    assert executor.wait(DEADLINE) == -signal.SIGKILL
    bed.launcher._child_ended(executor.pid, signal.SIGKILL)
    assert bed.driver.receive(DEADLINE).message == ExecutorExited("3", None, signal.SIGKILL)


@pytest.mark.parametrize("call", ["fork", "pipe"])
def test_a_cluster_that_cannot_start_is_a_clear_error_and_leaves_nothing(
    bed: Bed, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(os_layer, call, failing(errno.EAGAIN))
        with pytest.raises(ClusterError, match=r"cannot start the cluster: .*ulimit -u"):
            bed.start_cluster()
    assert os.path.isdir(bed.start_cluster())


def test_a_cluster_without_a_directory_to_write_to_keeps_no_janitor(bed: Bed) -> None:
    with pytest.raises(ConfigurationError):
        bed.launcher._start_cluster(StartCluster((os.devnull,), {}))
    with pytest.raises(ChildProcessError):  # it was waited for
        os.waitpid(bed.forked[0].pid, os.WNOHANG)


def test_the_janitor_hears_of_all_before_it_is_there(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[tuple[str, object, bool]] = []
    monkeypatch.setattr(Janitor, "tell", lambda _, what, value: heard.append((what, value, os.path.exists(str(value)))))
    primary = bed.start_cluster()
    assert heard == [(DIRECTORY, primary, False), (MADE, primary, True)]
    monkeypatch.setattr(os_layer, "send_fds", lambda *_: heard.append(("pipes", None, False)))
    bed.order("0")
    assert heard[2:] == [(EXECUTOR, bed.forked[-1].pid, False), ("pipes", None, False)]


def test_what_a_launcher_without_descriptors_cannot_end_is_left_to_the_janitor(
    bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    bed.start_cluster()
    bed.order("0")
    heard: list[str] = []
    monkeypatch.setattr(Janitor, "tell", lambda _, what, value: heard.append(what))
    with monkeypatch.context() as patched:
        patched.setattr(psutil, "pids", failing(errno.EMFILE))
        bed.launcher._child_ended(bed.forked[-1].pid, 0)
    assert bed.driver.receive(DEADLINE).message == ExecutorExited("0", 0, None)
    assert heard == []
    bed.launcher._stop_cluster(grace=0.0)
    assert heard == [END]


def test_a_driver_that_cannot_be_forked_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os_layer, "fork", failing(errno.EAGAIN))
    before = signal.getsignal(signal.SIGUSR2)
    try:
        with pytest.raises(ClusterError, match=r"cannot start the driver: .*ulimit -u"):
            launcher_module.fork_driver()
    finally:
        signal.signal(signal.SIGUSR2, before)


def test_each_order_of_the_launchers_has_a_handler(bed: Bed) -> None:
    orders = {StartCluster, StopCluster, LaunchExecutor, KillExecutor, ArmFaults, DisarmFaults}
    assert set(bed.launcher._handlers) == orders


def test_an_order_that_is_not_the_launchers_is_refused_by_name(bed: Bed) -> None:
    replies: list[BaseException] = []
    bed.launcher._handle(Incoming(StopExecutor(), SimpleNamespace(error=replies.append)))  # type: ignore[arg-type]
    (error,) = replies
    assert isinstance(error, NoHandlerError)
    assert "StopExecutor is no message to the launcher" in str(error)


def test_what_is_asked_is_answered_when_it_is_done(bed: Bed) -> None:
    first = bed.ask(StartCluster((), {}))
    assert Path(first).is_dir()
    second = bed.ask(StartCluster((), {}))
    assert not Path(first).exists(), "a context that did not stop its cluster is over"
    assert bed.ask(StopCluster()) is None
    assert not Path(second).exists()
    assert bed.ask(StopCluster()) is None


def test_what_goes_wrong_is_the_answer(bed: Bed, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    error = bed.ask(StartCluster((str(tmp_path / "file" / "directory"),), {}))
    assert isinstance(error, RemoteAskError)
    assert isinstance(error.__cause__, ConfigurationError)
    (tmp_path / "file").unlink()


def test_what_is_told_is_carried_out_in_its_order(bed: Bed) -> None:
    bed.start_cluster()
    bed.driver.tell(LaunchExecutor("1", 1, {}, ()), KillExecutor("1", "enough"), KillExecutor("77", "who?"))
    assert select.select([bed.launcher._control], [], [], DEADLINE)[0]
    bed.launcher._serve_control()
    os.waitid(os.P_PID, bed.forked[-1].pid, os.WEXITED | os.WNOWAIT)  # it is the launcher's to reap
    bed.launcher._reap()
    told = [bed.driver.receive(DEADLINE).message for _ in range(2)]
    assert told == [ExecutorLaunched("1", bed.forked[-1].pid), ExecutorExited("1", None, signal.SIGKILL)]


def test_an_executor_that_is_stopped_is_ended_at_once_and_not_awaited(bed: Bed) -> None:
    bed.start_cluster()
    bed.order("1")
    executor = bed.forked[-1]
    executor.send_signal(signal.SIGSTOP)
    os.waitpid(executor.pid, os.WUNTRACED)
    bed.launcher._stop_cluster(grace=DEADLINE)
    # After the grace nothing would be told.
    assert bed.driver.receive(DEADLINE).message == ExecutorExited("1", None, signal.SIGKILL)


def test_an_executor_is_killed_by_nobody_where_there_is_no_cluster(bed: Bed) -> None:
    bed.launcher._handle(Incoming(KillExecutor("1", "enough")))
    assert bed.forked == []
