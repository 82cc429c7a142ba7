"""Numbers about an RDD of numbers."""

from __future__ import annotations

import operator
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from functools import partial, reduce
from itertools import pairwise
from math import isinf, isnan
from typing import Any, TypeVar

from localcluster.base.arguments import check_optional_function
from localcluster.rdd.actions import Actions
from localcluster.rdd.stat_counter import StatCounter

T = TypeVar("T")


class Statistics(Actions[T]):
    """``sum``, ``stats``, ``histogram`` and their family."""

    def sum(self) -> Any:
        """The sum of all records; 0 when there is none."""
        return reduce(operator.add, self._per_partition(sum), 0)

    def max(self, key: Callable[[T], Any] | None = None) -> T:
        """The largest record, by ``key`` if given. Raises ValueError when there is none."""
        check_optional_function(key, "key")
        return self.reduce(partial(max, key=key))

    def min(self, key: Callable[[T], Any] | None = None) -> T:
        """The smallest record, by ``key`` if given. Raises ValueError when there is none."""
        check_optional_function(key, "key")
        return self.reduce(partial(min, key=key))

    def stats(self) -> StatCounter:
        """Count, mean, variance, minimum and maximum, in one pass. Raises ValueError for an RDD without partitions."""
        counters: list[StatCounter] = self._per_partition(StatCounter)
        if not counters:
            raise ValueError("Can not reduce() empty RDD")
        return reduce(StatCounter.mergeStats, counters)

    def mean(self) -> Any:
        """The mean; 0.0 when there are no records."""
        return self.stats().mean()

    def variance(self) -> Any:
        """The variance, of the records as a whole population."""
        return self.stats().variance()

    def stdev(self) -> Any:
        """The standard deviation, of the records as a whole population."""
        return self.stats().stdev()

    def sampleVariance(self) -> Any:
        """The variance estimated from the records as a sample: divides by n - 1."""
        return self.stats().sampleVariance()

    def sampleStdev(self) -> Any:
        """The standard deviation estimated from the records as a sample."""
        return self.stats().sampleStdev()

    def histogram(self, buckets: int | Sequence[Any]) -> tuple[Sequence[Any], list[int]]:
        """Bounds of the buckets, and how many records are in each. Buckets are open to the right, but for the last.

        ``buckets``: how many, evenly between the smallest and the largest record; or the bounds themselves, ascending.
        Records that are None, NaN or outside do not count.

        Raises ValueError or TypeError for buckets that are none, and where even ones cannot be made of the records.

        >>> sc.parallelize(range(51)).histogram(2)
        ([0, 25, 50], [25, 26])
        """
        if isinstance(buckets, int):
            if buckets < 1:
                raise ValueError("number of buckets must be >= 1")
            comparable = self.filter(_is_comparable)
            low, high = comparable.map(_twice).reduce(_wider)
            if low == high or buckets == 1:
                return [low, high], [comparable.count()]
            bounds: Sequence[Any] = _even_bounds(low, high, buckets)
            width = (high - low) / buckets
        elif isinstance(buckets, (list, tuple)):
            bounds = _checked_bounds(buckets)
            width = _common_width(bounds)
        else:
            raise TypeError("buckets should be a list or tuple or number(int or long)")
        counts = self._per_partition(partial(_histogram, bounds, width))
        if not counts:
            raise ValueError("Can not reduce() empty RDD")
        return bounds, [sum(column) for column in zip(*counts, strict=True)]


def _is_comparable(x: Any) -> bool:
    return x is not None and not (type(x) is float and isnan(x))


def _twice(x: Any) -> tuple[Any, Any]:
    return x, x


def _wider(a: tuple[Any, Any], b: tuple[Any, Any]) -> tuple[Any, Any]:
    return min(a[0], b[0]), max(a[1], b[1])


def _even_bounds(low: Any, high: Any, buckets: int) -> list[Any]:
    """``buckets`` + 1 bounds, whole numbers where whole numbers divide evenly."""
    try:
        width = (high - low) / buckets
    except TypeError:
        raise TypeError("Can not generate buckets with non-number in RDD") from None
    if isinf(width):
        raise ValueError("Can not generate buckets with infinite value")
    if int(width) * buckets == high - low:
        width = int(width)
    return [*(i * width + low for i in range(buckets)), high]


def _checked_bounds(bounds: Sequence[Any]) -> Sequence[Any]:
    if len(bounds) < 2:
        raise ValueError("buckets should have more than one value")
    if any(bound is None or (isinstance(bound, float) and isnan(bound)) for bound in bounds):
        raise ValueError("can not have None or NaN in buckets")
    if sorted(bounds) != list(bounds):
        raise ValueError("buckets should be sorted")
    if len(set(bounds)) != len(bounds):
        raise ValueError("buckets should not contain duplicated values")
    return bounds


def _common_width(bounds: Sequence[Any]) -> Any:
    """The width of the buckets if they are all (nearly) as wide, else None."""
    try:
        widths = [high - low for low, high in pairwise(bounds)]
    except TypeError:  # bounds such as strings have an order but no distance
        return None
    return (bounds[-1] - bounds[0]) / len(widths) if max(widths) - min(widths) < 1e-10 else None


def _histogram(bounds: Sequence[Any], width: Any, iterator: Iterator[Any]) -> list[int]:
    counts = [0] * len(bounds)
    low, high = bounds[0], bounds[-1]
    for x in iterator:
        if x is None or (isinstance(x, float) and isnan(x)) or x > high or x < low:
            continue
        counts[bisect_right(bounds, x) - 1 if width is None else int((x - low) / width)] += 1
    at_the_end = counts.pop()  # records equal to the last bound belong to the last bucket
    counts[-1] += at_the_end
    return counts
