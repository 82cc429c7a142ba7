"""The job scripts, run as a user runs them, on small inputs with known answers."""

from __future__ import annotations

import gzip
import os
import random
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest

from localcluster.cache import command

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ["word_count", "page_rank", "kmeans", "log_report", "cached_pipeline"]
USAGE_ERROR = 2


def run(
    script: str, *arguments: object, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "localcluster", "run", "--executors", "2", f"scripts/{script}.py"]
    variables = os.environ | (environment or {})
    return subprocess.run(
        [*words, *map(str, arguments)], cwd=ROOT, env=variables, capture_output=True, text=True, timeout=50
    )


def output(script: str, *arguments: object, environment: Mapping[str, str] | None = None) -> str:
    done = run(script, *arguments, environment=environment)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_and_docstring_say_how_to_use_the_script(script: str) -> None:
    pytest.importorskip("numpy")
    assert output(script, "--help").startswith(f"usage: {script}.py")
    assert f"usage:  python -m localcluster run scripts/{script}.py" in (ROOT / f"scripts/{script}.py").read_text()


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_path_that_does_not_exist_is_a_usage_error_that_names_it(script: str, tmp_path: Path) -> None:
    pytest.importorskip("numpy")
    done = run(script, tmp_path / "nowhere")
    assert done.returncode == USAGE_ERROR
    assert str(tmp_path / "nowhere") in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("script", ["kmeans", "cached_pipeline"])
def test_without_numpy_the_script_says_how_to_get_it(script: str, tmp_path: Path) -> None:
    (tmp_path / "numpy.py").write_text("raise ImportError('not here')")
    done = run(script, environment={"PYTHONPATH": str(tmp_path)})
    assert done.returncode == USAGE_ERROR
    assert "pip install numpy" in done.stderr


def test_word_count_counts_exactly(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"text{number}.txt").write_text(
            f"one two, two\nthree {number} three_3 thré\r\nthree" * (number + 1)
        )
    (tmp_path / "image.png").write_text("never")
    text = "\n".join(path.read_text() for path in tmp_path.glob("*.txt"))
    expected = Counter(re.findall(r"\w+", text))
    printed = output("word_count", tmp_path, "--top", 1000, "--check")
    counts = {word: int(count.replace(",", "")) for count, word in re.findall(r"^ +([\d,]+)  (\w+)$", printed, re.M)}
    assert counts == expected
    assert f"{sum(expected.values()):,} words, {len(expected)} distinct, in 20 files" in printed
    assert "one process counts the same" in printed


def test_word_count_reads_no_more_than_the_limit(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / f"{name}.txt").write_text(f"{name} " * 512)
    printed = output("word_count", tmp_path, "--bytes", "2k")
    assert "1,024 words, 2 distinct, in 2 files" in printed


def test_page_rank_finds_the_fixed_point(tmp_path: Path) -> None:
    links = {"a": ["b", "c"], "b": ["c"], "c": ["a"], "d": ["c", "end"], "end": [], "e": ["end"], "f": ["c"]}
    for module, targets in links.items():
        (tmp_path / f"{module}.py").write_text("".join(f"import {target}, elsewhere\n" for target in targets))
    ranks = dict.fromkeys(links, 1.0)
    for _ in range(100):  # with the rank of modules that import nothing spread over all of them
        lost = sum(rank for module, rank in ranks.items() if not links[module])
        received = Counter({module: 0.15 + 0.85 * lost / len(links) for module in links})
        for module, targets in links.items():
            received.update({target: 0.85 * ranks[module] / len(targets) for target in targets})
        ranks = dict(received)
    printed = output("page_rank", tmp_path, "--iterations", 25)
    found = {module: float(rank) for rank, _, module in re.findall(r"^ +([\d.]+) +(\d+)  (\w+)$", printed, re.M)}
    assert found == pytest.approx(ranks, abs=0.02)


def test_k_means_tells_texts_from_random_bytes(tmp_path: Path) -> None:
    pytest.importorskip("numpy")
    generator = random.Random(1)
    for number in range(10):
        (tmp_path / f"{number}.noise").write_bytes(generator.randbytes(5000))
        (tmp_path / f"{number}.words").write_text(" ".join(generator.choices(["alpha", "beta", "gamma"], k=1000)))
    printed = output("kmeans", tmp_path, "--clusters", 2)
    assert sorted(re.findall(r"10 files: (.*)", printed)) == [".noise 100%", ".words 100%"]


def test_log_report_answers_from_a_log(tmp_path: Path) -> None:
    lines = [f"2025-01-0{1 + n % 3} 10:00:0{n % 10} install package{n % 4}:amd64 1.{n}" for n in range(30)]
    with gzip.open(tmp_path / "dpkg.log.gz", "wt") as log:
        log.write("\n".join([*lines, "not a line of a log", "2025-01-01 10:00:00 status installed last:all 2"]))
    printed = output("log_report", tmp_path / "dpkg.log.gz")
    assert "30  install\n" in printed
    assert "1  status installed\n" in printed
    assert "11  2025-01-01\n" in printed
    assert "31 events" in printed


def test_log_report_answers_from_sources(tmp_path: Path) -> None:
    (tmp_path / "tree" / "sub").mkdir(parents=True)
    (tmp_path / "tree" / "a.py").write_text("def f():\n    raise ValueError  # TODO: why\n")
    (tmp_path / "tree" / "sub" / "b.py").write_text("# FIXME\nclass B:\n    def f(self): raise ValueError\n")
    printed = output("log_report", tmp_path / "tree")
    assert "2  def\n" in printed
    assert "3  tree/sub\n" in printed
    assert "1  mark  FIXME\n" in printed
    assert "5 events" in printed


def test_a_second_run_of_the_pipeline_does_none_of_the_costly_step(tmp_path: Path) -> None:
    pytest.importorskip("numpy")
    directory, data = str(tmp_path / "cache"), tmp_path / "data"
    data.mkdir()
    for number in range(16):
        (data / f"{number}.bin").write_bytes(random.Random(number).randbytes(64 << 10))

    def pipeline() -> str:
        printed = output("cached_pipeline", data, environment={"LOCALCLUSTER_CACHE_DIRECTORY": directory})
        assert "same result" in printed
        return printed

    try:
        assert re.search(r"^computed the features of \d+ files", pipeline(), re.MULTILINE)
        printed = pipeline()
        assert "computed nothing" in printed
        places = re.findall(r"process \d+: \d+ x (.*)", printed)
        assert places
        assert all(place.startswith("writable in a file of /dev/shm/localcluster-cache-") for place in places), places
    finally:
        assert command.stop(directory, 30) == 0
    assert "computed nothing" in pipeline()  # from the disk
    assert command.stop(directory, 30) is None
