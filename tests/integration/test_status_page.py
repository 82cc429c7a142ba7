"""`sc.uiWebUrl`: the pages and the REST API of a real context. When there is one is in `test_status_page_lifetimes`."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from localcluster import SparkConf, SparkContext, StorageLevel
from localcluster.pyspark.version import __version__ as spark_version
from protocol.errors import TaskError
from tests.support import DEADLINE, wait_for_executors, wait_until


@pytest.fixture(scope="module")
def sc() -> Iterator[SparkContext]:
    conf = (
        SparkConf()
        .set("localcluster.sharedMemory", "64m")
        .set("spark.ui.port", "0")
        .set("spark.test.password", "hush")
        .set("spark.executor.heartbeatInterval", "200ms")
    )
    with SparkContext("local[2]", "page & <b>", conf=conf) as shared:
        assert shared.uiWebUrl is not None
        wait_for_executors(shared, 2)
        yield shared


def get(sc: SparkContext, path: str) -> str:
    with urlopen(f"{sc.uiWebUrl}{path}", timeout=DEADLINE) as response:
        return response.read().decode()


def api(sc: SparkContext, path: str = "") -> Any:
    return json.loads(get(sc, f"/api/v1/applications/{sc.applicationId}{path}"))


def refusal(sc: SparkContext, path: str) -> tuple[int, str]:
    with pytest.raises(HTTPError) as caught:
        get(sc, path)
    with caught.value as response:
        return response.code, response.read().decode()


# --- jobs and stages ---


@pytest.fixture
def ended(sc: SparkContext) -> list[dict[str, Any]]:
    """A job of two stages, the same with the first one skipped, and one that fails; newest first."""
    sc.setJobGroup("nightly", "count <them>")
    sc.addJobTag("tagged")
    try:
        pairs = sc.parallelize([(1, 2), (1, 3)], 2).reduceByKey(max, 3)
        assert pairs.count() == pairs.count() == 1
        with pytest.raises(TaskError):
            sc.parallelize([0], 1).map(lambda x: 1 / x).collect()
    finally:
        sc._jobs.properties.replace({})
    return api(sc, "/jobs")[:3]


def test_jobs_are_told_in_sparks_names(ended: list[dict[str, Any]]) -> None:
    failed, second, first = ended
    assert [job["status"] for job in ended] == ["FAILED", "SUCCEEDED", "SUCCEEDED"]
    assert [job["jobId"] for job in ended] == sorted((job["jobId"] for job in ended), reverse=True)
    for job in ended:
        assert (job["jobGroup"], job["jobTags"], job["description"]) == ("nightly", ["tagged"], "count <them>")
        assert job["submissionTime"] <= job["completionTime"]
        assert job["numActiveTasks"] == job["numActiveStages"] == 0
    assert first["name"].startswith("count at ")
    assert (first["numTasks"], first["numCompletedTasks"], first["numCompletedStages"]) == (5, 5, 2)
    assert (second["numTasks"], second["numSkippedTasks"], second["numCompletedTasks"]) == (5, 2, 3)
    assert (second["numSkippedStages"], second["numCompletedStages"], len(second["stageIds"])) == (1, 1, 2)
    assert (failed["numFailedTasks"], failed["numFailedStages"], failed["numCompletedTasks"]) == (1, 1, 0)


def test_jobs_and_stages_can_be_asked_for_by_status(sc: SparkContext, ended: list[dict[str, Any]]) -> None:
    assert {job["status"] for job in api(sc, "/jobs?status=failed")} == {"FAILED"}
    assert {job["status"] for job in api(sc, "/jobs?status=failed&status=succeeded")} == {"FAILED", "SUCCEEDED"}
    assert api(sc, "/jobs?status=running") == []
    assert {stage["status"] for stage in api(sc, "/stages?status=skipped")} == {"SKIPPED"}


def test_a_job_and_a_stage_can_be_asked_for_by_number(sc: SparkContext, ended: list[dict[str, Any]]) -> None:
    newest = ended[0]
    assert api(sc, f"/jobs/{newest['jobId']}") == newest
    (attempt,) = api(sc, f"/stages/{newest['stageIds'][0]}")
    assert (attempt["status"], attempt["attemptId"], attempt["numFailedTasks"]) == ("FAILED", 0, 1)
    assert (attempt["description"], attempt["schedulingPool"]) == ("count <them>", "default")
    assert api(sc, f"/stages/{attempt['stageId']}/0") == attempt


def test_a_job_can_be_watched_while_it_runs(sc: SparkContext, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)

    def wait(x: int) -> int:
        with open(gate) as opened:  # until the test opens the other end
            opened.read()
        return x

    thread = threading.Thread(target=lambda: sc.parallelize([1], 1).map(wait).collect())
    thread.start()
    wait_until(lambda: any(job["numActiveTasks"] for job in api(sc, "/jobs?status=running")))
    try:
        (job,) = api(sc, "/jobs?status=running")
        (stage,) = api(sc, "/stages?status=active")
        assert "completionTime" not in job
        assert (job["numTasks"], job["numActiveTasks"], job["numActiveStages"]) == (1, 1, 1)
        assert (stage["numTasks"], stage["numActiveTasks"], stage["numCompleteTasks"]) == (1, 1, 0)
        wait_until(lambda: sum(executor["activeTasks"] for executor in api(sc, "/executors")) == 1)
        wait_until(lambda: sum(len(tasks_told(executor) or ()) for executor in api(sc, "/executors")) == 1)
        assert "Active jobs (1)" in get(sc, "/jobs/")
        assert "Active stages (1)" in get(sc, "/stages/")
    finally:
        with open(gate, "w"):
            pass
        thread.join(DEADLINE)
    assert api(sc, "/jobs?status=running") == []


# --- storage and executors ---


def test_storage_shows_what_is_cached_of_an_rdd(sc: SparkContext) -> None:
    rdd = sc.parallelize([b"x" * 10_000] * 4, 4).setName("bytes <i>").persist(StorageLevel.OFF_HEAP)
    assert [stored["id"] for stored in api(sc, "/storage/rdd")] == []
    rdd.context.runJob(rdd, lambda records: [len(list(records))], [0, 2])
    stored = api(sc, f"/storage/rdd/{rdd.id()}")
    assert (stored["name"], stored["storageLevel"]) == ("bytes <i>", str(StorageLevel.OFF_HEAP))
    assert (stored["numCachedPartitions"], stored["numPartitions"], stored["diskUsed"]) == (2, 4, 0)
    assert stored["memoryUsed"] > 20_000
    assert stored["memoryUsed"] == sum(share["offHeapMemoryUsed"] for share in stored["dataDistribution"])
    assert [block["blockName"] for block in stored["partitions"]] == [f"rdd_{rdd.id()}_0", f"rdd_{rdd.id()}_2"]
    assert api(sc, "/storage/rdd") == [stored]
    assert "bytes &lt;i&gt;" in get(sc, "/storage/")
    rdd.unpersist(blocking=True)
    assert api(sc, "/storage/rdd") == []


def test_executors_are_the_driver_and_those_that_run_tasks(sc: SparkContext) -> None:
    executors = {executor["id"]: executor for executor in api(sc, "/executors")}
    assert set(executors) == {"driver", "0", "1"}
    assert executors["driver"]["hostPort"] == f"localhost:{os.getpid()}"
    assert [executors[id]["totalCores"] for id in ("driver", "0", "1")] == [0, 1, 1]
    assert executors["0"]["memoryMetrics"]["totalOffHeapStorageMemory"] == 64 << 20
    assert [executor["id"] for executor in api(sc, "/allexecutors")] == list(executors)
    assert "<td>driver</td>" in get(sc, "/executors/")


def tasks_told(executor: dict[str, Any]) -> list[int] | None:
    """What ran at its last heartbeat; None before the first."""
    return executor["localcluster"]["runningTasks"] if "localcluster" in executor else None


def test_executors_tell_their_memory_with_their_heartbeats(sc: SparkContext) -> None:
    wait_until(lambda: [tasks_told(executor) for executor in api(sc, "/executors")] == [None, [], []])
    driver, *executors = api(sc, "/executors")
    assert "localcluster" not in driver
    for executor in executors:
        peak = executor["peakMemoryMetrics"]["ProcessTreePythonRSSMemory"]
        assert 1 << 20 < executor["localcluster"]["ownMemory"] < peak
        assert executor["localcluster"]["secondsSinceHeartbeat"] < DEADLINE
    assert "s ago</td>" in get(sc, "/executors/")


# --- the application ---


def test_the_application_is_told(sc: SparkContext) -> None:
    (application,) = json.loads(get(sc, "/api/v1/applications"))
    assert (application["id"], application["name"]) == (sc.applicationId, "page & <b>")
    (attempt,) = application["attempts"]
    assert (attempt["completed"], attempt["startTimeEpoch"]) == (False, sc.startTime)
    assert attempt["startTime"].endswith("GMT")
    assert api(sc)["id"] == sc.applicationId
    assert json.loads(get(sc, "/api/v1/version")) == {"spark": spark_version}


def test_settings_are_told_without_secrets(sc: SparkContext) -> None:
    settings = dict(api(sc, "/environment")["sparkProperties"])
    assert settings["spark.master"] == "local[2]"
    assert settings["spark.test.password"] == "*********(redacted)"
    assert "hush" not in get(sc, "/environment/")


@pytest.mark.parametrize(
    "path", ["/", "/jobs", "/jobs/", "/stages/", "/storage/", "/executors/", "/events/", "/environment/"]
)
def test_each_page_has_the_applications_name_escaped(sc: SparkContext, path: str) -> None:
    html = get(sc, path)
    assert "<h1>page &amp; &lt;b&gt;</h1>" in html
    assert "<b>" not in html


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/nothing/", "There is no page /nothing/\n"),
        ("/jobs/1", "There is no page /jobs/1\n"),
        ("/%3Cscript%3E", "There is no page /%3Cscript%3E\n"),
        ("/api/v1/applications/other/jobs", "no such app: other"),
        ("/api/v1/nothing", "The API has no nothing"),
        ("/api/v1/applications/{app}/jobs/999", "unknown job: 999"),
        ("/api/v1/applications/{app}/jobs/x", "unknown job: x"),
        ("/api/v1/applications/{app}/stages/999", "unknown stage: 999"),
        ("/api/v1/applications/{app}/storage/rdd/999", "no rdd found w/ id 999"),
        ("/api/v1/applications/{app}/stages/0/9", "unknown attempt for stage 0. Found attempts: [0]"),
    ],
)
def test_what_is_not_there_is_a_plain_404(sc: SparkContext, path: str, text: str) -> None:
    sc.parallelize([1], 1).count()
    assert refusal(sc, path.format(app=sc.applicationId)) == (404, text)


def test_a_notebook_links_to_the_page(sc: SparkContext) -> None:
    assert f'<a href="{sc.uiWebUrl}">Spark UI</a>' in sc._repr_html_()
    assert "page &amp; &lt;b&gt;" in sc._repr_html_()
