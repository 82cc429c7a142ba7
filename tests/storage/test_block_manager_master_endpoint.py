"""The block master as a state machine: messages in, outcomes out, no process, no clock."""

from __future__ import annotations

import pytest

from protocol import block_messages as m
from protocol.errors import AskTimeoutError, StorageError
from protocol.locations import DRIVER, BlockManagerId, HeapLocation, ShmLocation
from storage.block_id import BroadcastBlockId, RDDBlockId, ShuffleDataBlockId, StreamBlockId, TaskResultBlockId
from storage.block_status import MemoryStatus
from storage.storage_level import StorageLevel
from tests.storage.masters import BLOCK, FILE, SEGMENT, SHM, THE_DRIVER, A, B, C, Master


@pytest.fixture
def master() -> Master:
    return Master(A, B, C)


# --- block managers ---------------------------------------------------------------------------------------------------


def test_peers_are_the_other_executors_without_the_driver(master: Master) -> None:
    assert set(master.ask(A, m.GetPeers(A))) == {B, C}
    master.send(DRIVER, m.RemoveExecutor("B"))
    assert set(master.ask(A, m.GetPeers(A))) == {C}
    assert master.ask(B, m.GetPeers(B)) == ()


def test_heartbeat_and_update_of_an_unknown_manager_ask_it_to_register_again(master: Master) -> None:
    stranger = BlockManagerId("X", 77)
    assert master.ask(stranger, m.BlockManagerHeartbeat(stranger)) is False
    assert not master.holds(stranger, HeapLocation("X")).known
    assert master.locations(A) == ()
    master.send(stranger, m.RegisterBlockManager(stranger, 1))
    assert master.ask(stranger, m.BlockManagerHeartbeat(stranger)) is True
    assert master.holds(stranger, HeapLocation("X")).known


def test_another_process_under_the_same_executor_id_replaces_the_first(master: Master) -> None:
    master.holds(A, HeapLocation("A"))
    successor = BlockManagerId("A", 88)
    master.send(successor, m.RegisterBlockManager(successor, 1))
    assert master.locations(B) == ()
    assert not master.holds(A, HeapLocation("A")).known
    assert master.holds(successor, HeapLocation("A")).known


def test_registering_twice_keeps_the_blocks(master: Master) -> None:
    master.holds(A, HeapLocation("A"))
    master.send(A, m.RegisterBlockManager(A, 700))
    assert master.locations(B) == ((A, HeapLocation("A")),)
    assert MemoryStatus(A, 700, 0, 0, 0, 1) in master.ask(A, m.GetMemoryStatus())


def test_silent_managers_expire_and_the_driver_never(master: Master) -> None:
    master.holds(A, HeapLocation("A"))
    master.now += 9
    assert master.ask(B, m.BlockManagerHeartbeat(B))
    master.now += 2
    master.send(DRIVER, m.ExpireDeadHosts())
    assert [status.block_manager_id for status in master.ask(DRIVER, m.GetMemoryStatus())] == [THE_DRIVER, B]
    assert master.locations(B) == ()


def test_a_manager_that_expired_and_comes_back_keeps_segments_and_leases(master: Master) -> None:
    assert master.ask(A, m.ReserveSegment(SEGMENT, 600))
    master.holds(A, SHM)
    master.locations(B)
    master.now += 11
    assert master.tell(DRIVER, m.ExpireDeadHosts()) == []
    assert master.endpoint.statistics().leases == 1
    assert master.gone(A) == m.UpdateReply(known=False, released=False)
    assert master.endpoint.statistics().shared_memory_used == 600
    master.send(A, m.RegisterBlockManager(A, 500))
    assert master.release(B) == [("A", m.ExtentReleased((SHM,)))]


def test_a_manager_that_comes_back_takes_its_adopted_blocks_back(master: Master) -> None:
    master.holds(A, SHM)
    master.now += 11
    master.send(DRIVER, m.ExpireDeadHosts())
    master.send(A, m.RegisterBlockManager(A, 500))
    assert master.endpoint.statistics().adopted_paths == 0
    assert master.locations(A) == ((A, SHM),)
    assert master.gone(A) == m.UpdateReply(known=True, released=True)


