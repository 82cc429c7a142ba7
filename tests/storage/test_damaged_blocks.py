"""Damaged bytes are found by each read, reported, and read from another copy or made again; never given out."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from protocol.events import BlockCorrupt, BlockLost, BlockReadFromReplica, BlockRecomputed, Event
from protocol.locations import FileLocation, HeapLocation, ShmLocation
from storage.block_id import BroadcastBlockId, RDDBlockId
from storage.local_transport import LocalCluster
from storage.serializer import dumps, loads, wrap
from storage.storage_level import StorageLevel
from tests.storage.clusters import ClusterMaker, block, locations, values
from tests.storage.damage import CHANGES, Change, damage, damage_at, flip_middle

SERIALISED = ["MEMORY_ONLY_SER", "MEMORY_AND_DISK_SER", "DISK_ONLY", "OFF_HEAP"]
levels = pytest.mark.parametrize("name", SERIALISED)
changes = pytest.mark.parametrize("change", CHANGES)
ARRAY = np.arange(5000)


class Bench:
    """Executors A, B and C, and what the master recorded."""

    def __init__(self, make_cluster: ClusterMaker) -> None:
        self.events: list[Event] = []
        self.cluster: LocalCluster = make_cluster("A", "B", "C", max_memory=1_000_000, record=self.events.append)
        self.a, self.b, self.c = (self.cluster.managers[name] for name in "ABC")

    def corrupt(self) -> list[tuple[str, str, str]]:
        return [event[1:] for event in self.events if isinstance(event, BlockCorrupt)]  # type: ignore[misc]

    def replica_reads(self) -> list[tuple[str, str]]:
        return [event[1:] for event in self.events if isinstance(event, BlockReadFromReplica)]  # type: ignore[misc]


@pytest.fixture
def bench(make_cluster: ClusterMaker) -> Bench:
    return Bench(make_cluster)


def level_of(name: str) -> StorageLevel:
    return StorageLevel.from_string(name)


@levels
@changes
def test_a_read_at_home_finds_damage_and_the_block_is_gone(bench: Bench, name: str, change: Change) -> None:
    bench.a.put_single(block(1), ARRAY, level_of(name))
    damage(bench.a, block(1), change)
    assert bench.a.get_local_values(block(1)) is None
    assert bench.corrupt() == [("input-0-1", "A", "A")]
    assert locations(bench.cluster, block(1)) == ()
    assert bench.a.block_ids() == []
    assert bench.a.get(block(1)) is None


@levels
def test_each_read_looks_anew(bench: Bench, name: str) -> None:
    bench.a.put_single(block(1), ARRAY, level_of(name))
    for _ in range(2):
        (array,) = values(bench.a, block(1)) or []
        assert array.sum() == ARRAY.sum()
        del array
    damage(bench.a, block(1))
    assert bench.a.get_local_bytes(block(1)) is None
    assert bench.corrupt() == [("input-0-1", "A", "A")]


@levels
def test_a_damaged_block_is_made_again(bench: Bench, name: str) -> None:
    bench.a.put_single(block(1), 1, level_of(name))
    damage(bench.a, block(1))
    result, _ = bench.a.get_or_else_update(block(1), level_of(name), lambda: [2])
    assert result is not None
    assert list(result.values) == [2]
    assert values(bench.b, block(1)) == [2]
    assert [type(event) for event in bench.events] == [BlockCorrupt, BlockLost, BlockRecomputed]


@levels
def test_a_reader_of_another_process_has_the_holder_drop_its_copy(bench: Bench, name: str) -> None:
    bench.a.put_single(block(1), ARRAY, level_of(name))
    damage(bench.a, block(1))
    assert values(bench.b, block(1)) is None
    found = [("input-0-1", "A", "B"), ("input-0-1", "A", "A")]
    heap = name.startswith("MEMORY")
    assert bench.corrupt() == (found[1:] if heap else found)
    assert locations(bench.cluster, block(1)) == ()
    assert bench.a.block_ids() == []
    assert bench.replica_reads() == []


@levels
def test_another_copy_is_read_in_place_of_a_damaged_one(bench: Bench, name: str) -> None:
    bench.a.put_single(block(1), "value", level_of(name))
    bench.b.put_single(block(1), "value", StorageLevel.MEMORY_ONLY)
    damage(bench.a, block(1))
    assert values(bench.c, block(1)) == ["value"]
    if name.startswith("MEMORY"):
        bench.b.remove_block(block(1))
        assert values(bench.c, block(1)) is None
        return
    assert bench.replica_reads() == [("input-0-1", "C")]
    assert locations(bench.cluster, block(1)) == ((bench.b.id, HeapLocation("B")),)


@levels
def test_a_home_reader_takes_another_copy_too(bench: Bench, name: str) -> None:
    level = level_of(name)
    twice = StorageLevel(level.use_disk, level.use_memory, level.use_off_heap, level.deserialized, 2)
    bench.a.put_single(block(1), ARRAY, twice)
    damage(bench.a, block(1))
    (array,) = values(bench.a, block(1)) or []
    assert array.sum() == ARRAY.sum()
    assert bench.replica_reads() == [("input-0-1", "A")]


@pytest.mark.parametrize("name", ["DISK_ONLY", "OFF_HEAP"])
@changes
def test_what_a_dead_process_left_is_dropped_when_it_is_damaged(bench: Bench, name: str, change: Change) -> None:
    bench.a.put_single(block(1), ARRAY, level_of(name))
    ((_, location),) = locations(bench.cluster, block(1))
    bench.cluster.kill("A")
    damage_at(location, change)
    assert values(bench.b, block(1)) is None
    assert bench.corrupt() == [("input-0-1", "A", "B")]
    assert locations(bench.cluster, block(1)) == ()
    assert not os.path.exists(location.path)
    assert [event[1] for event in bench.events if isinstance(event, BlockLost)] == ["input-0-1"]


@pytest.mark.parametrize("name", ["DISK_ONLY", "OFF_HEAP"])
def test_what_is_cut_short_is_lost(bench: Bench, name: str) -> None:
    bench.a.put_single(block(1), ARRAY, level_of(name))
    ((_, location),) = locations(bench.cluster, block(1))
    os.truncate(location.path, location.offset + 100)
    assert values(bench.b, block(1)) is None
    assert values(bench.a, block(1)) is None
    assert locations(bench.cluster, block(1)) == ()
    assert values(bench.b, block(1)) is None


def test_the_copy_on_disk_serves_when_that_in_memory_is_damaged(bench: Bench) -> None:
    level = level_of("MEMORY_AND_DISK_SER")
    bench.a.put_single(block(1), "value", StorageLevel.DISK_ONLY)
    file = locations(bench.cluster, block(1))[0][1]
    bench.a.remove_block(block(1))
    bench.a.put_single(block(1), "value", level)
    data = bench.a.get_local_bytes(block(1))
    assert data is not None
    bench.a.disk_store.put_bytes(block(1), data, StorageLevel.DISK_ONLY)
    damage(bench.a, block(1))
    assert values(bench.a, block(1)) == ["value"]
    assert bench.corrupt() == [("input-0-1", "A", "A")]
    assert isinstance(file, FileLocation)
    assert values(bench.b, block(1)) == ["value"]


def test_damage_is_not_copied_to_peers(bench: Bench) -> None:
    bench.a.put_single(block(1), ARRAY, StorageLevel.OFF_HEAP)
    ((_, location),) = locations(bench.cluster, block(1))
    assert isinstance(location, ShmLocation)
    damage_at(location, flip_middle)
    assert bench.a.master.replicate_to(block(1), StorageLevel.OFF_HEAP, location, [bench.b.id]) == ()
    assert bench.b.block_ids() == []


def test_a_damaged_block_of_the_runtime_is_reported_and_not_taken_for_removed(bench: Bench) -> None:
    block_id = BroadcastBlockId(1, "stage")
    location = bench.a.put_shared(block_id, wrap(b"code" * 100))
    damage_at(location, flip_middle)
    assert bench.b.get_bytes(block_id) is None
    assert bench.corrupt() == [("broadcast_1_stage", "A", "B"), ("broadcast_1_stage", "A", "A")]
    assert bench.b.master.get_block_status(block_id)


@changes
@pytest.mark.parametrize("by_calls", [False, True])
def test_what_was_kept_is_written_anew(bench: Bench, change: Change, by_calls: bool) -> None:
    owner = bench.cluster.add("D", replace(bench.cluster._conf, by_calls=by_calls))
    block_id = BroadcastBlockId(1)
    for reader in (bench.b, owner, bench.c):
        location = owner.shared_location(block_id) or owner.put_shared(block_id, dumps(ARRAY), keep=True)
        damage_at(location, change)
        data = reader.get_bytes(block_id)
        assert data is not None
        assert loads(data.memoryview()).sum() == ARRAY.sum()
        assert owner.shared_location(block_id) != location
        del data
    assert len(owner.block_ids()) == 1


def test_what_has_changed_since_is_not_written_anew(bench: Bench) -> None:
    array = ARRAY.copy()
    block_id = BroadcastBlockId(1)
    location = bench.a.put_shared(block_id, dumps(array), keep=True)
    array[0] = 7
    damage_at(location, flip_middle)
    assert bench.b.get_bytes(block_id) is None
    assert bench.b.master.get_block_status(block_id)


@pytest.mark.parametrize("kept", [False, True])
def test_who_reads_by_calls_survives_a_segment_that_is_cut_at_any_moment(bench: Bench, kept: bool) -> None:
    owner = bench.cluster.add("D", replace(bench.cluster._conf, by_calls=True))
    block_id = BroadcastBlockId(1)
    location = owner.put_shared(block_id, dumps(ARRAY), keep=kept)
    assert isinstance(location, ShmLocation)
    owner._local.arena._rooms[location.segment].segment.require = lambda end: None  # type: ignore[method-assign]
    os.truncate(location.segment, 4096)  # after the look
    data = owner.get_bytes(block_id)
    assert (data is not None) == kept
    owner.put_shared(BroadcastBlockId(2), dumps(ARRAY))
    assert loads(owner.get_bytes(BroadcastBlockId(2)).memoryview()).sum() == ARRAY.sum()  # type: ignore[union-attr]


def test_who_reads_a_damaged_block_keeps_nothing_of_it(bench: Bench) -> None:
    bench.a.put_single(block(1), ARRAY, StorageLevel.OFF_HEAP)
    damage(bench.a, block(1))
    bench.b.get(block(1))
    bench.b.flush_lease_releases()
    statistics = bench.cluster.endpoint.statistics()
    assert (statistics.leases, statistics.extents_in_limbo) == (0, 0)


def test_others_who_read_while_one_finds_the_damage_keep_what_they_have(bench: Bench) -> None:
    bench.a.put_single(RDDBlockId(1, 1), ARRAY, StorageLevel.OFF_HEAP)
    result = bench.a.get(RDDBlockId(1, 1))
    assert result is not None
    damage(bench.a, RDDBlockId(1, 1))
    assert bench.a.get(RDDBlockId(1, 1)) is None
    next(result.values)
    result.close()
    assert bench.a.block_ids() == []


def test_many_readers_of_what_a_living_process_does_not_answer_for_are_one_event(bench: Bench) -> None:
    location: Any = bench.a.put_shared(BroadcastBlockId(1), wrap(b"code"))
    for reader in (bench.b, bench.c, bench.b):
        reader.master.report_corrupt_block(BroadcastBlockId(1), "A", location)
    assert bench.corrupt() == [("broadcast_1", "A", "B")]
