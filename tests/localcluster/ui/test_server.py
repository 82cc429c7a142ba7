"""The server of the status page, with answers of the test's own, against clients of all kinds."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection, HTTPResponse

import pytest

from localcluster.ui import server
from localcluster.ui.server import Reply, StatusServer
from protocol.errors import SparkException
from tests.support import DEADLINE


@contextmanager
def serving(answer: Callable[[str], Reply] = lambda target: Reply.plain(200, target)) -> Iterator[StatusServer]:
    running = StatusServer(0, 0, answer)
    try:
        yield running
    finally:
        running.stop()


def port_of(running: StatusServer) -> int:
    return int(running.url.rpartition(":")[2])


def ask(running: StatusServer, target: str, method: str = "GET", host: str | None = None) -> tuple[HTTPResponse, str]:
    with closing(HTTPConnection("127.0.0.1", port_of(running), timeout=DEADLINE)) as connection:
        connection.request(method, target, headers={} if host is None else {"Host": host})
        response = connection.getresponse()
        return response, response.read().decode()


@contextmanager
def raw_client(running: StatusServer, said: bytes = b"") -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port_of(running)), DEADLINE) as client:
        client.sendall(said)
        yield client


def test_a_get_is_answered() -> None:
    with serving() as running:
        assert running.url.startswith("http://127.0.0.1:")
        response, body = ask(running, "/jobs?status=failed")
        assert (response.status, body) == (200, "/jobs?status=failed")
        assert response.headers["Content-Type"] == "text/plain; charset=utf-8"


def test_a_head_has_the_headers_only() -> None:
    with serving() as running:
        response, body = ask(running, "/four", "HEAD")
        assert (response.status, response.headers["Content-Length"], body) == (200, "5", "")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_nothing_but_get_and_head_is_understood(method: str) -> None:
    with serving() as running:
        assert ask(running, "/", method)[0].status == 501


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost:4040", 200), ("127.0.0.1", 200), ("LOCALHOST", 200), ("evil.example:4040", 403), ("", 403)],
)
def test_only_names_of_this_machine_are_served(host: str, status: int) -> None:
    with serving() as running:
        assert ask(running, "/", host=host)[0].status == status


def test_an_answer_that_raises_is_an_error_500_and_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    def fail(target: str) -> Reply:
        raise LookupError("what went wrong")

    with serving(fail) as running:
        response, body = ask(running, "/")
    assert response.status == 500
    assert "what went wrong" not in body
    assert "what went wrong" in caplog.text


def test_a_client_that_says_nothing_does_not_keep_others_waiting() -> None:
    with serving() as running, raw_client(running), raw_client(running, b"GET / HT"):
        assert ask(running, "/")[0].status == 200


@pytest.mark.parametrize("said", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"])
def test_a_stuck_client_is_cut_off_by_a_stop(said: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last of them does not read its answer, which is more than fits on the way."""
    monkeypatch.setattr(server._Handler, "timeout", 3600.0)  # it does not go by itself
    asked = threading.Event()

    def answer(target: str) -> Reply:
        if target == "/short":
            return Reply.plain(200, "")
        asked.set()
        return Reply.plain(200, "x" * (64 << 20))

    with serving(answer) as running, raw_client(running, said) as client:
        ask(running, "/short")  # the client before it has been accepted, too
        if said.endswith(b"\r\n\r\n"):
            assert asked.wait(DEADLINE)
        running.stop()
        while client.recv(1 << 20):
            pass
        assert [thread for thread in threading.enumerate() if thread.name.startswith("localcluster-ui")] == []


def test_a_client_that_says_nothing_is_cut_off_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server._Handler, "timeout", 0.01)
    with serving() as running, raw_client(running) as client:
        assert client.recv(1) == b""


def test_a_client_that_goes_away_does_no_harm() -> None:
    with serving(lambda target: Reply.plain(200, "x" * (8 << 20))) as running:
        with raw_client(running, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"):
            pass
        assert ask(running, "/")[0].status == 200


def test_nobody_is_served_after_a_stop() -> None:
    with serving() as running:
        running.stop()
        with pytest.raises(ConnectionRefusedError):
            ask(running, "/")


def free_ports(count: int) -> int:
    """The first of so many ports in a row that nobody has."""
    for first in range(20_000, 60_000, count):
        sockets = [socket.socket() for _ in range(count)]
        try:
            for offset, listener in enumerate(sockets):
                listener.bind(("127.0.0.1", first + offset))
            return first
        except OSError:
            continue
        finally:
            for listener in sockets:
                listener.close()
    pytest.fail("there are no free ports")


def test_the_next_port_is_taken_when_the_first_is_not_free() -> None:
    port = free_ports(2)
    with socket.create_server(("127.0.0.1", port)):
        running = StatusServer(port, 1, lambda target: Reply.plain(200, target))
        try:
            assert running.url == f"http://127.0.0.1:{port + 1}"
        finally:
            running.stop()


def test_there_are_only_so_many_next_ports() -> None:
    port = free_ports(2)
    with (
        socket.create_server(("127.0.0.1", port)),
        socket.create_server(("127.0.0.1", port + 1)),
        pytest.raises(SparkException, match=rf"'SparkUI' failed after 1 retries \(starting from {port}\)"),
    ):
        StatusServer(port, 1, lambda target: Reply.plain(200, target))


def test_a_port_can_be_had_again_at_once() -> None:
    with serving() as running:
        ask(running, "/")
        port = port_of(running)
    again = StatusServer(port, 0, lambda target: Reply.plain(200, target))
    try:
        assert port_of(again) == port
    finally:
        again.stop()
