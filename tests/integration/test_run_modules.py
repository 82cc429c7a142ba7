"""``run -m MODULE`` is to ``run JOB`` as ``python -m MODULE`` is to ``python JOB``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

JOB = """
import multiprocessing, sys
from ..numbers import double
from localcluster import SparkContext

class Box:
    def __init__(self, x):
        self.x = x

def boxed(x):
    from ..numbers import double as again
    return Box(again(double(x)))

if __name__ == "__main__":
    print(__package__, __spec__.name, __file__, __doc__, sys.argv, sys.path[0], sys.modules["__main__"].Box is Box)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(pool.map(boxed, [1])[0].x)
    if "job" in sys.argv:
        with SparkContext("local[2]") as sc:
            print([box.x for box in sc.parallelize([Box(1), Box(2)]).map(lambda box: boxed(box.x)).collect()])
            print(sc.appName)
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    (tmp_path / "package" / "jobs").mkdir(parents=True)
    for name in ("__init__.py", "jobs/__init__.py"):
        (tmp_path / "package" / name).touch()
    (tmp_path / "package" / "numbers.py").write_text("def double(x): return 2 * x\n")
    (tmp_path / "package" / "jobs" / "boxes.py").write_text(JOB)
    (tmp_path / "package" / "broken.py").write_text("def f(:\n")
    (tmp_path / "package" / "failing.py").write_text("1 / 0\n")
    return tmp_path


def python(cwd: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *words], cwd=cwd, env=environment, capture_output=True, text=True, timeout=60
    )


def test_a_module_runs_as_python_runs_it_and_its_jobs_too(package: Path) -> None:
    plain = python(package, "-m", "package.jobs.boxes", "--one", "-m", "2")
    assert plain.returncode == 0, plain.stderr
    ours = python(package, "-m", "localcluster", "run", "-m", "package.jobs.boxes", "--one", "-m", "2")
    assert (ours.stdout, ours.stderr, ours.returncode) == (plain.stdout, "", 0)
    ours = python(package, "-m", "localcluster", "run", "--pyspark", "-m", "package.jobs.boxes", "job")
    assert ours.stdout.splitlines()[2:] == ["[4, 8]", "package.jobs.boxes"], ours.stderr


@pytest.mark.parametrize(
    "module", ["nowhere", "nowhere.at_all", "package", "package.nowhere", "json.tool.nothing"], ids=str
)
def test_a_module_that_is_not_there_is_told_of_as_by_python(package: Path, module: str) -> None:
    plain = python(package, "-m", module)
    ours = python(package, "-m", "localcluster", "run", "-m", module)
    assert ours.returncode == plain.returncode == 1
    assert ours.stderr.removeprefix("localcluster: error: ") == plain.stderr.removeprefix(f"{sys.executable}: ")


@pytest.mark.parametrize("module", ["package.broken", "package.failing"])
def test_an_error_of_the_modules_own_is_shown_without_our_frames(package: Path, module: str) -> None:
    ours = python(package, "-m", "localcluster", "run", "-m", module)
    assert ours.returncode == 1
    file = package / "package" / f"{module.rpartition('.')[2]}.py"
    assert f'File "{file}", line 1' in ours.stderr
    assert str(ROOT / "localcluster") not in ours.stderr
