"""One machine for one seed: time, memory, faults, launcher, driver, and the program that runs jobs."""

from __future__ import annotations

from random import Random

from tests.simulation.checks import check_end_of_job, check_lost, check_stopped, check_stored, check_when_quiet
from tests.simulation.clock import Clock
from tests.simulation.driver import LAYOUT, SimulatedDriver
from tests.simulation.faults import Faults
from tests.simulation.launcher import SimulatedLauncher
from tests.simulation.memory import Memory
from tests.simulation.program import Program
from tests.simulation.rdds import Rdds
from tests.simulation.trace import Trace

DEADLINE = 300.0  # seconds of virtual time after the last fault, for all that is left to do
QUIET = 15.0  # seconds in which everything must come to rest when no job is left and nothing fails any more
CLEANING = 5.0  # seconds in which what is let go must be gone
STOPPING = 10.0  # seconds that a stop may take


class World:
    def __init__(self, seed: int, trace: Trace) -> None:
        self.seed = seed
        self.trace = trace
        self.clock = Clock(trace)
        self.random = Random(seed)
        self.faults = Faults(self.random, self.clock)
        self.memory = Memory()
        self.rdds = Rdds(LAYOUT.executors * LAYOUT.cores)
        self.launcher = SimulatedLauncher(self)
        self.driver = SimulatedDriver(self)
        self.program = Program(self)

    def run(self) -> None:
        """Raises AssertionError, or whatever the code under test raises."""
        self.driver.start()
        self.program.start()
        self._vandalise()
        deadline = self.faults.until + self.program.ends_at + DEADLINE
        assert self.clock.run(deadline, self._jobs_are_done), f"hang: {self._unfinished()}"
        for running in self.driver.jobs:
            check_end_of_job(self, running)
        check_lost(self)
        self._let_pass(max(self.clock.now, self.faults.until) + QUIET)
        if not self.driver.has_stopped:
            check_stored(self)
            self.program.clean()
            self._let_pass(self.clock.now + CLEANING)
            check_when_quiet(self)
            self.driver.stop()
            self._let_pass(self.clock.now + STOPPING)
        check_stopped(self)

    def _jobs_are_done(self) -> bool:
        return self.program.is_over and all(running.end is not None for running in self.driver.jobs)

    def _unfinished(self) -> list[int]:
        return [running.rdd.id() for running in self.driver.jobs if running.end is None]

    def _vandalise(self) -> None:
        """Somebody removes a segment or a block file now and then."""
        if self.memory.files and self.faults.happens("lose a file"):
            path = self.random.choice(list(self.memory.files))
            self.trace("fault", "removes", path)
            self.memory.unlink(path)
        if not self.faults.are_over:
            self.clock.later(self.faults.between(0.01, 0.1), self._vandalise)

    def _let_pass(self, until: float) -> None:
        self.clock.run(until, lambda: False)
