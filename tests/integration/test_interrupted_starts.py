"""A Ctrl-C inside ``SparkContext()``, wherever it comes, leaves no context, no launcher and no thread."""

from __future__ import annotations

import gc
import signal
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import ExitStack
from typing import Any

import psutil
import pytest

from localcluster import SparkContext
from localcluster.api.files import AddedFiles
from localcluster.api.jobs import Jobs
from localcluster.api.kept import Kept
from localcluster.base.event_loop import EventLoop
from localcluster.base.side_thread import SideThread
from localcluster.driver.cluster import Cluster
from localcluster.driver.own_blocks import OwnBlocks
from localcluster.launcher.client import LauncherClient


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """Also where pytest was started with SIGINT ignored. Nothing is cleaned by the garbage collector's grace."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    gc.disable()
    yield
    gc.enable()
    signal.signal(signal.SIGINT, before)


def interrupt_after(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
    """Ctrl-C is pressed when a function is about to return, the first time that this thread calls it."""
    real, presses, thread = getattr(owner, name), [1], threading.current_thread()

    def call(*arguments: Any, **options: Any) -> Any:
        result = real(*arguments, **options)
        if presses and threading.current_thread() is thread:
            presses.pop()
            signal.raise_signal(signal.SIGINT)
        return result

    monkeypatch.setattr(owner, name, call)


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (subprocess.Popen, "__init__"),
        (LauncherClient, "__init__"),
        (Cluster, "__init__"),
        (SideThread, "start"),
        (EventLoop, "start"),
        (Future, "result"),
        (OwnBlocks, "start"),
        (Cluster, "start"),
        (AddedFiles, "__init__"),
        (AddedFiles, "add_first"),
        (Kept, "__init__"),
        (Jobs, "__init__"),
    ],
)
def test_nothing_is_left(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
    threads = threading.active_count()
    with monkeypatch.context() as patched:
        interrupt_after(patched, owner, name)
        with pytest.raises(KeyboardInterrupt):
            SparkContext("local[1]")
    assert SparkContext._active_spark_context is None
    assert [child for child in psutil.Process().children() if child.name() == "lc-launcher"] == []
    assert threading.active_count() == threads


def test_a_start_that_is_finished_when_the_interrupt_comes_is_a_context_to_stop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patched:
        interrupt_after(patched, ExitStack, "pop_all")
        with pytest.raises(KeyboardInterrupt):
            SparkContext("local[1]")
    context = SparkContext._active_spark_context
    assert context is not None
    assert context.parallelize(range(4), 2).sum() == 6
    context.stop()


def test_a_ctrl_c_that_ends_a_stop_leaves_nothing_either(monkeypatch: pytest.MonkeyPatch) -> None:
    context = SparkContext("local[1]")
    with monkeypatch.context() as patched:
        interrupt_after(patched, Cluster, "_begin_stop")
        with pytest.raises(KeyboardInterrupt):
            context.stop()
    assert SparkContext._active_spark_context is None
    assert [child for child in psutil.Process().children() if child.name() == "lc-launcher"] == []