def test_memory_and_storage_status_add_up(master: Master) -> None:
    master.holds(A, HeapLocation("A"), memory=120)
    master.holds(A, HeapLocation("A"), block=RDDBlockId(1, 3), memory=30)
    master.holds(A, SHM, block=BroadcastBlockId(1))
    (memory,) = [status for status in master.ask(B, m.GetMemoryStatus()) if status.block_manager_id == A]
    assert memory == MemoryStatus(A, 500, memory_used=150, off_heap_used=0, disk_used=0, rdd_blocks=2)
    assert memory.max_memory - memory.memory_used == 350
    (status,) = [s for s in master.ask(B, m.GetStorageStatus()) if s.block_manager_id == A]
    assert set(status.blocks) == {BLOCK, RDDBlockId(1, 3), BroadcastBlockId(1)}
    told = master.endpoint.statistics()
    assert (told.blocks, told.rdd_blocks, told.broadcasts, told.memory_used) == (3, 2, 1, 150)


def test_what_a_dead_manager_left_has_a_storage_status_and_takes_nobody_s_memory(master: Master) -> None:
    master.holds(A, SHM)
    master.holds(A, HeapLocation("A"), block=RDDBlockId(1, 3), memory=30)
    master.send(DRIVER, m.RemoveExecutor("A"))
    assert A not in [status.block_manager_id for status in master.ask(B, m.GetMemoryStatus())]
    (status,) = [s for s in master.ask(B, m.GetStorageStatus()) if s.block_manager_id == A]
    assert (status.max_memory, set(status.blocks)) == (0, {BLOCK})


def test_cached_data_ties_an_executor_down_and_blocks_of_the_runtime_do_not(master: Master) -> None:
    runtimes = [BroadcastBlockId(1), BroadcastBlockId(2, "stage"), ShuffleDataBlockId(0, 0, 0), TaskResultBlockId(1)]
    for block in runtimes:
        master.holds(A, SHM, block=block)
    assert master.ask(B, m.HasCachedBlocks("A")) is False
    for block in (RDDBlockId(1, 3), StreamBlockId(0, 1)):
        master.holds(A, HeapLocation("A"), block=block)
        assert master.ask(B, m.HasCachedBlocks("A")) is True
        assert master.ask(B, m.HasCachedBlocks("B")) is False
        master.gone(A, block)
    assert master.ask(B, m.HasCachedBlocks("A")) is False
    assert master.ask(B, m.HasCachedBlocks("nobody")) is False


def test_the_stop_ends_all_block_managers_and_nothing_is_answered_after_it(master: Master) -> None:
    tells = master.tell(DRIVER, m.StopBlockManagerMaster())
    assert set(tells) == {(each.executor_id, m.StopBlockManager()) for each in (A, B, C)}, "not the master's own"
    with pytest.raises(StorageError, match="stopped"):
        master.send(A, m.GetLocations(BLOCK))


def test_a_message_of_another_protocol_is_refused(master: Master) -> None:
    with pytest.raises(StorageError, match="no message to the block master"):
        master.send(A, m.ShareBlock(BLOCK))


# --- locations and leases ---------------------------------------------------------------------------------------------


def test_locations_come_shared_memory_first_and_heaps_last(master: Master) -> None:
    master.holds(A, HeapLocation("A"))
    master.holds(B, FILE)
    master.holds(C, SHM)
    assert master.locations(THE_DRIVER) == ((C, SHM), (B, FILE), (A, HeapLocation("A")))
    several = master.ask(THE_DRIVER, m.GetLocationsMultipleBlockIds((RDDBlockId(9, 9), BLOCK)))
    assert several == ((), ((C, SHM), (B, FILE), (A, HeapLocation("A"))))


