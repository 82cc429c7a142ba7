"""The time to live of blocks: what no process uses for a while goes, what any process uses stays."""

from __future__ import annotations

import pytest

from protocol import block_messages as m
from protocol.hook import Passing
from protocol.locations import DRIVER
from storage.block_id import (
    BlockId,
    BroadcastBlockId,
    RDDBlockId,
    ShuffleDataBlockId,
    StreamBlockId,
    TaskResultBlockId,
)
from storage.block_manager import BlockManager
from storage.local_transport import LocalCluster
from storage.storage_level import StorageLevel
from tests.storage.clusters import ClusterMaker, locations, run_together, values

TTL = 100.0
RDD = RDDBlockId(1, 0)


@pytest.fixture
def cluster(make_cluster: ClusterMaker) -> LocalCluster:
    return make_cluster("A", "B", cleaner_ttl=TTL)


def look(cluster: LocalCluster, after: float, *spared_rdds: int) -> int:
    """Have the master look so many seconds later; how many blocks it dropped."""
    cluster.now += after
    dropped: int = cluster.deliver(DRIVER, m.DropUnusedBlocks(TTL, frozenset(spared_rdds))).result(0)
    return dropped


def is_there(cluster: LocalCluster, block_id: BlockId) -> bool:
    return bool(locations(cluster, block_id))


@pytest.mark.parametrize("level", ["MEMORY_ONLY", "DISK_ONLY", "OFF_HEAP"])
def test_what_nobody_uses_goes_when_its_time_is_over(cluster: LocalCluster, level: str) -> None:
    a = cluster.managers["A"]
    a.put_single(RDD, 1, StorageLevel.from_string(level))
    assert look(cluster, 0) == look(cluster, TTL) == 0
    assert look(cluster, 1) == 1
    assert not is_there(cluster, RDD)
    assert values(a, RDD) is None


@pytest.mark.parametrize("reader", ["A", "B", DRIVER])
@pytest.mark.parametrize("level", ["MEMORY_ONLY", "DISK_ONLY", "OFF_HEAP"])
def test_a_use_by_any_process_is_a_use(cluster: LocalCluster, level: str, reader: str) -> None:
    cluster.managers["A"].put_single(RDD, 1, StorageLevel.from_string(level))
    look(cluster, 0)
    for _ in range(5):
        assert values(cluster.managers[reader], RDD) == [1]
        cluster.managers[reader].flush_lease_releases()  # which ride along with any report
        assert look(cluster, TTL - 1) == 0
    assert look(cluster, TTL + 1) == 1


def test_a_copy_of_a_broadcast_that_a_process_keeps_is_used_without_a_look_at_the_block(cluster: LocalCluster) -> None:
    cluster.driver.put_shared(BroadcastBlockId(1), [b"x"])
    look(cluster, 0)
    cluster.managers["B"].note_use(BroadcastBlockId(1))
    assert look(cluster, TTL + 1) == 0
    assert look(cluster, TTL + 1) == 1


def test_a_block_is_in_use_while_its_reader_has_not_finished(cluster: LocalCluster) -> None:
    a = cluster.managers["A"]
    a.put_iterator(RDD, [1, 2], StorageLevel.MEMORY_ONLY)
    result = a.get(RDD)
    assert result is not None
    assert [look(cluster, TTL + 1) for _ in range(3)] == [0, 0, 0]
    assert list(result.values) == [1, 2]
    assert look(cluster, TTL - 1) == 0
    assert look(cluster, 2) == 1


def test_a_block_is_in_use_while_another_process_has_a_view_of_it(cluster: LocalCluster) -> None:
    b = cluster.managers["B"]
    cluster.managers["A"].put_single(RDD, b"x" * 1000, StorageLevel.OFF_HEAP)
    data = b.get_remote_bytes(RDD)
    assert [look(cluster, TTL + 1) for _ in range(3)] == [0, 0, 0]
    del data
    b.flush_lease_releases()
    assert look(cluster, TTL + 1) == 1


