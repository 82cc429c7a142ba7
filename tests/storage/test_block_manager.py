"""What block managers promise, on a cluster inside one process. Mirrors Spark's BlockManagerSuite."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from protocol import block_messages as m
from protocol.errors import AskTimeoutError, BlockNotFoundError, BlockPutError, SerializationError, StaleLocationError
from protocol.locations import DRIVER, FileLocation, HeapLocation, ShmLocation
from storage import os_layer
from storage.block_id import BroadcastBlockId, RDDBlockId, ShuffleDataBlockId
from storage.block_manager import BlockManager
from storage.block_result import ReadMethod
from storage.block_status import NOT_HERE
from storage.block_store import BlockStore
from storage.local_transport import LocalCluster
from storage.managed_buffer import HeapBuffer
from storage.serializer import deserialize, serialize
from storage.storage_level import StorageLevel
from tests.storage.clusters import BIG, SEGMENT, ClusterMaker, block

LEVELS = ["MEMORY_ONLY", "MEMORY_ONLY_SER", "MEMORY_AND_DISK", "MEMORY_AND_DISK_SER", "DISK_ONLY", "OFF_HEAP"]


def locations(cluster: LocalCluster, block_id: Any) -> tuple[Any, ...]:
    return cluster.endpoint.locations_of([block_id])[0]


def has(manager: BlockManager, block_id: Any) -> bool:
    """Whether the block is here; a look that leaves no lock."""
    result = manager.get_local_values(block_id)
    if result is None:
        return False
    result.close()
    return True


def values(manager: BlockManager, block_id: Any) -> list[Any] | None:
    result = manager.get(block_id)
    return None if result is None else list(result.values)


# --- master and managers ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", LEVELS)
def test_a_block_is_read_here_and_from_every_other_process(make_cluster: ClusterMaker, level: str) -> None:
    cluster = make_cluster("A", "B")
    a, b = cluster.add("C"), cluster.add("D")
    assert a.put_iterator(block(1), iter(range(100)), StorageLevel.from_string(level))
    assert values(a, block(1)) == values(b, block(1)) == values(cluster.driver, block(1)) == list(range(100))
    assert locations(cluster, block(1))[0][0] == a.id


def test_the_master_knows_what_it_was_told_and_nothing_else(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster(max_memory=20_000)
    a = cluster.add("A")
    for number, tell in ((1, True), (2, True), (3, False)):
        a.put_single(block(number), BIG, StorageLevel.MEMORY_ONLY, tell)
    assert all(has(a, block(number)) for number in (1, 2, 3))
    assert [len(locations(cluster, block(number))) for number in (1, 2, 3)] == [1, 1, 0]
    most, free = a.master.get_memory_status()[a.id]
    assert most == 20_000
    assert free <= 12_000


def test_eviction_is_reported(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster("A")
    a = cluster.add("B")
    for number in (1, 2, 3):
        assert a.put_single(block(number), BIG, StorageLevel.MEMORY_ONLY)
    assert [has(a, block(number)) for number in (1, 2, 3)] == [False, True, True]
    assert locations(cluster, block(1)) == ()
    assert len(locations(cluster, block(2))) == 1


def test_removing_a_block_reaches_its_holders_and_only_what_was_told(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster(max_memory=20_000)
    a = cluster.add("A")
    for number, tell in ((1, True), (2, True), (3, False)):
        a.put_single(block(number), BIG, StorageLevel.MEMORY_ONLY, tell)
    for number in (1, 2, 3):
        a.master.remove_block(block(number))
    assert [has(a, block(number)) for number in (1, 2, 3)] == [False, False, True]
    assert a.remove_block(block(3))
    assert not a.remove_block(block(3))
    assert a.master.get_memory_status()[a.id] == (20_000, 20_000)


@pytest.mark.parametrize("blocking", [False, True])
def test_removing_an_rdd_leaves_other_blocks(make_cluster: ClusterMaker, blocking: bool) -> None:
    cluster = make_cluster("B", max_memory=20_000)
    a = cluster.add("A")
    for block_id in (RDDBlockId(0, 0), RDDBlockId(0, 1), RDDBlockId(1, 0), block(1)):
        a.put_single(block_id, 1, StorageLevel.MEMORY_ONLY)
    a.put_single(RDDBlockId(0, 2), 1, StorageLevel.OFF_HEAP, tell_master=False)
    a.master.remove_rdd(0, blocking)
    assert a.get_matching_block_ids(lambda block_id: True) == [RDDBlockId(1, 0), block(1)]
    assert locations(cluster, RDDBlockId(0, 0)) == ()
    assert a.put_single(RDDBlockId(0, 0), 2, StorageLevel.MEMORY_ONLY)
    assert values(a, RDDBlockId(0, 0)) == [2]


def test_removing_a_broadcast_spares_the_driver_when_asked_to(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster()
    a = cluster.add("A")
    ids = [BroadcastBlockId(0), BroadcastBlockId(1), BroadcastBlockId(2), BroadcastBlockId(2, "piece0")]
    for manager in (cluster.driver, a):
        for block_id in ids:
            manager.put_single(block_id, BIG, StorageLevel.DISK_ONLY)
    a.master.remove_broadcast(0, remove_from_driver=False)
    assert [has(a, block_id) for block_id in ids] == [False, True, True, True]
    assert all(has(cluster.driver, block_id) for block_id in ids)
    a.master.remove_broadcast(0)
    a.master.remove_broadcast(2, blocking=False)
    for manager in (cluster.driver, a):
        assert manager.get_matching_block_ids(lambda block_id: True)[:1] != [ids[0]]
        assert not has(manager, ids[2])
        assert not has(manager, ids[3])
    assert has(cluster.driver, ids[1])


def test_removing_a_shuffle_frees_its_shared_blocks(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster()
    a = cluster.add("A")
    ids = [ShuffleDataBlockId(shuffle, map_id, 0) for shuffle in (0, 1) for map_id in (0, 1)]
    for block_id in ids:
        location = a.put_shared(block_id, [b"output"], tell_master=False)
        assert cluster.endpoint.register_shared(block_id, a.id, location)
    a.master.remove_shuffle(0)
    assert a.get_matching_block_ids(lambda block_id: True) == ids[2:]
    assert [len(locations(cluster, block_id)) for block_id in ids] == [0, 0, 1, 1]
    a.master.remove_shuffle(1)
    assert a._local.arena.statistics().extents == 0


# --- registering again ------------------------------------------------------------------------------------------------


def test_a_heartbeat_brings_a_forgotten_manager_back(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster("B")
    a = cluster.add("A")
    a.put_single(block(1), 1, StorageLevel.MEMORY_ONLY)
    cluster.forget("A")
    assert locations(cluster, block(1)) == ()
    a.heartbeat()
    assert locations(cluster, block(1)) == ((a.id, HeapLocation("A")),)


@pytest.mark.parametrize("level", LEVELS)
def test_a_block_update_brings_a_forgotten_manager_back(make_cluster: ClusterMaker, level: str) -> None:
    cluster = make_cluster()
    a = cluster.add("A")
    a.put_single(block(1), 1, StorageLevel.from_string(level))
    a.put_shared(BroadcastBlockId(1), [b"x"])
    cluster.forget("A")
    a.put_single(block(2), 2, StorageLevel.from_string(level))
    assert [len(locations(cluster, b)) for b in (block(1), block(2), BroadcastBlockId(1))] == [1, 1, 1]


def test_a_removal_that_meets_a_forgetful_master_is_not_reported_again(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster()
    a = cluster.add("A")
    for number in (1, 2):
        a.put_single(block(number), 1, StorageLevel.OFF_HEAP)
    cluster.forget("A")
    assert a.remove_block(block(1))
    assert locations(cluster, block(1)) == ()
    assert len(locations(cluster, block(2))) == 1


def test_registering_again_during_puts_deadlocks_never_and_loses_no_block(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster()
    a = cluster.add("A")
    for _ in range(30):
        cluster.forget("A")
        run_together(
            lambda: a.put_single(block(1), BIG, StorageLevel.MEMORY_ONLY),
            lambda: a.put_iterator(block(2), [BIG], StorageLevel.MEMORY_ONLY),
            a.reregister,
        )
        assert [len(locations(cluster, block(number))) for number in (1, 2)] == [1, 1]
        a.remove_block(block(1))
        a.remove_block(block(2))
        assert [len(locations(cluster, block(number))) for number in (1, 2)] == [0, 0]


def run_together(*actions: Any) -> None:
    """Run each in a thread of its own, started together; raise what any of them raised."""
    errors: list[BaseException] = []
    barrier = threading.Barrier(len(actions))

    def run(action: Any) -> None:
        try:
            barrier.wait(30)
            action()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(action,), daemon=True) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive(), "deadlock"
    if errors:
        raise errors[0]


# --- reading ----------------------------------------------------------------------------------------------------------


def test_a_result_says_size_and_where_it_was_read(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster("B")
    a = cluster.add("A")
    methods = {"MEMORY_ONLY": ReadMethod.MEMORY, "DISK_ONLY": ReadMethod.DISK, "OFF_HEAP": ReadMethod.OFF_HEAP}
    for number, (level, method) in enumerate(methods.items()):
        a.put_iterator(block(number), [bytes(500), bytes(1000)], StorageLevel.from_string(level))
        result = a.get(block(number))
        assert result is not None
        assert result.read_method is method
        assert 1500 <= result.size < 4000
        assert len(list(result.values)) == 2
    remote = cluster.driver.get(block(0))
    assert remote is not None
    assert remote.read_method is ReadMethod.NETWORK
    assert cluster.driver.get(block(99)) is None


def test_values_kept_as_objects_are_read_without_copying(make_cluster: ClusterMaker) -> None:
    a = make_cluster().add("A")
    record = ["the", "record", "itself"]
    a.put_iterator(block(1), [record], StorageLevel.MEMORY_ONLY)
    assert a.get_single(block(1)) is record


def test_arrays_off_heap_are_views_of_the_same_pages_everywhere(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster()
    a, b = cluster.add("A"), cluster.add("B")
    a.put_single(block(1), np.arange(1000), StorageLevel.OFF_HEAP)
    here, there = a.get_single(block(1)), b.get_single(block(1))
    assert not here.flags.owndata
    assert not there.flags.owndata
    assert not there.flags.writeable
    assert (here == there).all()
    ((_, location),) = locations(cluster, block(1))
    assert isinstance(location, ShmLocation)
    with open(location.segment, "rb") as segment:
        pages = np.frombuffer(segment.read(), np.uint8)
    assert there.tobytes() in pages.tobytes()


def test_get_single_of_a_block_that_nobody_has_is_an_error(make_cluster: ClusterMaker) -> None:
    a = make_cluster().add("A")
    with pytest.raises(BlockNotFoundError):
        a.get_single(block(1))
    with pytest.raises(BlockNotFoundError):
        a.get_block_data(block(1))


def test_the_next_location_is_tried_when_a_holder_died(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster()
    reader, first, second = (cluster.add(name) for name in ("A", "B", "C"))
    for manager in (first, second):
        manager.put_iterator(block(1), [BIG], StorageLevel.MEMORY_ONLY)
    assert reader.get_remote_bytes(block(1)) is not None
    cluster.is_lost = lambda party, message: party == "B" and isinstance(message, m.ShareBlock)
    assert reader.get_remote_bytes(block(1)) is not None
    cluster.kill("B")
    assert reader.get_remote_bytes(block(1)) is not None
    cluster.kill("C")
    assert reader.get_remote_bytes(block(1)) is None


def test_a_location_without_a_block_behind_it_is_dropped_at_the_master(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster()
    a, b = cluster.add("A"), cluster.add("B")
    a.put_single(block(1), 1, StorageLevel.MEMORY_ONLY)
    a.remove_block(block(1), tell_master=False)
    assert len(locations(cluster, block(1))) == 1
    assert b.get_remote_bytes(block(1)) is None
    assert locations(cluster, block(1)) == ()


@pytest.mark.parametrize("level", ["DISK_ONLY", "OFF_HEAP"])
def test_a_location_whose_file_is_gone_is_dropped_and_the_next_is_tried(make_cluster: ClusterMaker, level: str) -> None:
    cluster = make_cluster()
    a, b, c = (cluster.add(name) for name in "ABC")
    a.put_single(block(1), "value", StorageLevel.from_string(level))
    b.put_single(block(1), "value", StorageLevel.MEMORY_ONLY)
    location = locations(cluster, block(1))[0][1]
    os_layer.unlink(location.segment if isinstance(location, ShmLocation) else location.path)
    assert values(c, block(1)) == ["value"]
    assert locations(cluster, block(1)) == ((b.id, HeapLocation("B")),)
    c.flush_lease_releases()
    assert cluster.endpoint.statistics().leases == 0
    if level == "DISK_ONLY":
        assert values(a, block(1)) == ["value"]  # from B: its own is lost, and forgotten
        assert a.get_status(block(1)) is None


@pytest.mark.parametrize("read", ["get_local_bytes", "get_local_values"])
def test_a_block_whose_file_was_lost_is_removed_by_the_read_that_notices(make_cluster: ClusterMaker, read: str) -> None:
    cluster = make_cluster()
    a = cluster.add("A")
    a.put_single(block(1), BIG, StorageLevel.DISK_ONLY)
    for path in list(a.disk_block_manager.get_all_files()):
        os_layer.unlink(path)
    assert a.get_status(block(1)) is not None
    assert getattr(a, read)(block(1)) is None
    assert a.get_status(block(1)) is None
    assert locations(cluster, block(1)) == ()
    assert a.put_single(block(1), 2, StorageLevel.DISK_ONLY)


def test_several_locations_give_back_the_leases_that_are_not_used(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster()
    a, b, c = (cluster.add(name) for name in "ABC")
    for manager in (a, b):
        manager.put_single(block(1), BIG, StorageLevel.OFF_HEAP)
    data = c.get_remote_bytes(block(1))
    c.flush_lease_releases()
    assert cluster.endpoint.statistics().leases == 1
    del data
    c.flush_lease_releases()
    assert cluster.endpoint.statistics().leases == 0


def test_block_data_that_was_put_as_bytes_comes_back_as_the_same_bytes(make_cluster: ClusterMaker) -> None:
    a = make_cluster(max_memory=100_000).add("A")
    data = b"".join(serialize(["message"] * 10))
    for number, name in enumerate(LEVELS):
        level = StorageLevel.from_string(name)
        assert a.put_block_data(block(number), HeapBuffer(data), level)
        status = a.get_status(block(number))
        assert status is not None
        assert (status.disk_size > 0) == (not level.use_memory)
        assert (status.memory_size > 0) == (level.use_memory and not level.use_off_heap)
        assert (status.off_heap_size > 0) == level.use_off_heap
        assert a.get_block_data(block(number)).memoryview() == data
        assert values(a, block(number)) == ["message"] * 10


# --- memory, eviction and disk ----------------------------------------------------------------------------------------


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
        return a.master.get_block_status(block(number), ask_slaves=False).get(a.id, NOT_HERE).storage_level

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


def test_block_status_with_and_without_asking_the_slaves(make_cluster: ClusterMaker) -> None:
    a = make_cluster().add("A")
    a.put_single(block(1), BIG, StorageLevel.MEMORY_ONLY)
    a.put_single(block(2), BIG, StorageLevel.MEMORY_AND_DISK, tell_master=False)
    statuses = [[len(a.master.get_block_status(block(n), ask)) for ask in (False, True)] for n in (1, 2, 3)]
    assert statuses == [[1, 1], [0, 1], [0, 0]]


def test_matching_block_ids_with_and_without_asking_the_slaves(make_cluster: ClusterMaker) -> None:
    a = make_cluster().add("A")
    a.put_single(block(1), 1, StorageLevel.MEMORY_ONLY)
    a.put_single(block(2), 1, StorageLevel.MEMORY_ONLY, tell_master=False)
    a.put_single(RDDBlockId(1, 0), 1, StorageLevel.MEMORY_ONLY)
    assert a.master.get_matching_block_ids(lambda b: not b.is_rdd, ask_slaves=False) == (block(1),)
    assert a.master.get_matching_block_ids(lambda b: not b.is_rdd) == (block(1), block(2))
    assert a.master.get_matching_block_ids(lambda b: b.is_rdd) == (RDDBlockId(1, 0),)


# --- puts that fail ---------------------------------------------------------------------------------------------------


class Unpicklable:
    def __reduce__(self) -> Any:
        raise TypeError("not this one")


@pytest.mark.parametrize("level", ["DISK_ONLY", "MEMORY_ONLY_SER", "OFF_HEAP"])
def test_a_put_that_cannot_be_serialised_leaves_nothing(make_cluster: ClusterMaker, level: str) -> None:
    cluster = make_cluster()
    a = cluster.add("A")
    with pytest.raises(SerializationError):
        a.put_single(block(1), Unpicklable(), StorageLevel.from_string(level))
    assert a.get(block(1)) is None
    assert locations(cluster, block(1)) == ()
    assert a._local.arena.statistics().extents == 0
    assert list(a.disk_block_manager.get_all_files()) == []
    assert a.put_single(block(1), 1, StorageLevel.from_string(level))


@pytest.mark.parametrize("level", LEVELS)
def test_an_iterator_that_raises_leaves_nothing_and_the_next_put_works(make_cluster: ClusterMaker, level: str) -> None:
    cluster = make_cluster()
    a = cluster.add("A")

    def broken() -> Iterator[int]:
        yield 1
        raise InterruptedError("in the middle")

    with pytest.raises(InterruptedError):
        a.get_or_else_update(block(1), StorageLevel.from_string(level), broken)
    assert a.get_status(block(1)) is None
    assert locations(cluster, block(1)) == ()
    result, _ = a.get_or_else_update(block(1), StorageLevel.from_string(level), lambda: [2])
    assert result is not None
    assert list(result.values) == [2]


@pytest.mark.parametrize("level", ["MEMORY_ONLY_2", "DISK_ONLY_2"])
def test_an_interrupted_replication_takes_the_block_back_everywhere_here(
    make_cluster: ClusterMaker, level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = make_cluster("B")
    a = cluster.add("A")

    def interrupted(*arguments: Any) -> Any:
        raise InterruptedError("during the upload")

    monkeypatch.setattr(a.master, "replicate_to", interrupted)
    with pytest.raises(InterruptedError):
        a.put_single(block(1), "value", StorageLevel.from_string(level))
    assert a.get_local_bytes(block(1)) is None
    assert locations(cluster, block(1)) == ()
    assert cluster.driver.get_remote_bytes(block(1)) is None


def test_a_put_whose_report_is_lost_leaves_nothing(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster()
    a = cluster.add("A")
    cluster.is_lost = lambda party, message: isinstance(message, m.UpdateBlockInfo)
    with pytest.raises(AskTimeoutError):
        a.put_single(block(1), 1, StorageLevel.OFF_HEAP)
    assert a.get_status(block(1)) is None
    cluster.is_lost = lambda party, message: False
    assert a.put_single(block(1), 1, StorageLevel.OFF_HEAP)


def test_a_full_disk_is_an_error_that_leaves_nothing(
    make_cluster: ClusterMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = make_cluster()
    a = cluster.add("A")

    def full(fd: int, data: Any) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os_layer, "write", full)
        with pytest.raises(BlockPutError, match="No space"):
            a.put_single(block(1), BIG, StorageLevel.DISK_ONLY)
    assert locations(cluster, block(1)) == ()
    assert a.put_single(block(1), BIG, StorageLevel.DISK_ONLY)


def test_a_level_that_stores_nowhere_is_refused(make_cluster: ClusterMaker) -> None:
    a = make_cluster().add("A")
    with pytest.raises(BlockPutError, match="storage level"):
        a.put_single(block(1), 1, StorageLevel.NONE)


def test_a_put_of_a_block_that_is_here_changes_nothing(make_cluster: ClusterMaker) -> None:
    a = make_cluster().add("A")
    assert a.put_single(block(1), 1, StorageLevel.MEMORY_ONLY)
    assert a.put_single(block(1), 2, StorageLevel.DISK_ONLY)
    assert values(a, block(1)) == [1]


# --- get or else update -----------------------------------------------------------------------------------------------


def test_get_or_else_update_reads_from_other_processes_before_it_computes(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster()
    a, b = cluster.add("A"), cluster.add("B")
    b.put_single(block(1), "theirs", StorageLevel.MEMORY_ONLY)
    result, leftover = a.get_or_else_update(block(1), StorageLevel.MEMORY_ONLY, lambda: pytest.fail("computed"))
    assert leftover is None
    assert result is not None
    assert list(result.values) == ["theirs"]


def test_get_or_else_update_gives_the_values_when_there_is_no_room(make_cluster: ClusterMaker) -> None:
    a = make_cluster().add("A")
    result, leftover = a.get_or_else_update(
        block(1), StorageLevel.MEMORY_ONLY, lambda: (bytes(1000) for _ in range(30))
    )
    assert result is None
    assert leftover is not None
    assert list(leftover) == [bytes(1000)] * 30
    assert a.memory_store.statistics().unroll_memory == 0


@pytest.mark.parametrize("level", LEVELS)
def test_threads_that_want_the_same_block_compute_it_once(make_cluster: ClusterMaker, level: str) -> None:
    a = make_cluster().add("A")
    computed: list[int] = []
    seen: list[list[int]] = []

    def compute() -> Iterator[int]:
        computed.append(1)
        yield from range(50)

    def want() -> None:
        result, _ = a.get_or_else_update(block(1), StorageLevel.from_string(level), compute)
        assert result is not None
        seen.append(list(result.values))

    run_together(*[want] * 4)
    assert len(computed) == 1
    assert seen == [list(range(50))] * 4


def test_when_the_first_writer_fails_one_of_those_who_wait_computes(make_cluster: ClusterMaker) -> None:
    a = make_cluster().add("A")
    entered, outcomes = threading.Event(), []

    def fails() -> Iterator[int]:
        entered.set()
        raise ZeroDivisionError
        yield 1

    def first() -> None:
        with pytest.raises(ZeroDivisionError):
            a.get_or_else_update(block(1), StorageLevel.MEMORY_ONLY, fails)

    def second() -> None:
        assert entered.wait(30)
        result, _ = a.get_or_else_update(block(1), StorageLevel.MEMORY_ONLY, lambda: [7])
        assert result is not None
        outcomes.append(list(result.values))

    run_together(first, second)
    assert outcomes == [[7]]


# --- races ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", LEVELS)
def test_a_removal_during_a_read_leaves_the_reader_its_values(make_cluster: ClusterMaker, level: str) -> None:
    cluster = make_cluster()
    a, b = cluster.add("A"), cluster.add("B")
    arrays = [np.full(50, number) for number in range(3)]
    a.put_iterator(block(1), arrays, StorageLevel.from_string(level))
    result = b.get(block(1))
    assert result is not None
    first = next(result.values)
    assert a.remove_block(block(1))
    assert a.put_iterator(block(2), [np.full(50, 99)] * 3, StorageLevel.from_string(level))
    assert [first[0]] + [array[0] for array in result.values] == [0, 1, 2]
    assert first.tolist() == [0] * 50


def test_a_removal_waits_for_local_readers_and_then_happens(make_cluster: ClusterMaker) -> None:
    a = make_cluster().add("A")
    a.put_iterator(block(1), range(3), StorageLevel.MEMORY_ONLY)
    result = a.get(block(1))
    assert result is not None
    removed = threading.Event()

    def remove() -> None:
        assert a.remove_block(block(1))
        removed.set()

    thread = threading.Thread(target=remove, daemon=True)
    thread.start()
    assert not removed.is_set()
    assert list(result.values) == [0, 1, 2]
    assert removed.wait(30)
    thread.join(30)


def test_an_extent_is_reused_only_after_every_reader_is_done(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster(shared_memory=SEGMENT)
    a, b = cluster.add("A"), cluster.add("B")
    a.put_single(block(1), np.zeros(2000), StorageLevel.OFF_HEAP)
    here, there = a.get_single(block(1)), b.get_single(block(1))
    ((_, first),) = locations(cluster, block(1))
    a.remove_block(block(1))
    for number in range(2, 6):
        a.put_single(block(number), np.ones(1000), StorageLevel.OFF_HEAP)
    assert first.offset not in [locations(cluster, block(number))[0][1].offset for number in range(2, 6)]
    assert not here.any()
    assert not there.any()
    assert cluster.endpoint.statistics().extents_in_limbo == 1
    del here, there
    b.flush_lease_releases()
    assert cluster.endpoint.statistics().extents_in_limbo == 0
    a.put_single(block(6), np.ones(1000), StorageLevel.OFF_HEAP)
    assert locations(cluster, block(6))[0][1].offset == first.offset


def test_an_executor_killed_while_others_read_leaves_them_their_bytes(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster()
    a, b = cluster.add("A"), cluster.add("B")
    a.put_single(block(1), np.arange(1000), StorageLevel.OFF_HEAP)
    a.put_single(block(2), np.arange(1000), StorageLevel.DISK_ONLY)
    a.put_single(block(3), np.arange(1000), StorageLevel.MEMORY_ONLY)
    held = [b.get_single(block(number)) for number in (1, 2, 3)]
    ((_, location),) = locations(cluster, block(1))
    assert isinstance(location, ShmLocation)
    cluster.kill("A")
    late = [b.get_single(block(number)) for number in (1, 2)]  # adopted: served after the death
    assert b.get(block(3)) is None
    b.master.remove_block(block(1))
    assert not os_layer.unlink(location.segment), "the driver removes an adopted segment with its last block"
    assert all((array == np.arange(1000)).all() for array in held + late)
    file = locations(cluster, block(2))[0][1]
    assert isinstance(file, FileLocation)
    b.master.remove_block(block(2))
    assert not os_layer.unlink(file.path)
    assert cluster.endpoint.statistics().shared_memory_used == 0


def test_a_reader_that_dies_frees_what_it_read(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster()
    a, b = cluster.add("A"), cluster.add("B")
    a.put_single(block(1), np.zeros(1000), StorageLevel.OFF_HEAP)
    view = b.get_single(block(1))
    a.remove_block(block(1))
    assert a._local.arena.statistics().limbo > 0
    cluster.kill("B")
    assert a._local.arena.statistics().extents == 0
    assert not view.any()


def test_concurrent_puts_evictions_and_removals_keep_the_books(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster(max_memory=30_000, shared_memory=SEGMENT)
    managers = [cluster.add(name) for name in "AB"]

    def churn(seed: int) -> None:
        manager, other = managers[seed % 2], managers[(seed + 1) % 2]
        for step in range(25):
            block_id = RDDBlockId(step % 3, (seed + step) % 4)
            level = StorageLevel.from_string(LEVELS[(seed + step) % len(LEVELS)])
            result, leftover = manager.get_or_else_update(block_id, level, lambda: [BIG, BIG])
            taken = list(leftover if result is None else result.values)  # type: ignore[arg-type]
            assert taken == [BIG, BIG]
            other.get_remote_bytes(block_id)
            if step % 5 == seed % 5:
                manager.remove_block(block_id)

    run_together(*(lambda seed=seed: churn(seed) for seed in range(4)))
    for manager in managers:
        manager.flush_lease_releases()
    cluster.check()
    for rdd in range(3):
        cluster.driver.master.remove_rdd(rdd)
    for manager in managers:
        manager.flush_lease_releases()
        assert manager.get_matching_block_ids(lambda block_id: True) == []
        assert manager._local.arena.statistics().extents == 0
    assert cluster.endpoint.statistics().blocks == 0


# --- shared blocks of the runtime -------------------------------------------------------------------------------------


def test_shared_blocks_are_read_by_location_whole_or_in_part(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster()
    a, b = cluster.add("A"), cluster.add("B")
    location = a.put_shared(ShuffleDataBlockId(0, 0, 0), [b"head", bytearray(b"-"), memoryview(b"tail")], False)
    assert isinstance(location, ShmLocation)
    for manager in (a, b):
        assert manager.read_location(location).memoryview() == b"head-tail"
        part = ShmLocation(location.segment, location.offset + 5, 4)
        assert manager.read_location(part).memoryview() == b"tail"
    a.free_shared(location)
    assert a.get_local_bytes(ShuffleDataBlockId(0, 0, 0)) is None
    with pytest.raises(StaleLocationError):
        a.read_location(location)


def test_a_shared_block_is_written_once(make_cluster: ClusterMaker) -> None:
    a = make_cluster().add("A")
    a.put_shared(BroadcastBlockId(1), [b"first"])
    with pytest.raises(BlockPutError):
        a.put_shared(BroadcastBlockId(1), [b"second"])
    data = a.get_bytes(BroadcastBlockId(1))
    assert data is not None
    assert data.memoryview() == b"first"
    assert a._local.arena.statistics().extents == 1


def test_a_broadcast_is_read_everywhere_and_gone_when_removed(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster()
    a = cluster.add("A")
    cluster.driver.put_shared(BroadcastBlockId(1), serialize([np.arange(10)]))
    data = a.get_bytes(BroadcastBlockId(1))
    assert data is not None
    (array,) = deserialize(data.memoryview())
    a.master.remove_broadcast(1)
    assert a.get_bytes(BroadcastBlockId(1)) is None
    assert array.tolist() == list(range(10))
    assert cluster.driver._local.arena.statistics().limbo > 0
    del array, data
    a.flush_lease_releases()
    assert cluster.driver._local.arena.statistics().extents == 0


# --- a store of the user's own, time to live, the end -----------------------------------------------------------------


class ListStore(BlockStore):
    """The simplest store that a user could plug in."""

    def __init__(self, options: Any) -> None:
        self.options = options
        self.blocks: dict[Any, bytes] = {}

    def put_bytes(self, block_id: Any, data: Any, level: Any) -> Any:
        from storage.block_store import PutResult

        self.blocks[block_id] = bytes(data.memoryview())
        return PutResult(True, data.size)

    def put_iterator(self, block_id: Any, values: Any, level: Any) -> Any:
        return self.put_bytes(block_id, HeapBuffer(b"".join(serialize(values))), level)

    def get_size(self, block_id: Any) -> int:
        if block_id not in self.blocks:
            raise BlockNotFoundError(f"no {block_id}")
        return len(self.blocks[block_id])

    def get_bytes(self, block_id: Any) -> Any:
        return HeapBuffer(self.blocks[block_id]) if block_id in self.blocks else None

    def get_values(self, block_id: Any) -> Any:
        return deserialize(self.blocks[block_id]) if block_id in self.blocks else None

    def remove(self, block_id: Any) -> bool:
        return self.blocks.pop(block_id, None) is not None

    def contains(self, block_id: Any) -> bool:
        return block_id in self.blocks

    def clear(self) -> None:
        self.blocks.clear()


def test_a_store_of_the_user_s_own_takes_off_heap_blocks(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster(external_store=f"{__name__}.ListStore", external_store_options={"key": "value"})
    a, b = cluster.add("A"), cluster.add("B")
    assert isinstance(a.off_heap_store, BlockStore)
    assert a.off_heap_store.options == {"key": "value", "executor_id": "A"}  # type: ignore[attr-defined]
    a.put_single(block(1), "kept outside", StorageLevel.OFF_HEAP)
    a.put_single(block(2), "kept inside", StorageLevel.MEMORY_ONLY)
    assert a.off_heap_store.contains(block(1))
    assert not a.off_heap_store.contains(block(2))
    assert values(a, block(1)) == values(b, block(1)) == ["kept outside"]
    a.master.remove_block(block(1))
    assert not a.off_heap_store.contains(block(1))
    assert locations(cluster, block(1)) == ()


def test_old_blocks_are_dropped_broadcasts_apart_from_the_others(
    make_cluster: ClusterMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = make_cluster()
    a = cluster.add("A")
    now = 100.0
    monkeypatch.setattr("storage.local_blocks.time.monotonic", lambda: now)
    a.put_single(block(1), 1, StorageLevel.MEMORY_ONLY)
    a.put_single(block(2), 1, StorageLevel.DISK_ONLY)
    a.put_shared(BroadcastBlockId(1), [b"x"])
    now = 200.0
    assert has(a, block(2))
    assert a.drop_old_non_broadcast_blocks(150.0) == 1
    assert [has(a, b) for b in (block(1), block(2), BroadcastBlockId(1))] == [False, True, True]
    now = 300.0
    assert a.drop_old_broadcast_blocks(250.0) == 1
    assert a.get_bytes(BroadcastBlockId(1)) is None
    assert has(a, block(2))
    assert locations(cluster, block(1)) == locations(cluster, BroadcastBlockId(1)) == ()


def test_a_time_to_live_starts_cleaners_that_end_with_the_manager(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster(cleaner_ttl=3600.0)
    names = [thread.name for thread in threading.enumerate()]
    assert names.count("metadata-cleaner-blocks") == names.count("metadata-cleaner-broadcasts") == 1
    cluster.take_out(DRIVER).stop()
    assert not any(thread.name.startswith("metadata-cleaner") for thread in threading.enumerate())


def test_stop_leaves_views_good_and_no_files(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster()
    a = cluster.add("A")
    a.put_single(block(1), np.arange(1000), StorageLevel.OFF_HEAP)
    a.put_single(block(2), BIG, StorageLevel.DISK_ONLY)
    ((_, location),) = locations(cluster, block(1))
    assert isinstance(location, ShmLocation)
    array = a.get_single(block(1))
    cluster.take_out("A").stop()
    assert not os_layer.unlink(location.segment)
    assert list(a.disk_block_manager.get_all_files()) == []
    assert array.sum() == 499_500
    assert cluster.endpoint.statistics().shared_memory_used == 0


def test_a_manager_whose_master_is_gone_stops_all_the_same(
    make_cluster: ClusterMaker, caplog: pytest.LogCaptureFixture
) -> None:
    cluster = make_cluster()
    a = cluster.add("A")
    a.put_single(block(1), 1, StorageLevel.OFF_HEAP)
    cluster.deliver(DRIVER, m.StopBlockManagerMaster())
    with caplog.at_level(logging.WARNING):
        cluster.take_out("A").stop()
    assert "the master was not told that segment" in caplog.text
