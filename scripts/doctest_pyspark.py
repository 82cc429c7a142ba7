"""Run the examples in PySpark's own docstrings against localcluster.

    pip install '.[spark]'
    python -m localcluster run --pyspark scripts/doctest_pyspark.py [FILE ...]

The docstrings are read from the source files of an installed PySpark, which is not imported and needs no Java; the
``pyspark`` that the examples import is localcluster's. A FILE is one of those below, such as ``core/rdd.py``; without
one, all are run. The exit code is 1 when an example fails. Examples on what has no meaning without a JVM are left
out; `LEFT_OUT` names each with its reason.
"""

from __future__ import annotations

import argparse
import ast
import doctest
import faulthandler
import importlib
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from functools import partial
from importlib import metadata
from itertools import takewhile
from typing import Any

DEADLINE = 120  # seconds for the examples of one file; some wait for locks without one
MASTERS = {  # file: the master that PySpark itself runs the file's examples on; None where they need no context
    "accumulators.py": "local",
    "conf.py": None,
    "core/broadcast.py": "local[4]",
    "core/context.py": "local[4]",
    "core/files.py": "local",
    "core/rdd.py": "local[4]",
    "core/status.py": "local",
    "profiler.py": None,
    "resource/profile.py": "local",
    "resultiterable.py": None,
    "serializers.py": None,
    "shuffle.py": None,
    "statcounter.py": "local",
    "storagelevel.py": None,
    "taskcontext.py": "local[2]",
    "util.py": "local",
}
HADOOP = "Hadoop's formats"
LEFT_OUT: Mapping[str, Mapping[str, str]] = {  # file: {name of the docstring: reason}
    "core/context.py": {
        "SparkContext.hadoopFile": HADOOP,
        "SparkContext.hadoopRDD": HADOOP,
        "SparkContext.newAPIHadoopFile": HADOOP,
        "SparkContext.newAPIHadoopRDD": HADOOP,
        "SparkContext.sequenceFile": HADOOP,
    },
    "core/rdd.py": {
        "RDD.saveAsHadoopDataset": HADOOP,
        "RDD.saveAsHadoopFile": HADOOP,
        "RDD.saveAsNewAPIHadoopDataset": HADOOP,
        "RDD.saveAsNewAPIHadoopFile": HADOOP,
        "RDD.saveAsSequenceFile": HADOOP,
    },
    # prints ids of RDDs, which Spark numbers as jobs need them and localcluster as they are made
    "profiler.py": {"Profiler": "ids of RDDs"},
    # looks for the path of PySpark's own file in a traceback
    "util.py": {"try_simplify_traceback": "a file of PySpark's"},
    "statcounter.py": {"StatCounter.asDict": "written for Python 2"},
}
LEFT_OUT_FROM = {  # file: {name of the docstring: a text in the first of its examples that is left out}
    "resource/profile.py": {"ResourceProfile": ".executorResources"},  # prints a dict in another order
    "conf.py": {"SparkConf": "conf._jconf"},  # a class of the JVM
    "serializers.py": {"": "rdd._jrdd"},  # the JVM's RDD
    "taskcontext.py": {"TaskContext": "pyspark.sql.functions"},  # DataFrames
}
OWN_CONTEXT = {"core/context.py": {"SparkContext"}}  # examples that make a context, so there must be none


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="doctest_pyspark.py", description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", metavar="FILE", help=f"any of {', '.join(MASTERS)} (default: all)")
    files = parser.parse_args(argv).files or list(MASTERS)
    unknown = [file for file in files if file not in MASTERS]
    if unknown:
        parser.error(f"no such file: {', '.join(unknown)}; there are {', '.join(MASTERS)}")
    try:
        distribution = metadata.distribution("pyspark")
    except metadata.PackageNotFoundError:
        parser.error("PySpark, whose docstrings are to be run, is not installed: pip install '.[spark]'")
    failed = attempted = 0
    for file in files:
        faulthandler.dump_traceback_later(DEADLINE, exit=True)
        result = run_file(os.path.join(str(distribution.locate_file("pyspark")), file), file)
        print(f"{file}: {result.attempted} examples, {result.failed} failed")
        failed += result.failed
        attempted += result.attempted
    print(f"PySpark {distribution.version}: {attempted} examples, {failed} failed")
    return 1 if failed else 0


