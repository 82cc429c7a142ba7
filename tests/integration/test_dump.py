"""``localcluster dump``: what a run hangs in, in both modes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.faults.runs import ROOT, Run
from tests.support import DEADLINE, wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems have no real-time signals")

JOB = """
import os, threading
from localcluster import SparkContext

def hangs(_):
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()  # for ever

sc = SparkContext("local[2]")
print("pids", os.getpid(), *sc.parallelize(range(2), 2).barrier().mapPartitions(lambda _: [os.getpid()]).collect())
print("ready", flush=True)
sc.parallelize(range(2), 2).foreach(hangs)
"""
LINE = JOB[: JOB.index("  # for ever")].count("\n") + 1


def dump(pid: int) -> dict[str, str]:
    """What is told of each role."""
    command = [sys.executable, "-m", "localcluster", "dump", str(pid)]
    text = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, cwd=ROOT, check=True).stdout
    return dict(part.split(", process ", 1) for part in text.split("\n--- ")[1:])


@pytest.mark.parametrize("library", [True, False], ids=["library", "run"])
def test_the_line_that_a_task_hangs_in_is_told(tmp_path: Path, library: bool) -> None:
    with Run(tmp_path, JOB, library=library) as run:
        run.until_ready()
        hangs = f'File "{tmp_path / "job.py"}", line {LINE} in hangs\n'
        wait_until(lambda: sum(text.count(hangs) for text in dump(run.driver).values()) == 2, "no two tasks hang there")
        command = [sys.executable, "-m", "localcluster", "dump", str(run.driver)]
        heading = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, cwd=ROOT).stdout
        assert re.match(rf"=== run \S+ of (job.py|localcluster) \[{run.driver}\]\n", heading)
        told = dump(run.driver)
        assert [role for role, text in told.items() if hangs in text] == ["executor 0", "executor 1"]
        assert list(told) == ["launcher", "janitor", "driver", "executor 0", "executor 1"]
        assert " in serve\n" in told["launcher"]
        assert " in listen\n" in told["janitor"]
        assert f'File "{tmp_path / "job.py"}", line {JOB.count(chr(10))} in <module>\n' in told["driver"]
        stopped = psutil.Process(run.executors[1])
        stopped.suspend()
        wait_until(lambda: stopped.status() == psutil.STATUS_STOPPED, "it is not stopped")
        told = dump(run.executors[0])
        assert sorted("Is stopped" in text for text in told.values()) == [False] * 4 + [True]
        os.kill(run.launcher, signal.SIGTERM)
        run.wait()
        assert run.errors.count("most recent call first") == 0
        run.assert_nothing_left()
