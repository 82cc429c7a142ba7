"""As SQLite tests itself: each call of the operating system fails in turn, in each role, in each kind of job.

The n-th call fails with an errno, or takes fewer bytes than it was given, once or from then on. Each run ends right, or
with an error of ours that says what the system said; it ends on time, leaves nothing, and the same process can run the
next one. Here a seeded sample; `-m stress` lets n go from 1 until a run ends without reaching it, in all of them.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import count, product
from pathlib import Path

import pytest

from tests.faults.every_call.asker import Asker, Judged
from tests.faults.every_call.failing import SHORT, Fault
from tests.faults.jobs import JOBS

SEED = 20_261
SAMPLE = {"run": 45, "library": 15}  # runs; a launcher of its own costs each of library mode a second
ERRNOS = ("ENOSPC", "EIO", "EMFILE", "EINTR")
ROLES = ("driver", "launcher", "executor", "janitor")
NEVER = 1_000_000  # more calls than a run makes

MODES = pytest.mark.parametrize("mode", ["run", "library"])

ways = [*product(ERRNOS, (False, True)), (SHORT, True)]


def assert_all_well(runs: Iterator[Judged]) -> None:
    bad = [run for run in runs if run.problems]
    assert not bad, "\n\n".join(map(str, bad))


@pytest.mark.timeout(300)
@MODES
def test_a_sample_of_calls_that_fail(tmp_path: Path, mode: str) -> None:
    rng = random.Random(SEED)
    with Asker(tmp_path / mode, mode) as asker:
        calls: dict[tuple[str, str], int] = {}  # {(job, role): calls of an undisturbed run}

        def sample() -> Iterator[Judged]:
            for _ in range(SAMPLE[mode]):
                job, role, (errno, always) = rng.choice(list(JOBS)), rng.choice(ROLES), rng.choice(ways)
                if (job, role) not in calls:
                    undisturbed = asker.run(job, Fault(role, errno, NEVER, False))
                    assert undisturbed.right, undisturbed
                    calls[job, role] = undisturbed.count
                yield asker.run(job, Fault(role, errno, rng.randint(1, max(1, calls[job, role])), always))

        assert_all_well(sample())


@pytest.mark.stress
@pytest.mark.timeout(4 * 3600)
@pytest.mark.parametrize("job", JOBS)
@pytest.mark.parametrize("role", ROLES)
@MODES
def test_every_call_that_fails(tmp_path: Path, mode: str, role: str, job: str) -> None:
    with Asker(tmp_path / mode, mode) as asker:

        def everything() -> Iterator[Judged]:
            for errno, always in ways:
                for nth in count(1):
                    run = asker.run(job, Fault(role, errno, nth, always))
                    yield run
                    if run.count < nth and run.right:
                        break

        assert_all_well(everything())
