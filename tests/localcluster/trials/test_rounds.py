"""One run of a job: its outcome, its deadline, what it leaves, and how outcomes are compared."""

from __future__ import annotations

from pathlib import Path

import pytest

from localcluster.trials.rounds import Job, Outcome, difference

SAME = Outcome(0, b"a\nb\n", "", {"part-00000": b"x"})


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (Outcome(0, b"a\nb\n", "anything", {"part-00000": b"x"}), None),
        (Outcome(1, b"a\nb\n", "Oh no", {"part-00000": b"x"}), "exit code 1 instead of 0\n    Oh no"),
        (Outcome(None, b"", "", {}), "exit code None instead of 0\n"),
        (Outcome(0, b"a\nc\n", "", {"part-00000": b"x"}), "standard output\n    line 2: b'b'\n    became: b'c'"),
        (Outcome(0, b"a\n", "", {"part-00000": b"x"}), "standard output\n    2 lines became 1"),
        (Outcome(0, b"a\nb\n", "", {}), "file part-00000 is missing"),
        (Outcome(0, b"a\nb\n", "", {"part-00000": b"x", "y": b""}), "file y is new"),
        (Outcome(0, b"a\nb\n", "", {"part-00000": b"y"}), "file part-00000\n    line 1: b'x'\n    became: b'y'"),
    ],
)
def test_the_difference_is_told(other: Outcome, what: str | None) -> None:
    assert difference(SAME, other) == what


def job(tmp_path: Path, source: str, *arguments: str) -> Job:
    script = tmp_path / "job.py"
    script.write_text(source)
    return Job((), (str(script), *arguments))


def test_output_and_files_are_kept(tmp_path: Path) -> None:
    source = """
import sys
from localcluster import SparkContext
with SparkContext() as sc:
    sc.parallelize(range(4), 2).map(str).saveAsTextFile(sys.argv[1])
print("done")
"""
    outcome = job(tmp_path, source, "{out}/numbers").run([], 0, 60)
    assert (outcome.code, outcome.stdout, outcome.left) == (0, b"done\n", ())
    assert outcome.files["numbers/part-00001"] == b"2\n3\n"


WAITS = """
import time
from localcluster import SparkContext
sc = SparkContext()
print("on", flush=True)
time.sleep(600)
"""


def test_a_hang_ends_at_the_deadline(tmp_path: Path) -> None:
    outcome = job(tmp_path, WAITS).run([], 0, 5)
    assert (outcome.code, outcome.stdout, outcome.left) == (None, b"on\n", ())


LEAVES = """
import os, subprocess, sys
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
os._exit(0)
"""


def test_what_a_run_leaves_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("localcluster.trials.rounds.GRACE", 0.0)
    outcome = job(tmp_path, LEAVES).run([], 0, 60)
    assert len(outcome.left) == 1
    assert outcome.left[0].startswith("process ")
