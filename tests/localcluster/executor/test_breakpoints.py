"""``breakpoint()`` in executors."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from localcluster.executor.breakpoints import refuse_breakpoints
from protocol.errors import ContextError

called: list[Any] = []


def debugger(*args: Any) -> str:
    called.append(args)
    return "debugged"


@pytest.fixture(autouse=True)
def hook(monkeypatch: pytest.MonkeyPatch) -> None:
    called.clear()
    monkeypatch.setattr(sys, "breakpointhook", sys.__breakpointhook__)
    monkeypatch.delenv("PYTHONBREAKPOINT", raising=False)


def test_a_breakpoint_says_what_to_do_instead() -> None:
    refuse_breakpoints()
    with pytest.raises(ContextError, match="call the function in the driver") as caught:
        breakpoint()
    assert "PYTHONBREAKPOINT" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_another_debugger_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_breakpoints()
    monkeypatch.setitem(sys.modules, "some_debugger", sys.modules[__name__])
    monkeypatch.setenv("PYTHONBREAKPOINT", "some_debugger.debugger")
    assert breakpoint(1) == "debugged"  # type: ignore[func-returns-value]
    monkeypatch.setenv("PYTHONBREAKPOINT", "0")
    assert breakpoint(2) is None  # type: ignore[func-returns-value]
    monkeypatch.setattr(sys, "breakpointhook", debugger)
    refuse_breakpoints()
    assert breakpoint(3) == "debugged"  # type: ignore[func-returns-value]
    assert called == [(1,), (3,)]
