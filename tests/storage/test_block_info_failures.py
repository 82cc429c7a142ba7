"""Locks of blocks where Spark has no test: owners, waits that could not end, dead threads, failed puts, audits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from protocol.errors import StorageError
from storage import block_info
from storage.block_info import BlockInfoManager, BlockState
from tests.storage.crowd import BLOCK, DEADLINE, OTHER, Crowd, make_crowd, make_manager, new_info, put, result


@pytest.fixture
def crowd(monkeypatch: pytest.MonkeyPatch) -> Iterator[Crowd]:
    yield from make_crowd(monkeypatch)


@pytest.fixture
def manager(crowd: Crowd) -> Iterator[BlockInfoManager]:
    yield from make_manager()


# --- owners --------------------------------------------------------------------------------------------------------


def test_without_a_task_the_thread_owns_the_lock(manager: BlockInfoManager, crowd: Crowd) -> None:
    info = put(manager)
    assert manager.lock_for_reading(BLOCK) is info
    assert result(crowd.run(manager.unlock, BLOCK)) is False
    assert result(crowd.run(manager.release_all_locks_for_task)) == []
    assert info.reader_count == 1
    assert manager.unlock(BLOCK)


def test_another_thread_can_give_back_a_tasks_lock(manager: BlockInfoManager, crowd: Crowd) -> None:
    info = put(manager)
    manager.lock_for_reading(BLOCK, task=7)
    assert result(crowd.run(manager.unlock, BLOCK, 7)) is True
    assert info.reader_count == 0


def test_unlocking_what_one_does_not_hold_changes_nothing(manager: BlockInfoManager) -> None:
    info = put(manager)
    manager.lock_for_reading(BLOCK, task=1)
    assert not manager.unlock(BLOCK, task=2)
    assert not manager.unlock(OTHER, task=1)
    assert info.reader_count == 1


# --- waits that could not end --------------------------------------------------------------------------------------


@pytest.mark.parametrize("lock", ["lock_for_reading", "lock_for_writing"])
def test_waiting_for_ones_own_write_lock_is_an_error(manager: BlockInfoManager, lock: str) -> None:
    assert manager.lock_new_block_for_writing(BLOCK, new_info(), task=1)
    with pytest.raises(StorageError, match="its own lock"):
        getattr(manager, lock)(BLOCK, task=1)
    with pytest.raises(StorageError, match="its own lock"):
        manager.lock_new_block_for_writing(BLOCK, new_info(), task=1)


def test_waiting_to_write_what_only_oneself_reads_is_an_error(manager: BlockInfoManager) -> None:
    put(manager)
    manager.lock_for_reading(BLOCK, task=1)
    with pytest.raises(StorageError, match="its own lock"):
        manager.lock_for_writing(BLOCK, task=1)


def test_a_reader_who_waits_to_write_while_others_read_gets_the_error_when_they_are_gone(
    manager: BlockInfoManager, crowd: Crowd
) -> None:
    put(manager)
    for task in (1, 2):
        manager.lock_for_reading(BLOCK, task=task)
    writer = crowd.run(manager.lock_for_writing, BLOCK, task=1)
    crowd.wait_for(1)
    manager.unlock(BLOCK, task=2)
    with pytest.raises(StorageError, match="its own lock"):
        result(writer)


def die_holding(lock: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    thread = threading.Thread(target=lock, args=args, kwargs=kwargs)
    thread.start()
    thread.join(DEADLINE)
    assert not thread.is_alive()


@pytest.mark.parametrize("task", [None, 5])
def test_the_put_of_a_thread_that_died_has_failed(manager: BlockInfoManager, task: int | None) -> None:
    info = new_info()
    die_holding(manager.lock_new_block_for_writing, BLOCK, info, task)
    assert manager.lock_for_reading(BLOCK) is None
    assert (len(manager), info.state) == (0, BlockState.FAILED)
    assert manager.lock_new_block_for_writing(BLOCK, new_info(), task=1)
    manager.unlock(BLOCK, task=1)
    manager.check()


def test_one_who_waits_notices_that_the_writer_died(
    manager: BlockInfoManager, crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(block_info, "LIVENESS_PERIOD", 0.01)
    may_die = threading.Event()

    def write_and_die() -> None:
        manager.lock_new_block_for_writing(BLOCK, new_info())
        may_die.wait(DEADLINE)

    writer = threading.Thread(target=write_and_die)
    writer.start()
    waiting = crowd.run(manager.lock_new_block_for_writing, BLOCK, new_info(), 1)
    crowd.wait_for(1)
    may_die.set()
    writer.join(DEADLINE)
    assert result(waiting) is True
    assert manager.unlock(BLOCK, 1)


def test_the_read_locks_of_a_thread_that_died_do_not_hold_up_a_writer(manager: BlockInfoManager) -> None:
    info = put(manager)
    die_holding(manager.lock_for_reading, BLOCK)
    assert info.reader_count == 1
    assert manager.lock_for_writing(BLOCK, task=1) is info
    manager.unlock(BLOCK, task=1)
    manager.check()


# --- audits --------------------------------------------------------------------------------------------------------


def test_check_names_who_holds_what(manager: BlockInfoManager) -> None:
    put(manager)
    manager.lock_for_reading(BLOCK, task=3)
    with pytest.raises(AssertionError, match=f"task 3 still locks {BLOCK}"):
        manager.check()
    manager.unlock(BLOCK, task=3)
    manager.lock_for_writing(BLOCK)
    with pytest.raises(AssertionError, match=f"thread .* still locks {BLOCK}"):
        manager.check()


def test_clear_forgets_all_and_wakes_those_who_wait(manager: BlockInfoManager, crowd: Crowd) -> None:
    info = new_info()
    assert manager.lock_new_block_for_writing(BLOCK, info, task=0)
    reader = crowd.run(manager.lock_for_reading, BLOCK, task=1)
    crowd.wait_for(1)
    manager.clear()
    assert result(reader) is None
    assert (len(manager), info.state) == (0, BlockState.FAILED)
    assert not manager.unlock(BLOCK, task=0)
    manager.check()
