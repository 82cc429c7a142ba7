"""The error of a failed job: the task's own exception is unpickled, whatever that does."""

from __future__ import annotations

import pickle
import sys
import traceback
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from localcluster.driver.task_failure import with_cause
from protocol.errors import TaskError


class Unpickling:
    """Runs ``function(*args)`` when it is unpickled."""

    def __init__(self, function: Any, *args: Any) -> None:
        self._call = function, args

    def __reduce__(self) -> Any:
        return self._call


def throw(error: BaseException) -> None:
    raise error


def test_the_exception_is_the_cause_of_an_error_of_its_own_for_each_job() -> None:
    shared = TaskError("it failed")
    errors = [with_cause(shared, pickle.dumps(ValueError("boom"))) for _ in range(2)]
    assert shared.cause is None
    assert errors[0].cause is not errors[1].cause
    for error in errors:
        assert str(error) == "it failed"
        assert isinstance(error.cause, ValueError)
        assert error.__cause__ is error.cause


@pytest.mark.parametrize(
    "pickled",
    [
        b"garbage",
        pickle.dumps("no exception"),
        pickle.dumps(Unpickling(throw, ValueError("cannot"))),
        pickle.dumps(Unpickling(throw, SystemExit(3))),
        pickle.dumps(Unpickling(throw, GeneratorExit())),
    ],
)
def test_one_that_cannot_be_unpickled_leaves_the_text(pickled: bytes) -> None:
    error = with_cause(TaskError("it failed"), pickled)
    assert (str(error), error.cause, error.__cause__) == ("it failed", None, None)


def test_a_keyboard_interrupt_meanwhile_is_the_users() -> None:
    with pytest.raises(KeyboardInterrupt):
        with_cause(TaskError("it failed"), pickle.dumps(Unpickling(throw, KeyboardInterrupt())))


def test_ipython_shows_the_error_of_the_task_once(monkeypatch: pytest.MonkeyPatch) -> None:
    ipython = ModuleType("IPython")
    formatter = SimpleNamespace(structured_traceback=traceback.format_exception)  # shows causes, as IPython's does
    ipython.get_ipython = lambda: SimpleNamespace(InteractiveTB=formatter)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    error_of_task = ValueError("boom")
    try:
        raise with_cause(TaskError(f"it failed: {error_of_task!r}"), pickle.dumps(error_of_task))
    except TaskError as error:
        caught = error
    shown = "".join(caught._render_traceback_())
    assert shown.count("boom") == 1
    assert __file__ in shown
    assert isinstance(caught.__cause__, ValueError)
