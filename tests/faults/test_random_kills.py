"""Any process of a run is killed, told to end or stopped for a while, at any moment: the others end or go on.

Nothing remains. A program runs contexts, one after the other, so that a moment may be in a start, in work or in a
stop. The moments come from a seed; twelve here, 200 with ``-m stress``.
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from tests.faults.runs import ROOT
from tests.support import wait_until

log = logging.getLogger(__name__)

SEED = 20_263
ROLES = ("driver", "launcher", "executor", "janitor")
HOW = (signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP)
STOPPED_FOR = 0.5  # seconds until SIGCONT
LONGEST = 2.0  # seconds for which the program starts contexts
END_DEADLINE = 60.0  # seconds
TOKEN = "RANDOM_KILLS_RUN"

PROGRAM = """
import itertools, time
from localcluster import SparkConf, SparkContext
from tests.faults.jobs import JOBS
print("begun", flush=True)
began = time.monotonic()
for name in itertools.cycle(("word_count", "broadcast", "join")):
    if time.monotonic() > began + {longest}:
        break
    with SparkContext(conf=SparkConf().set("spark.executor.instances", "2")) as sc:
        assert JOBS[name].run(sc) == JOBS[name].expected()
print("right", flush=True)
"""


class Kill(NamedTuple):
    library: bool
    role: str
    signum: signal.Signals
    moment: float  # seconds after the program began
    choice: float  # which of several executors: the place among them

    def __str__(self) -> str:
        mode = "library" if self.library else "run"
        return f"{self.signum.name} to the {self.role} after {self.moment:.3f} s in {mode} mode"


def kills(number: int) -> Iterator[Kill]:
    rng = random.Random(SEED)
    for _ in range(number):
        library = rng.random() < 0.5
        yield Kill(library, rng.choice(ROLES), rng.choice(HOW), rng.uniform(0, LONGEST), rng.random())


class Victim:
    """A run of the program, and how it ended."""

    def __init__(self, directory: Path, kill: Kill) -> None:
        self._kill = kill
        self._directory = directory
        self._temporary = directory / "tmp"
        self._temporary.mkdir(parents=True)
        self.struck = False
        job = directory / "job.py"
        job.write_text(PROGRAM.format(longest=LONGEST))
        command = [sys.executable, *([] if kill.library else ["-m", "localcluster", "run"]), str(job)]
        environment = os.environ | {"TMPDIR": str(self._temporary), "PYTHONPATH": str(ROOT), TOKEN: str(directory)}
        with open(directory / "output", "w") as output, open(directory / "errors", "w") as errors:
            self._process = subprocess.Popen(
                command, stdout=output, stderr=errors, env=environment, cwd=directory, start_new_session=True
            )

    def run(self) -> list[str]:
        """What is wrong."""
        try:
            wait_until(lambda: self._read("output") or self._process.poll() is not None, "it did not begin")
            self._strike()
            try:
                code = self._process.wait(END_DEADLINE)
            except subprocess.TimeoutExpired:
                return [f"no end within {END_DEADLINE} s", self._stacks()]
            problems = self._problems_of(code)
            try:
                wait_until(lambda: not self._left(), "left behind", self._left)
            except AssertionError as left:
                problems.append(str(left))
            return problems
        finally:
            for process in self._family():
                process.kill()
            self._process.wait()

    def _strike(self) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(self._kill.moment)
        wait_until(lambda: self._process.poll() is not None or self._has_struck(), "there is nobody in the role")

    def _has_struck(self) -> bool:
        """Not where nobody is in the role at the moment: between two contexts, say."""
        there = sorted(self._in_role(), key=lambda process: process.pid)
        if not there:
            return False
        victim = there[int(self._kill.choice * len(there))]
        try:
            victim.send_signal(self._kill.signum)
            self.struck = True
            if self._kill.signum == signal.SIGSTOP:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(STOPPED_FOR)
                victim.send_signal(signal.SIGCONT)
        except psutil.NoSuchProcess:
            log.debug("%s has ended", victim)
        return self.struck

    def _in_role(self) -> list[psutil.Process]:
        top = psutil.Process(self._process.pid)
        if self._kill.role == ("driver" if self._kill.library else "launcher"):
            return [top]
        return [process for process in self._family() if self._name(process).startswith(f"lc-{self._kill.role}")]

    def _problems_of(self, code: int) -> list[str]:
        output, errors = self._read("output"), self._read("errors")
        is_right = code == 0 and output == "begun\nright\n"
        lives = self._kill.role in ("executor", "janitor") or self._kill.signum == signal.SIGSTOP or not self.struck
        problems = []
        if lives and not is_right:
            problems.append(f"it ended with {code}")
        if code == 0 and not is_right:
            problems.append(f"it ended well and said {output!r}")
        killed = {-self._kill.signum, 128 + self._kill.signum}
        if code and not lives and code not in killed:  # a driver of library mode that has lost its launcher
            last = errors.rstrip().rpartition("\n")[2]
            if not (self._kill.library and self._kill.role == "launcher" and last.startswith("protocol.errors.")):
                problems.append(f"it ended with {code}")
        elif "Traceback" in errors:
            problems.append("a traceback")
        return [*problems, errors] if problems else []

    def _left(self) -> list[str]:
        return [*map(str, self._family()), *map(str, self._temporary.glob("localcluster-*"))]

    def _family(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            try:
                mine = process.environ().get(TOKEN) == str(self._directory)
                if mine and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found

    @staticmethod
    def _name(process: psutil.Process) -> str:
        try:
            return str(process.name())
        except psutil.Error:
            return ""

    def _read(self, name: str) -> str:
        return (self._directory / name).read_text()

    def _stacks(self) -> str:
        command = [sys.executable, "-m", "localcluster", "dump", str(self._process.pid)]
        environment = os.environ | {"TMPDIR": str(self._temporary), "PYTHONPATH": str(ROOT)}
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60).stdout


def assert_all_well(directory: Path, number: int) -> None:
    bad = []
    struck = 0
    for place, kill in enumerate(kills(number)):
        victim = Victim(directory / str(place), kill)
        problems = victim.run()
        struck += victim.struck
        if problems:
            bad.append("\n".join([str(kill), *problems]))
    assert not bad, "\n\n".join(bad)
    assert struck > 0.9 * number, "too few moments were in a run"


@pytest.mark.timeout(300)
def test_some_random_moments(tmp_path: Path) -> None:
    assert_all_well(tmp_path, 12)


@pytest.mark.stress
@pytest.mark.timeout(2 * 3600)
def test_200_random_moments(tmp_path: Path) -> None:
    assert_all_well(tmp_path, 200)
