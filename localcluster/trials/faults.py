"""Plans of faults for one test: from the marker, from the fixture, or drawn by chaos."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from localcluster.api.context import SparkContext
from localcluster.conf import system_properties
from localcluster.faults import Plan, Rule
from localcluster.faults import plan as parsed
from localcluster.faults.grammar import text
from localcluster.trials.random_plans import DRAWS, draw


def as_plan(plan: str | Rule | Plan) -> Plan:
    """Raises FaultPlanError for a text or a rule that has no meaning."""
    if isinstance(plan, str):
        return parsed(plan)
    return plan if isinstance(plan, Plan) else Plan([plan])


def text_of(plan: Plan) -> str:
    """What the plan would be as text."""
    return text(plan.rules)


def drawn_plan(seed: int, test: str) -> Plan:
    """The plan of this test for a seed: another one for each test."""
    return parsed("; ".join(draw(f"{seed}/{test}", list(DRAWS))))


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
        "localcluster.faults": text_of(plan),
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

    def __call__(self, *plans: str | Rule | Plan, may_not_fire: bool = False) -> None:
        """Raises FaultPlanError. A rule that never fires fails the test, unless it may not."""
        for plan in plans:
            self._armed.enter_context(armed(as_plan(plan), strict=not may_not_fire))

    def __enter__(self) -> FaultsOfTest:
        return self

    def __exit__(self, *error: Any) -> None:
        self._armed.close()
