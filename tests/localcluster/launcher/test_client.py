"""The driver's side of the launcher: pipes that do not come, or are not the ones that were due."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import socket
import sys
from collections.abc import Iterator

import pytest
from multiprocess.connection import Pipe

from localcluster.base import os_layer
from localcluster.launcher import client as client_module
from localcluster.launcher.client import Ends, LauncherClient
from protocol.errors import ClusterError
from tests.support import fails


class Line:
    """A client, and the launcher's ends of what connects them."""

    def __init__(self) -> None:
        control, self.control = Pipe()
        fd_socket, self.fd_socket = socket.socketpair(type=socket.SOCK_DGRAM)
        self.client = LauncherClient(Ends(control, fd_socket), None)
        self.ours = fd_socket

    def send(self, name: str, pipes: int = 2) -> None:
        ends = [end for _ in range(pipes) for end in Pipe()]
        socket.send_fds(self.fd_socket, [name.encode()], [end.fileno() for end in ends[:pipes]])
        for end in ends:
            end.close()


@pytest.fixture
def line() -> Iterator[Line]:
    line = Line()
    yield line
    line.client.endpoint.abort()
    line.ours.close()
    line.control.close()
    line.fd_socket.close()


def test_pipes_come_by_the_name_of_their_executor(line: Line) -> None:
    line.send("3")
    orders, reports = line.client.receive_pipes("3")
    assert orders.fileno() != reports.fileno()
    orders.close()
    reports.close()


def test_pipes_that_the_system_refused_are_passed_over_later(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    line.send("3")
    with monkeypatch.context() as patch:
        patch.setattr(os_layer, "receive_fds", fails(errno.ENOBUFS))
        with pytest.raises(OSError, match="No buffer space"):
            line.client.receive_pipes("3")
    line.send("4")
    for end in line.client.receive_pipes("4"):
        end.close()


def test_pipes_that_an_earlier_context_left_are_not_those_of_the_next(line: Line) -> None:
    line.client.drop_pipes()  # there are none
    for name in ("0", "1"):
        line.send(name)
    line.client.drop_pipes()
    ends = Pipe()
    socket.send_fds(line.fd_socket, [b"0"], [end.fileno() for end in ends])
    orders, reports = line.client.receive_pipes("0")
    assert os.path.sameopenfile(orders.fileno(), ends[0].fileno())
    for end in (*ends, orders, reports):
        end.close()


def test_pipes_of_another_executor_leave_no_descriptor_open(line: Line) -> None:
    line.ours.settimeout(0.01)
    line.send("4")
    with pytest.raises(ClusterError, match="sent no pipes for executor 3"):
        line.client.receive_pipes("3")


def test_too_few_pipes_are_an_error(line: Line) -> None:
    line.send("3", pipes=1)
    with pytest.raises(ClusterError, match="1 pipes for executor 3, not 2"):
        line.client.receive_pipes("3")


def test_an_end_of_descriptors_is_called_that(line: Line) -> None:
    line.send("3")
    used = [os.dup(0)]
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (used[0] + 1, limits[1]))
        with contextlib.suppress(OSError):
            while True:  # until there are none at all
                used.append(os.dup(0))
        with pytest.raises(OSError, match="Too many open files") as caught:
            line.client.receive_pipes("3")
        assert caught.value.errno == errno.EMFILE
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for descriptor in used:
            os.close(descriptor)


def test_pipes_that_do_not_come_in_time_are_an_error(line: Line) -> None:
    line.ours.settimeout(0.01)
    with pytest.raises(ClusterError, match="sent no pipes for executor 3"):
        line.client.receive_pipes("3")


def test_a_client_of_a_launcher_that_forked_us_stays_open_when_closed(line: Line) -> None:
    line.client.close()
    line.client.close()
    line.send("3")
    for end in line.client.receive_pipes("3"):
        end.close()


@pytest.mark.parametrize(
    ("call", "number", "named"),
    [
        ("pipe", errno.EMFILE, "ulimit -n"),
        ("socket_pair", errno.ENFILE, "fs.file-max"),
        ("start_program", errno.EAGAIN, "ulimit -u"),
    ],
)
def test_a_shortage_at_the_start_is_named(monkeypatch: pytest.MonkeyPatch, call: str, number: int, named: str) -> None:
    monkeypatch.setattr(os_layer, call, fails(number))
    with pytest.raises(ClusterError, match=named):
        client_module._spawn()


def test_an_interpreter_that_cannot_be_started_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", os.devnull)
    with pytest.raises(ClusterError, match=f"cannot start the launcher with {os.devnull}"):
        client_module._spawn()
