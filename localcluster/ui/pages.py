"""The pages as HTML: tables of a `StatusStore`'s records, without scripts. Every text in them is escaped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from html import escape

from localcluster.conf.settings import bytes_text
from localcluster.ui.status_store import Record

NAMES = ("jobs", "stages", "storage", "executors", "environment")

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
    columns = ("Job", "Description", "Group", "Submitted", "Completed", "Stages", "Tasks")
    sections = (("Active", "RUNNING"), ("Completed", "SUCCEEDED"), ("Failed", "FAILED"))
    return _sections("jobs", sections, columns, records, _job_row)


def _job_row(job: Record) -> Sequence[object]:
    stages = len(job["stageIds"]) - job["numSkippedStages"]
    tasks = job["numTasks"] - job["numSkippedTasks"]
    return (
        job["jobId"],
        _described(job),
        job.get("jobGroup", ""),
        job["submissionTime"],
        job.get("completionTime", ""),
        _progress(job["numCompletedStages"], stages, job["numFailedStages"], job["numSkippedStages"]),
        _progress(job["numCompletedIndices"], tasks, job["numFailedTasks"], job["numSkippedTasks"]),
    )


def stages(records: Sequence[Record]) -> str:
    columns = ("Stage", "Attempt", "Description", "Pool", "Submitted", "Completed", "Running", "Tasks")
    names = (("Active", "ACTIVE"), ("Pending", "PENDING"), ("Completed", "COMPLETE"), ("Failed", "FAILED"))
    return _sections("stages", (*names, ("Skipped", "SKIPPED")), columns, records, _stage_row)


def _stage_row(stage: Record) -> Sequence[object]:
    return (
        stage["stageId"],
        stage["attemptId"],
        _described(stage),
        stage["schedulingPool"],
        stage.get("submissionTime", ""),
        stage.get("completionTime", ""),
        stage["numActiveTasks"],
        _progress(stage["numCompleteTasks"], stage["numTasks"], stage["numFailedTasks"], 0),
    )


def storage(rdds: Sequence[Record]) -> str:
    columns = ("RDD", "Name", "Storage level", "Cached partitions", "Memory", "Shared memory", "Disk")
    return _table(columns, map(_rdd_row, rdds)) if rdds else "<p>Nothing is cached.</p>"


def _rdd_row(rdd: Record) -> Sequence[object]:
    shares = rdd["dataDistribution"]
    return (
        rdd["id"],
        rdd["name"],
        rdd["storageLevel"],
        f"{rdd['numCachedPartitions']}/{rdd['numPartitions']}",
        bytes_text(sum(share["onHeapMemoryUsed"] for share in shares)),
        bytes_text(sum(share["offHeapMemoryUsed"] for share in shares)),
        bytes_text(rdd["diskUsed"]),
    )


def executors(records: Sequence[Record]) -> str:
    columns = ("Executor", "Process", "Cores", "Running tasks", "RDD blocks", "Storage memory", "Shared memory", "Disk")
    shared = max((record["memoryMetrics"]["totalOffHeapStorageMemory"] for record in records), default=0)
    note = f"<p>Shared memory that all of them may take together: {escape(bytes_text(shared))}.</p>"
    return _table(columns, map(_executor_row, records)) + note


def _executor_row(executor: Record) -> Sequence[object]:
    memory = executor["memoryMetrics"]
    used, total = memory["usedOnHeapStorageMemory"], memory["totalOnHeapStorageMemory"]
    return (
        executor["id"],
        executor["hostPort"].rpartition(":")[2],
        executor["totalCores"],
        executor["activeTasks"],
        executor["rddBlocks"],
        f"{bytes_text(used)} / {bytes_text(total)}",
        bytes_text(memory["usedOffHeapStorageMemory"]),
        bytes_text(executor["diskUsed"]),
    )


def environment(record: Record) -> str:
    runtime, settings = record["runtime"].items(), record["sparkProperties"]
    return f"<h2>Runtime</h2>{_table(('Name', 'Value'), runtime)}<h2>Settings</h2>{_table(('Key', 'Value'), settings)}"


def _described(record: Record) -> str:
    """The program's description, if any, and the line that the job or stage is of."""
    return f"{record['description']} ({record['name']})" if "description" in record else record["name"]


def _progress(done: int, total: int, failed: int, skipped: int) -> str:
    rest = [f" ({number} {word})" for number, word in ((failed, "failed"), (skipped, "skipped")) if number]
    return f"{done}/{total}{''.join(rest)}"


def _sections(
    kind: str,
    sections: Iterable[tuple[str, str]],
    columns: Sequence[str],
    records: Sequence[Record],
    row: Callable[[Record], Sequence[object]],
) -> str:
    """A table for each ``(title, status)`` that some records have."""
    tables = []
    for title, status in sections:
        rows = [row(record) for record in records if record["status"] == status]
        if rows:
            tables.append(f"<h2>{title} {kind} ({len(rows)})</h2>{_table(columns, rows)}")
    return "".join(tables) or f"<p>There were no {kind} yet.</p>"


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join(f"<tr>{''.join(f'<td>{escape(str(cell))}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
