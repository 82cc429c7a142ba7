"""What follows from the loss of an executor, and in which order: a real block master and table of map outputs."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import Any

import pytest

from localcluster.driver.block_master import BlockMaster
from localcluster.driver.executor_loss import ExecutorLoss
from localcluster.driver.instructions import Instructions
from localcluster.scheduler.map_output_tracker import MapOutputTracker
from localcluster.shuffle.map_status import MapStatus
from localcluster.shuffle.sort_shuffle import SortShuffleManager
from protocol import block_messages as m
from protocol.locations import BlockManagerId, HeapLocation, ShmLocation
from storage.block_id import RDDBlockId
from storage.block_manager_master_endpoint import BlockManagerMasterEndpoint
from storage.storage_level import StorageLevel

A, B = BlockManagerId("a", 1), BlockManagerId("b", 2)
KEPT, CUT = "/dev/shm/kept", "/dev/shm/cut"


class Bed:
    """Two executors; of ``a`` what is in `CUT` has lost its bytes. ``calls`` are those of the scheduler and others."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.sent: list[tuple[str, Any]] = []
        self.endpoint = BlockManagerMasterEndpoint(1000, is_whole=lambda location: location.segment != CUT)
        self.outputs = MapOutputTracker()
        side: Any = None
        master = BlockMaster(
            self.endpoint, threading.RLock(), side, lambda *order: self.sent.append(order), lambda *_: Future()
        )
        pool: Any = self
        self.instructions = Instructions(pool, master, self.outputs, SortShuffleManager, 1.0)
        dag: Any = self
        heartbeats: Any = self
        self.loss = ExecutorLoss(dag, self.outputs, master, self.instructions, heartbeats, lambda: 5.0)
        for manager in (A, B):
            self.endpoint.receive(manager.executor_id, m.RegisterBlockManager(manager, 500), 0.0)

    def put(self, block_id: RDDBlockId, holder: BlockManagerId, location: Any) -> None:
        level = StorageLevel.MEMORY_ONLY if isinstance(location, HeapLocation) else StorageLevel.OFF_HEAP
        update = m.UpdateBlockInfo(holder, block_id, level, 10, 0, 0, location)
        self.endpoint.receive(holder.executor_id, update, 0.0)

    def map_output(self, map_index: int, holder: BlockManagerId, segment: str) -> None:
        data, index = ShmLocation(segment, 64 * map_index, 10), ShmLocation(segment, 64 * map_index + 32, 10)
        status = MapStatus(holder.executor_id, map_index, (data, index))
        self.outputs.register_output(7, map_index, status)
        for block_id, location in self.instructions.blocks_of(7, status):
            self.endpoint.register_shared(block_id, holder, location)

    # --- the scheduler and the heartbeats ---

    def executor_lost(self, executor_id: str, reason: str, now: float) -> None:
        holders = [manager for manager in (A, B) if self.endpoint._table.manager(manager)]
        self.calls.append(("requeue", executor_id, reason, now, holders))

    def output_lost(self, shuffle_id: int, map_index: int) -> None:
        self.calls.append(("output", shuffle_id, map_index))

    def forget(self, executor_id: str) -> None:
        self.calls.append(("forget", executor_id))


@pytest.fixture
def bed() -> Bed:
    bed = Bed()
    bed.outputs.register_shuffle(7, 4)
    for map_index, (holder, segment) in enumerate([(A, KEPT), (A, CUT), (B, "/dev/shm/other"), (A, KEPT)]):
        bed.map_output(map_index, holder, segment)
    return bed


def test_tasks_are_queued_again_when_the_block_master_knows_and_lost_outputs_are_told(bed: Bed) -> None:
    bed.loss("a", "it died")
    assert bed.calls == [("forget", "a"), ("output", 7, 1), ("requeue", "a", "it died", 5.0, [B])]


def test_of_its_blocks_those_stay_whose_bytes_are_there_without_it(bed: Bed) -> None:
    heap, shared, cut = (RDDBlockId(1, number) for number in range(3))
    bed.put(heap, A, HeapLocation("a"))
    bed.put(shared, A, ShmLocation(KEPT, 900, 10))
    bed.put(cut, A, ShmLocation(CUT, 900, 10))
    bed.loss("a", "it died")
    assert [bed.endpoint.is_stored(block_id) for block_id in (heap, shared, cut)] == [False, True, False]
    bed.endpoint.check()


def test_outputs_of_others_and_those_that_were_empty_are_not_lost(bed: Bed) -> None:
    bed.outputs.register_shuffle(8, 1)
    bed.outputs.register_output(8, 0, MapStatus("a", 9, (None, None)))
    bed.loss("b", "it died")
    assert [call for call in bed.calls if call[0] == "output"] == []


def test_a_copy_that_it_had_is_made_again_by_the_block_master(bed: Bed) -> None:
    block_id = RDDBlockId(1, 5)
    c = BlockManagerId("c", 3)
    bed.endpoint.receive("c", m.RegisterBlockManager(c, 500), 0.0)
    level = StorageLevel(False, True, True, False, 3)
    bed.endpoint.receive("a", m.UpdateBlockInfo(A, block_id, level, 0, 0, 10, ShmLocation(KEPT, 900, 10)), 0.0)
    bed.put(block_id, B, ShmLocation("/dev/shm/other", 900, 10))
    bed.loss("a", "it died")
    assert bed.endpoint.statistics().leases == 1, "a peer was asked to copy it"
