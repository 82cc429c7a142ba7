"""``localcluster cache``: what it prints, for people and as JSON, and with which exit codes."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import psutil
import pytest

from localcluster import Cache, cli
from localcluster.cache import command
from localcluster.cache.client import CacheClient, ServerOptions
from localcluster.cache.home import CacheHome
from localcluster.cache.keys import Key, block_id_of
from protocol.errors import CacheError
from tests.support import DEADLINE, wait_until


class Shell:
    def __init__(self, directory: str, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
        self.directory = directory
        self.capsys = capsys
        self.caplog = caplog
        self.code = 0
        self.error = ""

    def __call__(self, what: str, *arguments: str) -> str:
        """What it prints; no warning is logged, which Python would print as well."""
        self.caplog.clear()
        self.code = cli.main(["cache", what, "--directory", self.directory, *arguments])
        out, self.error = self.capsys.readouterr()
        assert [record.message for record in self.caplog.records if record.levelname == "WARNING"] == []
        return out

    def json(self, what: str, *arguments: str) -> Any:
        return json.loads(self(what, "--json", *arguments))


@pytest.fixture
def shell(directory: str, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Shell:
    return Shell(directory, capsys, caplog)


def put(directory: str, namespace: str = "x", **entries: Any) -> None:
    cache = Cache(namespace, directory=directory)
    cache.update(entries)
    cache.close()


def test_a_day_with_a_cache(shell: Shell, directory: str) -> None:
    assert shell("status").startswith("no server is running\n")
    assert shell("stop") == "no server is running\n"
    assert shell.json("stop") == {"stopped": False, "not_moved": 0}
    assert "0 programs connected" in shell("start", "--max-memory", "1m", "--max-disk", "2m", "--idle-timeout", "60")
    status = shell.json("status")
    assert (status["memory"]["limit"], status["disk"]["limit"]) == (1 << 20, 2 << 20)
    put(directory, a=1, b="." * 5000)
    put(directory, "y", c=1)
    lines = shell("ls").splitlines()
    assert len(lines) == 3
    assert "(memory, used 0 s ago)" in lines[0] or "(memory, used 1 s ago)" in lines[0]
    assert len(shell("ls", "x").splitlines()) == 2
    assert shell("rm", "x", "a", "none") == "removed 1 entries\n"
    assert shell.code == 0
    assert shell.json("rm", "x", "a") == {"removed": 0}
    assert shell.code == 1
    assert shell.json("rm", "y") == {"removed": 1}
    assert "memory  1 entries, 8.0 KiB of 1.0 MiB" in shell("status")
    assert shell.json("stop") == {"stopped": True, "not_moved": 0}
    assert not os.path.exists(CacheHome(directory).shared)
    status = shell.json("status")
    assert status["pid"] is None
    assert (status["memory"]["entries"], status["disk"]["entries"]) == (0, 1)
    assert "(disk, used" in shell("ls")
    assert shell.json("clear") == {"removed": 1}
    assert shell("ls") == ""
    assert shell("stop") == "the server has ended, and what was in memory is on the disk\n"


def test_an_entry_in_json(shell: Shell, directory: str) -> None:
    cache = Cache("x", directory=directory)
    cache.put(("a", 1, b"\0"), [1], ttl=1000, pin=True)
    cache.close()
    (entry,) = [json.loads(line) for line in shell("ls", "--json").splitlines()]
    assert entry["key"] == ["a", 1, {"bytes": "00"}]
    assert (entry["namespace"], entry["tier"], entry["pinned"]) == ("x", "memory", True)
    assert 990 < entry["expires"] - entry["created"] < 1010
    line = shell("ls")
    assert "pinned" in line
    assert "expires in 1" in line


def test_an_entry_that_stays_never_expires_in_json(shell: Shell, directory: str) -> None:
    put(directory, a=1)
    assert shell.json("ls")["expires"] is None


KEYS: list[Key] = [
    "",
    "('a', 1)",
    "'a'",
    "\ud800 and\nmore",
    "\u00e9",
    ("a", 1),
    ("a", 1.0),
    (),
    (b"\0x", (None, True, -1)),
    (float("nan"), -float("inf"), "\udc80"),
]


def test_each_key_that_is_listed_can_be_removed_as_it_is_shown(shell: Shell, directory: str) -> None:
    with Cache("x", directory=directory) as cache:
        for key in KEYS:
            cache[key] = 1
        for left in range(len(KEYS), 0, -1):
            lines = shell("ls").splitlines()
            assert len(lines) == left
            shown = lines[0][len(f"{'x':20} {'4.0 KiB':>9}  ") :].rpartition("  (")[0]
            assert shell("rm", "x", "--", shown) == "removed 1 entries\n"


def test_a_text_goes_before_the_tuple_that_looks_like_it(shell: Shell, directory: str) -> None:
    with Cache("x", directory=directory) as cache:
        cache["('a', 1)"] = cache["a", 1] = 1
        shell("rm", "x", "('a', 1)")
        assert list(cache) == [("a", 1)]
        for text in ("('a', 2)", "('a',", "{'a': 1}", "f()", "1", "\0", "(" * 5000):
            assert shell("rm", "x", text) == "removed 0 entries\n"
        shell("rm", "x", "('a',1)")
        assert list(cache) == []


def test_keys_are_printed_in_whatever_encoding_the_terminal_has(
    directory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(directory, **dict.fromkeys(["\u00e9"], 1))
    printed = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(printed, "ascii"))
    assert cli.main(["cache", "ls", "--directory", directory]) == 0
    assert b"  \\xe9  (" in printed.getvalue()


def test_a_second_start_shows_the_one_that_runs(shell: Shell) -> None:
    first = shell.json("start")
    assert shell.json("start", "--max-memory", "1m")["pid"] == first["pid"]


@pytest.mark.parametrize("arguments", [["rm", "a/b"], ["rm", "a/b", "key"], ["rm", "..", "key"]])
def test_what_is_no_namespace_is_an_error(shell: Shell, arguments: list[str]) -> None:
    shell(*arguments)
    assert shell.code == 1
    assert "a namespace" in shell.error


def test_a_size_that_is_none_is_a_usage_error(shell: Shell) -> None:
    with pytest.raises(SystemExit) as ended:
        shell("start", "--max-memory", "much")
    assert ended.value.code == 2
    assert "--max-memory: 'much' is no size such as 512m or 2g" in shell.capsys.readouterr().err


def test_what_rm_needs_is_a_namespace(shell: Shell) -> None:
    with pytest.raises(SystemExit):
        shell("rm")
    assert shell.capsys.readouterr().err.endswith("required: NAMESPACE\n")


def test_a_time_that_is_none_is_an_error(shell: Shell) -> None:
    shell("start", "--idle-timeout", "0")
    assert shell.code == 1
    assert "idle_timeout" in shell.error


def test_a_directory_of_others_is_an_error(shell: Shell, directory: str) -> None:
    os.makedirs(directory)
    os.chmod(directory, 0o755)
    for what in ("ls", "status"):
        shell(what)
        assert (shell.code, "mode 755" in shell.error) == (1, True)
    os.chmod(directory, 0o700)


def kill(directory: str, signum: signal.Signals) -> int:
    client = CacheClient.of(CacheHome(directory), ServerOptions())
    from protocol import cache_messages as m

    pid = int(client.ask(m.GetCacheStatus()).pid)
    os.kill(pid, signum)
    return pid


def test_after_a_kill_the_entries_are_seen_and_stop_takes_them_to_the_disk(shell: Shell, directory: str) -> None:
    put(directory, a=1)
    pid = kill(directory, signal.SIGKILL)
    wait_until(lambda: not command._lives(pid))
    status = shell.json("status")
    assert (status["pid"], status["memory"]["entries"]) == (None, 1)
    assert "(memory" in shell("ls")
    shell("stop")
    assert not os.path.exists(CacheHome(directory).shared)
    assert "(disk" in shell("ls")


def test_a_stopped_server_is_an_error_and_what_it_has_is_seen(
    shell: Shell, directory: str, caplog: pytest.LogCaptureFixture
) -> None:
    put(directory, a=1)
    pid = kill(directory, signal.SIGSTOP)
    try:
        wait_until(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED)
        assert "(memory" in shell("ls")
        for what in ("status", "stop"):
            code = cli.main(["cache", what, "--directory", directory])
            assert code == 1
            assert "is stopped" in shell.capsys.readouterr().err
    finally:
        os.kill(pid, signal.SIGCONT)


def test_stop_says_of_what_the_disk_does_not_take(shell: Shell, directory: str) -> None:
    shell("start", "--max-disk", "0")
    cache = Cache("x", directory=directory)
    cache["a"] = 1
    cache.put("pinned", 2, pin=True)
    cache.close()
    assert "2 entries did not go to the disk" in shell("stop")
    assert shell.code == 1
    names = Path(directory, "log").read_text()
    assert f"{block_id_of('x', 'a')} is lost" in names
    assert f"{block_id_of('x', 'pinned')} stays in memory" in names
    assert cache["pinned"] == 2
    assert "a" not in cache
    assert shell.json("stop") == {"stopped": True, "not_moved": 0}  # of the next one, whose disk has room
    assert cache["pinned"] == 2


def test_a_program_stops_the_server_of_its_cache(directory: str) -> None:
    with Cache("x", directory=directory) as cache, Cache("y", directory=directory) as other:
        cache["a"] = other["b"] = 1
        assert cache.stop_server() == 0
        assert not os.path.exists(CacheHome(directory).shared)
        assert cache.stop_server() == 0  # there is none
        assert (cache["a"], other["b"]) == (1, 1)
        other["c"] = 2  # by the next one
        assert cache.stop_server() == 0
    assert command.status(directory)["pid"] is None


def test_stop_has_a_deadline(directory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    put(directory, a=1)
    monkeypatch.setattr(command, "_lives", lambda _: True)
    with pytest.raises(CacheError, match="did not end"):
        command.stop(directory, 0.01)


def test_a_server_that_nobody_buried_has_ended() -> None:
    """As in a container whose first process buries nobody."""
    with subprocess.Popen(["true"]) as zombie:
        wait_until(lambda: psutil.Process(zombie.pid).status() == psutil.STATUS_ZOMBIE)
        assert not command._lives(zombie.pid)
    assert command._lives(os.getpid())


def test_a_reader_that_goes_ends_the_list_quietly(directory: str) -> None:
    put(directory, **{f"k{number}": number for number in range(300)})
    root = Path(__file__).parents[3]
    found = subprocess.run(
        [
            "bash",
            "-c",
            f"set -o pipefail; '{os.sys.executable}' -m localcluster cache ls --directory '{directory}' | head -1",
        ],  # type: ignore[attr-defined]
        capture_output=True,
        text=True,
        cwd=root,
        timeout=DEADLINE,
        check=False,
    )
    assert len(found.stdout.splitlines()) == 1
    assert "Traceback" not in found.stderr
