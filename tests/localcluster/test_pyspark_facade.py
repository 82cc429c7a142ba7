"""`localcluster.pyspark` has PySpark's module layout, defines nothing of its own, and says what it has not."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import pickle
import re
import runpy
import sys
from pathlib import Path

import pytest

import localcluster.pyspark
from localcluster.base.absent_modules import ABSENT, AbsentFinder
from localcluster.base.module_aliases import AliasFinder
from protocol.errors import ClusterError, OutputExistsError, PySparkImportError, SparkException, TaskError

FACADE = Path(localcluster.pyspark.__file__).parent
ALLOWED = ("__all__ = ", "__getattr__ = absent_names(", "absent_modules.install()", "sys.modules[__name__] = ")
MODULES = sorted(FACADE.rglob("*.py"))

NAMES = {
    "": "RDD SparkConf SparkContext SparkFiles StatusTracker StorageLevel BarrierTaskContext InheritableThread "
    "Row since keyword_only",
    "rdd": "RDD RDDBarrier PipelinedRDD Partitioner BoundedFloat portable_hash",
    "files": "SparkFiles",
    "status": "StatusTracker SparkJobInfo SparkStageInfo SparkExecutorInfo",
    "profiler": "Profiler BasicProfiler ProfilerCollector PStatsParam",
    "join": "python_join python_left_outer_join python_right_outer_join python_full_outer_join",
    "resource": "ResourceProfile ResourceProfileBuilder ResourceInformation",
    "context": "SparkContext",
    "conf": "SparkConf",
    "storagelevel": "StorageLevel",
    "broadcast": "Broadcast",
    "accumulators": "Accumulator AccumulatorParam AddingAccumulatorParam INT_ACCUMULATOR_PARAM",
    "taskcontext": "TaskContext",
    "statcounter": "StatCounter",
    "resultiterable": "ResultIterable",
    "serializers": "CPickleSerializer CloudPickleSerializer MarshalSerializer PickleSerializer BatchedSerializer",
    "util": "InheritableThread inheritable_thread_target VersionUtils fail_on_stopiteration _parse_memory "
    "walk_tb try_simplify_traceback",
    "errors": "PySparkException PySparkRuntimeError PySparkTypeError AnalysisException",
    "errors.exceptions.base": "PySparkException PySparkValueError",
    "errors.exceptions.captured": "CapturedException AnalysisException",
    "sql": "SparkSession Row DataFrame is_remote",
    "sql.session": "SparkSession",
    "sql.types": "Row _create_row",
    "core.rdd": "RDD",
    "core.context": "SparkContext",
    "core.broadcast": "Broadcast",
    "cloudpickle": "dumps CloudPickler",
    "testing.utils": "PySparkTestCase ReusedPySparkTestCase QuietTest eventually PySparkErrorTestUtils",
    "version": "__version__",
    "shuffle": "Aggregator SimpleAggregator ExternalMerger ExternalSorter GroupByKey DiskBytesSpilled",
    "rddsampler": "RDDSampler RDDRangeSampler RDDStratifiedSampler",
    "traceback_utils": "CallSite first_spark_call SCCallSiteSync",
    "loose_version": "LooseVersion",
    "_globals": "_NoValue",
}


@pytest.mark.parametrize("module", NAMES)
def test_names_are_where_programs_import_them_from(module: str) -> None:
    found = importlib.import_module(f"localcluster.pyspark.{module}".rstrip("."))
    assert [name for name in NAMES[module].split() if not hasattr(found, name)] == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(FACADE)))
def test_a_module_of_the_facade_only_gives_names_to_what_is_defined_elsewhere(path: Path) -> None:
    """So that two copies of it, under two names, are two sets of names of the same things."""
    for statement in ast.parse(path.read_text()).body:
        text = ast.unparse(statement)
        assert (
            isinstance(statement, (ast.Import, ast.ImportFrom))
            or (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))
            or text.startswith(ALLOWED)
        ), text
        if isinstance(statement, ast.ImportFrom):
            assert statement.level == 0


def test_everything_in_all_exists() -> None:
    for path in MODULES:
        name = ".".join(["localcluster.pyspark", *path.relative_to(FACADE).with_suffix("").parts])
        module = importlib.import_module(name.removesuffix(".__init__"))
        assert [each for each in getattr(module, "__all__", ()) if not hasattr(module, each)] == []


def test_the_old_and_the_new_place_of_a_core_module_are_one_module() -> None:
    for name in ("rdd", "context", "broadcast", "files", "status"):
        old = importlib.import_module(f"localcluster.pyspark.{name}")
        assert old is importlib.import_module(f"localcluster.pyspark.core.{name}")


@pytest.mark.parametrize("name", ABSENT)
def test_importing_a_module_of_the_table_raises_what_the_table_says_and_leaves_no_module(name: str) -> None:
    full, (parent, _, last) = f"localcluster.{name}", name.rpartition(".")
    for statement in (
        f"import {full}.below",
        f"from {full} import anything",
        f"from localcluster.{parent} import {last}",
    ):
        with pytest.raises(PySparkImportError, match=re.escape(f"{name} is not part of localcluster")) as caught:
            exec(statement)
        assert str(caught.value).endswith(f": {ABSENT[name]}")
    assert full not in sys.modules
    assert not hasattr(importlib.import_module(f"localcluster.{parent}"), last)


@pytest.mark.parametrize("name", ["localcluster.pyspark.shell", "facade.shell"])
def test_running_a_module_of_the_table_raises_what_the_table_says(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "meta_path", [AliasFinder({"facade": "localcluster.pyspark"}), *sys.meta_path])
    with pytest.raises(ImportError, match="make a SparkContext in an ordinary Python shell"):
        runpy.run_module(name, run_name="__main__")
    sys.modules.pop("facade", None)


def test_a_module_can_be_run_by_its_alias(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "meta_path", [AliasFinder({"facade": "localcluster.pyspark"}), *sys.meta_path])
    assert "StatCounter" in runpy.run_module("facade.statcounter", run_name="__main__")
    sys.modules.pop("facade", None)


def test_a_module_of_the_table_is_found_in_the_facade_only() -> None:
    """Where real PySpark is, its modules are its own, and those that it does not have are nobody's."""
    assert importlib.util.find_spec("localcluster.pyspark.ml") is not None
    assert [
        finder for finder in sys.meta_path if isinstance(finder, AbsentFinder) and finder.find_spec("pyspark.ml", None)
    ] == []


