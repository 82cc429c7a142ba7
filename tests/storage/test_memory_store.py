"""The store on the heap: the conformance suite, then what goes when there is no room."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from protocol.errors import BlockPutError, TaskKilledError
from storage.block_id import BlockId, BroadcastBlockId, RDDBlockId
from storage.conf import StorageConf
from storage.disk_block_manager import DiskBlockManager
from storage.disk_store import DiskStore
from storage.managed_buffer import HeapBuffer, ManagedBuffer, ShmBuffer
from storage.memory_store import MemoryStore
from storage.serializer import deserialize
from storage.storage_level import StorageLevel
from tests.storage.store_conformance import (
    CHECKS,
    EVICTING_CHECKS,
    Check,
    assert_absent,
    bytes_of,
    put_values,
    run_together,
    serialized,
    values_of,
)

VALUES = StorageLevel.MEMORY_ONLY
BYTES = StorageLevel.MEMORY_ONLY_SER
BOTH = pytest.mark.parametrize("level", [VALUES, BYTES], ids=["values", "bytes"])

KB, MB = 10**3, 10**6
SMALL = [bytes([number]) * (100 * KB) for number in range(50)]  # 5 MB and a little in either form
BIG = [bytes([number]) * MB for number in range(40)]
B1, B2, B3, B4 = (BroadcastBlockId(number) for number in range(1, 5))  # blocks of no RDD


def conf(max_memory: int, **settings: Any) -> StorageConf:
    """A store of 12 MB takes two of SMALL and no third one."""
    defaults = {"unroll_fraction": 0.4, "unroll_threshold": 512 * KB}
    return StorageConf(max_memory=max_memory, shared_memory=0, **{**defaults, **settings})


@pytest.fixture
def make_store() -> Iterator[Callable[..., MemoryStore]]:
    made: list[MemoryStore] = []

    def make(max_memory: int = 12 * MB, can_evict: Any = None, drop: Any = None, **settings: Any) -> MemoryStore:
        callbacks = {"can_evict": can_evict, "drop": drop}
        given = {name: callback for name, callback in callbacks.items() if callback is not None}
        made.append(MemoryStore(conf(max_memory, **settings), **given))
        return made[-1]

    yield make
    for store in made:
        store.check()


@pytest.fixture
def store(make_store: Callable[..., MemoryStore]) -> MemoryStore:
    return make_store()


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


def unroll_memory(store: MemoryStore) -> int:
    return store.statistics().unroll_memory


# --- the suite of all stores ---------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_memory_store_conforms(check: Check, level: StorageLevel, make_store: Callable[..., MemoryStore]) -> None:
    store = make_store(256 << 20)
    check(store, level)
    assert unroll_memory(store) == 0
    store.clear()
    assert store.statistics().storage_memory == 0


@BOTH
@pytest.mark.parametrize("check", EVICTING_CHECKS, ids=lambda check: check.__name__)
def test_the_memory_store_evicts_as_it_should(
    check: Callable[..., None], level: StorageLevel, make_store: Callable[..., MemoryStore]
) -> None:
    check(make_store, level)


# --- the two forms -------------------------------------------------------------------------------------------------


def test_values_are_kept_as_the_objects_they_are(store: MemoryStore) -> None:
    value = object()
    put_values(store, B1, [value], VALUES)
    assert values_of(store, B1)[0] is value


def test_bytes_put_at_a_deserialized_level_become_values_that_own_their_memory(store: MemoryStore) -> None:
    data = serialized([np.arange(100)])
    assert store.put_bytes(B1, HeapBuffer(data), VALUES).stored
    (array,) = values_of(store, B1)
    np.testing.assert_array_equal(array, np.arange(100))
    assert not np.shares_memory(array, np.frombuffer(data, dtype=np.uint8))
    assert values_of(store, B1)[0] is array


def test_bytes_on_the_heap_are_kept_and_others_copied(store: MemoryStore) -> None:
    data = bytearray(serialized([1]))
    store.put_bytes(B1, HeapBuffer(data), BYTES)
    store.put_bytes(B2, ShmBuffer(memoryview(data)), BYTES)
    data[:] = bytes(len(data))
    assert bytes_of(store, B1) == bytes(len(data))
    assert values_of(store, B2) == [1]


def test_small_bytes_are_put_with_their_exact_size(store: MemoryStore) -> None:
    assert store.put_bytes(RDDBlockId(3, 10), HeapBuffer(bytes(10 * KB)), BYTES).size == 10 * KB
    assert store.get_size(RDDBlockId(3, 10)) == 10 * KB


def test_bytes_that_do_not_fit_are_not_even_fetched(store: MemoryStore) -> None:
    class Untouchable(ManagedBuffer):
        size = 13 * MB

        def memoryview(self) -> memoryview:
            raise AssertionError("fetched")

        def release(self) -> None:
            raise AssertionError("released")

    result = store.put_bytes(RDDBlockId(3, 10), Untouchable(), BYTES)
    assert not result.stored
    assert_absent(store, RDDBlockId(3, 10))


# --- unrolling (MemoryStoreSuite) ----------------------------------------------------------------------------------


@BOTH
def test_unroll_memory_grows_with_the_block_and_is_all_given_back(store: MemoryStore, level: StorageLevel) -> None:
    seen: list[int] = []

    def watched() -> Iterator[bytes]:
        for value in SMALL:
            seen.append(unroll_memory(store))
            yield value

    assert store.put_iterator(B1, watched(), level).stored
    assert seen[0] == 512 * KB
    assert seen == sorted(seen)
    assert seen[-1] > 4 * MB
    assert unroll_memory(store) == 0


@BOTH
def test_blocks_unroll_when_there_is_room(store: MemoryStore, level: StorageLevel) -> None:
    for block_id in (B1, B2):
        put_values(store, block_id, SMALL, level)
        assert unroll_memory(store) == 0
    assert values_of(store, B1) == values_of(store, B2) == SMALL


@BOTH
def test_unrolling_evicts_the_oldest_block_to_make_room(store: MemoryStore, level: StorageLevel) -> None:
    for block_id in (B1, B2):
        put_values(store, block_id, SMALL, level)
    result = store.put_iterator(B3, iter(SMALL), level)
    assert (result.stored, result.dropped) == (True, [B1])
    assert [store.contains(block_id) for block_id in (B1, B2, B3)] == [False, True, True]
    assert unroll_memory(store) == 0
    assert values_of(store, B3) == SMALL


@BOTH
def test_a_huge_block_evicts_up_to_the_unroll_fraction_and_is_given_back_whole(
    store: MemoryStore, level: StorageLevel
) -> None:
    for block_id in (B2, B3):
        put_values(store, block_id, SMALL, level)
    result = store.put_iterator(B4, iter(BIG), level)
    assert not result.stored
    assert [store.contains(block_id) for block_id in (B2, B3, B4)] == [False, True, False]
    assert unroll_memory(store) > 0  # what was unrolled is still there
    assert result.leftover is not None
    assert list(result.leftover) == BIG
    assert unroll_memory(store) == 0


@BOTH
def test_the_memory_of_a_leftover_is_given_back_when_the_unrolled_part_was_used(
    store: MemoryStore, level: StorageLevel
) -> None:
    seen: list[int] = []

    def big() -> Iterator[bytes]:
        for value in BIG:
            seen.append(unroll_memory(store))
            yield value

    leftover = store.put_iterator(B1, big(), level).leftover
    assert leftover is not None
    taken = len(seen)
    assert 0 < taken < len(BIG)
    assert next(leftover) == BIG[0]
    assert unroll_memory(store) > 0
    assert list(leftover) == BIG[1:]
    assert set(seen[taken:]) == {0}


@BOTH
def test_a_leftover_can_be_written_to_disk(store: MemoryStore, level: StorageLevel, tmp_path: Path) -> None:
    disk = DiskStore(DiskBlockManager([str(tmp_path)], "0"))
    leftover = store.put_iterator(B1, iter(BIG), level).leftover
    assert leftover is not None
    assert disk.put_iterator(B1, leftover, StorageLevel.DISK_ONLY).stored
    assert values_of(disk, B1) == BIG
    assert unroll_memory(store) == 0
    disk.check()


@BOTH
@pytest.mark.parametrize("use", ["close", "drop", "drop unused"])
def test_the_memory_of_a_leftover_is_given_back_when_it_is_not_used_up(
    store: MemoryStore, level: StorageLevel, use: str
) -> None:
    leftover: Any = store.put_iterator(B1, iter(BIG), level).leftover
    assert unroll_memory(store) > 0
    if use == "close":
        next(leftover)
        leftover.close()
        assert list(leftover) == []
    elif use == "drop":
        next(leftover)
        del leftover
    else:
        del leftover
    gc.collect()
    assert unroll_memory(store) == 0


@BOTH
def test_unrolls_of_one_thread_add_up_until_there_is_no_room(store: MemoryStore, level: StorageLevel) -> None:
    for block_id in (RDDBlockId(1, 1), RDDBlockId(1, 2)):
        put_values(store, block_id, SMALL, level)
    leftovers = []
    held = []
    for split in range(3, 8):  # blocks of the same RDD may not be evicted for these
        result = store.put_iterator(RDDBlockId(1, split), iter(SMALL), level)
        assert not result.stored
        leftovers.append(result.leftover)
        held.append(unroll_memory(store))
    assert held[0] > 0
    assert held == sorted(held)
    assert held[-1] <= 12 * MB - store.statistics().storage_memory
    for leftover in leftovers:
        assert leftover is not None
        assert list(leftover) == SMALL
    assert unroll_memory(store) == 0


@BOTH
def test_the_end_of_a_task_gives_back_what_its_thread_holds_and_no_more(
    make_store: Callable[..., MemoryStore], level: StorageLevel
) -> None:
    store = make_store()
    kept: list[Any] = [store.put_iterator(B1, iter(BIG), level).leftover]
    mine = unroll_memory(store)
    other = threading.Thread(target=lambda: kept.append(store.put_iterator(B2, iter(BIG), level).leftover))
    other.start()
    other.join(20)
    both = unroll_memory(store)
    store.release_unroll_memory()
    assert unroll_memory(store) == both - mine
    assert list(kept[0]) == BIG  # still good, only not accounted for any more
    assert unroll_memory(store) == both - mine
    kept.clear()
    gc.collect()
    assert unroll_memory(store) == 0


@BOTH
def test_a_partition_is_never_materialised_before_it_is_known_to_fit(store: MemoryStore, level: StorageLevel) -> None:
    taken = 0

    def endless() -> Iterator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield bytes(MB)

    result = store.put_iterator(B1, endless(), level)
    assert not result.stored
    assert taken <= 12 + 1


@BOTH
def test_records_that_become_larger_are_noticed_in_time(store: MemoryStore, level: StorageLevel) -> None:
    taken = 0

    def growing() -> Iterator[bytes]:
        nonlocal taken
        for _ in range(20):
            yield b""
        while True:
            taken += 1
            yield bytes(MB)

    assert not store.put_iterator(B1, growing(), level).stored
    assert taken <= 12 + 64


@BOTH
def test_a_block_smaller_than_the_threshold_fits_where_the_threshold_does_not(
    make_store: Callable[..., MemoryStore], level: StorageLevel
) -> None:
    store = make_store(unroll_threshold=13 * MB)
    put_values(store, B1, SMALL, level)
    assert values_of(store, B1) == SMALL


@BOTH
def test_a_store_of_no_memory_gives_everything_back(
    make_store: Callable[..., MemoryStore], level: StorageLevel
) -> None:
    store = make_store(0)
    result = store.put_iterator(B1, iter(BIG), level)
    assert not result.stored
    assert result.leftover is not None
    assert list(result.leftover) == BIG


# --- eviction ------------------------------------------------------------------------------------------------------


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
