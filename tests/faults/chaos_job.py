"""A program of six jobs with one result, for chaos rounds: word count, sort, join, k-means on cached arrays, broadcast,
barrier. It prints what it found and writes files where it is told.
"""

from __future__ import annotations

import random
import sys
from operator import add
from typing import Any

import numpy as np

from localcluster import BarrierTaskContext, SparkContext, StorageLevel

WORDS = ["spark", "block", "pipe", "driver", "task", "shuffle", "lease"]


def word_count(sc: SparkContext) -> object:
    rng = random.Random(1)
    lines = [" ".join(rng.choices(WORDS, k=8)) for _ in range(400)]
    counts = sc.parallelize(lines, 6).flatMap(str.split).map(lambda word: (word, 1)).reduceByKey(add, 3)
    return sorted(counts.collect())


def sort(sc: SparkContext, out: str) -> object:
    rng = random.Random(2)
    numbers = sc.parallelize([rng.randrange(10**6) for _ in range(3000)], 5).sortBy(lambda n: n, numPartitions=4)
    numbers.map(str).saveAsTextFile(out)
    return numbers.take(5)


def join(sc: SparkContext) -> object:
    left = sc.parallelize([(n % 50, n) for n in range(500)], 4).persist(StorageLevel.MEMORY_AND_DISK)
    right = sc.parallelize([(n, "x" * n) for n in range(50)], 3)
    joined = left.join(right, 4).mapValues(lambda pair: pair[0] * len(pair[1]))
    return joined.values().sum(), left.count()


def k_means(sc: SparkContext) -> object:
    """Sums of whole numbers, so that the order of additions makes no difference."""

    def points(index: int) -> Any:
        return np.random.default_rng(index).integers(0, 1000, (2000, 2))

    cached = sc.parallelize(range(4), 4).map(points).persist(StorageLevel.OFF_HEAP)
    centers = np.array([[100, 100], [500, 500], [900, 900]])
    for _ in range(3):

        def sums(block: Any, centers: Any = centers) -> Any:
            nearest = ((block[:, None, :] - centers) ** 2).sum(axis=2).argmin(axis=1)
            return [(k, (block[nearest == k].sum(axis=0), int((nearest == k).sum()))) for k in range(len(centers))]

        found = cached.flatMap(sums).reduceByKey(lambda a, b: (a[0] + b[0], a[1] + b[1]), 2).collectAsMap()
        centers = np.array([found[k][0] // max(1, found[k][1]) for k in range(len(centers))])
    cached.unpersist()
    return centers.tolist()


def broadcast(sc: SparkContext) -> object:
    table = sc.broadcast(np.arange(100_000))
    seen = sc.accumulator(0)

    def look(n: int) -> int:
        seen.add(1)
        return int(table.value[n * 7])

    total = sc.parallelize(range(1000), 8).map(look).sum()
    table.destroy()
    return total, seen.value


def barrier(sc: SparkContext) -> object:
    def meet(records: Any) -> Any:
        context = BarrierTaskContext.get()
        yield context.allGather(str(sum(records)))

    return sc.parallelize(range(20), 2).barrier().mapPartitions(meet).collect()


def main(out: str) -> None:
    with SparkContext() as sc:
        print("words", word_count(sc))
        print("sorted", sort(sc, f"{out}/sorted"))
        print("joined", join(sc))
        print("centers", k_means(sc))
        print("broadcast", broadcast(sc))
        print("barrier", barrier(sc))


if __name__ == "__main__":
    main(sys.argv[1])
