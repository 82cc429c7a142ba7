"""`Jobs` without a cluster: what a job takes from its thread and its context, and which jobs are cancelled."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from localcluster.api.jobs import Jobs
from localcluster.serializers import CPickleSerializer
from localcluster.serializers.record_encoding import EncodedResult
from protocol.sql_errors import IllegalArgumentException
from tests.localcluster.rdd.local_context import LocalContext


class Bench:
    """Stands for the runner, its jobs, the checkpoints and the cluster. A job gives the numbers of its partitions."""

    def __init__(self, encoding: Any = None) -> None:
        self.plans: list[SimpleNamespace] = []
        self.written: list[Any] = []  # RDDs whose checkpoints were looked at
        self.cancelled: list[str] = []
        self.failure: Exception | None = None
        self.queued = [{}, {"spark.jobGroup.id": "night"}, {"spark.job.tags": "a,b"}]  # properties of jobs
        checkpoints = SimpleNamespace(write=self.written.append)
        self.jobs = Jobs(self, self, checkpoints, encoding)  # type: ignore[arg-type]
        self.rdd = LocalContext().parallelize(range(4), 4)

    def plan(self, rdd: Any, func: Any, partitions: Any, properties: Any, name: str, on_result: Any) -> SimpleNamespace:
        def run() -> None:
            assert not self.written
            for position, partition in enumerate(partitions):
                on_result(position, partition)
            if self.failure is not None:
                raise self.failure

        self.plans.append(SimpleNamespace(func=func, properties=properties, name=name, run=run))
        return self.plans[-1]

    def cancel_where(self, wanted: Any, reason: str) -> None:
        hit = [index for index, properties in enumerate(self.queued) if wanted(SimpleNamespace(properties=properties))]
        self.cancelled.append(f"{hit} {reason}")


def test_results_are_in_the_order_asked_for_and_checkpoints_are_written_after_the_job() -> None:
    bench = Bench()
    assert bench.jobs.run(bench.rdd, len, [2, 0]) == [2, 0]
    assert bench.written == [bench.rdd]
    assert Bench().jobs.run(bench.rdd, len) == [0, 1, 2, 3]


def test_a_job_that_fails_writes_no_checkpoints() -> None:
    bench = Bench()
    bench.failure = ValueError("no")
    with pytest.raises(ValueError, match="no"):
        bench.jobs.run(bench.rdd, len)
    assert bench.written == []


def test_a_job_has_the_properties_that_its_thread_had_when_it_was_planned() -> None:
    bench = Bench()
    bench.jobs.properties.set("tested", "yes")
    bench.jobs.plan(bench.rdd, len, [0], print)
    bench.jobs.properties.set("tested", "later")
    assert bench.plans[0].properties == {"tested": "yes"}
    assert bench.plans[0].name.startswith(f"plan at {__file__}:")


def test_results_go_through_the_serializer_that_the_program_chose() -> None:
    bench, plain = Bench(CPickleSerializer()), Bench()
    for each in (bench, plain):
        each.jobs.plan(each.rdd, len, [0], print)
    assert isinstance(bench.plans[0].func, EncodedResult)
    assert plain.plans[0].func is len


def test_no_job_is_planned_on_partitions_that_do_not_exist() -> None:
    bench = Bench()
    with pytest.raises(IllegalArgumentException, match=r"non-existent partition: 4\. Total number of partitions: 4"):
        bench.jobs.plan(bench.rdd, len, [0, 4], print)
    assert bench.plans == []


def test_jobs_are_cancelled_by_group_and_by_tag() -> None:
    bench = Bench()
    bench.jobs.cancel_group("night")
    bench.jobs.cancel_tagged("b")
    bench.jobs.cancel_all()
    assert bench.cancelled == [
        "[1] part of cancelled job group night",
        "[2] part of cancelled job tags b",
        "[0, 1, 2] as part of cancellation of all jobs",
    ]
    with pytest.raises(IllegalArgumentException):
        bench.jobs.cancel_tagged("a,b")
