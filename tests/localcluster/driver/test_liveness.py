"""Telling why a process is silent: what follows from looks at it, and looks at real processes."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import psutil
import pytest

from localcluster.driver.liveness import SHARE, TICKS, Liveness, Look, ProcessWatch, look_at
from tests.support import DEADLINE, wait_until

SPIN = "while True: pass"
WAIT = "import sys; print(flush=True); sys.stdin.read()"
POLL = """
import ctypes, threading, time
def beat():
    while True: time.sleep(0.01)
threading.Thread(target=beat, daemon=True).start()
print(flush=True)
ctypes.PyDLL(None).pause()
"""

Start = Callable[[str], "subprocess.Popen[bytes]"]


def at(**used: float) -> Look:
    """Seconds of processor time by thread: ``t1=0.5``."""
    return Look(True, used={int(thread[1:]): seconds for thread, seconds in used.items()})


# --- what follows from looks -----------------------------------------------------------------------------------------


def test_one_thread_that_has_a_share_of_the_time_is_work() -> None:
    watch = ProcessWatch(at(t1=5.0, t2=1.0), 0.0)
    assert watch.see(at(t1=5.0, t2=1.0 + 10 * SHARE), 9.9) is Liveness.BUSY
    assert watch.worked_at == 9.9


def test_many_threads_that_poll_are_no_work_however_long() -> None:
    polling = SHARE / 4
    threads = [f"t{number}" for number in range(20)]
    watch = ProcessWatch(at(**dict.fromkeys(threads, 1.0)), 0.0)
    for second in range(1, 1000):
        look = at(**dict.fromkeys(threads, 1.0 + second * polling))
        assert watch.see(look, float(second)) is Liveness.HUNG
    assert watch.worked_at is None


def test_work_between_two_looks_that_are_near_each_other_adds_up() -> None:
    watch = ProcessWatch(at(t1=0.0), 0.0)
    assert watch.see(at(t1=TICKS / 2), 0.01) is Liveness.HUNG, "one tick may be any thread's"
    assert watch.see(at(t1=TICKS), 0.02) is Liveness.BUSY


def test_a_new_thread_that_works_is_work() -> None:
    watch = ProcessWatch(at(t1=9.0), 0.0)
    assert watch.see(at(t1=9.0, t2=1.0), 1.0) is Liveness.BUSY


def test_disks_are_work() -> None:
    watch = ProcessWatch(at(t1=9.0), 0.0)
    assert watch.see(at(t1=9.0)._replace(is_held=True), 1.0) is Liveness.BUSY
    assert watch.see(at(t1=9.0)._replace(moved=4096), 2.0) is Liveness.BUSY
    assert watch.see(at(t1=9.0)._replace(moved=4096), 3.0) is Liveness.HUNG


def test_stopped_is_what_is_so_twice_in_a_row_and_did_nothing_in_between() -> None:
    stopped = at(t1=1.0)._replace(is_stopped=True)
    watch = ProcessWatch(stopped, 0.0)
    assert watch.see(at(t1=1.0), 1.0) is Liveness.HUNG
    assert watch.see(stopped, 2.0) is Liveness.HUNG
    assert watch.see(at(t1=2.0)._replace(is_stopped=True), 3.0) is Liveness.BUSY, "stopped and continued"
    assert watch.see(at(t1=2.0)._replace(is_stopped=True), 4.0) is Liveness.STOPPED


def test_gone_is_gone() -> None:
    assert ProcessWatch(at(t1=1.0), 0.0).see(Look(False), 1.0) is Liveness.GONE


# --- looks at real processes -----------------------------------------------------------------------------------------


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


def test_a_process_that_ended_is_not_there(start: Start) -> None:
    child = start("")
    child.wait(DEADLINE)
    assert not look_at(child.pid).is_there


def test_a_zombie_is_not_there(start: Start) -> None:
    child = start("")
    wait_until(lambda: psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE)
    assert not look_at(child.pid).is_there


def test_a_stopped_process_is_stopped(start: Start) -> None:
    child = start(SPIN)
    assert not look_at(child.pid).is_stopped
    child.send_signal(signal.SIGSTOP)
    wait_until(lambda: look_at(child.pid).is_stopped)


def test_a_process_that_computes_is_busy_again_and_again(start: Start) -> None:
    child = start(SPIN)
    watch = ProcessWatch(look_at(child.pid), 0.0)
    for second in range(1, 4):
        wait_until(lambda now=second: watch.see(look_at(child.pid), now) is Liveness.BUSY)  # type: ignore[misc]


def test_a_process_that_waits_is_hung(start: Start) -> None:
    child = start(WAIT)
    assert child.stdout is not None
    child.stdout.readline()
    wait_until(lambda: psutil.Process(child.pid).status() == psutil.STATUS_SLEEPING)
    watch = ProcessWatch(look_at(child.pid), 0.0)
    assert watch.see(look_at(child.pid), 1.0) is Liveness.HUNG


def test_a_thread_that_polls_for_the_gil_is_seen_to_use_the_processor_and_not_taken_for_work(start: Start) -> None:
    child = start(POLL)
    assert child.stdout is not None
    child.stdout.readline()
    first = look_at(child.pid)
    watch = ProcessWatch(first, 0.0)

    def polled() -> float:
        process = psutil.Process(child.pid)
        switches = process.num_ctx_switches()
        return switches.voluntary + switches.involuntary

    before = sum(first.used.values())
    wait_until(lambda: sum(look_at(child.pid).used.values()) > before or polled() > 1000)
    elapsed = 5.0  # what so many looks of the thread at the lock take at least
    assert watch.see(look_at(child.pid), elapsed) is Liveness.HUNG
