"""The families of actions: which function does each action, one file and one table a family.

A new family is a file with a table ``ACTS`` and its line in ``_families`` here; one with a site that is not in the
code, as messages have the hook of endpoints, has a line in `doors`. The words of its actions are in ``vocabulary``. A
plan with an action that no family has is refused (`require`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from localcluster.faults import blocks, calls, messages, process_actions
from localcluster.faults.firing import Act
from localcluster.faults.process_actions import is_silent
from localcluster.faults.rule import Rule
from protocol.errors import FaultPlanError
from protocol.sites import Armed


def acts() -> dict[str, Act]:
    """What there is, by the actions' names."""
    return {name: act for family in _families() for name, act in family.items()}


def require(rules: Iterable[Rule]) -> None:
    """Raises FaultPlanError for a rule that nothing here can do."""
    known = acts()
    for rule in rules:
        if rule.what.action not in known:
            raise FaultPlanError(f"{rule.what.action!r} cannot be done yet; what can: {', '.join(known)}")


def doors() -> dict[str, Callable[[Armed | None], None]]:
    """Sites that are not in the code: what puts a process's injector there, or takes it away. {site: it}"""
    return {calls.SITE: calls.set_door, messages.SITE: messages.set_door}


def answers() -> dict[str, Callable[[], Any]]:
    """What an armed process says at a site when no rule that fires there does: of lasting effects. {site: it}"""
    return {"heartbeat": is_silent}


def _families() -> list[Mapping[str, Act]]:
    return [process_actions.ACTS, messages.ACTS, blocks.ACTS, calls.ACTS]
