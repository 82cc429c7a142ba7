"""The cut of lineages into stages."""

from __future__ import annotations

from localcluster.rdd.lineage import narrow_lineage
from localcluster.scheduler.stage import shuffle_parents
from tests.localcluster.scheduler.lineage import Lineage


def test_a_lineage_without_shuffles_is_one_stage() -> None:
    lineage = Lineage()
    job = lineage.job(lineage.narrow(lineage.narrow(lineage.source(3))))
    assert not job.map_stages
    assert job.final_stage.parent_shuffles == ()
    assert list(job.final_stage.partitions) == [0, 1, 2]


def test_each_shuffle_cuts_off_a_stage() -> None:
    lineage = Lineage()
    first = lineage.shuffled(lineage.source(3), partitions=2)
    second = lineage.shuffled(lineage.narrow(first), partitions=5)
    job = lineage.job(second)
    (upper,), (lower,) = first.shuffle_ids, second.shuffle_ids
    assert job.final_stage.parent_shuffles == (lower,)
    assert job.map_stages[lower].parent_shuffles == (upper,)
    assert job.map_stages[upper].parent_shuffles == ()
    assert [len(job.map_stages[s].partitions) for s in (upper, lower)] == [3, 2]


def test_stage_ids_grow_from_parents_to_children() -> None:
    lineage = Lineage()
    rdd = lineage.source(1)
    for _ in range(5):
        rdd = lineage.shuffled(lineage.narrow(rdd), rdd)
    job = lineage.job(rdd)
    for stage in [*job.map_stages.values(), job.final_stage]:
        assert all(job.map_stages[parent].id < stage.id for parent in stage.parent_shuffles)


def test_a_diamond_is_planned_once() -> None:
    lineage = Lineage()
    top = lineage.shuffled(lineage.source(2))
    job = lineage.job(lineage.shuffled(lineage.narrow(top), lineage.narrow(top)))
    assert len(job.map_stages) == 3
    left, right = (job.map_stages[shuffle] for shuffle in job.final_stage.parent_shuffles)
    assert left.parent_shuffles == right.parent_shuffles == tuple(top.shuffle_ids)


def test_a_parent_reached_by_two_narrow_paths_is_visited_once() -> None:
    lineage = Lineage()
    rdd = lineage.shuffled(lineage.source(1))
    (shuffle,) = rdd.shuffle_ids
    for _ in range(50):  # 2**50 paths
        rdd = lineage.narrow(rdd, rdd)
    assert len(list(narrow_lineage(rdd))) == 51  # type: ignore[arg-type]
    assert list(shuffle_parents(rdd)) == [shuffle]  # type: ignore[arg-type]


def test_the_binary_of_a_map_stage_is_pickled_once_for_all_jobs() -> None:
    lineage = Lineage()
    base = lineage.shuffled(lineage.source(2))
    lineage.job(base)
    pickled = len(lineage.pickled)
    lineage.job(lineage.narrow(base))
    assert len(lineage.pickled) == pickled + 1  # its result stage only


def test_very_long_lineages_are_cut_without_recursion() -> None:
    lineage = Lineage()
    rdd = lineage.source(1)
    for _ in range(3000):
        rdd = lineage.shuffled(lineage.narrow(lineage.narrow(rdd)))
    assert len(lineage.job(rdd).map_stages) == 3000


def test_a_map_stage_whose_lineage_a_checkpoint_has_cut_is_pickled_anew() -> None:
    lineage = Lineage()
    source = lineage.source(2)
    base = lineage.narrow(source)
    rdd = lineage.shuffled(base)
    lineage.job(rdd)
    assert lineage.pickled.count(base.id()) == 1
    base.dependencies = lineage.narrow(lineage.source(2)).dependencies
    lineage.job(rdd)
    lineage.job(rdd)
    assert lineage.pickled.count(base.id()) == 2


def test_a_stage_keeps_the_partitions_that_it_was_pickled_with() -> None:
    lineage = Lineage()
    base = lineage.source(3)
    job = lineage.job(lineage.shuffled(base, partitions=2))
    (map_stage,) = job.map_stages.values()
    assert [partition.index for partition in job.final_stage.inputs] == [0, 1]
    assert [partition.index for partition in map_stage.inputs] == [0, 1, 2]
