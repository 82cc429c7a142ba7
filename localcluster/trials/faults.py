"""Plans of faults for one test: from the marker, from the fixture, or drawn by chaos."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import pytest

from localcluster.api.context import SparkContext
from localcluster.conf import system_properties
from localcluster.faults import Plan, plan
from localcluster.faults.builders import Part
from localcluster.faults.grammar import text
from localcluster.faults.vocabulary import unknown
from localcluster.trials.random_plans import DRAWS, draw
from protocol.errors import FaultNeverFiredError

log = logging.getLogger(__name__)


class Trial(NamedTuple):
    """A plan that a test runs under. ``strict``: each rule must fire."""

    plan: Plan
    strict: bool


def trials_of(mark: pytest.Mark) -> list[Trial]:
    """What a mark ``faults(plan, …, may_not_fire=False)`` says. Raises FaultPlanError."""
    for name in mark.kwargs.keys() - {"may_not_fire"}:
        raise unknown("keyword of the mark faults", name, ["may_not_fire"])
    return [Trial(plan(part), not mark.kwargs.get("may_not_fire", False)) for part in mark.args]


def text_of(trial: Trial) -> str:
    return text(trial.plan.rules)


def drawn_trial(seed: int, test: str) -> Trial:
    """That of this test for a seed: another one for each test."""
    return Trial(plan("; ".join(draw(f"{seed}/{test}", list(DRAWS)))), strict=False)


@contextmanager
def armed(plan: Plan, strict: bool) -> Iterator[None]:
    """Arm the context that is active, else those that are made meanwhile.

    Raises FaultNeverFiredError at the end when ``strict`` and a rule did not fire.
    """
    context = SparkContext._active_spark_context
    if context is None:
        with _as_settings(plan, strict):
            yield
    else:
        with context.faults(plan, strict=strict):
            yield


@contextmanager
def _as_settings(plan: Plan, strict: bool) -> Iterator[None]:
    wanted = {
        "localcluster.faults": text(plan.rules),
        "localcluster.faults.seed": str(plan.seed),
        "localcluster.faults.strict": str(strict).lower(),
    }
    before = {key: system_properties.get_property(key) for key in wanted}
    _set(wanted)
    try:
        yield
    finally:
        _set(before)


def _set(properties: Mapping[str, str | None]) -> None:
    for key, value in properties.items():
        if value is None:
            system_properties.clear_property(key)
        else:
            system_properties.set_property(key, value)


class FaultsOfTest:
    """Arms rules from a call to the end of the test."""

    def __init__(self) -> None:
        self._armed = ExitStack()

    def __call__(self, *plans: Part, may_not_fire: bool = False) -> None:
        """Raises FaultPlanError. A rule that never fires fails the test, unless it may not."""
        for part in plans:
            self._armed.enter_context(armed(plan(part), strict=not may_not_fire))

    def end(self, went_well: bool) -> None:
        """Raises FaultNeverFiredError, but not where the test failed, was skipped or interrupted, which says more."""
        try:
            self._armed.close()
        except FaultNeverFiredError as error:
            if went_well:
                raise
            log.warning("%s", error)
