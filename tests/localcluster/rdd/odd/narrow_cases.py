"""Odd transformations of single partitions, and StopIteration out of user functions."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from tests.localcluster.rdd.odd.helpers import MIXED, CountedDown, fail_at, partly, stop

NARROW: dict[str, Callable[[Any], Any]] = {
    "map keeps types": lambda sc: sc.parallelize(MIXED, 3).map(lambda x: x).glom().collect(),
    "map to generators' values": lambda sc: (
        sc.parallelize([1, 2], 2).flatMap(lambda x: (y for y in range(x))).collect()
    ),
    "flatMap of strings": lambda sc: sc.parallelize(["ab", "", "c"], 2).flatMap(str).collect(),
    "flatMap of a number": lambda sc: sc.parallelize([1]).flatMap(lambda x: x).collect(),
    "flatMap of None": lambda sc: sc.parallelize([1]).flatMap(lambda x: None).collect(),
    "flatMap of a dict": lambda sc: sc.parallelize([{"a": 1, "b": 2}], 1).flatMap(dict.keys).collect(),
    "map fails part-way": lambda sc: sc.parallelize(range(9), 3).map(fail_at(7)).collect(),
    "generator fails part-way": lambda sc: sc.parallelize(range(9), 2).mapPartitions(partly).count(),
    "take before it fails": lambda sc: sc.parallelize(range(9), 1).mapPartitions(partly).take(2),
    "take when it fails": lambda sc: sc.parallelize(range(9), 1).mapPartitions(partly).take(3),
    "first before it fails": lambda sc: sc.parallelize(range(9), 3).map(fail_at(3)).first(),
    "mapPartitions returns None": lambda sc: sc.parallelize([1]).mapPartitions(lambda it: None).collect(),
    "mapPartitions returns a number": lambda sc: sc.parallelize([1]).mapPartitions(lambda it: 7).collect(),
    "mapPartitions returns a string": lambda sc: sc.parallelize([1], 2).mapPartitions(lambda it: "ab").collect(),
    "mapPartitions returns an old sequence": lambda sc: (
        sc.parallelize([1], 1).mapPartitions(lambda it: CountedDown()).collect()
    ),
    "mapPartitions of empty partitions": lambda sc: (
        sc.parallelize([], 3).mapPartitions(lambda it: [len(list(it))]).collect()
    ),
    "mapPartitions stops": lambda sc: sc.parallelize([1], 1).mapPartitions(stop).collect(),
    "mapPartitions with next on nothing": lambda sc: (
        sc.parallelize([], 1).mapPartitions(lambda it: [next(it)]).collect()
    ),
    "mapPartitionsWithIndex": lambda sc: (
        sc.parallelize(range(5), 3).mapPartitionsWithIndex(lambda i, it: [(i, list(it))]).collect()
    ),
    "filter by truth": lambda sc: sc.parallelize(MIXED, 2).filter(lambda x: x).collect(),
    "filter by None": lambda sc: sc.parallelize([1, 2]).filter(lambda x: None).collect(),
    "filter by a string": lambda sc: sc.parallelize([1, 2], 1).filter(lambda x: "no").collect(),
    "glom of empty partitions": lambda sc: sc.parallelize([1], 3).glom().collect(),
    "glom of glom": lambda sc: sc.parallelize(range(4), 2).glom().glom().collect(),
    "keyBy": lambda sc: sc.parallelize(["x", "yy"], 1).keyBy(len).collect(),
    "keys of lists": lambda sc: sc.parallelize([[1, 2], "xy", (3,)], 1).keys().collect(),
    "values of short records": lambda sc: sc.parallelize([(3,)], 1).values().collect(),
    "keys of numbers": lambda sc: sc.parallelize([5], 1).keys().collect(),
    "mapValues of lists": lambda sc: sc.parallelize([[1, 2], (3, 4, 5)], 1).mapValues(lambda v: -v).collect(),
    "flatMapValues of numbers": lambda sc: sc.parallelize([(1, 2)], 1).flatMapValues(lambda v: v).collect(),
    "flatMapValues of strings": lambda sc: sc.parallelize([(1, "ab"), (2, "")], 1).flatMapValues(lambda v: v).collect(),
    "zipWithIndex of empty partitions": lambda sc: sc.parallelize(range(3), 7).zipWithIndex().glom().collect(),
    "zipWithUniqueId of empty partitions": lambda sc: sc.parallelize(range(3), 7).zipWithUniqueId().glom().collect(),
    "zipWithIndex of nothing": lambda sc: sc.emptyRDD().zipWithIndex().collect(),
    "zipWithUniqueId of nothing": lambda sc: sc.emptyRDD().zipWithUniqueId().collect(),
    "a chain of all": lambda sc: (
        sc.parallelize(range(20), 4)
        .map(lambda x: (x % 3, x))
        .mapValues(lambda v: v * 2)
        .filter(lambda kv: kv[0])
        .flatMapValues(lambda v: [v, -v])
        .glom()
        .map(len)
        .collect()
    ),
    "pipe": lambda sc: sc.parallelize([1, "a\n", "b\n\n", None, (1, "x"), "", "ä"], 2).pipe("cat").collect(),
    "pipe of empty partitions": lambda sc: sc.parallelize([], 2).pipe("wc -l").map(str.strip).collect(),
    "pipe with quotes": lambda sc: sc.parallelize(["a b", "ab"], 1).pipe("grep -e 'a b'").collect(),
    "pipe with an environment": lambda sc: sc.parallelize([1], 1).pipe("/usr/bin/env", {"A": "1"}).collect(),
    "pipe without an environment": lambda sc: sc.parallelize([1], 1).pipe("/usr/bin/env").collect(),
    "pipe that fails": lambda sc: sc.parallelize(["x"], 1).pipe("grep y").collect(),
    "pipe that fails, checked": lambda sc: sc.parallelize(["x"], 1).pipe("grep y", checkCode=True).collect(),
    "pipe that is not there": lambda sc: sc.parallelize(["x"], 1).pipe("no-such-command").collect(),
    "pipe of bytes": lambda sc: sc.parallelize([b"x"], 1).pipe("cat").collect(),
    "pipe that prints no line end": lambda sc: sc.parallelize(["x"], 1).pipe("printf 'a\\nb'").collect(),
    "not a function": lambda sc: sc.parallelize([1]).map(3).collect(),
    "two arguments wanted": lambda sc: sc.parallelize([(1, 2)]).map(lambda a, b: a).collect(),
}

STOPS: dict[str, Callable[[Any], Any]] = {
    f"{name} stops": call
    for name, call in {
        "map": lambda sc: sc.parallelize([1, 2], 1).map(stop).collect(),
        "flatMap": lambda sc: sc.parallelize([1, 2], 1).flatMap(stop).collect(),
        "filter": lambda sc: sc.parallelize([1, 2], 1).filter(stop).collect(),
        "keyBy": lambda sc: sc.parallelize([1, 2], 1).keyBy(stop).collect(),
        "mapValues": lambda sc: sc.parallelize([(1, 2)], 1).mapValues(stop).collect(),
        "flatMapValues": lambda sc: sc.parallelize([(1, 2)], 1).flatMapValues(stop).collect(),
        "foreach": lambda sc: sc.parallelize([1, 2], 1).foreach(stop),
        "reduce in a task": lambda sc: sc.parallelize([1, 2], 1).reduce(stop),
        "reduce in the driver": lambda sc: sc.parallelize([1, 2], 2).reduce(stop),
        "fold": lambda sc: sc.parallelize([1, 2], 1).fold(0, stop),
        "aggregate seqOp": lambda sc: sc.parallelize([1, 2], 1).aggregate(0, stop, operator.add),
        "aggregate combOp": lambda sc: sc.parallelize([1, 2], 1).aggregate(0, operator.add, stop),
        "reduceByKeyLocally": lambda sc: sc.parallelize([(1, 1), (1, 2)], 1).reduceByKeyLocally(stop),
        "groupBy": lambda sc: sc.parallelize([1], 1).groupBy(stop).collect(),
        "sortBy": lambda sc: sc.parallelize([1, 2], 2).sortBy(stop).collect(),
    }.items()
}
