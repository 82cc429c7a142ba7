"""Random chains of transformations hold, partition by partition, what plain Python says they do."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.localcluster.rdd.local_context import LocalContext
from tests.localcluster.rdd.models import partitions
from tests.localcluster.rdd.partition_model import Parts
from tests.localcluster.rdd.programs import KEYS, STEPS, VALUES, Step, random_parts, random_program, run, step

records = partitions(st.tuples(st.sampled_from(KEYS), st.sampled_from(VALUES)))
steps = st.builds(step, st.sampled_from(sorted(STEPS)), st.integers(1, 5), records)


@pytest.mark.parametrize("name", STEPS)
@settings(max_examples=12)
@given(start=records, other=records, number=st.integers(1, 5))
def test_each_step_by_itself(name: str, start: Parts, other: Parts, number: int) -> None:
    run(LocalContext().parts, start, [step(name, number, other)], look_each_time=True)


@settings(max_examples=60)
@given(start=records, program=st.lists(steps, min_size=2, max_size=7), look=st.booleans())
def test_steps_one_after_the_other(start: Parts, program: list[Step], look: bool) -> None:
    run(LocalContext().parts, start, program, look)


@pytest.mark.stress
@pytest.mark.parametrize("seed", range(40))
def test_long_programs(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(15):
        run(LocalContext().parts, random_parts(rng), random_program(rng, 12), rng.random() < 0.5)
