"""Random chains of transformations on a real cluster, whose partitions plain Python foretells."""

from __future__ import annotations

import random
from typing import Any

import pytest

from localcluster import SparkContext
from tests.localcluster.rdd.partition_model import Parts
from tests.localcluster.rdd.programs import random_parts, random_program, run


def maker(sc: SparkContext) -> Any:
    def make(parts: Parts) -> Any:
        return sc.parallelize(range(len(parts)), len(parts)).flatMap(lambda i: parts[i])

    return make


@pytest.mark.parametrize("seed", range(4))
def test_programs_hold_what_they_should(sc: SparkContext, seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(3):
        run(maker(sc), random_parts(rng), random_program(rng, 6), look_each_time=False)


@pytest.mark.stress
@pytest.mark.parametrize("seed", range(100, 130))
def test_long_programs_hold_what_they_should(sc: SparkContext, seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(5):
        run(maker(sc), random_parts(rng), random_program(rng, 15), rng.random() < 0.5)
