"""The program under test: it runs jobs, each in a context of its own, while calls of its processes fail.

Reads orders, a line of JSON each, and answers each by a line on its standard output: how the context and its job ended,
and what they left. ``python program.py library`` is the driver of library mode; ``python program.py run`` does what
``localcluster run program.py`` does.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

import psutil

from localcluster import SparkConf, SparkContext, cli
from localcluster.driver import backoff
from localcluster.errors import LocalClusterError
from localcluster.events import FaultFired
from tests.faults.every_call import failing
from tests.faults.jobs import JOBS

GRACE = 10.0  # seconds for what a run left to go
PATIENCE = 2.0  # seconds for executors that cannot be started, in place of 30
BARRIERS = {"interval": "1s", "maxFailures": "4"}  # a stage waits as long for executors, in place of ten minutes
LAST_LINE = "sys.exit("  # of the program that a launcher of library mode runs


def answer(order: dict[str, Any], directory: str) -> dict[str, Any]:
    job = JOBS[order["job"]]
    expected = job.expected()
    before = _open_files()
    fault, plan = order["fault"], order["plan"]
    failing.order(directory, None if fault is None else failing.Fault(*fault))
    outcome: dict[str, Any] = {"right": False, "ours": True, "error": ""}
    fired: list[str] = []  # by the plan
    started = time.monotonic()
    try:
        conf = SparkConf().set("spark.executor.instances", "2").set("spark.ui.showConsoleProgress", "false")
        conf.set("localcluster.faults", plan)
        for name, value in BARRIERS.items():
            conf.set(f"spark.scheduler.barrier.maxConcurrentTasksCheck.{name}", value)
        with SparkContext(conf=conf) as sc:
            try:
                result = job.run(sc)
            finally:
                fired = [event.where for event in sc.events() if isinstance(event, FaultFired)]
        outcome["right"] = result == expected
        outcome["error"] = "" if result == expected else f"a wrong result: {result!r:.500}"
    except Exception as error:
        cause = error.__cause__ if type(error).__name__ == "TaskError" else error
        outcome["ours"] = isinstance(error, LocalClusterError) and isinstance(cause, LocalClusterError)
        outcome["error"] = "".join(traceback.format_exception_only(error))
        outcome["trace"] = traceback.format_exc()
        del error, cause
    outcome["seconds"] = time.monotonic() - started
    outcome["left"] = _left()
    outcome["count"], outcome["fired"] = failing.count(directory), failing.fired(directory) + "\n".join(fired)
    failing.order(directory, None)
    gc.collect()
    outcome["files"] = sorted(_open_files() - before)
    return outcome


def _left() -> list[str]:
    """Processes and directories, after the grace. Those in other sessions have lost their parents when they are left:
    who started this program looks for them.
    """
    deadline = time.monotonic() + GRACE
    while (left := _family() + sorted(_directories())) and time.monotonic() < deadline:
        time.sleep(0.01)
    return left


def _family() -> list[str]:
    """Other processes than this one, its launcher and the trackers of the standard library."""
    top = psutil.Process(os.getppid() if sys.argv[1:] == [] else os.getpid())
    found = []
    for process in top.children(recursive=True):
        try:
            if process.pid != os.getpid() and "resource_tracker" not in " ".join(process.cmdline()):
                found.append(f"{process.name()} {process.pid} {process.status()}")
        except psutil.NoSuchProcess:
            continue
    return found


def _directories() -> list[str]:
    return [str(path) for path in Path(tempfile.gettempdir()).glob("localcluster-*")]


def _open_files() -> set[str]:
    """Numbers and where they lead, without this look's own."""
    found = set()
    for number in os.listdir("/proc/self/fd"):
        try:
            found.add(f"{number} -> {os.readlink(f'/proc/self/fd/{number}')}")
        except FileNotFoundError:
            continue
    return found


def main() -> None:
    directory = os.environ[failing.DIRECTORY]
    backoff.PATIENCE = PATIENCE
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line), directory)), flush=True)


def _start_armed_launchers() -> None:
    """A launcher of library mode is a program of its own."""
    from localcluster.launcher import client

    before, after = client._START.split(LAST_LINE)
    armed = "from tests.faults.every_call.failing import arm\narm('launcher')\n"
    client._START = before + armed + LAST_LINE + after


if __name__ == "__main__":
    if sys.argv[1:] == ["library"]:
        failing.arm("driver")
        _start_armed_launchers()
        main()
    elif sys.argv[1:] == ["run"]:
        failing.arm("launcher")
        sys.exit(cli.main(["run", __file__]))
    else:  # as the job of that
        main()
