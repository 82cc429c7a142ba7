"""Files named by settings, options and the constructor, in runs of their own; none is left when the run ends."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from tests.faults.runs import Run

JOB = """
import os, sys
from localcluster import SparkConf, SparkContext, SparkFiles

{before}
conf = SparkConf().setMaster("local[2]"){settings}
with SparkContext(conf=conf{arguments}) as sc:
    def task(_):
        import alone, packed
        with open(SparkFiles.get("data")) as file:
            return alone.VALUE, packed.VALUE, file.read(), sorted(os.listdir(SparkFiles.get("al")))
    assert sc.parallelize([0, 1], 2).map(task).collect() == [(1, 2, "text", ["packed.py"])] * 2
    assert task(0) == (1, 2, "text", ["packed.py"])
    assert [os.path.basename(uri) for uri in sc.listArchives] == ["packed.zip#al"]
    assert sc._python_includes == ["packed.zip"]
    root = SparkFiles.getRootDirectory()
assert not os.path.exists(root)
assert root not in sys.path
try:
    SparkFiles.get("data")
except RuntimeError:
    print("done")
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    directory = tmp_path / "brought"
    directory.mkdir()
    (directory / "alone.py").write_text("VALUE = 1")
    (directory / "data").write_text("text")
    with zipfile.ZipFile(directory / "packed.zip", "w") as packed:
        packed.writestr("packed.py", "VALUE = 2")
    return directory


def finish(run: Run) -> None:
    with run:
        code = run.wait()
        assert (code, run.output, run.errors) == (0, "done\n", "")
        run.assert_nothing_left()


def test_settings_and_the_constructor_name_files(directory: Path, tmp_path: Path) -> None:
    settings = f'.set("spark.files", "{directory}/data").set("spark.archives", "{directory}/packed.zip#al")'
    files = f', pyFiles=["{directory}/alone.py", "{directory}/packed.zip"]'
    finish(Run(tmp_path, JOB.format(before="", settings=settings, arguments=files), library=True))


def test_options_name_files_which_the_script_can_import_at_once(directory: Path, tmp_path: Path) -> None:
    options = ["--files", f"{directory}/data", "--archives", f"{directory}/packed.zip#al"]
    options += ["--py-files", f"{directory}/alone.py,{directory}/packed.zip"]
    job = JOB.format(before="import alone, packed", settings="", arguments="")
    finish(Run(tmp_path, job, options=options))


def test_a_submitted_file_that_is_not_there_is_warned_of(tmp_path: Path) -> None:
    job = """
import warnings
from localcluster import SparkConf, SparkContext

with warnings.catch_warnings(record=True) as caught:
    with SparkContext(conf=SparkConf().setMaster("local[1]").set("spark.submit.pyFiles", "/gone.py")) as sc:
        assert sc.listFiles == []
print(*(warning.category.__name__ for warning in caught), "Failed to add file [/gone.py]" in str(caught[0].message))
"""
    with Run(tmp_path, job, library=True) as run:
        assert (run.wait(), run.output, run.errors) == (0, "RuntimeWarning True\n", "")
        run.assert_nothing_left()


def test_a_file_that_cannot_be_added_ends_the_start_of_the_context(tmp_path: Path) -> None:
    job = """
from localcluster import SparkConf, SparkContext

try:
    SparkContext(conf=SparkConf().setMaster("local[1]").set("spark.files", "/gone"))
except FileNotFoundError as error:
    print(error)
with SparkContext("local[1]") as sc:
    print(sc.parallelize([1]).count())
"""
    with Run(tmp_path, job, library=True) as run:
        assert (run.wait(), run.output) == (0, "java.io.FileNotFoundException: File file:/gone does not exist\n1\n")
        run.assert_nothing_left()
