"""Requests, profiles and their builder are records that say what they were told."""

from __future__ import annotations

import pytest

from localcluster.rdd.rdd import RDD
from localcluster.resource import (
    ExecutorResourceRequest,
    ExecutorResourceRequests,
    ResourceInformation,
    ResourceProfile,
    ResourceProfileBuilder,
    TaskResourceRequest,
    TaskResourceRequests,
)
from localcluster.task.env import set_env
from tests.localcluster.rdd.local_context import LocalContext


def executor_requests() -> ExecutorResourceRequests:
    requests = ExecutorResourceRequests().cores(2).memory("6g").memoryOverhead("1g").pysparkMemory("2g")
    return requests.offheapMemory("3g").resource("gpu", 2, "findGpus", "maker.example")


def test_each_request_is_kept_under_its_resources_name_memory_in_mebibytes() -> None:
    amounts = {name: request.amount for name, request in executor_requests().requests.items()}
    expected = {"cores": 2, "memory": 6144, "memoryOverhead": 1024, "pyspark.memory": 2048, "offHeap": 3072, "gpu": 2}
    assert amounts == expected
    gpu = executor_requests().requests["gpu"]
    assert (gpu.resourceName, gpu.discoveryScript, gpu.vendor) == ("gpu", "findGpus", "maker.example")
    assert ExecutorResourceRequest("a", 1).vendor == ""


@pytest.mark.parametrize(("text", "mebibytes"), [("512m", 512), ("1500k", 1), ("1t", 1 << 20), ("1G", 1024), ("9", 9)])
def test_memory_is_written_as_spark_writes_it(text: str, mebibytes: int) -> None:
    assert ExecutorResourceRequests().memory(text).requests["memory"].amount == mebibytes


def test_memory_that_is_no_size_is_refused() -> None:
    with pytest.raises(ValueError, match="invalid format: much"):
        ExecutorResourceRequests().memory("much")


def test_amounts_for_tasks_are_floats() -> None:
    requests = TaskResourceRequests().cpus(2).resource("gpu", 0.5).requests
    assert {name: request.amount for name, request in requests.items()} == {"cpus": 2.0, "gpu": 0.5}
    assert isinstance(TaskResourceRequest("gpu", 2).amount, float)
    assert requests["gpu"].resourceName == "gpu"


def test_a_profile_has_what_its_builder_was_told_until_then() -> None:
    builder = ResourceProfileBuilder().require(executor_requests()).require(TaskResourceRequests().cpus(1))
    profile = builder.build
    builder.clearExecutorResourceRequests()
    builder.clearTaskResourceRequests()
    assert (builder.executorResources, builder.taskResources) == ({}, {})
    assert len(profile.executorResources) == 6
    assert list(profile.taskResources) == ["cpus"]
    builder.require(TaskResourceRequests().cpus(3))
    assert builder.build.taskResources["cpus"].amount == 3.0
    assert profile.taskResources["cpus"].amount == 1.0


def test_profiles_have_numbers_of_their_own_once_a_context_runs() -> None:
    first, second = ResourceProfile(), ResourceProfile()
    with pytest.raises(RuntimeError, match="SparkContext must be created to get the profile id"):
        _ = first.id
    before = set_env(object())  # type: ignore[arg-type]
    try:
        assert 0 < first.id < second.id
    finally:
        set_env(before)
    assert first.id < second.id, "they are kept"


def test_an_rdd_remembers_its_profile_and_is_computed_as_before() -> None:
    sc, profile = LocalContext(), ResourceProfileBuilder().require(TaskResourceRequests().cpus(2)).build
    rdd: RDD[int] = sc.parallelize([1, 2, 3], 2)
    assert rdd.getResourceProfile() is None
    assert rdd.withResources(profile) is rdd
    assert rdd.getResourceProfile() is profile
    assert rdd.map(lambda x: x + 1).collect() == [2, 3, 4]


def test_information_names_a_resource_and_its_addresses() -> None:
    gpus = ResourceInformation("gpu", ["0", "1"])
    assert (gpus.name, gpus.addresses) == ("gpu", ["0", "1"])
