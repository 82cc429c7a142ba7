"""Odd set operations, placements, sorts and samples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.localcluster.rdd.odd.helpers import MIXED, NAN, fail_at

SETS: dict[str, Callable[[Any], Any]] = {
    "distinct of mixed": lambda sc: sc.parallelize(MIXED, 3).distinct(2).glom().collect(),
    "distinct of lists": lambda sc: sc.parallelize([[1]], 1).distinct().collect(),
    "distinct of nothing": lambda sc: sc.emptyRDD().distinct().collect(),
    "distinct of one NaN": lambda sc: sc.parallelize([NAN], 1).distinct().collect(),
    "intersection of mixed": lambda sc: (
        sc.parallelize(MIXED, 3).intersection(sc.parallelize([1, None, (1, None)], 2)).glom().collect()
    ),
    "intersection with nothing": lambda sc: sc.parallelize([1], 2).intersection(sc.emptyRDD()).glom().collect(),
    "subtract": lambda sc: sc.parallelize([1, 1, 2, 3, 3], 2).subtract(sc.parallelize([3], 2), 2).glom().collect(),
    "subtract of equals": lambda sc: sc.parallelize([1, True, 1.0, 2], 2).subtract(sc.parallelize([1], 1), 1).collect(),
    "subtract of lists": lambda sc: sc.parallelize([[1]], 2).subtract(sc.parallelize([[1]], 2), 2).collect(),
    "union of nothing": lambda sc: sc.parallelize([1, 2], 2).union(sc.emptyRDD()).glom().collect(),
    "union of nothings": lambda sc: sc.emptyRDD().union(sc.emptyRDD()).glom().collect(),
    "union of types": lambda sc: sc.parallelize([1], 1).union(sc.parallelize(["a"], 2)).glom().collect(),
    "union of a list": lambda sc: sc.parallelize([1], 1).union([2]),
    "add a list": lambda sc: sc.parallelize([1], 1).__add__([2]),
    "context's union of none": lambda sc: sc.union([]),
    "context's union of one": lambda sc: sc.union([sc.parallelize([1, 2], 2)]).glom().collect(),
    "cartesian of nothing": lambda sc: sc.parallelize([1], 2).cartesian(sc.emptyRDD()).glom().collect(),
    "cartesian of itself": lambda sc: (lambda rdd: rdd.cartesian(rdd).glom().collect())(sc.parallelize([1, 2], 2)),
    "zip of other lengths": lambda sc: sc.parallelize(range(4), 2).zip(sc.parallelize(range(5), 2)).collect(),
    "zip of other numbers of partitions": lambda sc: sc.parallelize(range(4), 2).zip(sc.parallelize(range(4), 4)),
    "zip of nothing": lambda sc: sc.emptyRDD().zip(sc.emptyRDD()).collect(),
    "zip of filtered": lambda sc: (lambda rdd: rdd.zip(rdd.filter(lambda x: x != 3)).collect())(
        sc.parallelize(range(6), 2)
    ),
    "zip of same": lambda sc: (lambda rdd: rdd.zip(rdd.map(str)).glom().collect())(sc.parallelize(range(6), 4)),
}

PLACING: dict[str, Callable[[Any], Any]] = {
    "coalesce 0": lambda sc: sc.parallelize([1], 1).coalesce(0),
    "coalesce -1": lambda sc: sc.parallelize([1], 1).coalesce(-1),
    "coalesce None": lambda sc: sc.parallelize([1], 1).coalesce(None),
    "coalesce more": lambda sc: sc.parallelize(range(4), 2).coalesce(5).glom().collect(),
    "coalesce of nothing": lambda sc: sc.emptyRDD().coalesce(3).glom().collect(),
    "coalesce of nothing, shuffled": lambda sc: sc.emptyRDD().coalesce(3, True).glom().collect(),
    "coalesce, shuffled": lambda sc: sc.parallelize(range(30), 3).coalesce(4, shuffle=True).glom().collect(),
    "repartition 0": lambda sc: sc.parallelize([1], 1).repartition(0),
    "repartition of few": lambda sc: sc.parallelize(range(3), 3).repartition(5).glom().collect(),
    "repartition of mapped": lambda sc: sc.parallelize(range(47), 3).map(lambda x: x).repartition(3).glom().collect(),
    "repartition of repartitioned": lambda sc: (
        sc.parallelize(range(47), 3).repartition(2).repartition(3).glom().collect()
    ),
    "repartition of filtered": lambda sc: (
        sc.parallelize(range(100), 4).filter(lambda x: x % 3 == 0).repartition(3).glom().collect()
    ),
    "parallelize a string": lambda sc: sc.parallelize("abc", 2).glom().collect(),
    "parallelize a dict": lambda sc: sc.parallelize({"a": 1, "b": 2}, 2).glom().collect(),
    "parallelize a generator": lambda sc: sc.parallelize((x for x in range(5)), 2).glom().collect(),
    "parallelize a set": lambda sc: sc.parallelize({1, 2, 3}, 2).glom().collect(),
    "parallelize a range": lambda sc: sc.parallelize(range(0, 10, 3), 3).glom().collect(),
    "parallelize a falling range": lambda sc: sc.parallelize(range(10, 0, -3), 3).glom().collect(),
    "parallelize bytes": lambda sc: sc.parallelize(b"ab", 1).collect(),
    "parallelize a number": lambda sc: sc.parallelize(5),
    "parallelize None": lambda sc: sc.parallelize(None),
    "parallelize 0": lambda sc: sc.parallelize([1], 0).collect(),
    "parallelize -1": lambda sc: sc.parallelize([1], -1).collect(),
    "parallelize 2.7": lambda sc: sc.parallelize(range(4), 2.7).glom().collect(),
    "parallelize to more than there are": lambda sc: sc.parallelize([1, 2, 3], 5).glom().collect(),
    "parallelize uneven": lambda sc: sc.parallelize([0] * 11, 4).glom().map(len).collect(),
    "range of nothing": lambda sc: sc.range(5, 1).collect(),
    "range by 0": lambda sc: sc.range(1, 5, 0),
    "range, falling": lambda sc: sc.range(5, 0, -2, 2).glom().collect(),
    "range of floats": lambda sc: sc.range(1.0),
}

SORTS: dict[str, Callable[[Any], Any]] = {
    "sortByKey of nothing": lambda sc: sc.emptyRDD().sortByKey().glom().collect(),
    "sortByKey of empty partitions": lambda sc: sc.parallelize([], 3).sortByKey(True, 2).glom().collect(),
    "sortByKey of equal keys": lambda sc: (
        sc.parallelize([(1, "a"), (1, "b"), (0, "c"), (1, "d")], 3).sortByKey(True, 3).glom().collect()
    ),
    "sortByKey, falling, of equal keys": lambda sc: (
        sc.parallelize([(1, "a"), (1, "b"), (0, "c"), (1, "d")], 3).sortByKey(False, 3).glom().collect()
    ),
    "sortByKey None": lambda sc: sc.parallelize([(1, "a"), (2, "b")], 2).sortByKey(None).collect(),
    "sortByKey to 0": lambda sc: sc.parallelize([(1, "a"), (2, "b")], 2).sortByKey(True, 0).collect(),
    "sortByKey to 1": lambda sc: sc.parallelize([(2, "a"), (1, "b")], 2).sortByKey(True, 1).glom().collect(),
    "sortByKey to -1": lambda sc: sc.parallelize([(2, "a"), (1, "b")], 2).sortByKey(True, -1).glom().collect(),
    "sortByKey to many": lambda sc: sc.parallelize([(2, "a"), (1, "b")], 2).sortByKey(True, 5).glom().collect(),
    "sortByKey of mixed types": lambda sc: sc.parallelize([(1, "a"), ("b", "b")], 2).sortByKey().collect(),
    "sortByKey of None": lambda sc: sc.parallelize([(1, "a"), (None, "b")], 2).sortByKey().collect(),
    "sortByKey of bools": lambda sc: (
        sc.parallelize([(1, "a"), (True, "b"), (0.5, "c")], 2).sortByKey(True, 2).collect()
    ),
    "sortByKey of lists": lambda sc: sc.parallelize([([2], "a"), ([1], "b")], 2).sortByKey(True, 2).collect(),
    "sortByKey of lists as pairs": lambda sc: sc.parallelize([[2, 1], [1, 2]], 2).sortByKey(True, 2).collect(),
    "sortByKey of lists as pairs to 1": lambda sc: sc.parallelize([[2, 1], [1, 2]], 2).sortByKey(True, 1).collect(),
    "sortByKey of triples": lambda sc: sc.parallelize([(2, 1, 0), (1, 2, 3)], 2).sortByKey(True, 2).collect(),
    "sortByKey by function": lambda sc: (
        sc.parallelize([("b", 1), ("A", 2), ("C", 3), ("a", 4)], 2).sortByKey(True, 1, keyfunc=str.lower).collect()
    ),
    "sortByKey by len": lambda sc: (
        sc.parallelize([("bb", 1), ("a", 2), ("ccc", 3), ("dd", 4)], 2).sortByKey(True, 1, len).collect()
    ),
    "sortBy of mixed": lambda sc: sc.parallelize([3, 1.5, True, 0], 2).sortBy(lambda x: x).glom().collect(),
    "sortBy, falling": lambda sc: sc.parallelize([3, 1, 2, 5, 4], 3).sortBy(lambda x: x, False, 2).glom().collect(),
    "sortBy unhashable": lambda sc: sc.parallelize([[2], [1]], 2).sortBy(lambda x: x).collect(),
    "sortBy fails": lambda sc: sc.parallelize(range(6), 2).sortBy(fail_at(4)).collect(),
    "repartitionAndSortWithinPartitions": lambda sc: (
        sc.parallelize([(3, "a"), (1, "b"), (2, "c"), (1, "d")], 2)
        .repartitionAndSortWithinPartitions(2, lambda k: k, True, lambda k: -k)
        .glom()
        .collect()
    ),
    "repartitionAndSortWithinPartitions, no number": lambda sc: (
        sc.parallelize([(3, "a"), (1, "b")], 3).repartitionAndSortWithinPartitions(ascending=False).glom().collect()
    ),
}

SAMPLES: dict[str, Callable[[Any], Any]] = {
    "sample, negative": lambda sc: sc.parallelize([1], 1).sample(False, -0.5),
    "sample, NaN": lambda sc: sc.parallelize([1], 1).sample(False, NAN),
    "sample above 1": lambda sc: sc.parallelize(range(5), 2).sample(False, 7.0, 1).collect(),
    "sample 0": lambda sc: sc.parallelize(range(50), 2).sample(True, 0, 1).collect(),
    "sample of a large mean": lambda sc: sc.parallelize(range(2), 2).sample(True, 25.0, 11).countByValue(),
    "sample with a negative seed": lambda sc: sc.parallelize(range(50), 3).sample(False, 0.2, -5).collect(),
    "sample with a large seed": lambda sc: sc.parallelize(range(50), 3).sample(False, 0.2, 2**70).collect(),
    "sample with seed 0": lambda sc: sc.parallelize(range(50), 3).sample(True, 0.2, 0).collect(),
    "sample with a float as seed": lambda sc: sc.parallelize(range(50), 3).sample(False, 0.2, 1.5).collect(),
    "sample positional": lambda sc: sc.parallelize(range(50), 3).sample(0, 0.2, 7).collect(),
    "sample of a sample": lambda sc: sc.parallelize(range(200), 3).sample(False, 0.5, 7).sample(True, 0.2, 7).collect(),
    "takeSample of nothing": lambda sc: sc.emptyRDD().takeSample(False, 5, 1),
    "takeSample of empty partitions": lambda sc: sc.parallelize([], 3).takeSample(True, 5, 1),
    "takeSample 0": lambda sc: sc.parallelize([1], 3).takeSample(True, 0, 1),
    "takeSample -1": lambda sc: sc.parallelize([1], 3).takeSample(True, -1, 1),
    "takeSample too many": lambda sc: sc.parallelize([1], 3).takeSample(True, 2**63, 1),
    "takeSample repeated": lambda sc: sc.parallelize([1, 2], 2).takeSample(True, 20, 5),
    "takeSample of few": lambda sc: sc.parallelize(range(30), 4).takeSample(False, 12, 99),
    "takeSample of most": lambda sc: sc.parallelize(range(30), 4).takeSample(False, 29, 99),
    "takeSample of lists": lambda sc: sc.parallelize([[1], [2], [3]], 2).takeSample(False, 2, 3),
    "takeSample seeds": lambda sc: [
        sc.parallelize(range(40), 2).takeSample(False, 6, seed) for seed in (0, 1, 2, 3, 50)
    ],
    "takeSample repeated seeds": lambda sc: [
        sc.parallelize(range(5), 2).takeSample(True, 12, s) for s in (0, 1, 2, 50)
    ],
    "randomSplit, negative": lambda sc: sc.parallelize([1], 1).randomSplit([1, -1]),
    "randomSplit 0": lambda sc: sc.parallelize([1], 1).randomSplit([0.0]),
    "randomSplit of no weights": lambda sc: sc.parallelize([1], 1).randomSplit([]),
    "randomSplit with a 0": lambda sc: [r.collect() for r in sc.parallelize(range(30), 3).randomSplit([1, 0, 2], 8)],
    "randomSplit of one": lambda sc: [r.collect() for r in sc.parallelize(range(30), 3).randomSplit([0.1], 8)],
    "sampleByKey of strings": lambda sc: (
        sc.parallelize([("ab"[i % 2], i) for i in range(40)], 3).sampleByKey(False, {"a": 0.2, "b": 0.6}, 0).collect()
    ),
    "sampleByKey repeated": lambda sc: (
        sc.parallelize([("ab"[i % 2], i) for i in range(12)], 3).sampleByKey(True, {"a": 2, "b": 0}, 0).collect()
    ),
}
