"""Which cached blocks a stage's tasks would compute and keep."""

from __future__ import annotations

from typing import Any
from weakref import ref

from localcluster.driver.missing_blocks import missing_blocks
from localcluster.rdd.core import RDDCore
from localcluster.rdd.dependency import OneToOneDependency, ShuffleDependency
from tests.localcluster.driver.fake_rdds import Rdds
from tests.localcluster.driver.test_preferences import CacheableRDD, GivenDependency


def missing(rdd: RDDCore[Any], stored: tuple[str, ...] = ()) -> list[list[str]] | None:
    """Names by position, all of a stage that ends in ``rdd``."""
    partitions = range(rdd.getNumPartitions())
    found = missing_blocks(ref(rdd), partitions, lambda block_id: block_id.name in stored)
    return None if found is None else [[block_id.name for block_id in found(index)] for index in partitions]


def test_a_stage_without_persisted_rdds_needs_no_look_at_its_tasks() -> None:
    assert missing(CacheableRDD(Rdds(), 3)) is None


def test_all_persisted_parents_count_down_to_what_is_stored() -> None:
    rdds = Rdds()
    far = CacheableRDD(rdds, 4, cached=True)
    middle = CacheableRDD(rdds, 2, GivenDependency(far, [(0, 1), (2, 3)]), cached=True)
    last = CacheableRDD(rdds, 2, OneToOneDependency(middle))
    assert missing(last, ("rdd_0_1",)) == [["rdd_1_0", "rdd_0_0"], ["rdd_1_1", "rdd_0_3", "rdd_0_2"]]
    assert missing(last, ("rdd_1_0",)) == [[], ["rdd_1_1", "rdd_0_3", "rdd_0_2"]]


def test_a_part_of_the_partitions_is_named_by_position() -> None:
    rdd = CacheableRDD(Rdds(), 5, cached=True)
    found = missing_blocks(ref(rdd), [4, 2], lambda block_id: False)
    assert found is not None
    assert [block_id.name for block_id in found(1)] == ["rdd_0_2"]


def test_other_stages_compute_what_is_behind_a_shuffle() -> None:
    rdds = Rdds()
    cached = CacheableRDD(rdds, 1, cached=True)
    assert missing(CacheableRDD(rdds, 1, ShuffleDependency(cached, None))) is None  # type: ignore[arg-type]


def test_parents_reached_by_very_many_paths_are_visited_once() -> None:
    rdds = Rdds()
    rdd: RDDCore[Any] = CacheableRDD(rdds, 1, cached=True)
    for _ in range(50):  # 2**50 paths
        rdd = CacheableRDD(rdds, 1, OneToOneDependency(rdd), OneToOneDependency(rdd))
    assert missing(rdd) == [["rdd_0_0"]]


def test_a_lineage_that_the_program_has_let_go_of_has_no_blocks() -> None:
    rdds = Rdds()
    rdd = CacheableRDD(rdds, 1, cached=True)
    found = missing_blocks(ref(rdd), [0], lambda block_id: False)
    del rdd
    assert found is not None
    assert found(0) == []
