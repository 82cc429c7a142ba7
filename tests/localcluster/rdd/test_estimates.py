"""Estimates from some of the partitions. The numbers are those of Spark's evaluators for the same data."""

from __future__ import annotations

import math
import pickle

import pytest

from localcluster.rdd.estimates import BoundedFloat, Sample
from localcluster.rdd.stat_counter import StatCounter
from protocol.sql_errors import IllegalArgumentException

INFINITE = -math.inf, math.inf


def sample(partitions: int, *merged: list[float]) -> Sample:
    found = Sample(partitions)
    for index, values in enumerate(merged):
        found.merge(index, StatCounter(values))
    return found


def parts(estimate: BoundedFloat) -> tuple[float, ...]:
    return float(estimate), estimate.confidence, estimate.low, estimate.high


@pytest.mark.parametrize(
    ("partitions", "merged", "expected"),
    [
        (4, [], (0.0, 0.0, *INFINITE)),
        (4, [[], []], (0.0, 0.0, *INFINITE)),
        (4, [[1]], (4.0, 0.95, *INFINITE)),
        (4, [[1], [2]], (6.0, 0.95, -36.14171361932836, 48.14171361932836)),
        (4, [[5], [5]], (20.0, 0.95, -107.06204736174746, 147.06204736174746)),
        (4, [[1, 2, 3], []], (12.0, 0.95, -11.170494057292558, 35.17049405729256)),
        (10, [[i] for i in range(7)], (30.0, 0.95, 13.14850847798872, 46.85149152201129)),
        (300, [[i * i] for i in range(150)], (2227550.0, 0.95, 1928119.9034222243, 2526980.0965777757)),
        (2, [[1, 2], [3]], (6.0, 1.0, 6.0, 6.0)),
        (0, [], (0.0, 1.0, 0.0, 0.0)),
    ],
)
def test_sums_are_bounded_as_in_spark(partitions: int, merged: list[list[float]], expected: tuple[float, ...]) -> None:
    assert parts(sample(partitions, *merged).sum(0.95)) == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize(
    ("partitions", "merged", "expected"),
    [
        (4, [], (0.0, 0.0, *INFINITE)),
        (4, [[1]], (1.0, 0.95, *INFINITE)),
        (4, [[1], [2]], (1.5, 0.95, -4.853102368087373, 7.853102368087373)),
        (4, [[5], [5]], (5.0, 0.95, 5.0, 5.0)),
        (4, [[1, 2, 3], []], (2.0, 0.95, -0.4841377117207988, 4.484137711720798)),
        (10, [[i] for i in range(7)], (3.0, 0.95, 1.0021048397085708, 4.99789516029143)),
        (300, [[i * i] for i in range(150)], (7425.166666666667, 0.95, 6354.814152337932, 8495.519180995401)),
        (2, [[1, 2], [3]], (2.0, 1.0, 2.0, 2.0)),
        (0, [], (0.0, 1.0, 0.0, 0.0)),
    ],
)
def test_means_are_bounded_as_in_spark(partitions: int, merged: list[list[float]], expected: tuple[float, ...]) -> None:
    assert parts(sample(partitions, *merged).mean(0.95)) == pytest.approx(expected, rel=1e-7)


def test_certainty_takes_all_numbers_and_no_confidence_none() -> None:
    assert parts(sample(4, [1], [2]).mean(1.0)) == (1.5, 1.0, *INFINITE)
    assert parts(sample(4, [1], [2]).mean(0.0)) == (1.5, 0.0, 1.5, 1.5)


@pytest.mark.parametrize("confidence", [-0.1, 1.1, math.nan])
def test_a_confidence_that_is_no_probability_matters_only_where_bounds_are_needed(confidence: float) -> None:
    assert sample(1, [1, 2]).sum(confidence) == 3.0
    with pytest.raises(IllegalArgumentException, match="confidence must be from 0 to 1"):
        sample(2, [1, 2]).sum(confidence)


def test_an_estimate_is_a_float_that_can_be_pickled() -> None:
    estimate = BoundedFloat(2.0, 0.9, 1.0, 3.0)
    assert estimate + 1 == 3.0
    assert parts(pickle.loads(pickle.dumps(estimate))) == (2.0, 0.9, 1.0, 3.0)
