"""Memory that is full: what is evicted, what goes to disk and comes back. Mirrors Spark's BlockManagerSuite."""

from __future__ import annotations

import pytest

from storage.block_id import RDDBlockId
from storage.block_manager import BlockManager
from storage.block_status import NOT_HERE
from storage.managed_buffer import HeapBuffer
from storage.serializer import serialize
from storage.storage_level import StorageLevel
from tests.storage.clusters import BIG, SEGMENT, ClusterMaker, block, has, locations, values


def off_heap_only() -> StorageLevel:
    return StorageLevel(False, True, True, False)


def tight(make_cluster: ClusterMaker, level: StorageLevel) -> tuple[BlockManager, list[bytes]]:
    """A manager whose memory of that level has room for two of the values, not for three; each fits the last one's
    place.
    """
    if level.use_off_heap:
        return make_cluster(shared_memory=SEGMENT).add("A"), [bytes(2_000_000 - 100_000 * n) for n in range(5)]
    return make_cluster().add("A"), [BIG] * 5


@pytest.mark.parametrize("level", [StorageLevel.MEMORY_ONLY, StorageLevel.MEMORY_ONLY_SER, off_heap_only()], ids=str)
def test_the_block_used_longest_ago_goes_first(make_cluster: ClusterMaker, level: StorageLevel) -> None:
    a, sized = tight(make_cluster, level)
    for number in (1, 2, 3):
        assert a.put_single(block(number), sized[number], level)
    assert [has(a, block(number)) for number in (2, 3, 1, 2)] == [True, True, False, True]
    assert a.put_single(block(1), sized[4], level)
    assert [has(a, block(number)) for number in (1, 2, 3)] == [True, True, False]


def test_partitions_of_an_rdd_do_not_drive_each_other_out(make_cluster: ClusterMaker) -> None:
    a = make_cluster().add("A")
    for split in (1, 2, 3):
        a.put_single(RDDBlockId(0, split), BIG, StorageLevel.MEMORY_ONLY)
    assert [has(a, RDDBlockId(0, split)) for split in (1, 2, 3)] == [True, True, False]


def test_another_rdd_s_partition_goes_even_when_used_last(make_cluster: ClusterMaker) -> None:
    a = make_cluster().add("A")
    a.put_single(RDDBlockId(0, 0), BIG, StorageLevel.MEMORY_ONLY)
    a.put_single(RDDBlockId(1, 0), BIG, StorageLevel.MEMORY_ONLY)
    assert has(a, RDDBlockId(1, 0))
    a.put_single(RDDBlockId(0, 1), BIG, StorageLevel.MEMORY_ONLY)
    assert [has(a, b) for b in (RDDBlockId(0, 0), RDDBlockId(0, 1), RDDBlockId(1, 0))] == [True, True, False]


def test_partitions_of_several_rdds_replace_each_other_in_order(make_cluster: ClusterMaker) -> None:
    a = make_cluster().add("A")
    for rdd, split in ((0, 1), (0, 2), (1, 1)):
        a.put_single(RDDBlockId(rdd, split), BIG, StorageLevel.MEMORY_ONLY)
    assert [a.memory_store.contains(RDDBlockId(*b)) for b in ((0, 1), (0, 2), (1, 1))] == [False, True, True]
    assert has(a, RDDBlockId(0, 2))
    for split in (3, 4):
        a.put_single(RDDBlockId(0, split), BIG, StorageLevel.MEMORY_ONLY)
    kept = [split for split in (1, 2, 3, 4) if a.memory_store.contains(RDDBlockId(0, split))]
    assert kept == [2, 3]


@pytest.mark.parametrize("as_bytes", [False, True])
@pytest.mark.parametrize("level", ["MEMORY_AND_DISK", "MEMORY_AND_DISK_SER", "OFF_HEAP"])
def test_evicted_blocks_go_to_disk_and_come_back_when_read(
    make_cluster: ClusterMaker, level: str, as_bytes: bool
) -> None:
    storage_level = StorageLevel.from_string(level)
    a, sized = tight(make_cluster, storage_level)
    for number in (1, 2, 3):
        assert a.put_single(block(number), sized[number], storage_level)
    assert a.disk_store.contains(block(1))
    memory = a.off_heap_store if storage_level.use_off_heap else a.memory_store
    assert not memory.contains(block(1))
    for number in (2, 3, 1):
        if as_bytes:
            assert a.get_local_bytes(block(number)) is not None
        else:
            assert values(a, block(number)) == [sized[number]]
    assert memory.contains(block(1)) == (not (storage_level.deserialized and as_bytes))


