"""Tasks show the user's files and lines: in tracebacks, warnings and `inspect`, of files and of notebooks' cells."""

from __future__ import annotations

import inspect
import linecache
import traceback
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from localcluster import SparkContext
from localcluster.errors import TaskError

CELL = """import warnings
class Halver:
    def half(self, x):
        return x / 0
def outer():
    return lambda x: Halver().half(x)
def warn(x):
    warnings.warn("of a cell")
"""


@pytest.fixture
def cell() -> Iterator[dict[str, Any]]:
    """What a notebook's cell defines: no file has its source, this process alone knows the lines."""
    name = "/tmp/ipykernel_1/2.py"
    linecache.cache[name] = (len(CELL), None, CELL.splitlines(keepends=True), name)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(CELL, name, "exec"), namespace)
    yield namespace
    del linecache.cache[name]


def line_of(function: Callable[..., Any]) -> int:
    return function.__code__.co_firstlineno


def test_the_error_of_a_task_shows_file_line_and_source(sc: SparkContext) -> None:
    def divide(x: int) -> float:
        return x / (x - x)  # this very line

    with pytest.raises(TaskError) as caught:
        sc.parallelize([1, 2], 2).map(lambda x: divide(x)).collect()
    assert (
        f'File "{__file__}", line {line_of(divide) + 1}, in divide\n    return x / (x - x)  # this very line\n'
        in str(caught.value)
    )
    assert "/localcluster/" not in str(caught.value)


def test_so_does_the_error_of_a_function_from_a_cell(sc: SparkContext, cell: dict[str, Any]) -> None:
    numbers, broadcast = sc.parallelize([1], 1), sc.broadcast(cell["outer"])
    for rdd in (
        numbers.map(cell["outer"]()),
        numbers.map(lambda x: broadcast.value()(x)),
        sc.parallelize([cell["outer"]()], 1).map(lambda function: function(1)),
        numbers.map(lambda x: cell["outer"]()).repartition(2).map(lambda function: function(1)),
    ):
        with pytest.raises(TaskError) as caught:
            rdd.collect()
        assert 'File "/tmp/ipykernel_1/2.py", line 4, in half\n    return x / 0\n' in str(caught.value)
        assert 'File "/tmp/ipykernel_1/2.py", line 6, in <lambda>\n' in str(caught.value)


def test_inspect_and_warnings_in_tasks_show_them(sc: SparkContext, cell: dict[str, Any]) -> None:
    def here(x: int) -> str:
        warnings.warn("of a file", stacklevel=1)
        return inspect.getsource(here)

    def look(function: Callable[[int], Any]) -> tuple[Any, str]:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            result = function(1)
        return result, f"{caught[0].filename}:{caught[0].lineno}"

    source, where = sc.parallelize([here], 1).map(look).first()
    assert source == inspect.getsource(here)
    assert where == f"{__file__}:{line_of(here) + 1}"
    warn = cell["warn"]
    assert sc.parallelize([warn], 1).map(look).first()[1] == "/tmp/ipykernel_1/2.py:8"
    assert sc.parallelize([warn], 1).map(inspect.getsource).first() == inspect.getsource(warn)


def test_functions_and_exceptions_that_tasks_give_back_show_them(sc: SparkContext) -> None:
    def make(x: int) -> Callable[[], Any]:
        return lambda: 1 / 0

    function = sc.parallelize([1], 1).map(make).first()
    with pytest.raises(ZeroDivisionError) as caught:
        function()
    frame = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert (frame.filename, frame.lineno, frame.line) == (__file__, line_of(make) + 1, "return lambda: 1 / 0")

    def fail(x: int) -> None:
        raise ValueError(make(x))

    with pytest.raises(TaskError) as failed:
        sc.parallelize([1], 1).foreach(fail)
    assert isinstance(failed.value.cause, ValueError)
    assert failed.value.cause.args[0].__code__.co_filename == __file__
