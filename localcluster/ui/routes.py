"""`Routes`: which path leads to which page, and to which record of Spark's REST API (``/api/v1``)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, unquote

from localcluster.base.spark_version import SPARK_VERSION
from localcluster.ui import pages
from localcluster.ui.record import Record
from localcluster.ui.server import Reply
from localcluster.ui.status_store import StatusStore


class Routes:
    """Answers requests from a store."""

    def __init__(self, store: StatusStore) -> None:
        self._store = store
        self._pages: Mapping[str, Callable[[], str]] = {
            "jobs": lambda: pages.jobs(store.jobs()),
            "stages": lambda: pages.stages(store.stages()),
            "storage": lambda: pages.storage(store.rdds()),
            "executors": lambda: pages.executors(store.executors(), store.former_executors()),
            "events": lambda: pages.events(store.events()),
            "environment": lambda: pages.environment(store.environment()),
        }

    def answer(self, target: str) -> Reply:
        """``target`` is a path, perhaps with a query."""
        path, _, query = target.partition("?")
        parts = [unquote(part) for part in path.split("/") if part]
        if parts[:2] == ["api", "v1"]:
            return self._api(parts[2:], parse_qs(query).get("status", []))
        name = parts[0] if parts else "jobs"
        if name not in self._pages or parts[1:]:
            return Reply.plain(404, f"There is no page {path}\n")
        html = pages.page(self._store.application(), name, self._pages[name]())
        return Reply(200, "text/html; charset=utf-8", html.encode())

    def _api(self, parts: Sequence[str], statuses: Sequence[str]) -> Reply:
        """``statuses`` are those that jobs and stages should have; none: any."""
        store, application = self._store, self._store.application()
        match parts:
            case ["version"]:
                return _json({"spark": SPARK_VERSION})
            case ["applications"]:
                return _json([application])
            case ["applications", id, *_] if id != application["id"]:
                return Reply.plain(404, f"no such app: {id}")
            case ["applications", _]:
                return _json(application)
            case ["applications", _, "jobs"]:
                return _json(_with_status(store.jobs(), statuses))
            case ["applications", _, "jobs", id]:
                return _only([job for job in store.jobs() if str(job["jobId"]) == id], f"unknown job: {id}")
            case ["applications", _, "stages"]:
                return _json(_with_status(store.stages(), statuses))
            case ["applications", _, "stages", id, *attempt] if len(attempt) <= 1:
                return self._stage(id, attempt)
            case ["applications", _, "executors"]:
                return _json(store.executors())
            case ["applications", _, "allexecutors"]:
                return _json([*store.executors(), *store.former_executors()])
            case ["applications", _, "events"]:
                return _json(store.events())
            case ["applications", _, "storage", "rdd"]:
                return _json(store.rdds())
            case ["applications", _, "storage", "rdd", id]:
                return _only([rdd for rdd in store.rdds() if str(rdd["id"]) == id], f"no rdd found w/ id {id}")
            case ["applications", _, "environment"]:
                return _json(store.environment())
            case _:
                return Reply.plain(404, f"The API has no {'/'.join(parts)}")

    def _stage(self, id: str, attempt: Sequence[str]) -> Reply:
        """A list of its attempts, of which the latest is known; or one of them."""
        found = [stage for stage in self._store.stages() if str(stage["stageId"]) == id]
        if not found:
            return Reply.plain(404, f"unknown stage: {id}")
        if not attempt:
            return _json(found)
        chosen = [stage for stage in found if str(stage["attemptId"]) == attempt[0]]
        return _only(chosen, f"unknown attempt for stage {id}. Found attempts: [{found[0]['attemptId']}]")


def _json(value: Any) -> Reply:
    return Reply(200, "application/json", json.dumps(value, indent=2).encode())


def _only(found: Sequence[Record], otherwise: str) -> Reply:
    return _json(found[0]) if found else Reply.plain(404, otherwise)


def _with_status(records: Sequence[Record], statuses: Sequence[str]) -> list[Record]:
    wanted = {status.upper() for status in statuses}
    return [record for record in records if not wanted or record["status"] in wanted]
