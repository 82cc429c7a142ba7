"""The benchmark's jobs, written once against the RDD API, so that localcluster and PySpark run the same code.

A job takes a `Bench` and returns (times, check): times maps metric names to seconds, and check is a value that every
engine must find alike. Engines with slow tasks run fewer of them where only the rate counts: see `Bench.fewer`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from operator import add
from typing import Any, TypeAlias

from clock import median_of, timed
from sizes import Sizes

Job: TypeAlias = "Callable[[Bench], tuple[dict[str, float], Any]]"

PARTITIONS = 8
READS = 5


@dataclass(frozen=True)
class Bench:
    """What a job runs with: the engine's context and storage levels, the sizes, the text's path."""

    sc: Any
    levels: Any
    sizes: Sizes
    text: str
    fewer: int
    """Tiny tasks and small blocks are divided by this, and their times multiplied by it."""


def scattered(number: int) -> int:
    """A number for a number, without order: for keys that are the same in all engines."""
    return (number * 2_654_435_761) & 0xFFFF_FFFF


def tiny_tasks(bench: Bench) -> tuple[dict[str, float], Any]:
    count = bench.sizes.tasks // bench.fewer
    seconds, found = timed(lambda: bench.sc.parallelize(range(count), count).count())
    return {"tiny tasks": seconds * bench.fewer}, found == count


def round_trip(bench: Bench) -> tuple[dict[str, float], Any]:
    rdd = bench.sc.parallelize([1], 1)
    seconds, found = median_of(bench.sizes.round_trips, lambda: rdd.map(lambda x: x + 1).collect())
    return {"one-task round trip": seconds}, found


def word_count(bench: Bench) -> tuple[dict[str, float], Any]:
    def run() -> tuple[int, int]:
        lines = bench.sc.textFile(bench.text, PARTITIONS)
        counts = lines.flatMap(str.split).map(lambda word: (word, 1)).reduceByKey(add, PARTITIONS)
        return counts.map(lambda pair: (1, pair[1])).reduce(lambda a, b: (a[0] + b[0], a[1] + b[1]))

    seconds, found = timed(run)
    return {"word count": seconds}, found


def pairs(bench: Bench, keys: int) -> Any:
    """An RDD of (key, number) with that many different keys."""
    return bench.sc.range(bench.sizes.records, numSlices=PARTITIONS).map(lambda n: (scattered(n) % keys, n))


def ends_of_sorted(values: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int, int]]:
    """(first key, last key, how many) of one partition; an empty one yields nothing."""
    keys = [key for key, _ in values]
    if any(a > b for a, b in pairwise(keys)):
        raise AssertionError("a partition is not sorted")
    if keys:
        yield keys[0], keys[-1], len(keys)


def sort(bench: Bench) -> tuple[dict[str, float], Any]:
    records = pairs(bench, 1 << 32)
    seconds, ends = timed(lambda: records.sortByKey(numPartitions=PARTITIONS).mapPartitions(ends_of_sorted).collect())
    if any(before[1] > after[0] for before, after in pairwise(ends)):
        raise AssertionError("the partitions are not in order")
    return {"sort": seconds}, (ends[0][0], ends[-1][1], sum(count for _, _, count in ends))


def group(bench: Bench) -> tuple[dict[str, float], Any]:
    records = pairs(bench, bench.sizes.records // 50)
    groups = records.groupByKey(PARTITIONS).mapValues(lambda numbers: max(numbers) % 1000)
    seconds, found = timed(lambda: groups.map(lambda pair: pair[1]).sum())
    return {"group": seconds}, found


def join(bench: Bench) -> tuple[dict[str, float], Any]:
    left = pairs(bench, bench.sizes.records)
    right = pairs(bench, bench.sizes.records // 2).distinct(PARTITIONS)
    joined = left.join(right, PARTITIONS).map(lambda pair: (pair[1][0] ^ pair[1][1]) % 1000)
    seconds, found = timed(lambda: joined.sum())
    return {"join": seconds}, found


def cache_reuse(bench: Bench) -> tuple[dict[str, float], Any]:
    """Median of some reads of a cached RDD of pairs."""
    cached = pairs(bench, 1000).cache()
    cached.count()
    seconds, found = median_of(READS, lambda: cached.map(lambda pair: pair[1]).sum())
    cached.unpersist()
    return {"cache reuse": seconds}, found


def broadcast(bench: Bench) -> tuple[dict[str, float], Any]:
    """From a dict in the driver to a result of tasks that looked things up in it."""
    table = {str(scattered(n)): n for n in range(bench.sizes.table)}

    def run() -> int:
        shared = bench.sc.broadcast(table)
        return bench.sc.range(PARTITIONS, numSlices=PARTITIONS).map(lambda n: shared.value[str(scattered(n))]).sum()

    seconds, found = timed(run)
    return {"broadcast": seconds}, found


@lru_cache(maxsize=1)
def array_of(size: int) -> Any:
    """The same array at each call: to make one takes longer than to put one."""
    import numpy as np

    return np.arange(size // 8)


def large_blocks(bench: Bench) -> tuple[dict[str, float], Any]:
    """Put numpy arrays OFF_HEAP, one block each, then read one number of each page of them."""
    count, size = bench.sizes.arrays, bench.sizes.array_bytes
    arrays = bench.sc.range(count, numSlices=count).map(lambda _: array_of(size))
    arrays.count()  # so that every executor has made its array
    blocks = arrays.persist(bench.levels.OFF_HEAP)
    put, _ = timed(blocks.count)
    get, found = median_of(READS, lambda: blocks.map(lambda array: int(array[::512].sum())).sum())
    blocks.unpersist()
    name = f"{count * size >> 20} MB off heap"
    return {f"put {name}": put, f"get {name}": get}, found


def small_blocks(bench: Bench) -> tuple[dict[str, float], Any]:
    """Put and get blocks of 1 KB: what a block costs when its bytes cost nothing."""
    count = bench.sizes.small_blocks // bench.fewer
    blocks = bench.sc.range(count, numSlices=count).map(lambda n: bytes(1024)).persist(bench.levels.OFF_HEAP)
    put, _ = timed(blocks.count)
    get, found = timed(lambda: blocks.map(len).sum())
    blocks.unpersist()
    name = f"{bench.sizes.small_blocks} blocks of 1 KB off heap"
    return {f"put {name}": put * bench.fewer, f"get {name}": get * bench.fewer}, found == 1024 * count


JOBS: dict[str, Job] = {
    "tiny_tasks": tiny_tasks,
    "round_trip": round_trip,
    "word_count": word_count,
    "sort": sort,
    "group": group,
    "join": join,
    "cache_reuse": cache_reuse,
    "broadcast": broadcast,
    "large_blocks": large_blocks,
    "small_blocks": small_blocks,
}
