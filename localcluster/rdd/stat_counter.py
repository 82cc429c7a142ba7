"""Count, mean, variance, minimum and maximum of numbers, one pass, mergeable: PySpark's ``StatCounter``.

Numbers may be numpy arrays: the statistics are then taken element by element. numpy itself is imported only for what is
neither int nor float.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable
from typing import Any

_PLAIN = (int, float)


class StatCounter:
    """Count, mean, variance, extremes of numbers.

    Follows Welford's (one value) and Chan's (two counters) updates of mean and sum of squares.
    """

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        self.n = 0
        self.mu: Any = 0.0  # mean
        self.m2: Any = 0.0  # sum of squared distances from the mean
        self.maxValue: Any = -math.inf
        self.minValue: Any = math.inf
        for value in () if values is None else values:
            self.merge(value)

    def merge(self, value: Any) -> StatCounter:
        """Add one value."""
        delta = value - self.mu
        self.n += 1
        self.mu = self.mu + delta / self.n
        self.m2 = self.m2 + delta * (value - self.mu)
        self.maxValue = _largest(self.maxValue, value)
        self.minValue = _smallest(self.minValue, value)
        return self

    def mergeStats(self, other: StatCounter) -> StatCounter:
        """Add the values of another counter. Raises TypeError for anything else."""
        if not isinstance(other, StatCounter):
            raise TypeError(f"Can only merge StatCounter but got {type(other)}")
        if other.n == 0:
            return self
        if self.n == 0:  # by the formulas below the square of a huge mean, infinity, times 0 would be NaN
            self.__dict__.update(other.__dict__)
            return self
        total = self.n + other.n
        delta = other.mu - self.mu
        self.m2 = self.m2 + other.m2 + delta * delta * self.n * other.n / total
        self.mu = self._merged_mean(other, delta, total)
        self.maxValue = _largest(self.maxValue, other.maxValue)
        self.minValue = _smallest(self.minValue, other.minValue)
        self.n = total
        return self

    def _merged_mean(self, other: StatCounter, delta: Any, total: int) -> Any:
        """The mean of both, computed from the far larger of the two where there is one: that loses the fewest
        digits.
        """
        if other.n * 10 < self.n:
            return self.mu + delta * other.n / total
        if self.n * 10 < other.n:
            return other.mu - delta * self.n / total
        return (self.mu * self.n + other.mu * other.n) / total

    def copy(self) -> StatCounter:
        return copy.deepcopy(self)

    def count(self) -> int:
        return self.n

    def mean(self) -> Any:
        return self.mu

    def sum(self) -> Any:
        return self.n * self.mu

    def min(self) -> Any:
        return self.minValue

    def max(self) -> Any:
        return self.maxValue

    def variance(self) -> Any:
        """Of the values as a whole population; NaN when there is none."""
        return self.m2 / self.n if self.n else math.nan

    def sampleVariance(self) -> Any:
        """Estimated from the values as a sample (divides by n - 1); NaN below two values."""
        return self.m2 / (self.n - 1) if self.n > 1 else math.nan

    def stdev(self) -> Any:
        return self.variance() ** 0.5

    def sampleStdev(self) -> Any:
        return self.sampleVariance() ** 0.5

    def asDict(self, sample: bool = False) -> dict[str, Any]:
        """All statistics. As in PySpark, ``sample`` False gives the sample's deviation and variance, True the
        population's.
        """
        return {
            "count": self.count(),
            "mean": self.mean(),
            "sum": self.sum(),
            "min": self.min(),
            "max": self.max(),
            "stdev": self.stdev() if sample else self.sampleStdev(),
            "variance": self.variance() if sample else self.sampleVariance(),
        }

    def __repr__(self) -> str:
        return (
            f"(count: {self.count()}, mean: {self.mean()}, stdev: {self.stdev()}, max: {self.max()}, min: {self.min()})"
        )


def _largest(a: Any, b: Any) -> Any:
    return _extreme("maximum", max, a, b)


def _smallest(a: Any, b: Any) -> Any:
    return _extreme("minimum", min, a, b)


def _extreme(ufunc: str, builtin: Any, a: Any, b: Any) -> Any:
    """Element by element for arrays; else a float, NaN if either is (a plain comparison would drop one)."""
    if not (isinstance(a, _PLAIN) and isinstance(b, _PLAIN)):
        try:
            import numpy  # optional; it orders complex numbers and arrays, too
        except ImportError:
            pass
        else:
            return getattr(numpy, ufunc)(a, b)
    if a != a or b != b:
        return math.nan
    return float(builtin(a, b))
