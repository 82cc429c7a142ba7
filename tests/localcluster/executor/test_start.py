"""An executor that cannot start says why if trying again may help, and fails like any program if not."""

from __future__ import annotations

import errno
import os
import sys
from typing import Any

import pytest
from multiprocess.connection import Pipe

from localcluster.executor import executor as executor_module
from localcluster.executor.executor import executor_main
from localcluster.executor.reporter import DRIVER_GONE
from protocol.block_messages import StopBlockManagerMaster
from protocol.channel import Channel
from protocol.cluster_messages import LaunchExecutor, LaunchFailed
from protocol.endpoint import Endpoint
from protocol.errors import BlockMasterStoppedError, RemoteAskError, StorageError
from storage.scratch import Scratch
from tests.support import DEADLINE, InThread


def start(monkeypatch: pytest.MonkeyPatch, error: Exception) -> Any:
    """What the driver hears from an executor whose threads, say, cannot be started."""

    class Executor:
        def __init__(self, *_: object) -> None:
            pass

        def start(self) -> None:
            raise error

    monkeypatch.setattr(executor_module, "Executor", Executor)
    monkeypatch.setattr(executor_module, "set_up_logging", lambda *_: None)
    # What would be felt in this process: pytest's own faulthandler, warnings, multiprocessing.
    for name in ("report_crashes", "expect_forks", "pickle_for_children"):
        monkeypatch.setattr(executor_module, name, lambda *_: None)
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.setattr(sys, "breakpointhook", sys.breakpointhook)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    (orders, driver_orders), (reports, driver_reports) = Pipe(), Pipe()
    with orders, driver_orders, reports, driver_reports:
        order = LaunchExecutor("7", 1, {}, tuple(sys.path))
        assert executor_main(order, orders, reports, scratch=Scratch("", [], [])) == 1
        return Endpoint(Channel(driver_reports)).receive(DEADLINE).message


def test_a_shortage_is_told_to_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    heard = start(monkeypatch, RuntimeError("can't start new thread"))
    assert isinstance(heard, LaunchFailed)
    assert heard.executor_id == "7"
    assert "ulimit -u" in heard.reason


def test_what_the_system_refuses_otherwise_is_told_as_it_says_it(monkeypatch: pytest.MonkeyPatch) -> None:
    heard = start(monkeypatch, OSError(errno.EIO, "Input/output error", "/some/file"))
    assert heard == LaunchFailed("7", "[Errno 5] Input/output error: '/some/file'")


def test_a_block_master_that_has_stopped_is_a_driver_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The context stopped while this executor was starting."""
    reports, driver_reports = Pipe()
    driver = Endpoint(Channel(driver_reports))
    transport = executor_module._ReportTransport(Endpoint(Channel(reports)))
    asker = InThread(lambda: transport.ask(StopBlockManagerMaster()))
    reply = driver.receive(DEADLINE).reply
    assert reply is not None
    reply.error(BlockMasterStoppedError("the block master has stopped"))
    assert isinstance(asker.outcome(), DRIVER_GONE)
    asker = InThread(lambda: transport.ask(StopBlockManagerMaster()))
    reply = driver.receive(DEADLINE).reply
    assert reply is not None
    reply.error(StorageError("another one"))
    assert isinstance(asker.outcome(), RemoteAskError)
    driver.abort()
    reports.close()


def test_any_other_error_is_not_taken_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeError, match="a bug"):
        start(monkeypatch, RuntimeError("a bug"))
