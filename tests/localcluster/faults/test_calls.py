"""Calls of the operating system that fail on purpose: each function of the doors is a place for it, armed and not."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest

from localcluster.base import os_layer as processes
from localcluster.faults import calls, grammar, plan
from localcluster.faults.injector import Injector
from localcluster.faults.keys import calls as known_calls
from protocol.errors import FaultPlanError
from storage import os_layer as files

DOORS = pytest.mark.parametrize("door", calls.DOORS, ids=lambda door: door.__name__)


@pytest.fixture
def injector(tmp_path: Path) -> Iterator[Injector]:
    injector = Injector("executor", "0", str(tmp_path))
    yield injector
    injector.disarm_all()
    assert_as_before()


def arm(injector: Injector, text: str) -> None:
    injector.start(0, plan(text))


def functions(door: ModuleType) -> dict[str, Any]:
    """What a door offers, however it is made."""
    mine = {name: value for name, value in vars(door).items() if getattr(value, "__module__", None) == door.__name__}
    return {name: value for name, value in mine.items() if not name.startswith("_") and callable(value)}


def assert_as_before() -> None:
    for door in calls.DOORS:
        assert not any(hasattr(call, "__wrapped__") for call in functions(door).values())


@DOORS
def test_each_function_of_a_door_is_a_place_for_faults(door: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def new_one(path: str) -> str:
        return path.upper()

    new_one.__module__ = door.__name__
    monkeypatch.setattr(door, "new_one", new_one, raising=False)
    seen: list[dict[str, Any]] = []
    calls.set_door(lambda site, **facts: seen.append({"site": site, **facts}))
    try:
        armed = functions(door)
        assert all(isinstance(call, FunctionType) and hasattr(call, "__wrapped__") for call in armed.values())
        assert set(armed) - {"new_one"} <= set(known_calls())
        assert door.new_one("text") == "TEXT"
        assert seen == [{"site": "call", "call": "new_one", "path": "text", "size": None, "shared": False}]
    finally:
        calls.set_door(None)
    assert_as_before()
    assert functions(door)["new_one"] is new_one


def test_the_nth_call_fails_with_the_errno_and_names_the_path(injector: Injector, tmp_path: Path) -> None:
    arm(injector, "fail call=make_directory errno=ENOSPC nth=2")
    files.make_directory(str(tmp_path / "1"))
    with pytest.raises(OSError, match="No space left on device") as caught:
        files.make_directory(str(tmp_path / "2"))
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(tmp_path / "2"))
    files.make_directory(str(tmp_path / "3"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "3", "faults-0"]


def test_all_calls_count_and_fail_from_then_on(injector: Injector) -> None:
    arm(injector, "fail nth=2 times=*")
    for end in processes.pipe():
        end.close()
    with pytest.raises(OSError, match="Input/output error"):
        processes.pipe()
    with pytest.raises(OSError, match="Input/output error"):
        files.pipe()


def test_a_file_that_cannot_be_closed_is_closed(injector: Injector, tmp_path: Path) -> None:
    fd = files.create(str(tmp_path / "file"))
    other = files.create(str(tmp_path / "other"))
    arm(injector, "fail call=close errno=EINTR; fail call=let_go")
    with pytest.raises(InterruptedError):
        files.close(fd)
    files.let_go(other)
    for closed in (fd, other):
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(closed)


def test_a_call_that_raises_no_errors_answers_as_it_does(injector: Injector, tmp_path: Path) -> None:
    arm(injector, "fail call=exists")
    assert not files.exists(str(tmp_path))
    assert files.exists(str(tmp_path))


def test_a_short_write_is_one_that_is_finished_by_the_next(injector: Injector, tmp_path: Path) -> None:
    path = str(tmp_path / "file")
    arm(injector, "short nth=2 times=2")
    fd = files.create(path)
    assert files.write(fd, b"12") == 2
    assert files.write(fd, b"3456789") == 3
    assert files.write_all(fd, memoryview(b"6789")) == 4
    files.close(fd)
    assert files.read_all(path) == b"123456789"


def test_a_write_of_one_byte_cannot_be_short(injector: Injector, tmp_path: Path) -> None:
    arm(injector, "short times=*")
    fd = files.create(str(tmp_path / "file"))
    assert files.write_all(fd, b"12345") == 5
    files.close(fd)


def test_shared_memory_that_is_full_takes_nothing_and_files_do(injector: Injector, tmp_path: Path) -> None:
    arm(injector, "full")
    with tempfile.TemporaryFile(dir="/dev/shm") as shared, open(tmp_path / "file", "wb") as file:
        for _ in range(2):
            with pytest.raises(OSError, match="No space left on device"):
                files.reserve(shared.fileno(), 4096)
        files.reserve(file.fileno(), 4096)
        assert files.file_size(file.fileno()) == 4096


@pytest.mark.parametrize("text", ["short call=reserve", "full call=write"])
def test_a_rule_for_a_call_of_which_it_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(FaultPlanError, match="is about the call"):
        plan(text)
    assert grammar.parse(text.partition(" ")[0])
