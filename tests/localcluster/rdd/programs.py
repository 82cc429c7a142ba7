"""Random programs of many steps, each with its meaning in plain Python: what every partition holds after it.

A program is a list of steps drawn by hypothesis, or from a seed by `random_program`. Records are pairs of hashable
keys and values throughout, so any step can follow any other. Where only the bag of records of a partition, or of the
whole, is determined, the model takes its order from the RDD once the bag has been compared.

Does not cover which error a program ends with, nor samples (`odd`), nor what depends on the hash of strings.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from tests.localcluster.rdd.models import same_bag
from tests.localcluster.rdd.partition_model import (
    Model,
    Pair,
    Parts,
    cogrouped,
    indexed,
    of_type,
    rank,
    rebalanced,
    reduced,
    text,
    union_of,
    unique,
    unplaced,
    with_other_sides,
)

KEYS = [None, 0, 1, 2, 3, -1, -2, True, 1.0, 2.5, -0.0, (None, 1), (1, (2, None)), (), 2**65]
VALUES = [None, 0, 1, 5, -7, True, 0.5, "", "text", b"bytes", (1, "x"), (), 10**20]
LIMIT = 60  # records: joins and cartesian products of more are not made


@dataclass(frozen=True)
class Step:
    """``apply`` does it to an RDD, ``expect`` to a model; both take the step's ``number`` and another RDD or model."""

    name: str
    apply: Callable[[Any, int, Any], Any] = field(compare=False, repr=False)
    expect: Callable[[Model, int, Model], Model] = field(compare=False, repr=False)
    number: int = 0
    other: tuple[tuple[Pair, ...], ...] = ()


