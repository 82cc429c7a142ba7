"""What the block master records of blocks that come and go."""

from __future__ import annotations

from typing import Any

import pytest

from protocol import block_messages as m
from protocol.events import BlockAdopted, BlockLost, BlockReadFromReplica, BlockRecomputed
from protocol.locations import DRIVER, BlockManagerId, ExternalLocation, HeapLocation, ShmLocation
from storage.block_id import BroadcastBlockId, RDDBlockId, ShuffleDataBlockId, TaskResultBlockId
from storage.storage_level import StorageLevel
from tests.storage.masters import BLOCK, FILE, SHM, A, B, C, Master

HEAP_A, HEAP_B = HeapLocation("A"), HeapLocation("B")
OTHER = RDDBlockId(1, 3)


@pytest.fixture
def master() -> Master:
    return Master(A, B, C)


def told(master: Master) -> list[Any]:
    """But for when."""
    return [event._replace(at=0.0) for event in master.events]


def lose(master: Master, *executors: str) -> None:
    for executor_id in executors:
        master.send(DRIVER, m.RemoveExecutor(executor_id))


def test_what_is_stored_evicted_and_removed_is_no_event(master: Master) -> None:
    master.holds(A, HEAP_A)
    master.gone(A)
    master.holds(A, HEAP_A)
    master.send(DRIVER, m.RemoveRdd(1))
    master.gone(A)
    assert told(master) == []


def test_a_block_on_a_dead_heap_is_lost_and_told_when_it_is_there_again(master: Master) -> None:
    master.holds(A, HEAP_A)
    lose(master, "A", "A")
    assert told(master) == [BlockLost(0.0, "rdd_1_2", "A")]
    for _ in range(2):
        master.holds(B, HEAP_B)
    assert told(master)[1:] == [BlockRecomputed(0.0, "rdd_1_2", "B")]


def test_of_a_block_with_two_copies_the_last_one_is_the_loss(master: Master) -> None:
    master.holds(A, HEAP_A)
    master.holds(B, HEAP_B)
    lose(master, "A")
    assert told(master) == []
    lose(master, "B")
    assert told(master) == [BlockLost(0.0, "rdd_1_2", "B")]


@pytest.mark.parametrize("location", [SHM, FILE])
def test_a_block_off_the_heap_is_adopted_and_lost_when_its_file_is(master: Master, location: Any) -> None:
    master.holds(A, location)
    lose(master, "A")
    assert told(master) == [BlockAdopted(0.0, "rdd_1_2", "A")]
    for _ in range(2):  # two readers
        master.tell(C, m.ReportStaleLocation(BLOCK, A, location))
    assert told(master)[1:] == [BlockLost(0.0, "rdd_1_2", "A")]


def test_a_block_in_an_external_store_is_adopted(master: Master) -> None:
    master.holds(A, ExternalLocation())
    lose(master, "A")
    assert told(master) == [BlockAdopted(0.0, "rdd_1_2", "A")]


def test_a_result_that_is_heard_of_after_its_writers_death_is_adopted_if_its_segment_is(master: Master) -> None:
    master.holds(A, SHM)
    lose(master, "A")
    assert master.endpoint.register_shared(TaskResultBlockId(7), A, SHM)
    assert not master.endpoint.register_shared(TaskResultBlockId(8), A, FILE)
    assert told(master)[1:] == [BlockAdopted(0.0, "taskresult_7", "A")]


def test_a_block_of_an_executor_that_is_taken_for_dead_is_lost(master: Master) -> None:
    master.holds(A, HEAP_A)
    master.expire(A)
    lose(master, "A")
    assert told(master) == [BlockLost(0.0, "rdd_1_2", "A")]


def test_what_comes_back_with_an_executor_that_was_taken_for_dead_was_not_computed_again(master: Master) -> None:
    master.holds(A, HEAP_A)
    master.expire(A)
    master.send(A, m.RegisterBlockManager(A, 500))
    master.holds(A, HEAP_A)
    assert told(master) == [BlockLost(0.0, "rdd_1_2", "A")]
    lose(master, "A")
    master.holds(B, HEAP_B)
    assert told(master)[1:] == [BlockLost(0.0, "rdd_1_2", "A"), BlockRecomputed(0.0, "rdd_1_2", "B")]


