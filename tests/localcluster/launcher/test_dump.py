"""Asking processes for their stacks: programs that play a run's, some of which cannot answer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from localcluster import cli
from localcluster.base.own_stacks import SIGNAL, stack_file
from localcluster.launcher import dump
from localcluster.launcher.dump import stacks_of_runs
from protocol.errors import ClusterError
from tests.faults.runs import ROOT
from tests.support import DEADLINE, wait_until

pytestmark = pytest.mark.skipif(SIGNAL is None, reason="the system has no real-time signals")

MEMBER = """
import os, signal, sys, time
from localcluster.base.own_stacks import SIGNAL, OwnStacks
stacks = OwnStacks(sys.argv[1], sys.argv[2], serves="executor" in sys.argv[2])
def waits():
    print("waits", flush=True)
    sys.stdin.read()
"""
WAITS = "waits()"
IN_C_CODE = """
import ctypes
print("waits", flush=True)
ctypes.PyDLL(None).pause()  # which keeps the interpreter's lock, and would return after a Python handler
"""
NEVER_ANSWERS = "signal.pthread_sigmask(signal.SIG_BLOCK, [SIGNAL]); waits()"
HANDLES_NOTHING = "signal.signal(SIGNAL, signal.SIG_DFL); waits()"
ENDS_ITS_RUN = "import shutil; shutil.rmtree(sys.argv[1]); waits()"


class Members:
    """Processes of a run."""

    def __init__(self, parent: Path) -> None:
        self.run = parent / f"localcluster-{os.getuid()}-0123456789ab"
        self.run.mkdir()
        self._all = ExitStack()

    def add(self, role: str, what: str) -> int:
        """Start one that does that; its pid, when it does it."""
        process = self._all.enter_context(
            subprocess.Popen(
                [sys.executable, "-c", MEMBER + what, str(self.run), role],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=os.environ | {"PYTHONPATH": str(ROOT)},
            )
        )
        self._all.callback(process.kill)
        assert process.stdout is not None
        assert process.stdout.readline() == b"waits\n"
        return process.pid

    def close(self) -> None:
        self._all.close()


@pytest.fixture
def members(tmp_path: Path) -> Iterator[Members]:
    members = Members(tmp_path)
    yield members
    members.close()


def answers(pid: int) -> dict[str, str]:
    """What is told of each role."""
    heading, *parts = stacks_of_runs(pid)
    assert heading.startswith("=== run /")
    told = dict(part.removeprefix("\n--- ").split("\n", 1) for part in parts)
    assert len(told) == len(parts)
    return told


def test_all_of_a_run_are_told_in_their_order_whoever_is_named(members: Members) -> None:
    pids = {role: members.add(role, WAITS) for role in ("executor 10", "executor 9", "driver", "janitor", "launcher")}
    for pid in pids.values():
        told = answers(pid)
        roles = ["launcher", "janitor", "driver", "executor 9", "executor 10"]
        assert list(told) == [f"{role}, process {pids[role]}" for role in roles]
        for text in told.values():
            assert text.count(" in waits\n") == 1, text


def test_without_a_process_id_every_run_of_the_user_is_told(members: Members, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    others = Members(tmp_path / "elsewhere")
    try:
        pids = [members.add("driver", WAITS), others.add("driver", WAITS)]
        told = list(stacks_of_runs(None))  # others may have runs on this machine
        for run, pid in zip((members.run, others.run), pids, strict=True):
            after = told[told.index(f"=== run {run}") + 1]
            assert after.startswith(f"\n--- driver, process {pid}\n")
            assert after.count(" in waits\n") == 1
    finally:
        others.close()


def test_a_fork_is_not_taken_for_the_process_that_it_is_a_fork_of(members: Members) -> None:
    pid = members.add("executor 0", 'os.fork() or print("waits", flush=True); time.sleep(600)')
    [fork] = psutil.Process(pid).children()
    try:
        assert list(answers(pid)) == [f"executor 0, process {pid}", "driver"]
        with pytest.raises(ClusterError, match="belongs to no run"):
            answers(fork.pid)  # its standard error is in the place of the file
    finally:
        fork.kill()


def test_who_cannot_answer_is_told_and_holds_nobody_up(members: Members, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dump, "PATIENCE", 0.2)
    driver = members.add("driver", WAITS)
    stopped = members.add("executor 0", WAITS)
    silent = members.add("launcher", NEVER_ANSWERS)
    deaf = members.add("janitor", HANDLES_NOTHING)
    in_c = members.add("executor 1", IN_C_CODE)
    os.kill(stopped, signal.SIGSTOP)
    wait_until(lambda: psutil.Process(stopped).status() == psutil.STATUS_STOPPED, "it is not stopped")
    told = answers(driver)
    assert told[f"executor 0, process {stopped}"] == f"Is stopped; it goes on with kill -CONT {stopped}."
    assert told[f"launcher, process {silent}"] == "Does not answer; its state is sleeping."
    assert told[f"janitor, process {deaf}"] == "Does not answer; its state is sleeping."
    assert " in <module>" in told[f"executor 1, process {in_c}"]
    assert " in waits\n" in told[f"driver, process {driver}"]
    assert psutil.Process(deaf).is_running(), "it was asked all the same"


def test_a_busy_process_tells_all_threads_by_name_and_lives_on(members: Members) -> None:
    pid = members.add(
        "executor 0",
        """
