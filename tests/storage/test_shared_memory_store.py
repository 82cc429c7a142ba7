"""The off-heap store: the conformance suite, then eviction and the extents of removed blocks."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterator

import numpy as np
import pytest

from protocol.locations import ShmLocation
from storage.arena import Arena
from storage.block_id import BlockId, BroadcastBlockId, RDDBlockId
from storage.block_store import BlockStore
from storage.managed_buffer import HeapBuffer, ManagedBuffer
from storage.segment import PAGE, SegmentReader
from storage.serializer import deserialize
from storage.shared_memory_store import SharedMemoryStore
from storage.storage_level import StorageLevel
from tests.storage.store_conformance import (
    CHECKS,
    EVICTING_CHECKS,
    Check,
    assert_absent,
    put_values,
    run_together,
    values_of,
)

PREFIX = f"localcluster-test-store-{os.getpid()}"
LEVEL = StorageLevel.OFF_HEAP
KIB = 1 << 10


class Cluster:
    """What the store's callbacks lead to in a block manager: the master's leases, and the disk."""

    def __init__(self, limit: int, first_segment: int = PAGE) -> None:
        self.limit = limit
        self.segments: dict[str, int] = {}
        self.leased: set[BlockId] = set()
        self.disk: dict[BlockId, bytes] = {}
        self.asked: list[list[BlockId]] = []
        self.broken: Exception | None = None  # what disk and master raise
        self.arena = Arena(
            "/dev/shm", PREFIX, (), self.request, self.segments.pop, first_segment=first_segment, max_segment=256 * PAGE
        )
        self.store = SharedMemoryStore(
            self.arena, limit, can_evict=self.can_evict, drop=self.drop, release=self.release
        )

    def request(self, path: str, size: int) -> bool:
        if sum(self.segments.values()) + size > self.limit:
            return False
        self.segments[path] = size
        return True

    def can_evict(self, block_ids: Collection[BlockId]) -> set[BlockId]:
        self.asked.append(list(block_ids))
        return set(block_ids) - self.leased

    def drop(self, block_id: BlockId, buffer: ManagedBuffer) -> None:
        if self.broken:
            raise self.broken
        self.disk[block_id] = bytes(buffer.memoryview())

    def release(self, block_id: BlockId, location: ShmLocation) -> bool:
        if self.broken:
            raise self.broken
        return block_id not in self.leased


@pytest.fixture
def make_cluster() -> Iterator[Callable[..., Cluster]]:
    made: list[Cluster] = []

    def make(limit: int, first_segment: int = PAGE) -> Cluster:
        made.append(Cluster(limit, first_segment))
        return made[-1]

    yield make
    for cluster in made:
        cluster.store.check()
        cluster.arena.close(unlink=True)


@pytest.fixture
def cluster(make_cluster: Callable[..., Cluster]) -> Cluster:
    return make_cluster(1 << 40)


@pytest.fixture
def full(make_cluster: Callable[..., Cluster]) -> Cluster:
    """Ten blocks of 8 KiB, the first put first, and no room for another."""
    cluster = make_cluster(80 * KIB)
    for rdd in range(10):
        result = put(cluster, RDDBlockId(rdd, 0))
        assert result == []
    return cluster


def put(cluster: Cluster, block_id: BlockId, size: int = 8 * KIB) -> list[BlockId]:
    """Put bytes that must fit; the blocks dropped for it."""
    result = cluster.store.put_bytes(block_id, HeapBuffer(block_id.name.encode().ljust(size)), LEVEL)
    assert result.stored
    return result.dropped


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_shared_memory_store_conforms(check: Check, cluster: Cluster) -> None:
    check(cluster.store, LEVEL)
    cluster.store.clear()
    assert cluster.arena.statistics().extents == 0


@pytest.mark.parametrize("check", EVICTING_CHECKS, ids=lambda check: check.__name__)
def test_the_shared_memory_store_evicts_by_last_use(
    check: Callable[[Callable[[int], BlockStore], StorageLevel], None], make_cluster: Callable[..., Cluster]
) -> None:
    def make_store(capacity: int) -> BlockStore:
        """Segments are whole pages, so what is above the capacity is taken by an extent that is no block."""
        cluster = make_cluster(4 * PAGE, first_segment=4 * PAGE)
        cluster.arena.allocate(4 * PAGE - capacity)
        return cluster.store

    check(make_store, LEVEL)


def test_another_process_reads_the_block_at_its_location(cluster: Cluster) -> None:
    block = BroadcastBlockId(1)
    cluster.store.put_iterator(block, iter([np.arange(1000)]), LEVEL)
    view = SegmentReader().view(cluster.store.location(block))
    (array,) = deserialize(view)
    np.testing.assert_array_equal(array, np.arange(1000))
    assert cluster.store.location(BroadcastBlockId(2)) is None


# --- eviction ------------------------------------------------------------------------------------------------------


def test_the_block_used_longest_ago_is_dropped_to_disk(full: Cluster) -> None:
    assert put(full, RDDBlockId(10, 0)) == [RDDBlockId(0, 0)]
    assert full.disk == {RDDBlockId(0, 0): b"rdd_0_0".ljust(8 * KIB)}
    assert_absent(full.store, RDDBlockId(0, 0))


def test_as_many_blocks_go_as_the_new_one_needs(full: Cluster) -> None:
    dropped = put(full, BroadcastBlockId(1), 30 * KIB)
    assert dropped[:4] == [RDDBlockId(rdd, 0) for rdd in range(4)]
    assert len(dropped) <= 6
    assert full.store.get_bytes(BroadcastBlockId(1)) is not None


def test_blocks_of_the_rdd_being_written_stay(full: Cluster) -> None:
    full.store.clear()
    for split in range(10):
        put(full, RDDBlockId(1, split))
    result = full.store.put_bytes(RDDBlockId(1, 10), HeapBuffer(bytes(8 * KIB)), LEVEL)
    assert not result.stored
    assert result.dropped == []
    assert full.asked == []
    assert len(put(full, RDDBlockId(2, 0))) == 1


def test_blocks_that_others_read_make_place_for_other_victims(full: Cluster) -> None:
    full.leased = {RDDBlockId(0, 0), RDDBlockId(1, 0)}
    assert put(full, RDDBlockId(10, 0)) == [RDDBlockId(2, 0)]


def test_when_all_are_read_by_others_nothing_is_dropped(full: Cluster) -> None:
    full.leased = {RDDBlockId(rdd, 0) for rdd in range(10)}
    result = full.store.put_bytes(RDDBlockId(10, 0), HeapBuffer(bytes(8 * KIB)), LEVEL)
    assert not result.stored
    assert full.disk == {}


def test_blocks_viewed_in_this_process_are_pinned(full: Cluster) -> None:
    buffer = full.store.get_bytes(RDDBlockId(0, 0))
    other = full.store.get_bytes(RDDBlockId(1, 0))
    view = other.memoryview() if other is not None else None
    del other
    full.store.get_bytes(RDDBlockId(2, 0))
    for rdd in range(2, 10):
        full.store.get_bytes(RDDBlockId(rdd, 0))
    assert put(full, RDDBlockId(10, 0)) == [RDDBlockId(2, 0)]
    assert buffer is not None
    assert bytes(buffer.memoryview()[:7]) == b"rdd_0_0"
    del buffer, view
    assert put(full, RDDBlockId(11, 0)) == [RDDBlockId(0, 0)]


def test_nothing_is_dropped_for_a_block_that_cannot_fit(full: Cluster) -> None:
    result = full.store.put_bytes(BroadcastBlockId(1), HeapBuffer(bytes(81 * KIB)), LEVEL)
    assert not result.stored
    assert result.dropped == []
    full.leased = {RDDBlockId(rdd, 0) for rdd in range(5)}
    result = full.store.put_bytes(BroadcastBlockId(1), HeapBuffer(bytes(60 * KIB)), LEVEL)
    assert not result.stored
    assert full.disk == {}


def test_values_that_find_no_room_are_all_left_over(full: Cluster) -> None:
    full.leased = {RDDBlockId(rdd, 0) for rdd in range(8)}
    values = [os.urandom(1000) for _ in range(50)]
    result = full.store.put_iterator(RDDBlockId(20, 0), iter(values), LEVEL)
    assert not result.stored
    assert_absent(full.store, RDDBlockId(20, 0))
    assert result.leftover is not None
    assert list(result.leftover) == values
    full.store.check()
    assert full.arena.statistics().extents == sum(full.store.contains(RDDBlockId(rdd, 0)) for rdd in range(10))


def test_a_stream_evicts_as_it_grows(full: Cluster) -> None:
    values = [os.urandom(1000) for _ in range(20)]
    result = full.store.put_iterator(RDDBlockId(20, 0), iter(values), LEVEL)
    assert result.stored
    assert result.dropped
    assert values_of(full.store, RDDBlockId(20, 0)) == values
    assert set(result.dropped) == set(full.disk)


def test_a_block_whose_drop_fails_stays_and_the_put_fails(full: Cluster) -> None:
    full.broken = OSError("disk full")
    with pytest.raises(OSError, match="disk full"):
        put(full, RDDBlockId(10, 0))
    assert_absent(full.store, RDDBlockId(10, 0))
    assert full.store.contains(RDDBlockId(0, 0))
    full.store.check()
    full.broken = None
    assert put(full, RDDBlockId(10, 0)) == [RDDBlockId(0, 0)]


def test_scattered_room_is_not_enough_and_more_is_evicted(full: Cluster) -> None:
    for rdd in (1, 4, 7):
        full.store.remove(RDDBlockId(rdd, 0))
    put(full, BroadcastBlockId(1), 24 * KIB)
    assert full.store.contains(BroadcastBlockId(1))


def test_threads_that_put_into_a_full_store_all_succeed_or_say_so(make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster(80 * KIB)

    def work(number: int) -> None:
        for turn in range(50):
            block = RDDBlockId(number * 1000 + turn, 0)
            result = cluster.store.put_iterator(block, iter([(number, turn)] * 100), LEVEL)
            if not result.stored:
                assert result.leftover is not None
                assert list(result.leftover) == [(number, turn)] * 100
            del result
            values = cluster.store.get_values(block)
            assert values is None or list(values) == [(number, turn)] * 100

    run_together(work, 4)
    cluster.store.check()


# --- extents of removed blocks -------------------------------------------------------------------------------------


def test_a_removed_block_that_others_read_waits_in_limbo(cluster: Cluster) -> None:
    put_values(cluster.store, BroadcastBlockId(1), [1], LEVEL)
    location = cluster.store.location(BroadcastBlockId(1))
    cluster.leased.add(BroadcastBlockId(1))
    assert cluster.store.remove(BroadcastBlockId(1))
    assert cluster.arena.statistics().limbo > 0
    cluster.arena.released(location)
    assert cluster.arena.statistics().extents == 0


def test_a_master_that_cannot_be_asked_counts_as_still_reading(cluster: Cluster) -> None:
    put_values(cluster.store, BroadcastBlockId(1), [1], LEVEL)
    cluster.broken = ConnectionError("the driver is gone")
    with pytest.raises(ConnectionError):
        cluster.store.remove(BroadcastBlockId(1))
    assert not cluster.store.contains(BroadcastBlockId(1))
    assert cluster.arena.statistics().limbo > 0


def test_reads_during_removals_never_see_another_block(cluster: Cluster) -> None:
    """Blocks of one size take each other's place: a view made a moment too late would show the wrong one."""
    stop = threading.Event()
    block = RDDBlockId(0, 0)

    def churn() -> None:
        for turn in range(500):
            other = RDDBlockId(1, turn)
            put(cluster, block)
            cluster.store.remove(block)
            put(cluster, other)
            cluster.store.remove(other)
        stop.set()

    def read(number: int) -> None:
        if number == 0:
            churn()
        while not stop.is_set():
            buffer = cluster.store.get_bytes(block)
            if buffer is not None:
                assert bytes(buffer.memoryview()[:8]) == b"rdd_0_0 "

    run_together(read, 3)
