"""Accuracy of `HyperLogLog`: the data are fixed, so are its hashes, so the tests are deterministic."""

from __future__ import annotations

import random

import pytest

from localcluster.rdd.hyper_log_log import HyperLogLog


@pytest.mark.parametrize("relative_sd", [0.2, 0.05, 0.01])
@pytest.mark.parametrize("distinct", [0, 1, 2, 10, 100, 1_000, 20_000])
def test_estimates_are_within_four_standard_deviations(distinct: int, relative_sd: float) -> None:
    values = random.Random(f"{distinct} {relative_sd}").sample(range(1 << 32), distinct)
    assert abs(HyperLogLog(relative_sd, values).estimate() - distinct) <= 4 * relative_sd * distinct


def test_the_error_is_as_large_as_asked_for_on_average() -> None:
    shuffled = random.Random(7)
    errors = [HyperLogLog(0.1, shuffled.sample(range(1 << 32), 2_000)).estimate() / 2_000 - 1 for _ in range(40)]
    mean = sum(errors) / len(errors)
    deviation = (sum(error**2 for error in errors) / len(errors)) ** 0.5
    assert abs(mean) < 0.05
    assert 0.05 < deviation < 0.15


def test_a_merged_sketch_is_that_of_all_values() -> None:
    whole, first, second = (HyperLogLog(0.05, range(*bounds)) for bounds in ((0, 900), (0, 600), (300, 900)))
    assert first.merge(second).estimate() == whole.estimate()
    assert first.merge(first).estimate() == whole.estimate()


def test_repetition_does_not_count() -> None:
    assert HyperLogLog(0.05, [*range(100)] * 5).estimate() == HyperLogLog(0.05, range(100)).estimate()


def test_the_highest_precision_needs_no_more_memory_than_there_are_values() -> None:
    assert HyperLogLog(0.000017, range(1000)).estimate() == 1000
