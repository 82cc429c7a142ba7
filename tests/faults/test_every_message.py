"""Each message between the processes of a run is lost in turn, and each fork of an executor fails.

The n-th message of a type, in each kind of job. Each run ends right, or with an error of ours, on time, and leaves
nothing. Here a seeded sample; `-m stress` lets n go from 1 until a run ends without reaching it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from localcluster.faults.keys import messages
from tests.faults.every_call.asker import Asker, Judged
from tests.faults.jobs import JOBS
from tests.faults.test_every_call import assert_all_well

SEED = 20_262
SAMPLE = 20  # messages
MANY = 12  # messages of one type in a run, after which the next ones are lost like these


@pytest.mark.timeout(300)
def test_a_sample_of_messages_that_are_lost(tmp_path: Path) -> None:
    rng = random.Random(SEED)
    with Asker(tmp_path / "run", "run") as asker:

        def sample() -> Iterator[Judged]:
            for _ in range(SAMPLE):
                message, nth = rng.choice(messages()), rng.randint(1, 3)
                yield asker.run(rng.choice(list(JOBS)), plan=f"drop message={message} nth={nth}")

        assert_all_well(sample())


@pytest.mark.timeout(120)
def test_each_fork_of_an_executor_that_fails(tmp_path: Path) -> None:
    with Asker(tmp_path / "run", "run") as asker:
        runs = [asker.run("join", plan=f"fail_fork nth={nth}") for nth in (1, 2, 3)]
        assert_all_well(iter(runs))
        assert [run.right for run in runs] == [True, True, True]
        assert [bool(run.fired) for run in runs] == [True, True, False]
        forever = asker.run("join", plan="fail_fork times=*")
        assert_all_well(iter([forever]))
        assert "no executor could be started" in forever.error


@pytest.mark.stress
@pytest.mark.timeout(4 * 3600)
@pytest.mark.parametrize("job", JOBS)
def test_every_message_that_is_lost(tmp_path: Path, job: str) -> None:
    with Asker(tmp_path / "run", "run") as asker:

        def everything() -> Iterator[Judged]:
            for message in messages():
                for nth in count(1):
                    run = asker.run(job, plan=f"drop message={message} nth={nth}")
                    yield run
                    if not run.fired or nth == MANY:
                        break

        assert_all_well(everything())
