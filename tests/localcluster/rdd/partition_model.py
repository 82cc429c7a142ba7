"""What the partitions of an RDD hold, in plain Python: `Model`, and what transformations make of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import chain, pairwise, product
from typing import Any

from localcluster.shuffle.hashing import hashes_like_executors, portable_hash

Pair = tuple[Any, Any]
Parts = list[list[Pair]]


@dataclass(frozen=True)
class Model:
    """``parts``: the records of each partition.

    ``placed``: in how many partitions keys are placed by their hash, 0 where they are not. ``exact``: the order of
    records is determined. ``spread``: not determined is which partition a record is in; ``parts`` says nothing but how
    many there are and what they hold together.
    """

    parts: Parts
    placed: int = 0
    exact: bool = True
    spread: bool = False

    @property
    def records(self) -> list[Pair]:
        return list(chain.from_iterable(self.parts))

    def each(self, change: Callable[[list[Pair]], list[Pair]], keeps_keys: bool = False) -> Model:
        """A narrow step."""
        return replace(self, parts=[change(part) for part in self.parts], placed=self.placed if keeps_keys else 0)

    def shuffled(self, records: list[Pair], count: int, exact: bool = True) -> Model:
        if not all(hashes_like_executors(key) for key, _ in records):
            return replace(self.anywhere(records, count), placed=count)
        parts: Parts = [[] for _ in range(count)]
        for key, value in records:
            parts[portable_hash(key) % count].append((key, value))
        return Model(parts, count, exact and self.exact)

    def anywhere(self, records: list[Pair], count: int, exact: bool = False) -> Model:
        return Model([[] for _ in range(count - 1)] + [records], exact=exact and self.exact, spread=True)


def grouped(records: list[Pair]) -> dict[Any, list[Any]]:
    groups: dict[Any, list[Any]] = {}
    for key, value in records:
        groups.setdefault(key, []).append(value)
    return groups


def text(x: Any) -> tuple[str, str]:
    """A total order over anything."""
    return type(x).__name__, repr(x)


def rank(x: Any) -> int:
    """Something to sort and choose by: equal for equal keys, and the same in all processes, which `hash` is not."""
    if isinstance(x, tuple):
        return (len(x) + sum(map(rank, x))) % 7
    if isinstance(x, (str, bytes)):
        return len(x) % 7
    return 0 if x is None else int(x) % 7


def with_other_sides(left: Model, n: int, right: Model, kinds: str) -> Model:
    """A join: inner, and the sides in ``kinds`` (l, r) that stay without a partner."""
    lefts, rights = grouped(left.records), grouped(right.records)
    joined: list[Pair] = []
    for key in {**lefts, **rights}:
        ours = lefts.get(key, [None] if "r" in kinds else [])
        theirs = rights.get(key, [None] if "l" in kinds else [])
        joined += [(key, pair) for pair in product(ours, theirs)]
    return left.shuffled(joined, n, exact=False)


def rebalanced(m: Model, n: int) -> Model:
    size = len(m.parts)
    groups = min(n, size)
    bounds = [i * size // groups for i in range(groups + 1)] if groups else [0]
    return Model([list(chain.from_iterable(m.parts[a:b])) for a, b in pairwise(bounds)], exact=m.exact)


def unique(m: Model, n: int) -> Model:
    seen = list(dict.fromkeys(m.records))
    return m.shuffled([(record, None) for record in seen], n, exact=False)


def reduced(m: Model, n: int, f: Callable[[list[Any]], Any]) -> Model:
    return m.shuffled([(key, f(values)) for key, values in grouped(m.records).items()], n, exact=False)


def union_of(m: Model, o: Model) -> Model:
    alike = m.placed > 0 and m.placed == o.placed
    parts = [a + b for a, b in zip(m.parts, o.parts, strict=True)] if alike else m.parts + o.parts
    return Model(parts, m.placed if alike else 0, m.exact and o.exact, m.spread or o.spread)


def indexed(m: Model) -> Model:
    starts = [sum(map(len, m.parts[:i])) for i in range(len(m.parts))]
    return Model(
        [[(k, i) for i, (k, _) in enumerate(part, start)] for part, start in zip(m.parts, starts, strict=True)],
        exact=m.exact,
    )


def of_type(x: Any) -> str:
    return type(x).__name__


def unplaced(m: Model) -> Model:
    return replace(m, placed=0)


def cogrouped(m: Model, n: int, o: Model) -> Model:
    ours, theirs = grouped(m.records), grouped(o.records)
    counts = [(key, (len(ours.get(key, ())), len(theirs.get(key, ())))) for key in {**ours, **theirs}]
    return m.shuffled(counts, n, exact=False)
