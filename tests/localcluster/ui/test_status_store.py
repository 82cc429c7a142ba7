"""Records and answers over a status of state machines: no processes, no sockets."""

from __future__ import annotations

import json
from typing import Any

import pytest

from localcluster.scheduler.statistics import ExecutorTasks
from localcluster.scheduler.task_set_excludelist import ExcludeOnFailure
from localcluster.ui.routes import Routes
from localcluster.ui.status_store import ApplicationRecord, StatusStore
from protocol.block_messages import RemoveExecutor
from protocol.events import ExecutorLost, TaskRef, TaskRetried, TasksLaunched
from protocol.locations import DRIVER, HeapLocation, ShmLocation
from tests.localcluster.driver.status_bench import A, B, Rdd, StatusBench
from tests.localcluster.scheduler.harness import FakeDriver

SETTINGS = {"spark.master": "local[2]", "spark.my.password": "hush"}


class Bench(StatusBench):
    def __init__(self, driver: FakeDriver | None = None) -> None:
        super().__init__(driver)
        self.store_of_records = StatusStore(ApplicationRecord("local-1", "numbers", "me", 1000, SETTINGS), self.status)
        self.routes = Routes(self.store_of_records)

    def get(self, path: str) -> str:
        reply = self.routes.answer(path)
        assert reply.status == 200, reply.body
        return reply.body.decode()

    def api(self, path: str) -> Any:
        return json.loads(self.get(f"/api/v1/applications/local-1/{path}"))


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_jobs_tasks_are_counted_over_all_attempts_of_its_stages() -> None:
    driver = FakeDriver(2)
    bench = Bench(driver)
    lineage = bench.lineage
    job = lineage.job(lineage.shuffled(lineage.source(2), partitions=2))
    (shuffle,) = job.map_stages
    driver.submit(job)
    driver.lose("b")
    for _ in range(2):
        driver.finish(driver.running()[0])
    driver.fail(driver.running()[0], "fetch", (shuffle, (0,)))
    driver.finish_all()
    (record,) = bench.api("jobs")
    counts = ("Tasks", "ActiveTasks", "CompletedTasks", "SkippedTasks", "FailedTasks", "CompletedIndices")
    assert [record[f"num{what}"] for what in counts] == [4, 0, 5, 0, 2, 4]


def test_executors_that_are_excluded_are_told() -> None:
    driver = FakeDriver(2, exclude_on_failure=ExcludeOnFailure())
    bench = Bench(driver)

    def told() -> list[tuple[bool, list[int]]]:
        records = [executor for executor in bench.api("executors") if executor["id"] in "ab"]
        assert all(executor["isBlacklisted"] == executor["isExcluded"] for executor in records)
        assert all(executor["blacklistedInStages"] == executor["excludedInStages"] for executor in records)
        return [(executor["isExcluded"], executor["excludedInStages"]) for executor in records]

    driver.submit(bench.lineage.job(bench.lineage.source(4)))
    assert told() == [(False, []), (False, [])]
    for _ in range(2):
        driver.fail(next(iter(driver.queues["a"])))
    assert told() == [(False, [0]), (False, [])]
    assert "from stage 0" in bench.get("/executors/")
    driver.finish_all()
    assert told() == [(True, []), (False, [])]
    assert "from all stages" in bench.get("/executors/")


def test_jobs_and_stages_are_told_newest_first(bench: Bench) -> None:
    for _ in range(2):
        bench.driver.submit(bench.lineage.job(bench.lineage.source(1)))
    assert [job["jobId"] for job in bench.api("jobs")] == [1, 0]
    assert [stage["stageId"] for stage in bench.api("stages")] == [1, 0]
    assert "Active jobs (2)" in bench.get("/jobs/")
    assert "Active stages (2)" in bench.get("/stages/")


def test_an_executors_memory_is_what_its_blocks_take_and_what_it_said_itself(bench: Bench) -> None:
    bench.store(A, 1, 0, HeapLocation("a"), memory_size=10)
    bench.store(A, 1, 1, ShmLocation("/dev/shm/x", 0, 30), off_heap_size=30)
    bench.beat("a", 500, 100)
    bench.beat("a", 300, 100, 7, 8)
    driver, a, b = bench.api("executors")
    assert [executor["id"] for executor in (driver, a, b)] == ["driver", "a", "b"]
    assert (a["memoryUsed"], a["maxMemory"], a["totalCores"], a["maxTasks"]) == (40, 1500, 2, 2)
    assert a["peakMemoryMetrics"] == {"ProcessTreePythonRSSMemory": 500}
    assert a["localcluster"].pop("secondsSinceHeartbeat") >= 0
    assert a["localcluster"] == {"ownMemory": 200, "sharedMemory": 100, "runningTasks": [7, 8]}
    assert not {"peakMemoryMetrics", "localcluster"} & {*driver, *b}, "nothing was heard of them yet"
    assert "<td>200.0 B</td>" in bench.get("/executors/")


