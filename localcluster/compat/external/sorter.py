"""`ExternalSorter`: sorting with runs on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from localcluster.compat.external.disk import disk_of
from localcluster.compat.external.process_memory import ProcessMemory, get_used_memory
from localcluster.shuffle.sorter import Sorter


class ExternalSorter:
    """Spills when the process uses more than ``memory_limit`` MiB. ``serializer`` has no effect, as in PySpark.

    >>> list(ExternalSorter(512).sorted([3, 1, 2], reverse=True))
    [3, 2, 1]
    """

    def __init__(self, memory_limit: float, serializer: Any = None) -> None:
        self.memory_limit = memory_limit
        self.serializer = serializer

    def _next_limit(self) -> float:
        """MiB at which to spill next: what cannot be released must not cause a spill each time."""
        return max(self.memory_limit, get_used_memory() * 1.05)

    def sorted(
        self, iterator: Iterable[Any], key: Callable[[Any], Any] | None = None, reverse: bool = False
    ) -> Iterator[Any]:
        """The items in the order of `sorted`. Raises SerializationError for items that must be spilled and cannot be
        pickled, and what the functions raise.
        """
        return Sorter(key, reverse, ProcessMemory(self._next_limit)).sort(iterator, disk_of(self))