def test_a_lease_is_granted_to_everyone_but_the_owner(master: Master) -> None:
    master.holds(A, SHM)
    master.locations(A)
    assert master.endpoint.statistics().leases == 0
    master.locations(B)
    master.locations(C)
    assert master.endpoint.statistics().leases == 2
    assert master.ask(A, m.GetPinned((SHM, ShmLocation(SEGMENT, 0, 1)))) == {SHM}


def test_the_scheduler_sees_locations_without_a_lease(master: Master) -> None:
    master.holds(A, SHM)
    assert master.ask(B, m.GetLocationsMultipleBlockIds((BLOCK, RDDBlockId(7, 7)))) == (((A, SHM),), ())
    assert master.endpoint.statistics().leases == 0


def test_an_extent_nobody_reads_is_released_at_once(master: Master) -> None:
    master.holds(A, SHM)
    assert master.gone(A) == m.UpdateReply(known=True, released=True)


def test_an_extent_waits_in_limbo_until_its_last_reader_is_done(master: Master) -> None:
    master.holds(A, SHM)
    master.locations(B)
    master.locations(B)
    master.locations(C)
    assert master.gone(A) == m.UpdateReply(known=True, released=False)
    assert master.locations(B) == ()
    assert master.release(B, 2) == []
    assert master.endpoint.statistics().extents_in_limbo == 1
    assert master.release(C) == [("A", m.ExtentReleased((SHM,)))]
    assert master.endpoint.statistics().extents_in_limbo == 0


def test_a_block_that_moves_gives_up_its_old_extent(master: Master) -> None:
    master.holds(A, SHM)
    master.locations(B)
    assert master.holds(A, SHM).released
    assert not master.holds(A, FILE).released
    assert master.release(B) == [("A", m.ExtentReleased((SHM,)))]


def test_a_dead_reader_has_released_all(master: Master) -> None:
    master.holds(A, SHM)
    master.locations(B)
    master.gone(A)
    assert master.tell(DRIVER, m.RemoveExecutor("B")) == [("A", m.ExtentReleased((SHM,)))]
    assert master.release(B) == []


def test_a_dead_owner_waits_for_nothing(master: Master) -> None:
    master.holds(A, SHM)
    master.locations(B)
    master.gone(A)
    master.send(DRIVER, m.RemoveExecutor("A"))
    assert master.release(B) == []


def test_a_stale_report_drops_exactly_that_location(master: Master) -> None:
    master.holds(A, SHM)
    master.holds(B, FILE)
    master.tell(C, m.ReportStaleLocation(BLOCK, A, ShmLocation(SEGMENT, 0, 1)))
    assert len(master.locations(C)) == 2
    master.tell(C, m.ReportStaleLocation(BLOCK, A, SHM))
    assert len(master.locations(C)) == 2, "a living holder was asked, and did not say that it lacks the block"
    master.tell(C, m.ReportStaleLocation(BLOCK, B, FILE))
    assert master.locations(C) == ((A, SHM),)
    master.send(DRIVER, m.RemoveExecutor("A"))
    master.tell(C, m.ReportStaleLocation(BLOCK, A, SHM))
    assert master.locations(C) == ()


@pytest.mark.parametrize("how", ["not shared", "removed while forgotten"])
def test_a_block_that_was_dropped_here_still_has_its_readers(master: Master, how: str) -> None:
    master.holds(A, SHM)
    master.locations(B)
    if how == "not shared":
        assert master.answer(C, m.FetchBlock(BLOCK, "A"), None).reply is None
    else:
        master.now += 11
        master.send(DRIVER, m.ExpireDeadHosts())
        master.send(DRIVER, m.RemoveRdd(1))
    assert master.locations(C) == ()
    assert not master.gone(A).released
    assert master.release(B) == [("A", m.ExtentReleased((SHM,)))]
    assert master.gone(A).released


# --- death and adoption -----------------------------------------------------------------------------------------------


