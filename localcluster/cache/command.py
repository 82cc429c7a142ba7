"""``localcluster cache``: what a user asks of the machine's cache at the command line. `cli_cache` has the options.
`Cache.stop_server` stops as it does.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple

import psutil

from localcluster.cache import entry_file, other_versions
from localcluster.cache.client import CacheClient, NoServer, NotRunning, ServerOptions
from localcluster.cache.home import CacheHome, Tier
from localcluster.cache.key_texts import json_of, key_of, text_of
from localcluster.cache.keys import block_id_of
from protocol import cache_messages as m
from protocol.errors import BlockIdError, CacheError, CorruptBlockError
from storage import os_layer
from storage.block_id import CacheBlockId

STOP_POLL = 0.05  # seconds
STOP_DEADLINE = 120.0  # seconds
_NONE_SAID = ServerOptions()


class Listed(NamedTuple):
    """One entry. Sizes in bytes, times in seconds since the epoch; ``expires`` 0: never."""

    namespace: str
    key: Any
    size: int
    tier: str
    created: float
    used: float
    expires: float
    pinned: bool


def start(directory: str | None, options: ServerOptions) -> dict[str, Any]:
    """Start the server, if there is none; its status. Raises CacheError."""
    return dataclasses.asdict(_client(directory, options).ask(m.GetCacheStatus()))


def status(directory: str | None) -> dict[str, Any]:
    """Of the server; without one that speaks our version, what there is, and which processes serve in another one."""
    home = CacheHome(directory)
    with suppress(NotRunning):
        return dataclasses.asdict(_client(directory).ask(m.GetCacheStatus(), start=False))
    entries = list(listed(directory))
    tiers = {
        tier: {
            "directory": home.root(tier),
            "entries": sum(each.tier == tier.value for each in entries),
            "used": sum(each.size for each in entries if each.tier == tier.value),
        }
        for tier in Tier
    }
    others = [other.pid for other in other_versions.serving(home)]
    return {"pid": None, "of_other_versions": others, "memory": tiers[Tier.MEMORY], "disk": tiers[Tier.DISK]}


def listed(directory: str | None, namespace: str | None = None) -> Iterator[Listed]:
    """The entries that can be read now, by namespace."""
    home = CacheHome(directory)
    home.require_own()
    for tier in Tier:
        for folder in sorted(os_layer.scan(home.entries(tier)), key=lambda entry: entry.name):
            if namespace in (None, folder.name):
                for file in os_layer.scan(folder.path):
                    found = _look(folder.name, file, tier)
                    if found is not None:
                        yield found


def _look(namespace: str, file: os.DirEntry[str], tier: Tier) -> Listed | None:
    try:
        header, stat = entry_file.header_at(file.path), file.stat()
    except (OSError, CorruptBlockError):
        return None
    if header.is_expired:
        return None
    pinned = entry_file.is_pinned(stat)
    key = pickle.loads(header.key)
    return Listed(namespace, key, stat.st_size, tier.value, header.created, stat.st_mtime, header.expires, pinned)


def remove(directory: str | None, namespace: str, texts: list[str]) -> int:
    """How many there were of the entries with these keys: texts, or what `as_line` shows of other keys."""
    _require_namespace(namespace)
    client = _client(directory)
    return sum(_remove(client, namespace, text) for text in texts)


def _remove(client: CacheClient, namespace: str, text: str) -> bool:
    for key in (text, key_of(text)):
        if key is not None and client.ask(m.RemoveEntries((block_id_of(namespace, key),))):
            return True
    return False


def clear(directory: str | None, namespace: str | None) -> int:
    """How many entries there were; their files may go a little later. Raises CacheError."""
    if namespace is not None:
        _require_namespace(namespace)
    return int(_client(directory).ask(m.ClearCache(namespace)))


def stop(directory: str | None, deadline: float = STOP_DEADLINE) -> int | None:
    """Have the server end, and wait ``deadline`` seconds at most; how many entries the disk did not take, None when
    there is no server. Of one that was killed the entries are in memory: another one takes them to the disk. Raises
    CacheError.
    """
    until = time.monotonic() + deadline
    client = _client(directory)
    others = other_versions.serving(client.home)
    for other in others:
        other.end()
        _wait_for_end(other.pid, until)
    try:
        pid = client.ask(m.GetCacheStatus(), start=os.path.exists(client.home.shared)).pid
    except NotRunning:
        return 0 if others else None
    not_moved = 0
    try:
        not_moved = client.ask(m.StopCache(), deadline, start=False)
    except NotRunning:  # it ended just now, by itself
        pass
    except NoServer:
        if time.monotonic() < until:
            raise
    client.close()
    _wait_for_end(pid, until)
    return not_moved


def _wait_for_end(pid: int, until: float) -> None:
    while _lives(pid):
        if time.monotonic() > until:
            raise CacheError(f"the server, process {pid}, did not end in time; it may have much to move")
        time.sleep(STOP_POLL)


def _client(directory: str | None, options: ServerOptions = _NONE_SAID) -> CacheClient:
    return CacheClient(CacheHome(directory), options, warns=False)


def _require_namespace(namespace: str) -> None:
    try:
        CacheBlockId(namespace, "0" * 32)
    except BlockIdError as error:
        raise CacheError(str(error)) from None


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def as_text(report: dict[str, Any]) -> str:
    """A status for people."""
    if report["pid"] is None:
        others = report["of_other_versions"]
        lines = [f"server {pid}, of another version of localcluster" for pid in others] or ["no server is running"]
    else:
        lines = [f"server {report['pid']}, for {report['uptime']:.0f} s, {report['clients'] - 1} programs connected"]
    for tier in Tier:
        found = report[tier.value]
        limit = f" of {_size(found['limit'])}" if "limit" in found else ""
        lines.append(f"{tier.value:7} {found['entries']} entries, {_size(found['used'])}{limit}  {found['directory']}")
    if report["pid"] is not None:
        counts = ("computing", "waiting", "stored", "removed", "expired", "moved", "evicted")
        lines.append(", ".join(f"{report[name]} {name}" for name in counts))
    return "\n".join(lines)


def as_line(entry: Listed, now: float) -> str:
    """An entry for people."""
    notes = [entry.tier, f"used {_time(now - entry.used)} ago"]
    notes += [f"expires in {_time(entry.expires - now)}"] if entry.expires else []
    notes += ["pinned"] if entry.pinned else []
    return f"{entry.namespace:20} {_size(entry.size):>9}  {text_of(entry.key)}  ({', '.join(notes)})"


def as_record(entry: Listed) -> dict[str, Any]:
    """An entry for programs, to be made JSON; "expires" is None if it never does."""
    return {**entry._asdict(), "key": json_of(entry.key), "expires": entry.expires or None}


def as_json(value: Any) -> str:
    return json.dumps(value, allow_nan=False)


def _size(size: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    raise AssertionError("not reached")


def _time(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"
