"""How copies of a block come to other executors. Mirrors Spark's BlockManagerReplicationSuite."""

from __future__ import annotations

from typing import Any

import pytest

from protocol import block_messages as m
from protocol.locations import BlockManagerId, ShmLocation
from storage.block_manager import BlockManager
from storage.local_transport import LocalCluster
from storage.storage_level import StorageLevel
from tests.storage.clusters import ClusterMaker, block, locations, run_together

VALUE = bytes(1000)


def level(name: str, replication: int) -> StorageLevel:
    base = StorageLevel.from_string(name)
    return StorageLevel(base.use_disk, base.use_memory, base.use_off_heap, base.deserialized, replication)


def holders(cluster: LocalCluster, block_id: Any) -> set[str]:
    return {holder.executor_id for holder, _ in locations(cluster, block_id)}


def put_and_remove(cluster: LocalCluster, manager: BlockManager, block_id: Any, copies: int) -> set[str]:
    """Who holds the block after a put with that many copies; it is removed again."""
    manager.put_single(block_id, VALUE, level("MEMORY_AND_DISK", copies))
    found = holders(cluster, block_id)
    manager.master.remove_block(block_id)
    assert holders(cluster, block_id) == set()
    return found


def test_peers_follow_managers_that_come_and_go(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster()
    a, b, c = (cluster.add(name) for name in "ABC")
    assert set(a.master.get_peers(a.id)) == {b.id, c.id}
    d = cluster.add("D")
    assert set(a.master.get_peers(a.id)) == {b.id, c.id, d.id}
    cluster.kill("A")
    assert set(d.master.get_peers(d.id)) == {b.id, c.id}
    assert d.master.get_peers(a.id) == ()
    assert d.master.get_peers(BlockManagerId("nobody", 1)) == ()


@pytest.mark.parametrize("copies", [1, 2, 3, 5])
@pytest.mark.parametrize(
    "name", ["MEMORY_ONLY", "MEMORY_ONLY_SER", "MEMORY_AND_DISK", "MEMORY_AND_DISK_SER", "DISK_ONLY", "OFF_HEAP"]
)
def test_a_block_has_as_many_copies_as_its_level_says(make_cluster: ClusterMaker, name: str, copies: int) -> None:
    cluster = make_cluster()
    managers = {name: cluster.add(name) for name in "ABCDE"}
    wanted = level(name, copies)
    managers["A"].put_single(block(1), VALUE, wanted)
    assert len(holders(cluster, block(1))) == copies
    for executor in holders(cluster, block(1)):
        manager = managers[executor]
        result = manager.get_local_values(block(1))
        assert result is not None
        assert list(result.values) == [VALUE]
        status = manager.master.get_block_status(block(1))[manager.id]
        now = status.storage_level
        assert (now.use_memory, now.use_off_heap) == (wanted.use_memory, wanted.use_off_heap)
        assert now.deserialized == wanted.deserialized
        assert now.use_disk == (name == "DISK_ONLY")
        assert status.size >= 1000
        assert (status.memory_size >= 1000) == (wanted.use_memory and not wanted.use_off_heap)
    assert all(manager.statistics().limbo == 0 for manager in managers.values())


def test_a_copy_that_is_evicted_is_reported(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster()
    a, b = cluster.add("A"), cluster.add("B")
    a.put_single(block(1), VALUE, StorageLevel.MEMORY_ONLY_2)
    a.put_single(block(2), VALUE, StorageLevel.MEMORY_AND_DISK_2)
    for number in range(3, 12):
        b.put_single(block(number), bytes(2000), StorageLevel.MEMORY_ONLY_SER)
    assert holders(cluster, block(1)) == {"A"}
    assert holders(cluster, block(2)) == {"A", "B"}
    status = a.master.get_block_status(block(2))[b.id]
    assert (status.memory_size, status.disk_size > 0) == (0, True)


def test_without_peers_a_block_has_one_copy(make_cluster: ClusterMaker, caplog: pytest.LogCaptureFixture) -> None:
    cluster = make_cluster()
    a = cluster.add("A")
    assert a.put_single(block(1), VALUE, StorageLevel.MEMORY_AND_DISK_2)
    assert holders(cluster, block(1)) == {"A"}
    assert "0 of 1 extra copies" in caplog.text


def test_the_same_block_goes_to_the_same_peers(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster()
    a, *_ = [cluster.add(name) for name in "ABCDE"]
    two, three, four = (put_and_remove(cluster, a, block(1), copies) for copies in (2, 3, 4))
    assert put_and_remove(cluster, a, block(1), 3) == three
    assert two < three < four
    assert len({frozenset(put_and_remove(cluster, a, block(number), 3)) for number in range(2, 8)}) > 1


@pytest.mark.parametrize("mishap", ["lost", "refused"])
def test_a_peer_that_fails_is_replaced(
    make_cluster: ClusterMaker, mishap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = make_cluster()
    a, failing = cluster.add("A"), cluster.add("failing")
    if mishap == "lost":
        cluster.hook = lambda seen: seen.channel == "failing" and isinstance(seen.message, m.ReplicateBlock)
    else:
        monkeypatch.setattr(failing, "store_replica", lambda *arguments: False)
    assert put_and_remove(cluster, a, block(1), 2) == {"A"}
    cluster.add("working")
    for number in range(2, 6):
        assert put_and_remove(cluster, a, block(number), 2) == {"A", "working"}
    cluster.hook = None


def test_copies_follow_the_managers_there_are(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster()
    a, _ = cluster.add("A"), cluster.add("B")
    assert len(put_and_remove(cluster, a, block(1), 2)) == 2
    assert len(put_and_remove(cluster, a, block(2), 3)) == 2
    cluster.add("C")
    assert len(put_and_remove(cluster, a, block(3), 3)) == 3
    for name in "BC":
        cluster.kill(name)
    assert put_and_remove(cluster, a, block(4), 2) == {"A"}
    for name in "DEF":
        cluster.add(name)
    assert len(put_and_remove(cluster, a, block(5), 3)) == 3


def test_a_peer_s_copy_survives_the_death_of_the_writer(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster()
    a, b = cluster.add("A"), cluster.add("B")
    a.put_single(block(1), "value", StorageLevel.MEMORY_ONLY_2)
    cluster.kill("A")
    assert cluster.driver.get_single(block(1)) == b.get_single(block(1)) == "value"


def test_two_managers_that_replicate_the_same_block_to_each_other_do_not_wait_for_ever(
    make_cluster: ClusterMaker,
) -> None:
    cluster = make_cluster()
    a, b = cluster.add("A"), cluster.add("B")
    for number in range(20):
        run_together(
            lambda number=number: a.put_single(block(number), 1, StorageLevel.MEMORY_ONLY_2),
            lambda number=number: b.put_single(block(number), 1, StorageLevel.MEMORY_ONLY_2),
        )
        assert holders(cluster, block(number)) == {"A", "B"}


def test_an_unreported_block_in_shared_memory_is_replicated_from_a_copy(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster()
    a, b = cluster.add("A"), cluster.add("B")
    a.put_single(block(1), VALUE, level("OFF_HEAP", 2), tell_master=False)
    assert holders(cluster, block(1)) == {"B"}
    b.flush_lease_releases()
    assert a.statistics().extents == 1
    assert isinstance(a.off_heap_store.location(block(1)), ShmLocation)
    assert a.get_single(block(1)) == VALUE
