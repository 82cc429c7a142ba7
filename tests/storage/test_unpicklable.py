"""Errors about pickling name the innermost part that cannot be pickled."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any

import pytest

from storage.unpicklable import explain_unpicklable

LOCK = threading.Lock()


class Holder:
    def __init__(self, content: Any) -> None:
        self.content = content

    def method(self) -> None: ...


class Slotted:
    __slots__ = ("content", "empty")

    def __init__(self, content: Any) -> None:
        self.content = content


class Refuses:
    def __reduce__(self) -> Any:
        raise RuntimeError("I stay here")


class OddKey:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


def closing_over(value: Any) -> Any:
    return lambda: value


def uses_a_global() -> Any:
    return LOCK


uses_a_global.__module__ = "__main__"  # so that it is pickled by value, as a function of a job script is


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (LOCK, "it"),
        ([1, LOCK], "it[1]"),
        ((1, (2, [LOCK])), "it[1][1][0]"),
        ({"a": {3: LOCK}}, "it['a'][3]"),
        ({LOCK: 1}, "it key <unlocked _thread.lock"),
        ({LOCK}, "it element"),
        (Holder({"pool": [LOCK]}), "it.content['pool'][0]"),
        (Slotted((LOCK,)), "it.content[0]"),
        (closing_over([LOCK]), "it -> value[0]"),
        (uses_a_global, "it -> LOCK"),
        (lambda lock=LOCK: lock, "it default argument"),
        (Holder(LOCK).method, "it.__self__.content"),
        (partial(print, LOCK), "it.args[0]"),
        (partial(print, file=LOCK), "it.keywords['file']"),
        ({OddKey(): LOCK}, "it[<OddKey: repr failed with RuntimeError>]"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_path_to_the_culprit_can_be_found(value: Any, path: str) -> None:
    explanation = explain_unpicklable(value, "it")
    assert explanation is not None
    assert explanation.startswith(path)
    assert " is a _thread.lock (TypeError: cannot pickle" in explanation


def test_a_users_own_refusal_is_quoted() -> None:
    explanation = explain_unpicklable([Refuses()], "record 3")
    assert explanation == f"record 3[0] is a {__name__}.Refuses (RuntimeError: I stay here)"


def test_what_can_be_pickled_has_no_explanation() -> None:
    assert explain_unpicklable([1, closing_over("a")], "it") is None


def test_a_value_that_contains_itself_is_explained() -> None:
    loop: list[Any] = [LOCK]
    loop.insert(0, loop)
    explanation = explain_unpicklable(loop, "it")
    assert explanation is not None
    assert explanation.startswith("it[1] is a _thread.lock")
