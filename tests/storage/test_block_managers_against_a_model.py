"""Any sequence of puts, reads, removals, deaths and lost registrations, against a model that knows what must still be
there.

Each block has one value, so whatever a read gives is right or wrong at sight; the arrays that readers hold must keep
their values for ever. The machine ends in an audit of all books, and in nothing left when all is removed and let go.
"""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from protocol.locations import DRIVER, HeapLocation, ShmLocation
from storage.block_id import RDDBlockId
from storage.storage_level import StorageLevel
from tests.storage.clusters import SEGMENT, ClusterMaker, locations, remove_shared_files

BLOCKS = [RDDBlockId(number % 2, number) for number in range(4)]
# Names, since a failed example is printed: of a level, hypothesis would print its named levels and theirs, for ever.
LEVELS = ["MEMORY_ONLY", "MEMORY_ONLY_SER", "MEMORY_AND_DISK", "MEMORY_AND_DISK_SER_2", "DISK_ONLY", "OFF_HEAP"]
SLOTS = st.integers(0, 3)  # of three executors, replaced under new names when they die, and the driver
EXECUTORS = st.integers(0, 2)
SIZE = 40_000  # doubles: a block has 320 KB, and the heap of each process room for one


class BlockManagersMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory(prefix="blocks")
        self.make = ClusterMaker(Path(self.directory.name))
        self.names = ["A", "B", "C", DRIVER]
        self.cluster = self.make("A", "B", "C", shared_memory=3 * SEGMENT, max_memory=500_000)
        self.sure: dict[Any, set[str]] = {
            b: set() for b in BLOCKS
        }  # living executors whose copy has disk to fall back on
        self.adopted: set[Any] = set()  # blocks that a dead executor left where all can read them
        self.held: list[tuple[str, int, Any]] = []  # (reader, number of the block, its array)

    @property
    def managers(self) -> dict[str, Any]:
        return self.cluster.managers

    @property
    def forgotten(self) -> set[str]:
        """Those whom the master does not know now; whatever they report brings them back."""
        return set(self.names) - {
            status.block_manager_id.executor_id for status in self.cluster.driver.master.get_memory_status()
        }

    @rule(slot=SLOTS, number=st.integers(0, 3), level_name=st.sampled_from(LEVELS))
    def put(self, slot: int, number: int, level_name: str) -> None:
        name, block_id, level = self.names[slot], BLOCKS[number], StorageLevel.from_string(level_name)
        manager = self.managers[name]
        new = block_id not in manager.block_ids()
        stored = manager.put_single(block_id, np.full(SIZE, float(number)), level)
        assert stored or not level.use_disk
        if new and stored and level.use_disk:
            self.sure[block_id].add(name)

    @rule(slot=SLOTS, number=st.integers(0, 3))
    def get(self, slot: int, number: int) -> None:
        name, block_id = self.names[slot], BLOCKS[number]
        result = self.managers[name].get(block_id)
        if result is None:
            reachable = self.sure[block_id] - (self.forgotten - {name})
            assert not reachable, f"{block_id} is at {reachable}"
            assert block_id not in self.adopted
            return
        (array,) = result.values
        assert (array[:: SIZE // 10] == number).all()
        self.held.append((name, number, array))

    @rule(writer=EXECUTORS, reader=SLOTS, number=st.integers(0, 3), other=st.integers(0, 3))
    def reuse_memory_under_a_reader(self, writer: int, reader: int, number: int, other: int) -> None:
        """The sequence that breaks without leases; chance alone seldom finds it."""
        self.put(writer, number, "OFF_HEAP")
        self.get(reader, number)
        self.remove_everywhere(number)
        self.put(writer, other, "OFF_HEAP")

    @rule(slot=SLOTS, number=st.integers(0, 3))
    def remove_here(self, slot: int, number: int) -> None:
        name = self.names[slot]
        self.managers[name].remove_block(BLOCKS[number])
        self.sure[BLOCKS[number]].discard(name)

    @rule(number=st.integers(0, 3))
    def remove_everywhere(self, number: int) -> None:
        self.cluster.driver.master.remove_block(BLOCKS[number])
        self.sure[BLOCKS[number]].clear()  # those that are forgotten remove it when they come back
        self.adopted.discard(BLOCKS[number])

    @rule(rdd=st.integers(0, 1))
    def remove_rdd(self, rdd: int) -> None:
        self.cluster.driver.master.remove_rdd(rdd)
        for block_id in BLOCKS:
            if block_id.rdd_id == rdd:
                self.sure[block_id].clear()
                self.adopted.discard(block_id)

    @rule(slot=EXECUTORS)
    def kill_and_replace(self, slot: int) -> None:
        name = self.names[slot]
        for block_id, holders in self.sure.items():
            if name in holders and name not in self.forgotten:
                location = dict(locations(self.cluster, block_id))[self.managers[name].id]
                if not isinstance(location, HeapLocation) and os.path.exists(location.path):
                    self.adopted.add(block_id)
            holders.discard(name)
        self.held = [entry for entry in self.held if entry[0] != name]  # a dead process has no views
        self.cluster.kill(name)
        self.names[slot] = f"{name}'"
        self.cluster.add(self.names[slot])

    @rule()
    def remove_shared_files(self) -> None:
        for block_id in list(self.adopted):
            holders = locations(self.cluster, block_id)
            if any(isinstance(location, ShmLocation) for _, location in holders):
                self.adopted.discard(block_id)  # nobody is left who has mapped it for sure
        remove_shared_files(self.cluster)

    @rule(slot=EXECUTORS)
    def forget(self, slot: int) -> None:
        self.cluster.forget(self.names[slot])

    @rule(slot=SLOTS)
    def heartbeat(self, slot: int) -> None:
        self.managers[self.names[slot]].heartbeat()

    @rule(index=st.integers(0, 9))
    def let_go(self, index: int) -> None:
        del self.held[index : index + 1]

    @invariant()
    def what_readers_hold_never_changes(self) -> None:
        for _, number, array in self.held:
            assert (array[:: SIZE // 10] == number).all()

    @invariant()
    def the_books_agree(self) -> None:
        self.cluster.check()
        for block_id, holders in self.sure.items():
            for name in holders:
                assert block_id in self.managers[name].block_ids(), f"{name} lost {block_id}"

    def teardown(self) -> None:
        try:
            self.held.clear()
            for rdd in (0, 1):
                self.cluster.driver.master.remove_rdd(rdd)
            for manager in self.managers.values():
                manager.heartbeat()
            statistics = self.cluster.endpoint.statistics()
            assert (statistics.blocks, statistics.leases, statistics.extents_in_limbo) == (0, 0, 0)
            assert all(manager.statistics().extents == 0 for manager in self.managers.values())
        finally:
            self.make.close()
            self.directory.cleanup()


TestBlockManagers = BlockManagersMachine.TestCase
TestBlockManagers.settings = settings(max_examples=30, stateful_step_count=40)


def walk(seed: int, steps: int) -> None:
    """The same machine driven by chance alone: longer than what hypothesis makes, and it uses every rule."""
    chance = random.Random(seed)
    machine = BlockManagersMachine()
    actions: list[Callable[[], None]] = [
        lambda: machine.put(chance.randrange(4), chance.randrange(4), chance.choice(LEVELS)),
        lambda: machine.put(chance.randrange(4), chance.randrange(4), chance.choice(LEVELS)),
        lambda: machine.get(chance.randrange(4), chance.randrange(4)),
        lambda: machine.get(chance.randrange(4), chance.randrange(4)),
        lambda: machine.remove_here(chance.randrange(4), chance.randrange(4)),
        lambda: machine.remove_everywhere(chance.randrange(4)),
        lambda: machine.remove_rdd(chance.randrange(2)),
        lambda: machine.kill_and_replace(chance.randrange(3)),
        lambda: machine.forget(chance.randrange(3)),
        machine.remove_shared_files,
        lambda: machine.heartbeat(chance.randrange(4)),
        lambda: machine.let_go(chance.randrange(10)),
        lambda: machine.reuse_memory_under_a_reader(*(chance.randrange(n) for n in (3, 4, 4, 4))),
    ]
    try:
        for _ in range(steps):
            chance.choice(actions)()
            machine.what_readers_hold_never_changes()
            machine.the_books_agree()
    finally:
        machine.teardown()


@pytest.mark.parametrize("seed", range(10))
def test_a_random_walk_keeps_every_promise(seed: int) -> None:
    walk(seed, 100)


@pytest.mark.stress
@pytest.mark.parametrize("seed", range(10, 60))
def test_long_random_walks_keep_every_promise(seed: int) -> None:
    walk(seed, 1000)
