"""Work that may wait: in order, in another thread, whatever it raises."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator

import pytest

from localcluster.base.side_thread import SideThread
from tests.support import DEADLINE


@pytest.fixture
def side() -> Iterator[SideThread]:
    side = SideThread()
    side.start()
    yield side
    side.stop(DEADLINE)


def test_work_is_done_in_order_in_one_other_thread(side: SideThread) -> None:
    done: list[tuple[int, int]] = []
    for number in range(50):
        side.submit(lambda number=number: done.append((number, threading.get_ident())))  # type: ignore[misc]
    side.stop(DEADLINE)
    assert [number for number, _ in done] == list(range(50))
    assert {thread for _, thread in done}.isdisjoint({threading.get_ident()})
    assert len({thread for _, thread in done}) == 1


def test_work_that_raises_is_logged_and_the_next_is_done(side: SideThread, caplog: pytest.LogCaptureFixture) -> None:
    done = threading.Event()
    side.submit(lambda: 1 / 0)  # type: ignore[arg-type, return-value]
    side.submit(done.set)
    assert done.wait(DEADLINE)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "ZeroDivisionError" in caplog.text


def test_stopping_waits_for_the_work_submitted_so_far_but_not_longer_than_told(side: SideThread) -> None:
    go = threading.Event()
    side.submit(lambda: go.wait(DEADLINE))  # type: ignore[arg-type, return-value]
    side.stop(0.01)
    assert side._thread.is_alive()
    go.set()
    side.stop(DEADLINE)
    assert not side._thread.is_alive()
