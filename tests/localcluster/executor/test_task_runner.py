"""How the failure of a task is told: whose frames are shown, and what of the exception travels."""

from __future__ import annotations

import pickle
import sys
from typing import Any

import pytest

from localcluster.executor.task_runner import describe
from localcluster.shuffle.aggregator import Aggregator
from protocol.cluster_messages import TaskDescription, TaskFailed
from protocol.errors import DeserializationError, FetchFailedError, SerializationError
from storage import serializer

TASK = TaskDescription(7, 0, 0, b"")


def failure(call: Any) -> TaskFailed:
    try:
        call()
    except BaseException as error:
        return describe(TASK, error)
    raise AssertionError("the call did not raise")


def users_function(*_: Any) -> Any:
    raise ValueError("bad record")


def through_our_code() -> None:
    Aggregator(users_function, users_function, users_function).combine_values([(1, 2)])


def chained() -> None:
    try:
        through_our_code()
    except ValueError as error:
        raise KeyError("wrapped") from error


def during_handling() -> None:
    try:
        through_our_code()
    except ValueError:
        raise KeyError("second") from None


def test_our_own_frames_are_left_out_and_the_users_stay() -> None:
    report = failure(through_our_code)
    assert report.task_id == 7
    assert report.kind == "exception"
    assert "users_function" in report.text
    assert "in combine_values" not in report.text
    assert report.text.rstrip().endswith("ValueError: bad record")


def test_an_error_of_which_all_frames_are_ours_keeps_them() -> None:
    with pytest.raises(TypeError) as caught:
        Aggregator(None, None, None).combine_values([(1, 2)])  # type: ignore[arg-type]
    error = caught.value
    assert error.__traceback__ is not None
    assert "in combine_values" in describe(TASK, error.with_traceback(error.__traceback__.tb_next)).text


def test_the_frames_of_a_cause_are_left_out_too() -> None:
    text = failure(chained).text
    assert "direct cause" in text
    assert "ValueError: bad record" in text
    assert "KeyError: 'wrapped'" in text
    assert "in combine_values" not in text


class Unloadable:
    def __reduce__(self) -> Any:
        return users_function, ()


def test_a_record_that_cannot_be_unpickled_has_the_users_frames_only_and_may_be_tried_again() -> None:
    block = b"".join(serializer.dumps(Unloadable()))
    with pytest.raises(DeserializationError) as caught:
        serializer.loads(block)
    error = caught.value
    assert error.__traceback__ is not None
    report = describe(TASK, error.with_traceback(error.__traceback__.tb_next))
    assert report.kind == "exception"
    assert "in users_function" in report.text
    assert "in _load" not in report.text
    assert report.text.rstrip().endswith("DeserializationError: cannot unpickle a record: ValueError: bad record")


def test_a_context_that_was_suppressed_is_not_shown() -> None:
    text = failure(during_handling).text
    assert "KeyError: 'second'" in text
    assert "bad record" not in text


def test_the_exception_travels_with_its_arguments() -> None:
    report = failure(lambda: users_function())
    assert report.error is not None
    error = pickle.loads(report.error)
    assert type(error) is ValueError
    assert error.args == ("bad record",)


def test_an_exception_that_its_own_constructor_cannot_build_again_travels_all_the_same() -> None:
    class Picky(Exception):
        def __init__(self, number: int, name: str) -> None:
            super().__init__(f"{number} {name}")

    def call() -> None:
        raise Picky(1, "one")

    report = failure(call)
    assert report.error is not None
    error = pickle.loads(report.error)
    assert (type(error).__name__, error.args) == ("Picky", ("1 one",))


def test_an_exception_that_cannot_be_pickled_travels_as_text() -> None:
    def call() -> None:
        raise ValueError(x for x in ())

    report = failure(call)
    assert report.error is None
    assert "ValueError" in report.text


def test_an_exception_whose_str_raises_is_told_all_the_same() -> None:
    class Broken(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    def call() -> None:
        raise Broken

    assert "Broken" in failure(call).text


def test_an_exception_without_a_traceback_is_told() -> None:
    assert describe(TASK, ValueError("alone")).text == "ValueError: alone\n"


def test_a_deep_recursion_is_told_in_few_lines() -> None:
    def recurse(n: int) -> int:
        return recurse(n + 1) + 1

    report = failure(lambda: recurse(0))
    assert report.text.count("\n") < 50
    assert "RecursionError" in report.text


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), MemoryError()])
def test_any_exception_is_told(error: BaseException) -> None:
    report = describe(TASK, error)
    assert report.kind == "exception"
    assert type(error).__name__ in report.text


def test_a_fetch_failure_names_shuffle_and_map_task() -> None:
    report = describe(TASK, FetchFailedError(3, {4: 8, 6: 9}, "gone"))
    assert (report.kind, report.fetch, report.error) == ("fetch", (3, {4: 8, 6: 9}), None)


def test_what_cannot_be_pickled_is_not_worth_another_attempt() -> None:
    assert describe(TASK, SerializationError("no")).kind == "fatal"


class LeavesWhenPickled(Exception):
    def __reduce__(self) -> Any:
        raise SystemExit(3)


class LeavesWhenUnpickled(Exception):
    def __reduce__(self) -> Any:
        return sys.exit, (4,)


class InterruptsWhenPickled(Exception):
    def __reduce__(self) -> Any:
        raise KeyboardInterrupt


class LeavesWhenDescribed(Exception):
    @property
    def __notes__(self) -> Any:
        raise SystemExit(5)


@pytest.mark.parametrize(
    "kind",
    [LeavesWhenPickled, LeavesWhenUnpickled, InterruptsWhenPickled, LeavesWhenDescribed],
    ids=lambda k: k.__name__,
)
def test_an_exception_that_would_end_the_process_is_told_too(kind: type[Exception]) -> None:
    def call() -> None:
        raise kind("why")

    told = failure(call)
    assert told.kind == "exception"
    assert kind.__name__ in told.text
    assert told.error is not None
    arrived = pickle.loads(told.error)
    assert type(arrived) is kind
    assert arrived.args == ("why",)
