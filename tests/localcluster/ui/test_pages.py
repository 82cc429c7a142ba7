"""What is on the pages: plain functions of records."""

from __future__ import annotations

import re
from typing import Any

import pytest

from localcluster.ui import pages

NASTY = '<script>alert("x")</script>&'
ESCAPED = "&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;&amp;"


def job(**values: Any) -> dict[str, Any]:
    counts = dict.fromkeys(("Completed", "Skipped", "Failed"), 0)
    numbers = {f"num{kind}{what}": n for kind, n in counts.items() for what in ("Stages", "Tasks")}
    told = {"jobId": 7, "name": "count at a.py:1", "status": "RUNNING", "submissionTime": "then", "stageIds": [1, 2]}
    return {**told, "numTasks": 10, "numCompletedIndices": 0, **numbers, **values}


def stage(**values: Any) -> dict[str, Any]:
    counts = {"numTasks": 4, "numActiveTasks": 2, "numCompleteTasks": 1, "numFailedTasks": 0}
    told = {"stageId": 3, "attemptId": 0, "name": "map at a.py:1", "status": "ACTIVE", "schedulingPool": "default"}
    return {**told, **counts, **values}


def rdd(**values: Any) -> dict[str, Any]:
    share = {"onHeapMemoryUsed": 2048, "offHeapMemoryUsed": 4096}
    told = {"id": 5, "name": "numbers", "storageLevel": "Memory", "numCachedPartitions": 1, "numPartitions": 3}
    return {**told, "diskUsed": 8192, "dataDistribution": [share, share], **values}


def executor(**values: Any) -> dict[str, Any]:
    memory = {"usedOnHeapStorageMemory": 3072, "usedOffHeapStorageMemory": 4096}
    total = {"totalOnHeapStorageMemory": 6144, "totalOffHeapStorageMemory": 8192}
    told = {"id": "1", "hostPort": "localhost:77", "totalCores": 2, "rddBlocks": 3, "diskUsed": 0, **tasks(1, 4, 9)}
    told |= {"isExcluded": False, "excludedInStages": [3]}
    return {**told, "memoryMetrics": {**memory, **total}, **values}


def tasks(active: int, failed: int, completed: int) -> dict[str, Any]:
    return {"activeTasks": active, "failedTasks": failed, "completedTasks": completed}


def former(**values: Any) -> dict[str, Any]:
    told = {"id": "3", "hostPort": "localhost:79", "addTime": "then", "removeTime": "now", "removeReason": "it died"}
    return {**told, **tasks(0, 1, 2), **values}


def event(**values: Any) -> dict[str, Any]:
    return {"event": "TaskRetried", "time": "then", "executorId": "1", **values}


TASK = {"stageId": 3, "stageAttempt": 1, "partition": 5, "attempt": 2}
TASK_TEXT = "task 5.2 in stage 3.1"


def cells(html: str) -> list[str]:
    return re.findall("<td>(.*?)</td>", html)


@pytest.mark.parametrize(
    "html",
    [
        pages.jobs([job(name=NASTY)]),
        pages.jobs([job(description=NASTY)]),
        pages.jobs([job(jobGroup=NASTY)]),
        pages.stages([stage(name=NASTY)]),
        pages.stages([stage(schedulingPool=NASTY)]),
        pages.storage([rdd(name=NASTY)]),
        pages.executors([executor()], [former(removeReason=NASTY)]),
        pages.events([event(reason=NASTY)]),
        pages.events([event(fault=NASTY)]),
        pages.environment({"runtime": {"pythonVersion": NASTY}, "sparkProperties": []}),
        pages.environment({"runtime": {}, "sparkProperties": [[NASTY, "x"]]}),
        pages.environment({"runtime": {}, "sparkProperties": [["x", NASTY]]}),
        pages.page({"id": "local-1", "name": NASTY, "attempts": [{"sparkUser": "me"}]}, "jobs", ""),
        pages.page({"id": "local-1", "name": "x", "attempts": [{"sparkUser": NASTY}]}, "jobs", ""),
    ],
)
def test_what_a_program_says_is_escaped(html: str) -> None:
    assert "<script" not in html
    assert ESCAPED in html


