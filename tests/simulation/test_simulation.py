"""Many seeds of the simulation: whatever goes wrong, each job ends, right or with a cause, and nothing is left.

``SIMULATION_SEEDS=FIRST:COUNT`` chooses the seeds of the stress run, so that it can be done in parts.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.seeds import run_seed

IN_CI = 500
UNDER_STRESS = "0:100000"
PROCESSES = 2


def run(first: int, count: int, timeout: float) -> None:
    """In processes of their own, whose sets of text have an order that is the same each time."""
    share = -(-count // PROCESSES)
    starts = range(first, first + count, share)
    commands = [[str(start), str(min(share, first + count - start))] for start in starts]
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.simulation", *command],
            cwd=Path(__file__).parents[2],
            env=os.environ | {"PYTHONHASHSEED": "0"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for command in commands
    ]
    try:
        outputs = [process.communicate(timeout=timeout)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    for process, output in zip(processes, outputs, strict=True):
        assert process.returncode == 0, output


@pytest.mark.timeout(300)
def test_seeds() -> None:
    run(0, IN_CI, timeout=290)


@pytest.mark.stress
@pytest.mark.timeout(36000)
def test_a_great_many_seeds() -> None:
    first, count = map(int, os.environ.get("SIMULATION_SEEDS", UNDER_STRESS).split(":"))
    run(first, count, timeout=36000)


def test_a_seed_gives_the_same_run_each_time() -> None:
    for seed in range(20):
        one, other = (run_seed(seed, keep_trace=True)[0].trace.lines for _ in range(2))
        assert one == other
