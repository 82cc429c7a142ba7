"""A plan of faults: rules that were checked, and the seed of what is left to chance."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from localcluster.faults.check import check
from localcluster.faults.rule import Rule
from protocol.errors import FaultPlanError


@dataclass(frozen=True)
class Plan:
    """What is to go wrong in a run. Raises FaultPlanError for a rule that has no meaning."""

    rules: tuple[Rule, ...]
    seed: int = 0

    def __init__(self, rules: Iterable[Rule], seed: int = 0) -> None:
        object.__setattr__(self, "rules", tuple(rules))
        object.__setattr__(self, "seed", seed)
        for rule in self.rules:
            if not isinstance(rule, Rule):
                raise FaultPlanError(f"Plan takes a list of rules, as kill() gives them, and not {rule!r}; see plan()")
            check(rule)
