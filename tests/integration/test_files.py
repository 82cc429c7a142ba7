"""Files that go with jobs, in driver, executors and their replacements."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localcluster import SparkContext, SparkFiles
from protocol.errors import InputPathError, SparkException, TaskError


def value_of(name: str) -> Any:
    return __import__(name).VALUE


def imported(sc: SparkContext, name: str) -> list[Any]:
    return sc.parallelize(range(4), 4).map(lambda _: __import__(name).VALUE).collect()


def package(path: Path, module: str, value: int) -> str:
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr(f"{module}.py", f"VALUE = {value}")
    return str(path)


@pytest.fixture(autouse=True)
def modules() -> Iterator[None]:
    """What the driver imports here is forgotten again."""
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("lc_test_"):
            del sys.modules[name]


def test_tasks_and_driver_find_files_at_one_place(sc: SparkContext, tmp_path: Path) -> None:
    (tmp_path / "factor").write_text("100")
    sc.addFile(str(tmp_path / "factor"))
    sc.addArchive(package(tmp_path / "packed.zip", "m", 0) + "#unpacked")
    assert f"file:{tmp_path}/factor" in sc.listFiles
    assert f"file:{tmp_path}/packed.zip#unpacked" in sc.listArchives

    def look(_: int) -> tuple[str, str, list[str]]:
        with open(SparkFiles.get("factor")) as file:
            return SparkFiles.getRootDirectory(), file.read(), os.listdir(SparkFiles.get("unpacked"))

    assert set(map(repr, sc.parallelize(range(4), 4).map(look).collect())) == {
        repr((SparkFiles.getRootDirectory(), "100", ["m.py"]))
    }


def test_paths_may_be_path_objects(sc: SparkContext, tmp_path: Path) -> None:
    (tmp_path / "as_path").write_text("100")
    package(tmp_path / "as_path.zip", "lc_test_as_path", 7)
    sc.addFile(tmp_path / "as_path")
    sc.addPyFile(tmp_path / "as_path.zip")
    sc.addArchive(tmp_path / "as_path.zip")
    assert imported(sc, "lc_test_as_path") == [7] * 4
    assert os.path.exists(SparkFiles.get("as_path.zip/lc_test_as_path.py"))
    for method in (sc.addFile, sc.addPyFile, sc.addArchive):
        for wrong in (None, b"/tmp", 5, ["/tmp"]):
            with pytest.raises(
                TypeError, match=f"path of {method.__name__} must be a str or an os.PathLike of str, no"
            ):
                method(wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="pyFiles must be a list of paths, not the path /x"):
        sc._files.add_first(sc.conf, "/x")


def test_a_module_that_a_task_did_not_find_is_found_once_it_was_added(sc: SparkContext, tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="No module named 'lc_test_late'"):
        imported(sc, "lc_test_late")
    (tmp_path / "lc_test_late.py").write_text("VALUE = 1")
    sc.addPyFile(str(tmp_path / "lc_test_late.py"))
    assert imported(sc, "lc_test_late") == [1] * 4
    assert value_of("lc_test_late") == 1


def test_a_module_among_plain_files_is_found_too(sc: SparkContext, tmp_path: Path) -> None:
    (tmp_path / "lc_test_plain.py").write_text("VALUE = 4")
    sc.addFile(str(tmp_path / "lc_test_plain.py"))
    assert imported(sc, "lc_test_plain") == [4] * 4


@pytest.mark.parametrize("ending", ["zip", "egg", "jar", "ZIP"])
def test_packages_are_imported_from(ending: str, sc: SparkContext, tmp_path: Path) -> None:
    name = f"lc_test_in_{ending}"
    sc.addPyFile(package(tmp_path / f"{name}.{ending}", name, 2))
    assert imported(sc, name) == [2] * 4
    assert value_of(name) == 2
    assert sc._python_includes is not None
    assert sc._python_includes[-1] == f"{name}.{ending}"


def test_functions_of_an_added_module_travel_by_name(sc: SparkContext, tmp_path: Path) -> None:
    (tmp_path / "lc_test_functions.py").write_text("def double(x):\n    return 2 * x\n")
    sc.addPyFile(str(tmp_path / "lc_test_functions.py"))
    assert sc.parallelize([1, 2]).map(__import__("lc_test_functions").double).collect() == [2, 4]


def test_an_executor_that_replaces_another_finds_them_too(sc: SparkContext, tmp_path: Path) -> None:
    sc.addPyFile(package(tmp_path / "lc_test_kept.zip", "lc_test_kept", 3))
    flag = str(tmp_path / "died")

    def die_once(_: int) -> Any:
        with contextlib.suppress(FileExistsError):
            os.mkdir(flag)
            os.kill(os.getpid(), signal.SIGKILL)
        return value_of_kept(), os.listdir(SparkFiles.getRootDirectory())

    def value_of_kept() -> Any:
        return __import__("lc_test_kept").VALUE

    values = sc.parallelize(range(4), 4).map(die_once).collect()
    assert [value for value, _ in values] == [3] * 4
    assert all("lc_test_kept.zip" in names for _, names in values)


def test_errors_come_from_the_call_and_leave_jobs_alone(sc: SparkContext, tmp_path: Path) -> None:
    with pytest.raises(InputPathError, match="gone does not exist"):
        sc.addFile(f"{tmp_path}/gone")
    with pytest.raises(SparkException, match="is a directory"):
        sc.addFile(str(tmp_path))
    assert sc.parallelize([1]).collect() == [1]


def test_sparkfiles_is_not_constructed() -> None:
    with pytest.raises(NotImplementedError, match="Do not construct SparkFiles objects"):
        SparkFiles()
