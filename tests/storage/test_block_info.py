"""Locks of blocks and outcomes of puts, with real threads. Mirrors Spark 2.x's BlockInfoManagerSuite.

No test sleeps: `Crowd.wait_for` returns when so many threads are inside the manager's wait, having let go of its lock.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, wait

import pytest

from protocol.errors import BlockNotFoundError, StorageError
from protocol.locations import across_runs
from storage.block_info import BlockInfoManager, BlockState
from tests.storage.crowd import BLOCK, DEADLINE, OTHER, Crowd, make_crowd, make_manager, new_info, put, result


@pytest.fixture
def crowd(monkeypatch: pytest.MonkeyPatch) -> Iterator[Crowd]:
    yield from make_crowd(monkeypatch)


@pytest.fixture
def manager(crowd: Crowd) -> Iterator[BlockInfoManager]:
    yield from make_manager()


def test_a_new_manager_is_empty(manager: BlockInfoManager) -> None:
    assert len(manager) == 0
    assert manager.block_ids() == []


def test_a_block_that_is_not_here_gives_none(manager: BlockInfoManager) -> None:
    assert manager.get(BLOCK) is None
    assert manager.lock_for_reading(BLOCK) is None
    assert manager.lock_for_writing(BLOCK) is None
    assert not manager.unlock(BLOCK)


def test_the_first_writer_writes_and_a_second_put_takes_a_read_lock(manager: BlockInfoManager) -> None:
    info = new_info()
    assert manager.lock_new_block_for_writing(BLOCK, info, task=1)
    assert manager.get(BLOCK) is info
    assert (info.state, info.reader_count, info.writer) == (BlockState.PENDING, 0, 1)
    manager.downgrade_lock(BLOCK, task=1)
    assert (info.state, info.reader_count, info.writer) == (BlockState.READY, 1, None)
    assert not manager.lock_new_block_for_writing(BLOCK, new_info(), task=1)
    assert manager.get(BLOCK) is info
    assert (info.reader_count, info.writer) == (2, None)
    assert manager.unlock(BLOCK, task=1)
    assert manager.unlock(BLOCK, task=1)
    assert (info.reader_count, info.writer) == (0, None)
    assert manager.block_ids() == [BLOCK]
    manager.check()


@pytest.mark.parametrize("release", ["downgrade_lock", "unlock"])
def test_others_who_put_wait_for_the_first_and_take_its_block(
    manager: BlockInfoManager, crowd: Crowd, release: str
) -> None:
    info = new_info()
    assert manager.lock_new_block_for_writing(BLOCK, info, task=0)
    others = [crowd.run(manager.lock_new_block_for_writing, BLOCK, new_info(), task) for task in (1, 2)]
    crowd.wait_for(2)
    getattr(manager, release)(BLOCK, task=0)
    assert [result(other) for other in others] == [False, False]
    assert manager.get(BLOCK) is info
    assert info.reader_count == (3 if release == "downgrade_lock" else 2)


def test_when_a_put_fails_one_who_waits_becomes_the_writer_and_the_rest_wait_on(
    manager: BlockInfoManager, crowd: Crowd
) -> None:
    failed = new_info()
    assert manager.lock_new_block_for_writing(BLOCK, failed, task=0)
    infos = {1: new_info(), 2: new_info()}
    puts = {task: crowd.run(manager.lock_new_block_for_writing, BLOCK, infos[task], task) for task in infos}
    crowd.wait_for(2)
    manager.remove_block(BLOCK, task=0)
    assert failed.state is BlockState.FAILED
    done, _ = wait(puts.values(), DEADLINE, return_when=FIRST_COMPLETED)
    assert [future.result() for future in done] == [True]
    crowd.wait_for(1)  # the loser is waiting again
    winner = next(task for task, future in puts.items() if future in done)
    info = manager.get(BLOCK)
    assert info is infos[winner]
    assert info.writer == winner
    loser = 3 - winner
    assert not puts[loser].done()
    assert manager.unlock(BLOCK, winner)
    assert result(puts[loser]) is False
    assert info.reader_count == 1


def test_read_locks_are_reentrant(manager: BlockInfoManager) -> None:
    info = put(manager)
    for expected in (1, 2):
        assert manager.lock_for_reading(BLOCK, task=1) is info
        assert (info.reader_count, info.writer) == (expected, None)
    for expected in (1, 0):
        assert manager.unlock(BLOCK, task=1)
        assert info.reader_count == expected


def test_many_tasks_read_at_once(manager: BlockInfoManager) -> None:
    info = put(manager)
    for task in range(1, 5):
        assert manager.lock_for_reading(BLOCK, task=task) is info
    assert info.reader_count == 4


def test_one_task_writes_at_a_time(manager: BlockInfoManager) -> None:
    info = put(manager)
    assert manager.lock_for_writing(BLOCK, task=1) is info
    assert manager.lock_for_writing(BLOCK, blocking=False, task=2) is None
    assert manager.lock_for_reading(BLOCK, blocking=False, task=2) is None
    assert info.writer == 1


def test_a_write_lock_is_exclusive_towards_its_own_owner(manager: BlockInfoManager) -> None:
    put(manager)
    info = manager.lock_for_writing(BLOCK, task=1)
    assert info is not None
    assert manager.lock_for_writing(BLOCK, blocking=False, task=1) is None
    assert manager.assert_locked_for_writing(BLOCK, task=1) is info


def test_the_assertion_of_a_write_lock_fails_without_one(manager: BlockInfoManager) -> None:
    with pytest.raises(StorageError, match=BLOCK.name):
        manager.assert_locked_for_writing(BLOCK)
    put(manager)
    manager.lock_for_reading(BLOCK, task=1)
    for task in (None, 0, 1):
        with pytest.raises(StorageError, match=BLOCK.name):
            manager.assert_locked_for_writing(BLOCK, task)


def test_a_downgraded_lock_lets_others_read(manager: BlockInfoManager) -> None:
    info = new_info()
    assert manager.lock_new_block_for_writing(BLOCK, info, task=0)
    manager.downgrade_lock(BLOCK, task=0)
    assert manager.lock_for_reading(BLOCK, task=1) is info
    assert (info.reader_count, info.writer) == (2, None)


def test_downgrading_needs_the_write_lock(manager: BlockInfoManager) -> None:
    put(manager)
    manager.lock_for_reading(BLOCK, task=0)
    with pytest.raises(StorageError, match="write lock"):
        manager.downgrade_lock(BLOCK, task=0)


def test_readers_wait_for_the_writer(manager: BlockInfoManager, crowd: Crowd) -> None:
    info = new_info()
    assert manager.lock_new_block_for_writing(BLOCK, info, task=0)
    readers = [crowd.run(manager.lock_for_reading, BLOCK, task=task) for task in (1, 2)]
    crowd.wait_for(2)
    assert manager.unlock(BLOCK, task=0)
    assert [result(reader) for reader in readers] == [info, info]
    assert info.reader_count == 2


def test_writers_wait_for_readers_and_for_each_other(manager: BlockInfoManager, crowd: Crowd) -> None:
    info = put(manager)
    manager.lock_for_reading(BLOCK, task=0)
    writers = {task: crowd.run(manager.lock_for_writing, BLOCK, task=task) for task in (1, 2)}
    crowd.wait_for(2)
    assert manager.unlock(BLOCK, task=0)
    done, _ = wait(writers.values(), DEADLINE, return_when=FIRST_COMPLETED)
    assert [future.result() for future in done] == [info]
    crowd.wait_for(1)
    winner = next(task for task, future in writers.items() if future in done)
    assert info.writer == winner
    assert manager.unlock(BLOCK, winner)
    assert result(writers[3 - winner]) is info
    assert info.writer == 3 - winner


def test_a_block_that_is_not_here_cannot_be_removed(manager: BlockInfoManager) -> None:
    with pytest.raises(BlockNotFoundError, match=BLOCK.name):
        manager.remove_block(BLOCK, task=0)


@pytest.mark.parametrize("reads", [False, True])
def test_only_the_writer_can_remove_a_block(manager: BlockInfoManager, reads: bool) -> None:
    info = put(manager)
    if reads:
        manager.lock_for_reading(BLOCK, task=0)
    with pytest.raises(StorageError, match="write lock"):
        manager.remove_block(BLOCK, task=0)
    assert manager.get(BLOCK) is info


def test_those_who_wait_for_a_block_that_is_removed_get_none(manager: BlockInfoManager, crowd: Crowd) -> None:
    assert manager.lock_new_block_for_writing(BLOCK, new_info(), task=0)
    reader = crowd.run(manager.lock_for_reading, BLOCK, task=1)
    writer = crowd.run(manager.lock_for_writing, BLOCK, task=2)
    crowd.wait_for(2)
    manager.remove_block(BLOCK, task=0)
    assert result(reader) is None
    assert result(writer) is None
    assert len(manager) == 0
    manager.check()


def test_the_end_of_a_task_gives_back_all_its_locks_and_no_others(manager: BlockInfoManager) -> None:
    info = put(manager)
    manager.lock_for_reading(BLOCK, task=1)
    manager.lock_for_reading(BLOCK, task=1)
    manager.lock_for_reading(BLOCK, task=2)
    assert manager.lock_new_block_for_writing(OTHER, new_info(), task=1)
    assert sorted(manager.release_all_locks_for_task(1)) == [BLOCK, OTHER]
    assert info.reader_count == 1
    assert manager.release_all_locks_for_task(1) == []
    assert manager.release_all_locks_for_task(2) == [BLOCK]
    manager.check()


def test_a_task_that_ends_amid_its_put_leaves_nothing(manager: BlockInfoManager, crowd: Crowd) -> None:
    info = new_info()
    assert manager.lock_new_block_for_writing(BLOCK, info, task=0)
    reader = crowd.run(manager.lock_for_reading, BLOCK, task=1)
    crowd.wait_for(1)
    manager.release_all_locks_for_task(0)
    assert result(reader) is None
    assert (len(manager), info.state) == (0, BlockState.FAILED)


def test_a_task_that_ends_holding_the_write_lock_of_a_ready_block_leaves_the_block(manager: BlockInfoManager) -> None:
    info = put(manager)
    manager.lock_for_writing(BLOCK, task=1)
    assert manager.release_all_locks_for_task(1) == [BLOCK]
    assert manager.get(BLOCK) is info
    assert (info.state, info.writer) == (BlockState.READY, None)


@pytest.mark.parametrize("writes", [False, True])
def test_unlocking_while_the_task_ends_gives_each_lock_back_once(
    manager: BlockInfoManager, crowd: Crowd, writes: bool
) -> None:
    info = put(manager)
    for task in range(10):
        locks = 1 if writes else 10
        for _ in range(locks):
            assert (manager.lock_for_writing if writes else manager.lock_for_reading)(BLOCK, task=task) is info
        start = threading.Barrier(locks + 1)

        def unlock(start: threading.Barrier = start, task: int = task) -> bool:
            start.wait(DEADLINE)
            return manager.unlock(BLOCK, task)

        unlocks = [crowd.run(unlock) for _ in range(locks)]
        start.wait(DEADLINE)
        manager.release_all_locks_for_task(task)
        assert all(type(result(future)) is bool for future in unlocks)
        assert (info.reader_count, info.writer, info.state) == (0, None, BlockState.READY)
        manager.check()


def test_tasks_of_equal_numbers_in_several_runs_are_told_apart_by_name(manager: BlockInfoManager) -> None:
    one, other = (across_runs("task 1", run) for run in ("run-a", "run-b"))
    assert manager.lock_new_block_for_writing(BLOCK, new_info(), one)
    with pytest.raises(StorageError, match="task 1@run-b does not hold the write lock"):
        manager.assert_locked_for_writing(BLOCK, other)
    manager.downgrade_lock(BLOCK, one)
    assert manager.lock_for_reading(BLOCK, task=other) is not None
    assert manager.release_all_locks_for_task(one) == [BLOCK]
    assert not manager.unlock(BLOCK, one)
    assert manager.unlock(BLOCK, other)
