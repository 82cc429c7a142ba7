"""Second copies that died with an executor are made again: as messages, and with real block managers."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

import pytest

from protocol import block_messages as m
from protocol.errors import BrokenChannelError
from protocol.locations import DRIVER, BlockManagerId, FileLocation, HeapLocation, ShmLocation
from storage.block_id import RDDBlockId
from storage.outcome import settle
from storage.storage_level import StorageLevel
from tests.storage.clusters import ClusterMaker, block, locations
from tests.storage.masters import BLOCK, A, B, C, Master

D = BlockManagerId("D", 44)
TWICE, ONCE = StorageLevel.MEMORY_AND_DISK_SER_2, StorageLevel.MEMORY_AND_DISK_SER
COPY = ShmLocation("/dev/shm/of-b", 0, 100)


@pytest.fixture
def master() -> Master:
    return Master(A, B)


def holds_twice(master: Master, block_id: Any = BLOCK) -> None:
    """A put the block on its heap, with a copy on B's."""
    status = (100, 0, 0, HeapLocation("A"))
    master.send(A, m.UpdateBlockInfo(A, block_id, StorageLevel.MEMORY_ONLY_SER_2, *status))
    master.answer(A, m.ReplicateTo(block_id, TWICE, ShmLocation("/dev/shm/of-a", 0, 100), (B,)), True)
    master.release(B, location=ShmLocation("/dev/shm/of-a", 0, 100))
    master.holds(B, HeapLocation("B"), block=block_id, memory=100)


def test_a_copy_of_a_dead_one_is_made_again_at_a_peer_that_has_none(master: Master) -> None:
    holds_twice(master)
    master.send(C, m.RegisterBlockManager(C, 500))
    outcome = master.send(DRIVER, m.RemoveExecutor("A"))
    assert outcome.asks == [], "nobody waits for it"
    share = outcome.background
    assert share.asks == [("B", m.ShareBlock(BLOCK))]
    copy = share.combine([COPY])
    assert copy.asks == [("C", m.ReplicateBlock(BLOCK, ONCE, COPY))]
    assert master.endpoint.statistics().leases == 1
    master.holds(C, HeapLocation("C"), memory=100)
    assert master.release(C, location=COPY) == [("B", m.ExtentReleased((COPY,)))]
    assert copy.combine([True]).background is None
    assert {holder for holder, _ in master.locations(DRIVER)} == {B, C}


@pytest.mark.parametrize("gone", ["peer", "block"])
def test_a_copy_for_a_peer_that_has_died_or_of_a_block_that_is_gone_is_its_makers_again(
    master: Master, gone: str
) -> None:
    holds_twice(master)
    master.send(C, m.RegisterBlockManager(C, 500))
    share = master.send(DRIVER, m.RemoveExecutor("A")).background
    master.send(DRIVER, m.RemoveExecutor("C") if gone == "peer" else m.RemoveBlock(BLOCK))
    following = share.combine([COPY])
    assert (following.background, following.tells) == (None, [("B", m.ExtentReleased((COPY,)))])
    assert master.endpoint.statistics().leases == 0


def test_without_a_peer_it_waits_for_the_next_one(master: Master) -> None:
    holds_twice(master)
    assert master.send(DRIVER, m.RemoveExecutor("A")).background is None
    outcome = master.send(C, m.RegisterBlockManager(C, 500))
    assert outcome.background.asks == [("B", m.ShareBlock(BLOCK))]


def test_an_adopted_copy_is_a_copy_and_can_be_read_without_its_dead_holder(master: Master) -> None:
    shared = ShmLocation("/dev/shm/of-a", 64, 100)
    level = StorageLevel(False, True, True, False, 3)
    master.send(A, m.UpdateBlockInfo(A, BLOCK, level, 0, 0, 100, shared))
    master.holds(B, HeapLocation("B"), memory=100)
    master.send(C, m.RegisterBlockManager(C, 500)).background.combine([BrokenChannelError("")])
    outcome = master.send(DRIVER, m.RemoveExecutor("A"))
    assert outcome.background.asks == [("C", m.ReplicateBlock(BLOCK, level.without_replicas, shared))]


