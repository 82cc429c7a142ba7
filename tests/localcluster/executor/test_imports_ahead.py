from __future__ import annotations

import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from localcluster.executor import imports_ahead
from protocol.cluster_messages import ImportLibrary
from tests.support import DEADLINE, InThread, wait_until


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "needed_later", raising=False)
    return tmp_path / "needed_later.py"


def test_a_library_is_imported(library: Path) -> None:
    library.write_text("here = True")
    imports_ahead.begin(ImportLibrary("needed_later", str(library)))
    wait_until(lambda: hasattr(sys.modules.get("needed_later"), "here"))


def test_a_task_begins_when_the_library_is_whole(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it might import a module inside of it first, and get the half of that."""
    go_on = threading.Event()
    monkeypatch.setitem(sys.modules, "needed_event", SimpleNamespace(wait=lambda: go_on.wait(DEADLINE)))
    library.write_text("import needed_event\nneeded_event.wait()\nhere = True")
    imports_ahead.begin(ImportLibrary("needed_later", str(library)))
    tasks = [InThread(imports_ahead.finish) for _ in range(2)]
    go_on.set()
    for task in tasks:
        task.outcome()
        assert sys.modules["needed_later"].here
    imports_ahead.finish()


@pytest.mark.parametrize(("text", "path"), [("here = True", "/elsewhere.py"), ("1 / 0", None), (None, None)])
def test_another_one_or_one_that_cannot_be_imported_is_left_to_the_task(
    library: Path, text: str | None, path: str | None
) -> None:
    if text is not None:
        library.write_text(text)
    imports_ahead._import(ImportLibrary("needed_later", path or str(library)))
    assert "needed_later" not in sys.modules
