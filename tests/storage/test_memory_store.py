"""The store on the heap: the conformance suite, its two forms, and unrolling."""

from __future__ import annotations

import errno
import gc
import threading
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from protocol.errors import CorruptBlockError
from protocol.locations import ShmLocation
from storage import os_layer
from storage.block_id import RDDBlockId
from storage.disk_block_manager import DiskBlockManager
from storage.disk_store import DiskStore
from storage.managed_buffer import HeapBuffer, ManagedBuffer, PagesBuffer, ShmBuffer
from storage.memory_store import MemoryStore
from storage.storage_level import StorageLevel
from tests.storage.small_memory_store import (
    B1,
    B2,
    B3,
    B4,
    BIG,
    BOTH,
    BYTES,
    KB,
    MB,
    SMALL,
    VALUES,
    checked_stores,
    unroll_memory,
)
from tests.storage.store_conformance import (
    CHECKS,
    EVICTING_CHECKS,
    Check,
    assert_absent,
    bytes_of,
    put_values,
    serialized,
    values_of,
)


@pytest.fixture
def make_store() -> Iterator[Callable[..., MemoryStore]]:
    yield from checked_stores()


@pytest.fixture
def store(make_store: Callable[..., MemoryStore]) -> MemoryStore:
    return make_store()


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
    store.put_bytes(B2, ShmBuffer(memoryview(data), ShmLocation("/nowhere", 0, len(data))), BYTES)
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


# --- large arrays ---


def large(count: int) -> list[Any]:
    return [np.full(1 << 17, number) for number in range(count)]  # a MiB each


def test_large_arrays_are_kept_where_readers_need_no_copy(
    make_store: Callable[..., MemoryStore],
) -> None:
    store = make_store(64 << 20)
    store.put_iterator(B1, iter(large(3)), BYTES)
    store.put_bytes(B2, HeapBuffer(serialized(large(3))), BYTES)
    store.put_iterator(B3, iter([bytes(1 << 20) for _ in range(3)]), BYTES)
    kinds = [type(store.get_bytes(block_id)) for block_id in (B1, B2, B3)]
    assert kinds == [PagesBuffer, PagesBuffer, HeapBuffer], "what is no array is unpickled anyway"
    for block_id in (B1, B2):
        assert store.damage(block_id, lambda data: data.__setitem__(1 << 20, data[1 << 20] ^ 1))
        with pytest.raises(CorruptBlockError):
            store.get_values(block_id)


@pytest.mark.parametrize("room", [1, 2, 3, 4, 5])
def test_large_arrays_that_do_not_fit_are_left_over(make_store: Callable[..., MemoryStore], room: int) -> None:
    store = make_store((room << 20) + 1000)
    result = store.put_iterator(B1, iter(large(6)), BYTES)
    assert not result.stored
    assert result.leftover is not None
    found = list(result.leftover)
    assert [int(array[0]) for array in found] == [*range(6)]
    assert [int(array[-1]) for array in found] == [*range(6)]


def test_without_room_for_pages_large_arrays_do_not_fit(
    make_store: Callable[..., MemoryStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_store(64 << 20)
    calls = count()

    def write_at(fd: int, data: Any, offset: int) -> None:
        if next(calls) > 3:
            raise OSError(errno.ENOSPC, "no room")
        real(fd, data, offset)

    real = os_layer.write_at
    monkeypatch.setattr(os_layer, "write_at", write_at)
    result = store.put_iterator(B1, iter(large(6)), BYTES)
    assert not result.stored
    assert result.leftover is not None
    assert [int(array[-1]) for array in result.leftover] == [*range(6)]


def test_a_record_of_large_arrays_that_do_not_fit_together_is_in_the_leftover(
    make_store: Callable[..., MemoryStore],
) -> None:
    store = make_store(4 << 20)
    result = store.put_iterator(B1, iter([(np.zeros(3 << 17), np.ones(3 << 17)), 5]), BYTES)
    assert result.leftover is not None
    (zeros, ones), five = result.leftover
    assert (zeros.sum(), ones.sum(), five) == (0, 3 << 17, 5)
