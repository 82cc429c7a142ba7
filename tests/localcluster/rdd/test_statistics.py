"""Statistics against the standard library's."""

from __future__ import annotations

import itertools
import math
import statistics
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcluster.rdd.stat_counter import StatCounter
from tests.localcluster.rdd.local_context import LocalContext
from tests.localcluster.rdd.models import flat, jobs, make, partitions

numbers = st.floats(-1e6, 1e6)


def close(a: float, b: float) -> bool:
    return a == pytest.approx(b, rel=1e-9, abs=1e-3)


@jobs
@given(partitions(numbers))
def test_stats(parts: list[list[float]]) -> None:
    values, stats = flat(parts), make(parts).stats()
    assert stats.count() == len(values)
    if values:
        assert close(stats.mean(), statistics.fmean(values))
        assert close(stats.sum(), math.fsum(values))
        assert (stats.min(), stats.max()) == (min(values), max(values))
        assert close(stats.stdev(), statistics.pstdev(values))
    if len(values) > 1:
        assert close(make(parts).sampleStdev(), statistics.stdev(values))
        assert close(stats.sampleVariance() / 1e6, statistics.variance(values) / 1e6)


@jobs
@given(st.lists(numbers), st.lists(numbers))
def test_merging_counters_counts_both(a: list[float], b: list[float]) -> None:
    merged, whole = StatCounter(a).mergeStats(StatCounter(b)), StatCounter(a + b)
    assert merged.count() == whole.count()
    assert close(merged.mean(), whole.mean())
    assert close(merged.variance() / 1e6, whole.variance() / 1e6) or whole.count() == 0
    assert (merged.min(), merged.max()) == (whole.min(), whole.max())


def test_a_counter_merges_with_itself() -> None:
    counter = StatCounter([1, 2, 3])
    assert counter.mergeStats(counter).count() == 6
    assert counter.variance() == pytest.approx(2 / 3)


def test_only_counters_merge() -> None:
    with pytest.raises(TypeError, match="Can only merge StatCounter"):
        StatCounter().mergeStats([1])  # type: ignore[arg-type]


def test_nothing_has_no_variance(sc: LocalContext) -> None:
    stats = sc.parallelize([]).stats()
    assert (stats.count(), stats.mean(), stats.sum()) == (0, 0.0, 0)
    assert math.isnan(stats.variance())
    assert math.isnan(StatCounter([1]).sampleStdev())


def test_nan_is_not_hidden() -> None:
    for values in ([1.0, math.nan], [math.nan, 1.0]):
        assert math.isnan(StatCounter(values).max())
        assert math.isnan(StatCounter(values).min())


def test_arrays_are_counted_element_by_element(sc: LocalContext) -> None:
    stats = sc.parallelize([np.array([1.0, 9.0]), np.array([3.0, 5.0])], 2).stats()
    assert stats.mean().tolist() == [2.0, 7.0]
    assert stats.max().tolist() == [3.0, 9.0]
    assert stats.min().tolist() == [1.0, 5.0]
    assert stats.stdev().tolist() == [1.0, 2.0]
    assert sc.parallelize([np.ones(2)] * 3, 2).sum().tolist() == [3.0, 3.0]


@jobs
@given(partitions(st.integers(-50, 50)), st.integers(1, 6))
def test_even_buckets_hold_everything_once(parts: list[list[int]], buckets: int) -> None:
    values = flat(parts)
    if not values:
        with pytest.raises(ValueError, match="empty"):
            make(parts).histogram(buckets)
        return
    bounds, sizes = make(parts).histogram(buckets)
    assert sum(sizes) == len(values)
    assert (bounds[0], bounds[-1]) == (min(values), max(values))
    assert len(sizes) == len(bounds) - 1


@jobs
@given(partitions(st.integers(-50, 50)), st.sets(st.integers(-60, 60), min_size=2, max_size=6))
def test_given_buckets_are_open_to_the_right_but_the_last(parts: list[list[int]], chosen: set[int]) -> None:
    bounds = sorted(chosen)
    expected = [sum(a <= x < b for x in flat(parts)) for a, b in itertools.pairwise(bounds)]
    expected[-1] += flat(parts).count(bounds[-1])
    assert make(parts).histogram(bounds) == (bounds, expected)


@pytest.mark.parametrize(
    ("records", "buckets", "error", "message"),
    [
        ([1], 0, ValueError, "must be >= 1"),
        ([1], [1], ValueError, "more than one value"),
        ([1], [2, 1], ValueError, "should be sorted"),
        ([1], [1, 1, 2], ValueError, "duplicated"),
        ([1], [1, None], ValueError, "None or NaN"),
        ([1], "ab", TypeError, "list or tuple or number"),
        (["a", "b"], 2, TypeError, "non-number"),
        ([1.0, math.inf], 2, ValueError, "infinite"),
        ([], 2, ValueError, "empty"),
    ],
)
def test_buckets_that_are_none(
    sc: LocalContext, records: Any, buckets: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        sc.parallelize(records).histogram(buckets)


def test_complex_numbers_and_fractions_keep_their_type() -> None:
    assert StatCounter([1j, 2]).mean() == 1 + 0.5j
    assert StatCounter([1j, 2]).max() == 2
    third = Fraction(1, 3)
    assert StatCounter([third, 2]).min() == third
