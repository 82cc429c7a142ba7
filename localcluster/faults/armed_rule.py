"""One rule in one process that is armed: is it about this event, and does it fire?"""

from __future__ import annotations

import time
from collections.abc import Mapping
from fnmatch import fnmatchcase
from itertools import count
from typing import Any

from localcluster.faults.firing import Firing
from localcluster.faults.ledger import Ledger
from localcluster.faults.rule import Rule
from localcluster.faults.triggers import BITS, draw, fires, is_spent
from localcluster.faults.vocabulary import ACTIONS

TASK = ("stage", "partition", "attempt")


class ArmedRule:
    """Rule number ``number`` of a plan with this seed, in a process of this name, from ``since`` (monotonic) on."""

    def __init__(self, rule: Rule, number: int, seed: int, ledger: Ledger, process: str, since: float) -> None:
        self.rule = rule
        self._since = since
        self._number = number
        self._seed = seed
        self._ledger = ledger
        self._process = process
        self._fires = fires(rule)
        self._spent = False
        self._exact = _exact(rule)
        self._seen = count(1)  # events of this process that no task's identity tells apart

    def meet(self, site: str, facts: Mapping[str, Any]) -> Firing | None:
        """An event at the rule's site: the firing, entered in the books, if it is one. Raises ClusterError."""
        if self._spent or not self._is_about(facts) or not self.is_due:
            return None
        when = self.rule.when
        bits = draw(self._seed, self._number, *self._identity(facts))
        if when.probability is not None and bits >= when.probability * 2.0**BITS:
            return None
        event, firings, is_firing = self._ledger.count(self._number, self._fires, self._process, describe(site, facts))
        self._spent = is_spent(self.rule, firings)
        chance = draw(self._seed, self._number, event, bits)
        return Firing(self.rule, facts, event, chance, self._ledger) if is_firing else None

    @property
    def is_due(self) -> bool:
        """Whether the process has been armed for as long as the rule says."""
        return time.monotonic() >= self._since + (self.rule.when.after_seconds or 0.0)

    def _is_about(self, facts: Mapping[str, Any]) -> bool:
        if any(facts.get(name) != value for name, value in self._exact):
            return False
        stage, block = self.rule.where.stage, self.rule.where.block
        if isinstance(stage, str) and str(facts.get("stage_name", "")).partition(" ")[0] != stage:
            return False
        return block is None or fnmatchcase(str(facts.get("block")), block)

    def _identity(self, facts: Mapping[str, Any]) -> tuple[object, ...]:
        if "partition" in facts:
            # A stage that runs again for a damaged output counts attempts anew; the block has another name.
            return tuple(facts.get(name) for name in (*TASK, "block"))
        return self._process, next(self._seen)


def _exact(rule: Rule) -> list[tuple[str, object]]:
    """Facts that have to be just so."""
    where = rule.where
    names = ("executor", "partition", "attempt", "message", "call")
    wanted = [(name, getattr(where, name)) for name in names]
    action = ACTIONS[rule.what.action]
    wanted += [("call", action.call), ("shared", True if rule.what.action == "full" else None)]
    wanted += [("stage", where.stage if isinstance(where.stage, int) else None), ("n", rule.when.records)]
    return [(name, value) for name, value in wanted if value is not None]


def describe(site: str, facts: Mapping[str, Any]) -> str:
    """What a firing happened to, in words."""
    what = [f"{name} {facts[name]}" for name in ("message", "call", "block") if name in facts]
    if "partition" in facts:
        name = f" ({facts['stage_name']})" if facts.get("stage_name") else ""
        what.append(f"stage {facts['stage']}{name}, partition {facts['partition']}, attempt {facts['attempt']}")
    return ", ".join([site, *what])
