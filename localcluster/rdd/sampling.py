"""Random samples and splits, with the random numbers that PySpark draws: the same seed gives the same records.

Each partition draws from a generator of its own, seeded with ``seed ^ partition index``.
"""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar

from localcluster.base.arguments import whole_number
from localcluster.rdd.actions import Actions
from localcluster.shuffle.pairs import A_PAIR, check_pair

if TYPE_CHECKING:
    from localcluster.rdd.rdd import RDD

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")


class Sampling(Actions[T]):
    """``sample`` and its family."""

    def sample(self, withReplacement: bool, fraction: float, seed: int | None = None) -> RDD[T]:
        """Each record with probability ``fraction``, or, with replacement, as often as a Poisson draw of that mean
        says.

        Raises ValueError for a negative fraction.
        """
        if not fraction >= 0:
            raise ValueError("Fraction must be nonnegative.")
        return self.mapPartitionsWithIndex(partial(sample, withReplacement, fraction, chosen_seed(seed)), True)

    def sampleByKey(
        self: Sampling[tuple[K, V]],
        withReplacement: bool,
        fractions: Mapping[K, float],
        seed: int | None = None,
    ) -> RDD[tuple[K, V]]:
        """`sample` with a fraction for each key. A key without one fails the task with KeyError."""
        for fraction in fractions.values():
            if fraction < 0:
                raise AssertionError(f"Negative fraction value: {fraction}")
        return self.mapPartitionsWithIndex(partial(sample_by_key, withReplacement, fractions, chosen_seed(seed)), True)

    def randomSplit(self, weights: Sequence[float], seed: int | None = None) -> list[RDD[T]]:
        """Split into RDDs of sizes roughly in the proportions of ``weights``. Raises ValueError for weights that are
        none.
        """
        if not all(weight >= 0 for weight in weights):
            raise ValueError("Weights must be nonnegative")
        total = float(sum(weights))
        if not total > 0:
            raise ValueError("Sum of weights must be positive")
        bounds = [0.0]
        for weight in weights:
            bounds.append(bounds[-1] + weight / total)
        seed = random.randint(0, 2**32 - 1) if seed is None else chosen_seed(seed)
        return [self.mapPartitionsWithIndex(partial(between, low, high, seed), True) for low, high in pairwise(bounds)]

    def takeSample(self, withReplacement: bool, num: int, seed: int | None = None) -> list[T]:
        """``num`` random records, in random order; fewer only where there are fewer and they are not to be repeated.

        Raises ValueError for a number that is negative or beyond what can be sampled.
        """
        largest = sys.maxsize - int(10.0 * math.sqrt(sys.maxsize))
        if num < 0:
            raise ValueError("Sample size cannot be negative.")
        if num > largest:
            raise ValueError(f"Sample size cannot be greater than {largest}.")
        total = self.count() if num else 0
        if total == 0:
            return []
        generator = random.Random(seed)
        if not withReplacement and num >= total:
            records = self.collect()
            generator.shuffle(records)
            return records
        fraction = self._computeFractionForSampleSize(num, total, withReplacement)
        records = self.sample(withReplacement, fraction, seed).collect()
        while len(records) < num:  # rare: the fraction is chosen to make it so
            records = self.sample(withReplacement, fraction, generator.randint(0, sys.maxsize)).collect()
        generator.shuffle(records)
        return records[:num]

    @staticmethod
    def _computeFractionForSampleSize(sampleSizeLowerBound: int, total: int, withReplacement: bool) -> float:
        """The sampling fraction that gives at least so many of ``total`` records with a probability of 99.99 %.

        Bounds of the Poisson and of the binomial distribution, as Spark computes them.
        """
        fraction = sampleSizeLowerBound / total
        if withReplacement:
            deviations = 9 if sampleSizeLowerBound < 12 else 5
            return fraction + deviations * math.sqrt(fraction / total)
        gamma = -math.log(0.00005) / total
        return min(1, fraction + gamma + math.sqrt(gamma * gamma + 2 * gamma * fraction))


def chosen_seed(seed: int | None) -> int:
    if seed is None:
        return random.randint(0, sys.maxsize)
    return int(seed) if isinstance(seed, bool) else whole_number(seed, "seed")


def generator_of(seed: int, index: int) -> random.Random:
    generator = random.Random(seed ^ index)
    for _ in range(10):  # the seeds of neighbours are close to each other; drawing mixes them
        generator.randint(0, 1)
    return generator


def _draws(with_replacement: bool, seed: int, index: int) -> Callable[[float], int]:
    """How often a record is taken, drawn anew at each call with the record's fraction."""
    generator = generator_of(seed, index)
    if with_replacement:
        return partial(poisson, generator)
    return lambda fraction: 1 if generator.random() < fraction else 0  # numpy's bool, of a numpy fraction, is no number


def sample(with_replacement: bool, fraction: float, seed: int, index: int, iterator: Iterable[Any]) -> Iterator[Any]:
    draw = _draws(with_replacement, seed, index)
    for record in iterator:
        for _ in range(draw(fraction)):
            yield record


def sample_by_key(
    with_replacement: bool, fractions: Mapping[Any, float], seed: int, index: int, iterator: Iterable[Any]
) -> Iterator[tuple[Any, Any]]:
    draw = _draws(with_replacement, seed, index)
    record: Any = A_PAIR
    try:
        for record in iterator:
            key, value = record
            for _ in range(draw(fractions[key])):
                yield key, value
    except (TypeError, ValueError) as error:
        check_pair(record, error)
        raise


def between(low: float, high: float, seed: int, index: int, iterator: Iterable[Any]) -> Iterator[Any]:
    generator = generator_of(seed, index)
    return (record for record in iterator if low <= generator.random() < high)


def poisson(generator: random.Random, mean: float) -> int:
    """A Poisson draw by Knuth's algorithm, for large means in its logarithmic form."""
    count = 0
    if mean < 20.0:
        limit = math.exp(-mean)
        product = generator.random()
        while product > limit:
            count += 1
            product *= generator.random()
    else:
        time = generator.expovariate(mean)
        while time < 1.0:
            count += 1
            time += generator.expovariate(mean)
    return count
