"""Odd arguments: numbers of other types, numpy's, exact numbers; and what derived RDDs know of their partitioning."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np

from tests.localcluster.rdd.odd.helpers import PAIRS, lists

NUMBERS: dict[str, Callable[[Any], Any]] = {
    "coalesce '1'": lambda sc: sc.parallelize(PAIRS, 2).coalesce("1").getNumPartitions(),
    "sortByKey to 2.0": lambda sc: sc.parallelize([(1, 2), (0, 3)], 2).sortByKey(True, 2.0).collect(),
    "take 1.0": lambda sc: sc.parallelize([1, 2], 2).take(1.0),
    "take '1'": lambda sc: sc.parallelize([1, 2], 2).take("1"),
    "take None": lambda sc: sc.parallelize([1, 2], 2).take(None),
    "top '1'": lambda sc: sc.parallelize([1, 2], 2).top("1"),
    "takeOrdered None": lambda sc: sc.parallelize([1, 2], 2).takeOrdered(None),
    "takeSample 2.0": lambda sc: sc.parallelize(range(9), 2).takeSample(False, 2.0, 1),
    "takeSample '2'": lambda sc: sc.parallelize(range(9), 2).takeSample(False, "2", 1),
    "sample 'half'": lambda sc: sc.parallelize(range(9), 2).sample(False, "half", 1),
    "sample None": lambda sc: sc.parallelize(range(9), 2).sample(False, None, 1),
    "parallelize to True": lambda sc: sc.parallelize([1, 2], True).glom().collect(),
    "parallelize to '2'": lambda sc: sc.parallelize([1, 2], "2").glom().collect(),
    "parallelize to a": lambda sc: sc.parallelize([1, 2], "a").glom().collect(),
    "treeReduce, depth 1.5": lambda sc: sc.parallelize(range(9), 6).treeReduce(operator.add, 1.5),
    "randomSplit of integers": lambda sc: [r.collect() for r in sc.parallelize(range(20), 2).randomSplit((1, 3), 4)],
    "randomSplit of text": lambda sc: sc.parallelize(range(20), 2).randomSplit("ab", 4),
    "sampleByKey of integers": lambda sc: sc.parallelize(PAIRS[5:], 2).sampleByKey(False, {1: 1}, 4).collect(),
    "sampleByKey of a default": lambda sc: sc.parallelize([(1, 2)], 1).sampleByKey(False, {}, 4).collect(),
    "numpy's array": lambda sc: sc.parallelize(np.arange(4), 2).map(int).glom().collect(),
    "numpy's numbers as keys": lambda sc: (
        sc.parallelize([(np.int64(1), 2), (1, 3), (np.float64(1.0), 4)], 2)
        .groupByKey(2)
        .mapValues(list)
        .values()
        .collect()
    ),
    "numpy's numbers as places": lambda sc: (
        sc.parallelize([(1, 2), (2, 3)], 2).partitionBy(2, lambda k: np.int64(k)).glom().collect()
    ),
    "sum of arrays": lambda sc: sc.parallelize([np.array([1, 2]), np.array([3, 4])], 2).sum().tolist(),
    "mean of arrays": lambda sc: sc.parallelize([np.array([1, 2]), np.array([3, 4])], 2).mean().tolist(),
    "stats of arrays": lambda sc: str(sc.parallelize([np.array([1.0, 2]), np.array([3.0, 5])], 2).stats()),
    "max of arrays": lambda sc: sc.parallelize([np.array([1, 2]), np.array([3, 4])], 1).max(),
    "sum of decimals": lambda sc: sc.parallelize([Decimal("0.1")] * 3, 2).sum(),
    "mean of decimals": lambda sc: sc.parallelize([Decimal("0.1")] * 3, 2).mean(),
    "mean of fractions": lambda sc: sc.parallelize([Fraction(1, 2), Fraction(1, 4)], 2).mean(),
    "sum of complex": lambda sc: sc.parallelize([1j, 2], 2).sum(),
    "histogram of decimals": lambda sc: sc.parallelize([Decimal(1), Decimal(4)], 2).histogram(3),
    "histogram of uneven decimals": lambda sc: sc.parallelize([Decimal(1), Decimal(4)], 2).histogram(2),
    "histogram of fractions": lambda sc: sc.parallelize([Fraction(1, 2), Fraction(7, 2)], 2).histogram(2),
    "histogram of large numbers": lambda sc: sc.parallelize([2**60, 2**60 + 7, 2**61], 2).histogram(4),
    "histogram of tiny steps": lambda sc: sc.parallelize([0.0, 5e-324, 1e-323], 2).histogram(2),
    "fold of None": lambda sc: sc.parallelize([1, 2], 2).fold(None, lambda a, b: (a, b)),
    "aggregate of None": lambda sc: sc.parallelize([1, 2], 2).aggregate(None, lambda a, x: x, lambda a, b: (a, b)),
    "aggregate changes its zero": lambda sc: sc.parallelize([1, 2, 3], 3).aggregate(
        [0], lambda a, x: a.append(x) or a, lambda a, b: a.append(b) or a
    ),
    "treeAggregate changes its zero": lambda sc: sc.parallelize(range(8), 8).treeAggregate(
        [0], lambda a, x: a.append(x) or a, lambda a, b: a + b, 3
    ),
    "aggregateByKey changes its zero": lambda sc: (
        sc.parallelize(PAIRS, 3).aggregateByKey([0], lambda a, x: a.append(x) or a, lambda a, b: a + b, 2).collect()
    ),
    "reduceByKey changes values": lambda sc: (
        sc.parallelize([(1, [1]), (1, [2]), (1, [3])], 2).reduceByKey(operator.iadd, 1).collect()
    ),
    "stats grow": lambda sc: str(sc.parallelize([1, 2], 2).stats().merge(6)),
    "stats merge with themselves": lambda sc: (lambda s: str(s.mergeStats(s)))(sc.parallelize([1, 2], 2).stats()),
    "stats merge with a list": lambda sc: sc.parallelize([1, 2], 2).stats().mergeStats([1]),
    "stats copied": lambda sc: (lambda s: [str(s.copy().merge(9)), str(s)])(sc.parallelize([1, 2], 2).stats()),
    "stats' types": lambda sc: (lambda s: [type(s.count()).__name__, s.sum(), s.mean(), s.min(), s.max()])(
        sc.parallelize([1, 2], 2).stats()
    ),
    "reading a partition twice": lambda sc: (
        sc.parallelize([1, 2], 1).mapPartitions(lambda it: [list(it), list(it)]).collect()
    ),
    "what partitions are": lambda sc: sc.parallelize([1, 2], 1).mapPartitions(lambda it: [iter(it) is it]).collect(),
    "grouped values' attributes": lambda sc: [
        (v.index, v.maxindex, type(v.data).__name__, len(v))
        for v in sc.parallelize(PAIRS, 2).groupByKey(1).values().collect()
    ],
    "grouped values have no index": lambda sc: (
        sc.parallelize([(1, 2)], 1).groupByKey().values().map(lambda v: v[0]).collect()
    ),
    "lookup where keys are placed by a function": lambda sc: (
        sc.parallelize([(i, -i) for i in range(9)], 3).partitionBy(4, lambda k: k // 2).lookup(7)
    ),
    "lookup in a falling sort": lambda sc: sc.parallelize([(i, -i) for i in range(30)], 3).sortByKey(False).lookup(17),
    "sortByKey by a falling function": lambda sc: (
        sc.parallelize([(i * 7 % 20, i) for i in range(20)], 3).sortByKey(True, 3, lambda k: -k).keys().collect()
    ),
    "cartesian of mapped": lambda sc: (
        sc.parallelize(range(5), 1).map(lambda x: x).cartesian(sc.parallelize("abc", 1).map(str)).collect()
    ),
    "zip of other batches": lambda sc: (
        sc.parallelize(range(40), 2).zip(sc.parallelize(range(40), 4).coalesce(2).map(lambda x: -x)).collect()
    ),
    "mapPartitionsWithSplit": lambda sc: warned(
        lambda: sc.parallelize([1], 1).mapPartitionsWithSplit(lambda i, it: [i])
    ),
}


def warned(call: Callable[[], Any]) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    return [f"{warning.category.__name__}: {warning.message}" for warning in caught if "Split" in str(warning.message)]


def derived(sc: Any) -> dict[str, Any]:
    """Every kind of RDD made of an RDD placed by key in 3 partitions, and of one that is not, in 2."""
    placed = sc.parallelize([(i, i) for i in range(8)], 2).partitionBy(3)
    alike = sc.parallelize([(i, -i) for i in range(4)], 2).partitionBy(3)
    plain = sc.parallelize([(i, -i) for i in range(4)], 2)
    nothing = sc.emptyRDD()
    return {
        "placed": placed,
        "map": placed.map(lambda kv: kv),
        "map, kept": placed.map(lambda kv: kv, preservesPartitioning=True),
        "flatMap, kept": placed.flatMap(lambda kv: [kv], True),
        "mapPartitions": placed.mapPartitions(lambda it: it),
        "mapPartitions, kept": placed.mapPartitions(lambda it: it, True),
        "map, kept after map": placed.map(lambda kv: kv).map(lambda kv: kv, True),
        "filter": placed.filter(bool),
        "mapValues": placed.mapValues(str),
        "flatMapValues": placed.flatMapValues(lambda v: [v]),
        "keys": placed.keys(),
        "sample": placed.sample(False, 1.0, 1),
        "randomSplit": placed.randomSplit([1.0], 1)[0],
        "sampleByKey": placed.sampleByKey(False, dict.fromkeys(range(8), 1.0), 1),
        "glom": placed.glom(),
        "zipWithIndex": placed.zipWithIndex(),
        "coalesce": placed.coalesce(3),
        "repartition": placed.repartition(3),
        "distinct": placed.distinct(),
        "union of alike": placed.union(alike),
        "union with plain": placed.union(plain),
        "union with nothing": placed.union(nothing),
        "nothing with placed": nothing.union(placed),
        "context's union": sc.union([placed, alike]),
        "placed again": placed.partitionBy(3),
        "placed otherwise": placed.partitionBy(4),
        "placed by a function": placed.partitionBy(3, lambda k: k),
        "groupByKey": placed.groupByKey(),
        "groupByKey of plain": plain.groupByKey(),
        "reduceByKey": placed.reduceByKey(max),
        "combineByKey, otherwise": placed.combineByKey(str, max, max, 5),
        "sortByKey": placed.sortByKey(),
        "sortByKey to one": placed.sortByKey(True, 1),
        "sortBy": placed.sortBy(str),
        "repartitionAndSortWithinPartitions": placed.repartitionAndSortWithinPartitions(),
        "join of alike": placed.join(alike),
        "join with plain": placed.join(plain),
        "join with nothing": placed.join(nothing),
        "leftOuterJoin of alike": placed.leftOuterJoin(alike),
        "fullOuterJoin, number": placed.fullOuterJoin(plain, 3),
        "cogroup of alike": placed.cogroup(alike),
        "cogroup of plain": plain.cogroup(plain),
        "groupWith of three alike": placed.groupWith(alike, placed),
        "groupWith, plain last": placed.groupWith(alike, plain),
        "groupWith, plain first": plain.groupWith(placed, alike),
        "subtractByKey": placed.subtractByKey(alike),
        "subtract": placed.subtract(alike),
        "intersection": placed.intersection(alike),
        "cartesian": placed.cartesian(plain),
        "zip": placed.zip(alike.repartition(3)),
    }


DERIVED: dict[str, Callable[[Any], Any]] = {
    "numbers of partitions": lambda sc: {name: rdd.getNumPartitions() for name, rdd in derived(sc).items()},
    "partitioners": lambda sc: {
        name: rdd.partitioner and rdd.partitioner.numPartitions for name, rdd in derived(sc).items()
    },
    "partitioners are equal": lambda sc: [
        sc.parallelize(PAIRS, 2).partitionBy(3).partitioner == sc.parallelize(PAIRS, 4).groupByKey(n).partitioner
        for n in (2, 3)
    ],
    "a join of derived": lambda sc: {
        name: rdd.join(sc.parallelize([(1, 2)], 2).partitionBy(3)).getNumPartitions()
        for name, rdd in derived(sc).items()
        if name not in ("glom", "cartesian", "zip", "keys")
    },
    "values of a placed group": lambda sc: lists(sc.parallelize(PAIRS, 2).partitionBy(3).groupByKey()),
}
