"""Which modules others find by the import path, and which are this process's alone."""

from __future__ import annotations

import importlib
import importlib.util
import json
import runpy
import sys
import zipfile
from collections.abc import Callable, Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import pytest

from protocol import importable
from protocol.importable import only_here


def write(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def load(name: str, file: Path) -> ModuleType:
    """A module from a file, wherever that lies."""
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


before: set[str] = set()


def only_mine() -> frozenset[str]:
    """Of the modules that the test itself made: other tests leave some, and pytest may load theirs by hand."""
    return only_here() - before


@pytest.fixture(autouse=True)
def modules_and_path_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before.clear()
    before.update(sys.modules)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_what_this_program_imported_in_the_usual_ways_is_importable() -> None:
    assert {"json", "pytest", "protocol.importable", "sys", "os.path", "_pytest.fixtures"} <= set(sys.modules)
    assert not {"json", "pytest", "protocol.importable", "sys", "os.path", "_pytest.fixtures"} & only_here()


def test_so_are_modules_packages_and_archives_on_the_import_path(tmp_path: Path) -> None:
    for file in ("lone_module.py", "with_init/__init__.py", "with_init/part.py", "without_init/part.py"):
        write(tmp_path / file)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("zipped_module.py", "")
    sys.path += [str(tmp_path), str(tmp_path / "a.zip")]
    for name in ("lone_module", "with_init.part", "without_init.part", "zipped_module"):
        importlib.import_module(name)
    assert not only_mine()


def test_a_module_from_a_file_beside_the_path_is_not(tmp_path: Path) -> None:
    load("by_hand", write(tmp_path / "by_hand.py"))
    assert only_mine() == {"by_hand"}


def test_nor_is_one_of_whose_name_the_path_has_another(tmp_path: Path) -> None:
    write(tmp_path / "first" / "twice.py")
    sys.path.append(str(tmp_path / "first"))
    load("twice", write(tmp_path / "second" / "twice.py"))
    assert only_mine() == {"twice"}
    del sys.modules["twice"]
    importlib.import_module("twice")
    assert not only_mine()


def test_a_package_that_is_not_importable_has_no_importable_parts(tmp_path: Path) -> None:
    write(tmp_path / "package" / "__init__.py")
    write(tmp_path / "package" / "part.py")
    sys.path.insert(0, str(tmp_path))
    importlib.import_module("package.part")
    del sys.path[0]
    assert only_mine() == {"package", "package.part"}


def test_a_part_that_was_loaded_from_elsewhere_is_not_importable_though_its_package_is(tmp_path: Path) -> None:
    write(tmp_path / "package" / "__init__.py")
    sys.path.insert(0, str(tmp_path))
    importlib.import_module("package")
    load("package.plugin", write(tmp_path / "plugins" / "plugin.py"))
    assert only_mine() == {"package.plugin"}


def test_a_module_without_a_file_is_not_importable_but_for_a_part_of_an_importable_package() -> None:
    for name in ("out_of_nothing", "json.out_of_nothing"):
        sys.modules[name] = ModuleType(name)
    assert only_mine() == {"out_of_nothing"}


def test_a_second_name_and_what_is_no_module_do_not_count() -> None:
    sys.modules["alias_of_json"] = json
    sys.modules["an_object"] = object()  # type: ignore[assignment]
    assert not only_mine()


def test_a_lazy_module_is_not_loaded_by_being_looked_at(tmp_path: Path) -> None:
    write(tmp_path / "lazy_module.py", "raise AssertionError('loaded')")
    sys.path.append(str(tmp_path))
    spec = importlib.util.find_spec("lazy_module")
    assert spec is not None
    assert spec.loader is not None
    spec.loader = importlib.util.LazyLoader(spec.loader)  # type: ignore[arg-type]
    module = sys.modules["lazy_module"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert not only_mine()


class Finder:
    """Finds modules in a table of files, as editable packages install such finders."""

    def __init__(self, make: Callable[[str], ModuleSpec | None]) -> None:
        self.find_spec = lambda name, path=None, target=None: make(name)


def test_a_finder_of_files_is_one_that_others_have_and_any_other_is_not(tmp_path: Path) -> None:
    write(tmp_path / "editable.py")
    table = {"editable": importlib.util.spec_from_file_location("editable", tmp_path / "editable.py")}
    sys.meta_path += [Finder(table.get)]  # type: ignore[list-item]
    importlib.import_module("editable")
    assert not only_mine()

    class Loader:
        def create_module(self, spec: ModuleSpec) -> None: ...
        def exec_module(self, module: ModuleType) -> None: ...

    def broken(name: str) -> None:
        raise RuntimeError(name)

    table["of_a_notebook"] = ModuleSpec("of_a_notebook", Loader(), origin=str(tmp_path / "of_a_notebook.ipynb"))  # type: ignore[arg-type]
    importlib.import_module("of_a_notebook")
    sys.meta_path += [Finder(broken)]  # type: ignore[list-item]
    assert only_mine() == {"of_a_notebook"}


def test_a_module_whose_own_body_asks_is_not_importable_nor_what_it_imports_of_itself(tmp_path: Path) -> None:
    write(
        tmp_path / "runs_jobs" / "__init__.py",
        "from . import part; from protocol.importable import only_here; seen = only_here()",
    )
    write(tmp_path / "runs_jobs" / "part.py")
    sys.path.append(str(tmp_path))
    assert importlib.import_module("runs_jobs").seen >= {"runs_jobs", "runs_jobs.part"}
    assert only_mine() == {"runs_jobs", "runs_jobs.part"}


def test_nor_is_one_whose_body_has_a_thread_ask_and_waits_for_it(tmp_path: Path) -> None:
    write(
        tmp_path / "job_in_a_thread.py",
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from protocol.importable import only_here\n"
        "with ThreadPoolExecutor(1) as threads:\n"
        "    seen = threads.submit(only_here).result()\n",
    )
    sys.path.append(str(tmp_path))
    assert "job_in_a_thread" in importlib.import_module("job_in_a_thread").seen


@pytest.mark.parametrize("name", [None, "the_job"])
def test_what_runpy_runs_is_not_importable_while_it_runs(tmp_path: Path, name: str | None) -> None:
    script = write(tmp_path / "script.py", "from protocol.importable import only_here; seen = only_here()")
    assert runpy.run_path(str(script), run_name=name)["seen"] >= {name or "<run_path>"}
    assert not only_mine()


def test_what_is_known_is_not_looked_for_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load("by_hand", write(tmp_path / "by_hand.py"))
    only_here()
    looks: list[str] = []
    monkeypatch.setattr(importable, "_look_for", lambda name, module, running: looks.append(name) or (True, None))
    only_here()
    assert looks == []
    sys.modules["one_more"] = ModuleType("one_more")
    assert only_mine() == {"by_hand"}
    assert looks == ["one_more"]


def test_where_others_search_is_searched_too(tmp_path: Path) -> None:
    write(tmp_path / "there_before.py")
    sys.path.append(str(tmp_path))
    importlib.import_module("there_before")
    sys.path.remove(str(tmp_path))
    try:
        assert only_mine() == {"there_before"}
        importable.also_search([str(tmp_path)])
        assert not only_mine()
    finally:
        importable.also_search([])
