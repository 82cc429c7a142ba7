"""`ExternalMerger`: combining by key in a dictionary that goes to disk."""

from __future__ import annotations

import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from localcluster.compat.external.disk import disk_of
from localcluster.compat.external.process_memory import ProcessMemory, get_used_memory
from localcluster.shuffle.aggregator import Aggregator
from localcluster.shuffle.combiner import Combiner


class SimpleAggregator(Aggregator):
    """Combines values two by two."""

    def __init__(self, combiner: Callable[[Any, Any], Any]) -> None:
        super().__init__(_same, combiner, combiner)


def _same(value: Any) -> Any:
    return value


class Merger(ABC):
    """Combines records by key."""

    def __init__(self, aggregator: Aggregator) -> None:
        self.agg = aggregator

    @abstractmethod
    def mergeValues(self, iterator: Iterable[tuple[Any, Any]]) -> None:
        """Combine ``(key, value)`` pairs."""

    @abstractmethod
    def mergeCombiners(self, iterator: Iterable[tuple[Any, Any]]) -> None:
        """Merge ``(key, combiner)`` pairs."""

    @abstractmethod
    def items(self) -> Iterator[tuple[Any, Any]]:
        """``(key, combiner)`` for every key."""


class ExternalMerger(Merger):
    """Spills when the process uses more than ``memory_limit`` MiB; ``spills`` counts how often it did.

    ``localdirs``: where to. The others are accepted for the sake of PySpark's signature: serializer, number of files
    and intervals of looking at memory are those of our shuffles.

    >>> merger = ExternalMerger(SimpleAggregator(lambda a, b: a + b))
    >>> merger.mergeValues([("a", 1), ("b", 1), ("a", 2)])
    >>> sorted(merger.items())
    [('a', 3), ('b', 1)]
    """

    def __init__(
        self,
        aggregator: Aggregator,
        memory_limit: float = 512,
        serializer: Any = None,
        localdirs: Sequence[str] | None = None,
        scale: int = 1,
        partitions: int = 59,
        batch: int = 1000,
    ) -> None:
        super().__init__(aggregator)
        self.memory_limit = memory_limit
        disk = disk_of(self, localdirs or ())
        self._combiner = Combiner(aggregator.mergeCombiners, ProcessMemory(_Limits(memory_limit)), disk)
        weakref.finalize(self, self._combiner.close)  # so the gauge must not refer to this object

    @property
    def spills(self) -> int:
        return self._combiner.spill_count

    def mergeValues(self, iterator: Iterable[tuple[Any, Any]]) -> None:
        """Combine ``(key, value)`` pairs. Raises what the functions raise, PySparkRuntimeError for a StopIteration."""
        self._combiner.add(iterator, self.agg.createCombiner, self.agg.mergeValue)

    def mergeCombiners(self, iterator: Iterable[tuple[Any, Any]], limit: float | None = None) -> None:
        """Merge ``(key, combiner)`` pairs. ``limit`` has no effect: the memory limit counts."""
        self._combiner.add_combiners(iterator)

    def items(self) -> Iterator[tuple[Any, Any]]:
        """``(key, combiner)`` for every key, in order of first appearance if nothing was spilled. To be read once."""
        yield from self._combiner.items()
        self._cleanup()

    def _spill(self) -> None:
        """Write what is in memory to disk."""
        self._combiner.spill()

    def _cleanup(self) -> None:
        """Remove the files."""
        self._combiner.close()


class ExternalGroupBy(ExternalMerger):
    """An `ExternalMerger` whose combiners are lists. Those of one key must fit into memory."""


class _Limits:
    """The first limit is the one given; later ones lie above what cannot be released."""

    def __init__(self, memory_limit: float) -> None:
        self._memory_limit = memory_limit
        self._first = True

    def __call__(self) -> float:
        if self._first:
            self._first = False
            return self._memory_limit
        return max(self._memory_limit, get_used_memory() * 1.05)