STEPS: dict[str, tuple[Callable[[Any, int, Any], Any], Callable[[Model, int, Model], Model]]] = {
    "map": (
        lambda r, n, o: r.map(lambda kv: (kv[1], kv[0])),
        lambda m, n, o: m.each(lambda part: [(v, k) for k, v in part]),
    ),
    "mapValues": (
        lambda r, n, o: r.mapValues(lambda v: (n, v)),
        lambda m, n, o: m.each(lambda part: [(k, (n, v)) for k, v in part], keeps_keys=True),
    ),
    "flatMap": (
        lambda r, n, o: r.flatMap(lambda kv: [kv] * (rank(kv[0]) % 3)),
        lambda m, n, o: m.each(lambda part: [kv for kv in part for _ in range(rank(kv[0]) % 3)]),
    ),
    "flatMapValues": (
        lambda r, n, o: r.flatMapValues(lambda v: (v, n) if v else ()),
        lambda m, n, o: m.each(lambda part: [(k, w) for k, v in part if v for w in (v, n)], keeps_keys=True),
    ),
    "filter": (
        lambda r, n, o: r.filter(lambda kv: rank(kv[0]) != n),
        lambda m, n, o: m.each(lambda part: [kv for kv in part if rank(kv[0]) != n], keeps_keys=True),
    ),
    "mapPartitions": (
        lambda r, n, o: r.mapPartitions(lambda records: reversed(list(records)), preservesPartitioning=True),
        lambda m, n, o: m.each(lambda part: part[::-1], keeps_keys=True),
    ),
    "mapPartitionsWithIndex": (
        lambda r, n, o: r.mapPartitionsWithIndex(lambda i, records: ((i, v) for _, v in records)),
        lambda m, n, o: Model([[(i, v) for _, v in part] for i, part in enumerate(m.parts)], exact=m.exact),
    ),
    "glom": (
        lambda r, n, o: r.glom().map(lambda part: (len(part), sum(rank(k) for k, _ in part))),
        lambda m, n, o: Model([[(len(part), sum(rank(k) for k, _ in part))] for part in m.parts]),
    ),
    "keyBy": (
        lambda r, n, o: r.keyBy(lambda kv: of_type(kv[1])).map(lambda kv: (len(kv[0]), kv[1])),
        lambda m, n, o: m.each(lambda part: [(len(of_type(kv[1])), kv) for kv in part]),
    ),
    "keys": (
        lambda r, n, o: r.keys().zip(r.values()),
        lambda m, n, o: m.each(lambda part: part),
    ),
    "zipWithIndex": (lambda r, n, o: r.keys().zipWithIndex(), lambda m, n, o: indexed(m)),
    "zipWithUniqueId": (
        lambda r, n, o: r.values().zipWithUniqueId(),
        lambda m, n, o: Model(
            [[(v, j * len(m.parts) + i) for j, (_, v) in enumerate(part)] for i, part in enumerate(m.parts)],
            exact=m.exact,
        ),
    ),
    "partitionBy": (
        lambda r, n, o: r.partitionBy(n),
        lambda m, n, o: m if m.placed == n else m.shuffled(m.records, n),
    ),
    "repartition": (
        lambda r, n, o: r.repartition(n),
        # Where records go is in the recorded cases; here it only matters that they go somewhere.
        lambda m, n, o: m.anywhere(m.records, n),
    ),
    "coalesce": (lambda r, n, o: r.coalesce(n), lambda m, n, o: rebalanced(m, n)),
    "sortByKey": (
        lambda r, n, o: r.map(lambda kv: (rank(kv[0]), kv)).sortByKey(n % 2 == 0, n).values(),
        lambda m, n, o: m.anywhere(sorted(m.records, key=lambda kv: rank(kv[0]), reverse=n % 2 == 1), n, exact=True),
    ),
    "sortBy": (
        lambda r, n, o: r.sortBy(text, True, n),
        lambda m, n, o: m.anywhere(sorted(m.records, key=text), n, exact=True),
    ),
    "repartitionAndSortWithinPartitions": (
        lambda r, n, o: r.repartitionAndSortWithinPartitions(n, keyfunc=rank),
        lambda m, n, o: (m if m.placed == n else m.shuffled(m.records, n)).each(
            lambda part: sorted(part, key=lambda kv: rank(kv[0])), keeps_keys=True
        ),
    ),
    "groupByKey": (
        lambda r, n, o: r.groupByKey(n).mapValues(lambda values: tuple(sorted(values, key=text))),
        lambda m, n, o: reduced(m, n, lambda values: tuple(sorted(values, key=text))),
    ),
    "groupBy": (
        lambda r, n, o: r.groupBy(lambda kv: of_type(kv[1]) == "int", n).mapValues(len),
        lambda m, n, o: reduced(Model([[(of_type(v) == "int", v) for _, v in m.records]]), n, len),
    ),
    "reduceByKey": (
        lambda r, n, o: r.mapValues(of_type).reduceByKey(max, n),
        lambda m, n, o: reduced(m, n, lambda values: max(map(of_type, values))),
    ),
    "aggregateByKey": (
        lambda r, n, o: r.aggregateByKey(0, lambda a, v: a + 1, lambda a, b: a + b, n),
        lambda m, n, o: reduced(m, n, len),
    ),
    "foldByKey": (
        lambda r, n, o: r.mapValues(lambda v: 1).foldByKey(0, lambda a, b: a + b, n),
        lambda m, n, o: reduced(m, n, len),
    ),
    "combineByKey": (
        lambda r, n, o: r.combineByKey(text, lambda a, v: min(a, text(v)), min, n),
        lambda m, n, o: reduced(m, n, lambda values: min(map(text, values))),
    ),
    "distinct": (lambda r, n, o: r.distinct(n).map(lambda kv: (kv, None)), lambda m, n, o: unplaced(unique(m, n))),
    "union": (lambda r, n, o: r.union(o), lambda m, n, o: union_of(m, o)),
    "union of placed": (
        lambda r, n, o: r.partitionBy(n).union(o.partitionBy(n)),
        lambda m, n, o: union_of(STEPS["partitionBy"][1](m, n, o), o.shuffled(o.records, n)),
    ),
    "intersection": (
        lambda r, n, o: r.union(o).intersection(o).map(lambda kv: (kv, n)),
        lambda m, n, o: unplaced(
            m.shuffled([(kv, n) for kv in dict.fromkeys(o.records)], len(union_of(m, o).parts) + len(o.parts), False)
        ),
    ),
    "subtract": (
        lambda r, n, o: r.subtract(o, n),
        lambda m, n, o: m.shuffled([(kv, None) for kv in m.records if kv not in o.records], n, False).each(
            lambda part: [kv for kv, _ in part]
        ),
    ),
    "subtractByKey": (
        lambda r, n, o: r.subtractByKey(o, n),
        lambda m, n, o: m.shuffled([kv for kv in m.records if kv[0] not in dict(o.records)], n, False),
    ),
    "join": (lambda r, n, o: r.join(o, n), lambda m, n, o: with_other_sides(m, n, o, "")),
    "leftOuterJoin": (lambda r, n, o: r.leftOuterJoin(o, n), lambda m, n, o: with_other_sides(m, n, o, "l")),
    "rightOuterJoin": (lambda r, n, o: r.rightOuterJoin(o, n), lambda m, n, o: with_other_sides(m, n, o, "r")),
    "fullOuterJoin": (lambda r, n, o: r.fullOuterJoin(o, n), lambda m, n, o: with_other_sides(m, n, o, "lr")),
    "join of placed": (
        lambda r, n, o: r.partitionBy(n).join(o.partitionBy(n)),
        lambda m, n, o: with_other_sides(m, n, o, ""),
    ),
    "cogroup": (
        lambda r, n, o: r.cogroup(o, n).mapValues(lambda groups: tuple(map(len, groups))),
        lambda m, n, o: cogrouped(m, n, o),
    ),
    "groupWith": (
        lambda r, n, o: r.partitionBy(n).groupWith(o.partitionBy(n)).mapValues(lambda groups: tuple(map(len, groups))),
        lambda m, n, o: cogrouped(m, n, o),
    ),
    "cartesian": (
        lambda r, n, o: r.cartesian(o).filter(lambda pair: rank(pair[0][0]) == rank(pair[1][0])),
        lambda m, n, o: Model(
            [
                [(a, b) for a in left for b in right if rank(a[0]) == rank(b[0])]
                for left in m.parts
                for right in o.parts
            ],
            exact=m.exact and o.exact,
        ),
    ),
    "cache": (lambda r, n, o: r.cache(), lambda m, n, o: m),
    "used twice": (lambda r, n, o: r.cache().union(r), lambda m, n, o: union_of(m, m)),
}


