"""Samplers of one partition, as objects: PySpark's ``rddsampler``. They draw what `sampling` draws."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from localcluster.rdd import sampling

T = TypeVar("T")
K = TypeVar("K")


class RDDSamplerBase:
    """For samplers of one's own: random numbers of a partition, to be used in `func`."""

    def __init__(self, withReplacement: bool, seed: int | None = None) -> None:
        self._seed = sampling.chosen_seed(seed)
        self._withReplacement = withReplacement

    def initRandomGenerator(self, split: int) -> None:
        """Start the random numbers of partition ``split``."""
        self._random = sampling.generator_of(self._seed, split)

    def getUniformSample(self) -> float:
        """At least 0 and below 1."""
        return self._random.random()

    def getPoissonSample(self, mean: float) -> int:
        return sampling.poisson(self._random, mean)

    def func(self, split: int, iterator: Iterable[Any]) -> Iterator[Any]:
        """What is taken of partition ``split``."""
        raise NotImplementedError


class RDDSampler(RDDSamplerBase):
    """As `RDD.sample`."""

    def __init__(self, withReplacement: bool, fraction: float, seed: int | None = None) -> None:
        super().__init__(withReplacement, seed)
        self._fraction = fraction

    def func(self, split: int, iterator: Iterable[T]) -> Iterator[T]:
        return sampling.sample(self._withReplacement, self._fraction, self._seed, split, iterator)


class RDDRangeSampler(RDDSamplerBase):
    """As each part of `RDD.randomSplit`."""

    def __init__(self, lowerBound: float, upperBound: float, seed: int | None = None) -> None:
        super().__init__(False, seed)
        self._lowerBound = lowerBound
        self._upperBound = upperBound

    def func(self, split: int, iterator: Iterable[T]) -> Iterator[T]:
        return sampling.between(self._lowerBound, self._upperBound, self._seed, split, iterator)


class RDDStratifiedSampler(RDDSamplerBase):
    """As `RDD.sampleByKey`."""

    def __init__(self, withReplacement: bool, fractions: Mapping[Any, float], seed: int | None = None) -> None:
        super().__init__(withReplacement, seed)
        self._fractions = fractions

    def func(self, split: int, iterator: Iterable[tuple[K, T]]) -> Iterator[tuple[K, T]]:
        return sampling.sample_by_key(self._withReplacement, self._fractions, self._seed, split, iterator)
