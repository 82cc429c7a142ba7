"""Large arrays that are cached or broadcast are read in every executor without a copy, and may be written to there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest

from localcluster import SparkContext, StorageLevel
from tests.integration.conftest import two_executors
from tests.support import in_each_executor, wait_until

np = pytest.importorskip("numpy", reason="the arrays under test are numpy's")

SIZE = 64 << 20  # bytes of one array


@pytest.fixture
def sc() -> Iterator[SparkContext]:
    with two_executors("512m") as context:
        yield context


class Seen(NamedTuple):
    """What a task saw of an array."""

    pid: int
    mapped_from: str  # file of the mapping that the array's address lies in
    writeable: bool
    grown: int  # bytes by which the private memory of the executor grew while the array was read
    total: float


def private_memory() -> int:
    memory = psutil.Process().memory_info()
    return int(memory.rss - memory.shared)


def look_at(array: Any, before: int) -> Seen:
    total = float(array.sum())
    return Seen(os.getpid(), mapping_of(array), array.flags.writeable, private_memory() - before, total)


def mapping_of(array: Any) -> str:
    start = array.__array_interface__["data"][0]
    for line in Path("/proc/self/maps").read_text().splitlines():
        fields = line.split()
        low, high = (int(bound, 16) for bound in fields[0].split("-"))
        if low <= start and start + array.nbytes <= high:
            return fields[5] if len(fields) > 5 else ""
    return ""


def test_a_broadcast_array_is_a_view_in_every_executor(sc: SparkContext) -> None:
    array = np.arange(SIZE // 8, dtype=np.float64)
    variable = sc.broadcast(array)

    def look() -> Seen:
        before = private_memory()
        return look_at(variable.value, before)

    assert_views(in_each_executor(sc, look), float(array.sum()))
    variable.destroy(blocking=True)


def test_arrays_cached_off_heap_are_views_in_every_executor(sc: SparkContext, tmp_path: Path) -> None:
    cached = sc.parallelize(range(2), 2).map(lambda i: np.full(SIZE // 8, i + 1.0)).persist(StorageLevel.OFF_HEAP)
    assert cached.map(lambda array: float(array.sum())).collect() == [SIZE / 8, SIZE / 4]

    def look(arrays: Iterator[Any]) -> Iterator[Seen]:
        (tmp_path / str(os.getpid())).touch()
        wait_until(lambda: len(os.listdir(tmp_path)) == 2, "the other executor has taken no task")
        before = private_memory()
        for array in arrays:
            yield look_at(array, before)

    # Every executor reads both blocks, whoever wrote them.
    pairs = sc.parallelize(range(4), 4).cartesian(cached).coalesce(4).map(lambda pair: pair[1])
    seen = pairs.mapPartitions(look).collect()
    assert_views([s for s in seen if s.total == SIZE / 8], SIZE / 8)
    assert_views([s for s in seen if s.total == SIZE / 4], SIZE / 4)
    cached.unpersist(blocking=True)


def assert_views(seen: list[Seen], total: float) -> None:
    assert {s.total for s in seen} == {total}
    assert len({s.pid for s in seen}) == 2, "only one executor read the array"
    assert all(s.mapped_from.startswith("/dev/shm/localcluster-") for s in seen), seen
    assert all(s.writeable for s in seen)
    assert max(s.grown for s in seen) < SIZE / 8, seen


def test_a_view_in_the_driver_outlives_the_block_and_its_writer(sc: SparkContext) -> None:
    cached = sc.parallelize([5], 1).map(lambda i: np.full(1 << 20, i)).persist(StorageLevel.OFF_HEAP)
    cached.count()
    block_manager = sc._cluster.env.block_manager
    from storage.block_id import RDDBlockId

    (view,) = block_manager.get(RDDBlockId(cached.id(), 0)).values
    cached.unpersist(blocking=True)
    other = sc.parallelize(range(4), 4).map(lambda i: np.full(1 << 20, 7)).persist(StorageLevel.OFF_HEAP)
    assert other.map(lambda array: int(array.sum())).sum() == 4 * 7 << 20
    assert (view == 5).all()
    other.unpersist(blocking=True)


def test_executors_import_the_library_of_what_is_broadcast_before_they_need_it(sc: SparkContext) -> None:
    def has_numpy() -> bool:
        import sys

        return "numpy" in sys.modules

    assert not any(in_each_executor(sc, has_numpy))
    variable = sc.broadcast(np.zeros(1))
    wait_until(lambda: all(in_each_executor(sc, has_numpy)))
    variable.destroy()