def test_jobs_stand_under_what_became_of_them() -> None:
    html = pages.jobs([job(jobId=3), job(jobId=2, status="FAILED"), job(jobId=1, status="SUCCEEDED"), job(jobId=0)])
    assert re.findall("<h2>(.*?)</h2>", html) == ["Active jobs (2)", "Completed jobs (1)", "Failed jobs (1)"]
    assert cells(html)[::7] == ["3", "0", "1", "2"]


def test_skipped_stages_and_tasks_do_not_count_as_work() -> None:
    (row,) = [cells(pages.jobs([job(numSkippedStages=1, numSkippedTasks=6, numCompletedIndices=3, numFailedTasks=2)]))]
    assert row[-2:] == ["0/1 (1 skipped)", "3/4 (2 failed) (6 skipped)"]


def test_a_description_stands_before_the_line_of_the_program() -> None:
    assert cells(pages.jobs([job(description="nightly")]))[1] == "nightly (count at a.py:1)"


def test_sizes_are_told_by_where_they_are() -> None:
    assert cells(pages.storage([rdd()]))[3:] == ["1/3", "4.0 KiB", "8.0 KiB", "8.0 KiB"]


def test_each_executor_has_a_row_and_all_share_what_is_shared() -> None:
    html = pages.executors([executor(), executor(id="2")], [])
    first, second = cells(html)[: len(pages.EXECUTORS)], cells(html)[len(pages.EXECUTORS) :]
    assert first[:8] == ["1", "77", "2", "1", "4", "9", "from stage 3", "3"]
    assert first[8:11] == ["3.0 KiB / 6.0 KiB", "4.0 KiB", "0.0 B"]
    assert set(first[11:]) == {""}, "nothing was heard of it yet"
    assert second[0] == "2"
    assert "together: 8.0 KiB" in html


def test_an_executor_that_was_heard_of_shows_its_memory() -> None:
    beat = {"ownMemory": 5 << 20, "sharedMemory": 3 << 20, "runningTasks": [7], "secondsSinceHeartbeat": 1.234}
    assert cells(pages.executors([executor(localcluster=beat)], []))[-2:] == ["5.0 MiB", "1.2 s ago"]


def test_a_column_is_added_in_one_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(pages.EXECUTORS, "Twice <cores>", lambda record: record["totalCores"] * 2)
    html = pages.executors([executor()], [])
    assert re.findall("<th>(.*?)</th>", html)[-1] == "Twice &lt;cores&gt;"
    assert cells(html)[-1] == "4"


@pytest.mark.parametrize(
    ("html", "text"),
    [(pages.jobs([]), "no jobs"), (pages.stages([]), "no stages"), (pages.storage([]), "Nothing is cached")],
)
def test_an_empty_page_says_so(html: str, text: str) -> None:
    assert text in html


def test_dead_executors_have_a_table_of_their_own_with_the_reason() -> None:
    html = pages.executors([executor()], [former(), former(id="2")])
    assert "Dead executors (2)" in html
    assert cells(html)[-7:] == ["2", "79", "then", "now", "1", "2", "it died"]
    assert "Dead" not in pages.executors([executor()], [])


@pytest.mark.parametrize(
    ("facts", "what", "more"),
    [
        ({"task": TASK, "reason": "no", "blamed": True}, TASK_TEXT, "reason: no, blamed: True"),
        ({"stageId": 3, "attempt": 1}, "stage 3", "attempt: 1"),
        ({"blockId": "rdd_1_2", "foundBy": "0"}, "rdd_1_2", "foundBy: 0"),
        (
            {"fault": "kill executor=1", "process": "1", "where": "task 1"},
            "kill executor=1",
            "process: 1, where: task 1",
        ),
        ({"pid": 7}, "", "pid: 7"),
    ],
)
def test_an_event_is_a_row(facts: dict[str, Any], what: str, more: str) -> None:
    assert cells(pages.events([event(**facts)])) == ["then", "TaskRetried", "1", what, more]


def test_a_page_of_no_events_says_so() -> None:
    assert pages.events([]) == "<p>Nothing has happened but tasks that ran.</p>"
