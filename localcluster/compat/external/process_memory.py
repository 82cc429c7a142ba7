"""The memory of this process as the measure of when to spill."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psutil

memory_bytes_spilled = 0
"""By how many bytes this process became smaller when it spilled."""


def get_used_memory() -> int:
    """Resident memory of this process, in MiB."""
    return int(psutil.Process().memory_info().rss) >> 20


class ProcessMemory:
    """A `Gauge`, full when this process uses more MiB than ``next_limit`` gave, which is asked again after a spill."""

    def __init__(self, next_limit: Callable[[], float]) -> None:
        self._next_limit = next_limit
        self._limit = next_limit()
        self._used = 0

    def sample(self, record: Any) -> None:
        pass

    def is_full(self, count: int) -> bool:
        self._used = get_used_memory()
        return self._used > self._limit

    def fresh(self) -> ProcessMemory:
        global memory_bytes_spilled
        memory_bytes_spilled += max(self._used - get_used_memory(), 0) << 20
        return ProcessMemory(self._next_limit)