def test_heap_blocks_die_with_their_executor_and_shared_ones_are_adopted(master: Master) -> None:
    master.holds(A, HeapLocation("A"))
    master.holds(A, SHM, block=RDDBlockId(1, 3))
    master.holds(A, FILE, block=RDDBlockId(1, 4))
    master.send(DRIVER, m.RemoveExecutor("A"))
    assert master.locations(B) == ()
    assert master.locations(B, RDDBlockId(1, 3)) == ((A, SHM),)
    assert master.locations(B, RDDBlockId(1, 4)) == ((A, FILE),)
    assert master.ask(B, m.HasCachedBlocks("A")) is False


def test_an_adopted_segment_is_given_up_with_its_last_block(master: Master) -> None:
    other = ShmLocation(SEGMENT, 512, 10)
    assert master.ask(A, m.ReserveSegment(SEGMENT, 1000))
    master.holds(A, SHM)
    master.holds(A, other, block=BroadcastBlockId(3))
    assert master.tell(DRIVER, m.RemoveExecutor("A")) == []
    outcome = master.answer(DRIVER, m.RemoveBlock(BLOCK))
    assert (outcome.reply, outcome.tells) == (True, [])
    outcome = master.send(DRIVER, m.RemoveBroadcast(3, remove_from_driver=False))
    assert {target for target, order in outcome.tells if order == m.ReleaseSegment(SEGMENT)} == {"B", "C"}
    assert (DRIVER, m.ReleaseSegment(SEGMENT, remove=True)) in outcome.tells
    assert outcome.combine([0, 0]).reply == 1
    assert master.endpoint.statistics().shared_memory_used == 0


def test_segments_without_reported_blocks_go_when_their_owner_dies(master: Master) -> None:
    assert master.ask(A, m.ReserveSegment(SEGMENT, 1000))
    assert (DRIVER, m.ReleaseSegment(SEGMENT, remove=True)) in master.tell(DRIVER, m.RemoveExecutor("A"))
    assert master.ask(B, m.ReserveSegment("/dev/shm/next", 1000))


def test_the_file_of_a_dead_executor_goes_with_its_block(master: Master) -> None:
    master.holds(A, FILE)
    master.send(DRIVER, m.RemoveExecutor("A"))
    outcome = master.send(DRIVER, m.RemoveRdd(1))
    assert (DRIVER, m.ReleaseSegment(FILE.path, remove=True)) in outcome.tells
    assert outcome.combine([0, AskTimeoutError("late"), 2]).reply == 3


def test_results_that_arrive_with_a_task_are_registered_and_adopted(master: Master) -> None:
    first, second = ShuffleDataBlockId(0, 1, 0), ShuffleDataBlockId(0, 2, 0)
    assert master.endpoint.register_shared(first, A, SHM)
    assert master.locations(B, first) == ((A, SHM),)
    master.send(DRIVER, m.RemoveExecutor("A"))
    assert master.endpoint.register_shared(second, A, ShmLocation(SEGMENT, 512, 10))
    assert not master.endpoint.register_shared(second, A, ShmLocation("/dev/shm/gone", 0, 10))
    outcome = master.send(DRIVER, m.RemoveShuffle(0))
    assert (DRIVER, m.ReleaseSegment(SEGMENT, remove=True)) in outcome.tells
    assert outcome.combine([False, False, False]).reply is True


# --- queries, and removals that ask the slaves ----------------------------------------------------------------------


def test_removals_reach_those_concerned_and_their_counts_add_up(master: Master) -> None:
    master.holds(A, HeapLocation("A"))
    outcome = master.send(DRIVER, m.RemoveRdd(1))
    assert {target for target, _ in outcome.asks} == {DRIVER, "A", "B", "C"}
    assert outcome.combine([0, 1, 2, 0]).reply == 3
    assert [target for target, _ in master.send(DRIVER, m.RemoveBlock(BLOCK)).asks] == ["A"]
    assert DRIVER not in [target for target, _ in master.send(DRIVER, m.RemoveBroadcast(1, False)).asks]
    assert DRIVER in [target for target, _ in master.send(DRIVER, m.RemoveBroadcast(1)).asks]
    assert master.answer(DRIVER, m.RemoveShuffle(4), False, True, False, False).reply is True


