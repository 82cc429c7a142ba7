from __future__ import annotations

import pickle
from concurrent.futures import Future
from typing import Any

import numpy as np
import pytest

from localcluster.futures.outcome import Outcome, Raised
from localcluster.futures.remote_call import PickledCall, RemoteCall, run
from protocol import by_value
from protocol.errors import SerializationError, TaskKilledError


def pickled(function: Any, *args: Any) -> PickledCall:
    return by_value.dumps(function), by_value.dumps((args, {}))


def outcome_of(function: Any, *args: Any) -> Outcome:
    """As it travels: large buffers beside the pickle, then as the driver's own memory."""
    return travelled(run(pickled(function, *args)))


def travelled(outcome: Outcome) -> Outcome:
    buffers: list[pickle.PickleBuffer] = []
    data = pickle.dumps(outcome, 5, buffer_callback=buffers.append)
    received: Outcome = pickle.loads(data, buffers=[bytearray(buffer.raw()) for buffer in buffers])
    return received


def settled(outcome: Outcome) -> Future[Any]:
    future: Future[Any] = Future()
    outcome.settle(future)
    return future


def fail(text: str) -> None:
    raise LookupError(text)


class Picky(Exception):
    def __init__(self, one: int, two: int) -> None:
        super().__init__("picky")


class Unpicklable(Exception):
    pass


def raise_it(error: BaseException) -> None:
    raise error


def raise_unpicklable() -> None:
    raise Unpicklable("which cannot travel", (i for i in ()))


class RefusesToBeRead:
    def __reduce__(self) -> Any:
        return fail, ("cannot be read",)


def test_a_result_comes_back_and_its_arrays_are_the_drivers_own() -> None:
    result = settled(outcome_of(np.arange, 10)).result()
    assert result.tolist() == list(range(10))
    result[0] = 7  # writable


def test_functions_come_back_by_value() -> None:
    assert settled(outcome_of(lambda: lambda x: x + 1)).result()(1) == 2


def test_an_exception_has_the_remote_traceback_as_its_cause() -> None:
    error = settled(outcome_of(fail, "here")).exception()
    assert type(error) is LookupError
    assert error.args == ("here",)
    shown = str(error.__cause__)
    assert shown.startswith('\n"""\nTraceback (most recent call last):')
    assert "in fail" in shown
    assert "remote_call.py" not in shown, "our own frames say nothing to the user"


def test_exceptions_that_pickle_but_cannot_be_built_again_come_back() -> None:
    assert type(settled(outcome_of(raise_it, SystemExit(3))).exception()) is SystemExit
    error = settled(travelled(run(pickled(lambda: raise_it(Picky(1, 2)))))).exception()
    assert type(error) is Picky


def test_an_exception_that_cannot_be_pickled_is_told_by_its_name_and_traceback() -> None:
    error = settled(outcome_of(raise_unpicklable)).exception()
    assert type(error) is SerializationError
    assert "Unpicklable" in str(error)
    assert "which cannot travel" in str(error.__cause__)


def test_a_result_that_cannot_be_pickled_is_the_end_of_its_call_only() -> None:
    assert type(settled(outcome_of(lambda: (i for i in ()))).exception()) is TypeError


def test_a_result_that_cannot_be_read_is_the_end_of_its_call_only() -> None:
    assert str(settled(outcome_of(RefusesToBeRead)).exception()) == "cannot be read"


def test_a_kill_is_no_outcome() -> None:
    with pytest.raises(TaskKilledError):
        run(pickled(raise_it, TaskKilledError("stop")))


# --- initializers ---

calls: list[str] = []


def note(text: str) -> None:
    calls.append(text)


def test_an_initializer_runs_before_the_first_call_and_again_after_another_one() -> None:
    calls.clear()
    first, second = RemoteCall(pickled(note, "first")), RemoteCall(pickled(note, "second"))
    for action in (first, first, second, first):
        assert settled(action(None, pickled(note, "call"))).result() is None  # type: ignore[arg-type]
    assert calls == ["first", "call", "call", "second", "call", "first", "call"]


def test_no_call_runs_when_the_initializer_failed() -> None:
    calls.clear()
    action = RemoteCall(pickled(fail, "not ready"))
    for _ in range(2):
        outcome = action(None, pickled(note, "call"))  # type: ignore[arg-type]
        assert isinstance(outcome, Raised)
        assert outcome.of_initializer
    assert calls == []
