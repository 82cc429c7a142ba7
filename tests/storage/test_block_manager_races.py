"""Removals, deaths and reuse of memory while somebody reads."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from protocol.locations import FileLocation, ShmLocation
from storage import os_layer
from storage.block_id import RDDBlockId
from storage.storage_level import StorageLevel
from tests.storage.clusters import BIG, LEVELS, SEGMENT, ClusterMaker, block, locations, run_together, values


@pytest.mark.parametrize("level", LEVELS)
def test_a_removal_during_a_read_leaves_the_reader_its_values(make_cluster: ClusterMaker, level: str) -> None:
    cluster = make_cluster()
    a, b = cluster.add("A"), cluster.add("B")
    arrays = [np.full(50, number) for number in range(3)]
    a.put_iterator(block(1), arrays, StorageLevel.from_string(level))
    result = b.get(block(1))
    assert result is not None
    first = next(result.values)
    assert a.remove_block(block(1))
    assert a.put_iterator(block(2), [np.full(50, 99)] * 3, StorageLevel.from_string(level))
    assert [first[0]] + [array[0] for array in result.values] == [0, 1, 2]
    assert first.tolist() == [0] * 50


@pytest.mark.parametrize("how", ["values used up", "closed", "end of the task"])
def test_a_block_in_use_is_removed_when_its_last_user_is_done(make_cluster: ClusterMaker, how: str) -> None:
    cluster = make_cluster()
    a = cluster.add("A")
    a.put_iterator(block(1), range(3), StorageLevel.MEMORY_AND_DISK)
    first, second = a.get(block(1)), a.get(block(1))
    assert first is not None
    assert second is not None
    a.master.remove_block(block(1))
    assert list(second.values) == [0, 1, 2]
    assert block(1) in a.block_ids()
    if how == "values used up":
        assert list(first.values) == [0, 1, 2]
    elif how == "closed":
        first.close()
    else:
        assert a.release_all_locks_for_task() == [block(1)]
    assert block(1) not in a.block_ids()
    assert locations(cluster, block(1)) == ()
    assert a.put_single(block(1), "new", StorageLevel.MEMORY_ONLY)
    assert values(a, block(1)) == ["new"]


def test_a_block_removed_while_it_is_computed_goes_when_it_was_used(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster()
    a = cluster.add("A")

    def compute() -> Iterator[int]:
        yield 1
        assert cluster.driver.master.get_block_status(block(1)) == {}
        assert a.remove_block(block(1))
        yield 2

    result, _ = a.get_or_else_update(block(1), StorageLevel.OFF_HEAP, compute)
    assert result is not None
    assert list(result.values) == [1, 2]
    assert block(1) not in a.block_ids()
    assert locations(cluster, block(1)) == ()


def test_an_extent_is_reused_only_after_every_reader_is_done(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster(shared_memory=SEGMENT)
    a, b = cluster.add("A"), cluster.add("B")
    a.put_single(block(1), np.zeros(2000), StorageLevel.OFF_HEAP)
    here, there = a.get_single(block(1)), b.get_single(block(1))
    ((_, first),) = locations(cluster, block(1))
    a.remove_block(block(1))
    for number in range(2, 6):
        a.put_single(block(number), np.ones(1000), StorageLevel.OFF_HEAP)
    assert first.offset not in [locations(cluster, block(number))[0][1].offset for number in range(2, 6)]
    assert not here.any()
    assert not there.any()
    assert cluster.endpoint.statistics().extents_in_limbo == 1
    del here, there
    b.flush_lease_releases()
    assert cluster.endpoint.statistics().extents_in_limbo == 0
    a.put_single(block(6), np.ones(1000), StorageLevel.OFF_HEAP)
    assert locations(cluster, block(6))[0][1].offset == first.offset


def test_an_executor_killed_while_others_read_leaves_them_their_bytes(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster()
    a, b = cluster.add("A"), cluster.add("B")
    a.put_single(block(1), np.arange(1000), StorageLevel.OFF_HEAP)
    a.put_single(block(2), np.arange(1000), StorageLevel.DISK_ONLY)
    a.put_single(block(3), np.arange(1000), StorageLevel.MEMORY_ONLY)
    held = [b.get_single(block(number)) for number in (1, 2, 3)]
    ((_, location),) = locations(cluster, block(1))
    assert isinstance(location, ShmLocation)
    cluster.kill("A")
    late = [b.get_single(block(number)) for number in (1, 2)]  # adopted: served after the death
    assert b.get(block(3)) is None
    b.master.remove_block(block(1))
    assert not os_layer.unlink(location.segment), "the driver removes an adopted segment with its last block"
    assert all((array == np.arange(1000)).all() for array in held + late)
    file = locations(cluster, block(2))[0][1]
    assert isinstance(file, FileLocation)
    b.master.remove_block(block(2))
    assert not os_layer.unlink(file.path)
    assert cluster.endpoint.statistics().shared_memory_used == 0


def test_a_reader_that_dies_frees_what_it_read(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster()
    a, b = cluster.add("A"), cluster.add("B")
    a.put_single(block(1), np.zeros(1000), StorageLevel.OFF_HEAP)
    view = b.get_single(block(1))
    a.remove_block(block(1))
    assert a.statistics().limbo > 0
    cluster.kill("B")
    assert a.statistics().extents == 0
    assert not view.any()


def test_concurrent_puts_evictions_and_removals_keep_the_books(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster(max_memory=30_000, shared_memory=SEGMENT)
    managers = [cluster.add(name) for name in "AB"]

    def churn(seed: int) -> None:
        manager, other = managers[seed % 2], managers[(seed + 1) % 2]
        for step in range(25):
            block_id = RDDBlockId(step % 3, (seed + step) % 4)
            level = StorageLevel.from_string(LEVELS[(seed + step) % len(LEVELS)])
            result, leftover = manager.get_or_else_update(block_id, level, lambda: [BIG, BIG])
            taken = list(leftover if result is None else result.values)  # type: ignore[arg-type]
            assert taken == [BIG, BIG]
            other.get_remote_bytes(block_id)
            if step % 5 == seed % 5:
                manager.remove_block(block_id)

    run_together(*(lambda seed=seed: churn(seed) for seed in range(4)))
    for manager in managers:
        manager.flush_lease_releases()
    cluster.check()
    for rdd in range(3):
        cluster.driver.master.remove_rdd(rdd)
    for manager in managers:
        manager.flush_lease_releases()
        assert manager.block_ids() == []
        assert manager.statistics().extents == 0
    assert cluster.endpoint.statistics().blocks == 0