def test_a_block_is_told_with_all_who_hold_it(bench: Bench) -> None:
    rdd = Rdd(5, "numbers")
    bench.status.persisted[5] = rdd  # type: ignore[assignment]
    for holder in (A, B):
        bench.store(holder, 5, 2, ShmLocation(f"/dev/shm/{holder.executor_id}", 0, 30), off_heap_size=30)
    bench.master.receive(DRIVER, RemoveExecutor("a"), 1.0)
    (record,) = bench.api("storage/rdd")
    assert (record["id"], record["numCachedPartitions"], record["numPartitions"]) == (5, 1, 3)
    assert (record["memoryUsed"], [share["memoryUsed"] for share in record["dataDistribution"]]) == (60, [30, 30])
    (block,) = record["partitions"]
    assert (block["blockName"], sorted(block["executors"])) == ("rdd_5_2", ["a", "b"])
    assert bench.api("storage/rdd/5") == record
    assert "numbers" in bench.get("/storage/")


def test_the_application_is_told_without_its_secrets(bench: Bench) -> None:
    application = bench.store_of_records.application()
    assert (application["id"], application["attempts"][0]["sparkUser"]) == ("local-1", "me")
    assert bench.api("environment")["sparkProperties"] == [
        ["spark.master", "local[2]"],
        ["spark.my.password", "*********(redacted)"],
    ]
    assert "hush" not in bench.get("/environment/")


def test_executors_tell_their_tasks_and_dead_ones_why_and_when(bench: Bench) -> None:
    bench.pool.history.registered("a", 5.0)
    bench.pool.history.registered("x", 6.5)
    bench.pool.history.ended("x", 77, 8.25, "it died", ExecutorTasks((TaskRef(0, 0, 1, 0),), 6, 2))
    bench.driver.submit(bench.lineage.job(bench.lineage.source(4)))
    bench.driver.fail(bench.driver.task(0))
    driver, a, b = bench.api("executors")
    counts = ("activeTasks", "failedTasks", "completedTasks", "totalTasks")
    assert [[each[count] for count in counts] for each in (driver, a, b)] == [[0] * 4, [2, 1, 0, 3], [2, 0, 0, 2]]
    assert (a["addTime"], "addTime" in driver, a["isActive"]) == ("1970-01-01T00:00:05.000GMT", False, True)
    assert bench.api("allexecutors")[:3] == [driver, a, b]
    assert bench.api("allexecutors")[3:] == [
        {
            "id": "x",
            "hostPort": "localhost:77",
            "isActive": False,
            "addTime": "1970-01-01T00:00:06.500GMT",
            "removeTime": "1970-01-01T00:00:08.250GMT",
            "removeReason": "it died",
            "activeTasks": 0,
            "failedTasks": 3,
            "completedTasks": 6,
            "totalTasks": 9,
        }
    ]
    assert "<td>it died</td>" in bench.get("/executors/")


def test_events_are_told_newest_first_without_the_starts_of_tasks(bench: Bench) -> None:
    task = TaskRef(0, 1, 2, 3)
    for event in (
        ExecutorLost(5.0, "1", "it died", None, 3, (task,)),
        TasksLaunched(6.0, "1", 0, 0, ((0, 0),), False),
        TaskRetried(7.0, task, "1", "it failed", True),
    ):
        bench.events.record(event)
    of_task = {"stageId": 0, "stageAttempt": 1, "partition": 2, "attempt": 3}
    retried, lost = bench.api("events")
    assert retried == {
        "event": "TaskRetried",
        "time": "1970-01-01T00:00:07.000GMT",
        "task": of_task,
        "executorId": "1",
        "reason": "it failed",
        "blamed": True,
    }
    assert {key: lost[key] for key in ("event", "reason", "exitCode", "running")} == {
        "event": "ExecutorLost",
        "reason": "it died",
        "exitCode": 3,
        "running": [of_task],
    }
    assert "signal" not in lost
    assert "<td>task 2.3 in stage 0.1</td>" in bench.get("/events/")
