"""Removals that a holder did not hear of, or did not answer, before it died or was heard again."""

from __future__ import annotations

from typing import Any

import pytest

from protocol import block_messages as m
from protocol.errors import BrokenChannelError
from protocol.locations import DRIVER, FileLocation, HeapLocation
from storage.block_id import BlockId, BroadcastBlockId, RDDBlockId, ShuffleDataBlockId
from storage.storage_level import StorageLevel
from tests.storage.masters import BLOCK, FILE, SEGMENT, SHM, A, B, C, Master


@pytest.fixture
def master() -> Master:
    return Master(A, B, C)


REMOVALS: list[tuple[Any, BlockId]] = [
    (m.RemoveRdd(1), BLOCK),
    (m.RemoveBlock(BLOCK), BLOCK),
    (m.RemoveShuffle(4), ShuffleDataBlockId(4, 1, 0)),
    (m.RemoveBroadcast(3), BroadcastBlockId(3)),
]


@pytest.mark.parametrize(("removal", "block"), REMOVALS, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("location", [SHM, FILE], ids=["shared", "file"])
@pytest.mark.parametrize("death_first", [False, True])
def test_what_a_holder_was_to_remove_when_it_died_is_not_kept(
    master: Master, removal: Any, block: BlockId, location: Any, death_first: bool
) -> None:
    assert master.ask(A, m.ReserveSegment(SEGMENT, 600))
    master.holds(A, location, block=block)
    outcome = master.send(DRIVER, removal)
    answers: list[Any] = [
        BrokenChannelError("it is gone") if executor_id == "A" else 0 for executor_id, _ in outcome.asks
    ]
    if death_first:
        tells = master.tell(DRIVER, m.RemoveExecutor("A"))
        outcome.combine(answers)
    else:
        outcome.combine(answers)
        tells = master.tell(DRIVER, m.RemoveExecutor("A"))
    assert (DRIVER, m.ReleaseSegment(location.path, remove=True)) in tells
    told = master.endpoint.statistics()
    assert (told.blocks, told.adopted_paths, told.shared_memory_used) == (0, 0, 0)


def test_what_it_has_removed_and_others_hold_is_not_dropped_with_it(master: Master) -> None:
    master.holds(A, SHM)
    outcome = master.send(DRIVER, m.RemoveRdd(1))
    master.gone(A)
    outcome.combine([0] * len(outcome.asks))
    master.holds(A, SHM)  # cached again
    master.holds(B, FILE, block=RDDBlockId(1, 7))
    master.send(DRIVER, m.RemoveExecutor("A"))
    assert master.locations(C) == ((A, SHM),)
    assert master.locations(C, RDDBlockId(1, 7)) == ((B, FILE),)


@pytest.mark.parametrize(("removal", "block"), REMOVALS, ids=lambda value: type(value).__name__)
def test_what_a_holder_was_to_remove_as_soon_as_nobody_uses_it_is_not_kept(
    master: Master, removal: Any, block: BlockId
) -> None:
    """It answers at once; the block, which a task uses or another order removes just now, stays a moment longer."""
    master.holds(A, SHM, block=block)
    outcome = master.send(DRIVER, removal)
    outcome.combine([int(executor_id == "A") for executor_id, _ in outcome.asks])
    assert master.locations(C, block) == ((A, SHM),)
    master.send(DRIVER, m.RemoveExecutor("A"))
    assert master.endpoint.statistics().blocks == 0


def test_what_was_removed_when_nobody_used_it_any_more_and_is_cached_again_is_kept(master: Master) -> None:
    master.holds(A, SHM)
    outcome = master.send(DRIVER, m.RemoveRdd(1))
    outcome.combine([int(executor_id == "A") for executor_id, _ in outcome.asks])
    master.gone(A)
    master.holds(A, SHM)
    master.send(DRIVER, m.RemoveExecutor("A"))
    assert master.locations(C) == ((A, SHM),)


def test_one_that_was_silent_is_asked_when_it_comes_back(master: Master) -> None:
    master.holds(A, SHM)
    master.holds(A, HeapLocation("A"), block=RDDBlockId(1, 7))
    master.holds(A, HeapLocation("A"), block=RDDBlockId(2, 0))
    master.expire(A)
    asked = master.send(DRIVER, m.RemoveRdd(1)).asks
    assert "A" not in [executor_id for executor_id, _ in asked]
    master.send(DRIVER, m.RemoveBroadcast(3))
    outcome = master.send(A, m.RegisterBlockManager(A, 500))
    assert set(outcome.background.asks) == {
        ("A", m.RemoveBlock(BLOCK)),
        ("A", m.RemoveBlock(RDDBlockId(1, 7))),
        ("A", m.RemoveBroadcast(3)),
    }
    master.expire(A)
    assert master.send(A, m.RegisterBlockManager(A, 500)).background.asks == [], "it was asked once"


def test_one_that_comes_back_and_dies_before_it_has_removed_leaves_nothing(master: Master) -> None:
    master.holds(A, SHM)
    master.expire(A)
    master.send(DRIVER, m.RemoveRdd(1))
    outcome = master.send(A, m.RegisterBlockManager(A, 500))
    master.holds(A, SHM)  # as it reports all its blocks
    master.send(DRIVER, m.RemoveExecutor("A"))
    outcome.background.combine([BrokenChannelError("it is gone")])
    assert master.endpoint.statistics().blocks == 0


def test_a_result_of_one_that_is_silent_and_lives_is_kept(master: Master) -> None:
    """Its task ends before its heartbeat comes: the report is the first that is heard of it again."""
    master.expire(A)
    assert master.endpoint.register_shared(BLOCK, A, SHM)
    assert master.locations(B) == ((A, SHM),)
    master.send(A, m.RegisterBlockManager(A, 500))
    assert master.endpoint.statistics().adopted_paths == 0
    master.send(DRIVER, m.RemoveExecutor("A"))
    assert master.locations(C) == ((A, SHM),)


def test_a_result_of_one_that_is_silent_is_removed_there_when_it_comes_back(master: Master) -> None:
    master.expire(A)
    master.endpoint.register_shared(BLOCK, A, SHM)
    master.send(DRIVER, m.RemoveBlock(BLOCK))
    assert master.send(A, m.RegisterBlockManager(A, 500)).background.asks == [("A", m.RemoveBlock(BLOCK))]


def test_one_that_is_silent_and_lives_reads_what_others_have(master: Master) -> None:
    master.holds(B, HeapLocation("B"))
    master.expire(A)
    assert master.answer(A, m.FetchBlock(BLOCK, "B"), SHM).reply == SHM
    assert master.endpoint.statistics().leases == 1


# --- what is adopted -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_expired", [False, True])
def test_blocks_whose_bytes_are_not_there_are_not_adopted(master: Master, is_expired: bool) -> None:
    whole, cut = FileLocation("/tmp/whole", 0, 10), FileLocation("/tmp/cut", 0, 10)
    master.holds(A, whole, block=RDDBlockId(1, 3))
    master.holds(A, cut, block=RDDBlockId(1, 4))
    if is_expired:
        master.expire(A)
    master.damaged.add(cut)
    tells = master.tell(DRIVER, m.RemoveExecutor("A"))
    assert master.locations(B, RDDBlockId(1, 3)) == ((A, whole),)
    assert master.locations(B, RDDBlockId(1, 4)) == ()
    assert ((DRIVER, m.ReleaseSegment("/tmp/cut", remove=True)) in tells) is is_expired


def test_what_is_put_for_an_rdd_that_nobody_keeps_is_removed_by_its_holder(master: Master) -> None:
    """By a task that computed it while the RDD was unpersisted, and all were told."""
    report = m.UpdateBlockInfo(A, BLOCK, StorageLevel.MEMORY_ONLY, 10, 0, 0, HeapLocation("A"))
    assert master.tell(A, report) == []
    master.endpoint.is_wanted = lambda rdd_id: rdd_id != BLOCK.rdd_id
    assert master.tell(A, report) == [("A", m.RemoveBlock(BLOCK))]
    other = RDDBlockId(BLOCK.rdd_id + 1, 0)
    assert master.tell(A, m.UpdateBlockInfo(A, other, StorageLevel.MEMORY_ONLY, 10, 0, 0, HeapLocation("A"))) == []
    master.gone(A)
    assert not master.endpoint.is_stored(BLOCK)