@pytest.mark.parametrize(
    "block_id",
    [ShuffleDataBlockId(0, 0, 0), TaskResultBlockId(1), BroadcastBlockId(1, "stage"), BroadcastBlockId(1, "data")],
)
def test_what_belongs_to_an_object_or_a_job_goes_with_that(cluster: LocalCluster, block_id: BlockId) -> None:
    cluster.managers["A"].put_shared(block_id, [b"x"])
    assert [look(cluster, TTL + 1) for _ in range(3)] == [0, 0, 0]
    assert is_there(cluster, block_id)


def test_what_was_received_has_an_age_too(cluster: LocalCluster) -> None:
    cluster.managers["A"].put_single(StreamBlockId(0, 1), 1, StorageLevel.MEMORY_ONLY)
    assert [look(cluster, TTL + 1) for _ in range(2)] == [0, 1]


def test_rdds_whose_blocks_are_all_there_is_are_spared(cluster: LocalCluster) -> None:
    a = cluster.managers["A"]
    a.put_single(RDD, 1, StorageLevel.MEMORY_ONLY)
    a.put_single(RDDBlockId(2, 0), 1, StorageLevel.MEMORY_ONLY)
    assert [look(cluster, TTL + 1, 1) for _ in range(3)] == [0, 1, 0]
    assert is_there(cluster, RDD)


def test_what_a_dead_process_left_has_an_age_too(cluster: LocalCluster) -> None:
    cluster.managers["A"].put_single(RDD, 1, StorageLevel.OFF_HEAP)
    cluster.kill("A")
    look(cluster, 0)
    assert values(cluster.managers["B"], RDD) == [1]
    assert look(cluster, TTL + 1) == 0
    cluster.managers["B"].flush_lease_releases()
    assert look(cluster, TTL + 1) == 1
    assert not is_there(cluster, RDD)


def test_who_does_not_say_what_it_uses_may_use_anything(cluster: LocalCluster) -> None:
    cluster.managers["A"].put_single(RDD, 1, StorageLevel.MEMORY_ONLY)
    look(cluster, 0)
    cluster.hook = lambda seen: seen.channel == "B" and isinstance(seen.message, m.TakeUses)
    assert [look(cluster, TTL + 1) for _ in range(3)] == [0, 0, 0]
    cluster.hook = None
    assert look(cluster, TTL + 1) == 1


def test_a_block_that_comes_while_the_processes_are_asked_is_not_dropped(cluster: LocalCluster) -> None:
    a = cluster.managers["A"]
    a.put_single(RDD, 1, StorageLevel.MEMORY_ONLY)
    look(cluster, 0)

    def put_meanwhile(seen: Passing) -> None:
        if isinstance(seen.message, m.TakeUses) and seen.channel == "B":  # A has answered
            a.put_single(RDDBlockId(1, 1), 1, StorageLevel.MEMORY_ONLY)

    cluster.hook = put_meanwhile
    assert look(cluster, TTL + 1) == 1
    assert is_there(cluster, RDDBlockId(1, 1))


def test_a_block_that_was_dropped_and_computed_again_starts_anew(cluster: LocalCluster) -> None:
    a = cluster.managers["A"]
    a.put_single(RDD, 1, StorageLevel.MEMORY_ONLY)
    assert [look(cluster, 0), look(cluster, TTL + 1)] == [0, 1]
    a.put_single(RDD, 1, StorageLevel.MEMORY_ONLY)
    assert [look(cluster, TTL), look(cluster, TTL)] == [0, 0]
    assert look(cluster, 1) == 1


def test_uses_are_noted_only_where_somebody_asks_for_them(make_cluster: ClusterMaker) -> None:
    a = make_cluster().add("A")
    a.put_single(RDD, 1, StorageLevel.MEMORY_ONLY)
    assert values(a, RDD) == [1]
    a.note_use(RDD)
    assert a.take_uses() == ()


def test_uses_are_noted_while_they_are_taken(cluster: LocalCluster) -> None:
    a, taken, done = cluster.managers["A"], [], []

    def note(manager: BlockManager, rdd_id: int) -> None:
        for index in range(500):
            manager.note_use(RDDBlockId(rdd_id, index))
        done.append(rdd_id)

    def take() -> None:
        while len(done) < 2:
            taken.extend(a.take_uses())

    run_together(lambda: note(a, 1), lambda: note(a, 2), take)
    taken.extend(a.take_uses())
    assert set(taken) == {RDDBlockId(rdd_id, index) for rdd_id in (1, 2) for index in range(500)}