def run_file(path: str, file: str) -> doctest.TestResults:
    """Run the docstrings of one source file with the facade's module of the same name as their globals."""
    module = importlib.import_module("pyspark." + file.removesuffix(".py").replace("/", "."))
    left_out = LEFT_OUT.get(file, {})
    runner = doctest.DocTestRunner(Checker(), optionflags=doctest.ELLIPSIS)
    names = set()
    with Session(MASTERS[file]) as session:
        for name, text, line in docstrings(path):
            names.add(name)
            if name in left_out:
                continue
            if name in OWN_CONTEXT.get(file, ()):
                session.stop()
                offered = {}
            else:
                offered = session.globs()
            globs = {**vars(module), **offered, "__name__": "__main__"}  # functions travel by value
            test = doctest.DocTestParser().get_doctest(text, globs, f"{file}:{name}", path, line)
            test.examples = list(takewhile(partial(_is_wanted, LEFT_OUT_FROM.get(file, {}).get(name)), test.examples))
            runner.run(test)
    gone = left_out.keys() - names
    if gone:
        raise LookupError(f"{file} has no docstring {', '.join(sorted(gone))} that could be left out")
    return runner.summarize(verbose=False)


def _is_wanted(end: str | None, example: doctest.Example) -> bool:
    return end is None or end not in example.source


class Checker(doctest.OutputChecker):
    """Takes an exception as expected when ``except`` with the class that the example names would catch it."""

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        wanted, raised = _exception_class(want), _exception_class(got)
        if wanted is not None and raised is not None and issubclass(raised, wanted):
            got = want.partition(":")[0] + "".join(got.partition(":")[1:])
        return super().check_output(want, got, optionflags)


def _exception_class(text: str) -> type[BaseException] | None:
    """The class that the last line of a traceback names."""
    name = text.partition(":")[0].strip().rpartition(".")[2]
    for module in ("localcluster.errors", "py4j.protocol", "builtins"):
        found = getattr(importlib.import_module(module), name, None)
        if isinstance(found, type) and issubclass(found, BaseException):
            return found
    return None


def docstrings(path: str) -> Iterator[tuple[str, str, int]]:
    """``(name, text, line)`` of each docstring that has an example."""
    with open(path, encoding="utf-8") as source:
        yield from _docstrings(ast.parse(source.read()), "")


def _docstrings(node: ast.Module | ast.ClassDef | ast.FunctionDef, name: str) -> Iterator[tuple[str, str, int]]:
    text = ast.get_docstring(node, clean=False)
    if text is not None and ">>>" in text:
        yield name, text, node.body[0].lineno - 1
    if not isinstance(node, ast.FunctionDef):
        for child in node.body:
            if isinstance(child, (ast.ClassDef, ast.FunctionDef)):
                yield from _docstrings(child, f"{name}.{child.name}".lstrip("."))


class Session:
    """What the examples find as ``sc`` and ``spark``: made anew when an example has stopped it."""

    def __init__(self, master: str | None) -> None:
        self._master = master
        self._checkpoints = tempfile.TemporaryDirectory(prefix="localcluster-doctest-")

    def globs(self) -> dict[str, Any]:
        if self._master is None:
            return {}
        from pyspark import SparkConf, SparkContext
        from pyspark.sql import SparkSession

        conf = SparkConf().setMaster(self._master).setAppName("doctest")
        context = SparkContext.getOrCreate(conf)
        context.setCheckpointDir(self._checkpoints.name)
        return {"sc": context, "spark": SparkSession.builder.getOrCreate()}

    def stop(self) -> None:
        from pyspark import SparkContext

        if SparkContext._active_spark_context is not None:
            SparkContext._active_spark_context.stop()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._checkpoints.cleanup()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