def test_a_damaged_copy_is_made_again_from_the_good_one(master: Master) -> None:
    holds_twice(master)
    master.tell(B, m.ReportCorruptBlock(BLOCK, "B", HeapLocation("B")))
    update = m.UpdateBlockInfo(B, BLOCK, StorageLevel.NONE, 0, 0, 0, None)
    outcome = master.send(B, update)
    assert outcome.background.asks == [("A", m.ShareBlock(BLOCK))]
    assert outcome.background.combine([COPY]).asks == [("B", m.ReplicateBlock(BLOCK, ONCE, COPY))]


def test_one_that_was_evicted_is_not_made_again(master: Master) -> None:
    holds_twice(master)
    assert master.send(B, m.UpdateBlockInfo(B, BLOCK, StorageLevel.NONE, 0, 0, 0, None)).background is None


class Slaves:
    """Executors that answer what the master asks of them, but for some."""

    def __init__(self, master: Master, silent: str = "", dead: str = "") -> None:
        self.silent = silent
        self.dead = dead
        self.asked: list[tuple[str, Any]] = []
        self.most = 0  # orders that waited for an answer at once
        self._master = master
        self._open: list[tuple[str, Any, Future[Any]]] = []

    def carry_out(self, outcome: Any) -> None:
        settle(outcome, lambda executor_id, order: None, self._ask)
        while answering := [each for each in self._open if each[0] not in self.silent]:
            self.most = max(self.most, len(self._open))
            self._open.remove(answering[0])
            self._answer(*answering[0])

    def _ask(self, executor_id: str, order: Any) -> Future[Any]:
        answer: Future[Any] = Future()
        self.asked.append((executor_id, order.block_id))
        self._open.append((executor_id, order, answer))
        return answer

    def _answer(self, executor_id: str, order: Any, answer: Future[Any]) -> None:
        if executor_id in self.dead:
            answer.set_exception(BrokenChannelError(""))
        elif isinstance(order, m.ShareBlock):
            answer.set_result(ShmLocation(f"/dev/shm/of-{executor_id}", 0, 100 + len(self.asked)))
        else:
            manager = next(each for each in (A, B, C, D) if each.executor_id == executor_id)
            self._master.holds(manager, HeapLocation(executor_id), block=order.block_id, memory=100)
            answer.set_result(True)


BLOCKS = [RDDBlockId(1, number) for number in range(3, 10)]


def lose_one_of(master: Master, *peers: BlockManagerId, in_files: Sequence[RDDBlockId] = ()) -> Any:
    """What is to be done when A has died, and B alone has copies of all blocks."""
    for block_id in BLOCKS:
        holds_twice(master, block_id)
    for block_id in in_files:
        master.holds(B, FileLocation(f"/tmp/{block_id}", 0, 100), block=block_id)
    for peer in peers:
        master.send(peer, m.RegisterBlockManager(peer, 500))
    return master.send(DRIVER, m.RemoveExecutor("A")).background


def lacking(master: Master) -> list[RDDBlockId]:
    return [block_id for block_id in BLOCKS if len(master.locations(DRIVER, block_id)) < 2]


def test_nobody_is_asked_for_two_copies_at_once(master: Master) -> None:
    slaves = Slaves(master)
    slaves.carry_out(lose_one_of(master, C, D))
    assert lacking(master) == []
    assert slaves.most == 2, "B shares for one peer while the other copies"


def test_a_peer_that_does_not_answer_holds_up_one_block_until_it_is_lost(master: Master) -> None:
    slaves = Slaves(master, silent="C")
    slaves.carry_out(lose_one_of(master, C, D))
    assert len(lacking(master)) == 1
    slaves.silent, slaves.dead = "", "C"
    slaves.carry_out(master.send(DRIVER, m.RemoveExecutor("C")))
    assert lacking(master) == []


def test_a_holder_that_does_not_answer_holds_up_what_is_on_its_heap(master: Master) -> None:
    outcome = lose_one_of(master, C, D, in_files=BLOCKS[::2])
    Slaves(master, silent="B").carry_out(outcome)
    assert lacking(master) == BLOCKS[1::2]


