"""Odd operations by key and joins."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from tests.localcluster.rdd.odd.helpers import INF, MIXED, NAN, PAIRS, lists, sides

BY_KEY: dict[str, Callable[[Any], Any]] = {
    "groupByKey": lambda sc: lists(sc.parallelize(PAIRS, 3).groupByKey(2)),
    "groupByKey of lists as pairs": lambda sc: lists(sc.parallelize([[1, 2], [1, 3]], 2).groupByKey(2)),
    "groupByKey of strings as pairs": lambda sc: lists(sc.parallelize([(1, "x"), "ab", "ac"], 2).groupByKey(1)),
    "groupByKey of triples": lambda sc: lists(sc.parallelize([(1, 2, 3)], 1).groupByKey(1)),
    "groupByKey of numbers": lambda sc: lists(sc.parallelize([1], 1).groupByKey(1)),
    "groupByKey of NaN": lambda sc: lists(sc.parallelize([(0.5, 1), (-0.0, 2), (0, 3), (False, 4)], 2).groupByKey(1)),
    "groupByKey of unhashable keys": lambda sc: sc.parallelize([([1], 2)], 1).groupByKey(1).collect(),
    "groupByKey of unhashable values": lambda sc: lists(sc.parallelize([(1, [2]), (1, {3: 4})], 2).groupByKey(1)),
    "groupByKey's type": lambda sc: [
        type(v).__name__ for v in sc.parallelize(PAIRS, 3).groupByKey(2).values().collect()
    ],
    "groupByKey's lengths": lambda sc: sc.parallelize(PAIRS, 3).groupByKey(2).mapValues(len).collect(),
    "groupBy of mixed": lambda sc: lists(sc.parallelize(MIXED, 3).groupBy(lambda x: x is None, 2)),
    "groupBy with a function": lambda sc: lists(
        sc.parallelize(range(9), 3).groupBy(lambda x: x % 4, 3, lambda k: k // 2)
    ),
    "reduceByKey of one each": lambda sc: sc.parallelize([(1, 2), (3, 4)], 2).reduceByKey(None, 1).collect(),
    "reduceByKey, no function": lambda sc: sc.parallelize([(1, 2), (1, 4)], 2).reduceByKey(None, 1).collect(),
    "reduceByKey in order": lambda sc: (
        sc.parallelize([(i % 2, str(i)) for i in range(9)], 4).reduceByKey(operator.add, 2).glom().collect()
    ),
    "reduceByKey of lists as pairs": lambda sc: sc.parallelize([[1, 2], [1, 3]], 2).reduceByKey(max, 2).collect(),
    "reduceByKey fails": lambda sc: sc.parallelize([(1, 2), (1, "a")], 2).reduceByKey(operator.add, 1).collect(),
    "reduceByKey of NaN keys": lambda sc: sc.parallelize([(NAN, 1), (NAN, 2)], 1).map(lambda kv: kv[1]).collect(),
    "foldByKey counts its zero": lambda sc: (
        sc.parallelize([(1, 1), (1, 2), (2, 5)], 3).foldByKey(10, operator.add, 2).glom().collect()
    ),
    "foldByKey with a list": lambda sc: (
        sc.parallelize([(1, [1]), (1, [2]), (2, [3])], 1).foldByKey([], operator.iadd, 1).collect()
    ),
    "aggregateByKey": lambda sc: (
        sc.parallelize(PAIRS, 3)
        .aggregateByKey((0, 0), lambda a, v: (a[0] + v, a[1] + 1), lambda a, b: (a, b), 2)
        .collect()
    ),
    "combineByKey": lambda sc: (
        sc.parallelize(PAIRS, 3).combineByKey(str, lambda a, v: f"{a}{v}", lambda a, b: f"({a}+{b})", 2).collect()
    ),
    "combineByKey in place": lambda sc: (
        sc.parallelize(PAIRS, 3)
        .partitionBy(2)
        .combineByKey(str, lambda a, v: f"{a}{v}", lambda a, b: f"({a}+{b})", 2)
        .glom()
        .collect()
    ),
    "partitionBy of lists as pairs": lambda sc: sc.parallelize([[1, 2], [3, 4]], 2).partitionBy(1).collect(),
    "partitionBy of triples": lambda sc: sc.parallelize([(1, 2, 3)], 2).partitionBy(1).collect(),
    "partitionBy 0": lambda sc: sc.parallelize([(1, 2)], 2).partitionBy(0).collect(),
    "partitionBy -1": lambda sc: sc.parallelize([(1, 2)], 2).partitionBy(-1).collect(),
    "partitionBy by a float": lambda sc: sc.parallelize([(1.5, 2)], 2).partitionBy(2, lambda k: k).collect(),
    "partitionBy by a whole float": lambda sc: sc.parallelize([(1.0, 2)], 2).partitionBy(2, lambda k: k).collect(),
    "partitionBy by a string": lambda sc: sc.parallelize([("a", 2)], 2).partitionBy(2, lambda k: k).collect(),
    "partitionBy by None": lambda sc: sc.parallelize([("a", 2)], 2).partitionBy(2, lambda k: None).collect(),
    "partitionBy by a bool": lambda sc: (
        sc.parallelize([(1, 2), (0, 3)], 2).partitionBy(2, lambda k: k == 1).glom().collect()
    ),
    "partitionBy by large numbers": lambda sc: (
        sc.parallelize([(2**70, 2), (-(2**70) - 1, 3)], 2).partitionBy(3, lambda k: k).glom().collect()
    ),
    "partitionBy of large numbers": lambda sc: (
        sc.parallelize([(2**70, 2), (-(2**70) - 1, 3), (1e300, 4), (-INF, 5)], 2).partitionBy(3).glom().collect()
    ),
    "partitionBy of unhashable keys": lambda sc: sc.parallelize([([1], 2)], 2).partitionBy(2).collect(),
    "partitionBy without a number": lambda sc: sc.parallelize([(1, 2)], 3).partitionBy(None).getNumPartitions(),
    "partitionBy of strings": lambda sc: (
        sc.parallelize([(w, 0) for w in ("", "a", "spark", "ä", b"a", ("a", None))], 2).partitionBy(5).glom().collect()
    ),
    "sampleByKey of lists as pairs": lambda sc: (
        sc.parallelize([[1, 2], [1, 3]], 1).sampleByKey(False, {1: 1.0}, 1).collect()
    ),
    "sampleByKey without a fraction": lambda sc: sc.parallelize([(1, 2)], 1).sampleByKey(False, {2: 1.0}, 1).collect(),
    "sampleByKey, negative": lambda sc: sc.parallelize([(1, 2)], 1).sampleByKey(False, {2: -1.0}, 1),
    "sampleByKey of triples": lambda sc: sc.parallelize([(1, 2, 3)], 1).sampleByKey(False, {1: 1.0}, 1).collect(),
    "subtractByKey": lambda sc: (
        sc.parallelize(PAIRS, 3).subtractByKey(sc.parallelize([(1, 0), (7, None)], 2)).glom().collect()
    ),
    "subtractByKey of nothing": lambda sc: sc.parallelize(PAIRS, 3).subtractByKey(sc.emptyRDD()).glom().collect(),
    "subtractByKey from nothing": lambda sc: sc.emptyRDD().subtractByKey(sc.parallelize(PAIRS, 3)).glom().collect(),
}

JOINS: dict[str, Callable[[Any], Any]] = {
    "join": lambda sc: sc.parallelize(PAIRS, 3).join(sc.parallelize(PAIRS[2:], 2)).glom().collect(),
    "join of nothing": lambda sc: sc.parallelize(PAIRS, 3).join(sc.emptyRDD()).glom().collect(),
    "join of nothings": lambda sc: sc.emptyRDD().join(sc.emptyRDD()).glom().collect(),
    "leftOuterJoin of nothing": lambda sc: sc.parallelize(PAIRS, 2).leftOuterJoin(sc.emptyRDD(), 2).glom().collect(),
    "rightOuterJoin of nothing": lambda sc: sc.emptyRDD().rightOuterJoin(sc.parallelize(PAIRS, 2), 2).glom().collect(),
    "fullOuterJoin": lambda sc: (
        sc.parallelize(PAIRS[:4], 2).fullOuterJoin(sc.parallelize(PAIRS[3:], 2), 3).glom().collect()
    ),
    "join of lists as pairs": lambda sc: sc.parallelize([[1, 2]], 1).join(sc.parallelize([[1, 3]], 1), 1).collect(),
    "join of triples": lambda sc: sc.parallelize([(1, 2, 3)], 1).join(sc.parallelize([(1, 3, 4)], 1), 1).collect(),
    "join of short records": lambda sc: sc.parallelize([(1,)], 1).join(sc.parallelize([(1, 3)], 1), 1).collect(),
    "join of unhashable keys": lambda sc: sc.parallelize([([], 1)], 1).join(sc.parallelize([([], 3)], 1), 1).collect(),
    "join of unhashable values": lambda sc: (
        sc.parallelize([(1, [])], 1).join(sc.parallelize([(1, {})], 1), 1).collect()
    ),
    "join with None values": lambda sc: (
        sc.parallelize([(1, None)], 1).fullOuterJoin(sc.parallelize([(1, None), (2, None)], 1), 1).collect()
    ),
    "join to 0 partitions": lambda sc: sc.parallelize(PAIRS, 2).join(sc.parallelize(PAIRS, 2), 0).collect(),
    "join to -1 partitions": lambda sc: sc.parallelize(PAIRS, 2).join(sc.parallelize(PAIRS, 2), -1).collect(),
    "cogroup": lambda sc: sides(sc.parallelize(PAIRS, 3).cogroup(sc.parallelize(PAIRS[4:], 2))),
    "cogroup of nothing": lambda sc: sides(sc.parallelize(PAIRS, 3).cogroup(sc.emptyRDD(), 2)),
    "cogroup's types": lambda sc: [
        (type(v).__name__, [type(g).__name__ for g in v])
        for v in sc.parallelize(PAIRS, 3).cogroup(sc.parallelize(PAIRS, 1), 1).values().collect()
    ],
    "groupWith of itself": lambda sc: sides(sc.parallelize(PAIRS[:2], 1).groupWith(sc.parallelize(PAIRS[1:3], 1))),
    "groupWith of four": lambda sc: sides(
        sc.parallelize(PAIRS[:2], 1).groupWith(*(sc.parallelize(PAIRS[i : i + 2], 1) for i in (1, 2, 3)))
    ),
    "groupWith of placed and nothing": lambda sc: (
        sc.parallelize(PAIRS, 2)
        .partitionBy(3)
        .groupWith(sc.emptyRDD(), sc.parallelize(PAIRS, 2).partitionBy(3))
        .getNumPartitions()
    ),
    "groupWith of placed and not": lambda sc: (
        sc.parallelize(PAIRS, 2)
        .partitionBy(3)
        .groupWith(sc.parallelize(PAIRS, 2).partitionBy(3), sc.parallelize(PAIRS, 2))
        .getNumPartitions()
    ),
    "join of union": lambda sc: [
        rdd.join(placed).getNumPartitions()
        for placed in [sc.parallelize(enumerate([5, 6, 7, 8]), 2).partitionBy(3)]
        for rdd in (
            placed,
            placed.union(placed),
            sc.union([placed, placed]),
            placed.union(sc.emptyRDD()),
            placed.mapValues(str),
            placed.map(lambda x: x),
            placed.map(lambda x: x, True),
            placed.filter(lambda x: True),
            placed.coalesce(3),
            placed.repartition(3),
            placed.glom().flatMap(lambda x: x, True),
            placed.sample(False, 1.0, 1),
            placed.reduceByKey(max),
            placed.groupByKey(3).mapValues(list),
            placed.sortByKey(True, 3),
            placed.cache(),
        )
    ],
}
