"""Unrolling: whatever the records and the memory, no value is lost, and no more is taken than there is room for."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.block_id import RDDBlockId
from storage.serializer import deserialize
from storage.unroll import Leftover, Reservation, unroll_bytes, unroll_values

BLOCK = RDDBlockId(0, 0)


class Budget(Reservation):
    """Memory up to a limit; counts how often it is asked."""

    def __init__(self, limit: int) -> None:
        super().__init__(BLOCK, 1.5, self.grant)
        self.limit = limit
        self.asked = 0

    def grant(self, _: Reservation, least: int, most: int, unrolling: bool) -> bool:
        self.asked += 1
        size = min(most, self.limit - self.held)
        if size < least:
            return False
        self.held += size
        return True


RECORDS = st.lists(st.integers() | st.binary(max_size=50) | st.integers(0, 20_000).map(bytes), max_size=60)


@given(values=RECORDS, limit=st.integers(0, 200_000), threshold=st.integers(1, 5000), as_bytes=st.booleans())
def test_no_value_is_lost_doubled_or_reordered(values: list[Any], limit: int, threshold: int, as_bytes: bool) -> None:
    unroll = unroll_bytes if as_bytes else unroll_values
    rest = iter(values)
    budget = Budget(limit)
    unrolled = unroll(rest, budget, threshold)
    assert list(unrolled.values()) + list(rest) == values
    if unrolled.complete:
        assert unrolled.size <= budget.held <= limit
        if as_bytes:
            assert isinstance(unrolled.data, bytearray)
            assert unrolled.size == len(unrolled.data)
            assert list(deserialize(unrolled.data)) == values


@pytest.mark.parametrize("unroll", [unroll_values, unroll_bytes])
def test_many_small_records_ask_for_memory_seldom(unroll: Any) -> None:
    budget = Budget(100_000_000)
    assert unroll(iter(range(200_000)), budget, 1000).complete
    assert budget.asked < 40


def test_growing_takes_more_than_needed_where_there_is_more() -> None:
    budget = Budget(1000)
    budget.begin(100)
    assert budget.held == 100
    assert budget.grow(500)
    assert budget.held == 750
    assert budget.grow(700)
    assert budget.held == 750
    assert budget.grow(800)
    assert budget.held == 1000
    assert not budget.grow(1001)
    assert budget.cover(1000)
    assert not budget.cover(1001)
    assert budget.held == 1000
    assert budget.thread == threading.get_ident()


@pytest.mark.parametrize("limit", [0, 10_000, 3_000_000])
def test_many_small_records_that_do_not_fit_ask_for_memory_seldom_too(limit: int) -> None:
    budget = Budget(limit)
    assert not unroll_values(iter(range(200_000)), budget, 1000).complete
    assert budget.asked < 40


def test_a_leftover_gives_back_once_between_its_parts() -> None:
    events: list[Any] = []
    leftover = Leftover(iter([1, 2]), iter([3]), lambda: events.append("given back"))
    for value in leftover:
        events.append(value)
    leftover.close()
    del leftover
    assert events == [1, 2, "given back", 3]
