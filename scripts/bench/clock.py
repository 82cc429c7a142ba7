"""Taking times: what every job uses to time a part of itself."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def timed(work: Callable[[], T]) -> tuple[float, T]:
    """(seconds, result)"""
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


def median_of(count: int, work: Callable[[], T]) -> tuple[float, T]:
    """(median seconds of `count` calls, the last one's result)"""
    runs = [timed(work) for _ in range(count)]
    return statistics.median(seconds for seconds, _ in runs), runs[-1][1]
