"""Threads that use one `BlockInfoManager`, for tests that must know who is waiting inside it. Holds no tests."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import pytest

from storage import block_info
from storage.block_id import RDDBlockId
from storage.block_info import BlockInfo, BlockInfoManager
from storage.storage_level import StorageLevel
from tests.support import DEADLINE

BLOCK = RDDBlockId(0, 0)
OTHER = RDDBlockId(0, 1)


class Crowd:
    """Threads that use one manager, and a count of those that wait inside it."""

    def __init__(self) -> None:
        self.threads: list[threading.Thread] = []
        self._entered = threading.Semaphore(0)
        self._may_leave = threading.Event()

    def condition(self) -> threading.Condition:
        entered = self._entered

        class CountedCondition(threading.Condition):
            def wait(self, timeout: float | None = None) -> bool:
                entered.release()  # the manager's lock is still held: whoever gets it next finds this thread waiting
                return super().wait(timeout)

        return CountedCondition()

    def run(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Future[Any]:
        """Call the function in a thread that then lives on, because the locks of a dead thread are nobody's."""
        future: Future[Any] = Future()

        def body() -> None:
            try:
                future.set_result(function(*args, **kwargs))
            except BaseException as error:
                future.set_exception(error)
            self._may_leave.wait()

        self.threads.append(threading.Thread(target=body))
        self.threads[-1].start()
        return future

    def leave(self) -> None:
        self._may_leave.set()
        for thread in self.threads:
            thread.join(DEADLINE)
            assert not thread.is_alive()

    def wait_for(self, number: int) -> None:
        for _ in range(number):
            assert self._entered.acquire(timeout=DEADLINE), "a thread that should wait does not"


def make_crowd(monkeypatch: pytest.MonkeyPatch) -> Iterator[Crowd]:
    """For a fixture: managers made from now on tell this crowd who waits."""
    crowd = Crowd()
    monkeypatch.setattr(block_info, "Condition", crowd.condition)
    # A missing notification must fail the test, not be made good by the next look at who is alive.
    monkeypatch.setattr(block_info, "LIVENESS_PERIOD", 3 * DEADLINE)
    yield crowd
    crowd.leave()


def make_manager() -> Iterator[BlockInfoManager]:
    """For a fixture that depends on the crowd."""
    manager = BlockInfoManager()
    yield manager
    manager.clear()  # lets go of whoever a failed test left waiting
    manager.check()


def new_info() -> BlockInfo:
    return BlockInfo(StorageLevel.MEMORY_ONLY)


def put(manager: BlockInfoManager, task: int = 0) -> BlockInfo:
    """A block that is ready and that nobody locks."""
    info = new_info()
    assert manager.lock_new_block_for_writing(BLOCK, info, task)
    assert manager.unlock(BLOCK, task)
    return info


def result(future: Future[Any]) -> Any:
    return future.result(DEADLINE)
