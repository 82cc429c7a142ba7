"""Tell whether marshal gives records back exactly as they are.

Marshal is several times faster than pickle, but it silently turns everything that exports a buffer (numpy scalars and
arrays, bytearray, memoryview) into bytes. So every object is looked at, level by level, with the loops in C: one
``set(map(type, level))`` finds the types of all objects that lie equally deep.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, islice
from typing import Any

SCALARS = frozenset({type(None), bool, int, float, complex, str, bytes})
SEQUENCES = frozenset({tuple, list, set, frozenset})
EXACT = SCALARS | SEQUENCES | {dict}

MAX_DEPTH = 16
MAX_LEVEL = 1 << 20
"""Objects on one level. Bounds the work for values that hold the same object many times, which pickle writes once."""


def are_exact(records: list[Any]) -> bool:
    """Whether the records are made of nothing but objects whose exact type is one of EXACT.

    False also for what is nested too deeply (a list that contains itself is) or too large to be looked at cheaply.
    """
    level = records
    for _ in range(MAX_DEPTH):
        kinds = set(map(type, level))
        if not kinds <= EXACT:
            return False
        if kinds <= SCALARS:
            return True
        level = list(islice(_children(level, kinds), MAX_LEVEL))
        if len(level) == MAX_LEVEL:
            return False
    return False


def _children(level: list[Any], kinds: set[type]) -> Iterable[Any]:
    if kinds <= SEQUENCES:
        return chain.from_iterable(level)
    sequences = chain.from_iterable([value for value in level if type(value) in SEQUENCES])
    if dict not in kinds:
        return sequences
    dicts = [value for value in level if type(value) is dict]
    return chain(sequences, chain.from_iterable(dicts), chain.from_iterable(map(dict.values, dicts)))
