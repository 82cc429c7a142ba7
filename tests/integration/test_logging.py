"""What programs and their tasks log, however they are started."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.faults.runs import Run

JOB = """
import logging
from {package} import SparkContext

logging.basicConfig(level=logging.INFO, format="mine %(levelname)s %(message)s", filename="driver.log")
logging.info("the program's")

def work(stage):
    logging.info("info of stage %d", stage)
    logging.getLogger("app").debug("debug of stage %d", stage)

with SparkContext("local[1]") as sc:
    def run_stage(number):
        sc.parallelize([number], 1).foreach(work)

    run_stage(0)
    logging.getLogger("app").setLevel(logging.DEBUG)
    run_stage(1)
    logging.getLogger().setLevel(logging.ERROR)
    run_stage(2)
    logging.getLogger("app").setLevel(logging.NOTSET)
    run_stage(3)
    sc.setLogLevel("INFO")
    run_stage(4)
    logging.getLogger("localcluster").warning("the library's")
"""


@pytest.mark.parametrize("how", ["library", "run", "run --pyspark"])
def test_the_program_sets_up_logging_and_its_levels_reach_tasks(how: str, tmp_path: Path) -> None:
    job = JOB.format(package="pyspark" if how.endswith("pyspark") else "localcluster")
    with Run(tmp_path, job, library=how == "library", options=how.split()[1:]) as run:
        assert run.wait() == 0, run.errors
        run.assert_nothing_left()
    assert (tmp_path / "driver.log").read_text() == "mine INFO the program's\nmine WARNING the library's\n"
    records = re.findall(r"^\S+ \S+ (\w+) executor 0 (\w+): (.*)$", run.errors, re.MULTILINE)
    assert records == [
        ("INFO", "root", "info of stage 0"),
        ("INFO", "root", "info of stage 1"),
        ("DEBUG", "app", "debug of stage 1"),
        ("DEBUG", "app", "debug of stage 2"),
        ("INFO", "root", "info of stage 4"),
    ]
    assert run.errors.count("\n") == len(records), "nothing is printed twice"


TRACED = """
from localcluster import SparkContext

with SparkContext("local[1]") as sc:
    sc.setLogLevel("TRACE")
    sc.parallelize([0], 1).count()  # its stage brings the level to the executor
    sc.parallelize([0], 1).count()
"""


@pytest.mark.parametrize("how", ["option", "setLogLevel"])
def test_messages_are_traced_in_every_process_at_level_trace(how: str, tmp_path: Path) -> None:
    options = ["--log-level", "TRACE"] if how == "option" else []
    with Run(tmp_path, TRACED, options=options) as run:
        assert run.wait() == 0, run.errors
        run.assert_nothing_left()
    record = re.compile(r"^\S+ \S+ TRACE (driver|executor 0|launcher) protocol.trace: (\w+) \w+[ \d]* \((.*?)\): (\w+)")
    seen = {match.groups() for match in map(record.match, run.errors.splitlines()) if match}
    assert {
        ("driver", "sent", "orders of executor 0", "LaunchTasks"),
        ("executor 0", "received", "orders", "LaunchTasks"),
        ("executor 0", "sent", "reports", "TasksFinished"),
        ("driver", "received", "reports of executor 0", "TasksFinished"),
    } <= seen
    at_start = {
        ("driver", "sent", "launcher", "LaunchExecutor"),
        ("launcher", "received", "control", "LaunchExecutor"),
        ("executor 0", "sent", "reports", "RegisterExecutor"),
    }
    assert seen & at_start == (at_start if how == "option" else set())
