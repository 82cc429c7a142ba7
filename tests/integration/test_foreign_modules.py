"""Functions, classes and modules that executors do not find by the import path that they started with work."""

from __future__ import annotations

import importlib.util
import os
import runpy
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from localcluster import SparkContext
from localcluster.errors import SerializationError, TaskError

ROOT = Path(__file__).resolve().parents[2]

SOURCE = """
class Box:
    def __init__(self, x):
        self.x = x
def double(x):
    return 2 * x
def fail(x):
    raise Full(x)
class Full(Exception):
    pass
"""

SCRIPT = f"""{SOURCE}
from localcluster import SparkContext
sc = SparkContext.getOrCreate()
boxes = sc.parallelize([Box(1), Box(2)], 2).map(lambda box: Box(double(box.x))).collect()
result = [box.x for box in boxes], {{type(box) is Box for box in boxes}}, sc.parallelize([3], 1).map(double).first()
"""


@pytest.fixture(autouse=True)
def modules_and_path_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


def by_hand(tmp_path: Path, name: str = "by_hand") -> ModuleType:
    (tmp_path / f"{name}.py").write_text(SOURCE)
    spec = importlib.util.spec_from_file_location(name, tmp_path / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def out_of_nothing(tmp_path: Path) -> ModuleType:
    module = sys.modules["out_of_nothing"] = ModuleType("out_of_nothing")
    exec(SOURCE, module.__dict__)
    return module


def from_a_path_that_came_and_went(tmp_path: Path) -> ModuleType:
    (tmp_path / "came_and_went.py").write_text(SOURCE)
    sys.path.insert(0, str(tmp_path))
    module = importlib.import_module("came_and_went")
    del sys.path[0]
    return module


@pytest.mark.parametrize("make", [by_hand, out_of_nothing, from_a_path_that_came_and_went])
def test_what_a_module_of_the_driver_alone_defines_travels(
    sc: SparkContext, tmp_path: Path, make: Callable[[Path], ModuleType]
) -> None:
    module = make(tmp_path)
    Box = module.Box
    assert sc.parallelize([1, 2], 2).map(module.double).collect() == [2, 4]
    assert sc.parallelize([1, 2], 2).map(lambda x: module.double(x)).collect() == [2, 4]
    records = sc.parallelize([Box(1), Box(2)], 2)
    assert [box.x for box in records.map(lambda box: Box(box.x + 1)).cache().collect()] == [2, 3]
    assert {type(box) for box in records.repartition(3).collect()} == {Box}
    shared = sc.broadcast(Box(7))
    assert sc.parallelize([1], 1).map(lambda x: (shared.value.x, type(shared.value) is Box)).first() == (7, True)
    with pytest.raises(TaskError) as caught:
        sc.parallelize([1], 1).foreach(module.fail)
    assert type(caught.value.__cause__) is module.Full


def test_so_do_modules_from_a_directory_that_came_onto_the_import_path_later(sc: SparkContext, tmp_path: Path) -> None:
    (tmp_path / "came_later.py").write_text(SOURCE)
    sc.parallelize([1], 1).count()
    sys.path.append(str(tmp_path))
    module = importlib.import_module("came_later")
    assert sc.parallelize([1, 2], 2).map(module.double).collect() == [2, 4]
    # By reference, as other modules: it is one and the same in all tasks of an executor.
    assert sc.parallelize([1], 1).map(lambda x: sys.modules[module.__name__].double is module.double).first()

    # So it stays when the directory leaves the driver's path: executors have it.
    sys.path.remove(str(tmp_path))
    later = by_hand(tmp_path, "went_later")
    assert sc.parallelize([1], 1).map(lambda x: sys.modules[later.__name__].double is later.double).first()


@pytest.mark.parametrize("name", [None, "the_job", "__main__"])
def test_a_script_that_runpy_runs_works(sc: SparkContext, tmp_path: Path, name: str | None) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    assert runpy.run_path(str(script), run_name=name)["result"] == ([2, 4], {True}, 6)


def test_a_module_that_runs_its_job_as_it_is_imported_works(sc: SparkContext, tmp_path: Path) -> None:
    (tmp_path / "runs_jobs.py").write_text(SCRIPT)
    sys.path.append(str(tmp_path))
    assert importlib.import_module("runs_jobs").result == ([2, 4], {True}, 6)


def test_what_cannot_go_by_value_names_the_module_and_the_way_out(sc: SparkContext, tmp_path: Path) -> None:
    module = by_hand(tmp_path)
    module.lock = threading.Lock()  # type: ignore[attr-defined]
    exec("def locked(x): return lock.locked()", module.__dict__)
    with pytest.raises(SerializationError, match=r"lock.*by_hand defines .* addPyFile or --py-files"):
        sc.parallelize([1], 1).map(module.locked).collect()
    sc.addPyFile(str(tmp_path / "by_hand.py"))
    del sys.modules["by_hand"]
    assert sc.parallelize([1], 1).map(importlib.import_module("by_hand").double).first() == 2


def test_a_test_suite_in_importlib_mode_runs(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "conftest.py").write_text(
        """
import pytest
from pyspark import SparkContext
@pytest.fixture(scope="session")
def sc():
    with SparkContext("local[2]", "suite") as context:
        yield context
"""
    )
    (tmp_path / "tests" / "test_boxes.py").write_text(
        f"""{SOURCE}
def test_function(sc):
    assert sc.parallelize([1, 2]).map(double).collect() == [2, 4]
def test_class(sc):
    boxes = sc.parallelize([Box(1), Box(2)]).map(lambda box: Box(double(box.x))).collect()
    assert [(box.x, type(box)) for box in boxes] == [(2, Box), (4, Box)]
"""
    )
    pytest_program = os.path.join(os.path.dirname(sys.executable), "pytest")
    command = [
        sys.executable,
        "-m",
        "localcluster",
        "run",
        "--pyspark",
        pytest_program,
        "-q",
        "--import-mode=importlib",
    ]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*command, "tests"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
    )
    assert "2 passed" in done.stdout, done.stdout + done.stderr