@pytest.mark.parametrize(
    "statement",
    [
        "import localcluster.pyspark.ml",
        "from localcluster.pyspark.ml.feature import Tokenizer",
        "from localcluster.pyspark.mllib.regression import LabeledPoint",
        "import localcluster.pyspark.pandas as ps",
        "from localcluster.pyspark.streaming import StreamingContext",
        "from localcluster.pyspark.sql import functions as F",
        "from localcluster.pyspark.sql.functions import col",
        "from localcluster.pyspark.sql import Window",
        "from localcluster.pyspark.sql.types import StructType",
        "from localcluster.pyspark import SQLContext",
        "from localcluster.pyspark.java_gateway import launch_gateway",
        "from localcluster.pyspark.testing import assertDataFrameEqual",
    ],
)
def test_importing_what_is_no_part_of_this_says_so(statement: str) -> None:
    with pytest.raises(ImportError, match=r"pyspark\.[\w.]+ is not part of localcluster, which has"):
        exec(statement)


def test_a_name_that_pyspark_does_not_have_either_is_an_ordinary_error() -> None:
    assert not hasattr(localcluster.pyspark.sql, "no_such_name")
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("localcluster.pyspark.no_such_module")


def test_what_programs_catch_by_the_names_of_py4j_is_what_is_raised() -> None:
    from localcluster.py4j.protocol import Py4JError, Py4JJavaError, Py4JNetworkError

    with pytest.raises(Py4JError):
        raise SparkException("Job aborted due to stage failure")
    with pytest.raises(Py4JJavaError) as caught:
        raise Py4JNetworkError("no launcher")
    assert isinstance(caught.value, ClusterError)
    assert caught.value.java_exception.getMessage() == "no launcher"
    assert str(caught.value.java_exception) == "org.apache.spark.SparkException: no launcher"


def test_java_exceptions_name_the_class_that_spark_would_raise() -> None:
    failed = TaskError("ValueError: no").java_exception.getClass()
    assert failed.getName() == "org.apache.spark.api.python.PythonException"
    assert failed.getSimpleName() == "PythonException"
    assert ClusterError("gone").java_exception.getClass().getName() == "org.apache.spark.SparkException"
    assert ClusterError("gone").java_exception.getCause() is None


def test_errors_of_paths_say_what_hadoop_calls_them() -> None:
    error = OutputExistsError("Output directory file:/out already exists")
    assert str(error) == f"org.apache.hadoop.mapred.FileAlreadyExistsException: {error.java_exception.getMessage()}"
    assert error.java_exception.toString() == str(error) == str(pickle.loads(pickle.dumps(error)))
    assert error.java_exception.getMessage() == "Output directory file:/out already exists"
