"""`Row` is a tuple with names, and behaves as PySpark's does; the cases were run on PySpark 4.3."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import cloudpickle
import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcluster.sql.row import Row
from protocol.errors import (
    PySparkAttributeError,
    PySparkRuntimeError,
    PySparkTypeError,
    PySparkValueError,
)

NESTED = Row(a=1, b=Row(c=[Row(d=2)], e={"k": Row(f=1)}))

NAMES = st.lists(st.text("abcdef", min_size=1), min_size=1, max_size=5, unique=True)


@given(NAMES, st.data())
def test_a_row_is_a_tuple_whose_fields_are_found_by_position_name_and_attribute(names: list[str], data: Any) -> None:
    values = data.draw(st.lists(st.integers(), min_size=len(names), max_size=len(names)))
    for row in (Row(**dict(zip(names, values, strict=True))), Row(*names)(*values)):
        assert row == tuple(values)
        assert hash(row) == hash(tuple(values))
        assert row.asDict() == dict(zip(names, values, strict=True))
        for position, name in enumerate(names):
            assert row[position] == row[name] == getattr(row, name) == values[position]
            assert name in row
        assert "zz" not in row


@pytest.mark.parametrize(
    ("row", "shown"),
    [
        (Row(b=1, a="x"), "Row(b=1, a='x')"),
        (Row("a", "b"), "<Row('a', 'b')>"),
        (Row("a", "b")(1, 2), "Row(a=1, b=2)"),
        (Row("a", "b")(1), "Row(a=1)"),
        (Row(), "<Row()>"),
        (Row(1, None), "<Row(1, None)>"),
        (NESTED, "Row(a=1, b=Row(c=[Row(d=2)], e={'k': Row(f=1)}))"),
    ],
)
def test_rows_print_as_in_pyspark(row: Row, shown: str) -> None:
    assert repr(row) == str(row) == shown


def test_as_dict_goes_into_rows_lists_and_dicts_when_told_to() -> None:
    assert NESTED.asDict() == {"a": 1, "b": NESTED.b}
    assert NESTED.asDict(recursive=True) == {"a": 1, "b": {"c": [{"d": 2}], "e": {"k": {"f": 1}}}}


def test_of_two_fields_with_one_name_the_dict_has_the_last_and_access_the_first() -> None:
    row = Row("a", "a")(1, 2)
    assert (row.asDict(), row["a"], row.a) == ({"a": 2}, 1, 1)


def test_a_row_of_plain_values_has_no_names() -> None:
    row = Row(1, 2)
    assert 1 in row
    assert not hasattr(row, "a")
    with pytest.raises(PySparkTypeError, match=r"\[CANNOT_CONVERT_TYPE\] Cannot convert Row into dict"):
        row.asDict()
    with pytest.raises(PySparkAttributeError, match=r"\[ATTRIBUTE_NOT_SUPPORTED\] Attribute `__fields__`"):
        row["a"]


def test_slices_and_sums_are_plain_tuples() -> None:
    assert Row(a=1, b=2)[0:1] == (1,)
    assert type(Row(a=1, b=2) + Row(a=3)) is tuple
    assert Row(a=1) < Row(a=2)


@pytest.mark.parametrize("row", [NESTED, Row(1, 2), Row("a", "b"), Row("a", "b")(1, 2), Row("a")(), Row()])
@pytest.mark.parametrize(
    "copied",
    [lambda row: pickle.loads(pickle.dumps(row)), lambda row: cloudpickle.loads(cloudpickle.dumps(row)), copy.deepcopy],
    ids=["pickle", "cloudpickle", "deepcopy"],
)
def test_rows_travel_with_their_names(row: Row, copied: Any) -> None:
    result = copied(row)
    assert type(result) is Row
    assert result == row
    assert repr(result) == repr(row)


def test_wrong_uses_have_pysparks_errors() -> None:
    with pytest.raises(PySparkValueError, match=r"\[CANNOT_SET_TOGETHER\] args and kwargs should not be set together"):
        Row(1, a=2)
    with pytest.raises(PySparkValueError, match=r"\[TOO_MANY_VALUES\] Expected 1 values for `fields`, got 2"):
        Row("a")(1, 2)
    with pytest.raises(PySparkAttributeError, match=r"\[ATTRIBUTE_NOT_SUPPORTED\] Attribute `zz`"):
        _ = NESTED.zz
    with pytest.raises(PySparkValueError, match=r"^zz$"):
        NESTED["zz"]
    with pytest.raises(IndexError):
        NESTED[7]
    with pytest.raises(PySparkRuntimeError, match=r"\[READ_ONLY\] Row is read-only"):
        NESTED.a = 3
