"""What tasks started ends with the run, however that ends: programs, pools of processes, groups of their own, pipes."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.runs import Run

# Four executors, one of them a replacement, each with a task that waits for what it started.
JOB = """
import multiprocessing, os, signal, subprocess, threading, time
from pathlib import Path
from localcluster import SparkContext

MARKS = Path("marks").absolute()
MARKS.mkdir()
PROGRAM = f"sh -c 'touch {MARKS}/$$; exec sleep 7777'"  # all these sleeps end by a kill or not at all


def mark_and_wait():
    (MARKS / str(os.getpid())).touch()
    time.sleep(7777)


def start(kind):
    (MARKS / f"executor-{os.getpid()}").touch()
    if kind == 0:
        subprocess.run(PROGRAM, shell=True)
    elif kind == 1:
        subprocess.run("timeout 7777 " + PROGRAM, shell=True)  # makes a process group of its own
    else:
        with multiprocessing.get_context("fork").Pool(2, mark_and_wait):
            time.sleep(7777)


sc = SparkContext("local[4]")
first = sc.parallelize([0], 1).map(lambda _: os.getpid()).first()
os.kill(first, signal.SIGKILL)
print("pids", os.getpid(), *sc.parallelize(range(4), 4).barrier().mapPartitions(lambda _: [os.getpid()]).collect())
jobs = [
    threading.Thread(target=sc.parallelize(range(3), 3).foreach, args=[start]),
    threading.Thread(target=sc.parallelize([""], 1).pipe(PROGRAM).count),
]
for job in jobs:
    job.start()
while len(list(MARKS.iterdir())) < 3 + 5:
    time.sleep(0.01)  # a poll of what the tasks start; the test's own time limit bounds it
print("ready", flush=True)
for job in jobs:
    job.join()
"""


@pytest.fixture
def run(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Run]:
    with Run(tmp_path, JOB, library=request.param) as run:
        run.until_ready()
        yield run


@pytest.mark.parametrize(
    ("run", "signum", "whom", "code"),
    [
        (False, signal.SIGHUP, "group", 128 + signal.SIGHUP),
        (False, signal.SIGQUIT, "launcher", 128 + signal.SIGQUIT),
        (False, signal.SIGKILL, "launcher", -signal.SIGKILL),
        (False, signal.SIGKILL, "group", -signal.SIGKILL),
        (True, signal.SIGHUP, "group", -signal.SIGHUP),
        (True, signal.SIGQUIT, "group", -signal.SIGQUIT),
        (True, signal.SIGKILL, "driver", -signal.SIGKILL),
        (True, signal.SIGKILL, "launcher", 0),
    ],
    indirect=["run"],
)
def test_nothing_that_tasks_started_outlives_the_run(run: Run, signum: int, whom: str, code: int) -> None:
    if whom == "group":
        os.killpg(run.process.pid, signum)
    else:
        os.kill(run.driver if whom == "driver" else run.launcher, signum)
    run.assert_nothing_left()
    assert run.wait() == code  # and so nobody holds its output open, for which ``run | cat`` would wait
