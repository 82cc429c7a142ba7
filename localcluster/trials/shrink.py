"""Shrinking a plan: the fewest of its rules that still show what was seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence


def shrink(rules: Sequence[str], shows: Callable[[Sequence[str]], bool]) -> list[str]:
    """Leave out one rule after the other as long as the rest still shows it. ``shows(rules)`` runs the job.

    Each single rule is tried first: mostly one is enough. What is not seen every time may stay too long: the result is
    a plan that showed it when it was last tried, or the whole.
    """
    for rule in rules if len(rules) > 1 else ():
        if shows([rule]):
            return [rule]
    left = list(rules)
    for rule in list(rules) if len(rules) > 2 else ():
        rest = [other for other in left if other is not rule]
        if len(rest) > 1 and shows(rest):
            left = rest
    return left
