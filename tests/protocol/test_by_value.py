"""What is pickled by value keeps the names of its files, and the source where no file has it."""

from __future__ import annotations

import inspect
import json
import linecache
import pickle
import sys
import threading
import traceback
from collections.abc import Callable
from types import CodeType, FunctionType, ModuleType
from typing import Any

import cloudpickle
import numpy as np
import pytest

from protocol import by_value, wire

CELL = """def half(x):
    return x / 0
def outer():
    return lambda: half(1)
"""


def nested() -> Any:
    def inner() -> Any:
        return [lambda: None]

    return inner


def files(function: FunctionType) -> set[str]:
    """The names of files in the function's code and in all code nested in it."""
    todo, found = [function.__code__], set()
    for code in todo:
        found.add(code.co_filename)
        todo += [const for const in code.co_consts if isinstance(const, CodeType)]
    return found


@pytest.mark.parametrize("dumps", [by_value.dumps, wire.dumps])
def test_code_keeps_the_name_of_its_file(dumps: Callable[[Any], bytes]) -> None:
    function = pickle.loads(dumps(nested()))
    assert files(function) == {__file__}
    assert function.__code__.co_firstlineno == nested().__code__.co_firstlineno


def test_methods_of_a_class_keep_it_too() -> None:
    class Local:
        def method(self) -> None: ...

    class_of_another_process = pickle.loads(by_value.dumps(Local).replace(*_other_tracker(Local)))
    assert class_of_another_process is not Local
    assert files(class_of_another_process.method) == {__file__}


def _other_tracker(local: type) -> tuple[bytes, bytes]:
    """Cloudpickle gives back the very class where it knows the id that it gave it: as in a process that does not."""
    tracker = cloudpickle.cloudpickle._get_or_create_tracker_id(local).encode()
    return tracker, tracker[::-1]


def test_other_users_of_cloudpickle_have_it_as_it_is() -> None:
    assert cloudpickle.Pickler.dispatch_table[CodeType].__module__ == "cloudpickle.cloudpickle"
    assert by_value.Pickler.dispatch_table is not cloudpickle.Pickler.dispatch_table


def test_constants_that_are_no_literals_stay_as_they_are() -> None:
    function = FunctionType((lambda: "here").__code__.replace(co_consts=(None, np.int16(3))), {})
    copy = pickle.loads(by_value.dumps(function))
    assert type(copy()) is np.int16  # bytes, had marshal taken it
    assert files(copy) == {__file__}


def test_a_module_of_this_process_alone_goes_by_value(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("out_of_nothing")
    monkeypatch.setitem(sys.modules, "out_of_nothing", module)
    exec("def double(x): return 2 * x\ndef itself(): return me", module.__dict__)
    module.__dict__.update(me=module, __loader__=threading.Lock())  # a loader holds what it likes
    data = by_value.dumps([module, module.double, json])
    monkeypatch.delitem(sys.modules, "out_of_nothing")
    copy, double, same = pickle.loads(data)
    assert (copy.double(3), double(4), copy.me is copy) == (6, 8, True)
    assert copy.itself().__name__ == "out_of_nothing"
    assert same is json


def test_a_plain_pickle_is_no_good_where_it_names_such_a_module(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("x")
    monkeypatch.setitem(sys.modules, "x", module)
    exec("class Box: pass", module.__dict__)
    assert by_value.names_only_here(pickle.dumps([module.Box()], protocol=5))
    assert not by_value.names_only_here(pickle.dumps(["text with an x", object()], protocol=5))
    monkeypatch.delitem(sys.modules, "x")
    assert by_value.names_only_here(pickle.dumps("__main__"))  # and so it is pickled a second time, to the same effect


# --- source that no file has ---------------------------------------------------------------------------------------


def cell(name: str, source: str = CELL) -> dict[str, Any]:
    """The names that a notebook's cell defines."""
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(source, name, "exec"), namespace)
    return namespace


@pytest.fixture
def other_process(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], Any]:
    """Unpickles where no line of the source is known."""

    def load(data: bytes) -> Any:
        monkeypatch.setattr(linecache, "cache", {})
        monkeypatch.setattr(by_value, "_received", {})
        return pickle.loads(data)

    monkeypatch.setattr(linecache, "cache", {})
    return load


@pytest.mark.parametrize("name", ["/tmp/ipykernel_1/2.py", "<ipython-input-3-abc>", "<stdin>", "<doctest x[0]>"])
def test_the_lines_of_a_cell_are_shown_elsewhere(name: str, other_process: Callable[[bytes], Any]) -> None:
    outer = other_process(by_value.dumps(cell(name)["outer"]))
    with pytest.raises(ZeroDivisionError) as caught:
        outer()()
    text = "".join(traceback.format_exception(caught.value))
    assert f'File "{name}", line 2, in half\n    return x / 0\n' in text
    assert f'File "{name}", line 4, in <lambda>\n    return lambda: half(1)\n' in text
    assert inspect.getsource(outer) == "def outer():\n    return lambda: half(1)\n"


def test_the_lines_go_on_to_a_third_process(other_process: Callable[[bytes], Any]) -> None:
    half = other_process(by_value.dumps(cell("<cell>")["half"]))
    half = other_process(by_value.dumps(half))
    assert inspect.getsource(half) == "def half(x):\n    return x / 0\n"


def test_of_two_cells_of_one_name_the_later_one_is_shown(other_process: Callable[[bytes], Any]) -> None:
    first = by_value.dumps(cell("<stdin>")["half"])
    linecache.cache.clear()
    second = by_value.dumps(cell("<stdin>", CELL.replace("0", "2"))["half"])
    other_process(first)
    assert "x / 2" in inspect.getsource(pickle.loads(second))


def test_lines_that_this_process_knows_by_itself_stay() -> None:
    try:
        data = by_value.dumps(cell("<cell>")["half"])
        cell("<cell>", CELL.replace("0", "2"))
        pickle.loads(data)
        assert "x / 2" in linecache.getlines("<cell>")[1]
    finally:
        del linecache.cache["<cell>"]


def test_lines_that_python_keeps_beside_the_cache_go_too(
    monkeypatch: pytest.MonkeyPatch, other_process: Callable[[bytes], Any]
) -> None:
    half = cell("<python-input-0>")["half"]
    linecache.cache.clear()
    lines = CELL.splitlines(keepends=True)
    monkeypatch.setattr(linecache, "_getlines_from_code", lambda code: lines * (code is half.__code__), raising=False)
    assert inspect.getsource(other_process(by_value.dumps(half))) == "def half(x):\n    return x / 0\n"


def test_what_a_file_has_does_not_travel(other_process: Callable[[bytes], Any]) -> None:
    data = by_value.dumps(nested())
    assert b"lambda: None" not in data
    other_process(data)
    assert not by_value._received
