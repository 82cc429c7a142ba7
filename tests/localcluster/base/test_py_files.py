"""Which directories and archives a job's own files put on the import path."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from localcluster.base.py_files import (
    SharedImportPath,
    extend_import_path,
    follow_import_path,
    forget_import_paths,
    search_paths,
)
from protocol.errors import ConfigurationError


def test_archives_and_directories_are_searched_themselves_and_files_by_their_directory(tmp_path: Path) -> None:
    for name in ("a.zip", "b.egg", "c.py"):
        (tmp_path / name).touch()
    given = [str(tmp_path / name) for name in ("a.zip", "b.egg", "c.py", "")]
    assert search_paths(given) == [given[0], given[1], str(tmp_path), str(tmp_path)]


def test_relative_names_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.py").touch()
    monkeypatch.chdir(tmp_path)
    assert search_paths(["a.py"]) == [str(tmp_path)]


@pytest.mark.parametrize(("name", "message"), [("none.py", "does not exist"), ("text.txt", "must be a .py file")])
def test_what_is_not_there_or_of_another_kind_is_named(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "text.txt").touch()
    with pytest.raises(ConfigurationError, match=f"{name} {message}"):
        search_paths([str(tmp_path / name)])


def test_each_path_is_added_once_behind_the_jobs_own_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.py").touch()
    monkeypatch.setattr(sys, "path", ["job", "library"])
    for _ in range(2):
        extend_import_path([str(tmp_path), str(tmp_path)])
    assert sys.path == ["job", str(tmp_path), "library"]


def test_executors_can_use_the_drivers_import_path_wherever_they_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", "/library", "below"])
    assert SharedImportPath().now() == (str(tmp_path), "/library", str(tmp_path / "below"))


def test_what_joins_the_drivers_import_path_joins_theirs_in_its_order_and_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "path", ["/job", "/library"])
    shared = SharedImportPath()
    sys.path[:] = ["/first", "/job", "/second", "/third", "/library", "/last"]
    assert shared.now() == ("/first", "/job", "/second", "/third", "/library", "/last")
    sys.path[:] = ["/job", "/library"]
    shared.add_file("/files")
    assert shared.now() == ("/first", "/job", "/second", "/third", "/library", "/last", "/files")
    told = shared.now()
    sys.path[:] = ["/job", "/own", "/library"]
    follow_import_path(told)
    assert sys.path == ["/first", "/job", "/second", "/third", "/own", "/library", "/last", "/files"]


def test_a_directory_is_forgotten_with_all_below_it_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", ["job", "/run/files", "/run/files/a.zip", "/run/files2"])
    forget_import_paths("/run/files")
    assert sys.path == ["job", "/run/files2"]
