"""Approximate actions: what is known when the time is over, and about how many distinct records there are.

Does not cover the statistics behind them (``estimates``, ``hyper_log_log``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial, reduce
from typing import Any, TypeVar

from localcluster.base.arguments import check_number
from localcluster.rdd.actions import Actions
from localcluster.rdd.estimates import BoundedFloat, Sample
from localcluster.rdd.hyper_log_log import HASH_BITS, HyperLogLog
from localcluster.rdd.narrow import count_records
from localcluster.rdd.stat_counter import StatCounter
from localcluster.shuffle.hashing import portable_hash

T = TypeVar("T")


class Approximate(Actions[T]):
    """Those with a ``timeout``, in milliseconds, run a job and return when it is done, or after that time with an
    estimate from the partitions done by then. The job goes on in the background, as in Spark. ``confidence``, 0 to 1,
    is that of an estimate's bounds. They raise TaskError when the job fails before the time is over.
    """

    def countApprox(self, timeout: int, confidence: float = 0.95) -> int:
        """Number of records.

        >>> sc.parallelize(range(1000), 10).countApprox(10_000)
        1000
        """
        return int(self._sample(_count, timeout, Sample.sum, confidence))

    def sumApprox(self, timeout: int, confidence: float = 0.95) -> BoundedFloat:
        """Sum of numbers.

        >>> total = sc.parallelize(range(1000), 10).sumApprox(10_000)
        >>> total, total.low, total.high, total.confidence
        (499500.0, 499500.0, 499500.0, 1.0)
        """
        return self._sample(_sum, timeout, Sample.sum, confidence)

    def meanApprox(self, timeout: int, confidence: float = 0.95) -> BoundedFloat:
        """Mean of numbers.

        >>> float(sc.parallelize(range(1000), 10).meanApprox(10_000))
        499.5
        """
        return self._sample(_values, timeout, Sample.mean, confidence)

    def countApproxDistinct(self, relativeSD: float = 0.05) -> int:
        """About how many distinct records there are, by HyperLogLog; ``relativeSD`` is the standard deviation that the
        result may have, relative to it. From 0.008 on a smaller one takes more memory. Up to 512 are counted exactly.

        Raises ValueError when it is less than 0.000017.

        >>> sc.parallelize(range(500)).map(str).countApproxDistinct()
        500
        >>> 98_000 < sc.parallelize(range(100_000)).countApproxDistinct() < 102_000
        True
        """
        if relativeSD < 0.000017:
            raise ValueError("relativeSD should be greater than 0.000017")
        sketches = self._per_partition(partial(_sketch, relativeSD))
        return reduce(HyperLogLog.merge, sketches, HyperLogLog(relativeSD)).estimate()

    def _sample(
        self,
        func: Callable[[Iterator[Any]], StatCounter],
        timeout: int,
        estimate: Callable[[Sample, float], BoundedFloat],
        confidence: float,
    ) -> BoundedFloat:
        check_number(timeout, "timeout")
        check_number(confidence, "confidence")
        partitions = self.getNumPartitions()
        sample = Sample(partitions)
        job = self._plan_job(func, range(partitions), sample.merge)
        job.start()
        ended = job.collect(timeout / 1000)
        try:
            return estimate(sample, confidence)
        finally:
            if not ended:
                self.ctx._jobs.finish_in_background(job)


def _count(iterator: Iterator[Any]) -> StatCounter:
    return StatCounter([float(count_records(iterator))])


def _sum(iterator: Iterator[Any]) -> StatCounter:
    return StatCounter([float(sum(iterator))])


def _values(iterator: Iterator[Any]) -> StatCounter:
    return StatCounter(map(float, iterator))


def _sketch(relative_sd: float, iterator: Iterator[Any]) -> HyperLogLog:
    return HyperLogLog(relative_sd, map(_fingerprint, iterator))


_OF_COMMON_HASHES = {-1: 0x9E3779B97F4A7C15, None: 0xBF58476D1CE4E5B9, "": 0x94D049BB133111EB, b"": 0xD6E8FEB86659FD93}
_OF_BYTES = 0xA24BAED4963EE407
_MASK = (1 << HASH_BITS) - 1


def _fingerprint(record: Any) -> int:
    """64 bits for a record: equal ones for equal records, different ones for records that differ, as far as chance
    goes. Python's hash of -1 is that of -2, that of nothings is that of 0, and text and bytes may share theirs.
    """
    if isinstance(record, (tuple, frozenset)):  # whose hashes are made of such hashes
        kind = tuple if isinstance(record, tuple) else frozenset
        return hash(kind(map(_fingerprint, record))) & _MASK
    hashed = portable_hash(record)
    if hashed in (-2, 0):
        hashed = _OF_COMMON_HASHES.get(record, hashed)
    if isinstance(record, bytes):
        hashed ^= _OF_BYTES
    return hashed & _MASK
