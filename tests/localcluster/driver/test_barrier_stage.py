"""Which stages are barrier stages, and which of them cannot be planned."""

from __future__ import annotations

import pytest

from protocol.errors import JobError
from tests.localcluster.driver.fake_rdds import FakeRDD, Rdds


@pytest.fixture
def rdds() -> Rdds:
    return Rdds()


def test_a_stage_is_a_barrier_stage_when_any_rdd_in_it_was_made_so(rdds: Rdds) -> None:
    barrier = rdds.barrier(rdds.source(2))
    job = rdds.job(rdds.shuffled(rdds.narrow(barrier)))
    assert not job.final_stage.is_barrier
    assert [stage.is_barrier for stage in job.map_stages.values()] == [True]
    assert rdds.job(rdds.narrow(barrier)).final_stage.is_barrier
    assert rdds.job(rdds.barrier(rdds.shuffled(rdds.source(2)))).final_stage.is_barrier


def test_a_stage_that_needs_more_cores_than_there_are_cannot_be_planned(rdds: Rdds) -> None:
    rdds.slots = 2
    barrier = rdds.barrier(rdds.source(3))
    for rdd in (barrier, rdds.shuffled(barrier)):
        with pytest.raises(
            JobError, match=r"\[SPARK-24819\].*more slots than the total number of slots in the cluster"
        ):
            rdds.job(rdd)


def several_barriers(rdds: Rdds) -> FakeRDD:
    return rdds.narrow(rdds.barrier(rdds.source(2)), rdds.barrier(rdds.source(2)))


def other_partitions(rdds: Rdds) -> FakeRDD:
    return FakeRDD(rdds, 1, rdds.narrow(rdds.barrier(rdds.source(2))).dependencies)


@pytest.mark.parametrize("make", [several_barriers, other_partitions])
def test_a_stage_whose_tasks_are_not_those_of_one_barrier_cannot_be_planned(rdds: Rdds, make: object) -> None:
    rdd = make(rdds)  # type: ignore[operator]
    with pytest.raises(JobError, match=r"\[SPARK-24820\]\[SPARK-24821\].*does not allow"):
        rdds.job(rdd)


def test_a_part_of_a_barrier_stage_cannot_be_planned(rdds: Rdds) -> None:
    with pytest.raises(JobError, match="SPARK-24820"):
        rdds.job(rdds.barrier(rdds.source(2)), [0])
