"""The pages as HTML: tables of a `StatusStore`'s records, without scripts. Every text in them is escaped.

What stands in a table is listed once, as its columns (`JOBS`, `STAGES`, `EVENTS`, …). A column that shows what the
records lack begins in `status_store`, whose fields the REST API shows too, and in `localcluster.driver.status`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from operator import itemgetter
from typing import TypeAlias

from localcluster.conf.settings import bytes_text
from localcluster.ui.record import Record

NAMES = ("jobs", "stages", "storage", "executors", "events", "environment")

STYLE = """
body { font-family: sans-serif; margin: 1.5em } nav a { margin-right: 1em } nav a.here { font-weight: bold }
table { border-collapse: collapse } th, td { border: 1px solid #ccc; padding: .25em .6em; text-align: left }
th { background: #eee }
"""


def page(application: Record, here: str, body: str) -> str:
    """A whole page around one of the bodies below."""
    links = "".join(f'<a href="/{name}/"{" class=here" * (name == here)}>{name.title()}</a>' for name in NAMES)
    name, user = escape(application["name"]), escape(application["attempts"][0]["sparkUser"])
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{name} - {here.title()}</title>'
        f"<style>{STYLE}</style></head><body><nav>{links}</nav><h1>{name}</h1>"
        f"<p>{escape(application['id'])}, user {user}</p>{body}</body></html>"
    )


def jobs(records: Sequence[Record]) -> str:
    sections = (("Active", "RUNNING"), ("Completed", "SUCCEEDED"), ("Failed", "FAILED"))
    return _sections("jobs", sections, JOBS, records)


def stages(records: Sequence[Record]) -> str:
    sections = (("Active", "ACTIVE"), ("Pending", "PENDING"), ("Completed", "COMPLETE"), ("Failed", "FAILED"))
    return _sections("stages", (*sections, ("Skipped", "SKIPPED")), STAGES, records)


def storage(rdds: Sequence[Record]) -> str:
    return _table(RDDS, rdds) if rdds else "<p>Nothing is cached.</p>"


def executors(records: Sequence[Record], former: Sequence[Record]) -> str:
    shared = max((record["memoryMetrics"]["totalOffHeapStorageMemory"] for record in records), default=0)
    note = f"<p>Shared memory that all of them may take together: {escape(bytes_text(shared))}.</p>"
    dead = f"<h2>Dead executors ({len(former)})</h2>{_table(FORMER_EXECUTORS, former)}" if former else ""
    return _table(EXECUTORS, records) + note + dead


def events(records: Sequence[Record]) -> str:
    note = "<p>But for the starts of tasks; newest first.</p>"
    return _table(EVENTS, records) + note if records else "<p>Nothing has happened but tasks that ran.</p>"


def environment(record: Record) -> str:
    runtime, settings = record["runtime"].items(), record["sparkProperties"]
    return f"<h2>Runtime</h2>{_pairs('Name', runtime)}<h2>Settings</h2>{_pairs('Key', settings)}"


def _described(record: Record) -> str:
    """The program's description, if any, and the line that the job or stage is of."""
    return f"{record['description']} ({record['name']})" if "description" in record else record["name"]


def _progress(done: int, total: int, failed: int, skipped: int) -> str:
    rest = [f" ({number} {word})" for number, word in ((failed, "failed"), (skipped, "skipped")) if number]
    return f"{done}/{total}{''.join(rest)}"


def _excluded(executor: Record) -> str:
    """From what, since too many tasks failed there."""
    if executor["isExcluded"]:
        return "from all stages"
    stages = executor["excludedInStages"]
    return f"from stage {', '.join(map(str, stages))}" if stages else ""


def _stages_done(job: Record) -> str:
    stages = len(job["stageIds"]) - job["numSkippedStages"]
    return _progress(job["numCompletedStages"], stages, job["numFailedStages"], job["numSkippedStages"])


def _tasks_done(job: Record) -> str:
    tasks = job["numTasks"] - job["numSkippedTasks"]
    return _progress(job["numCompletedIndices"], tasks, job["numFailedTasks"], job["numSkippedTasks"])


def _shares(rdd: Record, field: str) -> str:
    """Bytes of all executors together."""
    return bytes_text(sum(share[field] for share in rdd["dataDistribution"]))


def _storage_memory(executor: Record) -> str:
    memory = executor["memoryMetrics"]
    return f"{bytes_text(memory['usedOnHeapStorageMemory'])} / {bytes_text(memory['totalOnHeapStorageMemory'])}"


def _of_heartbeat(executor: Record, text: Callable[[Record], str]) -> str:
    """Of an executor before its first one, and of the driver: nothing."""
    return text(executor["localcluster"]) if "localcluster" in executor else ""


def _what_happened_to(event: Record) -> str:
    """A task as Spark's log names it, a block, a stage, a fault, a process."""
    if "task" in event:
        return _task(event["task"])
    if "stageId" in event:
        return f"stage {event['stageId']}"
    return str(event.get("blockId") or event.get("fault") or "")


def _other_facts(event: Record) -> str:
    shown = {"time", "event", "executorId", "task", "stageId", "blockId", "fault"}
    return ", ".join(f"{name}: {_fact(value)}" for name, value in event.items() if name not in shown)


def _fact(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(_fact, value)) or "nothing"
    return _task(value) if isinstance(value, dict) else str(value)


def _task(task: Record) -> str:
    return f"task {task['partition']}.{task['attempt']} in stage {task['stageId']}.{task['stageAttempt']}"


# --- the columns of each page: the title, and how a cell is read from a record ----------------------------------------

Columns: TypeAlias = Mapping[str, Callable[[Record], object]]

JOBS: Columns = {
    "Job": itemgetter("jobId"),
    "Description": _described,
    "Group": lambda job: job.get("jobGroup", ""),
    "Submitted": itemgetter("submissionTime"),
    "Completed": lambda job: job.get("completionTime", ""),
    "Stages": _stages_done,
    "Tasks": _tasks_done,
}

STAGES: Columns = {
    "Stage": itemgetter("stageId"),
    "Attempt": itemgetter("attemptId"),
    "Description": _described,
    "Pool": itemgetter("schedulingPool"),
    "Submitted": lambda stage: stage.get("submissionTime", ""),
    "Completed": lambda stage: stage.get("completionTime", ""),
    "Running": itemgetter("numActiveTasks"),
    "Tasks": lambda stage: _progress(stage["numCompleteTasks"], stage["numTasks"], stage["numFailedTasks"], 0),
}

RDDS: Columns = {
    "RDD": itemgetter("id"),
    "Name": itemgetter("name"),
    "Storage level": itemgetter("storageLevel"),
    "Cached partitions": lambda rdd: f"{rdd['numCachedPartitions']}/{rdd['numPartitions']}",
    "Memory": lambda rdd: _shares(rdd, "onHeapMemoryUsed"),
    "Shared memory": lambda rdd: _shares(rdd, "offHeapMemoryUsed"),
    "Disk": lambda rdd: bytes_text(rdd["diskUsed"]),
}

EXECUTORS: Columns = {
    "Executor": itemgetter("id"),
    "Process": lambda executor: executor["hostPort"].rpartition(":")[2],
    "Cores": itemgetter("totalCores"),
    "Running tasks": itemgetter("activeTasks"),
    "Failed tasks": itemgetter("failedTasks"),
    "Complete tasks": itemgetter("completedTasks"),
    "Excluded": _excluded,
    "RDD blocks": itemgetter("rddBlocks"),
    "Storage memory": _storage_memory,
    "Shared memory": lambda executor: bytes_text(executor["memoryMetrics"]["usedOffHeapStorageMemory"]),
    "Disk": lambda executor: bytes_text(executor["diskUsed"]),
    "Memory of its own": lambda executor: _of_heartbeat(executor, lambda beat: bytes_text(beat["ownMemory"])),
    "Heard of": lambda executor: _of_heartbeat(executor, lambda beat: f"{beat['secondsSinceHeartbeat']:.1f} s ago"),
}


FORMER_EXECUTORS: Columns = {
    "Executor": itemgetter("id"),
    "Process": lambda executor: executor["hostPort"].rpartition(":")[2],
    "Added": itemgetter("addTime"),
    "Removed": itemgetter("removeTime"),
    "Failed tasks": itemgetter("failedTasks"),
    "Complete tasks": itemgetter("completedTasks"),
    "Reason": itemgetter("removeReason"),
}

EVENTS: Columns = {
    "Time": itemgetter("time"),
    "Event": itemgetter("event"),
    "Executor": lambda event: event.get("executorId", ""),
    "What": _what_happened_to,
    "More": _other_facts,
}


# --- tables -----------------------------------------------------------------------------------------------------------


def _sections(kind: str, sections: Iterable[tuple[str, str]], columns: Columns, records: Sequence[Record]) -> str:
    """A table for each ``(title, status)`` that some records have."""
    tables = []
    for title, status in sections:
        chosen = [record for record in records if record["status"] == status]
        if chosen:
            tables.append(f"<h2>{title} {kind} ({len(chosen)})</h2>{_table(columns, chosen)}")
    return "".join(tables) or f"<p>There were no {kind} yet.</p>"


def _table(columns: Columns, records: Iterable[Record]) -> str:
    return _html(columns, ([cell(record) for cell in columns.values()] for record in records))


def _pairs(title: str, rows: Iterable[Sequence[object]]) -> str:
    return _html((title, "Value"), rows)


def _html(titles: Iterable[str], rows: Iterable[Sequence[object]]) -> str:
    head = "".join(f"<th>{escape(title)}</th>" for title in titles)
    body = "".join(f"<tr>{''.join(f'<td>{escape(str(cell))}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
