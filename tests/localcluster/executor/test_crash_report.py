"""What an executor that crashes leaves for the message, by a program that crashes as it does."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from localcluster.base.own_stacks import SIGNAL
from localcluster.executor.crash_report import crash_report, report_crashes, reported_error

ROOT = Path(__file__).resolve().parents[3]

PROGRAM = """
import ctypes, os, sys
sys.path.insert(0, ROOT)
from types import SimpleNamespace
from localcluster.conf.settings import Settings
from localcluster.executor.crash_report import report_crashes, report_error
from localcluster.executor.task_runner import ForksEndHere, run_task
from localcluster.executor.stage_code import StageCode
from protocol.cluster_messages import StageDescription, TaskDescription
def users_function(blocks, payload):
    CRASH
    return b""
from localcluster.executor import stage_code
stage_code.read_payload = users_function  # called by our code, which run_task calls
def main():
    env = SimpleNamespace(settings=Settings({}), block_manager=SimpleNamespace(release_all_locks_for_task=lambda: None))
    run_task(env, StageCode(StageDescription(0, 0, b"", {}, 0), None), TaskDescription(0, 0, 0, b""), None, None)
report_crashes(SimpleNamespace(primary=DIRECTORY), "5")
main()
"""
SEGFAULT = "ctypes.string_at(0)"


def crash(directory: Path, how: str) -> tuple[subprocess.CompletedProcess[str], str]:
    """How the program ended, and the report of it."""
    done, pid = run(directory, how)
    return done, crash_report(scratch(directory), "5", pid)


def run(directory: Path, how: str) -> tuple[subprocess.CompletedProcess[str], int]:
    """How the program ended, and its process id."""
    program = directory / "program.py"
    text = PROGRAM.replace("ROOT", repr(str(ROOT))).replace("DIRECTORY", repr(str(directory))).replace("CRASH", how)
    program.write_text(text)
    process = subprocess.Popen([sys.executable, program], stdout=-1, stderr=-1, text=True, cwd=directory)
    done = subprocess.CompletedProcess((), 0, *process.communicate(timeout=60))
    done.returncode = process.returncode
    return done, process.pid


def scratch(directory: Path) -> Any:
    return SimpleNamespace(primary=str(directory))


@pytest.mark.parametrize(("how", "signum"), [(SEGFAULT, signal.SIGSEGV), ("os.abort()", signal.SIGABRT)])
def test_only_the_users_frames_are_told(tmp_path: Path, how: str, signum: int) -> None:
    done, report = crash(tmp_path, how)
    assert done.returncode == -signum, done.stderr
    frames = [line for line in report.splitlines() if str(tmp_path / "program.py") in line]
    assert [re.sub(r".*program.py", "", line) for line in frames] == ['", line 11 in users_function']
    assert "main" not in report
    assert str(ROOT / "localcluster") not in report


def test_a_fork_that_crashes_says_so_itself(tmp_path: Path) -> None:
    done, report = crash(tmp_path, f"pid = os.fork(); pid or {SEGFAULT}; os.waitpid(pid, 0); os._exit(7)")
    assert (done.returncode, report) == (7, "")
    assert "Segmentation fault" in done.stderr
    assert "users_function" in done.stderr


def test_without_a_crash_or_a_file_there_is_no_report(tmp_path: Path) -> None:
    done, report = crash(tmp_path, "os._exit(3)")
    assert (done.returncode, report) == (3, "")
    assert crash_report(scratch(tmp_path), "6", os.getpid()) == ""
    report_crashes(scratch(tmp_path / "nowhere"), "5")


def test_stacks_that_somebody_asked_for_are_no_crash(tmp_path: Path) -> None:
    done, report = crash(tmp_path, f"os.kill(os.getpid(), {SIGNAL}); os._exit(3)")
    assert (done.returncode, report) == (3, "")
    done, report = crash(tmp_path, f"os.kill(os.getpid(), {SIGNAL}); {SEGFAULT}")
    assert report.count(" in users_function") == 1


def test_an_executor_that_ends_itself_says_for_which_error(tmp_path: Path) -> None:
    asked_for = f"os.kill(os.getpid(), {SIGNAL})"
    done, pid = run(tmp_path, f"{asked_for}; report_error(ValueError('no')); os._exit(1)")
    assert done.returncode == 1, done.stderr
    assert reported_error(scratch(tmp_path), "5", pid) == "ValueError: no"
    assert crash_report(scratch(tmp_path), "5", pid) == ""


def test_an_error_that_cannot_be_told_is_told_by_its_class_and_a_long_one_is_cut(tmp_path: Path) -> None:
    silent = "type('Silent', (Exception,), {'__str__': lambda self: 1 / 0})()"
    _, pid = run(tmp_path, f"report_error({silent}); os._exit(1)")
    assert reported_error(scratch(tmp_path), "5", pid).startswith("Silent: <exception str() failed")
    _, pid = run(tmp_path, "report_error(ValueError('x' * 100_000)); os._exit(1)")
    assert len(reported_error(scratch(tmp_path), "5", pid)) < 10_000


def test_an_exit_without_an_error_has_none_to_report(tmp_path: Path) -> None:
    _, pid = run(tmp_path, "os._exit(3)")
    assert reported_error(scratch(tmp_path), "5", pid) == ""
    assert reported_error(scratch(tmp_path), "6", pid) == ""
