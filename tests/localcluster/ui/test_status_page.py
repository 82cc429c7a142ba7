"""When there is a page: not before somebody asks for it, and not after its end. What it says is in `test_pages`."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest

from localcluster.ui.status_page import StatusPage
from localcluster.ui.status_store import ApplicationRecord
from protocol.errors import SparkException
from tests.support import DEADLINE


class Bench:
    def __init__(self, **settings: str) -> None:
        self.described = 0
        values = {"spark.ui.port": "0", **settings}
        self.page = StatusPage(values, self._describe, SimpleNamespace())  # type: ignore[arg-type]

    def _describe(self) -> ApplicationRecord:
        self.described += 1
        return ApplicationRecord("local-1", "app", "me", 1, {})


@contextmanager
def page(**settings: str) -> Iterator[Bench]:
    bench = Bench(**settings)
    try:
        yield bench
    finally:
        bench.page.stop()


def connect(address: str) -> None:
    socket.create_connection(("127.0.0.1", urlsplit(address).port or 0), DEADLINE).close()


def test_it_is_served_from_the_first_question_until_its_end() -> None:
    with page() as bench:
        assert bench.described == 0
        address = bench.page.url()
        assert address is not None
        assert bench.page.url() == address
        assert bench.described == 1
        connect(address)
        bench.page.stop()
        assert bench.page.url() is None
        with pytest.raises(ConnectionRefusedError):
            connect(address)


def test_one_that_was_ended_first_is_never_served() -> None:
    with page() as bench:
        bench.page.stop()
        assert (bench.page.url(), bench.described) == (None, 0)


def test_the_settings_may_rule_it_out() -> None:
    with page(**{"spark.ui.enabled": "false"}) as bench:
        assert (bench.page.url(), bench.described) == (None, 0)


def test_a_port_that_was_taken_may_be_free_the_next_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with page(**{"spark.ui.port": port, "spark.port.maxRetries": "0"}) as bench:
            with pytest.raises(SparkException, match="Service 'SparkUI' failed after 0 retries"):
                bench.page.url()
            taken.close()
            assert str(bench.page.url()).endswith(f":{port}")
