"""Making room on the heap: which blocks go, what becomes of them, and what holds when that fails."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from protocol.errors import BlockPutError, TaskKilledError
from storage.block_id import BlockId, RDDBlockId
from storage.managed_buffer import HeapBuffer, ManagedBuffer
from storage.memory_store import MemoryStore
from storage.serializer import deserialize
from storage.storage_level import StorageLevel
from tests.storage.small_memory_store import (
    B1,
    B2,
    B3,
    B4,
    BOTH,
    BYTES,
    KB,
    SMALL,
    VALUES,
    checked_stores,
    unroll_memory,
)
from tests.storage.store_conformance import (
    assert_absent,
    bytes_of,
    put_values,
    run_together,
    values_of,
)


@pytest.fixture
def make_store() -> Iterator[Callable[..., MemoryStore]]:
    yield from checked_stores()


class Disk:
    """A place for dropped blocks that can be told to fail, or to find a block in use."""

    def __init__(self) -> None:
        self.blocks: dict[BlockId, list[Any] | ManagedBuffer] = {}
        self.failing: set[BlockId] = set()
        self.in_use: set[BlockId] = set()

    def drop(self, block_id: BlockId, data: list[Any] | ManagedBuffer) -> bool | None:
        if block_id in self.failing:
            raise OSError("the disk is full")
        if block_id in self.in_use:
            return False
        self.blocks[block_id] = data
        return None


def fill(store: MemoryStore, *block_ids: BlockId, size: int = 10) -> None:
    for block_id in block_ids:
        assert store.put_bytes(block_id, HeapBuffer(bytes(size)), BYTES).stored


def try_put(store: MemoryStore, block_id: BlockId, size: int) -> tuple[bool, list[BlockId]]:
    result = store.put_bytes(block_id, HeapBuffer(bytes(size)), BYTES)
    return result.stored, result.dropped


def test_the_blocks_used_longest_ago_go_and_only_as_many_as_needed(make_store: Callable[..., MemoryStore]) -> None:
    store = make_store(100)
    blocks = [RDDBlockId(rdd, 0) for rdd in range(10)]
    fill(store, *blocks)
    store.get_bytes(blocks[0])
    assert try_put(store, B1, 25) == (True, blocks[1:4])


def test_a_block_never_drives_out_its_own_rdd(make_store: Callable[..., MemoryStore]) -> None:
    store = make_store(40)
    fill(store, RDDBlockId(1, 0), RDDBlockId(1, 1), RDDBlockId(2, 0), RDDBlockId(1, 2))
    assert try_put(store, RDDBlockId(1, 3), 10) == (True, [RDDBlockId(2, 0)])
    assert try_put(store, RDDBlockId(1, 4), 10) == (False, [])
    assert try_put(store, RDDBlockId(2, 1), 10) == (True, [RDDBlockId(1, 0)])


def test_a_block_larger_than_all_memory_evicts_nothing(make_store: Callable[..., MemoryStore]) -> None:
    store = make_store(40)
    fill(store, B1, B2)
    assert try_put(store, B3, 41) == (False, [])
    assert try_put(store, B3, 40) == (True, [B1, B2])


def test_nothing_is_evicted_when_it_would_not_be_enough(make_store: Callable[..., MemoryStore]) -> None:
    store = make_store(40)
    fill(store, RDDBlockId(1, 0), RDDBlockId(1, 1), B1)
    assert try_put(store, RDDBlockId(1, 2), 21) == (False, [])
    assert try_put(store, RDDBlockId(1, 2), 20) == (True, [B1])


def test_blocks_in_use_are_passed_over(make_store: Callable[..., MemoryStore]) -> None:
    in_use = {B1, B3}
    disk = Disk()
    store = make_store(40, can_evict=lambda block_id: block_id not in in_use, drop=disk.drop)
    fill(store, B1, B2, B3, B4)
    assert try_put(store, RDDBlockId(1, 0), 30) == (False, [])
    assert disk.blocks == {}  # two may go and three are needed: none goes
    assert try_put(store, RDDBlockId(1, 0), 20) == (True, [B2, B4])


def test_a_block_that_comes_into_use_when_it_should_go_stays(make_store: Callable[..., MemoryStore]) -> None:
    disk = Disk()
    disk.in_use.add(B1)
    store = make_store(40, drop=disk.drop)
    fill(store, B1, B2, B3, B4)
    assert try_put(store, RDDBlockId(1, 0), 10) == (True, [B2])
    assert store.contains(B1)
    disk.in_use |= {B3, B4, RDDBlockId(1, 0)}
    assert try_put(store, RDDBlockId(1, 1), 10) == (False, [])


@BOTH
def test_what_is_dropped_is_the_block(make_store: Callable[..., MemoryStore], level: StorageLevel) -> None:
    disk = Disk()
    store = make_store(drop=disk.drop)
    for block_id in (B1, B2, B3):
        put_values(store, block_id, SMALL, level)
    data = disk.blocks[B1]
    if isinstance(data, list):
        assert level.deserialized
        assert data == SMALL
    else:
        assert list(deserialize(data.memoryview())) == SMALL


@BOTH
def test_a_block_can_be_read_until_its_drop_has_succeeded(
    make_store: Callable[..., MemoryStore], level: StorageLevel
) -> None:
    seen: list[Any] = []

    def drop(block_id: BlockId, data: list[Any] | ManagedBuffer) -> bool:
        seen.append(values_of(store, block_id))
        return True

    store = make_store(drop=drop)
    for block_id in (B1, B2, B3):
        put_values(store, block_id, SMALL, level)
    assert seen == [SMALL]
    assert not store.contains(B1)


@pytest.mark.parametrize("dropped_before", [0, 3])
def test_a_drop_that_fails_fails_the_put_and_its_block_stays(
    make_store: Callable[..., MemoryStore], dropped_before: int
) -> None:
    """SPARK-22083."""
    disk = Disk()
    store = make_store(100, drop=disk.drop)
    blocks = [RDDBlockId(1, split) for split in range(10)]
    fill(store, *blocks)
    disk.failing.add(blocks[dropped_before])
    large = RDDBlockId(2, 1)
    with pytest.raises(BlockPutError, match=r"rdd_2_1.*rdd_1_.*the disk is full") as caught:
        try_put(store, large, 100)
    assert isinstance(caught.value.__cause__, OSError)
    assert_absent(store, large)
    assert [store.contains(block_id) for block_id in blocks] == [split >= dropped_before for split in range(10)]
    assert store.statistics().storage_memory == 10 * (10 - dropped_before)
    assert unroll_memory(store) == 0
    disk.failing.clear()
    assert try_put(store, large, 100)[0]


def test_a_task_killed_during_a_drop_is_killed_and_the_block_stays(make_store: Callable[..., MemoryStore]) -> None:
    def drop(block_id: BlockId, data: list[Any] | ManagedBuffer) -> bool:
        raise TaskKilledError("cancelled")

    store = make_store(40, drop=drop)
    fill(store, B1, B2, B3, B4)
    with pytest.raises(TaskKilledError):
        try_put(store, RDDBlockId(1, 0), 10)
    assert store.contains(B1)
    assert unroll_memory(store) == 0


@BOTH
def test_a_drop_that_fails_while_a_block_unrolls_fails_the_put(
    make_store: Callable[..., MemoryStore], level: StorageLevel
) -> None:
    disk = Disk()
    store = make_store(drop=disk.drop)
    for block_id in (B1, B2):
        put_values(store, block_id, SMALL, level)
    disk.failing.add(B1)
    with pytest.raises(BlockPutError, match="the disk is full"):
        store.put_iterator(B3, iter(SMALL), level)
    assert [store.contains(block_id) for block_id in (B1, B2, B3)] == [True, True, False]
    assert unroll_memory(store) == 0


def test_a_block_removed_and_put_again_while_it_is_dropped_keeps_its_new_bytes(
    make_store: Callable[..., MemoryStore],
) -> None:
    def drop(block_id: BlockId, data: list[Any] | ManagedBuffer) -> bool:
        assert store.remove(block_id)
        assert store.put_bytes(block_id, HeapBuffer(b"new"), BYTES).stored
        return True

    store = make_store(40, drop=drop)
    fill(store, B1, B2, B3, B4)
    assert try_put(store, RDDBlockId(1, 0), 7)[0]
    assert bytes_of(store, B1) == b"new"
    assert store.statistics().storage_memory == 40


def test_a_drop_may_remove_the_block_itself(make_store: Callable[..., MemoryStore]) -> None:
    store = make_store(40, drop=lambda block_id, data: store.remove(block_id))
    fill(store, B1, B2, B3, B4)
    assert try_put(store, RDDBlockId(1, 0), 10) == (True, [B1])
    assert store.statistics().storage_memory == 40


def test_room_taken_by_another_put_during_an_eviction_is_evicted_again(
    make_store: Callable[..., MemoryStore],
) -> None:
    thieves = [RDDBlockId(9, 0), RDDBlockId(9, 1)]

    def drop(block_id: BlockId, data: list[Any] | ManagedBuffer) -> bool:
        assert store.remove(block_id)
        if thieves:
            fill(store, thieves.pop())
        return True

    store = make_store(40, drop=drop)
    fill(store, B1, B2, B3, B4)
    assert try_put(store, RDDBlockId(1, 0), 10) == (True, [B1, B2, B3])


def test_reading_goes_on_while_another_thread_waits_for_a_slow_drop(make_store: Callable[..., MemoryStore]) -> None:
    dropping, finish = threading.Event(), threading.Event()

    def drop(block_id: BlockId, data: list[Any] | ManagedBuffer) -> bool:
        dropping.set()
        return finish.wait(20)

    store = make_store(40, drop=drop)
    fill(store, B1, B2, B3)
    writer = threading.Thread(target=try_put, args=(store, B4, 20))
    writer.start()
    assert dropping.wait(20)
    assert bytes_of(store, B1) == bytes(10)
    fill(store, RDDBlockId(1, 0))  # there is room for this one without evicting
    finish.set()
    writer.join(20)
    assert store.contains(B4)


def test_puts_and_evictions_of_many_threads_keep_the_books_right(make_store: Callable[..., MemoryStore]) -> None:
    disk = Disk()
    tiny = [bytes(100)] * 40
    store = make_store(20 * KB, drop=disk.drop)

    def put(number: int) -> None:
        for turn in range(40):
            level = VALUES if turn % 2 else BYTES
            result = store.put_iterator(RDDBlockId(10 * number + turn % 3, turn), iter(tiny[: turn % 40]), level)
            if result.leftover is not None:
                assert list(result.leftover) == tiny[: turn % 40]
            store.check()

    run_together(put, 4)
    assert disk.blocks
    assert unroll_memory(store) == 0
