"""When a context has a status page and when not, and on which port."""

from __future__ import annotations

import socket
import threading
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest

from localcluster import SparkConf, SparkContext
from protocol.errors import ConfigurationError, SparkException
from tests.support import DEADLINE


def context(**settings: str) -> SparkContext:
    conf = SparkConf().setAll([("localcluster.sharedMemory", "64m"), ("spark.ui.port", "0")])
    return SparkContext("local[2]", "page", conf=conf.setAll(list(settings.items())))


def test_a_context_whose_page_is_disabled_has_none() -> None:
    with context(**{"spark.ui.enabled": "false"}) as sc:
        assert sc.uiWebUrl is None
        assert "Spark UI" not in sc._repr_html_()


def test_a_page_that_nobody_asked_for_is_not_served() -> None:
    with context():
        assert [thread for thread in threading.enumerate() if thread.name.startswith("localcluster-ui")] == []


def test_a_stop_takes_the_page_away_though_a_client_hangs() -> None:
    with context() as sc:
        address = sc.uiWebUrl
        assert address is not None
        assert sc.uiWebUrl == address
        hanging = socket.create_connection(("127.0.0.1", urlsplit(address).port or 0), DEADLINE)
        urlopen(address, timeout=DEADLINE).close()  # the client before it has been accepted, too
    with hanging:
        assert hanging.recv(1) == b""
    assert sc.uiWebUrl is None
    assert sc._repr_html_()
    with pytest.raises(OSError, match="refused"):
        urlopen(address, timeout=DEADLINE)


def test_a_port_that_is_taken_for_good_is_an_error_that_leaves_the_context_usable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with context(**{"spark.ui.port": port, "spark.port.maxRetries": "0"}) as sc:
            with pytest.raises(SparkException, match="Service 'SparkUI' failed after 0 retries"):
                _ = sc.uiWebUrl
            assert sc.parallelize([1, 2], 2).count() == 2


@pytest.mark.parametrize(("key", "value"), [("spark.ui.port", "65536"), ("spark.port.maxRetries", "-1")])
def test_ports_that_cannot_be_are_refused(key: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=key):
        context(**{key: value})
