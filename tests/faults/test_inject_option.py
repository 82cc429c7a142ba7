"""``localcluster run --inject``: plans of faults for a job as it is, and what is said of faults at its end."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.faults.runs import Run

JOB = """
from localcluster import SparkContext
from localcluster.events import FaultFired

with SparkContext() as sc:
    print(sc.parallelize(range(40), 20).sum())
    print(*sorted(event.fault for event in sc.events(FaultFired)), sep="\\n")
"""

CLUSTER = ("--master", "local[2,4]")


class Outcome(NamedTuple):
    code: int
    lines: list[str]
    errors: str


def outcome(tmp_path: Path, *options: str, source: str = JOB, library: bool = False) -> Outcome:
    with Run(tmp_path, source, library=library, options=[*CLUSTER, *options]) as run:
        code = run.wait()
        run.assert_nothing_left()
        return Outcome(code, run.output.split("\n")[:-1], run.errors)


def test_faults_of_the_options_and_of_files_are_one_plan(tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text('[[fault]]\naction = "kill"\nnth = 5')
    code, lines, _ = outcome(tmp_path, "--inject", str(plan), "--inject", "slow seconds=0.001 partition=3")
    assert (code, lines) == (0, ["780", "kill nth=5", "slow seconds=0.001 partition=3"])


def test_a_fault_that_never_fires_is_warned_of_or_an_error(tmp_path: Path) -> None:
    code, lines, errors = outcome(tmp_path, "--inject", "kill executor=9")
    assert (code, lines[0]) == (0, "780")
    assert "localcluster: warning: faults that never fired: kill executor=9" in errors
    code, lines, errors = outcome(tmp_path, "--inject", "kill executor=9; slow seconds=0", "--must-fire")
    assert (code, lines[0]) == (3, "780")
    assert "localcluster: error: faults that never fired: kill executor=9\n" in errors


def test_a_fault_that_fires_in_one_of_a_jobs_contexts_has_fired(tmp_path: Path) -> None:
    twice = JOB + "\nwith SparkContext() as sc:\n    sc.parallelize([1], 1).count()"
    options = ("--inject", "slow seconds=0 partition=19", "--must-fire")
    assert outcome(tmp_path, *options, source=twice).code == 0


def test_the_jobs_own_exit_code_says_more(tmp_path: Path) -> None:
    code, _, errors = outcome(
        tmp_path, "--inject", "kill executor=9", "--must-fire", source=JOB + "\nraise SystemExit(5)"
    )
    assert code == 5
    assert "never fired" not in errors


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--inject", "kil executor=1"], "there is no action 'kil'; did you mean kill?"),
        (["--inject", "missing.toml"], "missing.toml"),
        (["--conf", "localcluster.faults=kill nth=0"], "nth= must be a whole number from 1 on"),
        (["--must-fire"], "there are no faults"),
    ],
)
def test_a_plan_without_a_meaning_starts_nothing(tmp_path: Path, options: list[str], says: str) -> None:
    code, lines, errors = outcome(tmp_path, *options, source="print('it ran')")
    assert (code, lines) == (2, [])
    assert says in errors


@pytest.mark.parametrize(
    "rule", ["kill role=driver at=job", "kill role=driver at=accumulators", "kill role=driver at=stop"]
)
def test_the_driver_dies_where_the_plan_says(tmp_path: Path, rule: str) -> None:
    source = JOB.replace("print(sc", "n = sc.accumulator(0)\n    sc.parallelize([1]).foreach(n.add)\n    print(sc", 1)
    code, _, errors = outcome(tmp_path, "--inject", rule, source=source)
    assert code == 128 + signal.SIGKILL
    assert "localcluster: the driver was killed by signal 9\n" in errors


def test_a_signal_that_was_passed_on_to_the_driver_is_no_news(tmp_path: Path) -> None:
    source = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_DFL)
os.kill(os.getppid(), signal.SIGTERM)
time.sleep(60)
"""
    code, _, errors = outcome(tmp_path, source=source)
    assert code == 128 + signal.SIGTERM
    assert "was killed" not in errors


@pytest.mark.parametrize("rule", ["kill role=launcher after_seconds=0", "kill role=launcher at=fork nth=2"])
def test_the_launcher_dies_where_the_plan_says(tmp_path: Path, rule: str) -> None:
    assert outcome(tmp_path, "--inject", rule).code == -signal.SIGKILL


def test_an_exception_of_the_jobs_own_module_is_found_where_the_job_is(tmp_path: Path) -> None:
    (tmp_path / "own_errors.py").write_text("class Own(Exception):\n    pass")
    options = ("--inject", "raise exception=own_errors.Own partition=3 attempt=0", "--must-fire")
    code, lines, _ = outcome(tmp_path, *options)
    assert (code, lines) == (0, ["780", "raise exception=own_errors.Own partition=3 attempt=0"])
    code, _, errors = outcome(tmp_path, "--inject", "raise exception=own_errors.Owl")
    assert code == 2
    assert "exception=own_errors.Owl cannot be found" in errors


def test_a_program_that_is_its_own_driver_dies_by_its_plan(tmp_path: Path) -> None:
    source = """
from localcluster import SparkContext
from localcluster.faults import kill

with SparkContext("local[2]") as sc:
    with sc.faults(kill(role="driver").at("job").nth(2)):
        print(sc.parallelize(range(40), 20).sum(), flush=True)
        print(sc.parallelize(range(40), 20).sum(), flush=True)
"""
    code, lines, _ = outcome(tmp_path, source=source, library=True)
    assert (code, lines) == (-signal.SIGKILL, ["780"])
