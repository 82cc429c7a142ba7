"""The cut of lineages into stages."""

from __future__ import annotations

import pickle
from weakref import ref

from tests.localcluster.driver.fake_rdds import Rdds


def test_a_lineage_without_shuffles_is_one_stage() -> None:
    rdds = Rdds()
    job = rdds.job(rdds.narrow(rdds.narrow(rdds.source(3))))
    assert not job.map_stages
    assert job.final_stage.parent_shuffles == ()
    assert list(job.final_stage.partitions) == [0, 1, 2]


def test_each_shuffle_cuts_off_a_stage() -> None:
    rdds = Rdds()
    first = rdds.shuffled(rdds.source(3), partitions=2)
    second = rdds.shuffled(rdds.narrow(first), partitions=5)
    job = rdds.job(second)
    (upper,), (lower,) = first.shuffle_ids, second.shuffle_ids
    assert job.final_stage.parent_shuffles == (lower,)
    assert job.map_stages[lower].parent_shuffles == (upper,)
    assert job.map_stages[upper].parent_shuffles == ()
    assert [len(job.map_stages[s].partitions) for s in (upper, lower)] == [3, 2]


def test_stage_ids_grow_from_parents_to_children() -> None:
    rdds = Rdds()
    rdd = rdds.source(1)
    for _ in range(5):
        rdd = rdds.shuffled(rdds.narrow(rdd), rdd)
    job = rdds.job(rdd)
    for stage in [*job.map_stages.values(), job.final_stage]:
        assert all(job.map_stages[parent].id < stage.id for parent in stage.parent_shuffles)


def test_a_diamond_is_planned_once() -> None:
    rdds = Rdds()
    top = rdds.shuffled(rdds.source(2))
    job = rdds.job(rdds.shuffled(rdds.narrow(top), rdds.narrow(top)))
    assert len(job.map_stages) == 3
    left, right = (job.map_stages[shuffle] for shuffle in job.final_stage.parent_shuffles)
    assert left.parent_shuffles == right.parent_shuffles == tuple(top.shuffle_ids)


def test_a_parent_reached_by_two_narrow_paths_is_visited_once() -> None:
    rdds = Rdds()
    rdd = rdds.shuffled(rdds.source(1))
    (shuffle,) = rdd.shuffle_ids
    for _ in range(50):  # 2**50 paths
        rdd = rdds.narrow(rdd, rdd)
    assert rdds.job(rdd).final_stage.parent_shuffles == (shuffle,)


def test_the_binary_of_a_map_stage_is_pickled_once_for_all_jobs() -> None:
    rdds = Rdds()
    base = rdds.shuffled(rdds.source(2))
    rdds.job(base)
    pickled = len(rdds.pickled)
    rdds.job(rdds.narrow(base))
    assert len(rdds.pickled) == pickled + 1  # its result stage only


def test_very_long_lineages_are_cut_without_recursion() -> None:
    rdds = Rdds()
    rdd = rdds.source(1)
    for _ in range(3000):
        rdd = rdds.shuffled(rdds.narrow(rdds.narrow(rdd)))
    assert len(rdds.job(rdd).map_stages) == 3000


def test_a_map_stage_whose_lineage_a_checkpoint_has_cut_is_pickled_anew() -> None:
    rdds = Rdds()
    source = rdds.source(2)
    base = rdds.narrow(source)
    rdd = rdds.shuffled(base)
    rdds.job(rdd)
    assert rdds.pickled.count(base.id()) == 1
    base.dependencies = rdds.narrow(rdds.source(2)).dependencies
    rdds.job(rdd)
    rdds.job(rdd)
    assert rdds.pickled.count(base.id()) == 2


def test_a_stage_keeps_the_partitions_that_it_was_pickled_with() -> None:
    rdds = Rdds()
    base = rdds.source(3)
    job = rdds.job(rdds.shuffled(base, partitions=2))
    (map_stage,) = job.map_stages.values()
    base._count = 1  # as when a checkpoint has cut the lineage
    assert [pickle.loads(map_stage.inputs.encode(index)).index for index in range(3)] == [0, 1, 2]


def test_positions_of_a_part_of_the_partitions_have_those_partitions() -> None:
    rdds = Rdds()
    inputs = rdds.job(rdds.source(3), [2, 0]).final_stage.inputs
    assert [pickle.loads(inputs.encode(position)).index for position in range(2)] == [2, 0]


def test_stages_keep_no_lineage_alive() -> None:
    rdds = Rdds()
    rdd = rdds.shuffled(rdds.source(2))
    alive = ref(rdd)
    job = rdds.job(rdd)
    rdds.kept.clear()
    del rdd
    assert alive() is None
    assert job.final_stage.inputs.preferences([0]) == {}
