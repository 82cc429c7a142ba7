"""Those of the benchmark's jobs that make sense on a plain `multiprocessing.Pool`: the floor to compare with.

There is no shuffle and no cache in a pool, so sort, group, join, cache reuse and blocks are left out. Each job finds
the same check value as its namesake in `rdd_jobs`.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from multiprocessing.pool import Pool
from typing import Any, TypeAlias

from clock import median_of, timed
from rdd_jobs import PARTITIONS, scattered
from sizes import Sizes

PoolJob: TypeAlias = "Callable[[PoolBench], tuple[dict[str, float], Any]]"


@dataclass(frozen=True)
class PoolBench:
    pool: Pool
    sizes: Sizes
    text: str


def increment(number: int) -> int:
    return number + 1


def tiny_tasks(bench: PoolBench) -> tuple[dict[str, float], Any]:
    count = bench.sizes.tasks
    seconds, found = timed(lambda: len(bench.pool.map(increment, range(count), chunksize=1)))
    return {"tiny tasks": seconds}, found == count


def round_trip(bench: PoolBench) -> tuple[dict[str, float], Any]:
    seconds, found = median_of(bench.sizes.round_trips, lambda: [bench.pool.apply(increment, (1,))])
    return {"one-task round trip": seconds}, found


def count_words(path: str, span: tuple[int, int]) -> Counter[str]:
    """Words of the lines that begin in a span of bytes."""
    start, end = span
    counts: Counter[str] = Counter()
    with open(path, "rb") as file:
        if start:
            file.seek(start - 1)
            file.readline()
        while file.tell() < end and (line := file.readline()):
            counts.update(line.decode("utf-8", "replace").split())
    return counts


def word_count(bench: PoolBench) -> tuple[dict[str, float], Any]:
    def run() -> tuple[int, int]:
        size = os.path.getsize(bench.text)
        bounds = [size * n // PARTITIONS for n in range(PARTITIONS + 1)]
        spans = list(pairwise(bounds))
        counts: Counter[str] = Counter()
        for part in bench.pool.imap_unordered(partial(count_words, bench.text), spans):
            counts.update(part)
        return len(counts), sum(counts.values())

    seconds, found = timed(run)
    return {"word count": seconds}, found


def look_up(table: dict[str, int], number: int) -> int:
    return table[str(scattered(number))]


def broadcast(bench: PoolBench) -> tuple[dict[str, float], Any]:
    table = {str(scattered(n)): n for n in range(bench.sizes.table)}
    seconds, found = timed(lambda: sum(bench.pool.imap(partial(look_up, table), range(PARTITIONS))))
    return {"broadcast": seconds}, found


JOBS: dict[str, PoolJob] = {
    "tiny_tasks": tiny_tasks,
    "round_trip": round_trip,
    "word_count": word_count,
    "broadcast": broadcast,
}
