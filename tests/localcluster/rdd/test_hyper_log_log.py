"""Accuracy of `HyperLogLog`: the data are fixed, so are its hashes, so the tests are deterministic."""

from __future__ import annotations

import os
import pickle
import random
import subprocess
import sys
from functools import reduce
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcluster.rdd.hyper_log_log import EXACT, HyperLogLog
from tests.localcluster.rdd.local_context import LocalContext
from tests.localcluster.rdd.models import jobs, partitions

atoms = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-3, 3),
    st.floats(allow_nan=False),
    st.text(max_size=2),
    st.binary(max_size=2),
    st.sampled_from(["a", b"a", "\xfa", b"\xfa"]),
)
records = st.one_of(atoms, st.tuples(atoms, atoms), st.frozensets(atoms, max_size=3))


def numbers(seed: Any, count: int) -> list[int]:
    return random.Random(seed).sample(range(1 << 62), count)


@jobs
@given(parts=partitions(records), relative_sd=st.sampled_from([0.000017, 0.001, 0.05, 0.3]))
def test_few_records_are_counted_exactly(parts: list[list[Any]], relative_sd: float) -> None:
    distinct = len({record for part in parts for record in part})
    assert LocalContext().parts(parts).countApproxDistinct(relative_sd) == distinct


@given(st.lists(st.integers(0, EXACT + 200), max_size=6), st.integers(0, 300))
def test_sketches_of_any_sizes_merge_into_that_of_all_values(sizes: list[int], overlap: int) -> None:
    pieces = [range(index * overlap, index * overlap + size) for index, size in enumerate(sizes)]
    merged = reduce(HyperLogLog.merge, (HyperLogLog(0.05, piece) for piece in pieces), HyperLogLog(0.05))
    values = {value for piece in pieces for value in piece}
    assert merged.estimate() == HyperLogLog(0.05, values).estimate()
    if len(values) <= EXACT:
        assert merged.estimate() == len(values)


@pytest.mark.parametrize("relative_sd", [0.2, 0.05, 0.005])
@pytest.mark.parametrize("distinct", [0, 1, 512, 513, 1_000, 5_000, 60_000])
def test_estimates_are_within_four_standard_deviations_of_the_least_precision(
    distinct: int, relative_sd: float
) -> None:
    sketch = HyperLogLog(relative_sd, numbers(f"{distinct} {relative_sd}", distinct))
    assert abs(sketch.estimate() - distinct) <= 4 * min(relative_sd, 0.0082) * distinct


def test_the_error_of_the_least_precision_is_below_a_percent_on_average() -> None:
    errors = [HyperLogLog(0.05, numbers(seed, 30_000)).estimate() / 30_000 - 1 for seed in range(15)]
    mean = sum(errors) / len(errors)
    deviation = (sum(error**2 for error in errors) / len(errors)) ** 0.5
    assert abs(mean) < 0.004
    assert 0.002 < deviation < 0.01


def test_repetition_does_not_count() -> None:
    assert HyperLogLog(0.05, [*range(1000)] * 5).estimate() == HyperLogLog(0.05, range(1000)).estimate()


def test_the_highest_precision_needs_no_more_memory_than_there_are_values() -> None:
    first, second = (HyperLogLog(0.000017, range(*bounds)) for bounds in ((0, 1000), (500, 2000)))
    assert first.estimate() == 1000
    assert first.merge(second).estimate() == 2000


def test_a_sketch_travels_in_as_little_as_it_holds() -> None:
    assert len(pickle.dumps(HyperLogLog(0.05, range(10)))) < 500
    assert len(pickle.dumps(HyperLogLog(0.05, numbers(1, 50_000)))) < 17_000


def test_values_that_share_python_s_hash_or_its_lower_half_differ(sc: LocalContext) -> None:
    assert sc.parallelize([-1, -2, -1.0, 0, None, "", b"", 0.0, False]).countApproxDistinct() == 6
    assert sc.parallelize([number << 32 for number in range(100)]).countApproxDistinct() == 100


def test_the_same_numbers_give_the_same_estimate_in_all_processes() -> None:
    program = """if True:
        from tests.localcluster.rdd.local_context import LocalContext
        print(LocalContext().parallelize([(i / 3, None, -i) for i in range(3000)], 3).countApproxDistinct())"""
    estimates = {
        subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {"PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            check=True,
            timeout=60,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(estimates) == 1
