"""The books of a plan: exact over processes, and safe from those that die in the middle."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from localcluster import faults
from localcluster.faults.ledger import Ledger
from protocol.errors import ClusterError
from protocol.events import FaultFired
from tests.support import wait_until

RULES = faults.plan("kill executor=1; raise exception=ValueError nth=3").rules


def never(number: int, firings: int) -> bool:
    return False


def always(number: int, firings: int) -> bool:
    return True


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "books")


@pytest.fixture
def ledger(path: str) -> Iterator[Ledger]:
    ledger = Ledger.create(path, RULES)
    yield ledger
    ledger.close()


def in_child(work: Callable[[], object]) -> int:
    """The status of a process that did this."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    return pid


def ended(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_each_rule_has_its_own_count(ledger: Ledger) -> None:
    assert ledger.count(0, always, "driver", "here") == (1, 1, True)
    assert ledger.count(1, never, "driver", "here") == (1, 0, False)
    assert ledger.count(1, lambda number, firings: number == 2, "driver", "here") == (2, 1, True)
    assert ledger.firings() == [1, 1]


def test_several_processes_count_at_once_and_none_is_lost(path: str, ledger: Ledger) -> None:
    def count() -> None:
        own = Ledger.open(path, RULES)
        for _ in range(500):
            own.count(1, lambda number, firings: number % 100 == 0, str(os.getpid()), "")

    children = [in_child(count) for _ in range(4)]
    assert [ended(pid) for pid in children] == [0] * 4
    assert ledger.count(1, never, "driver", "") == (2001, 20, False)
    assert len(ledger.new_firings()) == 20


def test_a_firing_survives_the_kill_that_it_is(path: str, ledger: Ledger) -> None:
    def die() -> None:
        if Ledger.open(path, RULES).count(0, always, "1", "task.start")[2]:
            os.kill(os.getpid(), signal.SIGKILL)

    before = time.time()
    assert ended(in_child(die)) == -signal.SIGKILL
    (event,) = ledger.new_firings()
    assert event == FaultFired(event.at, "kill executor=1", "1", "task.start")
    assert before <= event.at <= time.time()
    assert ledger.firings() == [1, 0]


def test_who_dies_in_the_books_leaves_them_open(path: str, ledger: Ledger) -> None:
    def die_inside() -> None:
        def fires(number: int, firings: int) -> bool:
            os.kill(os.getpid(), signal.SIGKILL)
            return True

        Ledger.open(path, RULES).count(0, fires, "1", "")

    assert ended(in_child(die_inside)) == -signal.SIGKILL
    assert ledger.count(0, always, "2", "") == (1, 1, True)


def test_a_fork_does_not_keep_its_parents_lock(path: str, ledger: Ledger) -> None:
    inside, go_on = os.pipe(), os.pipe()

    def die_while_a_child_lives() -> None:
        own = Ledger.open(path, RULES)

        def fires(number: int, firings: int) -> bool:
            if os.fork() == 0:
                os.write(inside[1], b"\0")
                os.read(go_on[0], 1)
                os._exit(0)
            os.kill(os.getpid(), signal.SIGKILL)
            return True

        own.count(0, fires, "1", "")

    pid = in_child(die_while_a_child_lives)
    os.read(inside[0], 1)
    assert ended(pid) == -signal.SIGKILL
    assert ledger.count(0, always, "2", "") == (1, 1, True)
    os.write(go_on[1], b"\0")
    for fd in (*inside, *go_on):
        os.close(fd)


def test_who_stays_in_the_books_is_not_waited_for_without_end(
    path: str, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("localcluster.faults.ledger.LOCK_DEADLINE", 0.05)
    other = Ledger.open(path, RULES)
    from storage import os_layer

    assert os_layer.lock(other._fd, wait=False)
    with pytest.raises(ClusterError, match="another process"):
        ledger.count(0, always, "1", "")
    other.close()
    assert ledger.count(0, always, "1", "") == (1, 1, True)


def test_nothing_fires_when_the_plan_is_over(path: str, ledger: Ledger) -> None:
    other = Ledger.open(path, RULES)
    ledger.end()
    assert other.count(0, always, "1", "") == (1, 0, False)
    assert ledger.has_fired() == {"kill executor=1": False, "raise exception=ValueError nth=3": False}
    other.close()


def test_the_end_of_a_plan_is_seen_in_all_books_and_ends_them(path: str, ledger: Ledger) -> None:
    other = Ledger.open(path, RULES)
    assert not other.is_over()
    ledger.end()
    assert other.is_over()
    other.stand_still()
    other.close()
    assert other.is_over()
    with pytest.raises(FileNotFoundError):
        Ledger.open(path, RULES)


def test_who_stands_still_goes_on_when_the_plan_is_over(path: str, ledger: Ledger) -> None:
    def stand_still() -> None:
        own = Ledger.open(path, RULES)
        own.count(0, always, "1", "")
        own.stand_still()

    pid = in_child(stand_still)
    wait_until(lambda: ledger.firings()[0] == 1)
    ledger.end()
    assert ended(pid) == 0


def test_firings_are_told_once(path: str, ledger: Ledger) -> None:
    other = Ledger.open(path, RULES)
    assert ledger.new_firings() == []
    ledger.count(0, always, "1", "first")
    other.count(1, always, "2", "second")
    assert [(event.fault, event.where) for event in ledger.new_firings()] == [
        ("kill executor=1", "first"),
        ("raise exception=ValueError nth=3", "second"),
    ]
    assert ledger.new_firings() == []
    other.count(1, always, "2", "third")
    assert [event.where for event in ledger.new_firings()] == ["third"]
    assert all(ledger.has_fired().values())
    other.close()
