"""One small job of each kind, and what it returns: what tests of faults run undisturbed and disturbed.

Word count, sort, join, iterative k-means on cached arrays, a broadcast, a barrier stage. Each is a function of a
context of two executors; what it returns can be compared with ``==`` and is the same in each run.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import add
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from localcluster import BarrierTaskContext, StorageLevel

if TYPE_CHECKING:
    from localcluster import SparkContext

WORDS = ["the", "quick", "brown", "fox", "jumps", "over", "the", "lazy", "dog", "the", "fox"]
POINTS, CENTRES, STEPS = 240, 3, 4
TABLE = {key: f"name {key}" * 3000 for key in range(12)}  # too large for a message: it becomes a block


class Job(NamedTuple):
    run: Callable[[SparkContext], Any]
    expected: Any


def word_count(sc: SparkContext) -> dict[str, int]:
    lines = sc.parallelize([" ".join(WORDS)] * 40, 4)
    return dict(lines.flatMap(str.split).map(_paired_with_one).reduceByKey(add, 3).collect())


def sort(sc: SparkContext) -> list[int]:
    return sc.parallelize([(n * 7919) % 1009 for n in range(1009)], 4).sortBy(_itself, numPartitions=3).collect()


def join(sc: SparkContext) -> list[tuple[int, tuple[str, int]]]:
    names = sc.parallelize([(key, f"name {key}") for key in range(40)], 3)
    squares = sc.parallelize([(key, key * key) for key in range(20, 60)], 2).persist(StorageLevel.DISK_ONLY)
    squares.count()
    return sorted(names.join(squares, 3).collect())


def k_means(sc: SparkContext) -> list[list[float]]:
    """Lloyd's steps over blobs in arrays, off heap, that each step reads again."""
    blocks = sc.parallelize(range(4), 4).map(_points).persist(StorageLevel.OFF_HEAP)
    centres = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]])
    for _ in range(STEPS):
        variable = sc.broadcast(centres)
        sums = blocks.flatMap(_sums_of_nearest(variable)).reduceByKey(_add_both, 2).collectAsMap()
        centres = np.array([sums[n][0] / sums[n][1] if n in sums else centres[n] for n in range(CENTRES)])
    return np.round(centres, 6).tolist()


def broadcast(sc: SparkContext) -> int:
    variable = sc.broadcast(TABLE)
    total = sc.parallelize(range(48), 6).map(lambda n: len(variable.value[n % 12])).sum()
    variable.destroy()
    return int(total)


def barrier(sc: SparkContext) -> list[str]:
    def tell_all(numbers: Any) -> list[str]:
        context = BarrierTaskContext.get()
        return ["+".join(context.allGather(str(sum(numbers))))]

    return sc.parallelize(range(20), 2).barrier().mapPartitions(tell_all).collect()


# --- what tasks run -------------------------------------------------------------------------------------------------


def _paired_with_one(word: str) -> tuple[str, int]:
    return word, 1


def _itself(number: int) -> int:
    return number


def _points(block: int) -> Any:
    """Whole numbers in floats, so that sums do not depend on their order."""
    rng = np.random.default_rng(block)
    blobs = np.repeat([[0, 0], [500, 0], [0, 500]], POINTS // CENTRES, axis=0)
    return (blobs + rng.integers(-50, 50, size=(POINTS, 2))).astype(float)


def _sums_of_nearest(variable: Any) -> Callable[[Any], list[tuple[int, tuple[Any, int]]]]:
    def sums(points: Any) -> list[tuple[int, tuple[Any, int]]]:
        nearest = ((points[:, None, :] - variable.value[None, :, :]) ** 2).sum(axis=2).argmin(axis=1)
        return [(int(n), (points[nearest == n].sum(axis=0), int((nearest == n).sum()))) for n in np.unique(nearest)]

    return sums


def _add_both(one: tuple[Any, int], other: tuple[Any, int]) -> tuple[Any, int]:
    return one[0] + other[0], one[1] + other[1]


# --- what they return, computed here ---------------------------------------------------------------------------------


def _plain_k_means() -> list[list[float]]:
    points = np.concatenate([_points(block) for block in range(4)])
    centres = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]])
    for _ in range(STEPS):
        nearest = ((points[:, None, :] - centres[None, :, :]) ** 2).sum(axis=2).argmin(axis=1)
        of = [points[nearest == n] for n in range(CENTRES)]
        centres = np.array([each.mean(axis=0) if len(each) else centres[n] for n, each in enumerate(of)])
    return np.round(centres, 6).tolist()


JOBS = {
    "word_count": Job(word_count, {word: 40 * WORDS.count(word) for word in WORDS}),
    "sort": Job(sort, list(range(1009))),
    "join": Job(join, [(key, (f"name {key}", key * key)) for key in range(20, 40)]),
    "k_means": Job(k_means, _plain_k_means()),
    "broadcast": Job(broadcast, sum(len(TABLE[n % 12]) for n in range(48))),
    "barrier": Job(barrier, [f"{sum(range(10))}+{sum(range(10, 20))}"] * 2),
}
