"""Where a task may be interrupted: in the user's code, wherever it lies, and not in ours nor while it imports."""

from __future__ import annotations

import importlib.util
import sys
from types import FrameType
from typing import Any

import pytest

from localcluster.compat.util import fail_on_stopiteration
from localcluster.executor.kills import is_user_code


def frame_in(filename: str) -> FrameType:
    """A frame whose code claims to be from that file."""
    code = compile("import sys; frame = sys._getframe()", filename, "exec")
    names: dict[str, FrameType] = {}
    exec(code, names)
    return names["frame"]


@pytest.mark.parametrize(
    "filename", [__file__, "/home/me/importlib_demo/job.py", "/tmp/ipykernel_1/2.py", "<stdin>", "<string>"]
)
def test_the_users_code_may_be_interrupted(filename: str) -> None:
    assert is_user_code(frame_in(filename))


@pytest.mark.parametrize("filename", [fail_on_stopiteration.__code__.co_filename, importlib.util.__file__])
def test_our_code_and_imports_may_not(filename: str) -> None:
    assert not is_user_code(frame_in(filename))


def test_code_that_an_import_runs_may_not() -> None:
    names: dict[str, Any] = {}
    exec(compile("def load(module): return module()", importlib.util.__file__, "exec"), names)
    assert not is_user_code(names["load"](sys._getframe))
    assert not is_user_code(names["load"](lambda: sys._getframe()))
