"""What ``ps`` tells of a run's processes."""

from __future__ import annotations

import sys
from pathlib import Path

import psutil
import pytest

from tests.faults.runs import Run

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems have no titles")

ROLES = ("launcher", "janitor", "executor 0", "executor 1")
JOB = """
import os, signal
from localcluster import SparkContext

sc = SparkContext("local[2]", "my-app")
sc.parallelize(range(2), 2).barrier().mapPartitions(iter).count()
print("pids", os.getpid(), "0\\nready", flush=True)
signal.pause()
"""


@pytest.mark.parametrize("library", [True, False], ids=["library", "run"])
def test_each_process_shows_its_role_and_its_run(tmp_path: Path, library: bool) -> None:
    with Run(tmp_path, JOB, library=library, options=["--name", "given"]) as run:
        run.until_ready()
        titles = {process.name(): title_of(process) for process in run.family.values()}
        of_run = f"of my-app [{run.driver}]"
        expected = {f"lc-{name.replace(' ', '-')}": f"localcluster {name} {of_run}" for name in ROLES}
        if library:  # the driver is the user's own process
            driver = psutil.Process(run.driver)
            expected[driver.name()] = f"{sys.executable} {tmp_path / 'job.py'}"
        else:
            expected["lc-driver"] = f"localcluster driver of given [{run.driver}]"
        assert titles == expected


def title_of(process: psutil.Process) -> str:
    return Path(f"/proc/{process.pid}/cmdline").read_text().replace("\0", " ").rstrip()
