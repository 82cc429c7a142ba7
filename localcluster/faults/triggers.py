"""When a rule fires: at which of the events that it is about, and what is left to chance.

Plain functions of numbers; the numbers come from the ``ledger``. An event of a task draws by the seed, the rule and the
task (stage, partition, attempt), so it falls the same way wherever and whenever that runs; other events draw by the
process and by how many such events it has seen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from localcluster.faults.rule import UNLIMITED, Rule
from localcluster.faults.vocabulary import times_of

BITS = 64


def fires(rule: Rule) -> Callable[[int, int], bool]:
    """Whether it fires at the n-th event, when it has fired so often before."""
    when, times = rule.when, times_of(rule)
    nth, every = when.nth or when.after_tasks or 1, when.every
    if every is not None:
        return lambda number, firings: number % every == 0 and (times == UNLIMITED or firings < times)
    return lambda number, firings: number >= nth and (times == UNLIMITED or firings < times)


def is_spent(rule: Rule, firings: int) -> bool:
    """Whether it will never fire again."""
    times = times_of(rule)
    return times != UNLIMITED and firings >= times


def draw(seed: int, rule: int, *event: object) -> int:
    """Random bits, BITS of them, for an event of a plan's rule of this number."""
    text = repr((seed, rule, event))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=BITS // 8).digest(), "little")
