"""The benchmark harness: it runs, and it notices engines that disagree or fail."""

from __future__ import annotations

import json
import os
import runpy
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import psutil
import pytest

BENCH = Path(__file__).resolve().parents[2] / "scripts" / "bench"


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    return runpy.run_path(str(BENCH / "report.py"))


def test_a_quick_run_measures_each_engine(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    options = ["--quick", "--engines", "localcluster,pool", "--jobs", "round_trip,word_count,group", "--json", out]
    done = subprocess.run([sys.executable, BENCH, *options], capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stderr
    medians = json.loads(out.read_text())["medians"]
    assert list(medians) == ["start to first result", "one-task round trip", "word count", "group"]
    assert set(medians["word count"]) == {"localcluster", "pool"}
    assert set(medians["group"]) == {"localcluster"}


def test_a_quick_run_measures_the_cache(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    options = ["--engines", "localcluster,joblib", "--repeat", "1", "--bytes", "1m", "--json", out]
    done = subprocess.run([sys.executable, BENCH / "caches.py", *options], capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stderr
    runs = json.loads(out.read_text())
    assert runs.keys() == {"localcluster", "joblib"}
    assert all(run["array hit"] > 0 and run["writable"] for (run,) in runs.values())
    assert "small hit again" in done.stdout


def test_a_quick_run_measures_arrays(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    options = ["--engines", "localcluster", "--repeat", "1", "--bytes", "1m", "--json", out]
    done = subprocess.run([sys.executable, BENCH / "arrays.py", *options], capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stderr
    runs = json.loads(out.read_text())["localcluster"]
    times: dict[str, float] = {name: seconds for run in runs for name, seconds in run["times"].items()}
    assert times.keys() == {"make and cache", "ten passes", "broadcast"}
    assert min(times.values()) > 0
    assert "ten passes" in done.stdout


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="needs redis-server")
def test_a_run_that_fails_leaves_no_server() -> None:
    options = ["--engines", "redis", "--repeat", "1", "--bytes", "1"]  # too few for an array: the reader fails
    command = [sys.executable, BENCH / "caches.py", *options]
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:  # the name of the server's socket has to be short
        environment = os.environ | {"TMPDIR": directory}
        done = subprocess.run(command, capture_output=True, text=True, timeout=50, env=environment)
    assert done.returncode != 0
    assert "AssertionError" in done.stderr
    left = [process for process in psutil.process_iter(["cmdline"]) if directory in str(process.info["cmdline"])]
    assert not left


def test_a_session_is_ended_with_what_its_first_process_left(tmp_path: Path) -> None:
    sessions = runpy.run_path(str(BENCH / "sessions.py"))
    starter = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])"
    first = sessions["start"]([sys.executable, "-c", starter], tmp_path / "log")
    assert first.wait(20) == 0
    assert len(sessions["members"](first.pid)) == 1
    sessions["end"](first.pid)
    assert sessions["members"](first.pid) == []


def test_an_unknown_engine_is_a_usage_error() -> None:
    done = subprocess.run([sys.executable, BENCH, "--engines", "abacus"], capture_output=True, text=True, timeout=50)
    assert done.returncode == 2
    assert "abacus" in done.stderr


def test_engines_that_find_different_values_are_reported(report: dict[str, Any]) -> None:
    def result(value: int) -> dict[str, Any]:
        return {"times": {}, "checks": {"sort": value, "join": 1}, "errors": {}}

    assert report["problems"]({"localcluster": [result(1)], "pyspark": [result(1)]}) == []
    (problem,) = report["problems"]({"localcluster": [result(1)], "pyspark": [result(2)]})
    assert problem.startswith("sort differs")


def test_jobs_that_fail_are_reported(report: dict[str, Any]) -> None:
    failed = {"times": {}, "checks": {}, "errors": {"sort": "Traceback: no"}}
    assert report["problems"]({"localcluster": [failed]}) == ["sort failed on localcluster:\nTraceback: no"]


def test_the_table_shows_medians_and_ratios(report: dict[str, Any]) -> None:
    def results(*seconds: float) -> list[dict[str, Any]]:
        return [{"times": {"sort": second}} for second in seconds]

    table = report["table"]({"localcluster": results(0.1, 0.2, 9.0), "pyspark": results(0.5)})
    header, line = table.splitlines()
    assert header.split() == ["localcluster", "pyspark", "pyspark", "/", "localcluster"]
    assert line.split() == ["sort", "200", "ms", "500", "ms", "2.50"]
