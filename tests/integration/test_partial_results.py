"""Actions that do not wait for all of their job: approximate ones, and partitions one by one."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from localcluster import AccumulatorParam, SparkContext
from protocol.errors import TaskError
from tests.support import status_of, wait_until

LONG = 60_000  # milliseconds


def gated(gate: Path, partition: int) -> Callable[[int, Iterator[int]], Iterator[int]]:
    """For ``mapPartitionsWithIndex``: one partition waits until ``gate`` is there."""

    def wait(index: int, records: Iterator[int]) -> Iterator[int]:
        if index == partition:
            wait_until(gate.exists)
        return records

    return wait


def known(sc: SparkContext) -> list[int]:
    return sc.statusTracker().getJobIdsForGroup()


def finished(sc: SparkContext) -> bool:
    return not sc.statusTracker().getActiveJobsIds()


# --- approximate actions ---


def test_complete_results_are_exact(sc: SparkContext) -> None:
    numbers = sc.parallelize(range(100), 8)
    assert numbers.countApprox(LONG) == 100
    for estimate, exact in ((numbers.sumApprox(LONG), 4950.0), (numbers.meanApprox(LONG, 0.5), 49.5)):
        assert (float(estimate), estimate.low, estimate.high, estimate.confidence) == (exact, exact, exact, 1.0)


@pytest.mark.parametrize("partitions", [0, 3])
def test_nothing_sums_up_to_nothing(sc: SparkContext, partitions: int) -> None:
    empty = sc.parallelize([], partitions) if partitions else sc.emptyRDD()
    assert (empty.countApprox(LONG), empty.sumApprox(LONG), empty.meanApprox(LONG)) == (0, 0.0, 0.0)
    assert empty.countApproxDistinct() == 0


def test_without_time_nothing_is_known_and_the_job_goes_on(sc: SparkContext, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    seen = sc.accumulator(0)

    def count(x: int) -> int:
        seen.add(1)
        return x

    records = sc.parallelize(range(4), 2).mapPartitionsWithIndex(gated(gate, 1)).map(count)
    estimate = records.sumApprox(0)
    assert (estimate, estimate.confidence, estimate.low, estimate.high) == (0.0, 0.0, -float("inf"), float("inf"))
    assert len(sc.statusTracker().getActiveJobsIds()) == 1
    gate.touch()
    wait_until(lambda: finished(sc))
    wait_until(lambda: seen.value == 4)


def test_a_part_is_extrapolated(sc: SparkContext, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    numbers = sc.parallelize(range(40), 4).mapPartitionsWithIndex(gated(gate, 3)).cache()
    estimate = numbers.meanApprox(2_000)
    assert estimate.confidence in (0.0, 0.95)  # nothing was there in time on a very busy machine
    assert estimate.low <= estimate <= estimate.high
    gate.touch()
    wait_until(lambda: finished(sc))
    assert numbers.meanApprox(LONG) == 19.5


def test_a_job_that_fails_in_time_raises(sc: SparkContext) -> None:
    with pytest.raises(TaskError, match="ZeroDivisionError"):
        sc.parallelize(range(4), 2).map(lambda x: 1 / 0).sumApprox(LONG)
    with pytest.raises(TaskError, match="could not convert string to float"):
        sc.parallelize(["a"], 1).meanApprox(LONG)


def test_a_job_that_fails_too_late_is_nobodys_business(sc: SparkContext, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    sc.parallelize(range(4), 2).mapPartitionsWithIndex(gated(gate, 0)).map(lambda x: 1 / 0).sumApprox(0)
    gate.touch()
    wait_until(lambda: finished(sc))
    assert sc.statusTracker().getJobInfo(max(known(sc))).status == "FAILED"


def test_distinct_records_are_counted_approximately(sc: SparkContext) -> None:
    records = sc.parallelize([i % 500 for i in range(2_000)], 3)
    assert abs(records.countApproxDistinct(0.01) - 500) < 20
    assert abs(records.map(str).countApproxDistinct() - 500) < 100
    with pytest.raises(ValueError, match=r"^relativeSD should be greater than 0\.000017$"):
        records.countApproxDistinct(0.00001)


# --- partitions one by one ---


@pytest.mark.parametrize("prefetch", [False, True])
def test_a_local_iterator_gives_all_records_in_order(sc: SparkContext, prefetch: bool) -> None:
    assert list(sc.parallelize(range(20), 5).toLocalIterator(prefetchPartitions=prefetch)) == list(range(20))
    assert list(sc.emptyRDD().toLocalIterator(prefetch)) == []


@pytest.mark.parametrize(("prefetch", "jobs"), [(False, 1), (True, 2)])
def test_jobs_start_when_their_partition_is_needed(sc: SparkContext, prefetch: bool, jobs: int) -> None:
    before = len(known(sc))
    records = sc.parallelize(range(10), 5).toLocalIterator(prefetch)
    assert len(known(sc)) == before
    assert next(records) == 0
    assert len(known(sc)) == before + jobs
    assert next(records) == 1
    assert len(known(sc)) == before + jobs
    assert next(records) == 2
    assert len(known(sc)) == before + jobs + 1


def abandon_by_close(records: list[Any]) -> None:
    records.pop().close()


def abandon_by_dropping(records: list[Any]) -> None:
    records.clear()
    gc.collect()


@pytest.mark.parametrize("abandon", [abandon_by_close, abandon_by_dropping])
def test_an_abandoned_iterator_cancels_what_it_has_prefetched(
    sc: SparkContext, tmp_path: Path, abandon: Callable[[list[Any]], None]
) -> None:
    never = tmp_path / "never"
    iterators = [sc.parallelize(range(4), 2).mapPartitionsWithIndex(gated(never, 1)).toLocalIterator(True)]
    assert next(iterators[0]) == 0
    abandon(iterators)
    wait_until(lambda: finished(sc))
    assert sc.parallelize(range(10), 3).sum() == 45


def test_a_prefetched_partition_that_nobody_takes_leaves_no_block(sc: SparkContext) -> None:
    records = sc.parallelize([b"x" * 300_000] * 2, 2).toLocalIterator(True)
    assert len(next(records)) == 300_000
    wait_until(lambda: finished(sc))
    records.close()
    wait_until(lambda: results(sc) == 0)


def results(sc: SparkContext) -> int:
    """Blocks of task results that the block master knows."""
    return sum(block_id.name.startswith("taskresult_") for block_id in status_of(sc).blocks())


@pytest.mark.parametrize("prefetch", [False, True])
def test_an_error_comes_when_its_partition_is_reached(sc: SparkContext, prefetch: bool) -> None:
    records = sc.parallelize(range(6), 3).map(lambda x: 1 // (x - 3)).toLocalIterator(prefetch)
    assert [next(records), next(records)] == [-1, -1]
    with pytest.raises(TaskError, match="ZeroDivisionError"):
        next(records)
    assert list(records) == []
    wait_until(lambda: finished(sc))


def test_a_job_of_chosen_partitions_gives_them_in_the_order_asked_for(sc: SparkContext) -> None:
    numbers = sc.parallelize(range(6), 3)
    assert sc.runJob(numbers, lambda part: [x * x for x in part], [0, 2], True) == [0, 1, 16, 25]
    assert sc.runJob(numbers, lambda part: part, partitions=[2, 0, 2]) == [4, 5, 0, 1, 4, 5]
    assert sc.runJob(numbers, lambda part: part, []) == []
    with pytest.raises(
        Exception, match=r"Attempting to access a non-existent partition: 5\. Total number of partitions: 3"
    ):
        sc.runJob(numbers, lambda part: part, [5])


def test_take_looks_at_four_times_as_many_partitions_each_time(sc: SparkContext) -> None:
    before = len(known(sc))
    assert sc.parallelize(range(100), 100).filter(lambda x: x == 99).take(1) == [99]
    tracker = sc.statusTracker()
    jobs = [tracker.getJobInfo(job) for job in reversed(known(sc)[: len(known(sc)) - before])]
    assert [tracker.getStageInfo(job.stageIds[0]).numTasks for job in jobs] == [1, 4, 20, 75]


class OnlyInTasks(AccumulatorParam[int]):
    """Adds in tasks and fails in the driver."""

    def __init__(self) -> None:
        self.driver = os.getpid()

    def zero(self, value: int) -> int:
        return 0

    def addInPlace(self, value1: int, value2: int) -> int:
        if os.getpid() == self.driver:
            raise ArithmeticError("not here")
        return value1 + value2


def test_an_accumulator_that_fails_in_the_background_is_logged(
    sc: SparkContext, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gate, failing = tmp_path / "gate", sc.accumulator(0, OnlyInTasks())
    records = sc.parallelize([1], 1).mapPartitionsWithIndex(gated(gate, 0))
    assert records.map(lambda x: failing.add(x) or x).countApprox(0) == 0
    gate.touch()
    wait_until(lambda: finished(sc))
    wait_until(lambda: "not here" in caplog.text)
    assert sc.parallelize(range(10), 3).sum() == 45
