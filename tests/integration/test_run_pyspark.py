"""``run --pyspark``: an unmodified PySpark script finds the facade wherever its code runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from localcluster.conf.master_url import available_cores

ROOT = Path(__file__).resolve().parents[2]
DEADLINE = 60  # seconds

# Real PySpark, or what looks like it, on the path: an import of it would show.
DECOY = "raise ImportError('this is the other pyspark')\n"

SAME = "pyspark is localcluster.pyspark and pyspark.rdd.RDD is localcluster.pyspark.rdd.RDD"

IDENTITY = f"""
import os, signal, subprocess, sys
import pyspark, pyspark.rdd
import localcluster.pyspark.rdd
from pyspark import SparkContext
from py4j.protocol import Py4JJavaError

CHILD = "import pyspark.rdd, py4j.protocol, localcluster.pyspark.rdd; print({SAME})"

def here(_):
    import pyspark, pyspark.rdd, localcluster.pyspark.rdd
    return {SAME}

def in_a_child(_):
    return subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, cwd="/").stdout

print("driver", {SAME})
print("child of the driver", in_a_child(0))
for turn in ("first context", "second context"):
    with SparkContext("local[2]", "identity") as sc:
        numbers = sc.parallelize(range(4), 4)
        print(turn, numbers.map(here).collect(), numbers.map(in_a_child).distinct().collect())
        print("caught", isinstance(numbers, pyspark.RDD), numbers.getNumPartitions())
        try:
            numbers.map(lambda n: n // 0).collect()
        except Py4JJavaError as error:
            print("caught", "ZeroDivisionError" in str(error))
with SparkContext("local-cluster[2,1,512]", "replaced") as sc:
    numbers = sc.parallelize(range(4), 4)
    first = set(numbers.map(lambda _: os.getpid()).collect())
    os.kill(min(first), signal.SIGKILL)
    print("replaced", numbers.map(here).collect())
"""


def run(job: Path, *options: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *([str(path)] if path else [])])}
    command = [sys.executable, "-m", "localcluster", "run", *options, str(job)]
    return subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, env=environment, cwd=job.parent)


@pytest.fixture
def other_pyspark(tmp_path: Path) -> Path:
    packages = tmp_path / "packages"
    for name in ("pyspark", "py4j"):
        (packages / name).mkdir(parents=True)
        (packages / name / "__init__.py").write_text(DECOY)
    return packages


@pytest.mark.parametrize("installed", [False, True])
def test_pyspark_is_the_facade_in_drivers_executors_and_their_children(
    installed: bool, other_pyspark: Path, tmp_path: Path
) -> None:
    job = tmp_path / "job.py"
    job.write_text(IDENTITY)
    done = run(job, "--pyspark", path=other_pyspark if installed else None)
    assert done.stdout.splitlines() == [
        "driver True",
        "child of the driver True",
        "",
        *["first context [True, True, True, True] ['True\\n']", "caught True 4", "caught True"],
        *["second context [True, True, True, True] ['True\\n']", "caught True 4", "caught True"],
        "replaced [True, True, True, True]",
    ], done.stderr
    assert done.returncode == 0


def test_processes_that_multiprocessing_spawns_have_the_facade(other_pyspark: Path, tmp_path: Path) -> None:
    job = tmp_path / "job.py"
    job.write_text(
        """
import multiprocessing
import pyspark

def where(_):
    return pyspark.__name__

if __name__ == "__main__":
    sc = pyspark.SparkContext("local[1]")
    child = multiprocessing.get_context("spawn").Process(target=where, args=(0,))
    child.start()
    child.join()
    print(child.exitcode, sc.range(4).sum())
"""
    )
    done = run(job, "--pyspark", path=other_pyspark)
    assert (done.stdout, done.stderr) == ("0 6\n", "")


def test_what_tasks_print_is_not_the_programs_output(tmp_path: Path) -> None:
    job = tmp_path / "job.py"
    job.write_text(
        """
import os
from pyspark import SparkContext
with SparkContext("local[1]") as sc:
    sc.parallelize([1]).foreach(lambda x: (print("a task"), os.system("echo its child")))
    print("the program")
"""
    )
    done = run(job, "--pyspark")
    assert done.stdout == "the program\n"
    assert {"a task", "its child"} <= set(done.stderr.splitlines())
    job.write_text(job.read_text().replace("pyspark", "localcluster"))
    done = run(job)
    assert sorted(done.stdout.splitlines()) == ["a task", "its child", "the program"]


def test_without_the_option_pyspark_is_whatever_is_installed(other_pyspark: Path, tmp_path: Path) -> None:
    job = tmp_path / "job.py"
    job.write_text("import pyspark\n")
    done = run(job, path=other_pyspark)
    assert "this is the other pyspark" in done.stderr
    assert done.returncode == 1


def test_a_test_suite_in_pysparks_style_runs(tmp_path: Path) -> None:
    job = tmp_path / "suite.py"
    job.write_text(
        """
import unittest
from pyspark import SparkConf
from pyspark.errors import PySparkTypeError, PySparkRuntimeError
from pyspark.testing.utils import PySparkErrorTestUtils, PySparkTestCase, QuietTest, ReusedPySparkTestCase, eventually

class OwnContext(PySparkTestCase):
    def test_sum(self):
        self.assertEqual(self.sc.parallelize(range(10), 3).sum(), 45)
        self.assertEqual((self.sc.appName, self.sc.master), ("OwnContext", "local[4]"))

class SharedContext(ReusedPySparkTestCase, PySparkErrorTestUtils):
    @classmethod
    def conf(cls):
        return SparkConf().set("spark.custom", "1")

    def test_failure(self):
        with QuietTest(self.sc), self.assertRaisesRegex(Exception, "ZeroDivisionError"):
            self.sc.parallelize([1]).map(lambda x: x / 0).count()

    def test_conf(self):
        self.assertEqual(self.sc.getConf().get("spark.custom"), "1")

    def test_error(self):
        with self.assertRaises(PySparkRuntimeError) as caught:
            SparkConf().setExecutorEnv("key", "value", [("key", "value")])
        parameters = caught.exception.getMessageParameters()
        self.check_error(caught.exception, "KEY_VALUE_PAIR_REQUIRED", parameters)

    @eventually(timeout=5.0, catch_assertions=True)
    def test_eventually(self):
        self.assertTrue(True)

if __name__ == "__main__":
    unittest.main(verbosity=2)
"""
    )
    done = run(job, "--pyspark")
    assert done.returncode == 0, done.stderr
    assert "Ran 5 tests" in done.stderr


def test_dataframes_are_refused_by_name(tmp_path: Path) -> None:
    job = tmp_path / "job.py"
    job.write_text(
        """
from pyspark.sql import SparkSession
with SparkSession.builder.master("local[1]").getOrCreate() as spark:
    for use in (lambda: spark.sql("select 1"), lambda: spark.createDataFrame([(1,)]),
                lambda: spark.sparkContext.parallelize([(1,)]).toDF(), lambda: spark.read.parquet("x")):
        try:
            use()
        except NotImplementedError as error:
            print(error)
"""
    )
    done = run(job, "--pyspark")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split(" here: ")[0] for line in lines] == [
        "'SparkSession' has no attribute 'sql'",
        "'SparkSession' has no attribute 'createDataFrame'",
        "'RDD' has no attribute 'toDF'",
        "'DataFrameReader' has no attribute 'parquet'",
    ]
    assert all("SQL and DataFrames are not part of localcluster" in line for line in lines)


def test_a_suite_of_tests_is_a_job(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text("""
import pytest
from pyspark.sql import SparkSession

@pytest.fixture(scope="session")
def spark_context():
    session = SparkSession.builder.master("local[2]").getOrCreate()
    yield session.sparkContext
    session.stop()
""")
    (tmp_path / "test_suite.py").write_text("""
import pytest
from py4j.protocol import Py4JJavaError

def double(x):
    return x * 2

def test_doubles(spark_context):
    assert spark_context.parallelize([1, 2]).map(double).collect() == [2, 4]

def test_nothing_is_overwritten(spark_context, tmp_path):
    with pytest.raises(Py4JJavaError, match="FileAlreadyExistsException: Output directory"):
        spark_context.parallelize([1]).saveAsTextFile(str(tmp_path))
""")
    pytest_itself = tmp_path / "pytest"
    pytest_itself.write_text("import sys, pytest; sys.exit(pytest.console_main())")
    done = run(pytest_itself, "--pyspark")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


def test_a_job_that_names_no_master_runs_on_all_cores_and_tries_a_task_once(tmp_path: Path) -> None:
    job = tmp_path / "job.py"
    job.write_text("""
from pyspark import SparkContext
sc = SparkContext(appName="no master")
print(sc.master, sc.defaultParallelism)
try:
    sc.parallelize([1]).map(lambda n: n // 0).collect()
except Exception as error:
    print("failed 1 times" in str(error))
""")
    ended = run(job, "--pyspark")
    assert ended.stdout == f"local[*] {available_cores()}\nTrue\n", ended.stderr