import threading
def computes():
    while True:
        exec("def f(n): return n and f(n - 1)", names := {})
        names["f"](20)
for number in range(2):
    threading.Thread(target=computes, name=f"busy {number}", daemon=True).start()
waits()
""",
    )
    for _ in range(50):
        text = answers(pid)[f"executor 0, process {pid}"]
        names = [line.partition(" (most recent call first)")[0] for line in text.splitlines() if "first)" in line]
        assert sorted(names) == ["Thread MainThread", "Thread busy 0", "Thread busy 1"]
        assert text.count(" in computes\n") == 2
        assert text.count(" in waits\n") == 1


def test_a_process_of_several_threads_that_has_none_to_answer_gets_no_signal(members: Members) -> None:
    """Which could kill it."""
    pid = members.add(
        "driver", "import threading; threading.Thread(target=time.sleep, args=[600], daemon=True).start(); waits()"
    )
    assert answers(pid)[f"driver, process {pid}"].startswith("Cannot be asked: it had no descriptor or thread left")
    assert Path(stack_file(str(members.run), "driver", pid)).read_text() == ""


def test_a_run_without_a_driver_to_be_asked_says_so(members: Members) -> None:
    assert "is starting or ending" in answers(members.add("launcher", WAITS))["driver"]


def test_a_run_that_ends_meanwhile(members: Members) -> None:
    launcher = members.add("launcher", WAITS)
    parts = stacks_of_runs(launcher)
    next(parts)
    driver = members.add("driver", ENDS_ITS_RUN)
    assert "Has ended meanwhile." in next(parts)
    with pytest.raises(ClusterError, match="belongs to no run"):
        list(stacks_of_runs(driver))


def test_what_was_asked_before_is_not_told_again_and_does_not_grow_for_ever(members: Members) -> None:
    pid = members.add("driver", WAITS)
    file = Path(stack_file(str(members.run), "driver", pid))
    answers(pid)
    assert answers(pid)[f"driver, process {pid}"].count(" in waits\n") == 1
    with file.open("a") as before:
        before.write("x" * (dump.LARGE + 1))
    assert answers(pid)[f"driver, process {pid}"].count(" in waits\n") == 1
    assert file.stat().st_size < dump.LARGE


def error_of(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    assert cli.main(["dump", *argv]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    return err.removeprefix("localcluster: error: ")


def test_without_a_run_there_is_an_error(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    gone = subprocess.Popen([sys.executable, "-S", "-c", ""])
    gone.wait(DEADLINE)
    assert error_of(capsys, str(gone.pid)) == f"there is no process {gone.pid}\n"
    assert error_of(capsys, str(os.getpid())) == f"process {os.getpid()} belongs to no run that has a context now\n"
    monkeypatch.setattr(dump, "_runs", dict)  # others may have some on this machine
    assert error_of(capsys) == "no run of this user has a context now\n"


def test_another_users_run_is_named_as_such(
    members: Members, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = members.add("driver", WAITS)
    listed = os.listdir

    def refused(path: str) -> list[str]:
        if path == f"/proc/{pid}/fd":
            raise PermissionError(13, "Permission denied")
        return listed(path)

    monkeypatch.setattr(os, "listdir", refused)
    assert error_of(capsys, str(pid)) == f"process {pid} is another user's\n"
