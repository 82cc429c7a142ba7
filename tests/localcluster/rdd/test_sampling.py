"""Samples are samples: drawn from the records, by the seed, in the expected proportion."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.localcluster.rdd.local_context import LocalContext
from tests.localcluster.rdd.models import flat, jobs, make, partitions

records = partitions(st.integers(0, 1000))
seeds = st.integers(0, 2**32)


@jobs
@given(records, st.floats(0, 1), seeds)
def test_without_replacement_each_record_comes_once_and_in_order(parts: Any, fraction: float, seed: int) -> None:
    numbered = make(parts).zipWithIndex()
    sample = numbered.sample(False, fraction, seed).collect()
    assert sample == [record for record in numbered.collect() if record in sample]
    assert sample == numbered.sample(False, fraction, seed).collect()


@jobs
@given(records, seeds)
def test_extreme_fractions(parts: Any, seed: int) -> None:
    assert make(parts).sample(False, 1.0, seed).collect() == flat(parts)
    assert make(parts).sample(False, 0, seed).collect() == make(parts).sample(True, 0, seed).collect() == []


@jobs
@given(records, st.lists(st.floats(0.1, 5), min_size=1, max_size=4), seeds)
def test_a_random_split_parts_the_records(parts: Any, weights: list[float], seed: int) -> None:
    numbered = make(parts).zipWithIndex()
    pieces = [piece.collect() for piece in numbered.randomSplit(weights, seed)]
    together = sorted(flat(pieces), key=lambda record: record[1])
    # The bounds are sums of floats, so the last may lie a hair below 1 and leave a record to nobody, as in PySpark.
    assert len(pieces) == len(weights)
    assert together == numbered.collect()


@jobs
@given(records, st.integers(0, 30), seeds)
def test_take_sample_has_the_size_asked_for(parts: Any, num: int, seed: int) -> None:
    everything = Counter(flat(parts))
    sample = make(parts).takeSample(False, num, seed)
    assert len(sample) == min(num, everything.total() if hasattr(everything, "total") else sum(everything.values()))
    assert not Counter(sample) - everything
    repeated = make(parts).takeSample(True, num, seed)
    assert len(repeated) == (num if everything else 0)
    assert set(repeated) <= set(everything)


def test_proportions(sc: LocalContext) -> None:
    rdd = sc.range(20000, numSlices=4)
    assert abs(rdd.sample(False, 0.3, 1).count() - 6000) < 300
    assert abs(rdd.sample(True, 0.3, 1).count() - 6000) < 300
    assert abs(rdd.sample(True, 25.0, 1).count() - 500_000) < 5000
    keyed = rdd.map(lambda x: (x % 2, x)).sampleByKey(False, {0: 0.1, 1: 0.5}, 1).countByKey()
    assert abs(keyed[0] - 1000) < 200
    assert abs(keyed[1] - 5000) < 300


def test_without_a_seed_samples_differ(sc: LocalContext) -> None:
    rdd = sc.range(1000)
    assert rdd.sample(False, 0.5).collect() != rdd.sample(False, 0.5).collect()
    assert rdd.takeSample(False, 20) != rdd.takeSample(False, 20)


def test_a_sample_does_not_change_when_computed_again(sc: LocalContext) -> None:
    sample = sc.range(1000).sample(False, 0.5)
    assert sample.collect() == sample.collect()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda rdd: rdd.sample(False, -0.1), ValueError, "Fraction must be nonnegative"),
        (lambda rdd: rdd.takeSample(False, -1), ValueError, "Sample size cannot be negative"),
        (lambda rdd: rdd.takeSample(False, 2**63), ValueError, "Sample size cannot be greater"),
        (lambda rdd: rdd.randomSplit([1, -1]), ValueError, "Weights must be nonnegative"),
        (lambda rdd: rdd.randomSplit([0, 0]), ValueError, "Sum of weights must be positive"),
        (lambda rdd: rdd.keyBy(abs).sampleByKey(False, {1: -1.0}), AssertionError, "Negative fraction value: -1.0"),
        (lambda rdd: rdd.keyBy(abs).sampleByKey(False, {2: 0.5}).collect(), KeyError, "1"),
    ],
)
def test_what_makes_no_sense_is_refused(sc: LocalContext, call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(sc.parallelize([1]))


@pytest.mark.parametrize("with_replacement", [False, True])
def test_fractions_may_be_numpy_numbers(sc: LocalContext, with_replacement: bool) -> None:
    rdd = sc.parallelize(range(100)).keyBy(lambda x: x % 2)
    fraction = np.float64(0.5)
    expected = rdd.sample(with_replacement, 0.5, 7).collect()
    assert rdd.sample(with_replacement, fraction, 7).collect() == expected
    assert rdd.sampleByKey(with_replacement, {0: fraction, 1: fraction}, 7).collect() == expected