def test_levels_mix_and_blocks_on_disk_take_no_memory(make_cluster: ClusterMaker) -> None:
    a = make_cluster().add("A")
    for number, level in (
        (1, StorageLevel.MEMORY_ONLY_SER),
        (2, StorageLevel.MEMORY_ONLY_SER),
        (3, StorageLevel.DISK_ONLY),
    ):
        a.put_iterator(block(number), [bytes(2000), bytes(2001)], level)
    assert all(has(a, block(number)) for number in (1, 2, 3))
    a.put_iterator(block(4), [bytes(2000), bytes(2001)], StorageLevel.MEMORY_AND_DISK_SER)
    assert [has(a, block(number)) for number in (1, 2, 3, 4)] == [False, True, True, True]


def test_a_block_larger_than_memory_is_not_stored_or_goes_to_disk(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster()
    a = cluster.add("A")
    assert not a.put_single(block(1), bytes(20_000), StorageLevel.MEMORY_ONLY)
    assert not has(a, block(1))
    assert locations(cluster, block(1)) == ()
    assert a.put_iterator(block(2), (bytes(1000) for _ in range(30)), StorageLevel.MEMORY_AND_DISK)
    assert not a.memory_store.contains(block(2))
    assert values(a, block(2)) == [bytes(1000)] * 30
    assert a.put_bytes(block(3), HeapBuffer(b"".join(serialize([bytes(30_000)]))), StorageLevel.MEMORY_AND_DISK_SER)
    assert a.disk_store.contains(block(3))


def test_more_than_shared_memory_holds_goes_to_disk(make_cluster: ClusterMaker) -> None:
    a = make_cluster(shared_memory=SEGMENT).add("A")
    records = [bytes([number]) * (1 << 20) for number in range(6)]
    assert a.put_iterator(block(1), iter(records), StorageLevel.OFF_HEAP)
    assert a.disk_store.contains(block(1))
    assert values(a, block(1)) == records


def test_read_locked_blocks_are_not_evicted(make_cluster: ClusterMaker) -> None:
    a = make_cluster().add("A")
    for number in (1, 2):
        a.put_single(block(number), BIG, StorageLevel.MEMORY_ONLY_SER)
    held = {number: a.get(block(number)) for number in (1, 2)}
    assert not a.put_single(block(3), BIG, StorageLevel.MEMORY_ONLY_SER)
    assert list(held[2].values) == [BIG]  # type: ignore[union-attr]
    assert a.put_single(block(3), BIG, StorageLevel.MEMORY_ONLY_SER)
    assert [has(a, block(number)) for number in (1, 2, 3)] == [True, False, True]
    assert a.release_all_locks_for_task() == [block(1)]


def test_blocks_that_another_process_reads_are_not_evicted(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster(shared_memory=SEGMENT)
    a, b = cluster.add("A"), cluster.add("B")
    for number in (1, 2):
        a.put_single(block(number), bytes(1_800_000), off_heap_only())
    view = b.get_remote_bytes(block(1))
    assert a.put_single(block(3), bytes(1_800_000), off_heap_only())
    assert [has(a, block(number)) for number in (1, 2, 3)] == [True, False, True]
    del view


def test_status_follows_a_block_through_its_tiers(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster()
    a = cluster.add("A")

    def reported(number: int) -> StorageLevel:
        return a.master.get_block_status(block(number)).get(a.id, NOT_HERE).storage_level

    a.put_single(block(1), BIG, StorageLevel.MEMORY_ONLY)
    a.put_single(block(2), BIG, StorageLevel.MEMORY_AND_DISK)
    assert [reported(number) for number in (1, 2)] == [StorageLevel.MEMORY_ONLY] * 2
    a.put_single(block(3), BIG, StorageLevel.MEMORY_ONLY)
    assert [reported(number) for number in (1, 2, 3)][::2] == [StorageLevel.NONE, StorageLevel.MEMORY_ONLY]
    a.put_single(block(4), BIG, StorageLevel.MEMORY_ONLY)
    assert [reported(number) for number in (2, 4)] == [StorageLevel.DISK_ONLY, StorageLevel.MEMORY_ONLY]
    assert not a.put_single(block(5), bytes(20_000), StorageLevel.MEMORY_ONLY)
    assert reported(5) == StorageLevel.NONE
    a.remove_block(block(2))
    assert reported(2) == StorageLevel.NONE
    assert not a.disk_store.contains(block(2))


def test_the_master_tells_of_blocks_that_it_was_told_of(make_cluster: ClusterMaker) -> None:
    a = make_cluster().add("A")
    a.put_single(block(1), 1, StorageLevel.MEMORY_ONLY)
    a.put_single(block(2), 1, StorageLevel.MEMORY_ONLY, tell_master=False)
    a.put_single(RDDBlockId(1, 0), 1, StorageLevel.MEMORY_ONLY)
    assert [len(a.master.get_block_status(block(number))) for number in (1, 2, 3)] == [1, 0, 0]
    assert a.master.get_matching_block_ids(lambda b: not b.is_rdd) == (block(1),)
    assert a.master.get_matching_block_ids(lambda b: b.is_rdd) == (RDDBlockId(1, 0),)
