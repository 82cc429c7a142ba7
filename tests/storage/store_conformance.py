"""The one suite that every store passes: what `BlockStore` promises, whatever the store.

A test file gives each function of `CHECKS` an empty store and a level that the store is used at, and calls its
``check()`` afterwards; `EVICTING_CHECKS` is for stores that evict by themselves and takes a maker of stores of so many
bytes. What only one store does (files, leases) is tested in that store's own file.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal  # imported later, in a test, it leaves frames that hold blocks' views

from protocol.errors import BlockNotFoundError, BlockPutError, SerializationError
from protocol.locations import FileLocation, ShmLocation
from storage.attach import attach
from storage.block_id import (
    BlockId,
    BroadcastBlockId,
    RDDBlockId,
    ShuffleBlockId,
    ShuffleDataBlockId,
    ShuffleIndexBlockId,
    StreamBlockId,
    TaskResultBlockId,
)
from storage.block_store import BlockStore
from storage.managed_buffer import HeapBuffer
from storage.serializer import deserialize, serialize
from storage.storage_level import StorageLevel
from tests.storage.store_model import any_sequence_of_steps_agrees_with_a_dict
from tests.support import DEADLINE

Check = Callable[[BlockStore, StorageLevel], None]

BLOCK = RDDBlockId(1, 2)
OTHER = RDDBlockId(2, 0)
RECORDS = [("a", 1), None, 2.5, [1, {"b": b"bytes"}], {"set"}, 10**30]


def put_values(store: BlockStore, block_id: BlockId, values: list[Any], level: StorageLevel) -> None:
    result = store.put_iterator(block_id, iter(values), level)
    assert result.stored
    assert result.leftover is None


def values_of(store: BlockStore, block_id: BlockId) -> list[Any]:
    values = store.get_values(block_id)
    assert values is not None
    return list(values)


def bytes_of(store: BlockStore, block_id: BlockId) -> memoryview:
    buffer = store.get_bytes(block_id)
    assert buffer is not None
    return buffer.memoryview()


def serialized(values: list[Any]) -> bytes:
    return b"".join(serialize(values))


def assert_absent(store: BlockStore, block_id: BlockId) -> None:
    assert not store.contains(block_id)
    assert store.get_values(block_id) is None
    assert store.get_bytes(block_id) is None
    with pytest.raises(BlockNotFoundError, match=block_id.name):
        store.get_size(block_id)
    assert not store.remove(block_id)


def run_together(action: Callable[[int], None], threads: int) -> None:
    """Run ``action(0)``, ``action(1)``, … at once in threads; re-raises the first error."""
    start = threading.Barrier(threads)
    errors: list[BaseException] = []

    def run(number: int) -> None:
        try:
            start.wait(DEADLINE)
            action(number)
        except BaseException as error:
            errors.append(error)

    running = [threading.Thread(target=run, args=(number,)) for number in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join(DEADLINE)
        assert not thread.is_alive()
    if errors:
        raise errors[0]


# --- checks --------------------------------------------------------------------------------------------------------


def values_come_back_in_order(store: BlockStore, level: StorageLevel) -> None:
    put_values(store, BLOCK, RECORDS, level)
    assert values_of(store, BLOCK) == RECORDS
    assert values_of(store, BLOCK) == RECORDS
    assert list(deserialize(bytes_of(store, BLOCK))) == RECORDS


def bytes_come_back_as_they_were_and_read_only(store: BlockStore, level: StorageLevel) -> None:
    data = serialized(RECORDS)
    result = store.put_bytes(BLOCK, HeapBuffer(data), level)
    assert result.stored
    assert values_of(store, BLOCK) == RECORDS
    view = bytes_of(store, BLOCK)
    assert view == data
    assert view.readonly
    assert view.format == "B"


def a_size_is_that_of_the_put(store: BlockStore, level: StorageLevel) -> None:
    result = store.put_iterator(BLOCK, iter(RECORDS), level)
    assert store.get_size(BLOCK) == result.size > 0
    if not level.deserialized:
        assert result.size == bytes_of(store, BLOCK).nbytes
    data = serialized(RECORDS)
    store.put_bytes(OTHER, HeapBuffer(data), StorageLevel.MEMORY_ONLY_SER)
    assert store.get_size(OTHER) == len(data)


def an_absent_block_is_nowhere(store: BlockStore, level: StorageLevel) -> None:
    put_values(store, OTHER, RECORDS, level)
    assert_absent(store, BLOCK)


def a_removed_block_is_nowhere_and_can_be_put_again(store: BlockStore, level: StorageLevel) -> None:
    put_values(store, BLOCK, [1], level)
    put_values(store, OTHER, [3], level)
    assert store.remove(BLOCK)
    assert_absent(store, BLOCK)
    put_values(store, BLOCK, [2], level)
    assert values_of(store, BLOCK) == [2]
    assert values_of(store, OTHER) == [3]


def clear_removes_all(store: BlockStore, level: StorageLevel) -> None:
    for split in range(20):
        put_values(store, RDDBlockId(7, split), [split], level)
    store.clear()
    for split in range(20):
        assert_absent(store, RDDBlockId(7, split))
    store.clear()
    put_values(store, BLOCK, RECORDS, level)


def a_second_put_is_refused_and_changes_nothing(store: BlockStore, level: StorageLevel) -> None:
    put_values(store, BLOCK, [1], level)
    with pytest.raises(BlockPutError, match=BLOCK.name):
        store.put_iterator(BLOCK, iter([2]), level)
    with pytest.raises(BlockPutError, match=BLOCK.name):
        store.put_bytes(BLOCK, HeapBuffer(serialized([2])), level)
    assert values_of(store, BLOCK) == [1]


def a_failing_iterator_leaves_nothing(store: BlockStore, level: StorageLevel) -> None:
    for error in (ValueError("mine"), OSError("mine, not the disk's"), KeyboardInterrupt()):
        for good in (0, 1, 5000):

            def failing(good: int = good, error: BaseException = error) -> Iterator[int]:
                yield from range(good)
                raise error

            with pytest.raises(type(error)) as caught:
                store.put_iterator(BLOCK, failing(), level)
            assert caught.value is error
            assert_absent(store, BLOCK)
            store.check()
    put_values(store, BLOCK, RECORDS, level)


def a_value_that_cannot_be_pickled_leaves_nothing(store: BlockStore, level: StorageLevel) -> None:
    values = [*range(5000), threading.Lock()]
    if level.deserialized:
        put_values(store, BLOCK, values, level)
        assert values_of(store, BLOCK)[-1] is values[-1]
        return
    with pytest.raises(SerializationError):
        store.put_iterator(BLOCK, iter(values), level)
    assert_absent(store, BLOCK)


def an_empty_block_is_a_block(store: BlockStore, level: StorageLevel) -> None:
    put_values(store, BLOCK, [], level)
    assert store.contains(BLOCK)
    assert values_of(store, BLOCK) == []
    assert bytes_of(store, BLOCK) == b""
    store.put_bytes(OTHER, HeapBuffer(b""), level)
    assert values_of(store, OTHER) == []
    assert store.remove(BLOCK)
    assert_absent(store, BLOCK)


def a_large_block_comes_back(store: BlockStore, level: StorageLevel) -> None:
    values = [bytes([number % 256]) * 100_000 for number in range(100)]
    put_values(store, BLOCK, values, level)
    assert values_of(store, BLOCK) == values
    many = list(range(300_000))
    put_values(store, OTHER, many, level)
    assert values_of(store, OTHER) == many


def arrays_are_their_readers_own(store: BlockStore, level: StorageLevel) -> None:
    for block_id, size in ((BLOCK, 1_000), (OTHER, 200_000)):  # copied, and mapped privately
        arrays = [np.arange(size, dtype=np.float64) + number for number in range(3)]
        arrays[1].flags.writeable = False
        put_values(store, block_id, [array.copy() for array in arrays[:1]] + arrays[1:], level)
        if level.deserialized:  # the objects are those that were put
            continue
        first, second = values_of(store, block_id), values_of(store, block_id)
        for array in first:
            array[::100] = -1
        for array, changed, original in zip(second, first, arrays, strict=True):
            assert_array_equal(array, original)
            assert changed[0] == -1
        del array, changed, first, second
        for array, original in zip(values_of(store, block_id), arrays, strict=True):
            assert_array_equal(array, original)


def bytes_are_read_only(store: BlockStore, level: StorageLevel) -> None:
    put_values(store, BLOCK, [np.arange(50_000, dtype=np.float64) + number for number in range(3)], level)
    data = bytes_of(store, BLOCK)
    for array in deserialize(data):
        assert not array.flags.writeable
        assert np.shares_memory(array, np.frombuffer(data, dtype=np.uint8))


def what_was_read_outlives_the_block(store: BlockStore, level: StorageLevel) -> None:
    array = np.arange(100_000)
    put_values(store, BLOCK, [array], level)
    (value,) = values_of(store, BLOCK)
    view = bytes_of(store, BLOCK)
    half_read = store.get_values(BLOCK)
    assert half_read is not None
    store.remove(BLOCK)
    put_values(store, BLOCK, [np.zeros(100_000)], level)
    store.clear()
    assert_array_equal(value, array)
    (again,) = deserialize(view)
    assert_array_equal(again, array)
    assert_array_equal(next(half_read), array)


def every_kind_of_block_is_kept_apart(store: BlockStore, level: StorageLevel) -> None:
    block_ids: list[BlockId] = [
        RDDBlockId(0, 1),
        ShuffleBlockId(0, 1, 0),
        ShuffleDataBlockId(0, 1, 0),
        ShuffleIndexBlockId(0, 1, 0),
        BroadcastBlockId(0),
        BroadcastBlockId(0, "piece0"),
        TaskResultBlockId(0),
        StreamBlockId(0, 1),
    ]
    for block_id in block_ids:
        put_values(store, block_id, [block_id.name], level)
    for block_id in block_ids:
        assert values_of(store, block_id) == [block_id.name]


def of_puts_of_one_block_at_once_one_stores(store: BlockStore, level: StorageLevel) -> None:
    for split in range(10):
        block_id = RDDBlockId(3, split)
        stored: list[int] = []

        def put(number: int, block_id: BlockId = block_id, stored: list[int] = stored) -> None:
            try:
                result = store.put_iterator(block_id, iter([number] * 1000), level)
            except BlockPutError:
                return
            assert result.stored
            stored.append(number)

        run_together(put, 4)
        assert len(stored) == 1
        assert values_of(store, block_id) == stored * 1000


def threads_see_whole_blocks_or_none(store: BlockStore, level: StorageLevel) -> None:
    """Each thread puts, reads and removes the same few blocks, whose values must always be of one put."""

    def use(number: int) -> None:
        for turn in range(60):
            block_id = RDDBlockId(4, turn % 3)
            action = (turn + number) % 4
            if action == 0:
                try:
                    store.put_iterator(block_id, iter([(number, turn)] * 200), level)
                except BlockPutError:
                    continue
            elif action == 1:
                store.remove(block_id)
            else:
                values = store.get_values(block_id)
                if values is not None:
                    found = list(values)
                    assert found == found[:1] * 200

    run_together(use, 4)
    store.check()


def a_put_under_way_is_not_visible(store: BlockStore, level: StorageLevel) -> None:
    def looking() -> Iterator[int]:
        for number in range(2000):
            if number % 500 == 0:
                assert_absent(store, BLOCK)
            yield number

    put_values(store, BLOCK, [], level)
    store.remove(BLOCK)
    result = store.put_iterator(BLOCK, looking(), level)
    assert result.stored
    assert values_of(store, BLOCK) == list(range(2000))


def a_location_leads_others_to_the_bytes_if_there_is_one(store: BlockStore, level: StorageLevel) -> None:
    assert store.location(BLOCK) is None
    put_values(store, BLOCK, RECORDS, level)
    location = store.location(BLOCK)
    if location is not None:
        assert isinstance(location, ShmLocation | FileLocation)
        assert attach(location) == bytes_of(store, BLOCK)
    store.remove(BLOCK)
    assert store.location(BLOCK) is None


CHECKS: list[Check] = [
    a_location_leads_others_to_the_bytes_if_there_is_one,
    values_come_back_in_order,
    bytes_come_back_as_they_were_and_read_only,
    a_size_is_that_of_the_put,
    an_absent_block_is_nowhere,
    a_removed_block_is_nowhere_and_can_be_put_again,
    clear_removes_all,
    a_second_put_is_refused_and_changes_nothing,
    a_failing_iterator_leaves_nothing,
    a_value_that_cannot_be_pickled_leaves_nothing,
    an_empty_block_is_a_block,
    a_large_block_comes_back,
    arrays_are_their_readers_own,
    bytes_are_read_only,
    what_was_read_outlives_the_block,
    every_kind_of_block_is_kept_apart,
    of_puts_of_one_block_at_once_one_stores,
    threads_see_whole_blocks_or_none,
    a_put_under_way_is_not_visible,
    any_sequence_of_steps_agrees_with_a_dict,
]


# --- for stores that evict -----------------------------------------------------------------------------------------


def looking_does_not_keep_a_block(make_store: Callable[[int], BlockStore], level: StorageLevel) -> None:
    """The put that no longer fits evicts the block that was not *read* for longest."""
    store = _full_store(make_store, level)
    assert store.contains(RDDBlockId(0, 0))
    store.get_size(RDDBlockId(0, 0))
    result = store.put_iterator(RDDBlockId(5, 0), iter([bytes(1000)]), level)
    assert result.dropped[0] == RDDBlockId(0, 0)
    store.check()


def reading_keeps_a_block(make_store: Callable[[int], BlockStore], level: StorageLevel) -> None:
    store = _full_store(make_store, level)
    store.get_values(RDDBlockId(0, 0))
    store.get_bytes(RDDBlockId(1, 0))
    result = store.put_iterator(RDDBlockId(5, 0), iter([bytes(1000)]), level)
    assert result.dropped[0] == RDDBlockId(2, 0)
    store.check()


def _full_store(make_store: Callable[[int], BlockStore], level: StorageLevel) -> BlockStore:
    """A store that holds blocks of the RDDs 0 to 4 and has no room for a sixth block."""
    store = make_store(6000)
    for rdd in range(5):
        put_values(store, RDDBlockId(rdd, 0), [bytes(1000)], level)
    return store


EVICTING_CHECKS = [looking_does_not_keep_a_block, reading_keeps_a_block]
