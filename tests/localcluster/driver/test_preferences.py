"""Where tasks would like to run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from localcluster.driver.preferences import preferences
from localcluster.rdd.core import RDDCore
from localcluster.rdd.dependency import Dependency, NarrowDependency, OneToOneDependency, ShuffleDependency
from localcluster.rdd.partition import Partition
from protocol.locations import DRIVER, BlockManagerId, HeapLocation, Location, ShmLocation
from storage.block_id import BlockId
from storage.storage_level import StorageLevel
from tests.localcluster.driver.fake_rdds import Rdds

SHARED = ShmLocation("/dev/shm/x", 0, 1)


class CacheableRDD(RDDCore[Any]):
    def __init__(self, rdds: Rdds, partitions: int, *dependencies: Dependency, cached: bool = False) -> None:
        super().__init__(rdds, dependencies)  # type: ignore[arg-type]
        self._partition_list = [Partition(index) for index in range(partitions)]
        self._storage_level = StorageLevel.MEMORY_ONLY if cached else StorageLevel.NONE


class ChoosyRDD(CacheableRDD):
    """Partition i asks for executor i."""

    def preferred_locations(self, partition: Partition) -> list[str]:
        return [str(partition.index)]


class GivenDependency(NarrowDependency):
    """Partition i reads the parent's partitions ``given[i]``."""

    __slots__ = ("given",)

    def __init__(self, rdd: RDDCore[Any], given: Sequence[Sequence[int]]) -> None:
        super().__init__(rdd)
        self.given = given

    def parents(self, index: int) -> list[int]:
        return list(self.given[index])


def wishes(
    rdd: RDDCore[Any], blocks: Mapping[str, Mapping[str, Location]] | None = None
) -> Mapping[int, Sequence[str]]:
    """Preferences of a stage that ends in ``rdd``; ``blocks`` says {block name: {executor id: location}}."""

    def locations_of(block_ids: Sequence[BlockId]) -> list[list[tuple[BlockManagerId, Location]]]:
        rows = [(blocks or {}).get(block_id.name, {}) for block_id in block_ids]
        return [[(BlockManagerId(holder, 1), location) for holder, location in row.items()] for row in rows]

    return preferences(rdd, dict(enumerate(range(rdd.getNumPartitions()))), locations_of)


def test_nothing_cached_means_no_wishes() -> None:
    assert wishes(CacheableRDD(Rdds(), 3)) == {}
    assert wishes(CacheableRDD(Rdds(), 3, cached=True)) == {}


def test_a_block_on_a_heap_draws_its_task_there() -> None:
    rdd = CacheableRDD(Rdds(), 3, cached=True)
    assert wishes(rdd, {"rdd_0_1": {"a": HeapLocation("a"), "b": HeapLocation("b")}}) == {1: ["a", "b"]}


def test_blocks_that_every_process_can_map_express_no_wish() -> None:
    rdd = CacheableRDD(Rdds(), 2, cached=True)
    blocks = {"rdd_0_0": {"a": SHARED}, "rdd_0_1": {"a": HeapLocation("a"), "b": SHARED}}
    assert wishes(rdd, blocks) == {}


def test_no_task_runs_in_the_driver() -> None:
    assert wishes(CacheableRDD(Rdds(), 1, cached=True), {"rdd_0_0": {DRIVER: HeapLocation(DRIVER)}}) == {}


def test_a_cached_parent_is_found_through_narrow_dependencies() -> None:
    rdds = Rdds()
    cached = CacheableRDD(rdds, 4, cached=True)
    middle = CacheableRDD(rdds, 2, GivenDependency(cached, [(0, 1), (2, 3)]))
    last = CacheableRDD(rdds, 2, OneToOneDependency(middle))
    assert wishes(last, {"rdd_0_3": {"a": HeapLocation("a")}}) == {1: ["a"]}


def test_the_nearest_cached_block_counts() -> None:
    rdds = Rdds()
    far = CacheableRDD(rdds, 1, cached=True)
    near = CacheableRDD(rdds, 1, OneToOneDependency(far), cached=True)
    assert wishes(near, {"rdd_0_0": {"a": HeapLocation("a")}, "rdd_1_0": {"b": HeapLocation("b")}}) == {0: ["b"]}
    assert wishes(near, {"rdd_0_0": {"a": HeapLocation("a")}, "rdd_1_0": {"b": SHARED}}) == {}


def test_caches_behind_a_shuffle_do_not_matter() -> None:
    rdds = Rdds()
    cached = CacheableRDD(rdds, 1, cached=True)
    reader = CacheableRDD(rdds, 1, ShuffleDependency(cached, None))  # type: ignore[arg-type]
    assert wishes(reader, {"rdd_0_0": {"a": HeapLocation("a")}}) == {}


def test_wishes_of_the_rdd_itself_count() -> None:
    rdds = Rdds()
    assert wishes(CacheableRDD(rdds, 2, OneToOneDependency(ChoosyRDD(rdds, 2)))) == {0: ["0"], 1: ["1"]}


def test_parents_reached_by_very_many_paths_are_visited_once() -> None:
    rdds = Rdds()
    rdd: RDDCore[Any] = CacheableRDD(rdds, 2, cached=True)
    for _ in range(50):  # 2**50 paths to a block that is not there
        rdd = CacheableRDD(rdds, 2, OneToOneDependency(rdd), OneToOneDependency(rdd))
    assert wishes(rdd, {"rdd_0_1": {"a": HeapLocation("a")}}) == {1: ["a"]}


def test_long_narrow_lineages_are_walked_without_recursion() -> None:
    rdds = Rdds()
    rdd: RDDCore[Any] = CacheableRDD(rdds, 1, cached=True)
    for _ in range(3000):
        rdd = CacheableRDD(rdds, 1, OneToOneDependency(rdd))
    assert wishes(rdd, {"rdd_0_0": {"a": HeapLocation("a")}}) == {0: ["a"]}
