"""Whole clusters whose blocks are damaged or cut short behind their back: jobs end right, and the history says why."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from operator import add
from typing import Any

import numpy as np
import pytest

from localcluster import SparkContext, StorageLevel
from localcluster.events import BlockCorrupt
from localcluster.task.env import get_env
from protocol import sites
from protocol.locations import FileLocation, Location, ShmLocation
from tests.storage.damage import Change, damage_at, fill_with_zeros, flip_last, flip_middle
from tests.support import in_each_executor

CHANGES = pytest.mark.parametrize("change", [flip_middle, flip_last, fill_with_zeros])
MB = 1 << 17  # of int64


@pytest.fixture
def sc() -> Iterator[SparkContext]:
    with SparkContext("local[2]") as context:
        yield context


def places(pattern: str) -> list[Location]:
    """Where blocks are, of all processes, as the block master knows."""
    statuses = get_env().block_manager.master.get_storage_status()
    found = [(block_id.name, block.location) for status in statuses for block_id, block in status.blocks.items()]
    return [location for name, location in found if fnmatchcase(name, pattern) and location is not None]


def spoil(pattern: str, change: Change) -> int:
    found = places(pattern)
    for location in found:
        damage_at(location, change)
    return len(found)


def cut(pattern: str) -> None:
    """Cut all files of these blocks short, each in the middle of the first block that is in it."""
    sizes: dict[str, int] = {}
    for location in places(pattern):
        assert isinstance(location, ShmLocation | FileLocation)
        size = location.offset + location.length // 2
        sizes[location.path] = min(size, sizes.get(location.path, size))
    for path, size in sizes.items():
        os.truncate(path, size)


def corrupt(context: SparkContext) -> set[str]:
    return {event.block_id for event in context.events() if isinstance(event, BlockCorrupt)}


@CHANGES
@pytest.mark.parametrize("level", [StorageLevel.OFF_HEAP, StorageLevel.DISK_ONLY], ids=["OFF_HEAP", "DISK_ONLY"])
def test_cached_arrays_are_computed_again(sc: SparkContext, level: StorageLevel, change: Change) -> None:
    rdd = sc.parallelize(range(4), 4).map(lambda n: np.full(MB, n)).persist(level)
    total = rdd.map(lambda array: int(array.sum())).sum()
    assert total == 6 * MB
    for _ in range(2):
        assert spoil(f"rdd_{rdd.id()}_*", change) == 4
        assert rdd.map(lambda array: int(array.sum())).sum() == total
    assert corrupt(sc) == {f"rdd_{rdd.id()}_{n}" for n in range(4)}


def test_a_heap_s_bytes_are_computed_again(sc: SparkContext) -> None:
    rdd = sc.parallelize(range(4), 2).map(lambda n: "text" * n).persist(StorageLevel.MEMORY_ONLY)
    expected = rdd.collect()

    def spoil_heap() -> int:
        blocks = get_env().block_manager
        return sum(blocks.memory_store.damage(block_id, flip_middle) for block_id in blocks.block_ids())

    assert sum(in_each_executor(sc, spoil_heap)) == 2
    assert [rdd.collect(), rdd.collect()] == [expected] * 2
    assert len(corrupt(sc)) == 2


@CHANGES
@pytest.mark.parametrize("kind", ["data", "index"])
@pytest.mark.parametrize("maps", [1, 8])
def test_a_shuffle_is_repaired_by_one_attempt(sc: SparkContext, kind: str, maps: int, change: Change) -> None:
    rdd = sc.parallelize([(n % 10, n) for n in range(1000)], maps).reduceByKey(add, 3)
    expected = sorted(rdd.collect())
    assert spoil(f"shuffle_*.{kind}", change) == maps
    assert sorted(rdd.collect()) == expected
    assert sorted(rdd.collect()) == expected


def test_a_shuffle_of_arrays_is_repaired(sc: SparkContext) -> None:
    rdd = sc.parallelize(range(6), 6).map(lambda n: (n % 2, np.full(MB, n))).groupByKey(2)
    totals = rdd.mapValues(lambda arrays: sum(int(array.sum()) for array in arrays))
    expected = sorted(totals.collect())
    spoil("shuffle_*.data", flip_middle)
    assert sorted(totals.collect()) == expected


@pytest.mark.parametrize("level", [StorageLevel.OFF_HEAP, StorageLevel.DISK_ONLY], ids=["OFF_HEAP", "DISK_ONLY"])
def test_cached_blocks_that_are_cut_short_are_computed_again(sc: SparkContext, level: StorageLevel) -> None:
    rdd = sc.parallelize(range(4), 4).map(lambda n: np.full(MB, n)).persist(level)
    total = rdd.map(lambda array: int(array.sum())).sum()
    cut(f"rdd_{rdd.id()}_*")
    for _ in range(2):
        assert rdd.map(lambda array: int(array.sum())).sum() == total


def test_map_outputs_that_are_cut_short_are_computed_again(sc: SparkContext) -> None:
    rdd = sc.parallelize([(n, "x" * 1000) for n in range(1000)], 8).partitionBy(4)
    assert rdd.count() == 1000
    cut("shuffle_*.data")
    assert [rdd.count(), rdd.count()] == [1000, 1000]


@CHANGES
def test_a_broadcast_is_laid_out_anew_by_the_driver(sc: SparkContext, change: Change) -> None:
    variable = sc.broadcast(np.arange(MB))
    total = int(np.arange(MB).sum())
    for _ in range(2):  # before the executors have it, and when their arrays are views of it
        assert spoil(f"broadcast_{variable.id}", change) == 1
        assert in_each_executor(sc, lambda: int(variable.value.sum())) == [total] * 2
    assert int(variable.value.sum()) == total
    assert corrupt(sc) == {f"broadcast_{variable.id}"}


def test_the_driver_survives_when_its_own_segment_is_cut_short(sc: SparkContext) -> None:
    variable = sc.broadcast(np.arange(MB))
    cut(f"broadcast_{variable.id}")
    assert int(variable.value.sum()) == int(np.arange(MB).sum())
    assert in_each_executor(sc, lambda: int(variable.value.sum())) == [int(np.arange(MB).sum())] * 2
    again = sc.broadcast("x" * 100_000)
    assert in_each_executor(sc, lambda: len(again.value)) == [100_000] * 2


def test_large_code_is_laid_out_anew(sc: SparkContext) -> None:
    table = list(range(50_000))
    rdd = sc.parallelize(range(4), 4).map(lambda n: (n % 2, table[n])).reduceByKey(add)
    expected = sorted(rdd.collect())
    assert spoil("broadcast_*_stage", flip_middle) >= 1
    spoil("shuffle_*", flip_middle)
    assert sorted(rdd.collect()) == expected


def at_put(pattern: str, do: Callable[[Location], object], times: int) -> Callable[[], int]:
    """A call that arms its executor: so many puts of such blocks are done something to."""

    def arm() -> int:
        left = [times]

        def armed(site: str, **facts: Any) -> None:
            if site == "block.put" and left[0] and fnmatchcase(facts["block"], pattern):
                left[0] -= 1
                do(facts["location"])

        sites.armed = armed
        return os.getpid()

    return arm


@pytest.mark.parametrize(
    "do", [lambda place: damage_at(place, flip_middle), lambda place: os.truncate(place.segment, 64)]
)
def test_a_result_that_is_damaged_is_computed_again(sc: SparkContext, do: Callable[[Location], object]) -> None:
    seen = sc.accumulator(0)
    in_each_executor(sc, at_put("taskresult_*", do, 1))

    def large(n: int) -> bytes:
        seen.add(1)
        return bytes([n]) * 100_000

    rdd = sc.parallelize(range(6), 6).map(large)
    assert [data[0] for data in rdd.collect()] == list(range(6))
    assert seen.value == 6


def test_a_result_that_is_always_damaged_is_an_error_that_names_it(sc: SparkContext) -> None:
    in_each_executor(sc, at_put("taskresult_*", lambda place: damage_at(place, flip_middle), 1000))
    with pytest.raises(Exception, match=r"the result of partition 0 of .* was lost 4 times"):
        sc.parallelize([b"x" * 100_000], 1).collect()
