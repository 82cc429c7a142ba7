"""A signal waits until what is changed under the driver's lock is changed whole."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from localcluster import SparkContext
from localcluster.driver.uninterrupted_lock import UninterruptedLock
from localcluster.launcher import interrupts
from localcluster.launcher.interrupts import RAISING
from localcluster.scheduler.dag_scheduler import DAGScheduler
from localcluster.scheduler.job_history import JobHistory
from localcluster.scheduler.stages import Stages
from tests.support import DEADLINE

Handler = Callable[[int, Any], None]


handled_ones: list[int] = []


class Interrupted(Exception):
    pass


def interrupt(signum: int, frame: object) -> None:
    handled_ones.append(signum)
    raise Interrupted


@pytest.fixture
def handled() -> Iterator[None]:
    before = {signum: signal.signal(signum, interrupt) for signum in RAISING}
    yield
    for signum, handler in before.items():
        signal.signal(signum, handler)


@pytest.mark.usefixtures("handled")
@pytest.mark.parametrize("signum", RAISING)
def test_a_signal_waits_for_the_end_of_the_outmost_block(signum: int) -> None:
    lock = UninterruptedLock()
    steps = []

    def change() -> None:
        with lock:
            with lock:
                os.kill(os.getpid(), signum)
                steps.append("inner")
            steps.append("outer")

    with pytest.raises(Interrupted):
        change()
    assert steps == ["inner", "outer"]
    assert signal.getsignal(signum) is interrupt
    other = threading.Thread(target=lambda: lock.__enter__())
    other.start()
    other.join(DEADLINE)
    assert not other.is_alive()  # the lock was released


@pytest.mark.usefixtures("handled")
def test_each_of_several_signals_is_handled() -> None:
    handled_ones.clear()

    def change() -> None:
        with UninterruptedLock():
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted):
        change()
    assert handled_ones == [signal.SIGTERM, signal.SIGINT]


@pytest.mark.usefixtures("handled")
def test_signals_while_handlers_are_put_back_are_lost_by_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    handled_ones.clear()
    real = interrupts._signal.signal

    def put_back(signum: int, handler: Any) -> Any:
        before = real(signum, handler)
        if handler is interrupt and signum == RAISING[0]:
            monkeypatch.undo()
            os.kill(os.getpid(), RAISING[0])  # raises here, before the others are put back
        return before

    def change() -> None:
        with UninterruptedLock():
            os.kill(os.getpid(), RAISING[1])
            monkeypatch.setattr(interrupts._signal, "signal", put_back)

    with pytest.raises(Interrupted):
        change()
    assert handled_ones == [RAISING[0], RAISING[1]]
    with pytest.raises(Interrupted):
        os.kill(os.getpid(), RAISING[2])
    assert handled_ones[-1] == RAISING[2]


@pytest.mark.usefixtures("handled")
def test_other_threads_take_it_without_touching_handlers() -> None:
    lock = UninterruptedLock()
    seen = []

    def look() -> None:
        with lock:
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join(DEADLINE)
    assert seen == [interrupt]


@pytest.fixture
def of_a_shell() -> Iterator[None]:
    """Ctrl-C as it is in a terminal: pytest may run under nohup, or in the background of a script, which ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("of_a_shell")
@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (JobHistory, "job_started"),
        (JobHistory, "job_ended"),
        (Stages, "add"),
        (Stages, "submit"),
        (DAGScheduler, "take"),
    ],
)
def test_a_ctrl_c_in_the_middle_of_a_submission_leaves_a_context_that_works(
    monkeypatch: pytest.MonkeyPatch, owner: Any, name: str
) -> None:
    real = getattr(owner, name)

    def interrupted(*args: Any, **named: Any) -> Any:
        if threading.current_thread() is threading.main_thread():
            monkeypatch.undo()
            os.kill(os.getpid(), signal.SIGINT)
        return real(*args, **named)

    with SparkContext("local[1]") as sc:
        empty = sc.parallelize([], 1) if name != "job_ended" else sc.emptyRDD()
        monkeypatch.setattr(owner, name, interrupted)
        with pytest.raises(KeyboardInterrupt):
            sc.runJob(empty, list)
        assert sc.parallelize(range(4), 2).sum() == 6
        assert sc.statusTracker().getActiveJobsIds() == []
