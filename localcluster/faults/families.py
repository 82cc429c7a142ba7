"""The families of actions: which function does each action, one file and one table a family.

A new family is a file with a table ``ACTS`` and its line in ``_families`` here. The words of its actions are in
``vocabulary``. A plan with an action that no family has is refused (`require`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias

from localcluster.faults.rule import Rule
from protocol.errors import FaultPlanError


class Firing(NamedTuple):
    """A rule fires: the event that it is about."""

    rule: Rule
    facts: Mapping[str, Any]  # of the event; every one in an executor has ``executor``
    number: int  # which matching event of the rule this is, over all processes, from 1
    chance: int  # a number that the plan's seed gives this firing, for choices such as which byte


Act: TypeAlias = Callable[[Firing], Any]
"""Does what a rule says. What it returns the site gets, where that means something (`protocol.sites`)."""


def acts() -> dict[str, Act]:
    """What there is, by the actions' names."""
    return {name: act for family in _families() for name, act in family.items()}


def require(rules: Iterable[Rule]) -> None:
    """Raises FaultPlanError for a rule that nothing here can do."""
    known = acts()
    for rule in rules:
        if rule.what.action not in known:
            raise FaultPlanError(f"{rule.what.action!r} cannot be done yet; what can: {', '.join(known)}")


def _families() -> list[Mapping[str, Act]]:
    return []
