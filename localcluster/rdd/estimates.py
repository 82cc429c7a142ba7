"""What the records seen so far say of all records: sums and means with bounds, for approximate actions.

Covers the statistics; does not run jobs (``approximate``). Follows Spark's ``SumEvaluator`` and ``MeanEvaluator``.
"""

from __future__ import annotations

import math
from typing import Any

from localcluster.rdd.stat_counter import StatCounter
from protocol.sql_errors import IllegalArgumentException

SMALL_SAMPLE = 100  # values; of more than that the mean is taken as normally distributed


class BoundedFloat(float):
    """An estimate: with ``confidence`` (0 to 1) the true value lies from ``low`` to ``high``. PySpark's class."""

    confidence: float
    low: float
    high: float

    def __new__(cls, mean: float, confidence: float, low: float, high: float) -> BoundedFloat:
        estimate = float.__new__(cls, mean)
        estimate.confidence = confidence
        estimate.low = low
        estimate.high = high
        return estimate

    def __getnewargs__(self) -> Any:
        return float(self), self.confidence, self.low, self.high


class Sample:
    """The values of those of ``partitions`` partitions that were merged so far."""

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions
        self._merged = 0
        self._values = StatCounter()

    def merge(self, partition: int, values: StatCounter) -> None:
        self._merged += 1
        self._values.mergeStats(values)

    def sum(self, confidence: float) -> BoundedFloat:
        """Raises IllegalArgumentException when bounds are needed and ``confidence`` is not from 0 to 1."""
        if self._merged == self._partitions:
            return _exactly(self._values.sum())
        if self._values.n == 0:
            return _NOTHING_KNOWN
        seen, mean = self._merged / self._partitions, self._values.mu
        unseen = self._values.n * (1 - seen) / seen  # values that are still to come, if partitions are alike
        total = self._values.sum() + mean * unseen
        # How many come is uncertain as a negative binomial count is; what their mean is, as a sample's mean is.
        count_variance = unseen / seen
        mean_variance = self._mean_variance()
        variance = mean * mean * count_variance + unseen * unseen * mean_variance + mean_variance * count_variance
        return self._bounded(total, variance, confidence)

    def mean(self, confidence: float) -> BoundedFloat:
        """Raises IllegalArgumentException when bounds are needed and ``confidence`` is not from 0 to 1."""
        if self._merged == self._partitions:
            return _exactly(self._values.mean())
        if self._values.n == 0:
            return _NOTHING_KNOWN
        return self._bounded(self._values.mu, self._mean_variance(), confidence)

    def _mean_variance(self) -> float:
        return float(self._values.sampleVariance()) / self._values.n

    def _bounded(self, estimate: float, variance: float, confidence: float) -> BoundedFloat:
        if not 0 <= confidence <= 1:
            raise IllegalArgumentException(f"confidence must be from 0 to 1, not {confidence}")
        if math.isnan(variance):  # of a single value
            return BoundedFloat(estimate, confidence, -math.inf, math.inf)
        margin = _quantile(confidence, self._values.n) * math.sqrt(variance)
        return BoundedFloat(estimate, confidence, estimate - margin, estimate + margin)


_NOTHING_KNOWN = BoundedFloat(0.0, 0.0, -math.inf, math.inf)


def _exactly(value: float) -> BoundedFloat:
    return BoundedFloat(value, 1.0, value, value)


def _quantile(confidence: float, values: int) -> float:
    """How many standard deviations around the mean of a sample hold the true mean with this confidence."""
    if confidence == 1:
        return math.inf
    if values > SMALL_SAMPLE:
        from statistics import NormalDist  # not with the module, which every driver imports

        return NormalDist().inv_cdf((1 + confidence) / 2)
    return _student_quantile(confidence, values - 1)


def _student_quantile(probability: float, degrees: int) -> float:
    """The t for which Student's distribution has this probability between -t and t."""
    low, high = 0.0, math.pi / 2
    for _ in range(60):  # halvings, to the last digit of an angle
        angle = (low + high) / 2
        low, high = (angle, high) if _student_probability(angle, degrees) < probability else (low, angle)
    return math.tan(low) * math.sqrt(degrees)


def _student_probability(angle: float, degrees: int) -> float:
    """Between -t and t, for t = tan(angle) · √degrees: the finite series for whole degrees of freedom."""
    odd = degrees % 2
    term, total = math.cos(angle) ** odd, 0.0
    for power in range(odd, degrees - 1, 2):
        total += term
        term *= math.cos(angle) ** 2 * (power + 1) / (power + 2)
    total *= math.sin(angle)
    return (angle + total) * 2 / math.pi if odd else total
