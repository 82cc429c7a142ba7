"""Telling why a process is silent, on real processes."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import psutil
import pytest

from localcluster.driver.liveness import CpuWatch, Liveness
from tests.support import DEADLINE, wait_until

SPIN = "while True: pass"
WAIT = "import sys; print(flush=True); sys.stdin.read()"

Start = Callable[[str], "subprocess.Popen[bytes]"]


@pytest.fixture
def start() -> Iterator[Start]:
    children: list[subprocess.Popen[bytes]] = []

    def start(code: str) -> subprocess.Popen[bytes]:
        child = subprocess.Popen(
            [sys.executable, "-S", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        children.append(child)
        return child

    yield start
    for child in children:
        child.kill()
        child.communicate()


def test_a_process_that_ended_is_gone(start: Start) -> None:
    child = start("")
    child.wait(DEADLINE)
    assert CpuWatch().judge(child.pid) is Liveness.GONE


def test_a_zombie_is_gone(start: Start) -> None:
    child = start("")
    wait_until(lambda: psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE)
    assert CpuWatch().judge(child.pid) is Liveness.GONE


def test_a_stopped_process_is_stopped(start: Start) -> None:
    child = start(SPIN)
    child.send_signal(signal.SIGSTOP)
    wait_until(lambda: psutil.Process(child.pid).status() == psutil.STATUS_STOPPED)
    assert CpuWatch().judge(child.pid) is Liveness.STOPPED


def test_a_process_that_computes_is_busy_at_every_look(start: Start) -> None:
    child, watch = start(SPIN), CpuWatch()
    for _ in range(3):
        before = used(child.pid)
        wait_until(lambda before=before: used(child.pid) > before)  # type: ignore[misc]
        assert watch.judge(child.pid) is Liveness.BUSY


def test_a_process_that_does_nothing_is_hung_at_the_second_look(start: Start) -> None:
    child, watch = start(WAIT), CpuWatch()
    assert child.stdout is not None
    child.stdout.readline()
    wait_until(lambda: psutil.Process(child.pid).status() == psutil.STATUS_SLEEPING)
    assert watch.judge(child.pid) is Liveness.BUSY, "nothing to compare with"
    assert watch.judge(child.pid) is Liveness.HUNG


def test_a_process_that_was_forgotten_is_new_again(start: Start) -> None:
    child, watch = start(WAIT), CpuWatch()
    assert child.stdout is not None
    child.stdout.readline()
    wait_until(lambda: psutil.Process(child.pid).status() == psutil.STATUS_SLEEPING)
    watch.judge(child.pid)
    watch.forget(child.pid)
    assert watch.judge(child.pid) is Liveness.BUSY


def used(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system
