"""`StatusServer`: an HTTP server on the loopback address that no client can hold up.

Covers sockets, threads and which requests are answered at all. What is answered is the caller's: a function of the
request's target.
"""

from __future__ import annotations

import errno
import logging
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from typing import Any, NamedTuple

from protocol.errors import SparkException

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
CLIENT_TIMEOUT = 10.0  # seconds that a client may take to send something, or to take an answer
LOOK_INTERVAL = 1.0  # seconds between looks at whether the server was stopped, where nothing wakes it
STOP_DEADLINE = 2.0  # seconds for all threads to end
MAX_PORT = 65535
TAKEN = (errno.EADDRINUSE, errno.EACCES)


class Reply(NamedTuple):
    """What a request gets."""

    status: int
    content_type: str
    body: bytes

    @classmethod
    def plain(cls, status: int, text: str) -> Reply:
        return cls(status, "text/plain; charset=utf-8", text.encode())


class StatusServer:
    """Serves from its construction until `stop`, on ``port`` or, when that is taken, one of the next ``retries``.

    Port 0 means any. Raises SparkException, in Spark's words, when all are taken. ``answer`` is called in a thread of
    each request with its target, such as ``/jobs?status=failed``.
    """

    def __init__(self, port: int, retries: int, answer: Callable[[str], Reply]) -> None:
        self._server = _bind(port, retries, answer)
        self.url = f"http://{HOST}:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._serve, name="localcluster-ui", daemon=True)
        self._thread.start()
        log.info("the status page is at %s", self.url)

    def _serve(self) -> None:
        while not self._server.stopping.is_set():
            self._server.handle_request()

    def stop(self) -> None:
        """Close the port and hang up on whoever is connected. Takes at most STOP_DEADLINE."""
        deadline = time.monotonic() + STOP_DEADLINE
        self._server.stopping.set()
        with suppress(OSError):  # wakes the thread that accepts, on Linux; others look at the flag
            self._server.socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(STOP_DEADLINE)
        self._server.server_close()
        self._server.hang_up(deadline)


def _bind(port: int, retries: int, answer: Callable[[str], Reply]) -> _Server:
    last = port if port == 0 else min(port + retries, MAX_PORT)
    for candidate in range(port, last + 1):
        try:
            return _Server(candidate, answer)
        except OSError as error:
            if error.errno not in TAKEN:
                raise SparkException(f"The status page cannot listen on port {candidate}: {error}") from error
            log.info("Service 'SparkUI' could not bind on port %d (%s).", candidate, error.strerror)
    raise SparkException(
        f"Address already in use: Service 'SparkUI' failed after {last - port} retries (starting from {port})! "
        "Consider explicitly setting the appropriate port for the service 'SparkUI' (for example spark.ui.port for "
        "SparkUI) to an available port or increasing spark.port.maxRetries."
    )


class _Server(ThreadingMixIn, TCPServer):
    """A thread for each connection. Not the library's own `HTTPServer`, which looks up this machine's name first."""

    allow_reuse_address = True  # connections that have just ended do not keep a port from the next context
    timeout = LOOK_INTERVAL

    def __init__(self, port: int, answer: Callable[[str], Reply]) -> None:
        self.answer = answer
        self.stopping = threading.Event()
        self._connections: dict[Any, threading.Thread] = {}
        super().__init__((HOST, port), _Handler)

    def get_request(self) -> tuple[Any, Any]:
        try:
            return super().get_request()
        except OSError:
            self.stopping.wait(0.1)  # out of descriptors, say: the client still waits, so do not spin
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        """As the library's, but with threads that `hang_up` can find."""
        thread = threading.Thread(
            target=self.process_request_thread,
            args=(request, client_address),
            name="localcluster-ui-request",
            daemon=True,
        )
        self._connections[request] = thread
        thread.start()

    def shutdown_request(self, request: Any) -> None:
        self._connections.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.debug("a client of the status page went away", exc_info=True)

    def hang_up(self, deadline: float) -> None:
        """End all connections, when no further ones are accepted."""
        connections = list(self._connections.items())
        for connection, _ in connections:
            with suppress(OSError):  # it ended by itself
                connection.shutdown(socket.SHUT_RDWR)
        for _, thread in connections:
            thread.join(max(0.0, deadline - time.monotonic()))


class _Handler(BaseHTTPRequestHandler):
    """One request of one connection, GET or HEAD."""

    server: _Server
    timeout = CLIENT_TIMEOUT

    def do_GET(self) -> None:
        reply = self._reply()
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.content_type)
        self.send_header("Content-Length", str(len(reply.body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)

    do_HEAD = do_GET

    def _reply(self) -> Reply:
        if not _is_local(self.headers.get("Host", "")):
            return Reply.plain(403, "This page is served to localhost only.\n")
        try:
            return self.server.answer(self.path)
        except Exception:  # whatever it is, the client gets an answer and the log the reason
            log.warning("the status page could not answer %s", self.path, exc_info=True)
            return Reply.plain(500, "The status could not be read; see the driver's log.\n")

    def version_string(self) -> str:
        return "localcluster"

    def log_message(self, format: str, *args: Any) -> None:
        log.debug(format, *args)


def _is_local(host: str) -> bool:
    """Whether a ``Host`` header names this machine. Another site's page, whose name was made to lead here (DNS
    rebinding), could else read ours.
    """
    return host.partition(":")[0].lower() in ("localhost", HOST)
