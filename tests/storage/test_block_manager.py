"""What block managers promise of blocks, the master and removals. Mirrors Spark's BlockManagerSuite."""

from __future__ import annotations

import pytest

from protocol.locations import HeapLocation
from storage.block_id import BroadcastBlockId, RDDBlockId, ShuffleDataBlockId
from storage.block_status import MemoryStatus
from storage.storage_level import StorageLevel
from tests.storage.clusters import BIG, LEVELS, ClusterMaker, block, has, locations, run_together, values


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
    (memory,) = [status for status in a.master.get_memory_status() if status.block_manager_id == a.id]
    assert memory.max_memory == 20_000
    assert memory.memory_used >= 8_000


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
    assert MemoryStatus(a.id, 20_000, 0, 0, 0, 0) in a.master.get_memory_status()


@pytest.mark.parametrize("blocking", [False, True])
def test_removing_an_rdd_leaves_other_blocks(make_cluster: ClusterMaker, blocking: bool) -> None:
    cluster = make_cluster("B", max_memory=20_000)
    a = cluster.add("A")
    for block_id in (RDDBlockId(0, 0), RDDBlockId(0, 1), RDDBlockId(1, 0), block(1)):
        a.put_single(block_id, 1, StorageLevel.MEMORY_ONLY)
    a.put_single(RDDBlockId(0, 2), 1, StorageLevel.OFF_HEAP, tell_master=False)
    a.master.remove_rdd(0, blocking)
    assert a.block_ids() == [RDDBlockId(1, 0), block(1)]
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
        assert manager.block_ids()[:1] != [ids[0]]
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
    assert a.block_ids() == ids[2:]
    assert [len(locations(cluster, block_id)) for block_id in ids] == [0, 0, 1, 1]
    a.master.remove_shuffle(1)
    assert a.statistics().extents == 0


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
