"""What an action is told when its rule fires."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from localcluster.faults.rule import Rule

if TYPE_CHECKING:
    from localcluster.faults.ledger import Ledger


class Firing(NamedTuple):
    """A rule fires: the event that it is about."""

    rule: Rule
    facts: Mapping[str, Any]  # of the event; ``executor`` is the process's own name where the site says no other
    number: int  # which such event of the rule this is, over all processes, from 1
    chance: int  # 64 bits that the plan's seed gives this firing, for choices such as which byte
    books: Ledger  # of its plan: what holds up a process lasts no longer than that


Act: TypeAlias = Callable[[Firing], Any]
"""Does what a rule says. What it returns the site gets, where that means something (`protocol.sites`)."""