def test_a_block_s_status_is_what_its_holders_reported(master: Master) -> None:
    master.holds(A, HeapLocation("A"), memory=5)
    master.holds(B, HeapLocation("B"), memory=6)
    master.holds(B, HeapLocation("B"), block=StreamBlockId(0, 1))
    statuses = master.ask(C, m.GetBlockStatus(BLOCK))
    assert {holder: status.memory_size for holder, status in statuses.items()} == {A: 5, B: 6}
    assert master.ask(C, m.GetBlockStatus(RDDBlockId(7, 7))) == {}
    assert master.ask(C, m.GetMatchingBlockIds(lambda block_id: block_id.is_rdd)) == (BLOCK,)


def test_a_fetched_block_is_leased_to_the_reader_and_then_given_back(master: Master) -> None:
    master.holds(A, HeapLocation("A"))
    assert master.answer(B, m.FetchBlock(BLOCK, "A"), SHM).reply == SHM
    assert master.release(B) == [("A", m.ExtentReleased((SHM,)))]
    assert master.locations(C) == ((A, HeapLocation("A")),)


def test_a_fetch_that_finds_nothing_drops_the_location_and_a_late_one_does_not(master: Master) -> None:
    master.holds(A, HeapLocation("A"))
    assert master.answer(B, m.FetchBlock(BLOCK, "A"), AskTimeoutError("late")).reply is None
    assert master.locations(B) == ((A, HeapLocation("A")),)
    assert master.answer(B, m.FetchBlock(BLOCK, "A"), None).reply is None
    assert master.locations(B) == ()
    assert master.ask(B, m.FetchBlock(BLOCK, "nobody")) is None


def test_what_is_shared_for_a_reader_that_has_died_is_its_owners_again(master: Master) -> None:
    master.holds(A, HeapLocation("A"), memory=100)
    fetch = master.send(B, m.FetchBlock(BLOCK, "A"))
    master.send(DRIVER, m.RemoveExecutor("B"))
    following = fetch.combine([SHM])
    assert following.reply is None
    assert following.tells == [("A", m.ExtentReleased((SHM,)))]
    assert master.endpoint.statistics().leases == 0


def test_replication_asks_the_living_peers_and_names_those_that_stored(master: Master) -> None:
    dead = BlockManagerId("X", 5)
    message = m.ReplicateTo(BLOCK, StorageLevel.MEMORY_ONLY_2, SHM, (B, dead, C))
    outcome = master.answer(A, message, True, False)
    assert outcome.reply == (B,)


def test_a_copy_made_for_replication_is_given_back_when_all_peers_have_read_it(master: Master) -> None:
    message = m.ReplicateTo(BLOCK, StorageLevel.MEMORY_ONLY_2, SHM, (B,))
    assert master.answer(A, message, True).tells == []
    assert master.release(B) == [("A", m.ExtentReleased((SHM,)))]
    outcome = master.send(A, message)
    master.release(B)
    assert outcome.combine([True]).tells == [("A", m.ExtentReleased((SHM,)))]


def test_replication_from_the_blocks_own_bytes_gives_nothing_back(master: Master) -> None:
    master.holds(A, SHM)
    message = m.ReplicateTo(BLOCK, StorageLevel.OFF_HEAP, SHM, (B,))
    assert master.answer(A, message, True).tells == []
    assert master.release(B) == []


def test_segments_are_granted_up_to_the_budget(master: Master) -> None:
    assert master.ask(A, m.ReserveSegment("/dev/shm/1", 600))
    assert not master.ask(B, m.ReserveSegment("/dev/shm/2", 401))
    assert master.ask(B, m.ReserveSegment("/dev/shm/2", 400))
    assert master.endpoint.statistics().shared_memory_used == 1000
    tells = master.tell(A, m.ReturnSegment("/dev/shm/1"))
    assert sorted(tells) == [(other, m.ReleaseSegment("/dev/shm/1")) for other in ("B", "C", DRIVER)]
    assert master.endpoint.statistics().shared_memory_used == 400
    assert master.ask(C, m.ReserveSegment("/dev/shm/3", 600))