def test_those_that_fail_do_not_hold_up_the_rest(master: Master) -> None:
    slaves = Slaves(master, dead="B")
    slaves.carry_out(lose_one_of(master, C))
    assert sorted(slaves.asked) == [("B", block_id) for block_id in BLOCKS]
    slaves.dead = ""
    slaves.carry_out(master.send(D, m.RegisterBlockManager(D, 500)))
    assert lacking(master) == []


def test_a_peer_that_refuses_is_followed_by_the_next(master: Master) -> None:
    holds_twice(master)
    for peer in (C, D):
        master.send(peer, m.RegisterBlockManager(peer, 500))
    outcome = master.send(DRIVER, m.RemoveExecutor("A")).background.combine([COPY])
    ((first, _),) = outcome.asks
    outcome = outcome.combine([False]).background.combine([COPY])
    ((second, _),) = outcome.asks
    assert {first, second} == {"C", "D"}
    assert outcome.combine([False]).background is None


def test_an_executor_that_dies_while_copies_are_made_begins_no_second_round(master: Master) -> None:
    holds_twice(master)
    for peer in (C, D):
        master.send(peer, m.RegisterBlockManager(peer, 500))
    first = master.send(DRIVER, m.RemoveExecutor("A")).background
    assert master.send(DRIVER, m.RemoveExecutor("D")).background is None
    assert first.combine([COPY]).background.asks == [("B", m.ShareBlock(BLOCK))], "for the other one"


def test_a_peer_that_the_putter_has_told_already_is_not_told_again(master: Master) -> None:
    place = ShmLocation("/dev/shm/of-a", 0, 100)
    master.send(C, m.RegisterBlockManager(C, 500))
    master.send(A, m.UpdateBlockInfo(A, BLOCK, StorageLevel.MEMORY_AND_DISK_SER_2, 0, 0, 100, place))
    order = master.send(A, m.ReplicateTo(BLOCK, TWICE, place, (B,)))
    assert order.asks == [("B", m.ReplicateBlock(BLOCK, ONCE, place))]
    assert master.send(DRIVER, m.RemoveExecutor("C")).background is None


def test_a_copy_of_what_was_removed_meanwhile_goes_again(master: Master) -> None:
    holds_twice(master)
    master.send(C, m.RegisterBlockManager(C, 500))
    copy = master.send(DRIVER, m.RemoveExecutor("A")).background.combine([COPY])
    master.send(DRIVER, m.RemoveRdd(1))
    master.gone(B)
    master.holds(C, HeapLocation("C"), memory=100)
    assert copy.combine([True]).tells == [("C", m.RemoveBlock(BLOCK))]


def test_what_is_removed_or_has_one_copy_by_level_is_not_copied(master: Master) -> None:
    holds_twice(master)
    master.holds(B, HeapLocation("B"), block=RDDBlockId(3, 1), memory=100)
    master.send(DRIVER, m.RemoveRdd(1))
    master.gone(A)
    master.gone(B)
    master.send(C, m.RegisterBlockManager(C, 500))
    assert master.send(DRIVER, m.RemoveExecutor("A")).background is None


@pytest.mark.parametrize("name", ["MEMORY_ONLY_2", "MEMORY_AND_DISK_SER_2", "DISK_ONLY_2"])
def test_two_copies_outlive_one_holder_after_the_other(make_cluster: ClusterMaker, name: str) -> None:
    cluster = make_cluster("A", "B", "C", "D")
    cluster.managers["A"].put_single(block(1), list(range(50)), StorageLevel.from_string(name))
    for _ in range(3):
        holders = {holder.executor_id for holder, _ in locations(cluster, block(1))}
        living = sorted(holders & cluster.managers.keys())
        assert len(holders) >= 2
        if living:  # else all copies are files of dead ones
            cluster.kill(living[0])
            cluster.check()
            cluster.add(f"{living[0]}'")
    assert cluster.driver.get_single(block(1)) == list(range(50))
    cluster.driver.flush_lease_releases()
    assert cluster.endpoint.statistics().extents_in_limbo == 0