def test_what_another_one_computes_while_its_holder_is_taken_for_dead_is_computed_again(master: Master) -> None:
    master.holds(A, HEAP_A)
    master.expire(A)
    for block in (BLOCK, OTHER):
        master.holds(B, HEAP_B, block=block)
    lose(master, "B")
    master.send(A, m.RegisterBlockManager(A, 500))
    for block in (BLOCK, OTHER):
        master.holds(A, HEAP_A, block=block)
    assert [type(event) for event in told(master)] == [
        BlockLost,
        BlockRecomputed,
        BlockLost,
        BlockLost,
        BlockRecomputed,
    ]


@pytest.mark.parametrize("by", ["put", "restoration"])
def test_a_copy_that_is_made_while_the_last_holder_dies_is_not_computed_again(master: Master, by: str) -> None:
    level = StorageLevel.MEMORY_ONLY_SER_2
    shared = ShmLocation("/dev/shm/of-a", 0, 100)
    master.send(A, m.UpdateBlockInfo(A, BLOCK, level, 100, 0, 0, HEAP_A))
    if by == "put":
        copying = master.send(A, m.ReplicateTo(BLOCK, level, shared, (B,)))
    else:
        copying = master.send("D", m.RegisterBlockManager(BlockManagerId("D", 4), 500)).background.combine([shared])
    ((peer, _),) = copying.asks
    lose(master, "A")
    holder = BlockManagerId(peer, {"B": 2, "C": 3, "D": 4}[peer])
    master.holds(holder, HeapLocation(peer))
    copying.combine([True])
    assert told(master) == [BlockLost(0.0, "rdd_1_2", "A")]


def test_what_was_lost_and_is_wanted_no_more_is_not_there_again(master: Master) -> None:
    for block in (BLOCK, OTHER, BroadcastBlockId(4)):
        master.holds(A, HEAP_A, block=block)
    lose(master, "A")
    assert {event.block_id for event in told(master)} == {"rdd_1_2", "rdd_1_3", "broadcast_4"}
    master.send(DRIVER, m.RemoveBlock(OTHER))
    master.send(DRIVER, m.RemoveBroadcast(4))
    for block in (BLOCK, OTHER, BroadcastBlockId(4)):
        master.holds(B, HEAP_B, block=block)
    assert told(master)[3:] == [BlockRecomputed(0.0, "rdd_1_2", "B")]


def test_of_map_outputs_only_their_adoption_is_told_here(master: Master) -> None:
    output = ShuffleDataBlockId(0, 1, 0)
    master.endpoint.register_shared(output, A, FILE)
    lose(master, "A")
    master.tell(C, m.ReportStaleLocation(output, A, FILE))
    assert told(master) == [BlockAdopted(0.0, "shuffle_0_1_0.data", "A")]


def test_a_block_whose_bytes_its_living_holder_misses_is_lost_once_it_says_what_it_has(master: Master) -> None:
    master.holds(A, FILE)
    master.tell(A, m.ReportStaleLocation(BLOCK, A, FILE))
    assert told(master) == [], "it may have another tier"
    master.gone(A)
    assert told(master) == [BlockLost(0.0, "rdd_1_2", "A")]
    master.holds(B, HEAP_B)
    assert told(master)[1:] == [BlockRecomputed(0.0, "rdd_1_2", "B")]


def test_a_block_of_which_the_holder_has_another_tier_is_not_lost(master: Master) -> None:
    master.holds(A, FILE)
    master.tell(A, m.ReportStaleLocation(BLOCK, A, FILE))
    master.holds(A, HEAP_A)
    master.gone(A)
    assert told(master) == []


def test_a_reader_that_took_another_copy_is_told(master: Master) -> None:
    master.tell(C, m.ReportReplicaRead(BLOCK))
    assert told(master) == [BlockReadFromReplica(0.0, "rdd_1_2", "C")]