def step(name: str, number: int, other: Parts) -> Step:
    return Step(name, *STEPS[name], number, tuple(map(tuple, other)))


def random_parts(rng: random.Random) -> Parts:
    return [
        [(rng.choice(KEYS), rng.choice(VALUES)) for _ in range(rng.choice([0, 0, 1, 2, 5]))]
        for _ in range(rng.randint(1, 4))
    ]


def random_program(rng: random.Random, length: int) -> list[Step]:
    return [step(rng.choice(list(STEPS)), rng.randint(1, 5), random_parts(rng)) for _ in range(length)]


def run(make: Callable[[Parts], Any], start: Parts, program: list[Step], look_each_time: bool) -> None:
    """Build the program's RDD and compare it with the model: after every step, or only at the end.

    ``make`` makes an RDD with exactly the given partitions.

    Raises:
        AssertionError: a difference; it names the steps up to there.
    """
    rdd, model = make(start), Model(start)
    done: list[str] = []
    for step in program:
        other = [list(part) for part in step.other]
        if len(model.records) > LIMIT:
            continue
        rdd, model = step.apply(rdd, step.number, make(other)), step.expect(model, step.number, Model(other))
        done.append(f"{step.name}({step.number})")
        if look_each_time or model.spread or not model.exact:
            model = compared(rdd, model, done)
    compared(rdd, model, done)


def compared(rdd: Any, model: Model, done: list[str]) -> Model:
    """The model with the order, and where only the whole is determined with the places, that the RDD has."""
    actual = rdd.glom().collect()
    assert len(actual) == rdd.getNumPartitions(), done
    # A sort of nothing leaves it as it is.
    assert len(actual) == len(model.parts) or (model.spread and not model.records), (done, len(actual), model.parts)
    both = (
        [(list(chain.from_iterable(actual)), model.records)] if model.spread else zip(actual, model.parts, strict=True)
    )
    for got, wanted in both:
        assert same(got, wanted, model.exact), (done, got, wanted)
    return Model(actual, model.placed)


def same(got: list[Pair], wanted: list[Pair], in_order: bool) -> bool:
    """Equal, in order or as bags."""
    return got == wanted if in_order else same_bag(got, wanted)
