"""Odd calls end as they do in PySpark: same value, type, order and partitions, or same error."""

from __future__ import annotations

from typing import Any

import pytest

from tests.localcluster.rdd.local_context import LocalContext
from tests.localcluster.rdd.odd.record import BY_HASHES_OF_STRINGS, DIFFERENT, GROUPS, RECORDED, difference

CASES = {name: case for group in GROUPS for name, case in group.items()}


# The hashes of strings are something that only executors and PySpark have in common: the double runs in this process.
@pytest.mark.parametrize("name", sorted(CASES.keys() - {BY_HASHES_OF_STRINGS}))
def test_ends_as_in_pyspark(name: str) -> None:
    assert difference(name, CASES[name], LocalContext(2)) is None


def test_all_is_recorded() -> None:
    assert RECORDED.keys() == CASES.keys()
    assert set(DIFFERENT) <= set(CASES)
    assert sum(map(len, GROUPS)) == len(CASES)


def test_a_difference_would_show() -> None:
    wrong: dict[str, Any] = {
        "count of empty partitions": lambda sc: False,
        "reduce of empty partitions": lambda sc: sc.first(),
        "max of nothing": lambda sc: None,
    }
    assert all(difference(name, case, LocalContext(2)) for name, case in wrong.items())
