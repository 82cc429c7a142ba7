"""One small job of each kind, and what it returns: what tests of faults run undisturbed and disturbed.

Word count, sort, join, iterative k-means on cached arrays, a broadcast, a barrier stage. Each is a function of a
context of two executors; what it returns can be compared with ``==`` and is the same in each run.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import add
from typing import TYPE_CHECKING, Any, NamedTuple

from localcluster import BarrierTaskContext, StorageLevel

if TYPE_CHECKING:
    from localcluster import SparkContext

WORDS = ["the", "quick", "brown", "fox", "jumps", "over", "the", "lazy", "dog", "the", "fox"]
TABLE_SIZE = 12
NAME_REPEATED = 3000


class Job(NamedTuple):
    """``run(context)`` returns what ``expected()`` does."""

    run: Callable[[SparkContext], Any]
    expected: Callable[[], Any]


def word_count(sc: SparkContext) -> dict[str, int]:
    lines = sc.parallelize([" ".join(WORDS)] * 40, 4)
    return dict(lines.flatMap(str.split).map(_paired_with_one).reduceByKey(add, 3).collect())


def sort(sc: SparkContext) -> list[int]:
    return sc.parallelize([(n * 7919) % 1009 for n in range(1009)], 4).sortBy(_itself, numPartitions=3).collect()


def join(sc: SparkContext) -> list[tuple[int, tuple[str, int]]]:
    """One side is on disk."""
    names = sc.parallelize([(key, f"name {key}") for key in range(40)], 3)
    squares = sc.parallelize([(key, key * key) for key in range(20, 60)], 2).persist(StorageLevel.DISK_ONLY)
    squares.count()
    return sorted(names.join(squares, 3).collect())


def k_means(sc: SparkContext) -> list[list[float]]:
    from tests.faults.k_means import k_means  # needs numpy, which executors would load for the other jobs as well

    return k_means(sc)


def broadcast(sc: SparkContext) -> int:
    """Of a table too large for a message: it becomes a block."""
    variable = sc.broadcast({key: f"name {key}" * NAME_REPEATED for key in range(TABLE_SIZE)})
    total = sc.parallelize(range(48), 6).map(lambda n: len(variable.value[n % TABLE_SIZE])).sum()
    variable.destroy()
    return int(total)


def barrier(sc: SparkContext) -> list[str]:
    def tell_all(numbers: Any) -> list[str]:
        context = BarrierTaskContext.get()
        return ["+".join(context.allGather(str(sum(numbers))))]

    return sc.parallelize(range(20), 2).barrier().mapPartitions(tell_all).collect()


def _paired_with_one(word: str) -> tuple[str, int]:
    return word, 1


def _itself(number: int) -> int:
    return number


def _plain_k_means() -> list[list[float]]:
    from tests.faults.k_means import plain_k_means

    return plain_k_means()


JOBS = {
    "word_count": Job(word_count, lambda: {word: 40 * WORDS.count(word) for word in WORDS}),
    "sort": Job(sort, lambda: list(range(1009))),
    "join": Job(join, lambda: [(key, (f"name {key}", key * key)) for key in range(20, 40)]),
    "k_means": Job(k_means, _plain_k_means),
    "broadcast": Job(broadcast, lambda: sum(NAME_REPEATED * len(f"name {n % TABLE_SIZE}") for n in range(48))),
    "barrier": Job(barrier, lambda: [f"{sum(range(10))}+{sum(range(10, 20))}"] * 2),
}
"""By name. All run with two executors, in less than half a second."""
