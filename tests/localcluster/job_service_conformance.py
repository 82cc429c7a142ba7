"""What RDDs count on in a `JobService`: `SparkContext` and the double of it pass the same checks.

Each check gets a service and an empty directory, into which tasks write notes, since they may run in other processes.
"""

from __future__ import annotations

import gc
import io
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from localcluster.base.storage_level import StorageLevel
from localcluster.conf import settings
from localcluster.rdd.job_service import JobService, KeepsData, RunsJobs
from localcluster.rdd.rdd import RDD
from protocol.sql_errors import IllegalArgumentException
from tests.support import wait_until


def noting(rdd: RDD[Any], directory: Path) -> RDD[Any]:
    """The same records; each leaves a file in the directory when it is computed."""
    return rdd.map(lambda record: (_note(directory), record)[1])


def _note(directory: Path) -> None:
    (directory / uuid.uuid4().hex).touch()


def notes(directory: Path) -> int:
    return len(list(directory.iterdir()))


def total(_: Any, records: Iterable[int]) -> int:
    return sum(records)


def it_has_all_that_is_asked_for(service: JobService, directory: Path) -> None:
    for protocol, part in ((JobService, service), (RunsJobs, service._jobs), (KeepsData, service._kept)):
        names = [name for name in vars(protocol) if not name.startswith(("__", "_abc_", "_is_"))]
        assert names
        assert [name for name in names if not hasattr(part, name)] == []


def it_says_what_is_set(service: JobService, directory: Path) -> None:
    assert settings.value(service.conf, "spark.python.worker.memory") == 512 << 20
    assert service.defaultMinPartitions == min(service.defaultParallelism, 2)
    assert service.applicationId.startswith("local-")
    assert service._batchSize == 0
    assert service.parallelize(range(9)).getNumPartitions() == service.defaultParallelism
    stream = io.BytesIO()
    service.serializer.dump_stream([1, "a"], stream)
    stream.seek(0)
    assert list(service.serializer.load_stream(stream)) == [1, "a"]


def numbers_are_never_given_twice(service: JobService, directory: Path) -> None:
    for next_id in (service._next_rdd_id, service._next_shuffle_id):
        ids = [next_id() for _ in range(5)]
        assert ids == list(range(ids[0], ids[0] + 5))


def a_collection_is_what_it_was_when_it_was_put(service: JobService, directory: Path) -> None:
    values = [[1], [2]]
    rdd = service.parallelize(values, 1)
    values[0].append(3)
    assert rdd.collect() == [[1], [2]]
    with pytest.raises(Exception, match="pickle"):
        service._kept.put_partition([(n for n in ())])


def results_come_in_the_order_of_the_partitions_asked_for(service: JobService, directory: Path) -> None:
    rdd = service.parallelize([1, 2, 30], 3)
    assert service._jobs.run(rdd, total) == [1, 2, 30]
    assert service._jobs.run(rdd, total, [2, 0]) == [30, 1]
    assert service._jobs.run(rdd, total, []) == []


def what_a_task_raises_is_raised(service: JobService, directory: Path) -> None:
    def refuse(_: Any, records: Iterable[int]) -> None:
        raise ValueError("not these records")

    with pytest.raises(Exception, match="not these records"):
        service._jobs.run(service.parallelize([1], 1), refuse)


def partitions_that_do_not_exist_are_refused(service: JobService, directory: Path) -> None:
    rdd = service.parallelize([1, 2], 2)
    for partitions in ([2], [0, -1]):
        with pytest.raises(IllegalArgumentException, match="non-existent partition"):
            service._jobs.plan(rdd, total, partitions, lambda position, value: None)


def a_planned_job_runs_when_it_is_started_and_tells_when_it_is_collected(service: JobService, directory: Path) -> None:
    results: dict[int, int] = {}
    job = service._jobs.plan(noting(service.parallelize([1, 2], 2), directory), total, [1, 0], results.__setitem__)
    assert notes(directory) == 0
    job.start()
    wait_until(lambda: notes(directory) == 2)
    assert results == {}
    assert job.collect()
    assert results == {0: 2, 1: 1}


