"""Samplers as objects draw what the methods of RDDs draw."""

from __future__ import annotations

from typing import Any

import pytest

from localcluster.rdd.samplers import RDDRangeSampler, RDDSampler, RDDSamplerBase, RDDStratifiedSampler
from tests.localcluster.rdd.local_context import LocalContext

RECORDS = [(n % 3, n) for n in range(200)]


@pytest.mark.parametrize("replacement", [True, False])
def test_samplers_draw_what_the_methods_draw(sc: LocalContext, replacement: bool) -> None:
    rdd = sc.parallelize(RECORDS, 2)
    fractions = {0: 0.1, 1: 0.5, 2: 0.9}
    plain, by_key = RDDSampler(replacement, 0.4, 7), RDDStratifiedSampler(replacement, fractions, 7)
    assert rdd.mapPartitionsWithIndex(plain.func).collect() == rdd.sample(replacement, 0.4, 7).collect()
    drawn = rdd.mapPartitionsWithIndex(by_key.func).collect()
    assert drawn == rdd.sampleByKey(replacement, fractions, 7).collect()


def test_ranges_of_one_seed_part_the_records(sc: LocalContext) -> None:
    rdd = sc.parallelize(RECORDS, 2)
    parts = [rdd.mapPartitionsWithIndex(RDDRangeSampler(low, low + 0.5, 3).func).collect() for low in (0.0, 0.5)]
    assert parts == [part.collect() for part in rdd.randomSplit([1, 1], 3)]


def test_samplers_of_ones_own_draw_numbers_by_partition(sc: LocalContext) -> None:
    class Half(RDDSamplerBase):
        def func(self, split: int, iterator: Any) -> Any:
            self.initRandomGenerator(split)
            return [record for record in iterator if self.getUniformSample() < 0.5 and self.getPoissonSample(50.0)]

    drawn = sc.parallelize(range(1000), 2).mapPartitionsWithIndex(Half(False, 1).func).collect()
    assert 300 < len(drawn) < 700
    with pytest.raises(NotImplementedError):
        RDDSamplerBase(False).func(0, [])
