"""PySpark's shipped example scripts, unmodified, under ``run --pyspark``, print what they print on PySpark 4.3.

The scripts are those of an installed pyspark, which is found but not imported; without one these tests are skipped.
Outputs were recorded with ``spark-submit --master local[2]``, lines in the order in which they came. What is random in
a script is checked as far as it is determined.
"""

from __future__ import annotations

import importlib.util
import os
import random
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DEADLINE = 90  # seconds

WORDS = "to be or not to be\nthat is the question\n\nwhether  it is nobler\n"
PAGES = "1 2\n1 3\n1 4\n2 1\n3 1\n4 1\n"
POINTS = "0.0 0.0 0.0\n0.1 0.1 0.1\n0.2 0.2 0.2\n9.0 9.0 9.0\n9.1 9.1 9.1\n9.2 9.2 9.2\n"


def examples() -> Path | None:
    spec = importlib.util.find_spec("pyspark")
    if spec is None or not spec.submodule_search_locations:
        return None
    scripts = Path(spec.submodule_search_locations[0]) / "examples/src/main/python"
    return scripts if scripts.is_dir() else None


SCRIPTS = examples()
pytestmark = pytest.mark.skipif(SCRIPTS is None, reason="needs an installed pyspark, whose example scripts it runs")


def run(name: str, *arguments: object, master: str = "local[2]", options: Sequence[str] = ()) -> str:
    """What the script printed."""
    assert SCRIPTS is not None
    command = [sys.executable, "-m", "localcluster", "run", "--pyspark", "--master", master, *options]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*command, str(SCRIPTS / name), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_pi() -> None:
    match = re.fullmatch(r"Pi is roughly (\d\.\d{6})\n", run("pi.py", 4))
    assert match is not None
    assert 3.1 < float(match[1]) < 3.2


def test_wordcount(tmp_path: Path) -> None:
    (tmp_path / "words").write_text(WORDS)
    assert run("wordcount.py", tmp_path / "words").splitlines() == [
        *["to: 2", "be: 2", "or: 1", "not: 1", "that: 1", "is: 2"],
        *["the: 1", "question: 1", ": 2", "whether: 1", "it: 1", "nobler: 1"],
    ]


def test_sort(tmp_path: Path) -> None:
    numbers = [random.Random(7).randrange(1000) for _ in range(300)]
    (tmp_path / "numbers").write_text("".join(f"{a} {b} {c}\n" for a, b, c in zip(*[iter(numbers)] * 3, strict=True)))
    assert run("sort.py", tmp_path / "numbers").split() == [str(number) for number in sorted(numbers)]


def test_pagerank(tmp_path: Path) -> None:
    (tmp_path / "pages").write_text(PAGES)
    lines = [line.split(" has rank: ") for line in run("pagerank.py", tmp_path / "pages", 10).splitlines()]
    assert [page for page, _ in lines] == ["2", "1", "3", "4"]
    assert [float(rank.rstrip(".")) for _, rank in lines] == pytest.approx(
        [0.7539975652935547, 1.7380073041193354, 0.7539975652935547, 0.7539975652935547]
    )


def test_kmeans(tmp_path: Path) -> None:
    pytest.importorskip("numpy")
    (tmp_path / "points").write_text(POINTS)
    assert run("kmeans.py", tmp_path / "points", 2, 0.1) == (
        "Final centers: [array([0.1, 0.1, 0.1]), array([9.1, 9.1, 9.1])]\n"
    )


def test_transitive_closure() -> None:
    # Without the setting every round has twice the partitions: PySpark, too, does not get to the end of its 14 rounds.
    assert run("transitive_closure.py", options=["--conf", "spark.default.parallelism=4"]) == "TC has 6816 edges\n"


def test_logistic_regression(tmp_path: Path) -> None:
    numpy = pytest.importorskip("numpy")
    generator = random.Random(3)
    rows = [[generator.choice([-1, 1]), *(round(generator.uniform(-1, 1), 4) for _ in range(10))] for _ in range(60)]
    (tmp_path / "points").write_text("".join(" ".join(map(str, row)) + "\n" for row in rows))
    output = run("logistic_regression.py", tmp_path / "points", 3)
    assert re.findall("On iteration .", output) == ["On iteration 1", "On iteration 2", "On iteration 3"]
    first, last = (numpy.array(list(map(float, text.split()))) for text in re.findall(r"w: \[([^\]]*)\]", output))
    data = numpy.array(rows, dtype=numpy.float32).astype(float)
    labels, points = data[:, 0], data[:, 1:]
    for _ in range(3):
        first = first - ((1.0 / (1.0 + numpy.exp(-labels * points.dot(first))) - 1.0) * labels * points.T).sum(1)
    assert last == pytest.approx(first, abs=1e-5)  # eight digits are printed, and the start is random


def test_als() -> None:
    pytest.importorskip("numpy")
    output = run("als.py", 20, 30, 4, 3)
    assert output.startswith("Running ALS with M=20, U=30, F=4, iters=3, partitions=2\n")
    assert re.findall(r"RMSE: (\S+)", output) == ["0.0787", "0.0272", "0.0235"]


def test_status_api_demo() -> None:
    output = run("status_api_demo.py", master="local[10]")
    results = re.search(r"Job results are: (.*)\n", output)
    assert results is not None
    assert sorted(eval(results[1])) == [(number, 1) for number in range(10)]
    assert "Job 0 status:  RUNNING\n" in output
    assert re.search(r"Stage 0: 10 tasks total \(\d+ active, \d+ complete\)\n", output)
    assert re.search(r"Stage 1: 10 tasks total \(\d+ active, \d+ complete\)\n", output)