def a_job_that_is_let_go_goes_on(service: JobService, directory: Path) -> None:
    results: dict[int, int] = {}
    job = service._jobs.plan(service.parallelize([1, 2], 2), total, [0, 1], results.__setitem__)
    job.start()
    service._jobs.finish_in_background(job)
    wait_until(lambda: results == {0: 1, 1: 2})


def an_abandoned_job_tells_nothing(service: JobService, directory: Path) -> None:
    results: dict[int, int] = {}
    job = service._jobs.plan(service.parallelize([1, 2], 2), total, [0, 1], results.__setitem__)
    job.start()
    job.abandon_later()
    assert service._jobs.run(service.parallelize([3], 1), total) == [3], "and others run"
    assert results == {}


def persisted_partitions_are_stored_until_they_are_removed(service: JobService, directory: Path) -> None:
    rdd = noting(service.parallelize([1, 2], 2), directory).persist(StorageLevel.MEMORY_AND_DISK)
    kept = service._kept
    assert (kept.stored_partitions(rdd.id()), kept.missing_partitions(rdd)) == ({}, [0, 1])
    service._jobs.run(rdd, total, [1])
    assert (list(kept.stored_partitions(rdd.id())), kept.missing_partitions(rdd)) == ([1], [0])
    assert (rdd.collect(), rdd.collect(), notes(directory)) == ([1, 2], [1, 2], 2)
    assert all(sum(sizes) > 0 for sizes in kept.stored_partitions(rdd.id()).values())
    kept.unpersist(rdd.id(), blocking=True)
    assert kept.stored_partitions(rdd.id()) == {}


def blocks_go_when_their_rdd_is_collected(service: JobService, directory: Path) -> None:
    rdd = service.parallelize([1], 1).persist()
    rdd.count()
    rdd_id = rdd.id()
    assert service._kept.stored_partitions(rdd_id)
    del rdd
    gc.collect()
    wait_until(lambda: not service._kept.stored_partitions(rdd_id))


def outputs_of_shuffles_serve_later_jobs_until_they_are_removed(service: JobService, directory: Path) -> None:
    pairs = noting(service.parallelize([("a", 1), ("b", 2), ("a", 3)], 2), directory)
    sums = pairs.reduceByKey(lambda a, b: a + b, 2)
    for _ in range(2):
        assert sorted(sums.collect()) == [("a", 4), ("b", 2)]
        assert notes(directory) == 3
    service._kept.remove_shuffle(sums.dependencies[0].shuffle.id, blocking=True)
    assert sorted(sums.collect()) == [("a", 4), ("b", 2)]
    assert notes(directory) == 6


def a_job_writes_the_checkpoints_that_were_asked_for(service: JobService, directory: Path) -> None:
    service._checkpoints.make_directory(directory)
    rdd = service.parallelize([1, 2], 2).map(abs)
    rdd.checkpoint()
    assert service._jobs.run(rdd.map(abs), total) == [1, 2]
    assert rdd.isCheckpointed()
    assert len(list(directory.rglob("part-*"))) == 2
    assert rdd.collect() == [1, 2]


SERVICE_CHECKS: tuple[Callable[[JobService, Path], None], ...] = (
    it_has_all_that_is_asked_for,
    it_says_what_is_set,
    numbers_are_never_given_twice,
    a_collection_is_what_it_was_when_it_was_put,
    results_come_in_the_order_of_the_partitions_asked_for,
    what_a_task_raises_is_raised,
    partitions_that_do_not_exist_are_refused,
    a_planned_job_runs_when_it_is_started_and_tells_when_it_is_collected,
    a_job_that_is_let_go_goes_on,
    an_abandoned_job_tells_nothing,
    persisted_partitions_are_stored_until_they_are_removed,
    blocks_go_when_their_rdd_is_collected,
    outputs_of_shuffles_serve_later_jobs_until_they_are_removed,
    a_job_writes_the_checkpoints_that_were_asked_for,
)
