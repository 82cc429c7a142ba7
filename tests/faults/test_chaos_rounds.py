"""Chaos rounds over six kinds of jobs, all kinds of faults mixed: the undisturbed result each time, nothing left."""

from __future__ import annotations

from pathlib import Path

import pytest

from localcluster.trials.chaos import Chaos
from localcluster.trials.random_plans import DRAWS
from localcluster.trials.rounds import Job, difference

SCRIPT = Path(__file__).with_name("chaos_job.py")
JOB = Job(("--conf", "spark.executor.instances=2"), (str(SCRIPT), "{out}"))
DEADLINE = 90.0  # seconds for a round, which takes two to ten
ROUNDS = 15  # of one test


def survives(seed: int, rounds: int) -> None:
    said: list[str] = []
    assert Chaos(JOB, seed, list(DRAWS), difference, said.append, DEADLINE).run(rounds), "\n".join(said)


@pytest.mark.timeout(2 * ROUNDS * DEADLINE)  # what is different is shrunk, in some more rounds
@pytest.mark.parametrize("seed", range(2))
def test_the_result_is_the_undisturbed_one(seed: int) -> None:
    survives(seed, ROUNDS)


@pytest.mark.stress
@pytest.mark.timeout(2 * ROUNDS * DEADLINE)
@pytest.mark.parametrize("seed", range(100, 167))
def test_the_result_is_the_undisturbed_one_in_1005_rounds(seed: int) -> None:
    survives(seed, ROUNDS)
