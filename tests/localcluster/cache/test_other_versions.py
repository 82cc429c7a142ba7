"""Two installations of the package at one cache: the newer one's server takes the older one's place, and keeps it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from localcluster import Cache, cli
from localcluster.base import os_layer as processes
from localcluster.cache import command, other_versions
from localcluster.cache.home import CacheHome
from localcluster.cache.other_versions import OtherServer, make_way, serving
from localcluster.cache.server_process import _lock
from protocol import cache_messages as m
from protocol import wire
from protocol.errors import CacheError
from storage import os_layer

OLDER, NEWER = m.VERSION - 1, m.VERSION + 1


def run(version: int, program: str, directory: str) -> str:
    """What it prints and logs, as one of an installation that speaks this version. So do processes that it starts."""
    installed = Path(directory).with_name(f"version {version}")
    installed.mkdir(exist_ok=True)
    (installed / "sitecustomize.py").write_text(f"from protocol import cache_messages as m\nm.VERSION = {version}")
    beginning = """
import logging, sys
from protocol import cache_messages as m
logging.basicConfig(format="%(levelname)s %(message)s")
"""
    done = subprocess.run(
        [sys.executable, "-c", beginning + program, directory],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": str(installed)},
        timeout=120,
        check=True,
    )
    return done.stdout


def start_server(version: int, directory: str) -> int:
    """Its process. It has an entry in memory."""
    program = f"""
from localcluster.cache import server_process
assert server_process.main({{"directory": sys.argv[1]}}) == 0
from localcluster import Cache
cache = Cache("x", directory=sys.argv[1])
cache["of {version}"] = {version}
print(cache._client.ask(m.GetCacheStatus()).pid)
"""
    return int(run(version, program, directory))


USE = """
from localcluster import Cache
from localcluster.cache import client
client.RETRY_AFTER = 0.0
client.RETRY_SHARE = 0
cache = Cache("x", directory=sys.argv[1])
print([cache.get_or_compute(f"{number}", lambda: number) for number in range(3)], sorted(cache))
"""


def test_an_older_server_makes_way_in_good_order_and_its_entries_are_found(
    directory: str, caplog: pytest.LogCaptureFixture
) -> None:
    older = start_server(OLDER, directory)
    cache = Cache("x", directory=directory)
    cache["mine"] = 1
    assert cache._client.ask(m.GetCacheStatus()).pid != older
    assert not command._lives(older)
    assert cache[f"of {OLDER}"] == OLDER
    assert [record for record in caplog.records if record.levelname == "WARNING"] == []
    cache.close()


def test_a_newer_server_stays_and_programs_of_the_older_version_compute_after_one_warning(directory: str) -> None:
    cache = Cache("x", directory=directory)
    cache["mine"] = 1
    pid = cache._client.ask(m.GetCacheStatus()).pid
    lines = run(OLDER, USE, directory).splitlines()
    assert lines[-1] == "[0, 1, 2] ['mine']"
    (warning,) = lines[:-1]
    assert f"process {pid} serves it, of a newer version" in warning
    assert cache._client.ask(m.GetCacheStatus()).pid == pid
    cache.close()


def test_what_serves_is_found_by_the_names_of_sockets(home: CacheHome) -> None:
    home.make()
    assert serving(home) == []
    listening = [processes.listen_at(os.path.join(home.shared, name)) for name in ("socket", f"socket.{NEWER}")]
    ours = processes.listen_at(home.socket)
    processes.listen_at(os.path.join(home.shared, "socket.77")).close()  # of a server that was killed
    assert sorted(serving(home)) == [OtherServer(0, os.getpid()), OtherServer(NEWER, os.getpid())]
    for each in (*listening, ours):
        each.close()


def test_where_a_newer_one_serves_an_older_one_does_not_wait_for_the_lock(home: CacheHome) -> None:
    home.make()
    lock = _lock(home)
    assert lock is not None
    with processes.listen_at(os.path.join(home.shared, f"socket.{NEWER}")), pytest.raises(CacheError, match="newer"):
        _lock(home)
    os_layer.close(lock)


def test_a_server_that_cannot_be_seen_is_not_told_to_end(home: CacheHome, monkeypatch: pytest.MonkeyPatch) -> None:
    """In another container it has no number here: 0 would be all processes of this one's group."""
    home.make()
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda *arguments: sent.append(arguments))
    with processes.listen_at(os.path.join(home.shared, f"socket.{OLDER}")):
        monkeypatch.setattr(other_versions.processes, "peer_of", lambda _: (0, os.getuid()))
        with pytest.raises(CacheError, match="container"):
            make_way(home)
        assert sent == []
        monkeypatch.setattr(other_versions.processes, "peer_of", lambda _: (1234, os.getuid()))
        make_way(home)
    assert sent == [(1234, signal.SIGTERM)]


def test_status_and_stop_know_servers_of_other_versions(directory: str, capsys: pytest.CaptureFixture[str]) -> None:
    newer = start_server(NEWER, directory)
    assert cli.main(["cache", "status", "--directory", directory]) == 0
    assert capsys.readouterr().out.startswith(f"server {newer}, of another version of localcluster\n")
    assert command.stop(directory, 60) == 0
    assert not command._lives(newer)
    assert Cache("x", directory=directory)[f"of {NEWER}"] == NEWER


def shape(name: str) -> Any:
    found = getattr(m, name)
    if is_dataclass(found):
        return [(field.name, field.type) for field in fields(found)]
    return [(each.name, each.value) for each in found]


def test_who_changes_a_message_raises_the_version() -> None:
    kinds = [name for name, each in vars(m).items() if is_dataclass(each) or isinstance(each, type(Enum))]
    shapes = {name: shape(name) for name in sorted(kinds) if getattr(m, name).__module__ == m.__name__}
    text = repr((wire.VERSION, shapes))
    known = Path(__file__).with_name("messages_of_version.txt").read_text()
    assert f"{m.VERSION} {text}\n" == known, "raise protocol.cache_messages.VERSION, and write this file anew"
