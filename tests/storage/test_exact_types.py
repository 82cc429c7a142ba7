"""Which records marshal may take: exactly builtin ones, however deep, and no others."""

from __future__ import annotations

import array
import marshal
import mmap
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage import exact_types
from storage.exact_types import MAX_DEPTH, are_exact

Pair = namedtuple("Pair", "a b")


class Colour(IntEnum):
    RED = 1


class Text(str): ...


class Number(int): ...


class Row(tuple): ...


class Rows(list): ...


class Table(dict): ...


EXACT = [None, True, 1, 10**100, 1.5, 1j, "a", "\ud800", b"a", (), [], {}, set(), frozenset()]
NOT_EXACT = [
    bytearray(b"a"),
    memoryview(b"a"),
    array.array("i", [1]),
    mmap.mmap(-1, 10),
    np.int64(1),
    np.float64(1),  # a subclass of float
    np.bool_(True),
    np.str_("a"),  # a subclass of str
    np.bytes_(b"a"),
    np.zeros(3),
    np.zeros(()),
    Text("a"),
    Number(1),
    Colour.RED,
    Pair(1, 2),
    Row((1, 2)),
    Rows([1]),
    Table(a=1),
    Counter("a"),
    OrderedDict(a=1),
    defaultdict(int),
    deque([1]),
    datetime(2020, 1, 1),
    Decimal(1),
    Fraction(1),
    object(),
    int,
    len,
    (lambda: 1).__code__,  # marshal takes code objects
    ...,  # and this
    range(3),
    {}.keys(),
]

WRAPPERS: list[tuple[str, Callable[[Any], Any]]] = [
    ("alone", lambda value: value),
    ("in a tuple", lambda value: (1, value)),
    ("in a list", lambda value: ["a", value]),
    ("as a dict's value", lambda value: {"a": 1, "b": value}),
    ("as the value of a dict with other keys", lambda value: {1: value}),
    ("beside scalars, deep", lambda value: (1, [2, {"a": (3, [value])}])),
    ("below a set's neighbour", lambda value: ({1, 2}, frozenset("ab"), (value,))),
]


@pytest.mark.parametrize("wrap", [pytest.param(wrap, id=name) for name, wrap in WRAPPERS])
@pytest.mark.parametrize("value", EXACT, ids=repr)
def test_builtin_values_are_exact(value: Any, wrap: Callable[[Any], Any]) -> None:
    assert are_exact([wrap(value)])
    assert are_exact([1, "a", wrap(value), None])


@pytest.mark.parametrize("wrap", [pytest.param(wrap, id=name) for name, wrap in WRAPPERS])
@pytest.mark.parametrize("value", NOT_EXACT, ids=lambda value: type(value).__name__)
def test_one_other_value_is_found_wherever_it_is(value: Any, wrap: Callable[[Any], Any]) -> None:
    assert not are_exact([wrap(value)])
    assert not are_exact([*[wrap(1)] * 1000, wrap(value)])


@pytest.mark.parametrize("key", [np.int64(1), np.str_("a"), Text("a"), Number(1), Pair(1, 2), datetime(2020, 1, 1)])
def test_other_keys_and_elements_are_found(key: Any) -> None:
    for container in ({key: 1}, {"other": 1, key: 2}, {(1, key): 1}, {key}, frozenset([key]), frozenset([("a", key)])):
        assert not are_exact([container])


def test_a_key_is_found_in_a_dict_that_first_had_only_text_for_keys() -> None:
    table: dict[Any, int] = {"a": 1, "b": 2}
    assert are_exact([table])
    table[np.str_("c")] = 3
    assert not are_exact([table])
    del table[np.str_("c")]
    assert are_exact([table])


def test_no_records_are_exact() -> None:
    assert are_exact([])


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def test_deep_nesting_is_left_to_pickle() -> None:
    assert are_exact([nested(MAX_DEPTH - 3)])
    assert not are_exact([nested(MAX_DEPTH)])
    assert not are_exact([nested(100_000)])


def test_a_list_that_contains_itself_is_left_to_pickle() -> None:
    loop: list[Any] = [1]
    loop.append((loop,))
    assert not are_exact([loop])


def test_values_that_are_only_large_by_sharing_are_left_to_pickle() -> None:
    value: list[Any] = [1]
    for _ in range(40):
        value = [value, value]  # 2 ** 40 paths
    assert not are_exact([value])
    assert not are_exact([[0] * 10_000] * 10_000)


def test_a_level_may_be_as_large_as_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact_types, "MAX_LEVEL", 10)
    assert are_exact([[1] * 5, [2] * 5])
    assert not are_exact([[1] * 5, [2] * 6])


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.complex_numbers()
foreign = st.sampled_from([np.int64(1), np.str_("a"), np.float64(2), Number(1), Text("a")])  # hashable
anything = st.recursive(
    scalars | foreign,
    lambda children: (
        st.lists(children, max_size=4)
        | st.tuples(children, children)
        | st.dictionaries(scalars | foreign, children, max_size=4)
        | st.sets(scalars | foreign, max_size=4)
    ),
    max_leaves=10,
)


def types_of(value: Any) -> set[type]:
    """The model: a plain walk."""
    found = {type(value)}
    children = [*value, *value.values()] if isinstance(value, dict) else value
    if isinstance(value, (list, tuple, set, dict)):
        for child in children:
            found |= types_of(child)
    return found


@given(st.lists(anything, max_size=5))
def test_the_answer_is_that_of_a_plain_walk(records: list[Any]) -> None:
    assert are_exact(records) == (types_of(records) <= exact_types.EXACT)


@given(st.lists(anything, max_size=5))
def test_marshal_keeps_the_types_of_what_is_exact(records: list[Any]) -> None:
    if are_exact(records):
        assert types_of(marshal.loads(marshal.dumps(records))) == types_of(records)
