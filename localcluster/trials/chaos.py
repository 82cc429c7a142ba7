"""Chaos: a job under one random plan of faults after the other, until its result is another one than undisturbed.

Covers the rounds and what is said of them. A round's run is ``rounds``, its plan ``random_plans``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module

from localcluster.faults.exceptions import ON_PURPOSE
from localcluster.trials.random_plans import draw
from localcluster.trials.rounds import Compare, Job, Outcome, difference, last_lines
from localcluster.trials.shrink import shrink
from protocol.errors import ConfigurationError

PATIENCE = 10  # times as long as undisturbed may a round take
LEAST = 60.0  # seconds that it may take in any case


@dataclass
class Chaos:
    """Rounds of a job. ``say`` takes lines for people; ``deadline`` is in seconds, None: by the undisturbed run."""

    job: Job
    seed: int
    kinds: Sequence[str]
    compare: Compare
    say: Callable[[str], None]
    deadline: float | None = None

    def run(self, rounds: int) -> bool:
        """Whether all rounds came to the undisturbed result, or failed by an error that their plan raises.

        Raises ConfigurationError when the job has no one result: it fails, hangs, or differs from run to run.
        """
        undisturbed = self._undisturbed()
        if self.deadline is None:
            self.deadline = max(LEAST, PATIENCE * undisturbed.seconds)
        excused = 0
        for number in range(rounds):
            rules = draw(f"{self.seed}/{number}", self.kinds)
            outcome = self.job.run(rules, self.seed, self.deadline)
            problem = self._problem(undisturbed, outcome)
            excuse = problem is not None and is_raised_by_plan(outcome)
            excused += excuse
            verdict = "same" if problem is None else "ended by an error that the plan raises" if excuse else "DIFFERENT"
            self.say(f"round {number}: {verdict} ({outcome.seconds:.1f} s) {'; '.join(rules)}")
            if problem is not None and not excuse:
                self._report(undisturbed, rules, problem)
                return False
        self.say(f"{rounds} rounds, {excused} of them ended by an error that their plan raises; no other difference")
        return True

    def _undisturbed(self) -> Outcome:
        """The result to compare with, after two runs that agree."""
        first, second = (self.job.run((), self.seed, self.deadline or 10 * LEAST) for _ in range(2))
        for outcome in (first, second):
            if outcome.code is None:
                raise ConfigurationError(f"the job does not end within {outcome.seconds:.0f} s, without any faults")
            if outcome.left:
                raise ConfigurationError(f"the job leaves, without any faults: {', '.join(outcome.left)}")
        if (problem := self.compare(first, second)) is not None:
            raise ConfigurationError(
                f"two runs without faults differ, so there is nothing to compare with: {problem}\n"
                f"Let the job print what is the same each time, or say what to compare: --compare MODULE:FUNCTION"
            )
        self.say(f"undisturbed: exit code {first.code}, {first.seconds:.1f} s")
        if first.code:
            self.say(f"the job fails without any faults, and is expected to:\n{last_lines(first.stderr)}")
        return first

    def _problem(self, undisturbed: Outcome, outcome: Outcome) -> str | None:
        if outcome.code is None:
            return f"it did not end within {self.deadline:.0f} s"
        if outcome.left:
            return f"it left {', '.join(outcome.left)}"
        return self.compare(undisturbed, outcome)

    def _report(self, undisturbed: Outcome, rules: Sequence[str], problem: str) -> None:
        self.say(f"seed {self.seed}: {problem}")
        self.say("shrinking the plan ...")

        def shows(some: Sequence[str]) -> bool:
            assert self.deadline is not None
            outcome = self.job.run(some, self.seed, self.deadline)
            return self._problem(undisturbed, outcome) is not None and not is_raised_by_plan(outcome)

        fewest = shrink(rules, shows)
        self.say(f"the fewest faults that show it: {'; '.join(fewest)}")
        self.say(f"again: {self.job.shown(fewest, self.seed)}")


def is_raised_by_plan(outcome: Outcome) -> bool:
    """Whether the job ended with an error that a rule raised in it: then it is the job's answer to its plan."""
    return bool(outcome.code) and not outcome.left and ON_PURPOSE in outcome.stderr


def named_comparison(name: str | None) -> Compare:
    """``MODULE:FUNCTION``, called with two outcomes: True or None says that they are the same, else what differs.

    Raises ConfigurationError when there is no such function. None: `difference`.
    """
    if name is None:
        return difference
    module, _, function = name.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        compare = getattr(import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigurationError(f"--compare {name}: {error}; it wants MODULE:FUNCTION") from error

    def compared(undisturbed: Outcome, disturbed: Outcome) -> str | None:
        answer = compare(undisturbed, disturbed)
        if answer is None or answer is True:
            return None
        return f"{name} says: {answer}"

    return compared
